/*
 * The sweep's rhythm, part of the pypi stage (pypi_open starts it): wait, fetch PyPI's list of all projects and pass it on to
 * the database as it arrives, piece by piece, let that schedule the comparison of what differs, again. While a piece is
 * stored PyPI has to wait, so that there is never more than one piece and a bit in memory.
 */
#include "sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "python.h"

#define LIST_TYPE "application/vnd.pypi.simple.v1+json"
#define MAX_LIST_BYTES (512u << 20)
#define PIECE_BYTES ((size_t)512 << 10)
#define ROOM_BYTES ((size_t)2 << 20)      /* what libcurl hands over at once comes on top of a piece */
#define TIMEOUT_MS (30 * 60 * 1000)
#define FIRST_MS (60 * 60 * 1000)         /* after a start, or when it was not the time */
#define MOST_BACK_OFF_MS (24 * 60 * 60 * 1000)

static struct sweep *of(struct task *t)
{
    return container_of(t, struct sweep, task);
}

/* This round has failed: the rest of its steps are passed over. */
#define FAIL(s, ...) ((s)->failed = true, (void)snprintf((s)->cause, sizeof (s)->cause, __VA_ARGS__))

/* ---- the list, as it arrives ---------------------------------------------------------------------- */

static void go_on_when_both_are_done(struct sweep *s)
{
    if (!s->requesting && !s->storing)
        task_resume(&s->task);
}

static void on_response(struct http_request *r, int error)
{
    struct sweep *s = container_of(r, struct sweep, request);

    s->requesting = false;
    s->http_error = error;
    go_on_when_both_are_done(s);
}

static void on_piece_stored(struct db_call *call, int error)
{
    struct sweep *s = container_of(call, struct sweep, piece_call);

    s->storing = false;
    s->error = error;
    if (s->requesting && error == 0)
        http_go_on(&s->request);
    else if (s->requesting)
        http_cancel(&s->request);
    go_on_when_both_are_done(s);
}

static void on_project(void *owner, const char *name, int64_t serial)
{
    struct sweep *s = owner;
    char normal[PYTHON_NAME_MAX + 1];

    if (python_name_normalise(name, normal, sizeof normal) == 0 && db_sweep_add(&s->rows, normal, serial) != 0)
        s->parse_error = -ENOBUFS;
}

static bool on_data(struct http_request *r, const char *data, size_t len)
{
    struct sweep *s = container_of(r, struct sweep, request);

    if (s->parse_error == 0)
        s->parse_error = list_json_feed(&s->json, data, len);
    if (s->parse_error != 0 || s->rows.len < PIECE_BYTES)
        return true;
    s->storing = true;
    db_sweep_store(s->db, &s->piece_call, &s->rows, on_piece_stored);
    buf_init(&s->rows, ROOM_BYTES);
    return false;
}

/* ---- the steps, in order -------------------------------------------------------------------------- */

static enum step wait_for_turn(struct task *t)
{
    struct sweep *s = of(t);
    uint64_t wait_ms = s->settings->sweep_ms;

    if (s->failures > 0)
        wait_ms = changelog_back_off_ms(s->settings->back_off_ms * 60, MOST_BACK_OFF_MS, s->failures);
    else if (s->passed_over && wait_ms > FIRST_MS)
        wait_ms = FIRST_MS;
    return task_pause(t, wait_ms);
}

static void on_call(struct db_call *call, int error)
{
    struct sweep *s = container_of(call, struct sweep, call);

    s->calling = false;
    s->error = error;
    task_resume(&s->task);
}

static enum step forget_the_last(struct task *t)
{
    struct sweep *s = of(t);

    s->failed = false;
    s->passed_over = !s->may_begin(s);
    if (s->passed_over)
        return STEP_NEXT;
    s->calling = true;
    db_sweep_begin(s->db, &s->call, on_call);
    return STEP_WAIT;
}

static enum step fetch_list(struct task *t)
{
    struct sweep *s = of(t);

    if (!s->passed_over && s->error != 0)
        FAIL(s, "the database refuses: %.150s", s->call.message);
    if (s->passed_over || s->failed)
        return STEP_NEXT;
    size_t len = strlen(s->settings->simple_url);
    while (len > 0 && s->settings->simple_url[len - 1] == '/')
        len--;
    char *url = mem_format("%.*s/", (int)len, s->settings->simple_url);
    s->json = (struct list_json){.project = on_project, .owner = s};
    list_json_init(&s->json);
    s->parse_error = 0;
    buf_init(&s->rows, ROOM_BYTES);
    s->request = (struct http_request){.url = url, .accept = LIST_TYPE, .max_bytes = MAX_LIST_BYTES, .sink = on_data,
                                       .timeout_ms = TIMEOUT_MS, .done = on_response};
    s->requesting = true;
    http_get(s->http, &s->request);
    free(url);
    return STEP_WAIT;
}

static void check_list(struct sweep *s)
{
    if (s->parse_error == 0)
        s->parse_error = list_json_end(&s->json);
    if (s->error != 0)
        FAIL(s, "the database refuses: %.150s", s->piece_call.message);
    else if (s->http_error != 0)
        FAIL(s, "PyPI's list of projects cannot be had: %.150s", s->request.reason);
    else if (s->request.status != 200)
        FAIL(s, "PyPI answers with status %d when asked for its projects", s->request.status);
    else if (s->parse_error != 0)
        FAIL(s, "PyPI's list of projects is not what it should be: %s", s->json.reason);
}

static enum step store_the_rest(struct task *t)
{
    struct sweep *s = of(t);

    if (s->passed_over || s->failed)
        return STEP_NEXT;
    check_list(s);
    list_json_release(&s->json);
    http_request_release(&s->request);
    if (s->failed) {
        buf_release(&s->rows);
        return STEP_NEXT;
    }
    s->calling = true;
    db_sweep_store(s->db, &s->call, &s->rows, on_call);
    return STEP_WAIT;
}

static enum step schedule_comparisons(struct task *t)
{
    struct sweep *s = of(t);

    if (!s->passed_over && !s->failed && s->error != 0)
        FAIL(s, "the database refuses: %.150s", s->call.message);
    if (s->passed_over || s->failed)
        return STEP_NEXT;
    s->calling = true;
    db_sweep_apply(s->db, &s->call, (int64_t)s->settings->sweep_ms, &s->differ, on_call);
    return STEP_WAIT;
}

static enum step note_outcome(struct task *t)
{
    struct sweep *s = of(t);
    char span[CLOCK_TEXT_SIZE];

    if (!s->passed_over && !s->failed && s->error != 0)
        FAIL(s, "the database refuses: %.150s", s->call.message);
    if (s->passed_over)
        return STEP_AGAIN;
    if (s->failed && s->failures++ == 0)
        log_warning("pypi", "sweep: not done, will be tried again: %s", s->cause);
    if (s->failed)
        return STEP_AGAIN;
    s->failures = 0;
    log_info("pypi", "sweep: %" PRIu64 " projects of PyPI compared by their serials; %" PRId64 " differ, and are asked for in the "
             "course of %s", s->json.projects, s->differ, clock_span((int64_t)s->settings->sweep_ms, span));
    s->swept(s);
    return STEP_AGAIN;
}

static const struct task_step sweep_steps[] = {
    {"wait for the turn", wait_for_turn},
    {"forget the last", forget_the_last},
    {"fetch the list", fetch_list},
    {"store the rest", store_the_rest},
    {"schedule comparisons", schedule_comparisons},
    {"note the outcome", note_outcome},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void on_cancel(struct task *t)
{
    struct sweep *s = of(t);

    if (s->requesting)
        http_cancel(&s->request);
    if (s->storing)
        db_cancel(&s->piece_call);
    if (s->calling)
        db_cancel(&s->call);
}

static void on_finished(struct task *t)
{
    struct sweep *s = of(t);

    list_json_release(&s->json);
    http_request_release(&s->request);
    if (s->rows.data != NULL)
        buf_release(&s->rows);
    s->ended(s);
}

void sweep_start(struct sweep *s, uv_loop_t *loop)
{
    s->passed_over = true; /* the first one comes soon: who knows when the last was */
    s->task = (struct task){.name = "sweep", .steps = sweep_steps, .cancel = on_cancel, .finished = on_finished};
    task_start(loop, &s->task);
}

void sweep_stop(struct sweep *s)
{
    task_cancel(&s->task);
}
