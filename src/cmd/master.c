/*
 * `piwheels master`: makes the stages, joins them, runs the loop, and takes them apart again. It holds no
 * logic of its own: two tables, how the house is opened and how it is closed.
 */
#include <errno.h>
#include <malloc.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "cmd.h"
#include "control.h"
#include "core/lag.h"
#include "core/lane.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "core/task.h"
#include "core/text.h"
#include "db.h"
#include "farm.h"
#include "files.h"
#include "io/fs.h"
#include "io/http.h"
#include "io/key.h"
#include "io/wire.h"
#include "overrides.h"
#include "pypi.h"
#include "queue.h"
#include "web.h"

#define STOP_MS 4500  /* what has not ended by then is safe to leave: see DESIGN, "the database is the queue" */

struct master {
    const struct options *options;
    uv_loop_t loop;
    uv_signal_t on_term, on_int, on_hup;
    uv_timer_t stop_timer;
    struct lag lag;
    struct task opening, closing;
    bool stopping, waits_for_database, recovers;
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

/* How patient the stages are: polite by default, quick for developers. */
struct pace {
    int64_t retry_ms;
    uint64_t grace_ms, round_ms, root_pause_ms, poll_ms;
    uint64_t changelog_ms, pace_ms, back_off_ms, most_back_off_ms, patience_ms; /* see struct pypi_settings, as of the next */
    unsigned slow_s;
    int64_t page_lifetime_ms;
    uint64_t look_ms;          /* see struct files_settings, as the one before */
};

static struct pace pace_of(const struct options *o)
{
    struct pace polite = {
        .retry_ms = 60000, .grace_ms = 60000, .round_ms = 5000, .root_pause_ms = 60000,
        .poll_ms = (uint64_t)option_number(o, OPT_master_poll_interval),
        .changelog_ms = (uint64_t)option_number(o, OPT_master_changelog_interval),
        .pace_ms = 1000, .back_off_ms = 1000, .most_back_off_ms = 600000, .patience_ms = 300000,
        .page_lifetime_ms = option_number(o, OPT_master_page_lifetime), .look_ms = 60000,
    };
    struct pace quick = {
        .retry_ms = 1000, .grace_ms = 2000, .round_ms = 500, .root_pause_ms = 200,
        .poll_ms = option_given(o, OPT_master_poll_interval) ? polite.poll_ms : 2000,
        .changelog_ms = option_given(o, OPT_master_changelog_interval) ? polite.changelog_ms : 500,
        .pace_ms = 0, .back_off_ms = 200, .most_back_off_ms = 2000, .patience_ms = 60000, .slow_s = 5,
        .page_lifetime_ms = option_given(o, OPT_master_page_lifetime) ? polite.page_lifetime_ms : 1000, .look_ms = 500,
    };
    if (polite.changelog_ms < polite.pace_ms)
        polite.changelog_ms = polite.pace_ms;
    return option_flag(o, OPT_master_dev_mode) ? quick : polite;
}

/* ---- hints between the stages: "look now" --------------------------------------------------------- */

static void on_jobs_made(void *owner)
{
    struct master *m = owner;
    if (m->queue)
        queue_wake(m->queue);
    if (m->web)
        web_wake(m->web);
}

/* PyPI or a person said something new: what was withdrawn must leave. */
static void on_news(void *owner)
{
    struct master *m = owner;
    on_jobs_made(m);
    files_wake(m->files);
}

/* The queue (src/queue) would notice in its next round; slaves need not build till then. */
static void on_withdrawn(void *owner, const int64_t *attempts, unsigned count)
{
    struct master *m = owner;
    if (m->farm)
        farm_stop_attempts(m->farm, attempts, count);
}

static const struct pypi_events pypi_events = {on_news, on_withdrawn};

static void on_attempt_ended(void *owner)
{
    on_jobs_made(owner);
}

static void stop(struct master *m);

/* Whoever has the lock may have changed everything; whatever was done here meanwhile is in the database or never was. */
static void leave_to_other(struct master *m, const char *why)
{
    if (m->stopping)
        return;
    log_error("master", "master: stops: %s; one of the two must be given another database with --dsn", why);
    m->status = EXIT_TROUBLE;
    stop(m);
}

static void on_database_change(void *owner, bool ready, const char *why)
{
    struct master *m = owner;
    if (ready)
        notify_status("running");
    else
        notify_status("waiting for the database");
    if (!m->waits_for_database && !ready && db_taken(m->db))
        leave_to_other(m, why);
    if (!m->waits_for_database || !(ready || db_hopeless(m->db) || db_taken(m->db)))
        return;
    m->waits_for_database = false;
    task_resume(&m->opening);
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* First of all: what follows, recovery above all, must never be done beside a living master. */
static enum step find_control_socket(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const char *path = option_text(m->options, OPT_master_control_socket);
    if (path)
        text_copy(m->control_path, sizeof m->control_path, path);
    else if (fs_control_socket(m->control_path, sizeof m->control_path, true) != 0)
        return task_fail(t, -ENOENT, "no directory for the control socket could be made; name it with --control-socket");
    if (wire_is_live(m->control_path))
        return task_fail(t, -EADDRINUSE, "another master listens at %s; stop it, or name another socket with "
                         "--control-socket", m->control_path);
    return STEP_NEXT;
}

static enum step open_key(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const char *path = option_text(m->options, OPT_master_key);
    char usual[PATH_MAX];
    bool made;
    if (option_flag(m->options, OPT_master_insecure)) {
        log_warning("master", "master: slaves are taken at their word (--insecure)");
        return STEP_NEXT;
    }
    if (!path)
        fs_state_file("master.key", usual, sizeof usual);
    int error = key_open(path ? path : usual, &m->key, &made, m->why, sizeof m->why);
    if (error)
        return task_fail(t, error, "%s", m->why);
    log_info("master", "master: its key is %s (%s%s)", key_print(m->key), made ? "made now: " : "", path ? path : usual);
    return STEP_NEXT;
}

static enum step open_database(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    m->waits_for_database = true;
    m->db = db_open_as_master(&m->loop, option_text(m->options, OPT_master_dsn), on_database_change, m);
    return STEP_WAIT;
}

static void on_configuration(struct db_call *c, int error)
{
    struct master *m = container_of(c, struct master, call);
    if (error)
        snprintf(m->why, sizeof m->why, "%s", c->message);
    task_resume(&m->opening);
}

static enum step read_configuration(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (db_taken(m->db))
        return task_fail(t, -EADDRINUSE, "%.170s; stop it, or name another database with --dsn", db_why(m->db));
    if (!db_ready(m->db))
        return task_fail(t, -ECONNREFUSED, "the database cannot be used: %s; --dsn names another, piwheels initdb prepares it",
                         db_why(m->db));
    db_configuration(m->db, &m->call, &m->configuration, on_configuration);
    return STEP_WAIT;
}

static enum step check_configuration(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (m->why[0])
        return task_fail(t, -EREMOTEIO, "the database cannot be read: %s", m->why);
    if (db_configuration_check(&m->configuration, m->why, sizeof m->why) != 0)
        return task_fail(t, -EPROTO, "%s", m->why);
    return STEP_NEXT;
}

static enum step set_policy(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const struct options *o = m->options;
    const char *build = option_text(o, OPT_master_build);
    int64_t settle_ms = option_number(o, OPT_master_settle);
    if (strcmp(build, "missing") != 0 && strcmp(build, "all") != 0)
        return task_fail(t, -EINVAL, "--build must be missing or all, not %.100s", build);
    if (option_flag(o, OPT_master_dev_mode) && !option_given(o, OPT_master_settle))
        settle_ms = 0;
    db_policy(m->db, &m->call, strcmp(build, "all") == 0, settle_ms, option_number(o, OPT_master_event_retention),
              on_configuration);
    return STEP_WAIT;
}

static enum step open_files(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const struct options *o = m->options;
    if (m->why[0])
        return task_fail(t, -EREMOTEIO, "the database refused: %s", m->why);
    struct files_settings settings = {
        .output = option_text(o, OPT_master_output),
        .max_wheel_bytes = (uint64_t)option_number(o, OPT_master_max_wheel),
        .min_free_bytes = (uint64_t)option_number(o, OPT_master_min_free),
        .retry_ms = pace_of(o).retry_ms,
        .page_lifetime_ms = pace_of(o).page_lifetime_ms,
        .look_ms = pace_of(o).look_ms,
    };
    int error = files_open(&m->loop, m->db, &settings, on_attempt_ended, m, &m->files, m->why, sizeof m->why);
    return error ? task_fail(t, error, "%s", m->why) : STEP_NEXT;
}

static void on_recovered(void *owner, int error)
{
    struct master *m = owner;
    m->recovers = false;
    m->recovered = error;
    task_resume(&m->opening);
}

static enum step recover_files(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    m->recovers = true;
    files_recover(m->files, on_recovered, m);
    return STEP_WAIT;
}

static enum step open_pypi(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const struct options *o = m->options;
    const char *follow = option_text(o, OPT_master_follow);
    char agent[256];
    if (strcmp(follow, "all") != 0 && strcmp(follow, "listed") != 0)
        return task_fail(t, -EINVAL, "--follow must be all or listed, not %.100s", follow);
    if (m->recovered)
        return task_fail(t, m->recovered, "what a crash left could not be cleaned up; the log says why");
    snprintf(agent, sizeof agent, "piwheels/%s (+%s)", PIWHEELS_VERSION, option_text(o, OPT_master_contact));
    m->http = http_open(&m->loop, agent);
    struct pace pace = pace_of(o);
    struct pypi_settings settings = {
        .simple_url = option_text(o, OPT_master_pypi_simple), .json_url = option_text(o, OPT_master_pypi_json),
        .xmlrpc_url = option_text(o, OPT_master_pypi_xmlrpc), .follow_all = strcmp(follow, "all") == 0,
        .poll_ms = pace.poll_ms, .changelog_ms = pace.changelog_ms, .pace_ms = pace.pace_ms, .back_off_ms = pace.back_off_ms,
        .most_back_off_ms = pace.most_back_off_ms, .patience_ms = pace.patience_ms, .slow_s = pace.slow_s,
        .sweep_ms = (uint64_t)option_number(o, OPT_master_sweep),
    };
    m->pypi = pypi_open(&m->loop, m->db, m->http, &settings, &pypi_events, m);
    return STEP_NEXT;
}

/* What waited for a slave may be built now. */
static void on_overrides_changed(void *owner)
{
    on_jobs_made(owner);
}

static enum step open_overrides(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    struct overrides_settings settings = {option_text(m->options, OPT_master_packages_dir), pace_of(m->options).round_ms};
    m->overrides = overrides_open(&m->loop, m->db, &settings, on_overrides_changed, m);
    return STEP_NEXT;
}

static enum step open_farm(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const struct options *o = m->options;
    struct pace pace = pace_of(o);
    struct farm_settings farm = {.listen = option_text(o, OPT_master_slave_listen),
                                 .key = m->key,
                                 .index_url = option_text(o, OPT_master_pypi_simple),
                                 .build_timeout_ms = (uint64_t)option_number(o, OPT_master_build_timeout),
                                 .lease_ms = option_number(o, OPT_master_lease),
                                 .retry_ms = pace.retry_ms};
    int error = farm_open(&m->loop, m->db, m->files, m->overrides, &farm, &m->farm, m->why, sizeof m->why);
    if (error)
        return task_fail(t, error, "%s", m->why);
    struct queue_settings queue = {farm.lease_ms, pace.retry_ms, pace.grace_ms, pace.round_ms};
    m->queue = queue_open(&m->loop, m->db, &queue, &farm_queue_events, m->farm);
    farm_set_queue(m->farm, m->queue);
    return STEP_NEXT;
}

/* Without slashes at its end; "" when it is not given. */
static bool read_site_url(const struct options *o, char *to, size_t size)
{
    const char *url = option_text(o, OPT_master_site_url);

    to[0] = '\0';
    if (url == NULL || url[0] == '\0')
        return true;
    if (!text_copy(to, size, url) || strpbrk(url, " \t\"<>?#") != NULL ||
        !(text_starts(url, "https://") || text_starts(url, "http://")))
        return false;
    for (size_t len = strlen(to); len > 0 && to[len - 1] == '/'; len--)
        to[len - 1] = '\0';
    return true;
}

static enum step open_control(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (!read_site_url(m->options, m->site_url, sizeof m->site_url))
        return task_fail(t, -EINVAL, "--site-url must be an address such as https://wheels.example.org, not %.200s",
                         option_text(m->options, OPT_master_site_url));
    struct control_sources sources = {.db = m->db, .pypi = m->pypi, .farm = m->farm, .files = m->files, .lag = &m->lag,
                                      .output = option_text(m->options, OPT_master_output), .site_url = m->site_url,
                                      .changed = on_news, .owner = m};
    int error = control_open(&m->loop, m->control_path, &sources, &m->control, m->why, sizeof m->why);
    return error ? task_fail(t, error, "%s", m->why) : STEP_NEXT;
}

static enum step open_web(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    struct web_settings settings = {.output = option_text(m->options, OPT_master_output),
                                    .site_url = m->site_url,
                                    .root_pause_ms = pace_of(m->options).root_pause_ms};
    m->web = web_open(&m->loop, m->db, &settings);
    return STEP_NEXT;
}

static enum step report_ready(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    log_info("master", "master: ready (piwheels %s, slaves at %s, tools at %s, output %s)", PIWHEELS_VERSION,
             farm_address(m->farm), m->control_path, option_text(m->options, OPT_master_output));
    notify_ready("running");
    notify_watchdog_start(&m->loop);
    return STEP_DONE;
}

static const struct task_step opening_steps[] = {
    {"find control socket", find_control_socket},
    {"open key", open_key},
    {"open database", open_database},
    {"read configuration", read_configuration},
    {"check configuration", check_configuration},
    {"set policy", set_policy},
    {"open files", open_files},
    {"recover files", recover_files},
    {"open pypi", open_pypi},
    {"open overrides", open_overrides},
    {"open farm and queue", open_farm},
    {"open control socket", open_control},
    {"open web", open_web},
    {"report ready", report_ready},
    {NULL, NULL},
};

/* ---- closing ------------------------------------------------------------------------------------- */

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

static const struct task_step closing_steps[] = {
    {"close control socket", close_control},
    {"close farm", close_farm},
    {"close queue", close_queue},
    {"close overrides", close_overrides},
    {"close pypi", close_pypi},
    {"close files", close_files},
    {"close web", close_web},
    {"close http", close_http},
    {"close database", close_database},
    {NULL, NULL},
};

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
    m->closing.steps = closing_steps;
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
    if (m->waits_for_database) {
        m->waits_for_database = false;
        task_resume(t);
    } else if (m->recovers) {
        files_recover_cancel(m->files);
    } else {
        db_cancel(&m->call);
    }
}

static void stop(struct master *m)
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
    stop(m);
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

/* Slaves may be thousands; the usual 1024 files are the limit of select(), which nobody here uses. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* An arena for each thread of the pool would keep what a thousand builds once needed. */
static void bound_arenas(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 2);
#endif
}

static int run(const struct options *o)
{
    struct master *m = mem_new(1, sizeof *m);
    int status;
    m->options = o;
    raise_file_limit();
    bound_arenas();
    uv_loop_init(&m->loop);
    lane_setup(&m->loop, LANES_MANY);
    lag_start(&m->loop, &m->lag);
    watch_signal(m, &m->on_term, SIGTERM, on_signal);
    watch_signal(m, &m->on_int, SIGINT, on_signal);
    watch_signal(m, &m->on_hup, SIGHUP, on_hangup);
    uv_timer_init(&m->loop, &m->stop_timer);
    m->opening.name = "opening";
    m->opening.steps = opening_steps;
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
