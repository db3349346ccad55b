/*
 * A keeper: a process of ours that stands between us and one command, so that of several commands that run at once
 * each process is known to be one's or another's. It is a child subreaper (prctl(2)): whoever loses its parent in
 * the tree becomes the keeper's child, and so stays below it. It reaps what dies, and ends with the command; what the
 * command leaves behind becomes ours then. So our own orphans never belong to a command that still runs.
 *
 *     us ─▶ keeper ─▶ command ─▶ …
 *              └────▶ orphans of the tree
 *
 * It is deaf to every signal but SIGKILL, and dies with us.
 */
#include "child_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "piwheels-keep"   /* as ps(1) shows it */

/* ---- the keeper: only what is safe after a fork of several threads (signal-safety(7)) ---- */

_Noreturn static void reap_until_end(pid_t command, int report)
{
    struct keep_end end = {0};
    struct rusage used;

    for (;;) {
        pid_t pid = wait4(-1, &end.status, 0, &used);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid > 0 && (int64_t)used.ru_maxrss * 1024 > end.peak_bytes)
            end.peak_bytes = (int64_t)used.ru_maxrss * 1024;
        if (pid == command)
            _exit(write(report, &end, sizeof end) == (ssize_t)sizeof end ? 0 : 1);
        if (pid < 0)
            _exit(1);
    }
}

_Noreturn static void keep(const char *const argv[], const char *const env[], const char *cwd,
                           const struct child_files *files, pid_t parent, int report)
{
    pid_t command;

    prctl(PR_SET_NAME, NAME);
    int error = prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
    if (getppid() != parent)
        _exit(1);
    if (error == 0)
        error = child_spawn(argv, env, cwd, files, &command);
    if (write(report, &error, sizeof error) != (ssize_t)sizeof error || error != 0)
        _exit(1);
    dup2(report, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0U, 0);
    reap_until_end(command, STDIN_FILENO);
}

/* ---- we ---- */

/* Whether the command was begun: the keeper's first word. */
static int first_word(int report)
{
    int error = 0;
    ssize_t got;

    do
        got = read(report, &error, sizeof error);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof error ? error : -ECHILD;
}

int keep_start(const char *const argv[], const char *const env[], const char *cwd, const struct child_files *files,
               pid_t *keeper, int *report)
{
    sigset_t all, before;
    pid_t us = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* what we handle must not be handled twice */
    pid_t pid = fork();
    int error = pid < 0 ? -errno : 0;
    if (pid == 0)
        keep(argv, env, cwd, files, us, ends[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (error == 0 && (error = first_word(ends[0])) != 0)
        waitpid(pid, NULL, 0);
    if (error != 0) {
        close(ends[0]);
        return error;
    }
    *keeper = pid;
    *report = ends[0];
    return 0;
}

bool keep_read(int report, struct keep_end *end)
{
    return read(report, end, sizeof *end) == (ssize_t)sizeof *end;
}
