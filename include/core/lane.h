/*
 * Lanes: what takes more than a millisecond of CPU or disk leaves the loop for libuv's thread
 * pool, through one of a few bounded lanes, so that no kind of work can take every thread: pages
 * never starve transfers and long inflates never starve name look-ups (which libuv runs on the
 * same pool).
 *
 * A work is embedded in its owner, which outlives `done`. `run` is called on a pool thread and
 * touches only what the work owns; `done` is called on the loop exactly once, never from inside
 * lane_submit: with 0, or with -ECANCELED when the work was cancelled before it ran.
 */
#ifndef CORE_LANE_H
#define CORE_LANE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum lane_id {
    LANE_DISK,    /* receiving, publishing: short writes, fsync, link */
    LANE_VERIFY,  /* reading wheels: inflate and hash, seconds for a large one */
    LANE_PAGES,   /* rendering, compressing and writing pages and logs */
    LANE_COUNT
};

struct lane_work {
    void (*run)(struct lane_work *w);
    void (*done)(struct lane_work *w, int status);
    uv_work_t request;         /* private, as is all that follows */
    struct lane_work *next;
    int64_t submitted_ms, started_ms;
    enum lane_id lane;
    bool queued, cancelled, cancellable;
};

struct lane_figures {
    const char *name;     /* "disk", "verify", "pages" */
    unsigned limit;       /* works that may run at once */
    unsigned running, waiting;
    uint64_t done;        /* since start */
    int64_t worst_wait_ms;/* longest wait for a thread in the last minute or so */
};

enum lane_scale {
    LANES_MANY,   /* for a master: what a thousand slaves bring */
    LANES_FEW     /* for a slave, whose memory is for its builds */
};

/* Once, before the loop runs: sizes the lanes and the pool (UV_THREADPOOL_SIZE), which has a thread more than they. */
void lane_setup(uv_loop_t *loop, enum lane_scale scale);

void lane_submit(enum lane_id lane, struct lane_work *w, void (*run)(struct lane_work *w),
                 void (*done)(struct lane_work *w, int status));

/* Asks for an early end: a work not yet running completes with -ECANCELED, one that runs ends by
 * itself. Either way `done` follows once. Harmless on a work that is done, or zeroed. */
void lane_cancel(struct lane_work *w);

void lane_figures(enum lane_id lane, struct lane_figures *figures);

#endif
