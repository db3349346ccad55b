/*
 * Taking wheels out of the tree: what PyPI removed, when nobody can still hold an index that names it, and what PyPI
 * quarantined, at once. The latter is kept below .withheld, which is not served, and put back when PyPI clears it.
 * recover.c starts this when the room is in order, and it runs until files.c closes that. tree.c moves the bytes.
 *
 * The database decides (schema/functions.sql, "withdrawing"); the order makes every crash and every change of mind
 * harmless. A name is marked as leaving before its bytes leave, so that no build puts any there meanwhile, and as gone
 * after. A quarantined file is hidden after it was moved, and a cleared one public after it was moved back: whoever
 * is interrupted moves again what may have been moved already.
 *
 * A round looks at all that is to be moved or to leave, a hundred at a time, and goes on after the last of these whatever
 * became of it: so what can never be moved, however much it is, keeps nothing waiting that stands behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "room.h"

#define SPACING_MS 200         /* between the beginnings of rounds, when every build that ends wakes us */
#define FIRST_RETRY_MS 1000    /* after a round in which something failed; doubled up to the usual pause */
#define TOLD_MS 21600000       /* for so long it is not told again that a file cannot be moved, unless for another reason */

/* A file that could not be moved, and what was told of it. */
struct setback {
    struct setback *next;
    char path[768];
    const char *doing;         /* static */
    int error;
    int64_t told_ms;
};

struct withdrawal {
    struct files *files;
    struct task task;
    struct db_call call;
    struct lane_work work;
    struct db_moves moves;
    int64_t after;             /* the last of a full hundred, which need not be the last of all */
    struct db_leaving leaving;
    bool moves_seen, leaving_seen; /* to the end, in this round */
    int64_t waiting_seen_ms;   /* when it was last asked what waits for its index; steady clock */
    int errors[DB_MOVES_MAX > DB_LEAVING_MAX ? DB_MOVES_MAX : DB_LEAVING_MAX]; /* of each move, of each path */
    struct setback *setbacks;
    int64_t returned;
    int64_t begun_ms;          /* the round */
    bool under_way;            /* the round: these were not its last hundred */
    bool woken, spacing;
    bool moved;                /* something was done in this round */
    bool failed;               /* something could not be */
    uint64_t retry_ms;         /* the pause after the last round, if something failed in it, else 0 */
};

static struct withdrawal *of(struct task *t)
{
    return container_of(t, struct withdrawal, task);
}

/* ---- bytes, on pool threads ---------------------------------------------------------------------- */

static void run_take_out(struct lane_work *w)
{
    struct withdrawal *d = container_of(w, struct withdrawal, work);
    for (unsigned i = 0; i < d->leaving.count; i++)
        d->errors[i] = files_take_out_everywhere(d->files, d->leaving.paths[i]);
}

static void run_moves(struct lane_work *w)
{
    struct withdrawal *d = container_of(w, struct withdrawal, work);
    for (unsigned i = 0; i < d->moves.count; i++)
        d->errors[i] = files_move(d->files, d->moves.items[i].path, d->moves.items[i].back);
}

/* ---- completions ---------------------------------------------------------------------------------- */

static void on_answer(struct db_call *c, int error)
{
    struct withdrawal *d = container_of(c, struct withdrawal, call);
    if (error == -EREMOTEIO)
        log_error("files", "withdrawing: the database refused (%s): %s", task_step_name(&d->task), c->message);
    if (error) {
        d->moved = false;
        d->failed = true;
    }
    task_resume(&d->task);
}

static void on_worked(struct lane_work *w, int status)
{
    struct withdrawal *d = container_of(w, struct withdrawal, work);
    for (unsigned i = 0; status != 0 && i < COUNT_OF(d->errors); i++)
        d->errors[i] = status;
    task_resume(&d->task);
}

static struct setback **find_setback(struct withdrawal *d, const char *path)
{
    struct setback **at = &d->setbacks;
    while (*at != NULL && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    return at;
}

static void forget_setback(struct setback **at)
{
    struct setback *setback = *at;
    *at = setback->next;
    free(setback);
}

/* What still cannot be moved is told again; and nobody may ask any more for what could not be. */
static void forget_old_setbacks(struct withdrawal *d)
{
    for (struct setback **at = &d->setbacks; *at != NULL;) {
        if (d->begun_ms - (*at)->told_ms >= TOLD_MS)
            forget_setback(at);
        else
            at = &(*at)->next;
    }
}

static void note_failure(struct withdrawal *d, const char *path, const char *doing, int error)
{
    struct setback **at = find_setback(d, path), *setback = *at;
    if (setback == NULL) {
        *at = setback = mem_new(1, sizeof *setback);
        text_copy(setback->path, sizeof setback->path, path);
    }
    if (setback->doing == doing && setback->error == error)
        return;
    log_error("files", "%s: %s (%s); it will be tried again", path, doing, strerror(-error));
    setback->doing = doing;
    setback->error = error;
    setback->told_ms = clock_steady_ms();
}

/* Whether it happened; what could not be done is tried again in the next round. */
static bool succeeded(struct withdrawal *d, unsigned i, const char *path, const char *doing)
{
    if (d->errors[i] != 0) {
        note_failure(d, path, doing, d->errors[i]);
        d->failed = true;
        return false;
    }
    struct setback **at = find_setback(d, path);
    if (*at != NULL)
        forget_setback(at);
    d->moved = true;
    return true;
}

/* ---- quarantined and cleared ----------------------------------------------------------------------- */

/* Who wakes us during a round may mean what it has passed already. */
static void begin_round(struct withdrawal *d)
{
    d->woken = d->moved = d->failed = d->spacing = d->moves_seen = d->leaving_seen = false;
    d->begun_ms = clock_steady_ms();
    forget_old_setbacks(d);
}

static enum step look_for_moves(struct task *t)
{
    struct withdrawal *d = of(t);
    if (!d->under_way)
        begin_round(d);
    db_moves(d->files->db, &d->call, d->after, &d->moves, on_answer);
    return STEP_WAIT;
}

static enum step move_files(struct task *t)
{
    struct withdrawal *d = of(t);
    d->after = d->moves.count == DB_MOVES_MAX ? d->moves.items[DB_MOVES_MAX - 1].file : 0;
    d->moves_seen |= d->after == 0;
    if (d->moves.count == 0)
        return STEP_NEXT;
    lane_submit(LANE_DISK, &d->work, run_moves, on_worked);
    return STEP_WAIT;
}

/* Those that were moved this way. */
static unsigned moved_files(struct withdrawal *d, bool back, int64_t files[DB_MOVES_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < d->moves.count; i++) {
        const struct db_move *m = &d->moves.items[i];
        if (m->back != back || !succeeded(d, i, m->path, back ? "cannot be put back into the tree"
                                                              : "cannot be taken out of the tree, though PyPI has quarantined it"))
            continue;
        log_info("files", back ? "%s: put back into the tree (PyPI has cleared it)"
                               : "%s: withheld (PyPI has quarantined it)", m->path);
        files[count++] = m->file;
    }
    return count;
}

static enum step note_hidden(struct task *t)
{
    struct withdrawal *d = of(t);
    int64_t files[DB_MOVES_MAX];
    unsigned count = moved_files(d, false, files);
    if (count == 0)
        return STEP_NEXT;
    db_files_hidden(d->files->db, &d->call, files, count, on_answer);
    return STEP_WAIT;
}

static enum step note_returned(struct task *t)
{
    struct withdrawal *d = of(t);
    int64_t files[DB_MOVES_MAX];
    unsigned count = moved_files(d, true, files);
    d->returned = 0;
    if (count == 0)
        return STEP_NEXT;
    db_files_returned(d->files->db, &d->call, files, count, &d->returned, on_answer);
    return STEP_WAIT;
}

/* ---- removed --------------------------------------------------------------------------------------- */

/* Every build that ends may wake us, but no index is written for that: what waits for one, which may be much, is looked at less
 * often. */
static bool waiting_is_due(struct withdrawal *d, int64_t wait_ms)
{
    int64_t every_ms = wait_ms / 20, usual_ms = (int64_t)d->files->settings.look_ms;
    if (every_ms > usual_ms)
        every_ms = usual_ms;
    if (d->leaving.after[0] != '\0' || d->begun_ms - d->waiting_seen_ms < every_ms)
        return false;
    d->waiting_seen_ms = d->begun_ms;
    return true;
}

static enum step look_for_what_leaves(struct task *t)
{
    struct withdrawal *d = of(t);
    int64_t wait_ms = 2 * d->files->settings.page_lifetime_ms;
    if (d->returned > 0)
        d->files->published(d->files->owner);
    db_files_leaving(d->files->db, &d->call, wait_ms, waiting_is_due(d, wait_ms), &d->leaving, on_answer);
    return STEP_WAIT;
}

static enum step take_out(struct task *t)
{
    struct withdrawal *d = of(t);
    unsigned count = 0;
    d->leaving_seen |= d->leaving.after[0] == '\0';
    /* a build that is not wanted any more may just be putting one there; it takes it out again itself */
    for (unsigned i = 0; i < d->leaving.count; i++) {
        if (!files_being_placed(d->files, d->leaving.paths[i]))
            memmove(d->leaving.paths[count++], d->leaving.paths[i], sizeof d->leaving.paths[i]);
    }
    d->leaving.count = count;
    if (count == 0)
        return STEP_NEXT;
    lane_submit(LANE_DISK, &d->work, run_take_out, on_worked);
    return STEP_WAIT;
}

static enum step note_gone(struct task *t)
{
    struct withdrawal *d = of(t);
    const char *paths[DB_LEAVING_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < d->leaving.count; i++) {
        if (!succeeded(d, i, d->leaving.paths[i], "cannot be taken out of the tree"))
            continue;
        log_info("files", "%s: taken out of the tree", d->leaving.paths[i]);
        paths[count++] = d->leaving.paths[i];
    }
    if (count == 0)
        return STEP_NEXT;
    db_files_gone(d->files->db, &d->call, paths, count, on_answer);
    return STEP_WAIT;
}

/* The longest pause after a round: shorter when it is known that something will leave, or when something failed. */
static uint64_t longest_pause_ms(struct withdrawal *d)
{
    uint64_t pause_ms = d->files->settings.look_ms;
    char span[CLOCK_TEXT_SIZE];

    if (d->leaving.again_ms >= 0 && (uint64_t)d->leaving.again_ms < pause_ms)
        pause_ms = (uint64_t)d->leaving.again_ms + 1;
    if (!d->failed)
        d->retry_ms = 0;
    else if (d->retry_ms < d->files->settings.look_ms)
        d->retry_ms = d->retry_ms == 0 ? FIRST_RETRY_MS : 2 * d->retry_ms;
    if (!d->failed || d->retry_ms >= pause_ms)
        return pause_ms;
    log_info("files", "withdrawing: what failed is tried again in %s", clock_span((int64_t)d->retry_ms, span));
    return d->retry_ms;
}

static enum step rest(struct task *t)
{
    struct withdrawal *d = of(t);
    int64_t left_ms = d->begun_ms + SPACING_MS - clock_steady_ms();
    d->under_way = !(d->moves_seen && d->leaving_seen);
    if (d->under_way || d->moved || (d->woken && left_ms <= 0))
        return STEP_AGAIN;
    d->spacing = d->woken;
    if (d->woken)
        return task_pause(t, (uint64_t)left_ms);
    return task_pause(t, longest_pause_ms(d));
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step withdraw_steps[] = {
    {"look for moves", look_for_moves},
    {"move files", move_files},
    {"note hidden", note_hidden},
    {"note returned", note_returned},
    {"look for what leaves", look_for_what_leaves},
    {"take out", take_out},
    {"note gone", note_gone},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

/* ---- life ------------------------------------------------------------------------------------------ */

static void on_cancel(struct task *t)
{
    struct withdrawal *d = of(t);
    task_wake(t);
    db_cancel(&d->call);
    lane_cancel(&d->work);
}

static void on_finished(struct task *t)
{
    struct withdrawal *d = of(t);
    d->files->withdrawal = NULL;
    while (d->setbacks != NULL)
        forget_setback(&d->setbacks);
    free(d);
}

void withdrawal_start(struct files *f)
{
    struct withdrawal *d = mem_new(1, sizeof *d);
    d->files = f;
    d->task.name = "withdraw";
    d->task.steps = withdraw_steps;
    d->task.cancel = on_cancel;
    d->task.finished = on_finished;
    f->withdrawal = d;
    task_start(f->loop, &d->task);
}

void withdrawal_stop(struct files *f)
{
    task_cancel(&f->withdrawal->task);
}

void files_wake(struct files *f)
{
    if (!f->withdrawal)
        return;
    f->withdrawal->woken = true;
    if (!f->withdrawal->spacing)
        task_wake(&f->withdrawal->task);
}
