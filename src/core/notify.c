/*
 * What systemd hears of the master and the slave: ready, stopping, alive. One datagram each, as sd_notify(3) describes them:
 * its library would bring four others into every process, and most of a megabyte.
 */
#include "core/notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/text.h"

static uv_timer_t watchdog; /* one a process, as the watchdog is */
static bool watching;

/* The socket's path, or with an @ before it a name of Linux's that is in no file system. False where nobody listens. */
static bool find_listener(struct sockaddr_un *to, socklen_t *len)
{
    const char *name = getenv("NOTIFY_SOCKET");

    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (name == NULL || (name[0] != '/' && name[0] != '@') || !text_copy(to->sun_path, sizeof to->sun_path, name))
        return false;
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (name[0] == '@')
        to->sun_path[0] = '\0';
    return true;
}

static void say(const char *state, const char *status, int flags)
{
    struct sockaddr_un to;
    socklen_t len;
    char text[512];

    if (!find_listener(&to, &len))
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    snprintf(text, sizeof text, "%s%s%s", state, status != NULL ? "STATUS=" : "", status != NULL ? status : "");
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | flags, (struct sockaddr *)&to, len);
    close(fd);
}

void notify_ready(const char *status)
{
    say("READY=1\n", status, 0);
}

void notify_status(const char *status)
{
    say("", status, 0);
}

void notify_stopping(const char *status)
{
    say("STOPPING=1\n", status, 0);
}

/* Where there is no room for it, enough others wait to be heard. */
static void on_watchdog_due(uv_timer_t *timer)
{
    say("WATCHDOG=1", NULL, MSG_DONTWAIT);
}

/* Within which time it must be fed; 0: nobody asked for it, or of another process: see sd_watchdog_enabled(3). */
static uint64_t watchdog_limit_us(void)
{
    const char *limit = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    unsigned long long us = 0, whose = 0;

    if (pid != NULL && (text_to_u64(pid, &whose) != 0 || whose != (unsigned long long)getpid()))
        return 0;
    return limit != NULL && text_to_u64(limit, &us) == 0 ? us : 0;
}

void notify_watchdog_start(uv_loop_t *loop)
{
    uint64_t limit_us = watchdog_limit_us();

    if (watching || limit_us == 0)
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
