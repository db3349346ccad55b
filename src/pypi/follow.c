/*
 * The follower's rhythm, the second half of the pypi stage: look which followed packages are due, compare
 * each with PyPI, note how it went, pause. Started by pypi_open. When to compare a package again is kept
 * in the database; what failed here is remembered only to wait longer each time and not to log it twice.
 */
#include "follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define LOOK_EVERY_MS 5000              /* others too make packages due: a new target makes all of them */
#define MOST_HOLD_MS (60 * 60 * 1000)   /* whatever Retry-After says */
#define MOST_BACK_OFF_MS (24 * 60 * 60 * 1000)
#define MOST_DOUBLINGS 4

struct trouble {
    char name[256];
    char reason[TASK_REASON_SIZE];
    unsigned failures;
    bool logged;
    struct trouble *next;
};

static struct follower *of(struct task *t)
{
    return container_of(t, struct follower, task);
}

/* ---- what failed ---------------------------------------------------------------------------------- */

int64_t follower_back_off_ms(uint64_t poll_ms, unsigned failures, int64_t retry_after_ms)
{
    unsigned doublings = failures > MOST_DOUBLINGS ? MOST_DOUBLINGS : failures > 0 ? failures - 1 : 0;
    int64_t wait_ms = poll_ms < MOST_BACK_OFF_MS ? (int64_t)poll_ms << doublings : MOST_BACK_OFF_MS;

    if (wait_ms < retry_after_ms)
        wait_ms = retry_after_ms;
    return wait_ms < MOST_BACK_OFF_MS ? wait_ms : MOST_BACK_OFF_MS;
}

static struct trouble **find_trouble(struct follower *f, const char *name)
{
    struct trouble **at = &f->troubles;
    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void forget_trouble(struct trouble **at)
{
    struct trouble *trouble = *at;
    *at = trouble->next;
    free(trouble);
}

/* Logs a failure once: not at every round, and one that strikes all packages not for each of them. */
static void complain(struct follower *f, struct trouble *trouble, int64_t wait_ms)
{
    char span[CLOCK_TEXT_SIZE];

    if (strcmp(trouble->reason, f->reason) == 0)
        return;
    text_copy(trouble->reason, sizeof trouble->reason, f->reason);
    trouble->logged = strcmp(f->complaint, f->reason) != 0;
    if (trouble->logged)
        log_warning("pypi", "%s: could not be compared with PyPI (%s); again in %s", trouble->name, f->reason,
                    clock_span(wait_ms, span));
    text_copy(f->complaint, sizeof f->complaint, f->reason);
}

static int64_t note_failure(struct follower *f, const char *name)
{
    struct trouble **at = find_trouble(f, name);

    if (*at == NULL) {
        *at = mem_new(1, sizeof **at);
        text_copy((*at)->name, sizeof (*at)->name, name);
    }
    int64_t wait_ms = follower_back_off_ms(f->settings->poll_ms, ++(*at)->failures, f->retry_after_ms);
    complain(f, *at, wait_ms);
    return wait_ms;
}

static void note_success(struct follower *f, const char *name)
{
    struct trouble **at = find_trouble(f, name);

    f->complaint[0] = '\0';
    if (*at == NULL)
        return;
    if ((*at)->logged)
        log_info("pypi", "%s: compared with PyPI again (after %u failures)", name, (*at)->failures);
    forget_trouble(at);
}

/* ---- the steps, in order -------------------------------------------------------------------------- */

static void on_answer(struct db_call *c, int error)
{
    struct follower *f = container_of(c, struct follower, call);

    if (error == -EREMOTEIO) {
        log_error("pypi", "following: the database refused (%s): %s", task_step_name(&f->task), c->message);
        f->hold_ms = LOOK_EVERY_MS;
    }
    task_resume(&f->task);
}

static enum step look_for_due(struct task *t)
{
    struct follower *f = of(t);

    if (f->at < f->due.count)
        return STEP_NEXT;
    f->at = 0;
    f->due.count = 0;
    f->due.next_ms = -1;
    db_projects_due(f->db, &f->call, &f->due, on_answer);
    return STEP_WAIT;
}

static void on_compared(struct project *p, int error)
{
    struct follower *f = p->owner;

    f->error = error;
    f->unchanged = p->unchanged;
    f->retry_after_ms = p->retry_after_ms;
    text_copy(f->reason, sizeof f->reason, error != 0 ? p->task.reason : "");
    f->project = NULL;
    free(p);
    task_resume(&f->task);
}

static enum step compare(struct task *t)
{
    struct follower *f = of(t);

    if (f->at == f->due.count)
        return STEP_NEXT;
    const struct db_project *due = &f->due.items[f->at];
    struct project *p = mem_new(1, sizeof *p);
    p->db = f->db;
    p->http = f->http;
    p->settings = f->settings;
    p->refresh = true;
    p->done = on_compared;
    p->owner = f;
    text_copy(p->name, sizeof p->name, due->name);
    text_copy(p->spelling, sizeof p->spelling, due->name);
    text_copy(p->etag, sizeof p->etag, due->etag);
    f->project = p;
    project_start(f->loop, p);
    project_go(p);
    return STEP_WAIT;
}

/* What was stored has its next time; the others get theirs here. */
static enum step note_outcome(struct task *t)
{
    struct follower *f = of(t);
    int64_t wait_ms = (int64_t)f->settings->poll_ms;

    if (f->at == f->due.count)
        return STEP_NEXT;
    const char *name = f->due.items[f->at++].name;
    if (f->error != 0) {
        wait_ms = note_failure(f, name);
        if (f->retry_after_ms > 0)
            f->hold_ms = f->retry_after_ms < MOST_HOLD_MS ? (uint64_t)f->retry_after_ms : MOST_HOLD_MS;
    } else {
        note_success(f, name);
        if (!f->unchanged) {
            f->stored(f);
            return STEP_NEXT;
        }
    }
    db_project_later(f->db, &f->call, name, wait_ms, on_answer);
    return STEP_WAIT;
}

static enum step rest(struct task *t)
{
    struct follower *f = of(t);
    uint64_t hold_ms = f->hold_ms;

    f->hold_ms = 0;
    if (hold_ms > 0)
        return task_pause(t, hold_ms);
    if (f->due.count > 0)
        return STEP_AGAIN;
    bool soon = f->due.next_ms >= 0 && f->due.next_ms < LOOK_EVERY_MS;
    return task_pause(t, soon ? (uint64_t)f->due.next_ms : LOOK_EVERY_MS);
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step follow_steps[] = {
    {"look for due packages", look_for_due},
    {"compare a package", compare},
    {"note the outcome", note_outcome},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void on_cancel(struct task *t)
{
    struct follower *f = of(t);

    if (f->project != NULL)
        project_cancel(f->project);
    else
        db_cancel(&f->call);
}

static void on_finished(struct task *t)
{
    struct follower *f = of(t);

    while (f->troubles != NULL)
        forget_trouble(&f->troubles);
    f->ended(f);
}

void follower_start(struct follower *f, uv_loop_t *loop)
{
    f->loop = loop;
    f->task.name = "follow";
    f->task.steps = follow_steps;
    f->task.cancel = on_cancel;
    f->task.finished = on_finished;
    task_start(loop, &f->task);
}

void follower_stop(struct follower *f)
{
    task_cancel(&f->task);
}
