/*
 * The queue's rhythm: look for work, extend the leases of living attempts, take back those that ran
 * out, stop those that nobody wants any more, pause, again. The farm (src/farm) calls it for every job it hands out; the stages that make
 * jobs wake it through the master.
 */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/task.h"

#define EXTEND_EVERY_MS 60000
#define SPACING_MS 50          /* between the beginnings of rounds: when builds end all the time, wakes do too */

struct queue {
    uv_loop_t *loop;
    struct db *db;
    struct queue_settings settings;
    const struct queue_events *events;
    void *owner;
    struct task rhythm;
    struct db_call call;
    int64_t opened_ms, extended_ms, begun_ms; /* the room, the leases, the round */
    uint64_t ready;                /* targets with waiting jobs, as last seen */
    int64_t *held;                 /* living attempts, in no order */
    size_t held_count, held_cap;
    struct db_expired expired;
    bool woken;                    /* queue_wake came while the rhythm was busy */
    bool spacing;                  /* it pauses, but not for long enough to be woken */
    void (*closed)(void *owner);
    void *closed_owner;
};

static void on_answer(struct db_call *c, int error)
{
    struct queue *q = container_of(c, struct queue, call);
    if (error == -EREMOTEIO)
        log_error("queue", "queue: the database refused (%s): %s", task_step_name(&q->rhythm), c->message);
    if (error)
        q->ready = 0, q->expired.count = 0;
    task_resume(&q->rhythm);
}

static enum step look_for_work(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    q->woken = q->spacing = false;
    q->begun_ms = clock_steady_ms();
    db_claims_look_again(q->db);
    db_ready_targets(q->db, &q->call, &q->ready, on_answer);
    return STEP_WAIT;
}

static enum step tell_of_work(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    if (q->ready)
        q->events->work(q->owner, q->ready);
    return STEP_NEXT;
}

static enum step extend_leases(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    int64_t every_ms = q->settings.lease_ms / 3 < EXTEND_EVERY_MS ? q->settings.lease_ms / 3 : EXTEND_EVERY_MS;
    if (q->held_count == 0 || clock_steady_ms() - q->extended_ms < every_ms)
        return STEP_NEXT;
    q->extended_ms = clock_steady_ms();
    db_leases_extend(q->db, &q->call, q->held, q->held_count, q->settings.lease_ms, on_answer);
    return STEP_WAIT;
}

/* Behind extend_leases on purpose: after the database was away, the living are extended first. */
static enum step expire_leases(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    q->expired.count = 0;
    if (clock_steady_ms() - q->opened_ms < (int64_t)q->settings.grace_ms)
        return STEP_NEXT;
    db_leases_expire(q->db, &q->call, q->settings.retry_ms, &q->expired, on_answer);
    return STEP_WAIT;
}

static enum step tell_of_losses(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    for (unsigned i = 0; i < q->expired.count; i++) {
        log_warning("queue", "build %lld: its slave fell silent; the job waits for another",
                    (long long)q->expired.attempts[i]);
        q->events->lost(q->owner, q->expired.attempts[i]);
    }
    return STEP_NEXT;
}

/* Whatever removed a job while it was being built (PyPI, a person), here it is noticed. */
static enum step look_for_unwanted(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    q->expired.count = 0;
    if (q->held_count == 0)
        return STEP_NEXT;
    db_attempts_gone(q->db, &q->call, q->held, q->held_count, &q->expired, on_answer);
    return STEP_WAIT;
}

static enum step tell_of_unwanted(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    for (unsigned i = 0; i < q->expired.count; i++)
        q->events->unwanted(q->owner, q->expired.attempts[i]);
    return STEP_NEXT;
}

static enum step rest(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    int64_t left_ms = q->begun_ms + SPACING_MS - clock_steady_ms();
    if (!q->woken)
        return task_pause(t, q->settings.round_ms);
    if (left_ms <= 0)
        return STEP_AGAIN;
    q->spacing = true;
    return task_pause(t, (uint64_t)left_ms);
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step rhythm_steps[] = {
    {"look for work", look_for_work},
    {"tell of work", tell_of_work},
    {"extend leases", extend_leases},
    {"expire leases", expire_leases},
    {"tell of losses", tell_of_losses},
    {"look for what is not wanted", look_for_unwanted},
    {"tell of what is not wanted", tell_of_unwanted},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

static void on_rhythm_cancel(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    task_wake(t);
    db_cancel(&q->call);
}

static void on_rhythm_finished(struct task *t)
{
    struct queue *q = container_of(t, struct queue, rhythm);
    void (*closed)(void *owner) = q->closed;
    void *owner = q->closed_owner;
    free(q->held);
    free(q);
    if (closed)
        closed(owner);
}

struct queue *queue_open(uv_loop_t *loop, struct db *db, const struct queue_settings *settings,
                         const struct queue_events *events, void *owner)
{
    struct queue *q = mem_new(1, sizeof *q);
    q->loop = loop;
    q->db = db;
    q->settings = *settings;
    q->events = events;
    q->owner = owner;
    q->opened_ms = clock_steady_ms();
    q->rhythm.name = "rhythm";
    q->rhythm.steps = rhythm_steps;
    q->rhythm.cancel = on_rhythm_cancel;
    q->rhythm.finished = on_rhythm_finished;
    task_start(loop, &q->rhythm);
    return q;
}

void queue_close(struct queue *q, void (*closed)(void *owner), void *owner)
{
    q->closed = closed;
    q->closed_owner = owner;
    task_cancel(&q->rhythm);
}

void queue_wake(struct queue *q)
{
    q->woken = true;
    if (!q->spacing)
        task_wake(&q->rhythm);
}

void queue_take(struct queue *q, struct db_call *c, const struct db_claimant *slave, struct db_attempt *out,
                void (*done)(struct db_call *c, int error))
{
    db_claim(q->db, c, slave, q->settings.lease_ms, out, done);
}

void queue_take_back(struct queue *q, struct db_call *c, int64_t attempt, int64_t slave, struct db_attempt *out,
                     void (*done)(struct db_call *c, int error))
{
    db_adopt(q->db, c, attempt, slave, q->settings.lease_ms, out, done);
}

void queue_hold(struct queue *q, int64_t attempt)
{
    if (q->held_count == q->held_cap) {
        q->held_cap = q->held_cap ? q->held_cap * 2 : 64;
        q->held = mem_resize(q->held, q->held_cap, sizeof *q->held);
    }
    q->held[q->held_count++] = attempt;
}

void queue_let_go(struct queue *q, int64_t attempt)
{
    for (size_t i = 0; i < q->held_count; i++) {
        if (q->held[i] == attempt) {
            q->held[i] = q->held[--q->held_count];
            return;
        }
    }
}
