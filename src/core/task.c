/*
 * Runs a task's steps. Everything that must not happen inside a caller's call goes through the
 * task's timer: starting over, waking from a pause, and the end, whose `finished` is the timer's
 * close callback.
 */
#include "core/task.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/fault.h"
#include "core/memory.h"

/* Not 0: libuv runs timers that are due at once before it looks at anything else, so a task that
 * starts over again and again would starve the loop. */
#define AGAIN_MS 1

static void on_closed(uv_handle_t *handle)
{
    struct task *t = container_of(handle, struct task, timer);
    t->finished(t);
}

static void end(struct task *t)
{
    t->ended = true;
    t->waiting = t->pausing = false;
    uv_close((uv_handle_t *)&t->timer, on_closed);
}

static void run(struct task *t);

static void on_again(uv_timer_t *timer)
{
    run(container_of(timer, struct task, timer));
}

static void on_pause_over(uv_timer_t *timer)
{
    task_resume(container_of(timer, struct task, timer));
}

/* Makes what the task waits for come soon. */
static void interrupt(struct task *t)
{
    if (t->pausing)
        task_wake(t);
    else if (t->waiting && t->cancel != NULL)
        t->cancel(t);
}

static enum step run_step(struct task *t)
{
    const struct task_step *step = &t->steps[t->at];
    int fault = FAULT("before %s/%s", t->name, step->name);
    enum step outcome = fault == 0 ? step->run(t) : task_fail(t, fault, "%s: a fault on purpose", step->name);
    if (outcome != STEP_WAIT && outcome != STEP_FAIL)
        (void)FAULT("after %s/%s", t->name, step->name);
    return outcome;
}

/* Runs steps until one waits, starts over or ends the task. */
static void run(struct task *t)
{
    enum step outcome = STEP_NEXT;

    while (outcome == STEP_NEXT) {
        if (t->cancelled)
            outcome = task_fail(t, -ECANCELED, "cancelled");
        else if (t->steps[t->at].run == NULL)
            outcome = STEP_DONE;
        else
            outcome = run_step(t);
        if (outcome == STEP_NEXT)
            t->at++;
    }
    switch (outcome) {
    case STEP_WAIT:
        t->waiting = true;
        if (t->cancelled) /* by its own step, before there was anything to interrupt */
            interrupt(t);
        break;
    case STEP_AGAIN:
        t->at = 0;
        uv_timer_start(&t->timer, on_again, AGAIN_MS, 0);
        break;
    case STEP_FAIL:
        assert(t->error != 0); /* fails by task_fail only */
        end(t);
        break;
    case STEP_DONE:
    case STEP_NEXT:
        t->error = 0;
        end(t);
        break;
    }
}

void task_start(uv_loop_t *loop, struct task *t)
{
    uv_timer_init(loop, &t->timer);
    run(t);
}

void task_resume(struct task *t)
{
    assert(t->waiting);
    (void)FAULT("after %s/%s", t->name, t->steps[t->at].name);
    t->waiting = t->pausing = false;
    t->at++;
    run(t);
}

enum step task_pause(struct task *t, uint64_t ms)
{
    t->pausing = true;
    uv_timer_start(&t->timer, on_pause_over, ms, 0);
    return STEP_WAIT;
}

void task_wake(struct task *t)
{
    if (t->pausing)
        uv_timer_start(&t->timer, on_pause_over, 0, 0);
}

enum step task_fail(struct task *t, int error, const char *format, ...)
{
    va_list args;

    t->error = error;
    va_start(args, format);
    vsnprintf(t->reason, sizeof t->reason, format, args);
    va_end(args);
    return STEP_FAIL;
}

void task_cancel(struct task *t)
{
    if (t->ended || t->cancelled)
        return;
    t->cancelled = true;
    interrupt(t);
}

const char *task_step_name(const struct task *t)
{
    const char *name = t->ended ? NULL : t->steps[t->at].name;
    return name != NULL ? name : "done";
}
