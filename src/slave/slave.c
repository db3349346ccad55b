/*
 * The slave from start to end: what it refuses to start with, its loop, its signals. `piwheels slave`
 * (src/cmd/slave.c) calls slave_run; all that happens in between is session.c's.
 */
#include "slave.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/lane.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/notify.h"
#include "machine.h"
#include "place.h"
#include "session.h"

static const int signals_to_leave[] = {SIGTERM, SIGINT, SIGHUP};

struct slave {
    uv_loop_t loop;
    struct place place;
    struct session session;
    uv_signal_t signals[COUNT_OF(signals_to_leave)];
    char label[65], system[129], hardware[129];
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

static int run_loop(struct slave *s, const struct slave_settings *settings)
{
    uv_loop_init(&s->loop);
    lane_setup(&s->loop);
    watch_signals(s);
    notify_watchdog_start(&s->loop);
    s->session.place = (struct attempt_place){
        .loop = &s->loop, .dir = s->place.dir,
        .python = settings->python, .timeout_ms = settings->timeout_ms};
    s->session.master = settings->master;
    s->session.label = s->label;
    s->session.system = s->system;
    s->session.hardware = s->hardware;
    s->session.ended = on_session_ended;
    session_start(&s->session);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&s->loop) != 0)
        log_error("slave", "slave: something was left open at the end");
    return s->session.refused ? EXIT_FAILURE : EXIT_SUCCESS;
}

int slave_run(const struct slave_settings *settings)
{
    struct slave *s = mem_new(1, sizeof *s);
    int status = EXIT_FAILURE;
    char why[512];

    umask(022); /* for builds; what the slave makes itself lies in directories that are its own */
    if (!clock_is_right() || !name_itself(s, settings->label))
        goto out;
    if (slave_ask_python(settings->python, &s->session.python, why, sizeof why) != 0 ||
        place_open(&s->place, settings->dir, why, sizeof why) != 0) {
        log_error("slave", "slave: %s", why);
        goto out;
    }
    status = run_loop(s, settings);
    place_close(&s->place);
out:
    free(s);
    return status;
}
