/* Rules of core/task.h, with a task whose requests are timers of its own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/task.h"

struct job {
    struct task task;
    uv_loop_t loop;
    uv_timer_t request;        /* what a step waits for */
    uint64_t request_ms;
    char story[256];           /* what happened, in order */
    unsigned finished, cancels, rounds;
    bool inside_call;          /* of task_start, task_resume or task_cancel */
};

static void tell(struct job *j, const char *event)
{
    size_t len = strlen(j->story);
    snprintf(j->story + len, sizeof j->story - len, "%s%s", len > 0 ? " " : "", event);
}

static struct job *job_of(struct task *t)
{
    return container_of(t, struct job, task);
}

static void on_finished(struct task *t)
{
    struct job *j = job_of(t);

    assert_false(j->inside_call);
    j->finished++;
    tell(j, "finished");
    uv_close((uv_handle_t *)&j->request, NULL);
}

static void on_request_done(uv_timer_t *timer)
{
    struct job *j = container_of(timer, struct job, request);

    tell(j, "done");
    j->inside_call = true;
    task_resume(&j->task);
    j->inside_call = false;
}

static enum step request(struct task *t)
{
    struct job *j = job_of(t);

    tell(j, "request");
    uv_timer_start(&j->request, on_request_done, j->request_ms, 0);
    return STEP_WAIT;
}

static enum step next(struct task *t)
{
    tell(job_of(t), "next");
    return STEP_NEXT;
}

static enum step stop_early(struct task *t)
{
    tell(job_of(t), "stop");
    return STEP_DONE;
}

static enum step break_down(struct task *t)
{
    return task_fail(t, -EIO, "disk %d is gone", 7);
}

static enum step pause_long(struct task *t)
{
    tell(job_of(t), "pause");
    return task_pause(t, 1000000);
}

static enum step pause_short(struct task *t)
{
    tell(job_of(t), "pause");
    return task_pause(t, 5);
}

static enum step thrice(struct task *t)
{
    return ++job_of(t)->rounds < 3 ? STEP_AGAIN : STEP_NEXT;
}

static enum step for_ever(struct task *t)
{
    job_of(t)->rounds++;
    return STEP_AGAIN;
}

static enum step cancel_itself(struct task *t)
{
    task_cancel(t);
    return STEP_NEXT;
}

static enum step cancel_itself_and_wait(struct task *t)
{
    enum step outcome = request(t);
    task_cancel(t);
    return outcome;
}

static void cancel_request(struct task *t)
{
    struct job *j = job_of(t);

    j->cancels++;
    uv_timer_start(&j->request, on_request_done, 0, 0);
}

static struct job *start(const struct task_step *steps)
{
    struct job *j = mem_new(1, sizeof *j);

    j->task.steps = steps;
    j->task.finished = on_finished;
    j->task.cancel = cancel_request;
    uv_loop_init(&j->loop);
    uv_timer_init(&j->loop, &j->request);
    j->inside_call = true;
    task_start(&j->loop, &j->task);
    j->inside_call = false;
    return j;
}

static void cancel(struct job *j)
{
    j->inside_call = true;
    task_cancel(&j->task);
    j->inside_call = false;
}

/* Runs the loop to its end, compares the story and frees the job. */
static void assert_ends(struct job *j, int error, const char *story)
{
    uv_run(&j->loop, UV_RUN_DEFAULT);
    assert_int_equal(j->finished, 1);
    assert_int_equal(j->task.error, error);
    assert_string_equal(j->story, story);
    assert_string_equal(task_step_name(&j->task), "done");
    assert_int_equal(uv_loop_close(&j->loop), 0);
    free(j);
}

static void the_steps_run_in_the_order_of_the_table(void **state)
{
    static const struct task_step steps[] = {{"a", next}, {"b", request}, {"c", next}, {NULL, NULL}};

    assert_ends(start(steps), 0, "next request done next finished");
}

static void a_task_without_steps_is_done(void **state)
{
    static const struct task_step steps[] = {{NULL, NULL}};

    assert_ends(start(steps), 0, "finished");
}

static void the_step_in_flight_has_a_name(void **state)
{
    static const struct task_step steps[] = {{"prepare", next}, {"fetch releases", request}, {NULL, NULL}};
    struct job *j = start(steps);

    assert_string_equal(task_step_name(&j->task), "fetch releases");
    assert_ends(j, 0, "next request done finished");
}

static void done_ends_the_task_whatever_steps_remain(void **state)
{
    static const struct task_step steps[] = {{"a", stop_early}, {"b", next}, {NULL, NULL}};

    assert_ends(start(steps), 0, "stop finished");
}

static void a_failure_carries_its_error_and_reason(void **state)
{
    static const struct task_step steps[] = {{"a", request}, {"b", break_down}, {"c", next}, {NULL, NULL}};
    struct job *j = start(steps);

    uv_run(&j->loop, UV_RUN_DEFAULT);
    assert_string_equal(j->task.reason, "disk 7 is gone");
    assert_ends(j, -EIO, "request done finished");
}

static void again_starts_over_with_the_first_step(void **state)
{
    static const struct task_step steps[] = {{"a", next}, {"b", thrice}, {NULL, NULL}};

    assert_ends(start(steps), 0, "next next next finished");
}

static void on_tick(uv_timer_t *timer)
{
    cancel(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_task_that_starts_over_for_ever_lets_others_have_their_turn(void **state)
{
    static const struct task_step steps[] = {{"a", for_ever}, {NULL, NULL}};
    struct job *j = start(steps);
    uv_timer_t tick = {.data = j};

    uv_timer_init(&j->loop, &tick);
    uv_timer_start(&tick, on_tick, 20, 0);
    uv_run(&j->loop, UV_RUN_DEFAULT);
    assert_true(j->rounds > 1);
    assert_string_equal(j->task.reason, "cancelled");
    assert_ends(j, -ECANCELED, "finished");
}

static void a_pause_ends_by_itself(void **state)
{
    static const struct task_step steps[] = {{"a", pause_short}, {"b", next}, {NULL, NULL}};
    int64_t before = clock_steady_ms();

    assert_ends(start(steps), 0, "pause next finished");
    assert_true(clock_steady_ms() - before >= 4);
}

static void waking_ends_a_pause_now(void **state)
{
    static const struct task_step steps[] = {{"a", pause_long}, {"b", next}, {NULL, NULL}};
    struct job *j = start(steps);

    task_wake(&j->task);
    task_wake(&j->task);
    assert_ends(j, 0, "pause next finished");
}

static void waking_a_task_that_does_not_pause_is_nothing(void **state)
{
    static const struct task_step steps[] = {{"a", request}, {"b", next}, {NULL, NULL}};
    struct job *j = start(steps);

    task_wake(&j->task);
    assert_ends(j, 0, "request done next finished");
}

static void a_cancelled_pause_ends_now_and_the_next_step_is_not_run(void **state)
{
    static const struct task_step steps[] = {{"a", pause_long}, {"b", next}, {NULL, NULL}};
    struct job *j = start(steps);

    cancel(j);
    assert_ends(j, -ECANCELED, "pause finished");
}

static void cancelling_ends_the_request_in_flight_once(void **state)
{
    static const struct task_step steps[] = {{"a", request}, {"b", next}, {NULL, NULL}};
    struct job *j = start(steps);

    uv_timer_start(&j->request, on_request_done, 1000000, 0);
    cancel(j);
    cancel(j);
    assert_int_equal(j->cancels, 1);
    assert_ends(j, -ECANCELED, "request done finished");
}

static void a_task_without_a_hook_ends_when_its_request_does(void **state)
{
    static const struct task_step steps[] = {{"a", request}, {"b", next}, {NULL, NULL}};
    struct job *j = start(steps);

    j->task.cancel = NULL;
    cancel(j);
    assert_ends(j, -ECANCELED, "request done finished");
}

static void a_task_cancelled_by_its_own_step_runs_no_further(void **state)
{
    static const struct task_step steps[] = {{"a", cancel_itself}, {"b", next}, {NULL, NULL}};

    assert_ends(start(steps), -ECANCELED, "finished");
}

static void a_request_begun_by_a_step_that_cancels_is_ended_too(void **state)
{
    static const struct task_step steps[] = {{"a", cancel_itself_and_wait}, {"b", next}, {NULL, NULL}};
    struct job *j = start(steps);

    assert_int_equal(j->cancels, 1);
    assert_ends(j, -ECANCELED, "request done finished");
}

static void cancelling_a_task_that_has_ended_is_harmless(void **state)
{
    static const struct task_step steps[] = {{"a", next}, {NULL, NULL}};
    struct job *j = start(steps);

    cancel(j);
    uv_run(&j->loop, UV_RUN_DEFAULT);
    cancel(j);
    assert_ends(j, 0, "next finished");
}

struct freed {
    struct task task;
};

static void free_owner(struct task *t)
{
    free(container_of(t, struct freed, task));
}

static void the_owner_may_be_freed_when_finished(void **state)
{
    static const struct task_step steps[] = {{NULL, NULL}};
    struct freed *owner = mem_new(1, sizeof *owner);
    uv_loop_t loop;

    owner->task = (struct task){.steps = steps, .finished = free_owner};
    uv_loop_init(&loop);
    task_start(&loop, &owner->task);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steps_run_in_the_order_of_the_table),
        cmocka_unit_test(a_task_without_steps_is_done),
        cmocka_unit_test(the_step_in_flight_has_a_name),
        cmocka_unit_test(done_ends_the_task_whatever_steps_remain),
        cmocka_unit_test(a_failure_carries_its_error_and_reason),
        cmocka_unit_test(again_starts_over_with_the_first_step),
        cmocka_unit_test(a_task_that_starts_over_for_ever_lets_others_have_their_turn),
        cmocka_unit_test(a_pause_ends_by_itself),
        cmocka_unit_test(waking_ends_a_pause_now),
        cmocka_unit_test(waking_a_task_that_does_not_pause_is_nothing),
        cmocka_unit_test(a_cancelled_pause_ends_now_and_the_next_step_is_not_run),
        cmocka_unit_test(cancelling_ends_the_request_in_flight_once),
        cmocka_unit_test(a_task_without_a_hook_ends_when_its_request_does),
        cmocka_unit_test(a_task_cancelled_by_its_own_step_runs_no_further),
        cmocka_unit_test(a_request_begun_by_a_step_that_cancels_is_ended_too),
        cmocka_unit_test(cancelling_a_task_that_has_ended_is_harmless),
        cmocka_unit_test(the_owner_may_be_freed_when_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
