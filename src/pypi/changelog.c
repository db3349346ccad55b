/*
 * Follows PyPI's changelog, event by event; started by pypi_open beside the follower (follow.c), which compares what events
 * alone do not tell. Two tasks:
 *
 *     fetch   where to go on → read targets → ask for changes → check them → hand over → pause → (again)
 *     keep    wait for an answer → store events, batch by batch → (again)
 *
 * An answer is handed over only when it is complete and in order. Whatever goes wrong means "later", never "no more
 * events": the cursor moves in the transaction that stores, and from there it goes on.
 */
#include "changelog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define MAX_ANSWER_BYTES (64u << 20)      /* of XML */
#define MAX_ROWS_BYTES ((size_t)20 << 20) /* of an answer as COPY has it: of a larger one the rest is asked for again */
#define MANY_ROWS 1000                    /* after so many more may wait */
#define FAR_BEHIND 50000                  /* serials: what PyPI gives in one answer */
#define FOREVER_MS UINT64_MAX

static struct changelog *of_fetch(struct task *t)
{
    return container_of(t, struct changelog, fetch);
}

static struct changelog *of_keep(struct task *t)
{
    return container_of(t, struct changelog, keep);
}

/* ---- asking PyPI ---------------------------------------------------------------------------------- */

static void on_response(struct http_request *r, int error)
{
    struct changelog *c = container_of(r, struct changelog, request);

    c->requesting = false;
    c->error = error;
    task_resume(&c->fetch);
}

static bool on_row(void *owner, const struct changelog_row *row)
{
    struct changelog *c = owner;
    struct changelog_event e;

    c->disorder = row->serial <= c->at;
    if (c->disorder)
        return false;
    c->at = row->serial;
    switch (changelog_event_read(row, &c->fits, &e)) {
    case ROW_UNKNOWN:
        changelog_note_unknown(c, row);
        changelog_add(&c->fetched, &e.event);
        break;
    case ROW_EVENT:
        changelog_add(&c->fetched, &e.event);
        break;
    case ROW_REFUSED:
        changelog_note_refused(c, row, e.why);
        break;
    case ROW_NOTHING:
        break;
    }
    return c->fetched.bytes < MAX_ROWS_BYTES;
}

/* What is wrong with an answer is told at its end: the rest of it is let pass. */
static bool on_data(struct http_request *r, const char *data, size_t len)
{
    struct changelog *c = container_of(r, struct changelog, request);

    if (c->parse_error == 0)
        c->parse_error = changelog_xml_feed(&c->xml, data, len);
    return true;
}

static void ask(struct changelog *c, const char *method, const char *parameters)
{
    char *call = mem_format("<?xml version='1.0'?>\n<methodCall><methodName>%s</methodName><params>%s</params></methodCall>\n",
                            method, parameters);

    changelog_xml_release(&c->xml);
    c->xml = (struct changelog_xml){.row = on_row, .owner = c};
    changelog_xml_init(&c->xml);
    c->parse_error = 0;
    c->disorder = false;
    c->request = (struct http_request){
        .url = c->settings->xmlrpc_url, .accept = "text/xml", .post = call, .post_type = "text/xml", .urgent = true,
        .max_bytes = MAX_ANSWER_BYTES, .sink = on_data, .timeout_ms = c->settings->patience_ms,
        .slow_s = c->settings->slow_s, .done = on_response};
    c->asked_ms = clock_steady_ms();
    c->requesting = true;
    http_get(c->http, &c->request);
    free(call);
}

/* This round has failed: the rest of its steps are passed over. */
#define FAIL(c, ...) ((c)->failed = true, (c)->wait_ms = changelog_failed(c, __VA_ARGS__))

static void check_fault(struct changelog *c)
{
    int64_t reset_ms = changelog_reset_ms(c->xml.fault);
    bool busy = reset_ms >= 0 || strstr(c->xml.fault, "TooManyRequests") != NULL;

    FAIL(c, busy ? TROUBLE_BUSY : TROUBLE_FAULT, reset_ms, "PyPI refuses: %.150s (fault %" PRId64 ")", c->xml.fault,
         c->xml.fault_code);
}

/* The body of an answer with status 200. */
static void check_body(struct changelog *c, enum changelog_answer_kind wanted)
{
    const char *type = c->request.content_type;

    if (c->parse_error == 0)
        c->parse_error = changelog_xml_end(&c->xml);
    if (strcmp(type, "text/xml") != 0 && strcmp(type, "application/xml") != 0)
        FAIL(c, TROUBLE_MALFORMED, -1, "PyPI answers with %s where XML was asked for", type[0] != '\0' ? type : "nothing known");
    else if (c->disorder)
        FAIL(c, TROUBLE_DISORDER, -1, "PyPI's answer is out of order: what follows serial %" PRId64 " is not above it", c->at);
    else if (c->parse_error == -EPROTO)
        FAIL(c, TROUBLE_MALFORMED, -1, "PyPI's answer is not what it should be: %s", c->xml.reason);
    else if (c->parse_error == 0 && c->xml.answer == ANSWER_FAULT)
        check_fault(c);
    else if (c->parse_error == 0 && c->xml.answer != wanted)
        FAIL(c, TROUBLE_MALFORMED, -1, "PyPI answers another question");
}

/* Whether PyPI has answered in full what it was asked; else the round has failed. */
static bool check_response(struct changelog *c, enum changelog_answer_kind wanted)
{
    const struct http_request *r = &c->request;

    if (c->error != 0)
        FAIL(c, c->error == -ETIMEDOUT ? TROUBLE_SLOW : TROUBLE_UNREACHABLE, -1, "PyPI cannot be asked: %s", r->reason);
    else if (r->status != 200)
        FAIL(c, r->status == 429 ? TROUBLE_BUSY : TROUBLE_STATUS, r->retry_after_ms, "PyPI answers with status %d%s", r->status,
             r->status == 429 ? " (too many requests)" : "");
    else
        check_body(c, wanted);
    http_request_release(&c->request);
    if (!c->failed)
        c->state.answered_ms = clock_steady_ms();
    return !c->failed;
}

/* ---- fetch, in order ------------------------------------------------------------------------------ */

static void on_fetch_call(struct db_call *call, int error)
{
    struct changelog *c = container_of(call, struct changelog, fetch_call);

    c->calling = false;
    c->error = error;
    task_resume(&c->fetch);
}

/* Whether the call to the database went well; else the round has failed. */
static bool check_call(struct changelog *c)
{
    if (c->error != 0)
        FAIL(c, TROUBLE_DATABASE, -1, "the database refuses: %.170s", c->fetch_call.message);
    return !c->failed;
}

static enum step ask_newest(struct task *t)
{
    struct changelog *c = of_fetch(t);

    c->failed = c->refused; /* the keeper said why, and for how long to wait */
    if (c->refused) {
        c->begun = c->refused = false;
        c->wait_ms = c->refused_wait_ms;
    }
    if (c->failed || c->begun)
        return STEP_NEXT;
    ask(c, "changelog_last_serial", "");
    return STEP_WAIT;
}

static enum step begin_following(struct task *t)
{
    struct changelog *c = of_fetch(t);

    if (c->failed || c->begun || !check_response(c, ANSWER_NUMBER))
        return STEP_NEXT;
    c->state.newest = c->xml.number;
    c->calling = true;
    db_follow_begin(c->db, &c->fetch_call, c->settings->follow_all ? "all" : "listed", c->state.newest, &c->asked_from,
                    on_fetch_call);
    return STEP_WAIT;
}

static enum step note_beginning(struct task *t)
{
    struct changelog *c = of_fetch(t);
    struct changelog_state *s = &c->state;

    if (c->failed || c->begun || !check_call(c))
        return STEP_NEXT;
    c->begun = s->known = true;
    c->stored_once = false;
    s->serial = s->told_serial = c->asked_from;
    s->told_ms = clock_steady_ms();
    log_info("pypi", "changelog: goes on from serial %" PRId64 " of %" PRId64 " (%s)", c->asked_from, s->newest,
             c->settings->follow_all ? "all packages" : "listed packages");
    if (c->asked_from > s->newest)
        log_warning("pypi", "changelog: PyPI's newest serial, %" PRId64 ", is below %" PRId64 ", which was read before: nothing is "
                    "heard of until PyPI is past that. Another index needs a database of its own; see to --pypi-xmlrpc",
                    s->newest, c->asked_from);
    return STEP_NEXT;
}

static enum step read_targets(struct task *t)
{
    struct changelog *c = of_fetch(t);

    if (c->failed)
        return STEP_NEXT;
    c->calling = true;
    db_targets(c->db, &c->fetch_call, &c->targets, on_fetch_call);
    return STEP_WAIT;
}

static enum step ask_changes(struct task *t)
{
    struct changelog *c = of_fetch(t);
    char parameters[96];

    if (c->failed || !check_call(c))
        return STEP_NEXT;
    fits_set(&c->fits, &c->targets);
    c->at = c->fetched.from = c->asked_from;
    snprintf(parameters, sizeof parameters, "<param><value><int>%" PRId64 "</int></value></param>", c->asked_from);
    ask(c, "changelog_since_serial", parameters);
    return STEP_WAIT;
}

/* All has been read when PyPI has nothing more, or what was its newest when it was asked. */
static enum step check_changes(struct task *t)
{
    struct changelog *c = of_fetch(t);
    struct changelog_state *s = &c->state;
    struct changelog_answer *a = &c->fetched;

    if (c->failed)
        return STEP_NEXT;
    if (!check_response(c, ANSWER_ROWS)) {
        changelog_drop(a);
        return STEP_NEXT;
    }
    if (s->trouble != TROUBLE_DATABASE) /* of which only storing tells that it is over */
        changelog_recovered(c);
    if (c->at > s->newest || c->xml.rows == 0)
        s->newest = c->at;
    a->to = c->at;
    a->all_read = c->at >= s->newest;
    a->quiet = !a->all_read && s->newest - c->asked_from > FAR_BEHIND;
    if (a->last != NULL)
        a->last->to = c->at; /* rows that mean nothing are dealt with too */
    uint64_t pause_ms = c->xml.rows >= MANY_ROWS || !a->all_read ? c->settings->pace_ms : c->settings->changelog_ms;
    uint64_t took_ms = (uint64_t)(clock_steady_ms() - c->asked_ms);
    c->wait_ms = pause_ms > took_ms ? pause_ms - took_ms : 0;
    return STEP_NEXT;
}

static enum step wait_for_keeper(struct task *t)
{
    struct changelog *c = of_fetch(t);

    if (c->failed || c->idle)
        return STEP_NEXT;
    c->waits_for_keeper = true;
    return task_pause(t, FOREVER_MS);
}

/* An answer that the keeper could not store makes the one that follows it useless. */
static enum step hand_over(struct task *t)
{
    struct changelog *c = of_fetch(t);

    c->waits_for_keeper = false;
    if (c->failed || c->refused) {
        changelog_drop(&c->fetched);
        return STEP_NEXT;
    }
    c->asked_from = c->at;
    c->idle = false;
    c->kept = c->fetched;
    c->fetched = (struct changelog_answer){.first = NULL};
    task_wake(&c->keep);
    return STEP_NEXT;
}

static enum step rest(struct task *t)
{
    struct changelog *c = of_fetch(t);

    c->state.next_ms = clock_steady_ms() + (int64_t)c->wait_ms;
    return c->wait_ms > 0 ? task_pause(t, c->wait_ms) : STEP_AGAIN;
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step changelog_steps[] = {
    {"ask for the newest serial", ask_newest},
    {"begin to follow", begin_following},
    {"note the beginning", note_beginning},
    {"read targets", read_targets},
    {"ask for changes", ask_changes},
    {"check the changes", check_changes},
    {"wait for the keeper", wait_for_keeper},
    {"hand over", hand_over},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

/* ---- keep, in order ------------------------------------------------------------------------------- */

static enum step wait_for_answer(struct task *t)
{
    struct changelog *c = of_keep(t);

    c->keep_error = 0;
    if (c->kept.first != NULL)
        return STEP_NEXT;
    c->idle = true;
    if (c->waits_for_keeper)
        task_wake(&c->fetch);
    return task_pause(t, FOREVER_MS);
}

static void on_keep_call(struct db_call *call, int error)
{
    struct changelog *c = container_of(call, struct changelog, keep_call);

    c->keep_error = error;
    task_resume(&c->keep);
}

/* An answer that means nothing here moves the cursor all the same; and the first one tells the database that its history
 * has been read, if that is so. */
static enum step store_events(struct task *t)
{
    struct changelog *c = of_keep(t);
    struct changelog_batch *b = c->kept.first;
    struct buf rows;

    if (b == NULL && c->kept.to <= c->state.serial && c->stored_once)
        return STEP_NEXT;
    struct db_events events = {.from = b != NULL ? b->from : c->state.serial, .to = b != NULL ? b->to : c->kept.to,
                               .follow_all = c->settings->follow_all, .quiet = c->kept.quiet};
    if (b != NULL)
        changelog_copy_rows(b, &rows);
    else
        buf_init(&rows, 1);
    db_events_store(c->db, &c->keep_call, &rows, &events, &c->applied, on_keep_call);
    return STEP_WAIT;
}

/* Whether the refusal is of the events themselves and will come again: their data, a constraint, a limit, an exception. */
static bool is_of_the_data(const struct db_call *call)
{
    static const char *const classes[] = {"21", "22", "23", "54", "P0"}; /* PostgreSQL manual, "Error Codes" */

    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (text_starts(call->sqlstate, classes[i]))
            return true;
    return false;
}

/* One event that cannot be stored must not hold up all that come after it: it is looked for, named and passed over. */
static bool narrow_down(struct changelog *c)
{
    struct changelog_batch *b = c->kept.first;
    char name[256];
    int64_t serial;

    if (b == NULL || b->events == 0 || !is_of_the_data(&c->keep_call))
        return false;
    if (b->events > 1) {
        changelog_halve(&c->kept);
    } else {
        changelog_pass_over(&c->kept, name, sizeof name, &serial);
        changelog_note_passed(c, name, serial, c->keep_call.message);
    }
    return true;
}

/* What cannot be stored now is asked for again, from where the database stands. */
static void note_refusal(struct changelog *c)
{
    changelog_drop(&c->kept);
    c->refused_wait_ms = changelog_failed(c, TROUBLE_DATABASE, -1, "the database refuses: %.170s", c->keep_call.message);
    c->refused = true;
}

static void note_stored(struct changelog *c)
{
    struct changelog_state *s = &c->state;
    struct changelog_batch *b = c->kept.first;

    if (c->was_quiet && !c->kept.quiet)
        log_info("pypi", "changelog: the history has been read; now it is followed");
    s->serial = b != NULL ? b->to : c->kept.to;
    s->events += b != NULL ? b->events : 0;
    if (b != NULL)
        changelog_drop_first(&c->kept);
    if (c->kept.first == NULL)
        s->all_read = c->kept.all_read;
    c->stored_once = true;
    c->was_quiet = c->kept.quiet;
    if (s->trouble == TROUBLE_DATABASE)
        changelog_recovered(c);
    changelog_progress(c, c->kept.quiet);
    c->stored(c, &c->applied);
}

static enum step check_stored(struct task *t)
{
    struct changelog *c = of_keep(t);

    if (c->keep_error == 0)
        note_stored(c);
    else if (!narrow_down(c))
        note_refusal(c);
    db_ended_release(&c->applied.ended);
    c->applied.jobs = false;
    return STEP_AGAIN;
}

static const struct task_step events_steps[] = {
    {"wait for an answer", wait_for_answer},
    {"store events", store_events},
    {"check what is stored", check_stored},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void on_cancel_fetch(struct task *t)
{
    struct changelog *c = of_fetch(t);

    if (c->requesting)
        http_cancel(&c->request);
    if (c->calling)
        db_cancel(&c->fetch_call);
}

static void on_cancel_keep(struct task *t)
{
    db_cancel(&of_keep(t)->keep_call);
}

static void note_end(struct changelog *c)
{
    if (--c->tasks > 0)
        return;
    changelog_drop(&c->fetched);
    changelog_drop(&c->kept);
    db_ended_release(&c->applied.ended);
    http_request_release(&c->request);
    changelog_xml_release(&c->xml);
    fits_release(&c->fits);
    c->ended(c);
}

static void on_fetch_finished(struct task *t)
{
    note_end(of_fetch(t));
}

static void on_keep_finished(struct task *t)
{
    note_end(of_keep(t));
}

void changelog_start(struct changelog *c, uv_loop_t *loop)
{
    c->tasks = 2;
    c->fetch = (struct task){.name = "changelog", .steps = changelog_steps, .cancel = on_cancel_fetch,
                             .finished = on_fetch_finished};
    c->keep = (struct task){.name = "events", .steps = events_steps, .cancel = on_cancel_keep, .finished = on_keep_finished};
    task_start(loop, &c->keep);
    task_start(loop, &c->fetch);
}

void changelog_stop(struct changelog *c)
{
    task_cancel(&c->fetch);
    task_cancel(&c->keep);
}
