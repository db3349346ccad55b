/*
 * io/pg against a real server. Suite `database`: the server is given by its DSN, with a role that may
 * create schemas and end other sessions, in a database that may be scribbled on. By hand:
 *
 *     initdb -D /tmp/pg -A trust && pg_ctl -D /tmp/pg -o "-k /tmp -c listen_addresses=''" -w start
 *     createdb -h /tmp piwheels_test
 *     PIW_TEST_PG="host=/tmp dbname=piwheels_test" meson test -C build --suite database
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/pg.h"

#define LIMIT_MS 20000
#define CROWD 1000

static const char setup_script[] =
    "drop schema if exists test_io_pg cascade;"
    "create schema test_io_pg;"
    "create sequence test_io_pg.tries;"
    "create table test_io_pg.parent (id bigint primary key);"
    "create table test_io_pg.child (parent bigint references test_io_pg.parent deferrable initially deferred);"
    "create table test_io_pg.line (id bigint primary key);"
    "create function test_io_pg.refuse_until(last bigint, code text) returns bigint language plpgsql as $$"
    " declare n bigint := nextval('test_io_pg.tries');"
    " begin if n < last then raise exception 'not yet' using errcode = code; end if; return n; end $$;";

/* ---- the world of a test ---- */

struct world {
    uv_loop_t loop;
    uv_timer_t limit;
    struct pg *pg;
    bool closed;
    unsigned states[PG_CLOSED + 1]; /* how often each was heard of */
    char why[512];
    char notice[256];
    unsigned completions;           /* of all requests */
};

/* A request, and what became of it. */
struct question {
    struct pg_request request;
    struct world *world;
    unsigned completions, order;
    int error;
    char text[256];                 /* the first value of the answer */
    unsigned rows;
    bool inside;                    /* pg_query has not returned yet */
    struct question *then_cancel;
    bool then_again, then_close;
};

static const char *dsn(void)
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

static void on_closed(void *owner)
{
    struct world *w = owner;
    w->closed = true;
    uv_stop(&w->loop);
}

static void on_notice(void *owner, const char *text)
{
    struct world *w = owner;
    text_copy(w->notice, sizeof w->notice, text);
}

static struct world *world_new(const char *where, enum pg_kind kind)
{
    struct world *w = mem_new(1, sizeof *w);

    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->limit);
    uv_timer_start(&w->limit, on_limit, LIMIT_MS, 0);
    w->pg = pg_open(&w->loop, where, kind, "test", on_state, w);
    return w;
}

static void world_free(struct world *w)
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

static int set_up_pipelined(void **state)
{
    *state = world_new(dsn(), PG_PIPELINED);
    return 0;
}

static int set_up_plain(void **state)
{
    *state = world_new(dsn(), PG_PLAIN);
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void wait_for_state(struct world *w, enum pg_state state)
{
    while (w->states[state] == 0)
        uv_run(&w->loop, UV_RUN_ONCE);
}

/* ---- asking ---- */

static void ask(struct question *q, const char *sql, struct pg_params *params);

static void on_answer(struct pg_request *r, int error, const struct pg_result *result)
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

static void ask(struct question *q, const char *sql, struct pg_params *params)
{
    q->inside = true;
    pg_query(q->world->pg, &q->request, sql, params, on_answer);
    q->inside = false;
}

static void ask_int(struct question *q, const char *sql, int64_t value)
{
    struct pg_params p;

    pg_params_init(&p);
    pg_add_int(&p, value);
    ask(q, sql, &p);
}

static void wait_for(struct question *q, unsigned completions)
{
    while (q->completions < completions)
        uv_run(&q->world->loop, UV_RUN_ONCE);
    assert_int_equal(q->completions, completions);
}

static void run(struct question *q, const char *sql)
{
    ask(q, sql, NULL);
    wait_for(q, 1);
}

static void run_script(struct world *w, const char *sql)
{
    struct question q = {.world = w};

    pg_script(w->pg, &q.request, sql, on_answer);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
}

/* Runs a statement over a connection of its own. */
static void run_aside(const char *sql)
{
    struct world *w = world_new(dsn(), PG_PLAIN);
    run_script(w, sql);
    world_free(w);
}

static int set_up_all(void **state)
{
    run_aside(setup_script);
    return 0;
}

static int tear_down_all(void **state)
{
    run_aside("drop schema test_io_pg cascade");
    return 0;
}

static long session_of(struct world *w)
{
    struct question q = {.world = w};

    run(&q, "select pg_backend_pid()");
    return strtol(q.text, NULL, 10);
}

/* Ends a session from another one. */
static void end_session(long pid)
{
    char sql[64];

    snprintf(sql, sizeof sql, "select pg_terminate_backend(%ld)", pid);
    run_aside(sql);
}

/* Lets the loop turn until that many requests are in flight. */
static void wait_for_flights(struct world *w, unsigned count)
{
    struct pg_figures figures;

    do {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        pg_figures(w->pg, &figures);
    } while (figures.in_flight < count);
}

/* ---- connecting ---- */

static void a_connection_becomes_ready_and_says_so(void **state)
{
    struct world *w = *state;

    assert_int_equal(pg_state(w->pg), PG_CONNECTING);
    wait_for_state(w, PG_READY);
    assert_int_equal(pg_state(w->pg), PG_READY);
    assert_string_equal(pg_why(w->pg), "");
    assert_false(pg_hopeless(w->pg));
}

static void the_server_sees_the_name_of_the_connection(void **state)
{
    struct question q = {.world = *state};

    run(&q, "select current_setting('application_name')");
    assert_string_equal(q.text, "piwheels test");
}

/* The test's own DSN with more at its end, which wins over what stands before. */
static struct world *world_with(const char *more)
{
    char *where = mem_format("%s %s", dsn(), more);
    struct world *w = world_new(where, PG_PIPELINED);

    free(where);
    return w;
}

static void a_malformed_dsn_is_hopeless_at_once_and_hides_passwords(void **state)
{
    static const char *const malformed[] = {
        "no equals sign", "colour=blue", "postgres://me:secret@host/x?colour", "postgres://[::1/secret",
    };

    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        struct world *w = world_new(malformed[i], PG_PIPELINED);
        assert_true(pg_hopeless(w->pg));
        wait_for_state(w, PG_LOST);
        assert_non_null(strstr(w->why, "the DSN is malformed: "));
        assert_null(strstr(w->why, "secret"));
        world_free(w);
    }
}

static void expect_hopeless(const char *more, const char *words)
{
    struct world *w = world_with(more);

    wait_for_state(w, PG_LOST);
    assert_true(pg_hopeless(w->pg));
    assert_non_null(strstr(w->why, words));
    assert_null(strstr(w->why, "LOCATION"));
    assert_null(strchr(w->why, '\n'));
    world_free(w);
}

static void a_missing_database_is_hopeless(void **state)
{
    expect_hopeless("dbname=test_io_pg_none", "FATAL: database \"test_io_pg_none\" does not exist");
}

static void a_missing_role_is_hopeless(void **state)
{
    expect_hopeless("user=test_io_pg_none", "FATAL: role \"test_io_pg_none\" does not exist");
}

static void an_impossible_option_is_hopeless(void **state)
{
    expect_hopeless("sslmode=perhaps", "invalid sslmode value");
    expect_hopeless("port=99999", "invalid port number");
}

static void expect_trying_on(const char *where, const char *words)
{
    struct world *w = world_new(where, PG_PIPELINED);

    while (w->states[PG_LOST] < 3)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_false(pg_hopeless(w->pg));
    assert_int_equal(w->states[PG_READY], 0);
    assert_non_null(strstr(w->why, words));
    world_free(w);
}

static void an_absent_server_is_tried_again_and_again(void **state)
{
    expect_trying_on("host=/nonexistent dbname=x", "No such file");
    expect_trying_on("host=127.0.0.1 port=1 dbname=x", "Connection refused");
}

static void a_host_name_is_resolved_before_libpq_sees_it(void **state)
{
    expect_trying_on("host=localhost port=1 dbname=x", "(127.0.0.1), port 1 failed: Connection refused");
}

static void an_unknown_host_name_is_tried_again(void **state)
{
    expect_trying_on("host=no-such-host.invalid dbname=x", "\"no-such-host.invalid\" was not resolved");
}

static void an_unknown_host_name_does_not_hinder_the_others(void **state)
{
    expect_trying_on("host=no-such-host.invalid,localhost,/nonexistent port=1,2,3 dbname=x",
                     "/nonexistent/.s.PGSQL.3");
}

static void requests_wait_for_the_connection(void **state)
{
    struct question q = {.world = *state};

    ask(&q, "select 'early'", NULL);
    assert_int_equal(q.completions, 0);
    wait_for(&q, 1);
    assert_string_equal(q.text, "early");
}

static void closing_while_connecting_is_quiet(void **state)
{
    struct world *w = world_new("host=localhost port=1 dbname=x", PG_PIPELINED);
    struct question q = {.world = w};

    wait_for_state(w, PG_LOST);
    while (pg_state(w->pg) != PG_CONNECTING) /* resolving again */
        uv_run(&w->loop, UV_RUN_ONCE);
    ask(&q, "select 1", NULL);
    pg_close(w->pg, on_closed);
    w->pg = NULL;
    assert_int_equal(q.completions, 0);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
    world_free(w);
}

static void on_silent_connection(uv_stream_t *server, int status)
{
    /* It stays in the backlog: connected, and never answered. */
}

static void a_server_that_says_nothing_is_given_up_after_ten_seconds(void **state)
{
    struct sockaddr_in address;
    int len = sizeof address;
    uv_loop_t other;
    uv_tcp_t silent;
    char where[64];

    uv_loop_init(&other);
    uv_tcp_init(&other, &silent);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&silent, (struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&silent, 1, on_silent_connection);
    uv_tcp_getsockname(&silent, (struct sockaddr *)&address, &len);
    snprintf(where, sizeof where, "host=127.0.0.1 port=%d dbname=x", ntohs(address.sin_port));
    struct world *w = world_new(where, PG_PIPELINED);
    wait_for_state(w, PG_LOST);
    assert_non_null(strstr(w->why, "not answered for 10 s"));
    assert_false(pg_hopeless(w->pg));
    world_free(w);
    uv_close((uv_handle_t *)&silent, NULL);
    uv_run(&other, UV_RUN_DEFAULT);
    uv_loop_close(&other);
}

/* ---- values ---- */

static void on_values(struct pg_request *r, int error, const struct pg_result *result)
{
    struct question *q = container_of(r, struct question, request);
    unsigned char bytes[3];

    assert_int_equal(error, 0);
    assert_int_equal(pg_rows(result), 1);
    assert_string_equal(pg_text(result, 0, 0), "naïve");
    assert_int_equal(pg_int(result, 0, 1), INT64_MIN);
    assert_true(pg_bool(result, 0, 2));
    assert_false(pg_bool(result, 0, 3));
    assert_int_equal(pg_bytes(result, 0, 4, bytes, sizeof bytes), 3);
    assert_memory_equal(bytes, "\0\x7f\xff", 3);
    assert_int_equal(pg_bytes(result, 0, 4, bytes, 2), -EINVAL);
    assert_string_equal(pg_text(result, 0, 5), "{1,-2,3}");
    assert_string_equal(pg_text(result, 0, 6), "4 NULL|\"\\, {}|");
    assert_true(pg_is_null(result, 0, 7));
    assert_false(pg_is_null(result, 0, 0));
    assert_string_equal(pg_text(result, 0, 7), "");
    assert_int_equal(pg_int(result, 0, 7), 0);
    assert_false(pg_bool(result, 0, 7));
    assert_string_equal(pg_text(result, 0, 8), "{}");
    q->completions++;
    uv_stop(&q->world->loop);
}

static void values_of_every_kind_come_back_as_they_went(void **state)
{
    struct question q = {.world = *state};
    const int64_t ints[] = {1, -2, 3};
    const char *const texts[] = {"NULL", "\"\\, {}", NULL, ""};
    struct pg_params p;

    pg_params_init(&p);
    pg_add_text(&p, "naïve");
    pg_add_int(&p, INT64_MIN);
    pg_add_bool(&p, true);
    pg_add_bool(&p, false);
    pg_add_bytes(&p, "\0\x7f\xff", 3);
    pg_add_ints(&p, ints, COUNT_OF(ints));
    pg_add_texts(&p, texts, COUNT_OF(texts));
    pg_add_text(&p, NULL);
    pg_add_ints(&p, NULL, 0);
    pg_query(q.world->pg, &q.request,
             "select $1::text, $2::bigint, $3::boolean, $4::boolean, $5::bytea, $6::bigint[],"
             " cardinality($7::text[]) || ' ' || array_to_string($7::text[], '|'), $8::text, $9::bigint[]",
             &p, on_values);
    assert_int_equal(p.count, 0);
    pg_params_release(&p);
    wait_for(&q, 1);
}

static void parameters_beyond_the_limit_are_refused_here(void **state)
{
    struct question q = {.world = *state};
    struct pg_params p;
    char *half = mem_new(PG_MAX_PARAM_BYTES / 2 + 1, 1);

    memset(half, 'x', PG_MAX_PARAM_BYTES / 2);
    pg_params_init(&p);
    pg_add_text(&p, half);
    pg_add_text(&p, half);
    free(half);
    ask(&q, "select $1::text || $2::text", &p);
    wait_for(&q, 1);
    assert_int_equal(q.error, -EREMOTEIO);
    assert_string_equal(q.request.sqlstate, "54000");
}

/* ---- answers and refusals ---- */

static void a_thousand_requests_are_answered_in_order(void **state)
{
    struct world *w = *state;
    struct question *crowd = mem_new(CROWD, sizeof *crowd);
    struct pg_figures figures;

    for (int64_t i = 0; i < CROWD; i++) {
        crowd[i].world = w;
        ask_int(&crowd[i], "select $1::bigint + 1", i);
    }
    pg_figures(w->pg, &figures);
    assert_int_equal(figures.waiting, CROWD);
    for (unsigned i = 0; i < CROWD; i++) {
        wait_for(&crowd[i], 1);
        assert_int_equal(crowd[i].error, 0);
        assert_int_equal(crowd[i].order, i);
        assert_int_equal(strtol(crowd[i].text, NULL, 10), i + 1);
    }
    pg_figures(w->pg, &figures);
    assert_int_equal(figures.done, CROWD);
    assert_int_equal(figures.waiting + figures.in_flight, 0);
    assert_int_equal(figures.reconnects, 0);
    free(crowd);
}

static void a_refusal_carries_sqlstate_and_words(void **state)
{
    struct question q = {.world = *state};

    run(&q, "select 1 / 0");
    assert_int_equal(q.error, -EREMOTEIO);
    assert_string_equal(q.request.sqlstate, "22012");
    assert_string_equal(q.request.message, "division by zero");
    q.completions = 0;
    run(&q, "select 1");
    assert_int_equal(q.error, 0);
    assert_string_equal(q.request.sqlstate, "");
    assert_string_equal(q.request.message, "");
}

static void each_request_is_a_transaction_of_its_own(void **state)
{
    struct question q[4] = {{.world = *state}, {.world = *state}, {.world = *state}, {.world = *state}};

    ask(&q[0], "insert into test_io_pg.line values (1)", NULL);
    ask(&q[1], "insert into test_io_pg.line values (1)", NULL);
    ask(&q[2], "insert into test_io_pg.line values (2)", NULL);
    ask(&q[3], "select count(*) from test_io_pg.line where id in (1, 2)", NULL);
    wait_for(&q[3], 1);
    assert_int_equal(q[0].error, 0);
    assert_int_equal(q[1].error, -EREMOTEIO);
    assert_string_equal(q[1].request.sqlstate, "23505");
    assert_int_equal(q[2].error, 0);
    assert_string_equal(q[3].text, "2");
}

static void a_refusal_at_commit_is_a_refusal(void **state)
{
    struct question bad = {.world = *state}, good = {.world = *state};

    ask_int(&bad, "insert into test_io_pg.child values ($1::bigint)", 77);
    ask(&good, "select 'fine'", NULL);
    wait_for(&good, 1);
    assert_int_equal(bad.error, -EREMOTEIO);
    assert_string_equal(bad.request.sqlstate, "23503");
    assert_string_equal(good.text, "fine");
}

static void a_statement_that_cannot_be_prepared_fails_each_time_with_the_reason(void **state)
{
    static const char sql[] = "select nothing from test_io_pg.nowhere";
    struct question bad[5], good = {.world = *state};

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        bad[i] = (struct question){.world = *state};
        ask(&bad[i], sql, NULL);
    }
    ask(&good, "select 'fine'", NULL);
    wait_for(&good, 1);
    assert_int_equal(good.error, 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(bad[i].error, -EREMOTEIO);
        assert_string_equal(bad[i].request.sqlstate, "42P01");
    }
    ask(&bad[0], sql, NULL);
    wait_for(&bad[0], 2);
    assert_string_equal(bad[0].request.sqlstate, "42P01");
}

static void a_statement_is_prepared_once(void **state)
{
    static const char sql[] = "select $1::bigint * 2";
    struct question q = {.world = *state}, count = {.world = *state};

    for (unsigned i = 1; i <= 3; i++) {
        ask_int(&q, sql, i);
        wait_for(&q, i);
    }
    run(&count, "select count(*) from pg_prepared_statements where statement like 'select $1::bigint * 2%'");
    assert_string_equal(count.text, "1");
}

static void more_statements_than_can_be_prepared_still_run(void **state)
{
    enum { MANY = 600 };
    char (*texts)[32] = mem_new(MANY, sizeof *texts);
    struct question *q = mem_new(MANY, sizeof *q);

    for (unsigned i = 0; i < MANY; i++) {
        q[i].world = *state;
        snprintf(texts[i], sizeof texts[i], "select %u", i);
        ask(&q[i], texts[i], NULL);
    }
    for (unsigned i = 0; i < MANY; i++) {
        wait_for(&q[i], 1);
        assert_int_equal(strtoul(q[i].text, NULL, 10), i);
    }
    free(q);
    free(texts);
}

static void expect_repeats(struct world *w, const char *code)
{
    struct question reset = {.world = w}, q = {.world = w};
    struct pg_params p;
    struct pg_figures figures;

    run(&reset, "select setval('test_io_pg.tries', 1, false)");
    pg_params_init(&p);
    pg_add_text(&p, code);
    ask(&q, "select test_io_pg.refuse_until(4, $1)", &p);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "4");
    pg_figures(w->pg, &figures);
    assert_int_equal(figures.repeated, 3);
}

static void a_serialization_failure_is_repeated(void **state)
{
    expect_repeats(*state, "40001");
}

static void a_deadlock_is_repeated(void **state)
{
    expect_repeats(*state, "40P01");
}

static void the_sixth_serialization_failure_is_told(void **state)
{
    struct question reset = {.world = *state}, q = {.world = *state}, tries = {.world = *state};

    run(&reset, "select setval('test_io_pg.tries', 1, false)");
    run(&q, "select test_io_pg.refuse_until(1000, '40001')");
    assert_int_equal(q.error, -EREMOTEIO);
    assert_string_equal(q.request.sqlstate, "40001");
    run(&tries, "select last_value from test_io_pg.tries");
    assert_string_equal(tries.text, "6");
}

/* ---- cancelling ---- */

static void a_request_that_waits_is_cancelled_and_never_sent(void **state)
{
    struct question q = {.world = *state}, check = {.world = *state};

    ask(&q, "insert into test_io_pg.line values (100)", NULL);
    pg_cancel(&q.request);
    pg_cancel(&q.request);
    assert_int_equal(q.completions, 0);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
    run(&check, "select count(*) from test_io_pg.line where id = 100");
    assert_string_equal(check.text, "0");
    pg_cancel(&q.request);
}

static void a_request_in_flight_is_cancelled_before_its_answer_comes(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w}, after = {.world = w};

    wait_for_state(w, PG_READY);
    ask(&q, "select pg_sleep(0.2)", NULL);
    wait_for_flights(w, 1);
    pg_cancel(&q.request);
    ask(&after, "select 'after'", NULL);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
    assert_int_equal(after.completions, 0);
    wait_for(&after, 1);
    assert_string_equal(after.text, "after");
    assert_int_equal(q.completions, 1);
}

static void a_request_paused_for_repetition_is_cancelled(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w};
    struct pg_figures figures;

    ask(&q, "select test_io_pg.refuse_until(100000, '40001')", NULL);
    do {
        uv_run(&w->loop, UV_RUN_ONCE);
        pg_figures(w->pg, &figures);
    } while (figures.repeated == 0);
    pg_cancel(&q.request);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
}

static void a_completion_may_ask_again(void **state)
{
    struct question q = {.world = *state, .then_again = true};

    ask(&q, "select 'once'", NULL);
    wait_for(&q, 2);
    assert_string_equal(q.text, "again");
}

static void a_completion_may_cancel_those_behind_it(void **state)
{
    struct question second = {.world = *state}, third = {.world = *state};
    struct question first = {.world = *state, .then_cancel = &second};

    ask(&first, "select 1", NULL);
    ask(&second, "select 2", NULL);
    ask(&third, "select 3", NULL);
    wait_for(&third, 1);
    wait_for(&second, 1);
    assert_int_equal(second.error, -ECANCELED);
    assert_string_equal(third.text, "3");
}

static void a_completion_may_close_the_connection(void **state)
{
    struct world *w = *state;
    struct question first = {.world = w, .then_close = true}, second = {.world = w};

    ask(&first, "select 1", NULL);
    ask(&second, "select 2", NULL);
    wait_for(&second, 1);
    assert_string_equal(first.text, "1");
    assert_int_equal(second.error, -ECANCELED);
}

static void closing_cancels_everything_and_what_comes_later(void **state)
{
    struct world *w = *state;
    struct question sent = {.world = w}, waiting = {.world = w}, late = {.world = w};

    wait_for_state(w, PG_READY);
    ask(&sent, "select pg_sleep(5)", NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    ask(&waiting, "select 1", NULL);
    pg_close(w->pg, on_closed);
    ask(&late, "select 2", NULL);
    assert_int_equal(sent.completions + waiting.completions + late.completions, 0);
    w->pg = NULL;
    while (!w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(sent.error, -ECANCELED);
    assert_int_equal(waiting.error, -ECANCELED);
    assert_int_equal(late.error, -ECANCELED);
    assert_int_equal(sent.completions + waiting.completions + late.completions, 3);
}

/* ---- losing the connection ---- */

static void a_lost_connection_comes_back(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w};
    struct pg_figures figures;

    end_session(session_of(w));
    while (w->states[PG_READY] < 2)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->states[PG_LOST], 1);
    assert_string_equal(w->why, "terminating connection due to administrator command");
    assert_string_equal(pg_why(w->pg), "");
    run(&q, "select 'back'");
    assert_string_equal(q.text, "back");
    pg_figures(w->pg, &figures);
    assert_int_equal(figures.reconnects, 1);
}

static void requests_in_flight_are_repeated_in_order_without_the_cancelled(void **state)
{
    struct world *w = *state;
    struct question slow = {.world = w}, cancelled = {.world = w}, reset = {.world = w};
    struct question crowd[20];
    struct pg_figures figures;

    long pid = session_of(w);
    run(&reset, "select setval('test_io_pg.tries', 1, false)");
    for (size_t i = 0; i < COUNT_OF(crowd); i++)
        crowd[i] = (struct question){.world = w};
    ask(&slow, "select pg_sleep(0.3)", NULL);
    ask(&cancelled, "select nextval('test_io_pg.tries')", NULL);
    for (size_t i = 0; i < COUNT_OF(crowd); i++)
        ask(&crowd[i], "select nextval('test_io_pg.tries')", NULL);
    wait_for_flights(w, COUNT_OF(crowd) + 2);
    pg_cancel(&cancelled.request);
    end_session(pid);
    for (unsigned i = 0; i < COUNT_OF(crowd); i++) {
        wait_for(&crowd[i], 1);
        assert_int_equal(crowd[i].error, 0);
        assert_int_equal(strtoul(crowd[i].text, NULL, 10), i + 1);
    }
    assert_int_equal(w->states[PG_LOST], 1);
    assert_int_equal(slow.completions, 1);
    assert_int_equal(slow.error, 0);
    assert_int_equal(cancelled.error, -ECANCELED);
    pg_figures(w->pg, &figures);
    assert_int_equal(figures.repeated, COUNT_OF(crowd) + 1);
}

static void statements_are_prepared_anew_after_a_loss(void **state)
{
    static const char sql[] = "select $1::bigint * 3";
    struct world *w = *state;
    struct question q = {.world = w};

    ask_int(&q, sql, 1);
    wait_for(&q, 1);
    end_session(session_of(w));
    ask_int(&q, sql, 2);
    wait_for(&q, 2);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "6");
}

static void a_long_statement_of_a_plain_connection_is_repeated(void **state)
{
    struct world *w = *state;
    struct question slow = {.world = w};

    long pid = session_of(w);
    ask(&slow, "select pg_sleep(0.5)::text || 'slept'", NULL);
    wait_for_flights(w, 1);
    end_session(pid);
    wait_for(&slow, 1);
    assert_int_equal(slow.error, 0);
    assert_string_equal(slow.text, "slept");
}

/* ---- plain connections and scripts ---- */

static void plain_requests_go_one_at_a_time(void **state)
{
    struct world *w = *state;
    struct question q[3] = {{.world = w}, {.world = w}, {.world = w}};
    struct pg_figures figures;
    char sql[] = "select 'kept'";

    wait_for_state(w, PG_READY);
    ask(&q[0], sql, NULL);
    memset(sql, 'x', sizeof sql - 1);
    ask(&q[1], "select 1 / 0", NULL);
    ask_int(&q[2], "select $1::bigint", 3);
    while (q[0].completions == 0) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        pg_figures(w->pg, &figures);
        assert_in_range(figures.in_flight, 0, 1);
    }
    wait_for(&q[2], 1);
    assert_string_equal(q[0].text, "kept");
    assert_string_equal(q[1].request.sqlstate, "22012");
    assert_string_equal(q[2].text, "3");
}

static void a_script_runs_to_its_last_statement_and_its_notices_are_heard(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w};

    pg_on_notice(w->pg, on_notice, w);
    pg_script(w->pg, &q.request, "select 1; do $$ begin raise notice 'half way'; end $$; select 'end'", on_answer);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "end");
    assert_string_equal(w->notice, "half way");
}

static void a_script_that_fails_undoes_all_of_it(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w}, check = {.world = w};

    pg_script(w->pg, &q.request, "insert into test_io_pg.line values (200); select 1 / 0; select 2", on_answer);
    wait_for(&q, 1);
    assert_int_equal(q.error, -EREMOTEIO);
    assert_string_equal(q.request.sqlstate, "22012");
    run(&check, "select count(*) from test_io_pg.line where id = 200");
    assert_string_equal(check.text, "0");
}

static void an_empty_script_is_no_error(void **state)
{
    run_script(*state, " ");
}

static void a_script_is_never_repeated(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w}, after = {.world = w};

    long pid = session_of(w);
    pg_script(w->pg, &q.request, "select pg_sleep(5)", on_answer);
    wait_for_flights(w, 1);
    end_session(pid);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECONNRESET);
    assert_non_null(strstr(q.request.message, "administrator command"));
    run(&after, "select 'back'");
    assert_string_equal(after.text, "back");
}

static void a_copy_is_refused(void **state)
{
    struct question in = {.world = *state}, out = {.world = *state}, after = {.world = *state};

    run(&in, "copy test_io_pg.line from stdin");
    assert_int_equal(in.error, -EREMOTEIO);
    assert_non_null(strstr(in.request.message, "COPY"));
    run(&out, "copy (select 1) to stdout");
    assert_int_equal(out.error, -EREMOTEIO);
    run(&after, "select 'back'");
    assert_string_equal(after.text, "back");
}

#define PIPELINED(name) cmocka_unit_test_setup_teardown(name, set_up_pipelined, tear_down)
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, set_up_plain, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PIPELINED(a_connection_becomes_ready_and_says_so),
        PIPELINED(the_server_sees_the_name_of_the_connection),
        cmocka_unit_test(a_malformed_dsn_is_hopeless_at_once_and_hides_passwords),
        cmocka_unit_test(a_missing_database_is_hopeless),
        cmocka_unit_test(a_missing_role_is_hopeless),
        cmocka_unit_test(an_impossible_option_is_hopeless),
        cmocka_unit_test(an_absent_server_is_tried_again_and_again),
        cmocka_unit_test(a_host_name_is_resolved_before_libpq_sees_it),
        cmocka_unit_test(an_unknown_host_name_is_tried_again),
        cmocka_unit_test(an_unknown_host_name_does_not_hinder_the_others),
        PIPELINED(requests_wait_for_the_connection),
        cmocka_unit_test(closing_while_connecting_is_quiet),
        cmocka_unit_test(a_server_that_says_nothing_is_given_up_after_ten_seconds),
        PIPELINED(values_of_every_kind_come_back_as_they_went),
        PIPELINED(parameters_beyond_the_limit_are_refused_here),
        PIPELINED(a_thousand_requests_are_answered_in_order),
        PIPELINED(a_refusal_carries_sqlstate_and_words),
        PIPELINED(each_request_is_a_transaction_of_its_own),
        PIPELINED(a_refusal_at_commit_is_a_refusal),
        PIPELINED(a_statement_that_cannot_be_prepared_fails_each_time_with_the_reason),
        PIPELINED(a_statement_is_prepared_once),
        PIPELINED(more_statements_than_can_be_prepared_still_run),
        PIPELINED(a_serialization_failure_is_repeated),
        PLAIN(a_deadlock_is_repeated),
        PIPELINED(the_sixth_serialization_failure_is_told),
        PIPELINED(a_request_that_waits_is_cancelled_and_never_sent),
        PIPELINED(a_request_in_flight_is_cancelled_before_its_answer_comes),
        PIPELINED(a_request_paused_for_repetition_is_cancelled),
        PIPELINED(a_completion_may_ask_again),
        PIPELINED(a_completion_may_cancel_those_behind_it),
        PIPELINED(a_completion_may_close_the_connection),
        PIPELINED(closing_cancels_everything_and_what_comes_later),
        PIPELINED(a_lost_connection_comes_back),
        PLAIN(a_lost_connection_comes_back),
        PIPELINED(requests_in_flight_are_repeated_in_order_without_the_cancelled),
        PIPELINED(statements_are_prepared_anew_after_a_loss),
        PLAIN(a_long_statement_of_a_plain_connection_is_repeated),
        PLAIN(plain_requests_go_one_at_a_time),
        PLAIN(a_script_runs_to_its_last_statement_and_its_notices_are_heard),
        PLAIN(a_script_that_fails_undoes_all_of_it),
        PLAIN(an_empty_script_is_no_error),
        PLAIN(a_script_is_never_repeated),
        PLAIN(a_copy_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
