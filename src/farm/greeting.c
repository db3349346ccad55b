/*
 * Greeting a slave: from HELLO, when it is looked at, to ACK. session.c comes here with the first message of a connection. What
 * only this needs is gone with it: a session lives on for months, and there may be thousands.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "session.h"

#define CLOCK_TOLERANCE_MS (24LL * 3600 * 1000)

struct greeting {
    struct session *session;
    struct task task;
    struct db_call call;
    int call_error;
    struct { char abi[33], platform[65]; } offers[16];
    unsigned offer_count;
    struct db_standing standing;  /* whether it is let in */
    int64_t held[64];             /* attempts of an earlier connection; negative: they are not its any more */
    unsigned held_count, held_at;
    struct db_attempt taken_back;
};

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
}

static struct greeting *greeting_new(struct session *s, const struct msg_hello *h)
{
    struct greeting *g = mem_new(1, sizeof *g);
    g->session = s;
    g->offer_count = h->offers.count;
    for (unsigned i = 0; i < g->offer_count; i++) {
        text_copy(g->offers[i].abi, sizeof g->offers[i].abi, h->offers.items[i].abi);
        text_copy(g->offers[i].platform, sizeof g->offers[i].platform, h->offers.items[i].platform);
    }
    g->held_count = h->attempts.count;
    for (unsigned i = 0; i < g->held_count; i++)
        g->held[i] = (int64_t)h->attempts.items[i].attempt;
    return g;
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

static void on_call(struct db_call *c, int error)
{
    struct greeting *g = container_of(c, struct greeting, call);
    g->call_error = error;
    task_resume(&g->task);
}

static enum step read_targets(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    if (s->known)
        return STEP_NEXT;
    db_targets(s->farm->db, &g->call, &s->farm->reading, on_call); /* each answer is used before the next one comes */
    return STEP_WAIT;
}

static void match_offer(const struct greeting *g, unsigned offer, const char **skip)
{
    struct session *s = g->session;
    for (unsigned i = 0; i < s->known->targets.count; i++) {
        const struct db_target *t = &s->known->targets.items[i];
        if (strcmp(t->abi, g->offers[offer].abi) != 0 || strcmp(t->platform, g->offers[offer].platform) != 0)
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
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    const char *skip = NULL;
    if (g->call_error)
        return task_fail(t, g->call_error, "the database refused: %s", g->call.message);
    if (s->known)
        return STEP_NEXT;
    keep_targets(s);
    for (unsigned i = 0; i < g->offer_count; i++)
        match_offer(g, i, &skip);
    if (s->offered)
        return STEP_NEXT;
    if (skip)
        return task_fail(t, -ENOENT, "the target of slave %s is skipped: %s", s->label, skip);
    return task_fail(t, -ENOENT, "no target is %s on %s, which slave %s builds for; to make one: piwheels target add NAME "
                     "--abi %s --platform %s", g->offers[0].abi, g->offers[0].platform, s->label, g->offers[0].abi,
                     g->offers[0].platform);
}

static enum step note_slave(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    if (s->slave)
        return STEP_NEXT;
    db_slave_seen(s->farm->db, &g->call, s->label, s->system, s->hardware, wire_key(s->wire), s->offered, s->networks,
                  &g->standing, on_call);
    return STEP_WAIT;
}

/* It is told to stop it after ACK. */
static void lose_held(struct greeting *g)
{
    g->held[g->held_at] = -g->held[g->held_at];
    g->held_at++;
}

/* Its builds from before are nobody's. */
static void give_up_what_it_holds(struct greeting *g)
{
    while (g->held_at < g->held_count)
        lose_held(g);
}

static enum step judge_standing(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    char why[SESSION_REASON_SIZE];
    if (s->slave)
        return STEP_NEXT;
    if (g->call_error)
        return task_fail(t, g->call_error, "the database refused: %s", g->call.message);
    s->slave = g->standing.slave;
    if (!trust_judge(s, &g->standing, why, sizeof why))
        return task_fail(t, -EPERM, "%s", why);
    if (s->trust == DB_WAITING)
        give_up_what_it_holds(g);
    return STEP_NEXT;
}

static enum step take_back(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    memset(&g->taken_back, 0, sizeof g->taken_back);
    if (g->held_at == g->held_count)
        return STEP_NEXT;
    if (files_recording(s->farm->files, g->held[g->held_at])) { /* before we ask: the answer could come when it is recorded */
        lose_held(g);
        return STEP_AGAIN;
    }
    queue_take_back(s->farm->queue, &g->call, g->held[g->held_at], s->slave, &g->taken_back, on_call);
    return STEP_WAIT;
}

static enum step check_taken_back(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    if (g->held_at == g->held_count)
        return STEP_NEXT;
    if (g->call_error || g->taken_back.attempt != g->held[g->held_at]) {
        lose_held(g);
    } else {
        attempt_begin(s, &g->taken_back);
        g->held_at++;
    }
    g->call_error = 0;
    return STEP_AGAIN;
}

static void stop_what_is_lost(const struct greeting *g)
{
    for (unsigned i = 0; i < g->held_count; i++) {
        if (g->held[i] < 0)
            attempt_stop(g->session, -g->held[i], files_recording(g->session->farm->files, -g->held[i])
                                             ? "its result is being recorded already"
                                             : "the build was given to another or is not wanted any more");
    }
}

static enum step welcome(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    struct message m = {.verb = VERB_ACK, .ack = {.slave = (uint64_t)s->slave, .index_url = s->farm->index_url,
                                                   .lease_ms = (uint64_t)s->farm->settings.lease_ms}};
    snprintf(s->name, sizeof s->name, "slave %lld (%s)", (long long)s->slave, s->label);
    s->state = s->trust == DB_ACCEPTED ? SESSION_READY : SESSION_WAITING;
    wire_set_stranger(s->wire, s->state == SESSION_WAITING);
    session_say(s, &m);
    if (session_may_tell(s))
        log_info("farm", "%s: connected (%s, %s, sandbox %s, from %s)", s->name, s->system, s->hardware, s->sandbox, wire_peer(s->wire));
    if (s->state == SESSION_WAITING && session_may_tell(s))
        log_warning("farm", "%s: waits to be accepted; if its key is %s, type: piwheels slaves accept %s", s->name,
                    wire_key(s->wire), s->label);
    stop_what_is_lost(g);
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
    db_cancel(&container_of(t, struct greeting, task)->call);
}

static void on_greeted(struct task *t)
{
    struct greeting *g = container_of(t, struct greeting, task);
    struct session *s = g->session;
    s->greeting = NULL;
    if (t->error && s->state == SESSION_GREETING)
        session_refuse(s, "%s", t->reason);
    free(g);
    session_check_end(s);
}

static void greet(struct greeting *g)
{
    g->session->state = SESSION_GREETING;
    g->task.name = "greeting";
    g->task.steps = greeting_steps;
    g->task.finished = on_greeted;
    g->task.cancel = on_greeting_cancel;
    task_start(g->session->farm->loop, &g->task);
}

void greeting_cancel(struct session *s)
{
    if (s->greeting)
        task_cancel(&s->greeting->task);
}

void greeting_hello(struct session *s, const struct message *m)
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
    s->greeting = greeting_new(s, &m->hello);
    greet(s->greeting);
}
