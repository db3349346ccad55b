/*
 * STATUS and WATCH: what the master knows of itself, in rounds. A round is one or more DATA, each with a part of
 * the whole: the first has everything but most of the slaves, each has some slaves, and the last says "more": false.
 * All who listen get the same texts. Every part is made in a turn of the loop of its own.
 *
 *     tick, or a STATUS → read facts from the database → tell a part → (next turn) tell a part → … → DONE to a STATUS
 *
 * A watcher that has not read the last round is passed over, and dropped when that lasts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/lane.h"
#include "core/log.h"
#include "core/text.h"
#include "io/machine.h"
#include "private.h"

#define ROUND_MS 1000
#define PATIENCE_MS 2000      /* watchers get the old facts when the database takes longer */
#define STALL_MS 10000
#define REST_TIMES 20         /* reading the facts takes at most a twentieth of the time */
#define SLAVES_A_PART 32

static struct control *control_of(struct watch *w)
{
    return container_of(w, struct control, watch);
}

/* ---- what is told -------------------------------------------------------------------------------- */

static json_t *describe_connection(const struct pg_figures *f)
{
    return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I}", "waiting", (int)f->waiting, "in_flight", (int)f->in_flight,
                     "done", (json_int_t)f->done, "repeated", (json_int_t)f->repeated, "reconnects",
                     (json_int_t)f->reconnects, "last_ms", (json_int_t)f->last_ms, "worst_ms", (json_int_t)f->worst_ms);
}

static json_t *describe_database(struct db *db)
{
    struct pg_figures fast, bulk, pages;
    db_figures(db, &fast, &bulk, &pages);
    return json_pack("{s:o, s:o, s:o}", "fast", describe_connection(&fast), "bulk", describe_connection(&bulk), "pages",
                     describe_connection(&pages));
}

static json_t *describe_lanes(void)
{
    json_t *lanes = json_object();
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane_figures f;
        lane_figures((enum lane_id)i, &f);
        json_object_set_new(lanes, f.name, json_pack("{s:i, s:i, s:i, s:I, s:I}", "limit", (int)f.limit, "running",
            (int)f.running, "waiting", (int)f.waiting, "done", (json_int_t)f.done, "worst_wait_ms",
            (json_int_t)f.worst_wait_ms));
    }
    return lanes;
}

static json_t *describe_master(const struct control *o)
{
    struct rec_machine m;
    size_t resident = 0;
    uv_resident_set_memory(&resident);
    machine_read(o->output, &m);
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "paused",
        (int)farm_resting(o->sources.farm), "up_ms", (json_int_t)(clock_steady_ms() - o->opened_ms), "resident_bytes",
        (json_int_t)resident, "lag_us", (json_int_t)lag_recent_us(o->sources.lag), "lag_worst_us",
        (json_int_t)lag_worst_us(o->sources.lag), "load_milli", (json_int_t)m.load_milli, "memory_bytes",
        (json_int_t)m.memory_bytes, "memory_free_bytes", (json_int_t)m.memory_free_bytes, "disk_bytes",
        (json_int_t)m.disk_bytes, "disk_free_bytes", (json_int_t)m.disk_free_bytes, "temperature_milli",
        (json_int_t)m.temperature_milli);
}

static json_t *describe_all(const struct control *o)
{
    json_t *head = json_copy(o->watch.facts);
    json_object_set_new(head, "version", json_string(PIWHEELS_VERSION));
    json_object_set_new(head, "trouble", json_string(o->watch.trouble));
    json_object_set_new(head, "master", describe_master(o));
    json_object_set_new(head, "lanes", describe_lanes());
    json_object_set_new(head, "database", describe_database(o->sources.db));
    json_object_set_new(head, "pypi", pypi_describe(o->sources.pypi));
    return head;
}

/* ---- telling ------------------------------------------------------------------------------------- */

static void say_to_listeners(struct control *o, const json_t *part)
{
    char *text = json_dumps(part, JSON_COMPACT);
    struct message m = {.verb = VERB_DATA, .data = {.json = text}};
    for (struct client *c = o->clients; c; c = c->next) {
        if (c->listens)
            client_say(c, &m);
    }
    free(text);
}

static void end_round(struct control *o)
{
    for (struct client *c = o->clients; c; c = c->next) {
        if (c->listens && c->state == CLIENT_ANSWERING)
            client_say_done(c, true, "");
        c->listens = false;
    }
    o->watch.telling = false;
}

static void begin_round(struct control *o);

static void on_turn(uv_timer_t *timer)
{
    struct control *o = control_of(container_of(timer, struct watch, turn));
    struct watch *w = &o->watch;
    json_t *part = w->head_told ? json_object() : describe_all(o);
    w->head_told = true;
    json_object_set_new(part, "slaves", farm_describe(o->sources.farm, &w->before, SLAVES_A_PART));
    json_object_set_new(part, "more", json_boolean(w->before != 0));
    say_to_listeners(o, part);
    json_decref(part);
    if (w->before != 0) {
        uv_timer_start(&w->turn, on_turn, 0, 0);
        return;
    }
    end_round(o);
    if (w->again)
        begin_round(o);
}

/* Whether the watcher takes part in a round that begins now. */
static bool is_attentive(struct client *c, int64_t now_ms)
{
    if (wire_unsent(c->wire) == 0) {
        c->clear_ms = now_ms;
        return true;
    }
    if (now_ms - c->clear_ms >= STALL_MS) {
        log_warning("control", "a watcher is dropped: it has read nothing for %d s", STALL_MS / 1000);
        wire_drop(c->wire, "read nothing for too long");
    }
    return false;
}

static void begin_round(struct control *o)
{
    struct watch *w = &o->watch;
    int64_t now_ms = clock_steady_ms();
    w->again = w->telling;
    if (w->telling || o->closing)
        return;
    for (struct client *c = o->clients; c; c = c->next) {
        if (c->wire && c->state == CLIENT_WATCHING)
            c->listens = w->due && is_attentive(c, now_ms);
        else if (c->asks && c->counted && !w->calling)
            c->asks = c->counted = false, c->listens = true;
    }
    w->due = false;
    w->telling = true;
    w->head_told = false;
    w->before = UINT64_MAX;
    uv_timer_start(&w->turn, on_turn, 0, 0);
}

/* ---- reading ------------------------------------------------------------------------------------- */

static void read_facts(struct control *o);

/* STATUS is answered with facts or not at all. */
static void refuse_askers(struct control *o)
{
    for (struct client *c = o->clients; c; c = c->next) {
        if (!c->asks || !c->counted)
            continue;
        c->asks = c->counted = false;
        client_refuse(c, "%s", o->watch.trouble);
    }
}

static void on_facts(struct db_call *call, int error)
{
    struct control *o = container_of(call, struct control, watch.call);
    struct watch *w = &o->watch;
    bool more = false;
    w->calling = false;
    w->took_ms = clock_steady_ms() - w->asked_ms;
    w->trouble[0] = '\0';
    json_t *facts = error ? NULL : json_loads(w->json, 0, NULL);
    free(w->json);
    w->json = NULL;
    if (facts) {
        json_decref(w->facts);
        w->facts = facts;
    } else {
        snprintf(w->trouble, sizeof w->trouble, "the database does not answer: %s",
                 call->message[0] ? call->message : strerror(-error));
        refuse_askers(o);
    }
    if (o->closing) {
        control_check_closed(o);
        return;
    }
    begin_round(o);
    for (struct client *c = o->clients; c; c = c->next)
        more = more || (c->asks && !c->counted);
    if (more)
        read_facts(o);
}

static void read_facts(struct control *o)
{
    struct watch *w = &o->watch;
    if (w->calling)
        return;
    for (struct client *c = o->clients; c; c = c->next)
        c->counted = c->asks;
    w->calling = true;
    w->asked_ms = clock_steady_ms();
    db_status(o->sources.db, &w->call, &w->json, on_facts);
}

static void on_tick(uv_timer_t *timer)
{
    struct control *o = control_of(container_of(timer, struct watch, tick));
    struct watch *w = &o->watch;
    int64_t since_ms = clock_steady_ms() - w->asked_ms;
    bool watched = false;
    for (const struct client *c = o->clients; c; c = c->next)
        watched = watched || c->state == CLIENT_WATCHING;
    if (!watched) {
        uv_timer_stop(timer);
        return;
    }
    w->due = true;
    if (!db_ready(o->sources.db))
        snprintf(w->trouble, sizeof w->trouble, "the master waits for its database: %s", db_why(o->sources.db));
    else if (w->calling && since_ms > PATIENCE_MS)
        snprintf(w->trouble, sizeof w->trouble, "the database has not answered for %lld s", (long long)since_ms / 1000);
    if (!w->calling && db_ready(o->sources.db) && since_ms >= w->took_ms * REST_TIMES)
        read_facts(o); /* the round follows */
    else if (!w->calling || since_ms > PATIENCE_MS || !db_ready(o->sources.db))
        begin_round(o);
}

/* ---- the verbs ----------------------------------------------------------------------------------- */

void watch_on_status(struct client *c, const struct message *m)
{
    struct db *db = c->control->sources.db;
    if (!client_same_version(c, m->status.version))
        return;
    if (!db_ready(db)) {
        client_refuse(c, "the master waits for its database: %s", db_why(db));
        return;
    }
    c->state = CLIENT_ANSWERING;
    c->asks = true;
    read_facts(c->control);
}

void watch_on_watch(struct client *c, const struct message *m)
{
    struct watch *w = &c->control->watch;
    if (!client_same_version(c, m->watch.version))
        return;
    c->state = CLIENT_WATCHING;
    c->clear_ms = clock_steady_ms();
    if (!uv_is_active((uv_handle_t *)&w->tick))
        uv_timer_start(&w->tick, on_tick, 0, ROUND_MS);
}

/* ---- opening and closing ------------------------------------------------------------------------- */

void watch_open(struct control *o)
{
    uv_timer_init(o->loop, &o->watch.tick);
    uv_timer_init(o->loop, &o->watch.turn);
    o->watch.tick.data = o->watch.turn.data = o;
    o->open_handles += 2;
    o->watch.facts = json_object();
}

void watch_close(struct control *o)
{
    uv_close((uv_handle_t *)&o->watch.tick, control_on_handle_closed);
    uv_close((uv_handle_t *)&o->watch.turn, control_on_handle_closed);
    if (o->watch.calling)
        db_cancel(&o->watch.call);
}

void watch_release(struct control *o)
{
    json_decref(o->watch.facts);
}
