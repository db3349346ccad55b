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
#include "fits.h"

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
    char name[256], version[256], tags[FITS_TAGS_SIZE];
    char key[1024];
};

enum changelog_verdict changelog_event_read(const struct changelog_row *row, struct fits *fits,
                                            struct changelog_event *to);

#endif
