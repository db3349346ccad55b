/*
 * What a person does to a slave, or to all: pause, resume, skip, stop, kill. The control room (src/control) calls
 * farm_act for an ACT of a tool; the monitor (src/monitor) is the tool that offers them.
 *
 * Who is paused is kept here only, by the slave's number, so that it stays paused when it comes back; a restart of
 * the master forgets it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "session.h"

/* Does it to one slave; `facts` says what else a person should know. */
typedef void (*deed)(struct session *s, char *facts, size_t size);

/* ---- who is paused ------------------------------------------------------------------------------- */

static size_t rester_at(const struct farm *f, int64_t slave)
{
    size_t i = 0;
    while (i < f->rester_count && f->resters[i] != slave)
        i++;
    return i;
}

bool session_resting(const struct session *s)
{
    return s->stopping || s->farm->resting || rester_at(s->farm, s->slave) < s->farm->rester_count;
}

static void add_rester(struct farm *f, int64_t slave)
{
    if (rester_at(f, slave) < f->rester_count)
        return;
    f->resters = mem_resize(f->resters, f->rester_count + 1, sizeof *f->resters);
    f->resters[f->rester_count++] = slave;
}

static void remove_rester(struct farm *f, int64_t slave)
{
    size_t i = rester_at(f, slave);
    if (i < f->rester_count)
        f->resters[i] = f->resters[--f->rester_count];
}

/* ---- the deeds ----------------------------------------------------------------------------------- */

static void pause_slave(struct session *s, char *facts, size_t size)
{
    unsigned builds = attempts_alive(s);
    if (!s->farm->resting)
        add_rester(s->farm, s->slave);
    snprintf(facts, size, builds > 1 ? "it finishes its %u builds first" : builds ? "it finishes its build first"
             : "it gets no build until it is resumed", builds);
}

static void resume_slave(struct session *s, char *facts, size_t size)
{
    struct message wake = {.verb = VERB_WAKE};
    s->stopping = false;
    remove_rester(s->farm, s->slave);
    if (session_resting(s)) {
        snprintf(facts, size, "but the whole farm is paused");
        return;
    }
    snprintf(facts, size, "it gets builds again");
    if (s->sleeping && session_is_in(s))
        session_say(s, &wake);
    session_set_sleeping(s, false);
}

static void skip_builds(struct session *s, char *facts, size_t size)
{
    const char *reason = "skipped by hand";
    unsigned count = 0;
    for (struct attempt *a = s->attempts; a; a = a->next) {
        if (a->state != ATTEMPT_BUILDING && a->state != ATTEMPT_RECEIVING)
            continue;
        session_give_back(s, a, reason, "a person skipped it; it is tried again later");
        attempt_stop(s, a->id, reason);
        count++;
    }
    snprintf(facts, size, count > 1 ? "its %u builds are given back and tried again later"
             : count ? "its build is given back and tried again later" : "it has no build to skip", count);
}

static void stop_slave(struct session *s, char *facts, size_t size)
{
    unsigned builds = attempts_alive(s);
    s->stopping = true;
    snprintf(facts, size, builds > 1 ? "it ends when its %u builds have ended" : builds ? "it ends when its build has ended"
             : "it ends now", builds);
    session_check_stop(s);
}

static void kill_slave(struct session *s, char *facts, size_t size)
{
    struct message die = {.verb = VERB_DIE, .die = {.reason = "killed by hand"}};
    unsigned builds = attempts_alive(s);
    snprintf(facts, size, builds > 1 ? "its %u builds are given back" : builds ? "its build is given back" : "it had no build",
             builds);
    session_give_back_all(s, "killed by hand", "a person ended the slave; it is tried again later");
    session_say(s, &die);
    session_end(s, "killed by hand");
}

static const struct act {
    const char *name;
    const char *done;     /* "slave 3 (pi4-a): paused: …" */
    deed deed;
} acts[] = {
    {"pause", "paused", pause_slave},
    {"resume", "resumed", resume_slave},
    {"skip", "skipped", skip_builds},
    {"stop", "told to end", stop_slave},
    {"kill", "killed", kill_slave},
};

/* ---- to one or to all ---------------------------------------------------------------------------- */

static void act_on_one(const struct act *a, struct session *s, char *told, size_t size)
{
    char facts[128], name[sizeof s->name];
    memcpy(name, s->name, sizeof name); /* the session may end with it */
    a->deed(s, facts, sizeof facts);
    snprintf(told, size, "%s: %s by hand: %s", name, a->done, facts);
    log_info("farm", "%s", told);
}

static void act_on_all(struct farm *f, const struct act *a, char *told, size_t size)
{
    unsigned count = 0;
    struct session *next;
    char one[256];
    if (a->deed == resume_slave) {
        f->resting = false;
        f->rester_count = 0;
    } else if (a->deed == pause_slave) {
        f->resting = true;
    }
    for (struct session *s = f->sessions; s; s = next) {
        next = s->next;
        if (!session_is_in(s))
            continue;
        act_on_one(a, s, one, sizeof one);
        count++;
    }
    snprintf(told, size, "all slaves: %s by hand: %u connected%s", a->done, count,
             f->resting && a->deed == pause_slave ? "; who comes later gets no build either" : "");
    log_info("farm", "%s", told);
}

int farm_act(struct farm *f, const char *action, int64_t slave, char *told, size_t size)
{
    const struct act *a = NULL;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        if (strcmp(acts[i].name, action) == 0)
            a = &acts[i];
    }
    if (!a) {
        snprintf(told, size, "\"%s\" is no action; there are pause, resume, skip, stop and kill", action);
        return -EINVAL;
    }
    if (slave == 0) {
        act_on_all(f, a, told, size);
        return 0;
    }
    for (struct session *s = f->sessions; s; s = s->next) {
        if (s->slave != slave || !session_is_in(s))
            continue;
        act_on_one(a, s, told, size);
        return 0;
    }
    snprintf(told, size, "no slave %lld is connected", (long long)slave);
    return -ENOENT;
}
