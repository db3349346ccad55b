/*
 * How the master's house is opened: a table, in the order in which one stage needs the other, and the hints by which they
 * tell each other to look now. master.c runs it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "core/text.h"
#include "io/fs.h"
#include "io/wire.h"
#include "master.h"

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

/* Whoever has the lock may have changed everything; whatever was done here meanwhile is in the database or never was. */
static void leave_to_other(struct master *m, const char *why)
{
    if (m->stopping)
        return;
    log_error("master", "master: stops: %s; one of the two must be given another database with --dsn", why);
    m->status = EXIT_TROUBLE;
    master_stop(m);
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

/* ---- the steps, in order -------------------------------------------------------------------------- */

/* First of all: what follows, recovery above all, must never be done beside a living master. */
static enum step find_control_socket(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const char *path = option_text(m->options, OPT_master_control_socket);
    if (path) /* it is short enough: see the kind SOCKET of options */
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
    int64_t settle_ms = option_number(o, OPT_master_settle);
    if (option_flag(o, OPT_master_dev_mode) && !option_given(o, OPT_master_settle))
        settle_ms = 0;
    db_policy(m->db, &m->call, strcmp(option_text(o, OPT_master_build), "all") == 0, settle_ms, option_number(o, OPT_master_event_retention),
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

/* What waited for a slave may be built now; the first time, what was waiting is the house. */
static void on_overrides_changed(void *owner)
{
    struct master *m = owner;
    if (!m->waits_for_overrides) {
        on_jobs_made(m);
        return;
    }
    m->waits_for_overrides = false;
    task_resume(&m->opening);
}

/* Before anybody makes jobs: they must know what they want. */
static enum step open_overrides(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (m->recovered)
        return task_fail(t, m->recovered, "what a crash left could not be cleaned up; the log says why");
    m->waits_for_overrides = true;
    struct overrides_settings settings = {option_text(m->options, OPT_master_packages_dir), pace_of(m->options).round_ms};
    m->overrides = overrides_open(&m->loop, m->db, &settings, on_overrides_changed, m);
    return STEP_WAIT;
}

static enum step open_pypi(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    const struct options *o = m->options;
    char agent[256];
    snprintf(agent, sizeof agent, "piwheels/%s (+%s)", PIWHEELS_VERSION, option_text(o, OPT_master_contact));
    m->http = http_open(&m->loop, agent);
    struct pace pace = pace_of(o);
    struct pypi_settings settings = {
        .simple_url = option_text(o, OPT_master_pypi_simple), .json_url = option_text(o, OPT_master_pypi_json),
        .xmlrpc_url = option_text(o, OPT_master_pypi_xmlrpc), .follow_all = strcmp(option_text(o, OPT_master_follow), "all") == 0,
        .poll_ms = pace.poll_ms, .changelog_ms = pace.changelog_ms, .pace_ms = pace.pace_ms, .back_off_ms = pace.back_off_ms,
        .most_back_off_ms = pace.most_back_off_ms, .patience_ms = pace.patience_ms, .slow_s = pace.slow_s,
        .sweep_ms = (uint64_t)option_number(o, OPT_master_sweep),
    };
    m->pypi = pypi_open(&m->loop, m->db, m->http, &settings, &pypi_events, m);
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

    if (!text_copy(to, size, url != NULL ? url : ""))
        return false;
    for (size_t len = strlen(to); len > 0 && to[len - 1] == '/'; len--)
        to[len - 1] = '\0';
    return true;
}

static enum step open_control(struct task *t)
{
    struct master *m = container_of(t, struct master, opening);
    if (!read_site_url(m->options, m->site_url, sizeof m->site_url))
        return task_fail(t, -ENAMETOOLONG, "--site-url is longer than %zu characters", sizeof m->site_url - 1);
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

const struct task_step master_opening_steps[] = {
    {"find control socket", find_control_socket},
    {"open key", open_key},
    {"open database", open_database},
    {"read configuration", read_configuration},
    {"check configuration", check_configuration},
    {"set policy", set_policy},
    {"open files", open_files},
    {"recover files", recover_files},
    {"open overrides", open_overrides},
    {"open pypi", open_pypi},
    {"open farm and queue", open_farm},
    {"open control socket", open_control},
    {"open web", open_web},
    {"report ready", report_ready},
    {NULL, NULL},
};
