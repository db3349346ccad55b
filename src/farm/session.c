/*
 * One slave's connection, from accept to close. farm.c makes one for every connection; messages about a build
 * go on to attempt.c.
 *
 *   new ──HELLO──▶ greeting ──ACK──▶ ready ⇄ (IDLE, builds)      any ──refusal, BYE, close──▶ leaving
 *                            └─ACK──▶ waiting ──a person accepts its key──▶ ready
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "session.h"

typedef void (*session_handler)(struct session *s, const struct message *m);

/* A job claimed for one slot of a slave. Outlives the connection if need be. */
struct claim {
    struct session *session;
    struct db_call call;
    struct db_attempt attempt;
};

/* ---- saying -------------------------------------------------------------------------------------- */

void session_say(struct session *s, const struct message *m)
{
    if (s->wire && s->state != SESSION_LEAVING)
        wire_send(s->wire, m);
}

/* They are counted: a busy farm, where nobody sleeps, need not be searched for them with every job. */
void session_set_sleeping(struct session *s, bool sleeping)
{
    s->farm->sleepers += (unsigned)sleeping - (unsigned)s->sleeping;
    s->sleeping = sleeping;
}

void session_refuse(struct session *s, const char *format, ...)
{
    char text[SESSION_REASON_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *reason = text_clean(text, strlen(text), sizeof text); /* it may quote the slave, cut anywhere */
    struct message m = {.verb = VERB_ERROR, .error = {.reason = reason}};
    session_say(s, &m);
    session_end(s, reason);
    free(reason);
}

void session_read(struct session *s)
{
    if (!s->wire)
        return;
    if (s->paused || s->farm->crowded)
        wire_pause(s->wire);
    else
        wire_go_on(s->wire);
}

void session_end(struct session *s, const char *reason)
{
    s->state = SESSION_LEAVING;
    attempts_abandon(s);
    greeting_cancel(s);
    if (s->wire)
        wire_finish(s->wire, reason);
}

/* ---- IDLE ---------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void go_to_sleep(struct session *s)
{
    char why[SESSION_REASON_SIZE];
    struct message m = {.verb = VERB_SLEEP, .sleep = {.reason = why}};
    s->answers++;
    trust_explain(s, why, sizeof why);
    session_set_sleeping(s, true);
    session_say(s, &m);
    session_check_stop(s);
}

static void on_released(struct db_call *c, int error)
{
    free(container_of(c, struct claim, call));
}

static void on_claimed(struct db_call *c, int error)
{
    struct claim *claim = container_of(c, struct claim, call);
    struct session *s = claim->session;
    bool ready = s->state == SESSION_READY;
    bool taken = ready && !session_resting(s) && claim->attempt.attempt;
    s->claims--;
    if (error == -EREMOTEIO)
        log_error("farm", "%s: no job could be claimed: %s", s->name, c->message);
    if (taken) {
        hand_out(s, &claim->attempt);
        farm_wake_some(s->farm, s->targets, 2);
    } else if (ready) {
        s->unserved = true;
    }
    if (ready && s->claims == 0 && s->unserved)
        go_to_sleep(s);
    else if (ready && s->claims == 0)
        s->answers++;
    if (!taken && claim->attempt.attempt)
        db_release(s->farm->db, &claim->call, claim->attempt.attempt, on_released);
    else
        free(claim);
    session_check_end(s);
}

static void on_means_noted(struct db_call *c, int error)
{
    free(c);
}

static struct db_claimant claimant(const struct session *s)
{
    return (struct db_claimant){s->slave, s->targets, s->memory_bytes > 0 ? s->memory_bytes : s->machine.memory_bytes,
                                least(s->farm->settings.build_timeout_ms, s->timeout_ms)};
}

static void note_means(struct session *s)
{
    struct db_claimant slave = claimant(s);
    struct db_call *call = mem_new(1, sizeof *call);
    s->told = true;
    db_slave_told(s->farm->db, call, &slave, on_means_noted);
}

static void note_idle(struct session *s, const struct msg_idle *m)
{
    char *shortage = text_clean(m->shortage, strlen(m->shortage), sizeof s->shortage - 1);
    bool changes = (shortage[0] == '\0') != (s->shortage[0] == '\0') && session_may_tell(s);
    if (changes && shortage[0])
        log_warning("farm", "%s: takes no new builds: %s", s->name, shortage);
    else if (changes)
        log_info("farm", "%s: takes new builds again", s->name);
    text_copy(s->shortage, sizeof s->shortage, shortage);
    free(shortage);
    s->machine = m->machine;
    attempt_forget_stopped(s);
}

static void on_idle(struct session *s, const struct message *m)
{
    if (s->claims > 0) {
        session_refuse(s, "IDLE was said again before the first was answered");
        return;
    }
    note_idle(s, &m->idle);
    session_set_sleeping(s, false);
    uint64_t slots = least(m->idle.slots, SESSION_MAX_SLOTS - least(attempts_count(s), SESSION_MAX_SLOTS));
    struct db_claimant slave = claimant(s);
    if (!s->told)
        note_means(s);
    if (session_resting(s) || s->targets == 0)
        slots = 0;
    s->unserved = slots < m->idle.slots;
    if (slots == 0)
        go_to_sleep(s);
    s->claims = (unsigned)slots;
    for (uint64_t i = 0; i < slots; i++) {
        struct claim *claim = mem_new(1, sizeof *claim);
        claim->session = s;
        queue_take(s->farm->queue, &claim->call, &slave, &claim->attempt, on_claimed);
    }
}

static void on_idle_waiting(struct session *s, const struct message *m)
{
    note_idle(s, &m->idle);
    go_to_sleep(s);
}

/* ---- BYE ----------------------------------------------------------------------------------------- */

struct giving_back {
    struct db_call call;
    bool recorded;
};

static void on_given_back(struct db_call *c, int error)
{
    free(container_of(c, struct giving_back, call));
}

void session_give_back(struct session *s, const struct attempt *a, const char *reason, const char *detail)
{
    struct giving_back *g = mem_new(1, sizeof *g);
    struct db_build_end end = {.attempt = a->id, .outcome = "farm", .reason = reason, .detail = detail};
    db_build_end(s->farm->db, &g->call, &end, s->farm->settings.retry_ms, &g->recorded, on_given_back);
}

void session_give_back_all(struct session *s, const char *reason, const char *detail)
{
    for (const struct attempt *a = s->attempts; a; a = a->next) {
        if (a->state == ATTEMPT_BUILDING || a->state == ATTEMPT_RECEIVING)
            session_give_back(s, a, reason, detail);
    }
}

static void on_bye(struct session *s, const struct message *m)
{
    char reason[256];
    snprintf(reason, sizeof reason, "left: %s", m->bye.reason[0] ? m->bye.reason : "no reason given");
    session_give_back_all(s, "slave left", m->bye.reason); /* at once, not when the lease ends */
    session_end(s, reason);
}

void session_check_stop(struct session *s)
{
    struct message m = {.verb = VERB_DIE, .die = {.reason = "stopped by hand"}};
    if (!s->stopping || !session_is_in(s) || s->claims > 0)
        return;
    for (const struct attempt *a = s->attempts; a; a = a->next) {
        if (a->state != ATTEMPT_STOPPED)
            return;
    }
    log_info("farm", "%s: is told to end: it has finished its builds", s->name);
    session_say(s, &m);
}

/* ---- the table ----------------------------------------------------------------------------------- */

static void refuse(struct session *s, const struct message *m)
{
    static const char *const when[] = {"before HELLO", "before ACK", "now", "now", "now"};
    session_refuse(s, "%s is not expected %s", message_verb_name(m->verb), when[s->state]);
}

static void ignore(struct session *s, const struct message *m)
{
}

/* One that waits may speak of builds only to be told that they are not its: no attempt of its is alive. */
static const struct {
    enum verb verb;
    session_handler in[SESSION_STATES];
} rows[] = {
    /*               new       greeting  waiting          ready            leaving */
    {VERB_HELLO,    {greeting_hello, refuse,   refuse,          refuse,          ignore}},
    {VERB_MEANS,    {refuse,   refuse,   hand_out_note_means, hand_out_note_means, ignore}},
    {VERB_IDLE,     {refuse,   refuse,   on_idle_waiting, on_idle,         ignore}},
    {VERB_BUSY,     {refuse,   refuse,   attempt_message, attempt_message, ignore}},
    {VERB_OUTPUT,   {refuse,   refuse,   attempt_message, attempt_message, ignore}},
    {VERB_BUILT,    {refuse,   refuse,   attempt_message, attempt_message, ignore}},
    {VERB_CHUNK,    {refuse,   refuse,   attempt_message, attempt_message, ignore}},
    {VERB_SENT,     {refuse,   refuse,   attempt_message, attempt_message, ignore}},
    {VERB_BYE,      {on_bye,   on_bye,   on_bye,          on_bye,          ignore}},
};

static void on_message(struct wire *w, const struct message *m)
{
    struct session *s = wire_owner(w);
    s->heard_ms = clock_steady_ms();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].verb == m->verb) {
            rows[i].in[s->state](s, m);
            return;
        }
    }
    if (s->state != SESSION_LEAVING)
        session_refuse(s, "%s is nothing that a slave says", message_verb_name(m->verb));
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void on_closed(struct wire *w, const char *reason)
{
    struct session *s = wire_owner(w);
    if (!s->farm->closing && session_may_tell(s))
        log_info("farm", "%s: connection closed: %s", s->name, reason);
    s->wire = NULL;
    s->state = SESSION_LEAVING;
    attempts_abandon(s);
    greeting_cancel(s);
    session_check_end(s);
}

const struct wire_events session_wire_events = {.message = on_message, .closed = on_closed};

void session_accept(struct farm *f, struct wire *w)
{
    struct session *s = mem_new(1, sizeof *s);
    s->farm = f;
    s->wire = w;
    s->connected_ms = s->heard_ms = s->free_ms = clock_steady_ms();
    s->serial = ++f->accepted;
    snprintf(s->name, sizeof s->name, "slave at %s", wire_peer(w));
    s->next = f->sessions;
    if (s->next)
        s->next->prev = s;
    f->sessions = s;
    wire_set_owner(w, s);
    wire_set_stranger(w, true); /* until it is let in: see trust.c */
}

void session_check_end(struct session *s)
{
    if (!s->wire && !s->greeting && !s->means && s->claims == 0)
        farm_forget_session(s);
}
