/*
 * The libraries that a wheel needs from the machine it is installed on.
 */
#ifndef SLAVE_LIBRARIES_H
#define SLAVE_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>

#include "linker.h"
#include "wheel.h"

#define LIBRARIES_MAX 512    /* of one wheel */

struct library {
    char *name;              /* as the wheel asks for it: "libffi.so.8" */
    char *path;              /* where it is on this machine, or NULL when it is nowhere */
};

struct libraries {
    unsigned count;
    struct library *items;   /* each name once */
    bool too_many;           /* or too many places to look: not all were followed */
};

/* Follows what each object of the wheel needs, as the dynamic linker would: beside itself where it says so
 * (RUNPATH, or RPATH where it has none), then in the system. What the wheel itself brings is left out. Blocks. */
void libraries_find(const struct wheel_objects *objects, const struct linker *linker, struct libraries *out);
void libraries_release(struct libraries *l);

#endif
