/*
 * "Did you mean …?": the known name nearest to a mistyped one.
 */
#ifndef CORE_NEAREST_H
#define CORE_NEAREST_H

#include <stddef.h>

/* The name among `known` with the least edit distance (insert, delete, replace, swap) from
 * `typed`, ignoring case, or NULL when none is near enough to be meant (distance above a third of
 * the longer name's length, at least 2 allowed). The first of equals wins. */
const char *nearest_name(const char *typed, const char *const *known, size_t count);

#endif
