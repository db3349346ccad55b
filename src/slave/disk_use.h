/*
 * How much a directory holds.
 */
#ifndef SLAVE_DISK_USE_H
#define SLAVE_DISK_USE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct disk_use {
    uint64_t bytes;   /* on the disk: holes do not count */
    uint64_t files;   /* and directories and links */
    bool unseen;      /* a process does not show what it holds open (PR_SET_DUMPABLE of prctl(2)): there may be more */
};

/* Adds up what is below `dir`, as deep as it may be, and the removed files that the processes still hold open; stops
 * early when it has found more than `enough`. Blocks. */
void disk_use(const char *dir, const pid_t *pids, size_t pid_count, const struct disk_use *enough,
              struct disk_use *found);

#endif
