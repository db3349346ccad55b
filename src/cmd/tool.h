/*
 * A command that needs the database for a moment: a loop of its own, a connection, one task, the end.
 */
#ifndef TOOL_H
#define TOOL_H

#include "cmd.h"
#include "core/task.h"
#include "db.h"

struct tool {
    /* set by the command */
    const struct command *command;
    const char *dsn;
    const struct task_step *steps;    /* what to do with the database; they fail with task_fail */
    bool any_database;                /* also one that this program cannot work with */
    /* for the steps */
    struct db *db;
    struct db_call call;
    struct db_configuration configuration;
    int error;                        /* of the last call */
    /* private */
    uv_loop_t loop;
    struct task opening, task;
    int64_t deadline_ms;
    int status;
};

/* Connects, or says why not within seconds; checks what database it is; runs the steps. Returns the exit
 * status, with the reason told on stderr. `t` must be zeroed but for the command's fields. */
int tool_run(struct tool *t);

/* The tool whose step runs. */
struct tool *tool_of(struct task *t);

/* The `done` of t->call: keeps the error and goes on with the next step. */
void tool_on_answer(struct db_call *c, int error);

/* The last call failed: ends the task with what the server said. */
enum step tool_refused(struct tool *t);

#endif
