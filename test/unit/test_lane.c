/* Rules of core/lane.h. The works of a test wait at a gate until it is opened. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/lane.h"
#include "core/memory.h"

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t turned;
    bool open;
    unsigned inside, most_inside;
};

struct piece {
    struct lane_work work;
    struct gate *gate;
    unsigned ran, completed;
    int status;
    unsigned *order, place; /* which of all completions this one was, from 1 */
};

static uv_loop_t loop;

static void pass_gate(struct lane_work *w)
{
    struct piece *p = container_of(w, struct piece, work);
    struct gate *g = p->gate;

    p->ran++;
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    g->inside++;
    if (g->inside > g->most_inside)
        g->most_inside = g->inside;
    pthread_cond_broadcast(&g->turned);
    while (!g->open)
        pthread_cond_wait(&g->turned, &g->lock);
    g->inside--;
    pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->turned);
    pthread_mutex_unlock(&g->lock);
}

static void wait_for_inside(struct gate *g, unsigned count)
{
    pthread_mutex_lock(&g->lock);
    while (g->inside < count)
        pthread_cond_wait(&g->turned, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void on_done(struct lane_work *w, int status)
{
    struct piece *p = container_of(w, struct piece, work);

    p->completed++;
    p->status = status;
    if (p->order != NULL)
        p->place = ++*p->order;
}

static int setup(void **state)
{
    struct gate *g = mem_new(1, sizeof *g);

    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->turned, NULL);
    lane_setup(&loop, LANES_MANY);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void the_pool_has_a_thread_more_than_all_lanes_take(void **state)
{
    struct lane_figures figures;
    int limits = 0;

    for (enum lane_id id = 0; id < LANE_COUNT; id++) {
        lane_figures(id, &figures);
        limits += (int)figures.limit;
    }
    assert_true(atoi(getenv("UV_THREADPOOL_SIZE")) > limits);
}

static void a_work_runs_and_completes_later_on_the_loop(void **state)
{
    struct piece p = {.ran = 0};

    lane_submit(LANE_DISK, &p.work, pass_gate, on_done);
    assert_int_equal(p.completed, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p.ran, 1);
    assert_int_equal(p.completed, 1);
    assert_int_equal(p.status, 0);
}

static void no_more_works_run_at_once_than_the_lane_allows(void **state)
{
    struct gate *g = *state;
    struct piece pieces[10] = {{.ran = 0}};
    struct lane_figures figures;
    unsigned order = 0;

    for (unsigned i = 0; i < 10; i++) {
        pieces[i].gate = g;
        pieces[i].order = &order;
        lane_submit(LANE_VERIFY, &pieces[i].work, pass_gate, on_done);
    }
    wait_for_inside(g, 4);
    lane_figures(LANE_VERIFY, &figures);
    assert_string_equal(figures.name, "verify");
    assert_int_equal(figures.running, 4);
    assert_int_equal(figures.waiting, 6);
    open_gate(g);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(g->most_inside, 4);
    lane_figures(LANE_VERIFY, &figures);
    assert_int_equal(figures.running, 0);
    assert_int_equal(figures.waiting, 0);
    assert_int_equal(figures.done, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(pieces[i].completed, 1);
    assert_true(pieces[9].place > pieces[1].place);
}

static void a_full_lane_does_not_hold_up_another(void **state)
{
    struct gate *g = *state;
    struct piece slow[3] = {{.gate = g}, {.gate = g}, {.gate = g}}, quick = {.ran = 0};

    for (unsigned i = 0; i < 3; i++)
        lane_submit(LANE_PAGES, &slow[i].work, pass_gate, on_done);
    lane_submit(LANE_DISK, &quick.work, pass_gate, on_done);
    while (quick.completed == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(slow[0].completed, 0);
    open_gate(g);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void a_cancelled_work_that_waits_completes_without_running(void **state)
{
    struct gate *g = *state;
    struct piece pieces[4] = {{.gate = g}, {.gate = g}, {.gate = g}, {.gate = g}};

    for (unsigned i = 0; i < 4; i++)
        lane_submit(LANE_PAGES, &pieces[i].work, pass_gate, on_done);
    wait_for_inside(g, 2);
    lane_cancel(&pieces[3].work);
    assert_int_equal(pieces[3].completed, 0);
    while (pieces[3].completed == 0) /* though the lane is still full */
        uv_run(&loop, UV_RUN_ONCE);
    lane_cancel(&pieces[3].work);
    open_gate(g);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(pieces[3].ran, 0);
    assert_int_equal(pieces[3].completed, 1);
    assert_int_equal(pieces[3].status, -ECANCELED);
    assert_int_equal(pieces[2].ran, 1);
    assert_int_equal(pieces[2].status, 0);
}

static void the_lane_goes_on_after_its_last_waiting_work_was_cancelled(void **state)
{
    struct gate *g = *state;
    struct piece pieces[4] = {{.gate = g}, {.gate = g}, {.gate = g}, {.gate = g}};

    for (unsigned i = 0; i < 3; i++)
        lane_submit(LANE_PAGES, &pieces[i].work, pass_gate, on_done);
    lane_cancel(&pieces[2].work);
    lane_submit(LANE_PAGES, &pieces[3].work, pass_gate, on_done);
    open_gate(g);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(pieces[3].ran, 1);
    assert_int_equal(pieces[3].status, 0);
}

static void a_cancelled_work_that_runs_ends_by_itself(void **state)
{
    struct gate *g = *state;
    struct piece p = {.gate = g};

    lane_submit(LANE_DISK, &p.work, pass_gate, on_done);
    wait_for_inside(g, 1);
    lane_cancel(&p.work);
    open_gate(g);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p.completed, 1);
    assert_int_equal(p.status, 0);
}

static void the_longest_wait_for_a_thread_is_measured(void **state)
{
    struct gate *g = *state;
    struct piece pieces[3] = {{.gate = g}, {.gate = g}, {.ran = 0}};
    struct lane_figures figures;

    for (unsigned i = 0; i < 3; i++)
        lane_submit(LANE_PAGES, &pieces[i].work, pass_gate, on_done);
    wait_for_inside(g, 2);
    uv_sleep(20);
    open_gate(g);
    uv_run(&loop, UV_RUN_DEFAULT);
    lane_figures(LANE_PAGES, &figures);
    assert_true(figures.worst_wait_ms >= 20);
}

static void free_piece(struct lane_work *w, int status)
{
    free(container_of(w, struct piece, work));
}

static void the_owner_may_be_freed_when_done(void **state)
{
    struct piece *p = mem_new(1, sizeof *p);

    lane_submit(LANE_DISK, &p->work, pass_gate, free_piece);
    uv_run(&loop, UV_RUN_DEFAULT);
}

#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LANE_TEST(the_pool_has_a_thread_more_than_all_lanes_take),
        LANE_TEST(a_work_runs_and_completes_later_on_the_loop),
        LANE_TEST(no_more_works_run_at_once_than_the_lane_allows),
        LANE_TEST(a_full_lane_does_not_hold_up_another),
        LANE_TEST(a_cancelled_work_that_waits_completes_without_running),
        LANE_TEST(the_lane_goes_on_after_its_last_waiting_work_was_cancelled),
        LANE_TEST(a_cancelled_work_that_runs_ends_by_itself),
        LANE_TEST(the_longest_wait_for_a_thread_is_measured),
        LANE_TEST(the_owner_may_be_freed_when_done),
    };
    uv_loop_init(&loop);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    uv_loop_close(&loop);
    return failed;
}
