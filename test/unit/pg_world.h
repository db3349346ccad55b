/*
 * What the tests of io/pg share: a loop with one connection, and requests that remember what became
 * of them. Each program of them prepares the schema test_io_pg for itself.
 */
#ifndef PG_WORLD_H
#define PG_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/pg.h"

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

/* The DSN of the server to test with, from PIW_TEST_PG; fails the test when there is none. */
const char *dsn(void);

/* A connection opened on a loop of its own; world_free closes it if the test has not. */
struct world *world_new(const char *where, enum pg_kind kind);
void world_free(struct world *w);

/* For cmocka: of one test, with a connection of either kind; of all tests. */
int set_up_pipelined(void **state);
int set_up_plain(void **state);
int tear_down(void **state);
int set_up_all(void **state);
int tear_down_all(void **state);

#define PIPELINED(name) cmocka_unit_test_setup_teardown(name, set_up_pipelined, tear_down)
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, set_up_plain, tear_down)

/* `ask` only asks, `run` waits for the answer. */
void ask(struct question *q, const char *sql, struct pg_params *params);
void ask_int(struct question *q, const char *sql, int64_t value);
void run(struct question *q, const char *sql);
void run_script(struct world *w, const char *sql);

/* Turn the loop until the state was heard of, the request has completed so often, so many are in flight. */
void wait_for_state(struct world *w, enum pg_state state);
void wait_for(struct question *q, unsigned completions);
void wait_for_flights(struct world *w, unsigned count);

/* Run or end something over a connection of its own. */
void run_aside(const char *sql);
long session_of(struct world *w);
void end_session(long pid);

/* Until what `hold` answers is freed, the statement WAITS_FOR_HOLDER is not answered. */
#define WAITS_FOR_HOLDER "select pg_advisory_xact_lock(1)::text || 'held no more'"
struct world *hold(void);

/* Completions of the world, for tests that call io/pg themselves. */
void on_answer(struct pg_request *r, int error, const struct pg_result *result);
void on_closed(void *owner);
void on_notice(void *owner, const char *text);

#endif
