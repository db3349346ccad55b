/*
 * What the JSON API (/pypi/NAME/json) says about a project: its summary and how it is spelt. A pure function: summaries.c
 * runs it on a pool thread.
 */
#ifndef PYPI_ABOUT_H
#define PYPI_ABOUT_H

#include "core/buf.h"

struct about {
    char *summary;      /* at most 200 characters, clean; "": there is none */
    char *display;      /* "": it does not tell */
};

/* 0, or -EPROTO when the answer is not what it should be. `name`: normalised. Release in either case. */
int about_read(const struct buf *answer, const char *name, struct about *to);
void about_release(struct about *to);

#endif
