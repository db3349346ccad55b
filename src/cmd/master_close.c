/*
 * How the master's house is closed: a table, in which nobody is closed before those who ask it. What was not opened is
 * passed over, for an opening may end halfway. master.c runs it.
 */
#include "core/memory.h"
#include "master.h"

static void on_part_closed(void *owner)
{
    struct master *m = owner;
    task_resume(&m->closing);
}

static enum step close_control(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->control)
        return STEP_NEXT;
    control_close(m->control, on_part_closed, m);
    return STEP_WAIT;
}

static enum step close_farm(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->farm)
        return STEP_NEXT;
    farm_close(m->farm, on_part_closed, m);
    return STEP_WAIT;
}

static enum step close_queue(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    struct queue *q = m->queue;
    m->queue = NULL;
    if (!q)
        return STEP_NEXT;
    queue_close(q, on_part_closed, m);
    return STEP_WAIT;
}

static enum step close_overrides(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->overrides)
        return STEP_NEXT;
    overrides_close(m->overrides, on_part_closed, m);
    m->overrides = NULL;
    return STEP_WAIT;
}

static enum step close_pypi(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->pypi)
        return STEP_NEXT;
    pypi_close(m->pypi, on_part_closed);
    return STEP_WAIT;
}

static enum step close_files(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->files)
        return STEP_NEXT;
    files_close(m->files, on_part_closed, m);
    return STEP_WAIT;
}

static enum step close_web(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    struct web *web = m->web;
    m->web = NULL;
    if (!web)
        return STEP_NEXT;
    web_close(web, on_part_closed, m);
    return STEP_WAIT;
}

static enum step close_http(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->http)
        return STEP_NEXT;
    http_close(m->http, on_part_closed, m);
    return STEP_WAIT;
}

static enum step close_database(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    if (!m->db)
        return STEP_NEXT;
    db_close(m->db, on_part_closed, m);
    return STEP_WAIT;
}

const struct task_step master_closing_steps[] = {
    {"close control socket", close_control},
    {"close farm", close_farm},
    {"close queue", close_queue},
    {"close pypi", close_pypi},
    {"close overrides", close_overrides},
    {"close files", close_files},
    {"close web", close_web},
    {"close http", close_http},
    {"close database", close_database},
    {NULL, NULL},
};
