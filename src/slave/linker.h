/*
 * Where the dynamic linker of this machine would find a library. Nothing is loaded or run for it.
 */
#ifndef SLAVE_LINKER_H
#define SLAVE_LINKER_H

#include <stddef.h>

#include "wheel.h"

#define LINKER_MAX_DIRS 256

struct linker {
    const char *root;            /* "" but in tests; outlives it */
    char *dirs[LINKER_MAX_DIRS]; /* of ld.so.conf, in its order */
    unsigned dir_count;
};

/* Reads /etc/ld.so.conf below `root`. Blocks, as linker_find does. */
void linker_init(struct linker *l, const char *root);
void linker_release(struct linker *l);

/* The library of this name that `o` would be given (its path without `root`), or NULL. Free it. */
char *linker_find(const struct linker *l, const char *name, const struct wheel_object *o);

/* The same with a directory named by the object itself: NULL when the library is not there. */
char *linker_find_in(const struct linker *l, const char *dir, const char *name, const struct wheel_object *o);

#endif
