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

/* What is particular to a kind of pages: its facts, and its files, which are written on a pool thread. */
struct page_kind {
    const char *name;
    void (*read)(struct page *p);
    int (*write)(struct page *p);
    void (*read_more)(struct page *p); /* or NULL */
};

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

/* ---- the kinds ------------------------------------------------------------------------------------ */

static void read_root(struct page *p)
{
    db_root(p->db, &p->call, &p->root, on_answer);
}

static void read_all_targets(struct page *p)
{
    p->targets = mem_new(1, sizeof *p->targets);
    db_targets(p->db, &p->call, p->targets, on_answer);
}

static int write_root(struct page *p)
{
    return tree_write_root(p->output, &p->root, p->targets, &p->trouble);
}

static void read_index(struct page *p)
{
    db_index(p->db, &p->call, p->key, &p->index, on_answer);
}

static int write_index(struct page *p)
{
    return tree_write_package(p->output, p->key, &p->index, p->targets, &p->trouble);
}

static void read_project(struct page *p)
{
    db_project_page(p->db, &p->call, p->key, &p->project, on_answer);
}

static int write_project(struct page *p)
{
    return tree_write_project(p->output, p->key, &p->project, p->site_url, &p->trouble);
}

static void take_home(struct page *p)
{
    db_home_take(p->db, &p->call, on_answer);
}

static void read_home(struct page *p)
{
    db_home(p->db, &p->call, &p->home, on_answer);
}

static int write_home(struct page *p)
{
    return tree_write_home(p->output, &p->home, p->site_url, &p->trouble);
}

static const struct page_kind kinds[] = {
    {"root", read_root, write_root, read_all_targets},
    {"index", read_index, write_index, read_all_targets},
    {"project", read_project, write_project, NULL},
    {"home", take_home, write_home, read_home},
};

/* ---- the steps, in order -------------------------------------------------------------------------- */

static enum step read_facts(struct task *t)
{
    struct page *p = of(t);

    for (unsigned i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(p->kind, kinds[i].name) == 0)
            p->how = &kinds[i];
    if (p->how == NULL)
        return task_fail(t, -ENOTSUP, "nobody writes pages of the kind %s", p->kind);
    p->how->read(p);
    return STEP_WAIT;
}

static enum step read_more(struct task *t)
{
    struct page *p = of(t);

    if (p->error != 0)
        return refused(p);
    if (p->how->read_more == NULL)
        return STEP_NEXT;
    p->how->read_more(p);
    return STEP_WAIT;
}

/* On a pool thread. */
static void run_write(struct lane_work *w)
{
    struct page *p = container_of(w, struct page, work);
    p->error = p->how->write(p);
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

static const struct task_step page_steps[] = {
    {"read facts", read_facts},
    {"read more", read_more},
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
    db_project_page_release(&p->project);
    db_home_release(&p->home);
    free(p->targets);
    p->done(p, t->error);
}

void page_start(uv_loop_t *loop, struct page *p)
{
    p->task.name = "page";
    p->task.steps = page_steps;
    p->task.cancel = on_cancel;
    p->task.finished = on_finished;
    task_start(loop, &p->task);
}

void page_cancel(struct page *p)
{
    task_cancel(&p->task);
}
