/*
 * The masters that this slave knows by their keys.
 */
#ifndef SLAVE_KNOWN_H
#define SLAVE_KNOWN_H

#include <stddef.h>

enum known {
    KNOWN,          /* it has the key that it had before */
    KNOWN_NOW,      /* the first contact: from now on it must have this key */
    KNOWN_OTHERWISE /* it shows another key, or that cannot be told; `why` says what to do */
};

/* Looks in the file `path` for the master at this address ("HOST[:PORT]"), and writes it there if it is not in it. Blocks for
 * a moment. */
enum known known_check(const char *path, const char *master, const char *print, char *why, size_t size);

#endif
