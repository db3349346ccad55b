/*
 * The directory in which a slave builds: made, locked against a second slave, swept of what a crashed one
 * left, removed at the end when it was ours alone.
 */
#ifndef SLAVE_PLACE_H
#define SLAVE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct place {
    char *dir;        /* absolute */
    bool temporary;   /* goes at the end */
    int lock;         /* file descriptor */
};

/* `dir` NULL: one below $TMPDIR or /var/tmp. 0, or -errno with `why`; close only after success. Blocks. */
int place_open(struct place *p, const char *dir, char *why, size_t why_size);
void place_close(struct place *p);

#endif
