/*
 * Slaves and their builds as JSON, for `piwheels status` and the monitor. The control room (src/control) asks for
 * a part at a time, so that a thousand slaves hold nobody up.
 */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "session.h"

#define MAX_BUILDS 8   /* of one slave that are told in full; "build_count" tells how many there are */

static json_t *describe_build(const struct attempt *a)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:I}", "build", (json_int_t)a->id, "package", a->package,
                     "version", a->version, "state", attempt_state_name(a->state),
                     "for_ms", (json_int_t)(clock_wall_ms() - a->started_ms));
}

static json_t *describe_builds(const struct session *s, unsigned *count)
{
    json_t *list = json_array();
    *count = 0;
    for (const struct attempt *a = s->attempts; a; a = a->next) {
        if (a->state != ATTEMPT_STOPPED && (*count)++ < MAX_BUILDS)
            json_array_append_new(list, describe_build(a));
    }
    return list;
}

static const char *state_name(const struct session *s, unsigned builds)
{
    if (!session_is_in(s))
        return s->state == SESSION_LEAVING ? "leaving" : "connecting";
    if (s->state == SESSION_WAITING)
        return "waiting";
    if (s->stopping)
        return "stopping";
    if (session_resting(s))
        return builds ? "pausing" : "paused";
    if (s->shortage[0])
        return "low";
    if (builds)
        return "building";
    return s->sleeping ? "sleeping" : "idle";
}

static json_t *describe_targets(const struct session *s)
{
    uint64_t may = s->state == SESSION_WAITING ? s->offered : s->targets;
    json_t *targets = json_array();
    for (unsigned i = 0; s->known && i < s->known->targets.count; i++) {
        if (may >> s->known->targets.items[i].id & 1)
            json_array_append_new(targets, json_string(s->known->targets.items[i].name));
    }
    return targets;
}

static json_t *describe_session(const struct session *s)
{
    unsigned builds;
    int64_t now_ms = clock_steady_ms();
    json_t *list = describe_builds(s, &builds);
    char warning[64] = "";
    if (s->failures >= SESSION_MANY_FAILURES)
        snprintf(warning, sizeof warning, "its last %u builds have all failed", s->failures);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "slave", (json_int_t)s->slave, "label", s->label, "state", state_name(s, builds), "system", s->system,
        "hardware", s->hardware, "sandbox", s->sandbox, "address", s->wire ? wire_peer(s->wire) : "",
        "fingerprint", s->wire ? wire_key(s->wire) : "", "targets", describe_targets(s),
        "builds", list, "build_count", (int)builds, "jobs", (int)s->jobs, "shortage", s->shortage, "warning", warning,
        "connected_ms", (json_int_t)(now_ms - s->connected_ms),
        "free_ms", (json_int_t)(builds ? 0 : now_ms - s->free_ms), "load_milli", (json_int_t)s->machine.load_milli,
        "memory_bytes", (json_int_t)s->machine.memory_bytes,
        "memory_free_bytes", (json_int_t)s->machine.memory_free_bytes, "disk_bytes", (json_int_t)s->machine.disk_bytes,
        "disk_free_bytes", (json_int_t)s->machine.disk_free_bytes,
        "temperature_milli", (json_int_t)s->machine.temperature_milli);
}

json_t *farm_describe(const struct farm *f, uint64_t *before, unsigned max)
{
    json_t *list = json_array();
    for (const struct session *s = f->sessions; s; s = s->next) {
        if (s->serial >= *before)
            continue;
        if (max-- == 0)
            return list;
        json_array_append_new(list, describe_session(s));
        *before = s->serial;
    }
    *before = 0;
    return list;
}

static const struct session *find(const struct farm *f, const char *label)
{
    const struct session *s = f->sessions;
    while (s && !(session_is_in(s) && strcmp(s->label, label) == 0))
        s = s->next;
    return s;
}

int64_t farm_building(const struct farm *f, const char *label)
{
    const struct session *s = find(f, label);
    if (!s)
        return -1;
    for (const struct attempt *a = s->attempts; a; a = a->next) {
        if (a->state != ATTEMPT_STOPPED)
            return a->id;
    }
    return 0;
}

const char *farm_slave_state(const struct farm *f, int64_t slave)
{
    for (const struct session *s = f->sessions; s; s = s->next) {
        if (s->slave == slave && s->wire)
            return state_name(s, attempts_alive(s));
    }
    return NULL;
}

bool farm_resting(const struct farm *f)
{
    return f->resting;
}
