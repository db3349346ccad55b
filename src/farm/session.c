/*
 * One slave's connection, from accept to close. farm.c makes one for every connection; messages about a build
 * go on to attempt.c.
 *
 *   new ──HELLO──▶ greeting ──ACK──▶ ready ⇄ (IDLE, builds)      any ──refusal, BYE, close──▶ leaving
 *                            └─ACK──▶ waiting ──a person accepts its key──▶ ready
 */
#include <ctype.h>
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

#define CLOCK_TOLERANCE_MS (24LL * 3600 * 1000)

typedef void (*session_handler)(struct session *s, const struct message *m);

static void greet(struct session *s);

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

void session_end(struct session *s, const char *reason)
{
    s->state = SESSION_LEAVING;
    attempts_abandon(s);
    if (s->greeting_runs)
        task_cancel(&s->greeting);
    if (s->wire)
        wire_finish(s->wire, reason);
}

/* ---- HELLO --------------------------------------------------------------------------------------- */

static bool is_label(const char *label)
{
    for (const char *c = label; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            return false;
    }
    return label[0] != '\0';
}

/* Whether each attempt that it says it holds can be one, and is named once. */
static bool holds_are_right(const struct msg_hello *h)
{
    for (unsigned i = 0; i < h->attempts.count; i++) {
        if (h->attempts.items[i].attempt == 0)
            return false;
        for (unsigned j = 0; j < i; j++) {
            if (h->attempts.items[j].attempt == h->attempts.items[i].attempt)
                return false;
        }
    }
    return true;
}

static bool is_sandbox(const char *level)
{
    return strcmp(level, "strict") == 0 || strcmp(level, "basic") == 0 || strcmp(level, "none") == 0;
}

/* Why this slave cannot be taken, in words that tell what to do; "" when it can. */
static void judge_hello(const struct session *s, const struct msg_hello *h, char *why, size_t size)
{
    int64_t ahead_ms = (int64_t)h->clock_ms - clock_wall_ms();
    char span[CLOCK_TEXT_SIZE];
    why[0] = '\0';
    if (strcmp(h->version, PIWHEELS_VERSION) != 0)
        snprintf(why, size, "the master is piwheels %s, the slave %s is %s; install the same version on both",
                 PIWHEELS_VERSION, h->label, h->version);
    else if (!is_label(h->label))
        snprintf(why, size, "the label \"%s\" has characters other than letters, digits, '.', '_' and '-'; choose "
                 "another with --label", h->label);
    else if (h->offers.count == 0)
        snprintf(why, size, "the slave %s offers no target", h->label);
    else if (!holds_are_right(h))
        snprintf(why, size, "the slave %s holds an attempt twice, or one without an id", h->label);
    else if (!is_sandbox(h->sandbox))
        snprintf(why, size, "the sandbox of slave %s is none of strict, basic and none", h->label);
    else if (!hand_out_networks_right(h))
        snprintf(why, size, "what builds of slave %s reach is none of none, index and all, or more than the most", h->label);
    else if (ahead_ms > CLOCK_TOLERANCE_MS || ahead_ms < -CLOCK_TOLERANCE_MS)
        snprintf(why, size, "the clock of slave %s is %s %s; set it (timedatectl set-ntp true)", h->label,
                 clock_span(ahead_ms < 0 ? -ahead_ms : ahead_ms, span), ahead_ms < 0 ? "late" : "early");
}

static void note_hello(struct session *s, const struct msg_hello *h)
{
    text_copy(s->label, sizeof s->label, h->label);
    text_copy(s->system, sizeof s->system, h->system);
    text_copy(s->hardware, sizeof s->hardware, h->hardware);
    text_copy(s->sandbox, sizeof s->sandbox, h->sandbox);
    hand_out_read_networks(h, s->networks, sizeof s->networks);
    s->timeout_ms = h->timeout_ms;
    s->jobs = (unsigned)h->jobs;
    s->memory_bytes = h->memory_bytes;
    s->offer_count = h->offers.count;
    for (unsigned i = 0; i < s->offer_count; i++) {
        text_copy(s->offers[i].abi, sizeof s->offers[i].abi, h->offers.items[i].abi);
        text_copy(s->offers[i].platform, sizeof s->offers[i].platform, h->offers.items[i].platform);
    }
    s->held_count = h->attempts.count;
    for (unsigned i = 0; i < s->held_count; i++)
        s->held[i] = (int64_t)h->attempts.items[i].attempt;
}

/* A slave that lost its connection may be back before we have noticed; another machine must take another name. */
static bool make_room_for_label(struct session *s)
{
    struct session *other = farm_session_like(s->farm, s);
    if (!other)
        return true;
    const char *here = wire_peer(s->wire), *there = wire_peer(other->wire);
    size_t host = strcspn(here, ":");
    if (strrchr(here, ':'))
        host = (size_t)(strrchr(here, ':') - here);
    if (strncmp(here, there, host) != 0 || there[host] != ':') {
        session_refuse(s, "a slave named %s is connected from %s; choose another name with --label", s->label, there);
        return false;
    }
    session_end(other, "replaced by a new connection of the same slave");
    return true;
}

static void on_hello(struct session *s, const struct message *m)
{
    char why[SESSION_REASON_SIZE];
    judge_hello(s, &m->hello, why, sizeof why);
    if (why[0]) {
        session_refuse(s, "%s", why);
        return;
    }
    note_hello(s, &m->hello);
    if (!make_room_for_label(s))
        return;
    greet(s);
}

static void on_call(struct db_call *c, int error)
{
    struct session *s = container_of(c, struct session, call);
    s->call_error = error;
    task_resume(&s->greeting);
}

static enum step read_targets(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    if (s->known)
        return STEP_NEXT;
    db_targets(s->farm->db, &s->call, &s->farm->reading, on_call); /* each answer is used before the next one comes */
    return STEP_WAIT;
}

static void match_offer(struct session *s, unsigned offer, const char **skip)
{
    for (unsigned i = 0; i < s->known->targets.count; i++) {
        const struct db_target *t = &s->known->targets.items[i];
        if (strcmp(t->abi, s->offers[offer].abi) != 0 || strcmp(t->platform, s->offers[offer].platform) != 0)
            continue;
        if (t->skipped)
            *skip = t->skip;
        else
            s->offered |= (uint64_t)1 << t->id;
    }
}

/* Sessions that read the same share one copy. */
static void keep_targets(struct session *s)
{
    struct farm *f = s->farm;
    s->known = db_target_set_of(f->known, &f->reading);
    db_target_set_release(f->known);
    f->known = db_target_set_hold(s->known);
}

static enum step match_targets(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    const char *skip = NULL;
    if (s->call_error)
        return task_fail(t, s->call_error, "the database refused: %s", s->call.message);
    if (s->known)
        return STEP_NEXT;
    keep_targets(s);
    for (unsigned i = 0; i < s->offer_count; i++)
        match_offer(s, i, &skip);
    if (s->offered)
        return STEP_NEXT;
    if (skip)
        return task_fail(t, -ENOENT, "the target of slave %s is skipped: %s", s->label, skip);
    return task_fail(t, -ENOENT, "no target is %s on %s, which slave %s builds for; to make one: piwheels target add NAME "
                     "--abi %s --platform %s", s->offers[0].abi, s->offers[0].platform, s->label, s->offers[0].abi,
                     s->offers[0].platform);
}

static enum step note_slave(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    if (s->slave)
        return STEP_NEXT;
    db_slave_seen(s->farm->db, &s->call, s->label, s->system, s->hardware, wire_key(s->wire), s->offered, s->networks,
                  &s->standing, on_call);
    return STEP_WAIT;
}

static enum step judge_standing(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    char why[SESSION_REASON_SIZE];
    if (s->slave)
        return STEP_NEXT;
    if (s->call_error)
        return task_fail(t, s->call_error, "the database refused: %s", s->call.message);
    s->slave = s->standing.slave;
    return trust_judge(s, why, sizeof why) ? STEP_NEXT : task_fail(t, -EPERM, "%s", why);
}

static enum step take_back(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    memset(&s->taken_back, 0, sizeof s->taken_back);
    if (s->held_at == s->held_count)
        return STEP_NEXT;
    queue_take_back(s->farm->queue, &s->call, s->held[s->held_at], s->slave, &s->taken_back, on_call);
    return STEP_WAIT;
}

static enum step check_taken_back(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    if (s->held_at == s->held_count)
        return STEP_NEXT;
    int64_t id = s->held[s->held_at];
    if (s->call_error || s->taken_back.attempt != id || files_recording(s->farm->files, id))
        s->held[s->held_at] = -id; /* told to stop after ACK */
    else
        attempt_begin(s, &s->taken_back);
    s->call_error = 0;
    s->held_at++;
    return STEP_AGAIN;
}

static void stop_what_is_lost(struct session *s)
{
    for (unsigned i = 0; i < s->held_count; i++) {
        if (s->held[i] < 0)
            attempt_stop(s, -s->held[i], files_recording(s->farm->files, -s->held[i])
                                             ? "its result is being recorded already"
                                             : "the build was given to another or is not wanted any more");
    }
}

static enum step welcome(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    struct message m = {.verb = VERB_ACK, .ack = {.slave = (uint64_t)s->slave, .index_url = s->farm->index_url,
                                                   .lease_ms = (uint64_t)s->farm->settings.lease_ms}};
    snprintf(s->name, sizeof s->name, "slave %lld (%s)", (long long)s->slave, s->label);
    s->state = s->standing.trust == DB_ACCEPTED ? SESSION_READY : SESSION_WAITING;
    session_say(s, &m);
    log_info("farm", "%s: connected (%s, %s, sandbox %s, from %s)", s->name, s->system, s->hardware, s->sandbox, wire_peer(s->wire));
    if (s->state == SESSION_WAITING)
        log_warning("farm", "%s: waits to be accepted; if its key is %s, type: piwheels slaves accept %s", s->name,
                    wire_key(s->wire), s->label);
    stop_what_is_lost(s);
    trust_keep_to_targets(s);
    return STEP_DONE;
}

static const struct task_step greeting_steps[] = {
    {"read targets", read_targets},
    {"match targets", match_targets},
    {"note slave", note_slave},
    {"judge standing", judge_standing},
    {"take back attempts", take_back},
    {"check what was taken back", check_taken_back},
    {"welcome", welcome},
    {NULL, NULL},
};

static void on_greeting_cancel(struct task *t)
{
    db_cancel(&container_of(t, struct session, greeting)->call);
}

static void on_greeted(struct task *t)
{
    struct session *s = container_of(t, struct session, greeting);
    s->greeting_runs = false;
    if (t->error && s->state == SESSION_GREETING)
        session_refuse(s, "%s", t->reason);
    session_check_end(s);
}

static void greet(struct session *s)
{
    s->state = SESSION_GREETING;
    s->greeting.name = "greeting";
    s->greeting.steps = greeting_steps;
    s->greeting.finished = on_greeted;
    s->greeting.cancel = on_greeting_cancel;
    s->greeting_runs = true;
    task_start(s->farm->loop, &s->greeting);
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
    if (shortage[0] && !s->shortage[0])
        log_warning("farm", "%s: takes no new builds: %s", s->name, shortage);
    else if (!shortage[0] && s->shortage[0])
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
    struct db_build_end end = {.attempt = a->facts.attempt, .outcome = "farm", .reason = reason, .detail = detail};
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
    {VERB_HELLO,    {on_hello, refuse,   refuse,          refuse,          ignore}},
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
    if (!s->farm->closing)
        log_info("farm", "%s: connection closed: %s", s->name, reason);
    s->wire = NULL;
    s->state = SESSION_LEAVING;
    attempts_abandon(s);
    if (s->greeting_runs)
        task_cancel(&s->greeting);
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
}

void session_check_end(struct session *s)
{
    if (!s->wire && !s->greeting_runs && !s->means_stored && s->claims == 0)
        farm_forget_session(s);
}
