/*
 * Requests of io/pg against a real server. Suite `database`: the server is given by its DSN, with a role
 * that may create schemas and end other sessions, in a database that may be scribbled on. By hand:
 *
 *     initdb -D /tmp/pg -A trust && pg_ctl -D /tmp/pg -o "-k /tmp -c listen_addresses=''" -w start
 *     createdb -h /tmp piwheels_test
 *     PIW_TEST_PG="host=/tmp dbname=piwheels_test" meson test -C build --suite database
 */
#include "pg_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define CROWD 1000

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
    struct world *holder = hold();
    struct question q = {.world = w}, after = {.world = w};

    wait_for_state(w, PG_READY);
    ask(&q, WAITS_FOR_HOLDER, NULL);
    wait_for_flights(w, 1);
    pg_cancel(&q.request);
    ask(&after, "select 'after'", NULL);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
    assert_int_equal(after.completions, 0);
    world_free(holder);
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
    pg_script(w->pg, &q.request, "select 1; do $$ begin raise notice 'half way'; end $$; select 'end'",
              on_answer);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "end");
    assert_string_equal(w->notice, "half way");
}

static void a_script_that_fails_undoes_all_of_it(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w}, check = {.world = w};

    pg_script(w->pg, &q.request, "insert into test_io_pg.line values (200); select 1 / 0; select 2",
              on_answer);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
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
        PLAIN(plain_requests_go_one_at_a_time),
        PLAIN(a_script_runs_to_its_last_statement_and_its_notices_are_heard),
        PLAIN(a_script_that_fails_undoes_all_of_it),
        PLAIN(an_empty_script_is_no_error),
        PLAIN(a_copy_is_refused),
    };

    /* Stop at a failure: its requests were on a stack that is gone. */
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
