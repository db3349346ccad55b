#include "pg_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "core/text.h"

#define LIMIT_MS 120000 /* of what hangs */

static const char setup_script[] =
    "drop schema if exists test_io_pg cascade;"
    "create schema test_io_pg;"
    "create sequence test_io_pg.tries;"
    "create table test_io_pg.parent (id bigint primary key);"
    "create table test_io_pg.child"
    " (parent bigint references test_io_pg.parent deferrable initially deferred);"
    "create table test_io_pg.line (id bigint primary key);"
    "create function test_io_pg.refuse_until(last bigint, code text) returns bigint language plpgsql as $$"
    " declare n bigint := nextval('test_io_pg.tries');"
    " begin if n < last then raise exception 'not yet' using errcode = code; end if; return n; end $$;";

const char *dsn(void)
{
    const char *text = getenv("PIW_TEST_PG");

    if (text == NULL)
        fail_msg("PIW_TEST_PG must be the DSN of a PostgreSQL to test with, see the top of test_pg.c");
    return text;
}

static void on_limit(uv_timer_t *timer)
{
    fail_msg("nothing happened for %d s", LIMIT_MS / 1000);
}

static void on_state(struct pg *pg, enum pg_state state, const char *why, void *owner)
{
    struct world *w = owner;

    w->states[state]++;
    if (state == PG_LOST)
        text_copy(w->why, sizeof w->why, why);
    assert_string_equal(pg_why(pg), why);
    uv_stop(&w->loop); /* UV_RUN_ONCE would go on to wait for something else */
}

void on_closed(void *owner)
{
    struct world *w = owner;
    w->closed = true;
    uv_stop(&w->loop);
}

void on_notice(void *owner, const char *text)
{
    struct world *w = owner;
    text_copy(w->notice, sizeof w->notice, text);
}

struct world *world_new(const char *where, enum pg_kind kind)
{
    struct world *w = mem_new(1, sizeof *w);

    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->limit);
    uv_timer_start(&w->limit, on_limit, LIMIT_MS, 0);
    w->pg = pg_open(&w->loop, where, kind, "test", on_state, w);
    return w;
}

void world_free(struct world *w)
{
    if (w->pg != NULL)
        pg_close(w->pg, on_closed);
    while (!w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&w->limit, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
}

int set_up_pipelined(void **state)
{
    *state = world_new(dsn(), PG_PIPELINED);
    return 0;
}

int set_up_plain(void **state)
{
    *state = world_new(dsn(), PG_PLAIN);
    return 0;
}

int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

void wait_for_state(struct world *w, enum pg_state state)
{
    while (w->states[state] == 0)
        uv_run(&w->loop, UV_RUN_ONCE);
}

/* ---- asking ---- */

void on_answer(struct pg_request *r, int error, const struct pg_result *result)
{
    struct question *q = container_of(r, struct question, request);
    struct world *w = q->world;

    assert_false(q->inside);
    q->error = error;
    q->completions++;
    q->order = w->completions++;
    if (result != NULL) {
        q->rows = pg_rows(result);
        if (q->rows > 0)
            text_copy(q->text, sizeof q->text, pg_text(result, 0, 0));
    }
    uv_stop(&w->loop);
    if (q->then_again) {
        q->then_again = false;
        ask(q, "select 'again'", NULL);
    }
    if (q->then_cancel != NULL)
        pg_cancel(&q->then_cancel->request);
    if (q->then_close) {
        pg_close(w->pg, on_closed);
        w->pg = NULL;
    }
}

void ask(struct question *q, const char *sql, struct pg_params *params)
{
    q->inside = true;
    pg_query(q->world->pg, &q->request, sql, params, on_answer);
    q->inside = false;
}

void ask_int(struct question *q, const char *sql, int64_t value)
{
    struct pg_params p;

    pg_params_init(&p);
    pg_add_int(&p, value);
    ask(q, sql, &p);
}

void wait_for(struct question *q, unsigned completions)
{
    while (q->completions < completions)
        uv_run(&q->world->loop, UV_RUN_ONCE);
    assert_int_equal(q->completions, completions);
}

void run(struct question *q, const char *sql)
{
    ask(q, sql, NULL);
    wait_for(q, 1);
}

void run_script(struct world *w, const char *sql)
{
    struct question q = {.world = w};

    pg_script(w->pg, &q.request, sql, on_answer);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
}

/* Runs a statement over a connection of its own. */
void run_aside(const char *sql)
{
    struct world *w = world_new(dsn(), PG_PLAIN);
    run_script(w, sql);
    world_free(w);
}

int set_up_all(void **state)
{
    run_aside(setup_script);
    return 0;
}

int tear_down_all(void **state)
{
    run_aside("drop schema test_io_pg cascade");
    return 0;
}

long session_of(struct world *w)
{
    struct question q = {.world = w};

    run(&q, "select pg_backend_pid()");
    return strtol(q.text, NULL, 10);
}

/* Ends a session from another one. */
void end_session(long pid)
{
    char sql[64];

    snprintf(sql, sizeof sql, "select pg_terminate_backend(%ld)", pid);
    run_aside(sql);
}

struct world *hold(void)
{
    struct world *holder = world_new(dsn(), PG_PLAIN);
    struct question q = {.world = holder};

    run(&q, "select pg_advisory_lock(1)");
    assert_int_equal(q.error, 0);
    return holder;
}

/* Lets the loop turn until that many requests are in flight. */
void wait_for_flights(struct world *w, unsigned count)
{
    struct pg_figures figures;

    do {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        pg_figures(w->pg, &figures);
    } while (figures.in_flight < count);
}
