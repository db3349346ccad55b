/*
 * What a row of PyPI's changelog means: a pure function, called by the reader (changelog.c) for every row.
 */
#ifndef PYPI_CHANGELOG_EVENT_H
#define PYPI_CHANGELOG_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "changelog_xml.h"
#include "db.h"

/* The targets that wheels of a set of tags fit, remembered: most files have one of a few hundred sets. Begins as zeroes. */
struct changelog_fits {
    struct db_targets targets;
    struct changelog_fit *slots;
    unsigned used;
};
void changelog_fits_set(struct changelog_fits *fits, const struct db_targets *targets);
void changelog_fits_release(struct changelog_fits *fits);
/* The mask of the targets whose Python may load a wheel of these tags ("cp311-cp311-linux_x86_64", lower case). */
uint64_t changelog_fits_mask(struct changelog_fits *fits, const char *tags);

enum changelog_verdict {
    ROW_EVENT,                /* `event` is to be stored */
    ROW_UNKNOWN,              /* the same; but the action is none that is known: the project is to be compared */
    ROW_NOTHING,              /* it means nothing here */
    ROW_REFUSED               /* the name or version is none; `why` tells */
};

struct changelog_event {
    struct db_event event;    /* points into what follows, and into the row */
    const char *why;
    /* private */
    char name[256], version[256], tags[1100];
    char key[1024];
};

enum changelog_verdict changelog_event_read(const struct changelog_row *row, struct changelog_fits *fits,
                                            struct changelog_event *to);

#endif
