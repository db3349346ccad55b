/*
 * Reads a page's facts, writes its files, tells the database, which takes the page off its list unless it
 * became stale again meanwhile. Started by web.c.
 */
#include "page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

static struct page *of(struct task *t)
{
    return container_of(t, struct page, task);
}

static bool is_root(const struct page *p)
{
    return strcmp(p->kind, "root") == 0;
}

static void on_answer(struct db_call *c, int error)
{
    struct page *p = container_of(c, struct page, call);
    p->error = error;
    task_resume(&p->task);
}

static enum step refused(struct page *p)
{
    return task_fail(&p->task, -EREMOTEIO, "the database refused (%s): %.200s", task_step_name(&p->task),
                     p->call.message);
}

/* ---- the steps, in order -------------------------------------------------------------------------- */

static enum step read_facts(struct task *t)
{
    struct page *p = of(t);

    if (is_root(p))
        db_root(p->db, &p->call, &p->root, on_answer);
    else if (strcmp(p->kind, "index") == 0)
        db_index(p->db, &p->call, p->key, &p->index, on_answer);
    else
        return task_fail(t, -ENOTSUP, "nobody writes pages of the kind %s", p->kind);
    return STEP_WAIT;
}

static enum step read_targets(struct task *t)
{
    struct page *p = of(t);

    if (p->error != 0)
        return refused(p);
    if (!is_root(p))
        return STEP_NEXT;
    p->targets = mem_new(1, sizeof *p->targets);
    db_targets(p->db, &p->call, p->targets, on_answer);
    return STEP_WAIT;
}

/* On a pool thread. */
static void run_write(struct lane_work *w)
{
    struct page *p = container_of(w, struct page, work);

    if (is_root(p))
        p->error = tree_write_root(p->output, &p->root, p->targets, &p->trouble);
    else
        p->error = tree_write_package(p->output, p->key, &p->index, &p->trouble);
}

static void on_written(struct lane_work *w, int status)
{
    struct page *p = container_of(w, struct page, work);
    p->writing = false;
    task_resume(&p->task);
}

static enum step write_files(struct task *t)
{
    struct page *p = of(t);

    if (p->error != 0)
        return refused(p);
    p->writing = true;
    lane_submit(LANE_PAGES, &p->work, run_write, on_written);
    return STEP_WAIT;
}

static enum step tell_database(struct task *t)
{
    struct page *p = of(t);

    if (p->error != 0)
        return task_fail(t, p->error, "cannot write %.180s: %s", p->trouble.path, strerror(-p->error));
    db_page_written(p->db, &p->call, p->kind, p->key, p->generation, on_answer);
    return STEP_WAIT;
}

static enum step check_told(struct task *t)
{
    return of(t)->error != 0 ? refused(of(t)) : STEP_NEXT;
}

static const struct task_step steps[] = {
    {"read facts", read_facts},
    {"read targets", read_targets},
    {"write files", write_files},
    {"tell the database", tell_database},
    {"check that it knows", check_told},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void on_cancel(struct task *t)
{
    struct page *p = of(t);

    if (p->writing)
        lane_cancel(&p->work);
    else
        db_cancel(&p->call);
}

static void on_finished(struct task *t)
{
    struct page *p = of(t);

    db_index_release(&p->index);
    db_root_release(&p->root);
    free(p->targets);
    p->done(p, t->error);
}

void page_start(uv_loop_t *loop, struct page *p)
{
    p->task.steps = steps;
    p->task.cancel = on_cancel;
    p->task.finished = on_finished;
    task_start(loop, &p->task);
}

void page_cancel(struct page *p)
{
    task_cancel(&p->task);
}
