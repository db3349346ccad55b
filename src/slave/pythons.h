/*
 * The Pythons that a slave builds with: each is a target that it offers.
 */
#ifndef SLAVE_PYTHONS_H
#define SLAVE_PYTHONS_H

#include "attempt.h"
#include "slave.h"

#define PYTHONS_MAX 16   /* what HELLO may offer */

struct python {
    char *path;
    struct slave_python facts;
    struct rec_environment environment;   /* what its builds are made with, but for their limits */
    struct attempt_place place;           /* the owner fills the rest */
};

struct pythons {
    struct python items[PYTHONS_MAX];
    unsigned count;
};

/* Asks each of `paths` (with commas) what it builds for. 0, or -errno with `why`, which names the one that cannot be used;
 * close in either case. Blocks. */
int pythons_open(struct pythons *p, const char *paths, char *why, size_t why_size);
void pythons_close(struct pythons *p);

/* NULL when none builds for that. */
const struct python *pythons_find(const struct pythons *p, const char *abi, const char *platform);

/* What they build for: "cp311 on linux_x86_64 and cp313 on linux_x86_64". Returns `to`. */
const char *pythons_tell(const struct pythons *p, char *to, size_t size);

#endif
