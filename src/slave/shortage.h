/*
 * Whether the machine has room for another build, or even for those that it has: the free disk, files (inodes) and
 * memory against what a person wants to be left free.
 */
#ifndef SLAVE_SHORTAGE_H
#define SLAVE_SHORTAGE_H

#include <stdint.h>

struct room {
    uint64_t disk_bytes, disk_files, memory_bytes;   /* UINT64_MAX: not known, as good as endless */
};

enum shortage_level {
    SHORTAGE_NONE,
    SHORTAGE_LOW,       /* no new builds */
    SHORTAGE_TOO_LOW,   /* less than a quarter of what is wanted: the newest build is ended */
};

struct shortage {
    enum shortage_level level;
    char reason[32];    /* failure class of a build that is ended for it: "low disk"; "" when there is none */
    char text[160];     /* the same as half a sentence: "300 MB of disk are free, 500 are wanted (--min-free)" */
};

/* What is free where builds happen. */
void shortage_look(const char *dir, struct room *free);

/* Judges it anew; `s` holds what the last look found, zeroed at first: a shortage is over only when there is a tenth more
 * than is wanted. */
void shortage_judge(const struct room *wanted, const struct room *free, struct shortage *s);

#endif
