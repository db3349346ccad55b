/*
 * Requests on a connection to PostgreSQL, from pg_query to their completion.
 *
 *     pg_query ─▶ waiting ─▶ in flight ─▶ done
 *                  ▲  ▲         │  │
 *                  │  └ paused ◀┘  │   serialization failure, deadlock
 *                  └───────────────┘   connection lost
 *
 * pg_query only queues; `soon` has pg_exchange.c send, from the loop and so once for all that was asked
 * in one turn of it. What completes without an answer (cancelled, refused here) passes through `ended`,
 * also from the loop. A completion may do anything: ask again, cancel others, close the connection.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/fault.h"
#include "core/memory.h"
#include "core/text.h"
#include "pg_private.h"

#define MAX_REPEATS 5
#define REPEAT_PAUSE_MS 20
#define MINUTE_MS 60000

/* ---- queues ---- */

static void put_last(struct pg_queue *q, struct pg_request *r, int place)
{
    r->place = place;
    r->next = NULL;
    r->prev = q->last;
    if (q->last != NULL)
        q->last->next = r;
    else
        q->first = r;
    q->last = r;
    q->count++;
}

static void put_first(struct pg_queue *q, struct pg_request *r, int place)
{
    r->place = place;
    r->prev = NULL;
    r->next = q->first;
    if (q->first != NULL)
        q->first->prev = r;
    else
        q->last = r;
    q->first = r;
    q->count++;
}

void pg_take_out(struct pg_queue *q, struct pg_request *r)
{
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        q->first = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else
        q->last = r->prev;
    r->prev = r->next = NULL;
    q->count--;
}

/* ---- completion ---- */

static void note_time(struct pg *pg, int64_t took_ms)
{
    int64_t now_ms = (int64_t)uv_now(pg->loop);

    if (now_ms - pg->minute_began_ms >= MINUTE_MS) {
        bool next = now_ms - pg->minute_began_ms < 2 * MINUTE_MS;
        pg->worst_before_ms = next ? pg->worst_ms : 0;
        pg->worst_ms = 0;
        pg->minute_began_ms = now_ms;
    }
    pg->last_ms = took_ms;
    if (took_ms > pg->worst_ms)
        pg->worst_ms = took_ms;
}

static void complete(struct pg_request *r, int error, PGresult *rows)
{
    struct pg_result result = {.rows = rows};

    free(r->copy);
    r->copy = NULL;
    pg_params_release(&r->params);
    if (r->rows.data != NULL)
        buf_release(&r->rows);
    r->rows = (struct buf){.data = NULL};
    r->place = PG_IDLE;
    r->pg = NULL;
    r->done(r, error, error == 0 ? &result : NULL);
}

/* Those that end meanwhile wait for the next turn of the loop. */
static void complete_ended(struct pg *pg)
{
    for (unsigned n = pg->ended.count; n > 0 && pg->ended.first != NULL; n--) {
        struct pg_request *r = pg->ended.first;
        pg_take_out(&pg->ended, r);
        complete(r, r->error, NULL);
    }
}

static void on_soon(uv_timer_t *timer)
{
    struct pg *pg = timer->data;

    complete_ended(pg);
    if (pg->phase == PHASE_READY)
        pg_send(pg);
    else if (pg->phase == PHASE_CLOSING && pg->ended.count == 0)
        pg_dispose(pg);
}

static void serve_soon(struct pg *pg)
{
    uv_timer_start(&pg->soon, on_soon, 0, 0);
}

void pg_end(struct pg *pg, struct pg_request *r, int error)
{
    r->error = error;
    put_last(&pg->ended, r, PG_ENDED);
    serve_soon(pg);
}

/* ---- answers ---- */

static void on_repeat(uv_timer_t *timer)
{
    struct pg *pg = timer->data;

    while (pg->paused.last != NULL) {
        struct pg_request *r = pg->paused.last;
        pg_take_out(&pg->paused, r);
        put_first(&pg->waiting, r, PG_WAITING);
    }
    serve_soon(pg);
}

static void pause_request(struct pg *pg, struct pg_request *r)
{
    r->repeats++;
    pg->repeated++;
    put_last(&pg->paused, r, PG_PAUSED);
    if (!uv_is_active((uv_handle_t *)&pg->repeat))
        uv_timer_start(&pg->repeat, on_repeat, REPEAT_PAUSE_MS, 0);
}

void pg_answer(struct pg *pg, struct pg_request *r, PGresult *result)
{
    bool refused = result == NULL || pg_is_error(result);

    (void)FAULT_STATEMENT("pg_answered", r->sql);
    text_copy(r->sqlstate, sizeof r->sqlstate, refused ? pg_field(result, PG_DIAG_SQLSTATE) : "");
    if (refused && text_starts(r->sqlstate, "40") && !r->once && r->repeats < MAX_REPEATS) {
        pause_request(pg, r);
        return;
    }
    if (refused)
        pg_one_line(r->message, sizeof r->message, pg_words(result));
    pg->done++;
    note_time(pg, (int64_t)uv_now(pg->loop) - r->asked_ms);
    complete(r, refused ? -EREMOTEIO : 0, result);
}

/* ---- the end of a connection ---- */

void pg_recall(struct pg *pg)
{
    while (pg->in_flight > 0) {
        struct pg_flight *f = pg_nth_flight(pg, --pg->in_flight);
        struct pg_request *r = f->request;
        if (r != NULL && r->once) {
            text_copy(r->message, sizeof r->message, pg->why);
            pg_end(pg, r, -ECONNRESET);
        } else if (r != NULL) {
            put_first(&pg->waiting, r, PG_WAITING);
            pg->repeated++;
        }
        PQclear(f->result);
        *f = (struct pg_flight){.request = NULL};
    }
    pg->first_flight = 0;
    pg->feeding = false;
    pg->statement_count = 0;
}

static void cancel_queue(struct pg *pg, struct pg_queue *q)
{
    while (q->first != NULL)
        pg_cancel(q->first);
}

void pg_cancel_all(struct pg *pg)
{
    for (unsigned i = 0; i < pg->in_flight; i++) {
        if (pg_nth_flight(pg, i)->request != NULL)
            pg_cancel(pg_nth_flight(pg, i)->request);
    }
    cancel_queue(pg, &pg->waiting);
    cancel_queue(pg, &pg->paused);
    serve_soon(pg);
}

/* ---- the public entries ---- */

void pg_cancel(struct pg_request *r)
{
    switch (r->place) {
    case PG_IDLE:
    case PG_ENDED:
        return;
    case PG_WAITING:
        pg_take_out(&r->pg->waiting, r);
        break;
    case PG_PAUSED:
        pg_take_out(&r->pg->paused, r);
        break;
    case PG_SENT:
        r->pg->flights[r->flight].request = NULL;
        break;
    }
    pg_end(r->pg, r, -ECANCELED);
}

/* Makes the request ready to be queued. */
static void begin(struct pg *pg, struct pg_request *r, const char *sql, struct pg_params *params)
{
    assert(r->place == PG_IDLE);
    r->pg = pg;
    r->copy = pg->kind == PG_PLAIN ? mem_text(sql) : NULL;
    r->sql = r->copy != NULL ? r->copy : sql;
    r->sqlstate[0] = r->message[0] = '\0';
    r->repeats = 0;
    r->script = r->once = r->feeds = false;
    r->rows = (struct buf){.data = NULL};
    r->asked_ms = (int64_t)uv_now(pg->loop);
    r->params = params != NULL ? *params : (struct pg_params){.count = 0};
    if (params != NULL)
        *params = (struct pg_params){.count = 0};
}

static void ask(struct pg *pg, struct pg_request *r)
{
    if (pg->phase == PHASE_CLOSING) {
        pg_end(pg, r, -ECANCELED);
    } else if (r->params.bytes.full) {
        text_copy(r->sqlstate, sizeof r->sqlstate, "54000");
        snprintf(r->message, sizeof r->message, "the parameters take more than %zu MB",
                 PG_MAX_PARAM_BYTES >> 20);
        pg_end(pg, r, -EREMOTEIO);
    } else if (FAULT_STATEMENT("pg_query", r->sql) < 0) {
        text_copy(r->message, sizeof r->message, "a fault on purpose");
        pg_end(pg, r, -EREMOTEIO);
    } else {
        put_last(&pg->waiting, r, PG_WAITING);
        serve_soon(pg);
    }
}

void pg_query(struct pg *pg, struct pg_request *r, const char *sql, struct pg_params *params,
              void (*done)(struct pg_request *r, int error, const struct pg_result *result))
{
    begin(pg, r, sql, params);
    r->done = done;
    ask(pg, r);
}

void pg_script(struct pg *pg, struct pg_request *r, const char *sql,
               void (*done)(struct pg_request *r, int error, const struct pg_result *result))
{
    assert(pg->kind == PG_PLAIN);
    begin(pg, r, sql, NULL);
    r->script = r->once = true;
    r->done = done;
    ask(pg, r);
}

void pg_copy(struct pg *pg, struct pg_request *r, const char *sql, struct buf *rows,
             void (*done)(struct pg_request *r, int error, const struct pg_result *result))
{
    assert(pg->kind == PG_PLAIN);
    begin(pg, r, sql, NULL);
    r->script = r->feeds = true;
    r->rows = *rows;
    *rows = (struct buf){.data = NULL};
    r->done = done;
    ask(pg, r);
}

void pg_figures(const struct pg *pg, struct pg_figures *figures)
{
    int64_t worst_ms = pg->worst_ms > pg->worst_before_ms ? pg->worst_ms : pg->worst_before_ms;
    bool recent = (int64_t)uv_now(pg->loop) - pg->minute_began_ms < 2 * MINUTE_MS;

    *figures = (struct pg_figures){
        .waiting = pg->waiting.count + pg->paused.count,
        .in_flight = pg->in_flight,
        .done = pg->done,
        .repeated = pg->repeated,
        .reconnects = pg->reconnects,
        .last_ms = pg->last_ms,
        .worst_ms = recent ? worst_ms : 0,
    };
}
