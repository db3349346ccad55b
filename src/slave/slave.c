/*
 * The slave from start to end: what it refuses to start with, its loop, its signals. `piwheels slave`
 * (src/cmd/slave.c) calls slave_run; all that happens in between is session.c's.
 */
#include "slave.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/lane.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "core/text.h"
#include "io/fs.h"
#include "io/key.h"
#include "io/wire.h"
#include "machine.h"
#include "place.h"
#include "proof.h"
#include "session.h"

static const int signals_to_leave[] = {SIGTERM, SIGINT, SIGHUP};

struct slave {
    uv_loop_t loop;
    struct place place;
    struct sandbox sandbox;
    struct limits limits;
    struct cgroup cgroup;
    struct proof proof;
    struct pythons pythons;
    struct session session;
    uv_signal_t signals[COUNT_OF(signals_to_leave)];
    char label[65], system[129], hardware[129], compiler[129], libc[65];
    struct means means;
    struct key *key;             /* NULL: --insecure */
    char key_path[PATH_MAX], known_masters[PATH_MAX];
};

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    struct slave *s = handle->data;

    if (s->session.state == SESSION_LEAVING)
        _exit(EXIT_FAILURE);
    log_info("slave", "slave: leaving (%s)", strsignal(number));
    notify_stopping("leaving");
    session_leave(&s->session, number == SIGINT ? "interrupted" : "told to end by its machine");
}

static void watch_signals(struct slave *s)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COUNT_OF(signals_to_leave); i++) {
        uv_signal_init(&s->loop, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, signals_to_leave[i]);
    }
}

static void on_session_ended(struct session *session)
{
    struct slave *s = container_of(session, struct slave, session);
    for (size_t i = 0; i < COUNT_OF(signals_to_leave); i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    notify_watchdog_stop();
}

/* ---- start ---- */

static bool clock_is_right(void)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms();

    if (machine_clock_credible(now_ms))
        return true;
    log_error("slave", "slave: the clock says %s; set it (timedatectl), or builds will carry wrong times",
              clock_text(now_ms, text));
    return false;
}

static bool name_itself(struct slave *s, const char *label)
{
    char host[256] = "";

    slave_system_name(s->system, sizeof s->system);
    machine_hardware(s->hardware, sizeof s->hardware);
    machine_compiler(s->compiler, sizeof s->compiler);
    machine_libc(s->libc, sizeof s->libc);
    if (label == NULL) {
        gethostname(host, sizeof host - 1);
        machine_label(host[0] == '\0' ? "slave" : host, s->label);
        return true;
    }
    if (machine_label(label, s->label))
        return true;
    log_error("slave", "slave: '%s' cannot be a label: use at most 64 letters, digits, '.', '_' and '-'",
              label);
    return false;
}

/* The file of known masters lies beside the key. */
static bool find_files(struct slave *s, const char *key)
{
    static const char name[] = "known_masters";
    if (key != NULL)
        text_copy(s->key_path, sizeof s->key_path, key);
    else
        fs_state_file("slave.key", s->key_path, sizeof s->key_path);
    const char *slash = strrchr(s->key_path, '/');
    int dir = slash != NULL ? (int)(slash - s->key_path) + 1 : 0;
    int len = snprintf(s->known_masters, sizeof s->known_masters, "%.*s%s", dir, s->key_path, name);
    return len >= 0 && (size_t)len < sizeof s->known_masters;
}

static bool open_key(struct slave *s, const struct slave_settings *settings)
{
    char why[PATH_MAX + 512];
    bool made;
    if (settings->only_check) /* meets no master; a key that is there is still to be kept from builds */
        return find_files(s, settings->key);
    if (settings->insecure && wire_is_loopback(settings->master))
        return true;
    if (settings->insecure)
        snprintf(why, sizeof why, "--insecure is for a master on this machine, which %s is not; leave it out on both sides",
                 settings->master);
    else if (!find_files(s, settings->key))
        snprintf(why, sizeof why, "the path of the key is too long");
    else if (key_open(s->key_path, &s->key, &made, why, sizeof why) == 0) {
        log_info("slave", "slave: its key is %s (%s%s)", key_print(s->key), made ? "made now: " : "", s->key_path);
        return true;
    }
    log_error("slave", "slave: %s", why);
    return false;
}

/* What builds with each of the Pythons share. */
static void fill_places(struct slave *s, const struct slave_settings *settings)
{
    unsigned compilers = machine_jobs() / settings->jobs;

    for (unsigned i = 0; i < s->pythons.count; i++) {
        struct python *p = &s->pythons.items[i];
        p->environment = (struct rec_environment){.system = s->system, .python = p->facts.version, .pip = p->facts.pip,
            .compiler = s->compiler, .libc = s->libc};
        p->place = (struct attempt_place){
            .loop = &s->loop, .environment = &p->environment,
            .build = {.dir = s->place.dir, .python = p->path, .hosts = settings->index_hosts, .sandbox = &s->sandbox,
                      .limits = &s->limits, .cgroup = &s->cgroup, .compilers = compilers > 0 ? compilers : 1}};
    }
}

static int run_loop(struct slave *s, const struct slave_settings *settings)
{
    uv_loop_init(&s->loop);
    lane_setup(&s->loop, LANES_FEW);
    watch_signals(s);
    notify_watchdog_start(&s->loop);
    fill_places(s, settings);
    s->session.loop = &s->loop;
    s->session.dir = s->place.dir;
    s->session.master = settings->master;
    s->session.label = s->label;
    s->session.key = s->key;
    s->session.known_masters = s->known_masters;
    s->session.system = s->system;
    s->session.hardware = s->hardware;
    s->session.pythons = &s->pythons;
    s->session.sandbox = &s->sandbox;
    s->session.limits = &s->limits;
    s->session.means = &s->means;
    s->session.proof = &s->proof;
    s->session.jobs = settings->jobs;
    s->session.wanted = (struct room){settings->min_free_bytes, settings->min_free_files, settings->min_free_memory_bytes};
    s->session.ended = on_session_ended;
    session_start(&s->session);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&s->loop) != 0)
        log_error("slave", "slave: something was left open at the end");
    means_release(&s->means);
    return s->session.refused ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the sandbox ---- */

static void set_limits(struct limits *l, const struct slave_settings *settings)
{
    struct rec_machine machine;

    machine_read("/", &machine);
    *l = (struct limits){
        .memory_bytes = settings->memory_bytes > 0 ? settings->memory_bytes : machine.memory_bytes / 4 * 3 / settings->jobs,
        .processes = settings->processes, .open_files = settings->open_files,
        .disk_bytes = settings->disk_bytes, .disk_files = settings->disk_files,
        .output_bytes = settings->output_bytes, .cpu_ms = settings->cpu_ms,
        .timeout_ms = settings->timeout_ms, .silence_ms = settings->silence_ms};
}

/* What was asked for may be more than there is: then builds are ended for want of room, not for passing their limits. */
static void warn_of_limits(const struct slave *s, unsigned jobs)
{
    struct rec_machine m;

    machine_read(s->place.dir, &m);
    if (s->limits.memory_bytes > m.memory_bytes / jobs)
        log_warning("slave", "slave: %u build%s with %llu MB each would take more than this machine's %llu MB of memory; lower "
                    "--memory or --jobs", jobs, jobs > 1 ? "s" : "", (unsigned long long)s->limits.memory_bytes / 1000000,
                    (unsigned long long)m.memory_bytes / 1000000);
    if (s->limits.disk_bytes > m.disk_free_bytes / jobs)
        log_info("slave", "slave: %u build%s may write %llu MB each, and %llu MB are free in %s", jobs, jobs > 1 ? "s" : "",
                 (unsigned long long)s->limits.disk_bytes / 1000000, (unsigned long long)m.disk_free_bytes / 1000000,
                 s->place.dir);
}

static int read_sandbox(const struct slave_settings *settings, enum sandbox_level *level, enum network *network,
                        enum network *most, char *why, size_t why_size)
{
    const char *most_text = settings->network_most != NULL ? settings->network_most : settings->network;

    int error = sandbox_level_read(settings->sandbox, level);
    if (error == 0)
        error = network_read(settings->network, network);
    if (error == 0)
        error = network_read(most_text, most);
    assert(error == 0); /* the options take nothing else: schema/options.def */
    if (*most >= *network)
        return 0;
    snprintf(why, why_size, "--network-most %s is less than --network %s, which every build may reach", most_text,
             settings->network);
    return -EINVAL;
}

static void warn_of_openness(const struct sandbox *s, const char *network)
{
    if (s->level == SANDBOX_NONE)
        log_warning("slave", "slave: builds run WITHOUT A SANDBOX: every package can read, change and send whatever "
                    "this user can (--sandbox strict)");
    else if (s->level == SANDBOX_BASIC && strcmp(network, "all") != 0)
        log_warning("slave", "slave: at --sandbox basic builds reach the whole network, whatever --network says");
}

/* Opens it and proves it. The place is open. */
static int open_sandbox(struct slave *s, const struct slave_settings *settings, char *why, size_t why_size)
{
    enum sandbox_level level = SANDBOX_STRICT;
    enum network network = NETWORK_INDEX, most = NETWORK_INDEX;
    const struct trial trial = {&s->sandbox, s->place.dir, s->pythons.items[0].path};

    int error = read_sandbox(settings, &level, &network, &most, why, why_size);
    if (error == 0)
        error = sandbox_open(&s->sandbox, level, network, why, why_size);
    if (error != 0)
        return error;
    if (most > s->sandbox.network_most)
        s->sandbox.network_most = most;
    s->sandbox.hidden[0] = s->key_path;
    s->sandbox.hidden[1] = s->known_masters;
    for (unsigned i = 0; error == 0 && i < s->pythons.count; i++)
        error = sandbox_check_python(&s->sandbox, s->pythons.items[i].path, s->place.dir, why, why_size);
    if (error == 0)
        error = proof_make(&trial, &s->proof, why, why_size);
    if (error == 0 && settings->only_check)
        proof_print(&s->proof, &s->sandbox, stdout);
    if (error == 0)
        error = proof_judge(&s->proof, why, why_size);
    if (error != 0)
        sandbox_close(&s->sandbox);
    return error;
}

static int run_in_sandbox(struct slave *s, const struct slave_settings *settings)
{
    char why[1024];

    if (open_sandbox(s, settings, why, sizeof why) != 0) {
        log_error("slave", "slave: %s", why);
        return EXIT_FAILURE;
    }
    warn_of_openness(&s->sandbox, settings->network);
    set_limits(&s->limits, settings);
    log_info("slave", "slave: sandbox %s, network %s (%zu ways out stopped, %zu unproven)",
             sandbox_level_name(s->sandbox.level), network_name(s->sandbox.network),
             proof_number(&s->proof, PROOF_STOPPED), proof_number(&s->proof, PROOF_UNPROVEN));
    warn_of_limits(s, settings->jobs);
    if (!settings->only_check)
        cgroup_open_own(&s->cgroup);
    if (s->cgroup.dir != NULL)
        log_info("slave", "slave: each build gets a control group in %s", s->cgroup.dir);
    int status = settings->only_check ? EXIT_SUCCESS : run_loop(s, settings);
    cgroup_close(&s->cgroup);
    sandbox_close(&s->sandbox);
    return status;
}

int slave_run(const struct slave_settings *settings)
{
    struct slave *s = mem_new(1, sizeof *s);
    int status = EXIT_FAILURE;
    char why[512];

    umask(022); /* for builds; what the slave makes itself lies in directories that are its own */
    if (!clock_is_right() || !name_itself(s, settings->label) || !open_key(s, settings))
        goto out;
    if (pythons_open(&s->pythons, settings->pythons, why, sizeof why) != 0 ||
        place_open(&s->place, settings->dir, why, sizeof why) != 0) {
        log_error("slave", "slave: %s", why);
        goto out;
    }
    status = run_in_sandbox(s, settings);
    place_close(&s->place);
out:
    pythons_close(&s->pythons);
    key_close(s->key);
    free(s);
    return status;
}
