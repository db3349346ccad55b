/*
 * Starting a process, for child.c and child_read. Private to this room.
 */
#ifndef CHILD_SPAWN_H
#define CHILD_SPAWN_H

#include <sys/types.h>

struct child_files {
    int out, err;    /* -1: ours */
    int passed;      /* becomes CHILD_PASSED_FD; 0: none */
};

/* Starts argv[0] with /dev/null as stdin and these files, in a session of its own, without any other
 * descriptor, with default signals. `cwd` NULL: ours. 0 or -errno, that of exec included. */
int child_spawn(const char *const argv[], const char *const env[], const char *cwd,
                const struct child_files *files, pid_t *pid);

#endif
