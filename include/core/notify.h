/*
 * What systemd wants to hear (sd_notify(3)). Without NOTIFY_SOCKET nothing happens.
 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include <uv.h>

/* READY=1 with a STATUS line: only when everything is up. */
void notify_ready(const char *status);
void notify_status(const char *status);
void notify_stopping(const char *status);

/* Feeds WATCHDOG=1 at half of WATCHDOG_USEC from a timer on `loop`, so that a loop that hangs is
 * noticed; does nothing where no watchdog is asked for. `stop` closes the timer. */
void notify_watchdog_start(uv_loop_t *loop);
void notify_watchdog_stop(void);

#endif
