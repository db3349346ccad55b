/*
 * Starting a process, for child.c and child_read. Private to this room.
 */
#ifndef CHILD_SPAWN_H
#define CHILD_SPAWN_H

#include <sys/types.h>

/* Starts argv[0] with /dev/null as stdin, `out` as stdout and `err` as stderr (-1: ours), in a session of
 * its own, without any other descriptor, with default signals. `cwd` NULL: ours. 0 or -errno, that of exec
 * included. */
int child_spawn(const char *const argv[], const char *const env[], const char *cwd, int out, int err,
                pid_t *pid);

#endif
