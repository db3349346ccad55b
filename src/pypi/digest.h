/*
 * From PyPI's page of a project to what project_store in schema/functions.sql wants. A pure
 * function: project.c runs it on a pool thread.
 */
#ifndef PYPI_DIGEST_H
#define PYPI_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "db.h"

struct digest_request {
    const char *name;       /* normalised */
    const char *spelling;   /* as somebody wrote it */
    bool refresh;           /* a followed package is compared: nothing is asked for; */
    int64_t known;          /* the serial that the database had of it when that began */
    const char *version;    /* asked for, or "": the newest release from now on, with `all` every one */
    bool all;
    const char *etag;       /* of the page, or "" */
    int64_t serial;         /* of the page; below 0: unknown */
    uint64_t refresh_ms;    /* compare again after so long */
    bool believed;          /* though most of what it had is missing: the index had other projects' */
    const struct db_targets *targets;
    const struct db_words *skips;   /* the specifiers of the package's rules of skips, each with its rule */
    const struct buf *page; /* PEP 691 JSON */
};

struct digest {
    struct buf json;        /* for db_project_store */
    unsigned versions;      /* found */
    unsigned refused;       /* files whose name or version is none */
    char reason[256];       /* why it failed, for a person */
};

/* 0; -EAGAIN: the page is not what it should be; -ENOENT: the version asked for is not there. Release in
 * either case. */
int digest_project(const struct digest_request *q, struct digest *d);
void digest_release(struct digest *d);

#endif
