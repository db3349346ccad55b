/*
 * One build on one connection: what its slave may say about it and what follows. session.c passes every
 * message that carries an attempt id to attempt_message.
 *
 *   building ──BUILT──▶ recording ──in the database──▶ DONE, forgotten     any ──STOP──▶ stopped
 *                        │    ▲                                            stopped ──an IDLE behind STOP──▶ forgotten
 *                      SEND  SENT
 *                        ▼    │
 *                       receiving
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "session.h"

#define MAX_TOLD_BYTES 1000   /* of DONE's text */
#define OVERTIME_MS (3600 * 1000) /* beside twice the time limit: to fetch the source, and to send what was built */

typedef void (*attempt_handler)(struct attempt *a, const struct message *m);

const char *attempt_state_name(enum attempt_state state)
{
    static const char *const names[] = {"building", "receiving", "recording", "stopped"};
    return names[state];
}

struct attempt *attempt_find(const struct session *s, int64_t id)
{
    for (struct attempt *a = s->attempts; a; a = a->next) {
        if (a->id == id)
            return a;
    }
    return NULL;
}

/* What was only spoken of here may be another's, whose lease goes on. */
static void let_go(struct attempt *a)
{
    if (a->held)
        queue_let_go(a->session->farm->queue, a->id);
    a->held = false;
}

static void forget(struct attempt *a)
{
    struct attempt **link = &a->session->attempts;
    while (*link != a)
        link = &(*link)->next;
    *link = a->next;
    a->session->free_ms = clock_steady_ms();
    free(a->package);
    free(a->version);
    free(a);
}

/* ---- what the files stage says ------------------------------------------------------------------- */

static void on_want(void *owner, unsigned file)
{
    struct attempt *a = owner;
    struct message m = {.verb = VERB_SEND, .send = {.attempt = (uint64_t)a->id, .file = file}};
    a->state = ATTEMPT_RECEIVING;
    session_say(a->session, &m);
}

/* So many in a row are hardly the packages' fault. */
static void count_failure(struct session *s, bool good)
{
    s->failures = good ? 0 : s->failures + 1;
    if (s->failures == SESSION_MANY_FAILURES)
        log_warning("farm", "%s: its last %u builds have all failed; if that is the machine's fault, stop it and have them built "
                    "again: piwheels rebuild", s->name, s->failures);
}

static void on_settled(void *owner, bool good, const char *text)
{
    struct attempt *a = owner;
    struct session *s = a->session;
    char *told = text_clean(text, strlen(text), MAX_TOLD_BYTES);
    struct message m = {.verb = VERB_DONE, .done = {.attempt = (uint64_t)a->id, .good = good, .text = told}};
    let_go(a);
    forget(a);
    count_failure(s, good);
    session_say(s, &m);
    session_check_stop(s);
    free(told);
}

static void on_relieved(void *owner)
{
    struct attempt *a = owner;
    if (!a->session->paused)
        return;
    a->session->paused = false;
    session_read(a->session);
}

static const struct files_events files_events = {on_want, on_settled, on_relieved};

/* ---- what the slave says ------------------------------------------------------------------------- */

static void pause_if_full(struct attempt *a, int fed)
{
    if (fed != 1 || !a->session->wire)
        return;
    a->session->paused = true;
    session_read(a->session);
}

static void refuse(struct attempt *a, const struct message *m)
{
    session_refuse(a->session, "%s is not expected for attempt %lld, which is %s", message_verb_name(m->verb),
                   (long long)a->id, attempt_state_name(a->state));
}

static void ignore(struct attempt *a, const struct message *m)
{
}

static void go_on(struct attempt *a, const struct message *m)
{
    struct message answer = {.verb = VERB_CONT, .cont = {.attempt = m->busy.attempt}};
    a->session->machine = m->busy.machine;
    session_say(a->session, &answer);
}

static void take_log(struct attempt *a, const struct message *m)
{
    int fed = receipt_log(a->receipt, m->output.offset, &m->output.data);
    if (fed == -EPROTO)
        session_refuse(a->session, "OUTPUT of attempt %lld leaves a gap before byte %llu", (long long)a->id,
                       (unsigned long long)m->output.offset);
    else if (fed < 0)
        session_refuse(a->session, "OUTPUT of attempt %lld is longer than a log may be", (long long)a->id);
    pause_if_full(a, fed);
}

static void take_report(struct attempt *a, const struct message *m)
{
    char why[SESSION_REASON_SIZE];
    a->state = ATTEMPT_RECORDING; /* until a file is wanted */
    if (receipt_built(a->receipt, &m->built, a->session->name, why, sizeof why) != 0)
        session_refuse(a->session, "%s", why);
}

static void take_chunk(struct attempt *a, const struct message *m)
{
    char why[SESSION_REASON_SIZE];
    int fed = receipt_chunk(a->receipt, &m->chunk, a->session->wire, why, sizeof why);
    if (fed < 0)
        session_refuse(a->session, "%s", why);
    pause_if_full(a, fed);
}

static void end_file(struct attempt *a, const struct message *m)
{
    char why[SESSION_REASON_SIZE];
    if (receipt_sent(a->receipt, (unsigned)m->sent.file, why, sizeof why) != 0)
        session_refuse(a->session, "%s", why);
    else
        a->state = ATTEMPT_RECORDING;
}

static const struct {
    enum verb verb;
    attempt_handler in[ATTEMPT_STATES];
} rows[] = {
    /*               building     receiving   recording  stopped */
    {VERB_BUSY,     {go_on,       refuse,     refuse,    ignore}},
    {VERB_OUTPUT,   {take_log,    refuse,     refuse,    ignore}},
    {VERB_BUILT,    {take_report, refuse,     refuse,    ignore}},
    {VERB_CHUNK,    {refuse,      take_chunk, refuse,    ignore}},
    {VERB_SENT,     {refuse,      end_file,   refuse,    ignore}},
};

static int64_t attempt_id(const struct message *m)
{
    switch (m->verb) {
    case VERB_BUSY: return (int64_t)m->busy.attempt;
    case VERB_OUTPUT: return (int64_t)m->output.attempt;
    case VERB_BUILT: return (int64_t)m->built.attempt;
    case VERB_CHUNK: return (int64_t)m->chunk.attempt;
    default: return (int64_t)m->sent.attempt;
    }
}

static void unknown_attempt(struct session *s, const struct message *m, int64_t id)
{
    if (farm_knows_attempt(s->farm, id))
        session_refuse(s, "%s is about attempt %lld, which another slave builds", message_verb_name(m->verb), (long long)id);
    else if (m->verb == VERB_CHUNK || m->verb == VERB_SENT)
        session_refuse(s, "%s is about attempt %lld, of which nothing was asked for", message_verb_name(m->verb), (long long)id);
    else if (attempts_count(s) >= SESSION_MAX_ATTEMPTS)
        session_refuse(s, "%s is about attempt %lld, one of too many that nobody was given", message_verb_name(m->verb),
                       (long long)id);
    else
        attempt_stop(s, id, "the master does not know this attempt (any more)");
}

void attempt_message(struct session *s, const struct message *m)
{
    int64_t id = attempt_id(m);
    struct attempt *a = attempt_find(s, id);
    if (!a) {
        unknown_attempt(s, m, id);
        return;
    }
    a->heard_ms = clock_steady_ms();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].verb == m->verb)
            rows[i].in[a->state](a, m);
    }
}

/* ---- beginnings and ends ------------------------------------------------------------------------- */

static struct attempt *add(struct session *s, int64_t id, enum attempt_state state, const char *package, const char *version)
{
    struct attempt *a = mem_new(1, sizeof *a);
    a->session = s;
    a->state = state;
    a->id = id;
    a->package = mem_text(package);
    a->version = mem_text(version);
    a->heard_ms = clock_steady_ms();
    a->next = s->attempts;
    s->attempts = a;
    return a;
}

/* A slave keeps the time limit itself; one that does not would keep the job from others for as long as it says BUSY. */
static int64_t due_ms(const struct session *s, const struct db_attempt *facts)
{
    int64_t under_way_ms = clock_wall_ms() - facts->started_ms;
    uint64_t timeout_ms = hand_out_timeout_ms(s, facts->package);
    if (timeout_ms > INT32_MAX) /* nearly a month */
        timeout_ms = INT32_MAX;
    return clock_steady_ms() - (under_way_ms > 0 ? under_way_ms : 0) + 2 * (int64_t)timeout_ms + OVERTIME_MS;
}

void attempt_begin(struct session *s, const struct db_attempt *facts)
{
    struct attempt *a = add(s, facts->attempt, ATTEMPT_BUILDING, facts->package, facts->version);
    a->target = facts->target;
    a->started_ms = facts->started_ms;
    a->due_ms = due_ms(s, facts);
    a->receipt = receipt_new(s->farm->files, facts, s->known, &files_events, a);
    queue_hold(s->farm->queue, facts->attempt);
    a->held = true;
}

void attempt_stop(struct session *s, int64_t id, const char *reason)
{
    struct attempt *a = attempt_find(s, id);
    struct message m = {.verb = VERB_STOP, .stop = {.attempt = (uint64_t)id, .reason = reason}};
    if (!a)
        a = add(s, id, ATTEMPT_STOPPED, "", "");
    if (a->receipt)
        receipt_abandon(a->receipt);
    a->receipt = NULL;
    a->state = ATTEMPT_STOPPED;
    a->stopped_at = s->answers;
    let_go(a);
    if (session_may_tell(s))
        log_info("farm", "%s: build %lld is stopped: %s", s->name, (long long)id, reason);
    session_say(s, &m);
}

/* With an IDLE. It may have crossed with STOP, for a slave asks for one place while it builds in another; but it has heard
 * STOP if it has heard an answer that was whole only behind it. */
void attempt_forget_stopped(struct session *s)
{
    struct attempt *next;
    for (struct attempt *a = s->attempts; a; a = next) {
        next = a->next;
        if (a->state == ATTEMPT_STOPPED && a->stopped_at < s->answers)
            forget(a);
    }
}

void attempts_end_overdue(struct session *s)
{
    static const char reason[] = "it goes on long after its time limit";
    int64_t now_ms = clock_steady_ms();
    for (struct attempt *a = s->attempts; a; a = a->next) {
        if ((a->state != ATTEMPT_BUILDING && a->state != ATTEMPT_RECEIVING) || now_ms < a->due_ms)
            continue;
        session_give_back(s, a, "overdue", reason);
        attempt_stop(s, a->id, reason);
    }
}

unsigned attempts_count(const struct session *s)
{
    unsigned count = 0;
    for (const struct attempt *a = s->attempts; a; a = a->next)
        count++;
    return count;
}

unsigned attempts_alive(const struct session *s)
{
    unsigned count = 0;
    for (const struct attempt *a = s->attempts; a; a = a->next)
        count += a->state != ATTEMPT_STOPPED;
    return count;
}

void attempts_abandon(struct session *s)
{
    while (s->attempts) {
        struct attempt *a = s->attempts;
        if (a->receipt)
            receipt_abandon(a->receipt);
        let_go(a);
        forget(a);
    }
}
