/*
 * What systemd hears of the master and the slave: ready, stopping, alive.
 */
#include "core/notify.h"

#include <stdbool.h>
#include <systemd/sd-daemon.h>

static uv_timer_t watchdog; /* one a process, as the watchdog is */
static bool watching;

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void notify_stopping(const char *status)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

static void on_watchdog_due(uv_timer_t *timer)
{
    sd_notify(0, "WATCHDOG=1");
}

void notify_watchdog_start(uv_loop_t *loop)
{
    uint64_t limit_us = 0;

    if (watching || sd_watchdog_enabled(0, &limit_us) <= 0)
        return;
    uint64_t period_ms = limit_us / 2000 > 0 ? limit_us / 2000 : 1;
    uv_timer_init(loop, &watchdog);
    uv_timer_start(&watchdog, on_watchdog_due, 0, period_ms);
    uv_unref((uv_handle_t *)&watchdog); /* alone it keeps nothing running */
    watching = true;
}

void notify_watchdog_stop(void)
{
    if (watching)
        uv_close((uv_handle_t *)&watchdog, NULL);
    watching = false;
}
