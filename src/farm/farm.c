/*
 * The farm's room: it listens, keeps the list of sessions, wakes sleepers when the queue has work, and drops
 * those that fell silent. The master (src/cmd/master.c) opens it last and closes it first.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "session.h"

#define SWEEP_MS 5000
#define SILENCE_MS 180000      /* a slave without a build says IDLE every minute */
#define WAKE_AT_ONCE 8         /* each that finds work wakes two more: no stampede for one job */

struct session *farm_session_like(const struct farm *f, const struct session *s)
{
    for (struct session *other = f->sessions; other; other = other->next) {
        if (other != s && other->state != SESSION_LEAVING && strcmp(other->label, s->label) == 0 &&
            strcmp(wire_key(other->wire), wire_key(s->wire)) == 0)
            return other;
    }
    return NULL;
}

/* Where it is built or recorded: not of those who only spoke of it, and were told to stop. */
static struct attempt *find_alive(const struct farm *f, int64_t attempt)
{
    for (const struct session *s = f->sessions; s; s = s->next) {
        struct attempt *a = attempt_find(s, attempt);
        if (a && a->state != ATTEMPT_STOPPED)
            return a;
    }
    return NULL;
}

bool farm_knows_attempt(const struct farm *f, int64_t attempt)
{
    return find_alive(f, attempt) != NULL;
}

void farm_wake_some(struct farm *f, uint64_t targets, unsigned count)
{
    struct message m = {.verb = VERB_WAKE};
    for (struct session *s = f->sessions; s && count > 0 && f->sleepers > 0; s = s->next) {
        if (!s->sleeping || s->state != SESSION_READY || !(s->targets & targets) || session_resting(s) || s->shortage[0])
            continue;
        session_set_sleeping(s, false);
        count--;
        session_say(s, &m);
    }
}

/* ---- the queue's events -------------------------------------------------------------------------- */

static void on_work(void *owner, uint64_t targets)
{
    farm_wake_some(owner, targets, WAKE_AT_ONCE);
}

static void on_lost(void *owner, int64_t attempt)
{
    struct attempt *a = find_alive(owner, attempt);
    if (a)
        attempt_stop(a->session, attempt, "its lease ran out");
}

/* Stops the attempt wherever it is built. What is being recorded has just ended by itself. */
static void stop_attempt(struct farm *f, int64_t attempt, bool withdrawn)
{
    char reason[640] = "it is not wanted any more";
    struct attempt *a = find_alive(f, attempt);
    if (!a || a->state == ATTEMPT_RECORDING)
        return;
    if (withdrawn)
        snprintf(reason, sizeof reason, "PyPI has withdrawn %s %s", a->package, a->version);
    attempt_stop(a->session, attempt, reason);
}

static void on_unwanted(void *owner, int64_t attempt)
{
    stop_attempt(owner, attempt, false);
}

void farm_stop_attempts(struct farm *f, const int64_t *attempts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stop_attempt(f, attempts[i], true);
}

const struct queue_events farm_queue_events = {on_work, on_lost, on_unwanted};

/* ---- the silent ---------------------------------------------------------------------------------- */

static bool is_silent(const struct session *s, int64_t now_ms)
{
    for (const struct attempt *a = s->attempts; a; a = a->next) {
        if (a->state == ATTEMPT_BUILDING && now_ms - a->heard_ms > s->farm->settings.lease_ms)
            return true;
        if (a->state == ATTEMPT_RECORDING)
            return false; /* it waits for us */
    }
    return now_ms - s->heard_ms > SILENCE_MS && s->claims == 0 && !s->paused;
}

static void on_sweep(uv_timer_t *timer)
{
    struct farm *f = container_of(timer, struct farm, sweep);
    int64_t now_ms = clock_steady_ms();
    for (struct session *s = f->sessions; s; s = s->next) {
        if (session_is_in(s) && is_silent(s, now_ms))
            session_end(s, "silent for too long");
        else
            attempts_end_overdue(s);
    }
}

/* ---- the crowd ----------------------------------------------------------------------------------- */

static void on_crowd(void *owner, bool crowded)
{
    struct farm *f = owner;
    f->crowded = crowded;
    for (struct session *s = f->sessions; s; s = s->next)
        session_read(s);
}

/* ---- opening and closing ------------------------------------------------------------------------- */

static void on_accepted(struct wire *w, void *context)
{
    session_accept(context, w);
}

int farm_open(uv_loop_t *loop, struct db *db, struct files *files, const struct overrides *overrides,
              const struct farm_settings *settings, struct farm **farm, char *why, size_t why_size)
{
    struct farm *f = mem_new(1, sizeof *f);
    f->loop = loop;
    f->db = db;
    f->files = files;
    f->overrides = overrides;
    f->settings = *settings;
    text_copy(f->listen, sizeof f->listen, settings->listen);
    text_copy(f->index_url, sizeof f->index_url, settings->index_url);
    int error = wire_listen(loop, f->listen, f->settings.key, &session_wire_events, on_accepted, f, &f->server, why, why_size);
    if (error) {
        free(f);
        return error;
    }
    files_on_crowd(files, on_crowd, f);
    uv_timer_init(loop, &f->sweep);
    uv_timer_start(&f->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *farm = f;
    return 0;
}

void farm_set_queue(struct farm *f, struct queue *q)
{
    f->queue = q;
}

const char *farm_address(const struct farm *f)
{
    return wire_server_address(f->server);
}

const char *farm_key(const struct farm *f)
{
    return f->settings.key ? key_print(f->settings.key) : "";
}

static void check_closed(struct farm *f)
{
    if (!f->closing || !f->sweep_closed || f->sessions)
        return;
    void (*closed)(void *owner) = f->closed;
    void *owner = f->closed_owner;
    files_on_crowd(f->files, NULL, NULL);
    db_target_set_release(f->known);
    free(f->resters);
    free(f->talkers);
    free(f);
    closed(owner);
}

static void on_sweep_closed(uv_handle_t *handle)
{
    struct farm *f = container_of(handle, struct farm, sweep);
    f->sweep_closed = true;
    check_closed(f);
}

void farm_forget_session(struct session *s)
{
    struct farm *f = s->farm;
    session_set_sleeping(s, false);
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        f->sessions = s->next;
    db_target_set_release(s->known);
    free(s);
    check_closed(f);
}

void farm_close(struct farm *f, void (*closed)(void *owner), void *owner)
{
    f->closing = true;
    f->closed = closed;
    f->closed_owner = owner;
    wire_server_close(f->server);
    for (struct session *s = f->sessions; s; s = s->next)
        session_end(s, "the master stops");
    uv_close((uv_handle_t *)&f->sweep, on_sweep_closed);
}
