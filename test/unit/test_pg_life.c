/*
 * The life of a connection of io/pg: connecting, being refused, breaking, coming back, and what becomes
 * of the requests meanwhile. Suite `database`: how to run it stands at the top of test_pg.c.
 */
#include "pg_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

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
    struct world *w = world_new("secret", PG_PIPELINED);
    wait_for_state(w, PG_LOST);
    assert_string_equal(w->why, "the DSN is malformed: missing \"=\"; right is postgresql://USER@HOST/DATABASE or dbname=DATABASE");
    world_free(w);
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
    expect_trying_on("host=localhost port=1 dbname=x", "\"127.0.0.1\", port 1 failed: Connection refused");
}

/* Longer than a label may be: nobody is asked for it. */
#define NO_HOST "no-such-host-no-such-host-no-such-host-no-such-host-no-such-host-.invalid"

static void an_unknown_host_name_is_tried_again(void **state)
{
    expect_trying_on("host=" NO_HOST " dbname=x", "\"" NO_HOST "\" was not resolved");
}

static void an_unknown_host_name_does_not_hinder_the_others(void **state)
{
    expect_trying_on("host=" NO_HOST ",localhost,/nonexistent port=1,2,3 dbname=x",
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
    struct world *w = *state, *holder = hold();
    struct question slow = {.world = w}, cancelled = {.world = w}, reset = {.world = w};
    struct question crowd[20];
    struct pg_figures figures;

    long pid = session_of(w);
    run(&reset, "select setval('test_io_pg.tries', 1, false)");
    for (size_t i = 0; i < COUNT_OF(crowd); i++)
        crowd[i] = (struct question){.world = w};
    ask(&slow, WAITS_FOR_HOLDER, NULL);
    ask(&cancelled, "select nextval('test_io_pg.tries')", NULL);
    for (size_t i = 0; i < COUNT_OF(crowd); i++)
        ask(&crowd[i], "select nextval('test_io_pg.tries')", NULL);
    wait_for_flights(w, COUNT_OF(crowd) + 2);
    pg_cancel(&cancelled.request);
    end_session(pid);
    wait_for_state(w, PG_LOST);
    world_free(holder);
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
    struct world *w = *state, *holder = hold();
    struct question slow = {.world = w};
    struct pg_figures figures;

    long pid = session_of(w);
    ask(&slow, WAITS_FOR_HOLDER, NULL);
    wait_for_flights(w, 1);
    end_session(pid);
    wait_for_state(w, PG_LOST);
    world_free(holder);
    wait_for(&slow, 1);
    assert_int_equal(slow.error, 0);
    assert_string_equal(slow.text, "held no more");
    pg_figures(w->pg, &figures);
    assert_int_equal(figures.repeated, 1);
}

static void a_script_is_never_repeated(void **state)
{
    struct world *w = *state;
    struct question q = {.world = w}, after = {.world = w};

    long pid = session_of(w);
    pg_script(w->pg, &q.request, "select pg_sleep(1000)", on_answer);
    wait_for_flights(w, 1);
    end_session(pid);
    wait_for(&q, 1);
    assert_int_equal(q.error, -ECONNRESET);
    assert_non_null(strstr(q.request.message, "administrator command"));
    run(&after, "select 'back'");
    assert_string_equal(after.text, "back");
}

/* ---- the greeting ---- */

static unsigned greetings;
static long told_earlier;

static char *greet_well(long earlier)
{
    greetings++;
    told_earlier = earlier;
    return mem_text("set test.greeted = 'yes'; select 1");
}

static char *find_it_taken(long earlier)
{
    return mem_text("do $$ begin raise exception 'somebody has it' using errcode = 'lock_not_available'; end $$");
}

static char *greet_badly_once(long earlier)
{
    return mem_text(greetings++ == 0 ? "select 1 / 0" : "select 1");
}

static char *be_slow(long earlier)
{
    greetings++;
    return mem_text("select pg_sleep(60)");
}

static void each_new_connection_greets_before_it_is_used(void **state)
{
    struct world *w = *state;
    struct question first = {.world = w}, second = {.world = w};

    greetings = 0;
    pg_greet(w->pg, greet_well);
    ask(&first, "select current_setting('test.greeted')", NULL);
    wait_for(&first, 1);
    assert_string_equal(first.text, "yes");
    assert_int_equal(told_earlier, 0);
    long pid = session_of(w);
    end_session(pid);
    ask(&second, "select current_setting('test.greeted')", NULL);
    wait_for(&second, 1);
    assert_string_equal(second.text, "yes");
    assert_int_equal(told_earlier, pid);
    assert_int_equal(greetings, 2);
}

static void a_refused_greeting_is_a_refused_connection_and_tried_again(void **state)
{
    struct world *w = *state;

    greetings = 0;
    pg_greet(w->pg, greet_badly_once);
    wait_for_state(w, PG_LOST);
    assert_string_equal(w->why, "division by zero");
    assert_false(pg_turned_away(w->pg));
    assert_int_equal(w->states[PG_READY], 0);
    wait_for_state(w, PG_READY);
    assert_int_equal(greetings, 2);
}

static void who_is_turned_away_can_tell(void **state)
{
    struct world *w = *state;

    pg_greet(w->pg, find_it_taken);
    wait_for_state(w, PG_LOST);
    assert_true(pg_turned_away(w->pg));
    assert_string_equal(pg_why(w->pg), "somebody has it");
}

static void closing_while_the_greeting_runs_is_quiet(void **state)
{
    struct world *w = *state;

    greetings = 0;
    pg_greet(w->pg, be_slow);
    while (greetings == 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->states[PG_READY] + w->states[PG_LOST], 0);
}

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
        PIPELINED(a_lost_connection_comes_back),
        PLAIN(a_lost_connection_comes_back),
        PIPELINED(requests_in_flight_are_repeated_in_order_without_the_cancelled),
        PIPELINED(statements_are_prepared_anew_after_a_loss),
        PLAIN(a_long_statement_of_a_plain_connection_is_repeated),
        PLAIN(a_script_is_never_repeated),
        PIPELINED(each_new_connection_greets_before_it_is_used),
        PLAIN(each_new_connection_greets_before_it_is_used),
        PIPELINED(a_refused_greeting_is_a_refused_connection_and_tried_again),
        PLAIN(who_is_turned_away_can_tell),
        PIPELINED(closing_while_the_greeting_runs_is_quiet),
    };

    /* Stop at a failure: its requests were on a stack that is gone. */
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
