/*
 * Cleaning up after a crash: the master (src/cmd/master_open.c) has it done before it listens.
 *
 * After a crash staging is worthless: slaves send again. Rows in state 'publishing' name files that may stand in
 * the tree but are in no index: bytes first, then the row.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "io/fs.h"
#include "room.h"

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
