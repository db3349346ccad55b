/*
 * Bounded lanes before libuv's thread pool. Each lane is a queue of works in the order they came
 * and a count of those that run; all of it is touched on the loop's thread only, a work itself also
 * by the pool thread that runs it.
 */
#include "core/lane.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/memory.h"

#define WINDOW_MS 60000

struct lane {
    const char *name;
    unsigned limit, running, waiting;
    struct lane_work *first, **end;      /* those that wait */
    uint64_t done;
    int64_t window_start_ms;             /* the worst wait is kept for this minute and the last */
    int64_t worst_ms, last_worst_ms;
};

static struct lane lanes[LANE_COUNT];
static uv_loop_t *lanes_loop;

/* Works that mostly wait for fsync may be many: the file system writes its journal once for all that wait. */
void lane_setup(uv_loop_t *loop, enum lane_scale scale)
{
    static const struct {
        const char *name;
        unsigned limits[2]; /* of LANES_MANY, of LANES_FEW */
    } plan[LANE_COUNT] = {
        [LANE_DISK] = {"disk", {8, 2}},
        [LANE_VERIFY] = {"verify", {4, 1}},
        [LANE_PAGES] = {"pages", {2, 1}},
    };
    unsigned threads = 1; /* for name look-ups */
    char text[12];

    lanes_loop = loop;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        unsigned limit = plan[i].limits[scale];
        lanes[i] = (struct lane){.name = plan[i].name, .limit = limit, .end = &lanes[i].first,
                                 .window_start_ms = clock_steady_ms()};
        threads += limit;
    }
    snprintf(text, sizeof text, "%u", threads);
    setenv("UV_THREADPOOL_SIZE", text, 1);
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, scale == LANES_MANY ? 2 : 1); /* else each thread keeps what a thousand builds once needed */
#endif
}

static void turn_window(struct lane *l)
{
    int64_t now = clock_steady_ms();

    if (now - l->window_start_ms < WINDOW_MS)
        return;
    l->last_worst_ms = now - l->window_start_ms < 2 * WINDOW_MS ? l->worst_ms : 0;
    l->worst_ms = 0;
    l->window_start_ms = now;
}

/* On a pool thread. */
static void on_run(uv_work_t *request)
{
    struct lane_work *w = container_of(request, struct lane_work, request);

    w->started_ms = clock_steady_ms();
    (void)FAULT("lane %s", lanes[w->lane].name);
    if (!w->cancelled)
        w->run(w);
}

static void start_waiting(struct lane *l);

static void on_ended(uv_work_t *request, int status)
{
    struct lane_work *w = container_of(request, struct lane_work, request);
    struct lane *l = &lanes[w->lane];
    bool cancelled = w->cancelled || status == UV_ECANCELED;

    w->cancellable = false;
    l->running--;
    if (!cancelled) {
        l->done++;
        turn_window(l);
        if (w->started_ms - w->submitted_ms > l->worst_ms)
            l->worst_ms = w->started_ms - w->submitted_ms;
    }
    start_waiting(l);
    w->done(w, cancelled ? -ECANCELED : 0); /* may free the work */
}

static void start(struct lane *l, struct lane_work *w)
{
    l->running++;
    w->cancellable = true;
    int error = uv_queue_work(lanes_loop, &w->request, on_run, on_ended);
    assert(error == 0); /* it refuses only a work without a function */
    (void)error;
}

/* Takes the work that `at` points to out of the queue. */
static struct lane_work *unlink_work(struct lane *l, struct lane_work **at)
{
    struct lane_work *w = *at;

    *at = w->next;
    if (w->next == NULL)
        l->end = at;
    l->waiting--;
    w->queued = false;
    return w;
}

static void start_waiting(struct lane *l)
{
    while (l->first != NULL && l->running < l->limit)
        start(l, unlink_work(l, &l->first));
}

void lane_submit(enum lane_id lane, struct lane_work *w, void (*run)(struct lane_work *w),
                 void (*done)(struct lane_work *w, int status))
{
    struct lane *l = &lanes[lane];

    *w = (struct lane_work){.run = run, .done = done, .lane = lane, .queued = true,
                            .submitted_ms = clock_steady_ms()};
    *l->end = w;
    l->end = &w->next;
    l->waiting++;
    start_waiting(l);
}

void lane_cancel(struct lane_work *w)
{
    struct lane *l = &lanes[w->lane];

    if (w->queued) {
        struct lane_work **at = &l->first;
        while (*at != w)
            at = &(*at)->next;
        unlink_work(l, at);
        /* It passes through the pool without running, over the limit even, so that `done` comes from
         * the loop as always and need not wait for the works before it. */
        w->cancelled = true;
        start(l, w);
    }
    /* libuv takes a second uv_cancel, or one on a request that is done, for a request in its queue. */
    if (w->cancellable && uv_cancel((uv_req_t *)&w->request) == 0)
        w->cancellable = false;
}

void lane_figures(enum lane_id lane, struct lane_figures *figures)
{
    struct lane *l = &lanes[lane];

    turn_window(l);
    *figures = (struct lane_figures){
        .name = l->name,
        .limit = l->limit,
        .running = l->running,
        .waiting = l->waiting,
        .done = l->done,
        .worst_wait_ms = l->worst_ms > l->last_worst_ms ? l->worst_ms : l->last_worst_ms,
    };
}
