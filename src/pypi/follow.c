/*
 * The follower's rhythm, part of the pypi stage: look which packages are due, compare them with PyPI in a few places at
 * once, pause. Started by pypi_open. One that fails or lags holds up nobody but itself. When to compare a package again is
 * kept in the database; what failed here is remembered only to wait longer each time and not to log it twice.
 */
#include "follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define LOOK_EVERY_MS 5000              /* others too make packages due: a new target makes all of them */
#define BEHIND_MS 2000                  /* a page that lags behind the changelog is soon there */
#define FOREVER_MS UINT64_MAX
#define MOST_HOLD_MS (60 * 60 * 1000)   /* whatever Retry-After says */
#define MOST_BACK_OFF_MS (24 * 60 * 60 * 1000)
#define MOST_DOUBLINGS 4

struct trouble {
    char name[256];
    char reason[TASK_REASON_SIZE];
    unsigned failures;
    bool logged;
    int64_t absent_ms;     /* since when its page has not been there; 0: it was, or nobody knows; steady clock, as the next */
    int64_t lost_ms;       /* when its page was seen to lack more of what it had than before; 0: it has not been */
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

static struct trouble *make_trouble(struct follower *f, const char *name)
{
    struct trouble **at = find_trouble(f, name);
    if (*at == NULL) {
        *at = mem_new(1, sizeof **at);
        text_copy((*at)->name, sizeof (*at)->name, name);
    }
    (*at)->failures++;
    return *at;
}

static void forget_trouble(struct trouble **at)
{
    struct trouble *trouble = *at;
    *at = trouble->next;
    free(trouble);
}

/* Logs a failure once: not at every round, and one that strikes all packages not for each of them. */
static void complain(struct follower *f, struct trouble *trouble, const char *reason, int64_t wait_ms)
{
    char span[CLOCK_TEXT_SIZE];

    if (strcmp(trouble->reason, reason) == 0)
        return;
    text_copy(trouble->reason, sizeof trouble->reason, reason);
    trouble->logged = strcmp(f->complaint, reason) != 0;
    if (trouble->logged)
        log_warning("pypi", "%s: could not be compared with PyPI (%s); again in %s", trouble->name, reason,
                    clock_span(wait_ms, span));
    text_copy(f->complaint, sizeof f->complaint, reason);
}

/* How long to wait. */
static int64_t note_failure(struct follower *f, const struct project *p)
{
    struct trouble *trouble = make_trouble(f, p->name);
    uint64_t base_ms = f->settings->poll_ms;

    if (p->behind && base_ms > BEHIND_MS)
        base_ms = BEHIND_MS;
    int64_t wait_ms = follower_back_off_ms(base_ms, trouble->failures, p->retry_after_ms);
    if (p->task.error == -ENOENT && trouble->absent_ms == 0)
        trouble->absent_ms = clock_steady_ms();
    complain(f, trouble, p->task.reason, wait_ms);
    return wait_ms;
}

/* The page lacks what it had. It was stored, and has its next time. */
static void note_lack(struct follower *f, const struct project *p)
{
    struct trouble *trouble = make_trouble(f, p->name);

    if (p->compared.missed > 0 || trouble->lost_ms == 0)
        trouble->lost_ms = clock_steady_ms();
    complain(f, trouble, p->task.reason, (int64_t)f->settings->poll_ms);
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

/* Where a page is not there the index may not be itself: the wrong address, a mirror that is being filled. So it is believed
 * at the second look, and if other pages were asked for and were there meanwhile, with all that they had before. */
static bool is_gone(struct follower *f, const char *name)
{
    const struct trouble *trouble = *find_trouble(f, name);
    return trouble != NULL && trouble->absent_ms > 0 && f->found_ms > trouble->absent_ms;
}

/* The same of a page that is there and lacks most of what it had; the second look is the database's (project_missing). */
static bool is_believed(struct follower *f, const char *name)
{
    const struct trouble *trouble = *find_trouble(f, name);
    return trouble != NULL && trouble->lost_ms > 0 && f->found_ms > trouble->lost_ms;
}

static void hold(struct follower *f, uint64_t ms)
{
    int64_t until_ms = clock_steady_ms() + (int64_t)(ms < MOST_HOLD_MS ? ms : MOST_HOLD_MS);
    if (f->hold_until_ms < until_ms)
        f->hold_until_ms = until_ms;
}

/* One that fails holds up nobody else. But where one after the other fails, the next must not be tried at once: a large farm's
 * packages would all be asked for, as fast as PyPI can say no. */
static void count_failures(struct follower *f, bool failed, const char *reason)
{
    char span[CLOCK_TEXT_SIZE];

    if (!failed && f->in_a_row >= FOLLOW_PLACES)
        log_info("pypi", "following: goes on (%u comparisons had failed, one after the other)", f->in_a_row);
    f->in_a_row = failed ? f->in_a_row + 1 : 0;
    if (f->in_a_row < FOLLOW_PLACES)
        return;
    uint64_t wait_ms = changelog_back_off_ms(f->settings->back_off_ms, f->settings->most_back_off_ms, f->in_a_row / FOLLOW_PLACES);
    hold(f, wait_ms);
    if (f->in_a_row == FOLLOW_PLACES)
        log_warning("pypi", "following: one comparison after the other fails, the last: %s; the next in %s, and so on", reason,
                    clock_span((int64_t)wait_ms, span));
}

/* ---- one comparison ------------------------------------------------------------------------------- */

static void check_end(struct follower *f)
{
    if (!f->over || f->busy > 0)
        return;
    while (f->troubles != NULL)
        forget_trouble(&f->troubles);
    f->ended(f);
}

static void leave_place(struct comparison *place)
{
    struct follower *f = place->follower;

    db_ended_release(&place->ended);
    place->follower = NULL;
    f->busy--;
    task_wake(&f->task);
    check_end(f);
}

static void on_noted(struct db_call *call, int error)
{
    struct comparison *place = container_of(call, struct comparison, call);

    place->calling = false;
    if (error == -EREMOTEIO)
        log_error("pypi", "%s: the database refused what followed its comparison: %s", place->name, call->message);
    leave_place(place);
}

static void on_gone(struct db_call *call, int error)
{
    struct comparison *place = container_of(call, struct comparison, call);
    struct follower *f = place->follower;

    if (error == 0) {
        log_info("pypi", "%s: PyPI has it no more; it is removed here too", place->name);
        f->withdrawn(f, &place->ended);
        f->stored(f);
    }
    on_noted(call, error);
}

/* What the page took back, or gave back. */
static void tell_compared(struct follower *f, const struct project *p)
{
    const struct db_compared *c = &p->compared;

    if (strcmp(c->turned, "quarantined") == 0)
        log_info("pypi", "%s: PyPI has quarantined it, as its page tells; nothing of it is built or offered until it is cleared", p->name);
    else if (c->turned[0] != '\0')
        log_info("pypi", "%s: PyPI has cleared it, as its page tells; what was withheld comes back", p->name);
    if (c->removed > 0)
        log_info("pypi", "%s: PyPI has %u release%s of it no more (%s%s); removed here too", p->name, c->removed,
                 c->removed == 1 ? "" : "s", c->removed_names, c->removed > DB_NAMED_RELEASES ? ", …" : "");
    f->withdrawn(f, &c->ended);
}

/* What was stored has its next time already; the others get theirs here. */
static void on_compared(struct project *p, int error)
{
    struct comparison *place = p->owner;
    struct follower *f = place->follower;
    int64_t wait_ms = (int64_t)f->settings->poll_ms;
    bool stored = (error == 0 && !p->unchanged) || error == -ESTALE, gone = error == -ENOENT && is_gone(f, p->name);

    place->project = NULL;
    place->calling = error != -ECANCELED && !stored && !f->stopping;
    if (stored)
        tell_compared(f, p);
    if ((p->unchanged || p->whole) && f->found_ms < place->begun_ms)
        f->found_ms = place->begun_ms;
    if (error == 0 && !p->compared.behind)
        note_success(f, p->name);
    else if (gone)
        forget_trouble(find_trouble(f, p->name));
    else if (error == -ESTALE)
        note_lack(f, p);
    else if (error != 0 && error != -ECANCELED)
        wait_ms = note_failure(f, p);
    if (error != -ECANCELED)
        count_failures(f, error != 0 && !gone && !p->behind, p->task.reason);
    if (p->retry_after_ms > 0 && error != 0 && !p->behind)
        hold(f, (uint64_t)p->retry_after_ms);
    free(p);
    if (stored && !f->stopping)
        f->stored(f);
    if (!place->calling)
        leave_place(place);
    else if (gone)
        db_project_gone(f->db, &place->call, place->name, &place->ended, on_gone);
    else
        db_project_later(f->db, &place->call, place->name, wait_ms, on_noted);
}

static void begin_comparison(struct follower *f, struct comparison *place, const struct db_project *due)
{
    struct project *p = mem_new(1, sizeof *p);

    place->follower = f;
    place->project = p;
    place->begun_ms = clock_steady_ms();
    text_copy(place->name, sizeof place->name, due->name);
    f->busy++;
    p->db = f->db;
    p->http = f->http;
    p->settings = f->settings;
    p->refresh = true;
    p->needed = due->serial;
    p->believed = is_believed(f, due->name);
    p->done = on_compared;
    p->owner = place;
    text_copy(p->name, sizeof p->name, due->name);
    text_copy(p->spelling, sizeof p->spelling, due->name);
    text_copy(p->etag, sizeof p->etag, due->etag);
    project_start(f->loop, p);
    project_go(p);
}

static bool is_under_way(const struct follower *f, const char *name)
{
    for (size_t i = 0; i < FOLLOW_PLACES; i++)
        if (f->places[i].follower != NULL && strcmp(f->places[i].name, name) == 0)
            return true;
    return false;
}

static struct comparison *free_place(struct follower *f)
{
    for (size_t i = 0; i < FOLLOW_PLACES; i++)
        if (f->places[i].follower == NULL)
            return &f->places[i];
    return NULL;
}

/* ---- the steps, in order -------------------------------------------------------------------------- */

static void on_due(struct db_call *c, int error)
{
    struct follower *f = container_of(c, struct follower, call);

    f->calling = false;
    if (error == -EREMOTEIO) {
        log_error("pypi", "following: the database refused (%s): %s", task_step_name(&f->task), c->message);
        hold(f, LOOK_EVERY_MS);
    }
    task_resume(&f->task);
}

static bool is_held(const struct follower *f)
{
    return clock_steady_ms() < f->hold_until_ms;
}

static enum step look_for_due(struct task *t)
{
    struct follower *f = of(t);

    if (f->at < f->due.count || is_held(f))
        return STEP_NEXT;
    f->at = 0;
    f->due.count = 0;
    f->due.next_ms = -1;
    f->look_again = false;
    f->calling = true;
    db_projects_due(f->db, &f->call, &f->due, on_due);
    return STEP_WAIT;
}

static enum step give_places(struct task *t)
{
    struct follower *f = of(t);
    struct comparison *place;

    while (f->at < f->due.count && !is_held(f) && (place = free_place(f)) != NULL) {
        const struct db_project *due = &f->due.items[f->at++];
        if (!is_under_way(f, due->name))
            begin_comparison(f, place, due);
    }
    return STEP_NEXT;
}

/* A place that becomes free ends it, and so does follower_wake. */
static enum step rest(struct task *t)
{
    struct follower *f = of(t);
    bool all_told = f->due.count < COUNT_OF(f->due.items);
    bool soon = f->due.next_ms >= 0 && f->due.next_ms < LOOK_EVERY_MS;

    if (is_held(f))
        return task_pause(t, (uint64_t)(f->hold_until_ms - clock_steady_ms()));
    if (f->busy > 0 && (f->at < f->due.count || !all_told))
        return task_pause(t, FOREVER_MS);
    if (f->look_again || f->due.count > 0)
        return task_pause(t, f->busy > 0 ? LOOK_EVERY_MS : 0);
    return task_pause(t, soon ? (uint64_t)f->due.next_ms : LOOK_EVERY_MS);
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step follow_steps[] = {
    {"look for due packages", look_for_due},
    {"compare packages", give_places},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void on_cancel(struct task *t)
{
    struct follower *f = of(t);

    if (f->calling)
        db_cancel(&f->call);
}

static void on_finished(struct task *t)
{
    struct follower *f = of(t);

    f->over = true;
    check_end(f);
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
    f->stopping = true;
    task_cancel(&f->task);
    for (size_t i = 0; i < FOLLOW_PLACES; i++) {
        struct comparison *place = &f->places[i];
        if (place->project != NULL)
            project_cancel(place->project);
        else if (place->calling)
            db_cancel(&place->call);
    }
}

void follower_wake(struct follower *f)
{
    f->look_again = true;
    task_wake(&f->task);
}
