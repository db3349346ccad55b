/*
 * The way of one project from PyPI into the database: its page (the files of all releases), what that means for our
 * targets, one call that stores it all. All that is stored comes from one page; the summary comes later (summaries.c).
 */
#include "project.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define PAGE_TYPE "application/vnd.pypi.simple.v1+json"
#define MAX_PAGE_BYTES (128u << 20)
#define FOREVER_MS UINT64_MAX

static struct project *of(struct task *t)
{
    return container_of(t, struct project, task);
}

/* ---- the steps, in order -------------------------------------------------------------------------- */

static enum step wait_for_place(struct task *t)
{
    return of(t)->has_place ? STEP_NEXT : task_pause(t, FOREVER_MS);
}

static void on_page(struct http_request *r, int error)
{
    struct project *p = container_of(r, struct project, page);
    p->error = error;
    p->flight = FLIGHT_NONE;
    task_resume(&p->task);
}

static char *project_url(const char *base, const char *name, const char *rest)
{
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    return mem_format("%.*s/%s/%s", (int)len, base, name, rest);
}

static enum step fetch_page(struct task *t)
{
    struct project *p = of(t);
    char *url = project_url(p->settings->simple_url, p->name, "");

    p->page = (struct http_request){.url = url, .accept = PAGE_TYPE, .max_bytes = MAX_PAGE_BYTES,
                                    .if_none_match = p->etag[0] != '\0' ? p->etag : NULL, .done = on_page};
    p->flight = FLIGHT_PAGE;
    http_get(p->http, &p->page);
    free(url);
    return STEP_WAIT;
}

static bool is_json(const struct http_request *r)
{
    return strcmp(r->content_type, PAGE_TYPE) == 0 || strcmp(r->content_type, "application/json") == 0;
}

static enum step check_page(struct task *t)
{
    struct project *p = of(t);
    const struct http_request *r = &p->page;

    if (p->error != 0)
        return task_fail(t, -EAGAIN, "PyPI cannot be asked now: %.200s", r->reason);
    p->retry_after_ms = r->retry_after_ms;
    p->behind = (r->status == 304 || r->status == 200) && r->last_serial >= 0 && r->last_serial < p->needed;
    if (p->behind)
        return task_fail(t, -EAGAIN, "PyPI's page has not yet what its changelog tells (serial %" PRId64 ", not %" PRId64 ")",
                         r->last_serial, p->needed);
    if (r->status == 304 && p->etag[0] != '\0') {
        p->unchanged = true;
        return STEP_DONE;
    }
    if (r->status == 404 || r->status == 410)
        return task_fail(t, -ENOENT, "PyPI has no package %s", p->spelling);
    if (r->status != 200)
        return task_fail(t, -EAGAIN, "PyPI cannot be asked now: it answered with status %d", r->status);
    if (!is_json(r))
        return task_fail(t, -EAGAIN, "PyPI answered with %s where its JSON index (PEP 691) was asked for",
                         r->content_type[0] != '\0' ? r->content_type : "something unnamed");
    return STEP_NEXT;
}

static void on_answer(struct db_call *c, int error)
{
    struct project *p = container_of(c, struct project, call);
    p->error = error;
    p->flight = FLIGHT_NONE;
    task_resume(&p->task);
}

static enum step read_targets(struct task *t)
{
    struct project *p = of(t);

    p->targets = mem_new(1, sizeof *p->targets);
    p->flight = FLIGHT_DB;
    db_targets(p->db, &p->call, p->targets, on_answer);
    return STEP_WAIT;
}

static enum step refused(struct task *t)
{
    struct project *p = of(t);
    return task_fail(t, -EREMOTEIO, "the database refused (%s): %.200s", p->name, p->call.message);
}

static enum step read_skips(struct task *t)
{
    struct project *p = of(t);

    if (p->error != 0)
        return refused(t);
    p->flight = FLIGHT_DB;
    db_skip_specifiers(p->db, &p->call, p->name, &p->skips, on_answer);
    return STEP_WAIT;
}

/* On a pool thread. */
static void run_digest(struct lane_work *w)
{
    struct project *p = container_of(w, struct project, work);
    struct digest_request q = {
        .name = p->name, .spelling = p->spelling, .refresh = p->refresh, .known = p->needed,
        .version = p->version, .all = p->all, .etag = p->page.etag, .serial = p->page.last_serial,
        .refresh_ms = p->settings->poll_ms, .believed = p->believed, .targets = p->targets, .skips = &p->skips,
        .page = &p->page.body,
    };
    p->digest_error = digest_project(&q, &p->digest);
}

static void on_digested(struct lane_work *w, int status)
{
    struct project *p = container_of(w, struct project, work);
    p->flight = FLIGHT_NONE;
    task_resume(&p->task);
}

static enum step digest(struct task *t)
{
    struct project *p = of(t);

    if (p->error != 0)
        return refused(t);
    p->flight = FLIGHT_DIGEST;
    lane_submit(LANE_PAGES, &p->work, run_digest, on_digested);
    return STEP_WAIT;
}

static enum step store(struct task *t)
{
    struct project *p = of(t);

    if (p->digest_error != 0)
        return task_fail(t, p->digest_error, "%s", p->digest.reason);
    log_debug("pypi", "%s: page read (%u versions; %u files passed over)", p->name, p->digest.versions,
              p->digest.refused);
    p->flight = FLIGHT_DB;
    if (p->refresh)
        db_project_compare(p->db, &p->call, p->digest.json.data, &p->compared, on_answer);
    else
        db_project_store(p->db, &p->call, p->digest.json.data, &p->asked, on_answer);
    return STEP_WAIT;
}

/* A page that lacks what it had is no success: it is looked at again. */
static enum step check_stored(struct task *t)
{
    struct project *p = of(t);
    const struct db_compared *c = &p->compared;

    if (p->error != 0)
        return refused(t);
    if (!p->refresh)
        return STEP_NEXT;
    if (c->missed > 0)
        return task_fail(t, -ESTALE, "its page has %u release%s no more, and what it has not at the next look is removed here too: "
                                     "%.100s%s", c->missed, c->missed == 1 ? "" : "s", c->missed_names,
                         c->missed > DB_NAMED_RELEASES ? ", …" : "");
    if (c->waiting > 0)
        return task_fail(t, -ESTALE, "its page has %u release%s no more, but the last look was just now", c->waiting,
                         c->waiting == 1 ? "" : "s");
    if (c->doubted > 0)
        return task_fail(t, -ESTALE, "its page lacks most of its releases, and no other page has been seen meanwhile that has all "
                                     "it had: is the index itself? Nothing is removed");
    p->whole = !c->behind && p->digest.versions > 0 && c->removed == 0;
    return STEP_NEXT;
}

static const struct task_step project_steps[] = {
    {"wait for a place", wait_for_place},
    {"fetch the page", fetch_page},
    {"check the page", check_page},
    {"read targets", read_targets},
    {"read skips", read_skips},
    {"digest", digest},
    {"store", store},
    {"check what is stored", check_stored},
    {NULL, NULL},
};

/* ---- the end -------------------------------------------------------------------------------------- */

static void on_cancel(struct task *t)
{
    struct project *p = of(t);

    switch (p->flight) {
    case FLIGHT_PAGE: http_cancel(&p->page); break;
    case FLIGHT_DB: db_cancel(&p->call); break;
    case FLIGHT_DIGEST: lane_cancel(&p->work); break;
    case FLIGHT_NONE: break;
    }
}

static void on_finished(struct task *t)
{
    struct project *p = of(t);

    http_request_release(&p->page);
    digest_release(&p->digest);
    free(p->targets);
    p->targets = NULL;
    db_words_release(&p->skips);
    struct db_asked asked = p->asked;
    struct db_compared compared = p->compared;
    p->done(p, t->error);
    db_asked_release(&asked);
    db_ended_release(&compared.ended);
}

/* ---- entry ---------------------------------------------------------------------------------------- */

void project_start(uv_loop_t *loop, struct project *p)
{
    p->retry_after_ms = -1;
    p->task.name = "project";
    p->task.steps = project_steps;
    p->task.cancel = on_cancel;
    p->task.finished = on_finished;
    task_start(loop, &p->task);
}

void project_go(struct project *p)
{
    p->has_place = true;
    task_wake(&p->task);
}

void project_cancel(struct project *p)
{
    task_cancel(&p->task);
}
