/*
 * The keeper of a tree of processes, for child.c. Private to this room.
 */
#ifndef CHILD_KEEP_H
#define CHILD_KEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "child_spawn.h"

struct keep_end {
    int status;           /* of the command, as wait(2) has it */
    int64_t peak_bytes;   /* largest resident size among those that the keeper has reaped */
};

/* Starts a keeper, and by it the command, as child_spawn does. `report` is where it tells of the end (close it).
 * 0 or -errno, that of exec included. */
int keep_start(const char *const argv[], const char *const env[], const char *cwd, const struct child_files *files,
               pid_t *keeper, int *report);

/* What it told; only once it has ended. False when it was ended before its command. */
bool keep_read(int report, struct keep_end *end);

#endif
