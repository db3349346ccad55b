/*
 * The master's house, as its files share it.
 *
 *   master.c        the command, the signals, the end
 *   master_open.c   how the stages are opened, one after the other
 *   master_close.c  and how they are closed
 */
#ifndef CMD_MASTER_H
#define CMD_MASTER_H

#include <stdbool.h>
#include <uv.h>

#include "cmd.h"
#include "control.h"
#include "core/lag.h"
#include "core/task.h"
#include "db.h"
#include "farm.h"
#include "files.h"
#include "io/http.h"
#include "io/key.h"
#include "overrides.h"
#include "pypi.h"
#include "queue.h"
#include "web.h"

struct master {
    const struct options *options;
    uv_loop_t loop;
    uv_signal_t on_term, on_int, on_hup;
    uv_timer_t stop_timer;
    struct lag lag;
    struct task opening, closing;
    bool stopping, waits_for_database, recovers, waits_for_overrides;
    int status;
    char why[600];
    char control_path[108], site_url[512];
    int recovered;

    struct key *key;       /* NULL: --insecure */
    struct db *db;
    struct db_call call;
    struct db_configuration configuration;
    struct http *http;
    struct files *files;
    struct queue *queue;
    struct overrides *overrides;
    struct farm *farm;
    struct pypi *pypi;
    struct control *control;
    struct web *web;
};

extern const struct task_step master_opening_steps[];
extern const struct task_step master_closing_steps[];

/* Ends what is being opened, or closes the house. */
void master_stop(struct master *m);

#endif
