/*
 * `piwheels master`: makes the stages, joins them, runs the loop, and takes them apart again. It holds no
 * logic of its own: two tables, how the house is opened (master_open.c) and how it is closed (master_close.c).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/lane.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "io/wire.h"
#include "master.h"

#define ADDRESS_SIZE 512
#define LEAST_WHEEL 1024
#define STOP_MS 4500  /* what has not ended by then is safe to leave: the database is the queue */

/* ---- the end ------------------------------------------------------------------------------------- */

static void on_closed(struct task *t)
{
    struct master *m = container_of(t, struct master, closing);
    notify_watchdog_stop();
    uv_close((uv_handle_t *)&m->on_term, NULL);
    uv_close((uv_handle_t *)&m->on_int, NULL);
    uv_close((uv_handle_t *)&m->on_hup, NULL);
    uv_close((uv_handle_t *)&m->stop_timer, NULL);
    lag_stop(&m->lag);
}

static void on_stop_timer(uv_timer_t *timer)
{
    struct master *m = container_of(timer, struct master, stop_timer);
    log_warning("master", "master: left without waiting any longer (at: %s); nothing is lost",
                task_step_name(&m->closing));
    log_close();
    _exit(m->status);
}

static void close_house(struct master *m)
{
    if (m->stopping)
        return;
    m->stopping = true;
    notify_stopping("stopping");
    uv_timer_start(&m->stop_timer, on_stop_timer, STOP_MS, 0);
    m->closing.name = "closing";
    m->closing.steps = master_closing_steps;
    m->closing.finished = on_closed;
    task_start(&m->loop, &m->closing);
}

static void on_opened(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (t->error == 0)
        return;
    if (t->error != -ECANCELED) {
        log_error("master", "master: not started: %s", t->reason);
        m->status = EXIT_TROUBLE;
    }
    close_house(m);
}

static void on_opening_cancel(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (m->waits_for_database || m->waits_for_overrides) {
        m->waits_for_database = m->waits_for_overrides = false;
        task_resume(t);
    } else if (m->recovers) {
        files_recover_cancel(m->files);
    } else {
        db_cancel(&m->call);
    }
}

void master_stop(struct master *m)
{
    if (strcmp(task_step_name(&m->opening), "done") == 0)
        close_house(m);
    else
        task_cancel(&m->opening);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct master *m = handle->data;
    if (m->stopping)
        return;
    log_info("master", "master: stops (%s)", signum == SIGTERM ? "SIGTERM" : "SIGINT");
    master_stop(m);
}

/* As for other services: what can be read again while it runs is. */
static void on_hangup(uv_signal_t *handle, int signum)
{
    struct master *m = handle->data;
    log_info("master", "master: looks at the packages' own settings (SIGHUP); all else is read at the start");
    if (m->overrides)
        overrides_wake(m->overrides);
}

/* ---- the command --------------------------------------------------------------------------------- */

static void watch_signal(struct master *m, uv_signal_t *handle, int signum, uv_signal_cb heard)
{
    uv_signal_init(&m->loop, handle);
    handle->data = m;
    uv_signal_start(handle, heard, signum);
}

/* While nothing says where the time zone is kept, the C library asks the file system whether it has changed each time that a
 * line is logged, and several times for each wheel that is read. */
static void settle_time_zone(void)
{
    setenv("TZ", ":/etc/localtime", 0);
}

/* Slaves may be thousands; the usual 1024 files are the limit of select(), which nobody here uses. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct options *o)
{
    const char *listen = option_text(o, OPT_master_slave_listen);
    char address[ADDRESS_SIZE];
    if (wire_full_address(listen, address, sizeof address) != 0)
        return command_usage_error(&command_master, "--slave-listen: \"%s\" is no ADDR:PORT such as 192.0.2.1:5555; 0.0.0.0:5555 "
                                   "is every address of the machine", listen);
    if (option_number(o, OPT_master_max_wheel) < LEAST_WHEEL)
        return command_usage_error(&command_master, "--max-wheel: %s is too little for any wheel; it is at least 1K",
                                   option_text(o, OPT_master_max_wheel));
    struct master *m = mem_new(1, sizeof *m);
    int status;
    m->options = o;
    umask(022); /* what it makes is a site that others serve; before there is any thread, for it is that of all */
    raise_file_limit();
    settle_time_zone();
    uv_loop_init(&m->loop);
    lane_setup(&m->loop, LANES_MANY);
    lag_start(&m->loop, &m->lag);
    watch_signal(m, &m->on_term, SIGTERM, on_signal);
    watch_signal(m, &m->on_int, SIGINT, on_signal);
    watch_signal(m, &m->on_hup, SIGHUP, on_hangup);
    uv_timer_init(&m->loop, &m->stop_timer);
    m->opening.name = "opening";
    m->opening.steps = master_opening_steps;
    m->opening.finished = on_opened;
    m->opening.cancel = on_opening_cancel;
    task_start(&m->loop, &m->opening);
    uv_run(&m->loop, UV_RUN_DEFAULT);
    uv_loop_close(&m->loop);
    key_close(m->key);
    status = m->status;
    log_info("master", "master: stopped");
    free(m);
    return status;
}

static const char *const aliases[] = {"piw-master", NULL};

const struct command command_master = {
    .name = "master",
    .aliases = aliases,
    .usage = "",
    .summary = "coordinate the slaves and keep the site up to date",
    .description = "The master asks PyPI about packages, hands their builds to slaves, verifies and publishes what "
                   "comes back, and writes the pages that pip reads. It needs a database made by piwheels initdb, an "
                   "output directory that it may write, and at least one target (piwheels target add).",
    .bit = FOR_MASTER,
    .max_words = 0,
    .needs_user = true,
    .run = run,
};
