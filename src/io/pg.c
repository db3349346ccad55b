/*
 * The life of a connection to PostgreSQL. The db room opens three of these and never looks after them
 * again: they connect, break and come back by themselves.
 *
 *     NEW ─▶ RESOLVE ─▶ CONNECT ─▶ GREET ─▶ READY
 *      │        │ ▲        │         │        │
 *      ▼        ▼ │        ▼         ▼        ▼
 *      PAUSE ◀──┴─┼────────┴─────────┴────────┘     (CLOSING follows from each)
 *        └────────┘ back-off
 *
 * RESOLVE and CONNECT together have a deadline, and so has GREET, which is left out where nothing is to be said. Everything here runs from the loop, pg_open and
 * pg_close included: they only set a timer.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "pg_private.h"

#define CONNECT_TIMEOUT_MS 10000
#define GREET_TIMEOUT_MS 20000
#define MIN_BACKOFF_MS 200
#define MAX_BACKOFF_MS 10000
#define WARN_EVERY_MS 60000
#define MAX_ADDRESS_BYTES 65536

static const struct {
    enum pg_state state; /* as the owner sees it */
    unsigned next;       /* the phases that may follow, as bits */
} phases[PHASES] = {
    [PHASE_NEW]     = {PG_CONNECTING, 1u << PHASE_RESOLVE | 1u << PHASE_PAUSE   | 1u << PHASE_CLOSING},
    [PHASE_RESOLVE] = {PG_CONNECTING, 1u << PHASE_CONNECT | 1u << PHASE_PAUSE   | 1u << PHASE_CLOSING},
    [PHASE_CONNECT] = {PG_CONNECTING, 1u << PHASE_GREET   | 1u << PHASE_READY   | 1u << PHASE_PAUSE | 1u << PHASE_CLOSING},
    [PHASE_GREET]   = {PG_CONNECTING, 1u << PHASE_READY   | 1u << PHASE_PAUSE   | 1u << PHASE_CLOSING},
    [PHASE_READY]   = {PG_READY,      1u << PHASE_PAUSE   | 1u << PHASE_CLOSING},
    [PHASE_PAUSE]   = {PG_LOST,       1u << PHASE_RESOLVE | 1u << PHASE_CLOSING},
    [PHASE_CLOSING] = {PG_CLOSED,     0},
};

static void set_phase(struct pg *pg, enum pg_phase phase)
{
    enum pg_state before = phases[pg->phase].state;
    enum pg_state after = phases[phase].state;

    assert(phases[pg->phase].next & 1u << phase);
    pg->phase = phase;
    if (after != before && after != PG_CLOSED && pg->on_state != NULL)
        pg->on_state(pg, after, pg->why, pg->owner);
}

/* ---- the socket ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void unwatch(struct pg *pg)
{
    if (pg->poll != NULL)
        uv_close((uv_handle_t *)pg->poll, on_poll_closed);
    pg->poll = NULL;
    pg->polled_events = 0;
}

void pg_watch(struct pg *pg, int events)
{
    int error = 0;

    if (events == pg->polled_events)
        return;
    if (pg->poll == NULL) {
        uv_poll_t *poll = mem_new(1, sizeof *poll);
        error = uv_poll_init(pg->loop, poll, PQsocket(pg->conn));
        if (error != 0) {
            free(poll);
        } else {
            poll->data = pg;
            pg->poll = poll;
        }
    }
    if (error == 0)
        error = uv_poll_start(pg->poll, events, on_poll);
    if (error == 0)
        pg->polled_events = events;
    else
        pg_lose(pg, uv_strerror(error));
}

static void drop_connection(struct pg *pg)
{
    pg_drop_lookup(pg);
    unwatch(pg); /* before libpq closes the socket: its number may be given out again at once */
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->farewell[0] = '\0';
}

/* ---- connecting ---- */

static void on_timer(uv_timer_t *timer);

static void become_ready(struct pg *pg)
{
    int version = PQserverVersion(pg->conn);

    if (pg->kind == PG_PIPELINED && PQenterPipelineMode(pg->conn) != 1) {
        pg_lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    uv_timer_stop(&pg->timer);
    log_info("db", "database %s: %s to \"%s\" as %s (PostgreSQL %d.%d, %s)", pg->name,
             pg->connected_once ? "connected again" : "connected", PQdb(pg->conn), PQuser(pg->conn),
             version / 10000, version % 10000, PQhost(pg->conn));
    if (pg->connected_once)
        pg->reconnects++;
    pg->connected_once = true;
    pg->backend = PQbackendPID(pg->conn);
    pg->hopeless = false;
    pg->why[0] = '\0';
    pg->backoff_ms = MIN_BACKOFF_MS;
    pg->warned_ms = -1;
    set_phase(pg, PHASE_READY);
    if (pg->phase == PHASE_READY)
        pg_send(pg);
}

static void hear_greeting(struct pg *pg)
{
    const char *why;

    switch (pg_hear_greeting(pg, &why)) {
    case GREETING_DONE:
        become_ready(pg);
        break;
    case GREETING_FAILED:
        pg_lose(pg, why);
        break;
    case GREETING_WAITS:
        break;
    }
}

static void be_greeted(struct pg *pg)
{
    PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    PQsetNoticeReceiver(pg->conn, pg_hear_notice, pg);
    if (PQsetnonblocking(pg->conn, 1) != 0) {
        pg_lose(pg, PQerrorMessage(pg->conn));
    } else if (pg->compose_greeting == NULL) {
        become_ready(pg);
    } else {
        uv_timer_start(&pg->timer, on_timer, GREET_TIMEOUT_MS, 0);
        set_phase(pg, PHASE_GREET);
        if (pg_send_greeting(pg))
            hear_greeting(pg);
        else
            pg_lose(pg, PQerrorMessage(pg->conn));
    }
}

static void refused(struct pg *pg)
{
    char why[PG_MAX_WHY];

    pg_read_refusal(pg, why);
    pg_lose(pg, why);
}

/* Each round libpq may close its socket and open another, even one of the same number. */
static void go_on_connecting(struct pg *pg)
{
    unwatch(pg);
    switch (PQconnectPoll(pg->conn)) {
    case PGRES_POLLING_READING:
        pg_watch(pg, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        pg_watch(pg, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        be_greeted(pg);
        break;
    default:
        refused(pg);
    }
}

void pg_resolved(struct pg *pg, const char *why)
{
    if (why != NULL) {
        pg_lose(pg, why);
        return;
    }
    set_phase(pg, PHASE_CONNECT);
    pg->conn = pg_start_connection(pg);
    if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD)
        refused(pg);
    else
        pg_watch(pg, UV_WRITABLE);
}

static void begin(struct pg *pg)
{
    pg->hopeless = pg->turned_away = false;
    uv_timer_start(&pg->timer, on_timer, CONNECT_TIMEOUT_MS, 0);
    set_phase(pg, PHASE_RESOLVE);
    if (pg->phase == PHASE_RESOLVE)
        pg_resolve(pg);
}

static void on_timer(uv_timer_t *timer)
{
    struct pg *pg = timer->data;

    if (pg->phase == PHASE_RESOLVE)
        pg_lose(pg, "the name server has not answered for 10 s");
    else if (pg->phase == PHASE_CONNECT)
        pg_lose(pg, "the server has not answered for 10 s");
    else if (pg->phase == PHASE_GREET)
        pg_lose(pg, "the server has not answered the first statement for 20 s");
    else
        begin(pg);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct pg *pg = poll->data;

    if (pg->phase == PHASE_CONNECT) {
        go_on_connecting(pg);
        return;
    }
    if (pg->phase == PHASE_GREET) {
        hear_greeting(pg);
        return;
    }
    if (pg->phase == PHASE_READY)
        pg_serve(pg);
    /* libuv stops a poll that failed; libpq mostly finds the same failure, but must not be relied on. */
    if (status != 0 && pg->phase == PHASE_READY)
        pg_lose(pg, uv_strerror(status));
}

/* ---- losing ---- */

static void warn(struct pg *pg, bool was_ready)
{
    int64_t now_ms = (int64_t)uv_now(pg->loop);

    if (pg_hopeless(pg)) /* it is told by whoever gives it up */
        return;
    if (pg->warned_ms >= 0 && now_ms - pg->warned_ms < WARN_EVERY_MS)
        return;
    pg->warned_ms = now_ms;
    log_warning("db", "database %s: %s, trying again: %s", pg->name,
                was_ready ? "connection lost" : "no connection", pg->why);
}

void pg_lose(struct pg *pg, const char *why)
{
    bool was_ready = pg->phase == PHASE_READY;

    if (why != pg->why)
        pg_one_line(pg->why, sizeof pg->why, why);
    drop_connection(pg);
    pg_recall(pg);
    warn(pg, was_ready);
    uv_timer_start(&pg->timer, on_timer, pg->backoff_ms, 0);
    pg->backoff_ms = pg->backoff_ms * 2 < MAX_BACKOFF_MS ? pg->backoff_ms * 2 : MAX_BACKOFF_MS;
    set_phase(pg, PHASE_PAUSE);
}

static void on_malformed(uv_timer_t *timer)
{
    struct pg *pg = timer->data;

    set_phase(pg, PHASE_PAUSE);
}

/* ---- opening and closing ---- */

struct pg *pg_open(uv_loop_t *loop, const char *dsn, enum pg_kind kind, const char *name,
                   void (*on_state)(struct pg *pg, enum pg_state state, const char *why, void *owner),
                   void *owner)
{
    struct pg *pg = mem_new(1, sizeof *pg);
    uv_timer_t *timers[] = {&pg->timer, &pg->soon, &pg->repeat};

    *pg = (struct pg){
        .loop = loop, .kind = kind, .name = mem_text(name), .on_state = on_state, .owner = owner,
        .backoff_ms = MIN_BACKOFF_MS, .warned_ms = -1, .minute_began_ms = (int64_t)uv_now(loop),
    };
    buf_init(&pg->addresses.hosts, MAX_ADDRESS_BYTES);
    buf_init(&pg->addresses.hostaddrs, MAX_ADDRESS_BYTES);
    buf_init(&pg->addresses.ports, MAX_ADDRESS_BYTES);
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        uv_timer_init(loop, timers[i]);
        timers[i]->data = pg;
        pg->open_handles++;
    }
    pg->hopeless = pg_read_dsn(pg, dsn) != 0;
    uv_timer_start(&pg->timer, pg->hopeless ? on_malformed : on_timer, 0, 0);
    return pg;
}

void pg_close(struct pg *pg, void (*closed)(void *owner))
{
    pg->closed = closed;
    set_phase(pg, PHASE_CLOSING);
    uv_timer_stop(&pg->timer);
    pg_cancel_all(pg);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct pg *pg = handle->data;

    if (--pg->open_handles > 0)
        return;
    void (*closed)(void *owner) = pg->closed;
    void *owner = pg->owner;
    PQconninfoFree(pg->options);
    buf_release(&pg->addresses.hosts);
    buf_release(&pg->addresses.hostaddrs);
    buf_release(&pg->addresses.ports);
    free(pg->name);
    free(pg);
    if (closed != NULL)
        closed(owner);
}

void pg_dispose(struct pg *pg)
{
    drop_connection(pg);
    pg_recall(pg);
    uv_close((uv_handle_t *)&pg->timer, on_handle_closed);
    uv_close((uv_handle_t *)&pg->soon, on_handle_closed);
    uv_close((uv_handle_t *)&pg->repeat, on_handle_closed);
}

/* ---- what the owner may read ---- */

enum pg_state pg_state(const struct pg *pg)
{
    return phases[pg->phase].state;
}

const char *pg_why(const struct pg *pg)
{
    return pg->why;
}

bool pg_hopeless(const struct pg *pg)
{
    return pg->hopeless && !pg->connected_once;
}

void pg_on_notice(struct pg *pg, void (*on_notice)(void *owner, const char *text), void *owner)
{
    pg->on_notice = on_notice;
    pg->notice_owner = owner;
}
