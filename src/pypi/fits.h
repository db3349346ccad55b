/*
 * Which targets PyPI's own wheels fit: for the changelog (changelog_event.c) and for projects' pages (digest.c).
 */
#ifndef PYPI_FITS_H
#define PYPI_FITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db.h"

#define FITS_TAGS_SIZE 1100

/* "cp311-cp311-linux_x86_64": the tags of a wheel, in lower case. False when the file's name is no wheel's. */
bool fits_tags(const char *file, char *tags, size_t size);

/* The targets whose Python may load a wheel of these tags, as a mask. */
uint64_t fits_judge(const struct db_targets *targets, const char *tags);

/* The same, remembered: most files have one of a few hundred sets of tags. Begins as zeroes. */
struct fits {
    struct db_targets targets;
    struct fit *slots;
    unsigned used;
};
void fits_set(struct fits *fits, const struct db_targets *targets);
void fits_release(struct fits *fits);
uint64_t fits_mask(struct fits *fits, const char *tags);

#endif
