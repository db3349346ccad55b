/*
 * Faults on purpose: see core/fault.h. Part of the program only in the tests' own build.
 */
#include "core/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read once, at the first point passed. */
static struct {
    char point[128], action[16];
    unsigned nth;
    bool onwards;       /* all later passes too */
    long argument;      /* errno */
    atomic_uint passes;
} plan;

static void refuse(const char *text)
{
    dprintf(STDERR_FILENO, "fault: PIW_TEST_FAULT cannot be understood: %s\n", text);
    abort();
}

static void read_plan(void)
{
    const char *text = getenv("PIW_TEST_FAULT");
    char count[16] = "1";

    if (text == NULL)
        return;
    if (sscanf(text, "%127[^#=]#%15[0-9+]=%15[a-z]:%ld", plan.point, count, plan.action,
               &plan.argument) < 3 &&
        sscanf(text, "%127[^#=]=%15[a-z]:%ld", plan.point, plan.action, &plan.argument) < 2)
        refuse(text);
    plan.nth = (unsigned)strtoul(count, NULL, 10);
    plan.onwards = strchr(count, '+') != NULL;
}

/* Opening the gate, a FIFO, waits for somebody who opens it for writing. */
static void hold(void)
{
    const char *gate = getenv("PIW_TEST_GATE");
    int fd;

    do
        fd = gate != NULL ? open(gate, O_RDONLY | O_CLOEXEC) : -1;
    while (fd < 0 && gate != NULL && errno == EINTR);
    if (fd < 0)
        refuse("hold without PIW_TEST_GATE");
    close(fd);
}

static int act(void)
{
    dprintf(STDERR_FILENO, "fault: %s: %s\n", plan.point, plan.action);
    if (strcmp(plan.action, "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(plan.action, "stop") == 0)
        kill(getpid(), SIGSTOP);
    else if (strcmp(plan.action, "abort") == 0)
        abort();
    else if (strcmp(plan.action, "hold") == 0)
        hold();
    else if (strcmp(plan.action, "fail") == 0)
        return (int)-plan.argument;
    else
        refuse(plan.action);
    return 0;
}

int fault_pass(const char *format, ...)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char point[sizeof plan.point];
    va_list args;

    pthread_once(&once, read_plan);
    if (plan.point[0] == '\0')
        return 0;
    va_start(args, format);
    vsnprintf(point, sizeof point, format, args);
    va_end(args);
    if (strcmp(point, plan.point) != 0)
        return 0;
    unsigned pass = atomic_fetch_add(&plan.passes, 1) + 1;
    return pass == plan.nth || (plan.onwards && pass > plan.nth) ? act() : 0;
}

int fault_pass_statement(const char *moment, const char *sql)
{
    const char *name = strstr(sql, "piwheels.");

    if (name == NULL)
        return 0;
    name += strlen("piwheels.");
    return fault_pass("%s %.*s", moment, (int)strspn(name, "abcdefghijklmnopqrstuvwxyz_"), name);
}
