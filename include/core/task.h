/*
 * A task: a job of several steps that reads from top to bottom.
 *
 * A task is a struct embedded in the thing it works for, and a table of named steps in the order
 * of the happy path:
 *
 *     static const struct task_step steps[] = {
 *         {"fetch releases", fetch_releases},   // starts a request, returns STEP_WAIT
 *         {"read releases", read_releases},     // uses its result, returns STEP_NEXT
 *         {"store releases", store_releases},
 *         {NULL, NULL},
 *     };
 *
 * A step is one short function. It returns
 *     STEP_NEXT   done here, run the next step (after the last: the task is done)
 *     STEP_WAIT   a request is in flight; its completion stores the result and calls task_resume,
 *                 which runs the NEXT step
 *     STEP_AGAIN  start over with the first step (through the loop, so others get their turn)
 *     STEP_DONE   the task is done, whatever steps remain
 *     STEP_FAIL   the task has failed; say why with task_fail: `return task_fail(t, -EIO, "…")`
 *
 * At most one request is in flight. Every end, success, failure and cancellation, calls
 * `finished` exactly once, from the loop, never from inside task_start, task_resume or
 * task_cancel; there the owner may be freed. A cancelled task that waits has its `cancel` hook
 * called, which must make the request in flight complete soon (pg_cancel, http_cancel, …); the
 * completion resumes as always and the task then ends with error -ECANCELED instead of running
 * the next step.
 */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum step { STEP_NEXT, STEP_WAIT, STEP_AGAIN, STEP_DONE, STEP_FAIL };

struct task;

struct task_step {
    const char *name; /* "store events": for the log, the monitor and tests */
    enum step (*run)(struct task *t);
};

#define TASK_REASON_SIZE 256

struct task {
    /* set by the owner before task_start */
    const char *name;                    /* its table's, "publish" for publish_steps: for tests and the log */
    const struct task_step *steps;       /* ends with {NULL, NULL} */
    void (*finished)(struct task *t);    /* exactly once; may free the owner */
    void (*cancel)(struct task *t);      /* ends the request in flight early; may be NULL */
    /* to read */
    int error;                           /* in finished: 0, or -errno */
    char reason[TASK_REASON_SIZE];       /* in finished: why it failed, in words */
    /* private */
    unsigned at;                         /* index of the current step */
    bool waiting, pausing, cancelled, ended;
    uv_timer_t timer;                    /* pauses, AGAIN and the end go through the loop */
};

/* Runs the first steps at once, until one waits. `t` must be zeroed but for the owner's fields. */
void task_start(uv_loop_t *loop, struct task *t);

/* The request in flight has completed: goes on with the next step. */
void task_resume(struct task *t);

/* `return task_pause(t, ms)`: STEP_WAIT, resumed after `ms` milliseconds or by task_wake. */
enum step task_pause(struct task *t, uint64_t ms);

/* Ends a task_pause now; nothing if the task is not pausing. */
void task_wake(struct task *t);

/* Sets error (negative errno) and reason; returns STEP_FAIL. */
enum step task_fail(struct task *t, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Asks the task to end soon; `finished` follows. Harmless on one that has ended. */
void task_cancel(struct task *t);

/* Name of the current step, or "done". */
const char *task_step_name(const struct task *t);

#endif
