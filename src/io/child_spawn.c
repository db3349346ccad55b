/*
 * Starting a process, and the short blocking commands of start-up. posix_spawn rather than uv_spawn: libuv
 * reaps with waitpid, which throws away what the process used; we want wait4's figures.
 */
#include "child_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/child.h"

static int add_actions(posix_spawn_file_actions_t *actions, const char *cwd, const struct child_files *files)
{
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, files->out, STDOUT_FILENO);
    if (rc == 0 && files->err >= 0)
        rc = posix_spawn_file_actions_adddup2(actions, files->err, STDERR_FILENO);
    if (rc == 0 && files->passed > 0)
        rc = posix_spawn_file_actions_adddup2(actions, files->passed, CHILD_PASSED_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_PASSED_FD + (files->passed > 0));
    if (rc == 0 && cwd != NULL)
        rc = posix_spawn_file_actions_addchdir_np(actions, cwd);
    return rc;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes,
                                      POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return rc;
}

int child_spawn(const char *const argv[], const char *const env[], const char *cwd,
                const struct child_files *files, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int rc = add_actions(&actions, cwd, files);
    if (rc == 0)
        rc = set_attributes(&attributes);
    if (rc == 0)
        rc = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)argv, (char *const *)env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -rc;
}

/* -- commands of start-up ------------------------------------------------------------------------ */

/* Reads to the end, for a writer that is not heard would wait; what does not fit is dropped. */
static void read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    for (;;) {
        char rest[4096];
        bool fits = len < size - 1;
        ssize_t got = read(fd, fits ? out + len : rest, fits ? size - 1 - len : sizeof rest);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        if (got > 0 && fits)
            len += (size_t)got;
    }
    out[len] = '\0';
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_and_read(const char *const argv[], const char *const env[], bool both, int pass_fd, char *out,
                        size_t size)
{
    int ends[2];
    pid_t pid;
    out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int rc = child_spawn(argv, env, NULL, &(struct child_files){ends[1], both ? ends[1] : -1, pass_fd}, &pid);
    close(ends[1]);
    if (rc == 0) {
        read_all(ends[0], out, size);
        rc = wait_for(pid);
    }
    close(ends[0]);
    return rc;
}

int child_read(const char *const argv[], char *out, size_t size)
{
    return run_and_read(argv, (const char *const *)environ, false, 0, out, size);
}

int child_read_with(const char *const argv[], const char *const env[], int pass_fd, char *out, size_t size)
{
    return run_and_read(argv, env, true, pass_fd, out, size);
}
