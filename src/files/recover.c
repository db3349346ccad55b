/*
 * The room's own life: opening, cleaning up after a crash, closing. The master (src/cmd/master.c) opens it
 * before it listens and closes it after the farm.
 *
 * After a crash staging is worthless: slaves send again. Rows in state 'publishing' name files that may stand in
 * the tree but are in no index: bytes first, then the row.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "receipt.h"

/* Those over a slow line, a second old or more, hold as much memory, but are few. */
static const struct turn_limits transfer_limits = {.at_once = 32, .most = UINT_MAX, .slow_ms = 1000};

struct recovery {
    struct files *files;
    struct task task;
    struct db_call call;
    struct lane_work work;
    struct db_publishing rows;
    bool clearing;                   /* it waits for a thread, else for the database */
    int work_error;
    void (*done)(void *owner, int error);
    void *owner;
};

static void on_answer(struct db_call *c, int error)
{
    struct recovery *y = container_of(c, struct recovery, call);
    y->work_error = error;
    task_resume(&y->task);
}

static enum step find_half_published(struct task *t)
{
    struct recovery *y = container_of(t, struct recovery, task);
    if (y->work_error)
        return task_fail(t, y->work_error, "the database refused: %s", y->call.message);
    db_publishing_release(&y->rows);
    db_publishing(y->files->db, &y->call, &y->rows, on_answer);
    return STEP_WAIT;
}

/* On a pool thread. */
static void run_clear(struct lane_work *w)
{
    struct recovery *y = container_of(w, struct recovery, work);
    y->work_error = 0;
    for (unsigned i = 0; i < y->rows.count && y->work_error == 0; i++) {
        if (!y->rows.items[i].back)
            y->work_error = files_take_out(y->files, y->rows.items[i].path);
    }
    if (y->work_error == 0)
        y->work_error = fs_remove_tree(y->files->staging);
    if (y->work_error == 0)
        y->work_error = fs_make_dirs(y->files->staging, 0700);
}

static void on_cleared(struct lane_work *w, int status)
{
    struct recovery *y = container_of(w, struct recovery, work);
    y->clearing = false;
    if (status)
        y->work_error = status;
    task_resume(&y->task);
}

static enum step clear_bytes(struct task *t)
{
    struct recovery *y = container_of(t, struct recovery, task);
    if (y->work_error)
        return task_fail(t, y->work_error, "the database refused: %s", y->call.message);
    y->clearing = true;
    lane_submit(LANE_DISK, &y->work, run_clear, on_cleared);
    return STEP_WAIT;
}

static enum step forget_rows(struct task *t)
{
    struct recovery *y = container_of(t, struct recovery, task);
    if (y->work_error)
        return task_fail(t, y->work_error, "cannot clear the output directory %s: %s", y->files->output, strerror(-y->work_error));
    if (y->rows.count == 0)
        return STEP_DONE;
    log_info("files", "build %lld: %s was half-way into the tree and is taken out", (long long)y->rows.items[0].attempt,
             y->rows.items[0].path);
    db_files_forget(y->files->db, &y->call, y->rows.items[0].attempt, on_answer);
    return STEP_WAIT;
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step recovery_steps[] = {
    {"find half-published files", find_half_published},
    {"clear bytes", clear_bytes},
    {"forget rows", forget_rows},
    {"again", again},
    {NULL, NULL},
};

static void on_recovery_cancel(struct task *t)
{
    struct recovery *y = container_of(t, struct recovery, task);
    if (y->clearing)
        lane_cancel(&y->work);
    else
        db_cancel(&y->call);
}

static void on_recovered(struct task *t)
{
    struct recovery *y = container_of(t, struct recovery, task);
    y->files->recovery = NULL;
    if (t->error && t->error != -ECANCELED)
        log_error("files", "recovery: %s", t->reason);
    if (t->error == 0)
        withdrawal_start(y->files);
    y->done(y->owner, t->error);
    db_publishing_release(&y->rows);
    free(y);
}

void files_recover(struct files *f, void (*done)(void *owner, int error), void *owner)
{
    struct recovery *y = mem_new(1, sizeof *y);
    y->files = f;
    y->done = done;
    y->owner = owner;
    y->task.name = "recovery";
    y->task.steps = recovery_steps;
    y->task.finished = on_recovered;
    y->task.cancel = on_recovery_cancel;
    f->recovery = y;
    task_start(f->loop, &y->task);
}

void files_recover_cancel(struct files *f)
{
    task_cancel(&f->recovery->task);
}

/* ---- opening and closing ------------------------------------------------------------------------- */

static int make_tree(struct files *f, char *why, size_t why_size)
{
    static const char *const dirs[] = {"", "/simple", "/logs", "/.staging", "/.withheld"}; /* the last two are not served */
    char path[512];
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        snprintf(path, sizeof path, "%s%s", f->output, dirs[i]);
        int error = fs_make_dirs(path, text_starts(dirs[i], "/.") ? 0700 : 0755);
        if (error == 0 && access(path, W_OK | X_OK) != 0)
            error = -errno;
        if (error) {
            snprintf(why, why_size, "the output directory cannot be used: %s: %s; make it and give it to this user, or "
                     "name another with --output", path, strerror(-error));
            return error;
        }
    }
    return 0;
}

int files_open(uv_loop_t *loop, struct db *db, const struct files_settings *settings,
               void (*published)(void *owner), void *owner, struct files **files, char *why, size_t why_size)
{
    struct files *f = mem_new(1, sizeof *f);
    f->loop = loop;
    f->db = db;
    f->settings = *settings;
    f->published = published;
    f->owner = owner;
    if (!text_copy(f->output, sizeof f->output, settings->output)) {
        snprintf(why, why_size, "the output directory's name is longer than %zu bytes", sizeof f->output - 1);
        free(f);
        return -ENAMETOOLONG;
    }
    while (strlen(f->output) > 1 && text_ends(f->output, "/"))
        f->output[strlen(f->output) - 1] = '\0';
    snprintf(f->staging, sizeof f->staging, "%s/.staging", f->output);
    int error = make_tree(f, why, why_size);
    if (error) {
        free(f);
        return error;
    }
    fs_use_scratch(f->staging);
    files_init_bundles(f);
    f->transfers = turns_new(loop, &transfer_limits);
    uv_timer_init(loop, &f->close_timer);
    *files = f;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct files *f = container_of(handle, struct files, close_timer);
    void (*closed)(void *owner) = f->closed;
    void *owner = f->closed_owner;
    turns_let_go(f->transfers);
    db_target_set_release(f->known);
    free(f);
    closed(owner);
}

void files_check_closed(struct files *f)
{
    if (!f->closing || f->receipts || uv_is_closing((uv_handle_t *)&f->close_timer))
        return;
    if (f->withdrawal)
        withdrawal_stop(f); /* not before: a receipt may wait for it */
    else
        uv_close((uv_handle_t *)&f->close_timer, on_timer_closed);
}

static void on_look(uv_timer_t *timer)
{
    files_check_closed(container_of(timer, struct files, close_timer));
}

void files_close(struct files *f, void (*closed)(void *owner), void *owner)
{
    struct receipt *next;
    f->closing = true;
    f->closed = closed;
    f->closed_owner = owner;
    for (struct receipt *r = f->receipts; r; r = next) {
        next = r->next;
        receipt_abandon(r);
    }
    uv_timer_start(&f->close_timer, on_look, 0, 10);
}
