/*
 * The way of a tool into the database and out again, for `piwheels initdb` and `piwheels target`:
 *
 *     connect → is it there? → read configuration → check it → the command's own steps → close
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

#define PATIENCE_MS 5000 /* for a server that may just be starting */
#define LOOK_MS 100

struct tool *tool_of(struct task *t)
{
    return container_of(t, struct tool, task);
}

static struct tool *opening_of(struct task *t)
{
    return container_of(t, struct tool, opening);
}

/* ---- answers ---- */

void tool_on_answer(struct db_call *c, int error)
{
    struct tool *t = container_of(c, struct tool, call);

    t->error = error;
    task_resume(&t->task);
}

static const char *words_of(const struct tool *t)
{
    return t->call.message[0] != '\0' ? t->call.message : strerror(-t->error);
}

enum step tool_refused(struct tool *t)
{
    return task_fail(&t->task, t->error, "%s", words_of(t));
}

/* ---- opening ---- */

static enum step connect_to_database(struct task *task)
{
    struct tool *t = opening_of(task);

    return db_ready(t->db) ? STEP_NEXT : task_pause(task, LOOK_MS);
}

static enum step look_whether_it_is_there(struct task *task)
{
    struct tool *t = opening_of(task);

    if (db_ready(t->db))
        return STEP_NEXT;
    if (db_hopeless(t->db) || clock_steady_ms() >= t->deadline_ms)
        return task_fail(task, -ENOTCONN, "cannot reach the database: %s",
                         db_why(t->db)[0] != '\0' ? db_why(t->db) : "no answer");
    return STEP_AGAIN;
}

static void on_configuration(struct db_call *c, int error)
{
    struct tool *t = container_of(c, struct tool, call);

    t->error = error;
    task_resume(&t->opening);
}

static enum step read_configuration(struct task *task)
{
    struct tool *t = opening_of(task);

    db_configuration(t->db, &t->call, &t->configuration, on_configuration);
    return STEP_WAIT;
}

static enum step check_configuration(struct task *task)
{
    struct tool *t = opening_of(task);
    char why[TASK_REASON_SIZE];

    if (t->error != 0)
        return task_fail(task, t->error, "%s", words_of(t));
    if (!t->any_database && db_configuration_check(&t->configuration, why, sizeof why) != 0)
        return task_fail(task, -EPROTO, "%s", why);
    return STEP_NEXT;
}

static const struct task_step opening_steps[] = {
    {"connect to database", connect_to_database},
    {"look whether it is there", look_whether_it_is_there},
    {"read configuration", read_configuration},
    {"check configuration", check_configuration},
    {NULL, NULL},
};

/* ---- the whole ---- */

static void end(struct tool *t, const struct task *last)
{
    if (last->error != 0)
        t->status = command_trouble(t->command, "%s", last->reason);
    db_close(t->db, NULL, NULL);
}

static void on_finished(struct task *task)
{
    end(tool_of(task), task);
}

static void on_opened(struct task *task)
{
    struct tool *t = opening_of(task);

    if (task->error != 0) {
        end(t, task);
        return;
    }
    t->task.name = "tool";
    t->task.steps = t->steps;
    t->task.finished = on_finished;
    task_start(&t->loop, &t->task);
}

static void on_change(void *owner, bool ready, const char *why)
{
    struct tool *t = owner;

    task_wake(&t->opening);
}

int tool_run(struct tool *t)
{
    uv_loop_init(&t->loop);
    t->deadline_ms = clock_steady_ms() + PATIENCE_MS;
    t->opening.name = "opening";
    t->opening.steps = opening_steps;
    t->opening.finished = on_opened;
    t->db = db_open_as_tool(&t->loop, t->dsn, on_change, t);
    task_start(&t->loop, &t->opening);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    uv_loop_close(&t->loop);
    return t->status;
}
