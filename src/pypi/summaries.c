/*
 * Asks the JSON API for the summaries of projects, part of the pypi stage; started by pypi_open. Nothing else waits for one:
 * what a page or an event says is stored before, and a page is written without its summary until that is known. Which ones
 * are due is in the database (package.summary_at: see project_package and page_written in schema/).
 *
 *     look     look for due ones → give them to free places → pause → (again)
 *     place    wait for a package → fetch → read → store → (again)
 */
#include "summaries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define LOOK_EVERY_MS 5000
#define FOREVER_MS UINT64_MAX
#define MAX_ABOUT_BYTES (128u << 20) /* the JSON API repeats every file of every release */
#define MOST_HOLD_MS (60 * 60 * 1000) /* whatever Retry-After says */

static struct summaries *of_look(struct task *t)
{
    return container_of(t, struct summaries, look);
}

static struct summary_place *of_place(struct task *t)
{
    return container_of(t, struct summary_place, task);
}

/* ---- a place, in order ---------------------------------------------------------------------------- */

static enum step wait_for_package(struct task *t)
{
    return of_place(t)->name[0] != '\0' ? STEP_NEXT : task_pause(t, FOREVER_MS);
}

static void on_response(struct http_request *r, int error)
{
    struct summary_place *p = container_of(r, struct summary_place, request);

    p->requesting = false;
    p->error = error;
    task_resume(&p->task);
}

static enum step fetch(struct task *t)
{
    struct summary_place *p = of_place(t);
    const char *base = p->summaries->settings->json_url;
    size_t len = strlen(base);

    if (p->name[0] == '\0')
        return STEP_AGAIN;
    while (len > 0 && base[len - 1] == '/')
        len--;
    char *url = mem_format("%.*s/%s/json", (int)len, base, p->name);
    p->request = (struct http_request){.url = url, .accept = "application/json", .max_bytes = MAX_ABOUT_BYTES,
                                       .done = on_response};
    p->requesting = true;
    http_get(p->summaries->http, &p->request);
    free(url);
    return STEP_WAIT;
}

/* On a pool thread. */
static void run_read(struct lane_work *w)
{
    struct summary_place *p = container_of(w, struct summary_place, work);
    p->about_error = about_read(&p->request.body, p->name, &p->about);
}

static void on_read(struct lane_work *w, int status)
{
    struct summary_place *p = container_of(w, struct summary_place, work);

    p->reading = false;
    task_resume(&p->task);
}

static enum step read_answer(struct task *t)
{
    struct summary_place *p = of_place(t);

    p->about_error = -EPROTO;
    if (p->error != 0 || p->request.status != 200)
        return STEP_NEXT;
    p->reading = true;
    lane_submit(LANE_PAGES, &p->work, run_read, on_read);
    return STEP_WAIT;
}

static void on_stored(struct db_call *c, int error)
{
    struct summary_place *p = container_of(c, struct summary_place, call);

    p->storing = false;
    p->error = error;
    task_resume(&p->task);
}

static void hold(struct summaries *s, int64_t ms)
{
    int64_t until_ms = clock_steady_ms() + (ms < MOST_HOLD_MS ? ms : MOST_HOLD_MS);
    if (s->hold_until_ms < until_ms)
        s->hold_until_ms = until_ms;
}

/* A project that the JSON API does not have has no summary; whatever else went wrong is tried again later. */
static enum step store(struct task *t)
{
    struct summary_place *p = of_place(t);
    struct summaries *s = p->summaries;
    const struct http_request *r = &p->request;
    bool none = p->error == 0 && (r->status == 404 || r->status == 410);

    p->storing = true;
    if (p->about_error == 0 || none) {
        s->in_a_row = 0;
        db_summary_store(s->db, &p->call, p->name, none ? "" : p->about.summary, none ? "" : p->about.display, on_stored);
        return STEP_WAIT;
    }
    if (p->error != 0)
        log_debug("pypi", "%s: no summary (%s)", p->name, r->reason);
    else
        log_debug("pypi", "%s: no summary (status %d)", p->name, r->status);
    if (++s->in_a_row >= SUMMARY_PLACES) /* else all that are due would be asked for, as fast as PyPI can say no */
        hold(s, (int64_t)changelog_back_off_ms(s->settings->back_off_ms, s->settings->most_back_off_ms, s->in_a_row / SUMMARY_PLACES));
    if (r->retry_after_ms > 0)
        hold(s, r->retry_after_ms);
    db_summary_later(s->db, &p->call, p->name, (int64_t)s->settings->poll_ms, on_stored);
    return STEP_WAIT;
}

static enum step leave(struct task *t)
{
    struct summary_place *p = of_place(t);
    struct summaries *s = p->summaries;

    if (p->error != 0) {
        log_error("pypi", "%s: the database refused its summary: %s", p->name, p->call.message);
        hold(s, LOOK_EVERY_MS);
    } else if (p->about_error == 0) {
        s->stored(s);
    }
    about_release(&p->about);
    http_request_release(&p->request);
    p->name[0] = '\0';
    summaries_wake(s);
    return STEP_AGAIN;
}

static const struct task_step summary_steps[] = {
    {"wait for a package", wait_for_package},
    {"fetch", fetch},
    {"read", read_answer},
    {"store", store},
    {"leave", leave},
    {NULL, NULL},
};

/* ---- look, in order ------------------------------------------------------------------------------- */

static void on_due(struct db_call *c, int error)
{
    struct summaries *s = container_of(c, struct summaries, call);

    s->calling = false;
    s->error = error;
    task_resume(&s->look);
}

static bool is_held(const struct summaries *s)
{
    return clock_steady_ms() < s->hold_until_ms;
}

static struct summary_place *free_place(struct summaries *s)
{
    for (size_t i = 0; i < SUMMARY_PLACES; i++)
        if (s->places[i].name[0] == '\0')
            return &s->places[i];
    return NULL;
}

static enum step look_for_due(struct task *t)
{
    struct summaries *s = of_look(t);

    s->due.count = 0;
    s->error = 0;
    s->look_again = false;
    if (is_held(s) || free_place(s) == NULL)
        return STEP_NEXT;
    s->calling = true;
    db_summaries_due(s->db, &s->call, 2 * SUMMARY_PLACES, &s->due, on_due);
    return STEP_WAIT;
}

static bool is_under_way(const struct summaries *s, const char *name)
{
    for (size_t i = 0; i < SUMMARY_PLACES; i++)
        if (strcmp(s->places[i].name, name) == 0)
            return true;
    return false;
}

static enum step give_places(struct task *t)
{
    struct summaries *s = of_look(t);
    struct summary_place *place;

    if (s->error != 0) {
        log_error("pypi", "summaries: the database refused: %s", s->call.message);
        hold(s, LOOK_EVERY_MS);
    }
    for (unsigned i = 0; i < s->due.count && (place = free_place(s)) != NULL; i++) {
        if (is_under_way(s, s->due.names[i]))
            continue;
        text_copy(place->name, sizeof place->name, s->due.names[i]);
        task_wake(&place->task);
    }
    return STEP_NEXT;
}

/* A place that becomes free ends it, and so does summaries_wake. */
static enum step rest(struct task *t)
{
    struct summaries *s = of_look(t);

    if (is_held(s))
        return task_pause(t, (uint64_t)(s->hold_until_ms - clock_steady_ms()));
    return task_pause(t, s->look_again ? 0 : free_place(s) == NULL ? FOREVER_MS : LOOK_EVERY_MS);
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step summaries_steps[] = {
    {"look for due summaries", look_for_due},
    {"give places", give_places},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void note_end(struct summaries *s)
{
    if (--s->tasks == 0)
        s->ended(s);
}

static void on_cancel_place(struct task *t)
{
    struct summary_place *p = of_place(t);

    if (p->requesting)
        http_cancel(&p->request);
    if (p->reading)
        lane_cancel(&p->work);
    if (p->storing)
        db_cancel(&p->call);
}

static void on_place_finished(struct task *t)
{
    struct summary_place *p = of_place(t);

    about_release(&p->about);
    http_request_release(&p->request);
    note_end(p->summaries);
}

static void on_cancel_look(struct task *t)
{
    struct summaries *s = of_look(t);

    if (s->calling)
        db_cancel(&s->call);
}

static void on_look_finished(struct task *t)
{
    note_end(of_look(t));
}

void summaries_start(struct summaries *s, uv_loop_t *loop)
{
    s->tasks = SUMMARY_PLACES + 1;
    for (size_t i = 0; i < SUMMARY_PLACES; i++) {
        struct summary_place *p = &s->places[i];
        p->summaries = s;
        p->task = (struct task){.name = "summary", .steps = summary_steps, .cancel = on_cancel_place,
                                .finished = on_place_finished};
        task_start(loop, &p->task);
    }
    s->look = (struct task){.name = "summaries", .steps = summaries_steps, .cancel = on_cancel_look, .finished = on_look_finished};
    task_start(loop, &s->look);
}

void summaries_stop(struct summaries *s)
{
    task_cancel(&s->look);
    for (size_t i = 0; i < SUMMARY_PLACES; i++)
        task_cancel(&s->places[i].task);
}

void summaries_wake(struct summaries *s)
{
    s->look_again = true;
    task_wake(&s->look);
}
