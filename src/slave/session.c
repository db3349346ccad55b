/*
 * The life of a connection: connect, HELLO, then whatever the tables of table.c say, and again after a pause
 * when it is lost. slave.c starts it and makes it leave.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "core/text.h"
#include "io/key.h"
#include "io/wire.h"
#include "known.h"
#include "machine.h"

#define KNOWN_WHY_SIZE 1500
#define FIRST_PAUSE_MS 1000
#define LONGEST_PAUSE_MS 60000
#define TICK_MS 1000
#define ASK_AGAIN_MS 60000          /* a sleeping slave asks anyway */
#define PATIENCE_MS 90000           /* for an answer that costs the master nothing */
#define LONG_PATIENCE_MS 900000     /* while it verifies and publishes */

static void connect_now(struct session *s);
static void end_when_idle(struct session *s);

static void set_state(struct session *s, enum session_state state)
{
    log_debug("slave", "slave: %s -> %s", table_session_name(s->state), table_session_name(state));
    s->state = state;
}

/* ---- what the slave says ---- */

/* Those that are being ended are not ours any more. */
static void list_attempts(const struct session *s, struct msg_hello *m)
{
    for (const struct attempt *a = s->attempts.first; a != NULL; a = a->next)
        if (a->state != ATTEMPT_ENDING)
            m->attempts.items[m->attempts.count++].attempt = a->id;
}

static void list_offers(const struct session *s, struct msg_hello *m)
{
    for (unsigned i = 0; i < s->pythons->count; i++) {
        const struct slave_python *p = &s->pythons->items[i].facts;
        m->offers.items[m->offers.count++] = (struct rec_offer){.abi = p->abi, .platform = p->platform, .python = p->version};
    }
}

static void say_hello(struct session *s)
{
    struct message m = {VERB_HELLO, .hello = {
        .version = PIWHEELS_VERSION, .label = s->label, .system = s->system, .hardware = s->hardware,
        .clock_ms = (uint64_t)clock_wall_ms(), .timeout_ms = s->limits->timeout_ms,
        .sandbox = sandbox_level_name(s->sandbox->level), .network = network_name(s->sandbox->network),
        .network_most = network_name(s->sandbox->network_most),
        .jobs = s->jobs, .memory_bytes = s->limits->memory_bytes}};

    for (size_t i = 0; i < s->proof->count; i++)
        m.hello.barriers.items[m.hello.barriers.count++] = (struct rec_barrier){
            s->proof->rows[i].name, proof_result_name(s->proof->rows[i].result)};
    list_offers(s, &m.hello);
    list_attempts(s, &m.hello);
    wire_send(s->wire, &m);
}

/* Why it takes no new builds, as half a sentence; NULL when it does. */
static const char *why_none(const struct session *s)
{
    if (s->shortage.level != SHORTAGE_NONE)
        return s->shortage.text;
    return s->rests ? "the index does not answer as it should" : NULL;
}

static void tell_systemd(const struct session *s)
{
    char status[400];
    const char *why = why_none(s);

    if (s->state == SESSION_AWAY || s->state == SESSION_GREETING)
        snprintf(status, sizeof status, "no connection to %s (%u of %u builds)", s->master, s->attempts.count, s->jobs);
    else if (why != NULL)
        snprintf(status, sizeof status, "takes no new builds: %s", why);
    else if (s->attempts.count > 0)
        snprintf(status, sizeof status, "%u of %u builds", s->attempts.count, s->jobs);
    else
        snprintf(status, sizeof status, "%s", s->waits_for != NULL ? s->waits_for : "waiting for work");
    notify_status(status);
}

/* For all free places or, where it takes no new builds, for none: so that the master knows. */
static void ask_for_work(struct session *s)
{
    struct message m = {VERB_IDLE, .idle = {.shortage = ""}};
    const char *why = why_none(s);

    s->short_told = why != NULL;
    s->asked = s->short_told ? 0 : s->jobs - s->attempts.count;
    m.idle.slots = s->asked;
    if (s->short_told)
        m.idle.shortage = why;
    means_say(s->means, s->wire);
    machine_read(s->dir, &m.idle.machine);
    set_state(s, SESSION_ASKING);
    s->asked_ms = s->quiet_since_ms = clock_steady_ms();
    wire_send(s->wire, &m);
}

static void ask_if_free(struct session *s)
{
    if (s->attempts.count < s->jobs)
        ask_for_work(s);
    else
        set_state(s, SESSION_WORKING);
}

/* ---- room and index ---- */

static void look_for_shortage(struct session *s)
{
    struct room free;

    shortage_look(s->dir, &free);
    shortage_judge(&s->wanted, &free, &s->shortage);
    if (s->shortage.level != SHORTAGE_TOO_LOW)
        return;
    const struct attempt *ended = attempts_give_up_newest(&s->attempts, s->shortage.reason, s->shortage.text);
    if (ended != NULL)
        log_warning("slave", "slave: ends its newest build, attempt %llu: %s", (unsigned long long)ended->id, s->shortage.text);
}

/* Whether there is room for builds, and an index. */
static void look_around(struct session *s)
{
    int64_t now_ms = clock_steady_ms();
    bool took = why_none(s) == NULL;

    look_for_shortage(s);
    s->rests = outage_rests(&s->outage, now_ms);
    const char *why = why_none(s);
    if ((why == NULL) == took)
        return;
    if (why == NULL)
        log_info("slave", "slave: takes new builds again");
    else if (s->rests)
        log_warning("slave", "slave: takes no new builds for %lld s: %s", (long long)s->outage.rest_ms / 1000, why);
    else
        log_warning("slave", "slave: takes no new builds: %s", why);
    tell_systemd(s);
}

/* ---- deeds ---- */

static bool is_index_url(const char *url)
{
    if (!text_starts(url, "http://") && !text_starts(url, "https://"))
        return false;
    for (const char *c = url; *c != '\0'; c++)
        if (*c <= ' ' || *c == 0x7f)
            return false;
    return true;
}

static void be_welcome(struct session *s, const struct msg_ack *m)
{
    char targets[512];

    if (!is_index_url(m->index_url)) {
        wire_drop(s->wire, "the master's index is not an http or https URL");
        return;
    }
    log_info("slave", "slave: connected to %s as slave %llu (builds for %s, %u at once)", wire_peer(s->wire),
             (unsigned long long)m->slave, pythons_tell(s->pythons, targets, sizeof targets), s->jobs);
    free(s->index_url);
    s->index_url = mem_text(m->index_url);
    s->lease_ms = (int64_t)m->lease_ms;
    s->back_off_ms = 0;
    attempts_connected(&s->attempts, s->wire, s->lease_ms);
    ask_if_free(s);
    tell_systemd(s);
}

static void on_attempt_gone(struct attempt *a, void *owner)
{
    struct session *s = owner;
    attempts_remove(&s->attempts, a);
    outage_note(&s->outage, &a->build.verdict, a->build.started_ms, clock_steady_ms());
    look_around(s);
    tell_systemd(s);
    if (s->state == SESSION_WORKING || s->state == SESSION_SLEEPING)
        ask_for_work(s);
    end_when_idle(s);
}

/* Why the master should not have said this BUILD; NULL when it may. */
static const char *refusal_of(const struct session *s, const struct msg_build *m, const struct python *python)
{
    if (python == NULL)
        return "the master wants a build for a target that this slave did not offer";
    if (s->asked == 0)
        return "the master hands out more builds than were asked for";
    if (attempts_find(&s->attempts, m->attempt) != NULL)
        return "the master hands out an attempt that this slave has already";
    return NULL;
}

static void begin_build(struct session *s, const struct msg_build *m)
{
    const struct python *python = pythons_find(s->pythons, m->abi, m->platform);
    const char *refusal = refusal_of(s, m, python);

    if (refusal != NULL) {
        wire_drop(s->wire, refusal);
        return;
    }
    struct attempt *a = attempt_start(&python->place, m, s->index_url, on_attempt_gone, s);
    attempts_add(&s->attempts, a);
    attempt_connected(a, s->wire, s->lease_ms);
    tell_systemd(s);
    if (--s->asked == 0)
        ask_if_free(s); /* one may have ended meanwhile */
}

/* What a person must do is told when it changes, with the key that is to be accepted. */
static void go_to_sleep(struct session *s, const char *reason)
{
    bool told = s->waits_for != NULL && strcmp(s->waits_for, reason) == 0;
    set_state(s, SESSION_SLEEPING);
    if (reason[0] != '\0' && !told)
        log_warning("slave", "slave: %s%s%s%s", reason, s->key != NULL ? " (this slave's key is " : "",
                    s->key != NULL ? key_print(s->key) : "", s->key != NULL ? ")" : "");
    else if (reason[0] == '\0' && s->waits_for != NULL)
        log_info("slave", "slave: may build now");
    free(s->waits_for);
    s->waits_for = reason[0] != '\0' ? mem_text(reason) : NULL;
    tell_systemd(s);
}

bool session_is_version_refusal(const char *reason)
{
    return strstr(reason, "version") != NULL && strstr(reason, PIWHEELS_VERSION) != NULL;
}

/* The master closes behind its ERROR; another version of it will not take us however often we come. */
static void give_up(struct session *s, const struct msg_error *m)
{
    bool version = s->state == SESSION_GREETING && session_is_version_refusal(m->reason);

    log_error("slave", "slave: the master refuses: %s", m->reason);
    if (version) {
        s->refused = true;
        session_leave(s, "refused");
    } else {
        wire_finish(s->wire, "refused by the master");
    }
}

static void forget(struct attempt *a, const struct message *m)
{
    unsigned long long id = a->id;

    if (m->verb == VERB_STOP)
        log_info("slave", "slave: attempt %llu is to be stopped (%s)", id, m->stop.reason);
    else
        log_info("slave", "slave: attempt %llu is done (%s)", id, m->done.text);
    attempt_end(a);
}

/* ---- messages ---- */

static uint64_t attempt_of(const struct message *m)
{
    switch (m->verb) {
    case VERB_CONT:
        return m->cont.attempt;
    case VERB_SEND:
        return m->send.attempt;
    case VERB_DONE:
        return m->done.attempt;
    default:
        return m->stop.attempt;
    }
}

static void refuse(struct session *s, const struct message *m, const char *state)
{
    char reason[128];
    snprintf(reason, sizeof reason, "the master said %s, which has no place while %s",
             message_verb_name(m->verb), state);
    wire_drop(s->wire, reason);
}

static void do_attempt_deed(struct session *s, const struct message *m)
{
    struct attempt *a = attempts_find(&s->attempts, attempt_of(m));
    enum attempt_state state = a != NULL ? a->state : ATTEMPT_UNKNOWN;

    switch (table_attempt(state, m->verb)) {
    case DEED_IGNORE:
        break;
    case DEED_SEND_FILE:
        if (!attempt_send_file(a, (unsigned)m->send.file))
            wire_drop(s->wire, "the master wants a file that the build did not make");
        break;
    case DEED_FORGET:
        forget(a, m);
        break;
    default:
        refuse(s, m, a != NULL ? table_attempt_name(state) : "the attempt is not ours");
    }
}

static void on_message(struct wire *w, const struct message *m)
{
    struct session *s = wire_owner(w);

    s->quiet_since_ms = clock_steady_ms();
    switch (table_session(s->state, m->verb)) {
    case DEED_IGNORE:
        break;
    case DEED_WELCOME:
        be_welcome(s, &m->ack);
        break;
    case DEED_BUILD:
        begin_build(s, &m->build);
        break;
    case DEED_SLEEP:
        go_to_sleep(s, m->sleep.reason);
        break;
    case DEED_ASK:
        ask_for_work(s);
        break;
    case DEED_ATTEMPT:
        do_attempt_deed(s, m);
        break;
    case DEED_LEAVE:
        log_info("slave", "slave: told to end (%s)", m->die.reason);
        session_leave(s, "told to end");
        break;
    case DEED_GIVE_UP:
        give_up(s, &m->error);
        break;
    default:
        refuse(s, m, table_session_name(s->state));
    }
}

/* ---- the connection ---- */

/* Nothing is said to a master that shows another key than before. */
static bool is_our_master(struct session *s)
{
    char why[KNOWN_WHY_SIZE];
    if (s->key == NULL)
        return true;
    switch (known_check(s->known_masters, s->master, wire_key(s->wire), why, sizeof why)) {
    case KNOWN_NOW:
        log_warning("slave", "slave: met the master at %s for the first time: from now on its key must be %s (%s)", s->master,
                    wire_key(s->wire), s->known_masters);
        return true;
    case KNOWN:
        return true;
    default:
        log_error("slave", "slave: %s", why);
        return false;
    }
}

static void on_opened(struct wire *w)
{
    struct session *s = wire_owner(w);
    if (!is_our_master(s)) {
        wire_drop(w, "the master's key is not the one that is known");
        return;
    }
    set_state(s, SESSION_GREETING);
    s->quiet_since_ms = clock_steady_ms();
    say_hello(s);
}

/* Behind ACK. */
static bool is_welcome(const struct session *s)
{
    return s->state == SESSION_ASKING || s->state == SESSION_SLEEPING || s->state == SESSION_WORKING;
}

/* A file on its way over a slow line is a sign of life too. */
static void on_drained(struct wire *w)
{
    struct session *s = wire_owner(w);
    s->quiet_since_ms = clock_steady_ms();
    if (is_welcome(s))
        attempts_drained(&s->attempts);
}

uint64_t session_pause_ms(uint64_t *back_off_ms, uint32_t chance)
{
    uint64_t next_ms = *back_off_ms == 0 ? FIRST_PAUSE_MS : *back_off_ms * 2;
    *back_off_ms = next_ms < LONGEST_PAUSE_MS ? next_ms : LONGEST_PAUSE_MS;
    return *back_off_ms * 3 / 4 + chance % (*back_off_ms / 2);
}

static void on_retry(uv_timer_t *timer)
{
    connect_now(container_of(timer, struct session, retry));
}

static void on_closed(struct wire *w, const char *reason)
{
    struct session *s = wire_owner(w);
    uint32_t chance = 0;

    s->wire = NULL;
    means_forget(s->means);
    attempts_disconnected(&s->attempts);
    if (s->state == SESSION_LEAVING) {
        end_when_idle(s);
        return;
    }
    set_state(s, SESSION_AWAY);
    tell_systemd(s);
    uv_random(NULL, NULL, &chance, sizeof chance, 0, NULL);
    uint64_t pause_ms = session_pause_ms(&s->back_off_ms, chance);
    log_warning("slave", "slave: no connection to %s: %s (tries again in %.1f s)", s->master, reason,
                (double)pause_ms / 1000);
    uv_timer_start(&s->retry, on_retry, pause_ms, 0);
}

static void connect_now(struct session *s)
{
    static const struct wire_events events = {on_opened, on_message, on_drained, on_closed};
    s->wire = wire_connect(s->loop, s->master, s->key, &events, s);
}

/* ---- time ---- */

/* How long the master may be silent; 0: for ever. */
static int64_t patience_ms(const struct session *s)
{
    if (s->state == SESSION_GREETING || s->state == SESSION_ASKING || attempts_in(&s->attempts, ATTEMPT_BUILDING) > 0)
        return PATIENCE_MS;
    return s->attempts.count > 0 ? LONG_PATIENCE_MS : 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct session *s = container_of(timer, struct session, tick);
    int64_t now_ms = clock_steady_ms(), limit_ms = patience_ms(s);

    look_around(s);
    bool changed = s->short_told != (why_none(s) != NULL);
    if (s->state == SESSION_SLEEPING && (changed || now_ms - s->asked_ms >= ASK_AGAIN_MS))
        ask_for_work(s);
    if (is_welcome(s))
        attempts_tick(&s->attempts);
    if ((is_welcome(s) || s->state == SESSION_GREETING) && limit_ms != 0 && now_ms - s->quiet_since_ms >= limit_ms)
        wire_drop(s->wire, "the master is silent");
}

/* ---- beginning and end ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;
    if (--s->open_timers > 0)
        return;
    free(s->index_url);
    free(s->waits_for);
    s->index_url = s->waits_for = NULL;
    s->ended(s);
}

static void end_when_idle(struct session *s)
{
    if (s->state != SESSION_LEAVING || s->wire != NULL || s->attempts.count > 0)
        return;
    if (uv_is_closing((uv_handle_t *)&s->tick))
        return;
    uv_close((uv_handle_t *)&s->tick, on_timer_closed);
    uv_close((uv_handle_t *)&s->retry, on_timer_closed);
}

void session_leave(struct session *s, const char *reason)
{
    enum session_state before = s->state;

    if (before == SESSION_LEAVING)
        return;
    set_state(s, SESSION_LEAVING);
    uv_timer_stop(&s->retry);
    if (s->wire != NULL && before == SESSION_AWAY) {
        wire_drop(s->wire, reason);
    } else if (s->wire != NULL) {
        wire_send(s->wire, &(struct message){VERB_BYE, .bye = {.reason = reason}});
        wire_finish(s->wire, reason);
    }
    attempts_disconnected(&s->attempts);
    attempts_end(&s->attempts);
    end_when_idle(s);
}

void session_start(struct session *s)
{
    s->state = SESSION_AWAY;
    s->open_timers = 2;
    s->retry.data = s->tick.data = s;
    uv_timer_init(s->loop, &s->retry);
    uv_timer_init(s->loop, &s->tick);
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    look_around(s);
    notify_ready("connects to its master"); /* which may be away for long: systemd would end who is not ready in time */
    connect_now(s);
}
