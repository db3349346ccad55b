/*
 * COPY from here to a real server (see test_pg.c for how to run it): what is fed, refused, lost and cancelled.
 */
#include "pg_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define COPY_AND_COUNT                                                                                                 \
    "copy test_io_pg.line from stdin;"                                                                                 \
    " select count(*) || ' rows up to ' || coalesce(max(id), 0) from test_io_pg.line where id >= 1000"
#define MANY 600000u /* so many rows fill every buffer between here and the server */

static int set_up_empty(void **state)
{
    run_aside("truncate test_io_pg.line");
    return set_up_plain(state);
}

/* Asks with the rows `first` to `first + count - 1`. */
static void ask_copy(struct question *q, const char *sql, unsigned first, unsigned count)
{
    struct buf rows;

    buf_init(&rows, 64u << 20);
    for (unsigned i = 0; i < count; i++)
        buf_addf(&rows, "%u\n", first + i);
    q->inside = true;
    pg_copy(q->world->pg, &q->request, sql, &rows, on_answer);
    q->inside = false;
    assert_null(rows.data);
}

/* Until some of the rows have been sent, and not all. */
static void wait_for_the_middle(struct question *q)
{
    while (q->request.rows_sent == 0)
        uv_run(&q->world->loop, UV_RUN_NOWAIT);
    assert_true(q->request.rows_sent < q->request.rows.len);
}

static void expect_rows(struct world *w, const char *expected)
{
    struct question check = {.world = w};

    run(&check, "select count(*) from test_io_pg.line");
    assert_string_equal(check.text, expected);
}

static void rows_arrive_and_the_last_statement_answers(void **state)
{
    struct question q = {.world = *state};

    ask_copy(&q, COPY_AND_COUNT, 1000, 3);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "3 rows up to 1002");
}

static void no_rows_are_no_error(void **state)
{
    struct question q = {.world = *state};

    ask_copy(&q, COPY_AND_COUNT, 1000, 0);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "0 rows up to 0");
}

static void more_rows_than_the_socket_takes_at_once_arrive_all(void **state)
{
    struct question q = {.world = *state}, after = {.world = *state};

    ask_copy(&q, COPY_AND_COUNT, 1000, MANY);
    ask(&after, "select 'after'", NULL);
    wait_for(&after, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "600000 rows up to 600999");
    assert_string_equal(after.text, "after");
}

static void a_row_that_is_refused_undoes_all_of_it(void **state)
{
    struct question before = {.world = *state}, q = {.world = *state};

    run(&before, "insert into test_io_pg.line values (100999)");
    ask_copy(&q, COPY_AND_COUNT, 1000, MANY);
    wait_for(&q, 1);
    assert_int_equal(q.error, -EREMOTEIO);
    assert_string_equal(q.request.sqlstate, "23505");
    expect_rows(*state, "1");
}

static void a_statement_that_fails_after_it_undoes_the_copy(void **state)
{
    struct question q = {.world = *state};

    ask_copy(&q, "copy test_io_pg.line from stdin; select 1 / 0", 1000, 2);
    wait_for(&q, 1);
    assert_int_equal(q.error, -EREMOTEIO);
    assert_string_equal(q.request.sqlstate, "22012");
    expect_rows(*state, "0");
}

static void a_second_copy_of_a_script_is_refused(void **state)
{
    struct question q = {.world = *state};

    ask_copy(&q, "copy test_io_pg.line from stdin; copy test_io_pg.line from stdin", 1000, 2);
    wait_for(&q, 1);
    assert_int_equal(q.error, -EREMOTEIO);
    assert_non_null(strstr(q.request.message, "COPY"));
    expect_rows(*state, "0");
}

static void a_connection_lost_in_the_middle_repeats_it_once_and_for_all(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w};

    long pid = session_of(w);
    ask_copy(&q, COPY_AND_COUNT, 1000, MANY);
    wait_for_the_middle(&q);
    end_session(pid);
    wait_for(&q, 1);
    assert_int_equal(w->states[PG_LOST], 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "600000 rows up to 600999");
}

static void a_serialization_failure_repeats_the_rows_too(void **state)
{
    struct question reset = {.world = *state}, q = {.world = *state};

    run(&reset, "select setval('test_io_pg.tries', 1, false)");
    ask_copy(&q, "copy test_io_pg.line from stdin; select test_io_pg.refuse_until(3, '40001')", 1000, 5);
    wait_for(&q, 1);
    assert_int_equal(q.error, 0);
    assert_string_equal(q.text, "3");
    expect_rows(*state, "5");
}

static void a_copy_cancelled_in_the_middle_leaves_nothing_behind(void **state)
{
    struct question q = {.world = *state};

    ask_copy(&q, COPY_AND_COUNT, 1000, MANY);
    wait_for_the_middle(&q);
    pg_cancel(&q.request);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
    expect_rows(*state, "0");
}

static void a_copy_that_waits_is_cancelled_with_its_rows(void **state)
{
    struct question slow = {.world = *state}, q = {.world = *state};

    ask(&slow, "select pg_sleep(0.05)", NULL);
    ask_copy(&q, COPY_AND_COUNT, 1000, 10);
    pg_cancel(&q.request);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECANCELED);
    expect_rows(*state, "0");
    wait_for(&slow, 1);
}

#define EMPTY(name) cmocka_unit_test_setup_teardown(name, set_up_empty, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        EMPTY(rows_arrive_and_the_last_statement_answers),
        EMPTY(no_rows_are_no_error),
        EMPTY(more_rows_than_the_socket_takes_at_once_arrive_all),
        EMPTY(a_row_that_is_refused_undoes_all_of_it),
        EMPTY(a_statement_that_fails_after_it_undoes_the_copy),
        EMPTY(a_second_copy_of_a_script_is_refused),
        EMPTY(a_connection_lost_in_the_middle_repeats_it_once_and_for_all),
        EMPTY(a_serialization_failure_repeats_the_rows_too),
        EMPTY(a_copy_cancelled_in_the_middle_leaves_nothing_behind),
        EMPTY(a_copy_that_waits_is_cancelled_with_its_rows),
    };

    setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed test's requests were on a stack that is gone */
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
