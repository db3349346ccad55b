/*
 * The pypi stage: asks PyPI about projects and writes what it says into the database, where the rules of
 * schema/functions.sql make jobs of it. First stage of the pipeline; knows nothing of the later ones but
 * the hint that jobs may have appeared.
 */
#ifndef PYPI_H
#define PYPI_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <jansson.h>

#include "core/task.h"
#include "db.h"
#include "io/http.h"

struct pypi_settings {
    const char *simple_url;   /* https://pypi.org/simple, with or without a last '/' */
    const char *json_url;     /* https://pypi.org/pypi */
    const char *xmlrpc_url;   /* https://pypi.org/pypi, or "": the changelog is not read, packages are only compared */
    bool follow_all;          /* every package's events, not those of listed ones only */
    uint64_t poll_ms;         /* how often followed packages are compared */
    uint64_t changelog_ms;    /* how often the changelog is asked for news, */
    uint64_t pace_ms;         /* and how often while there is more to read */
    uint64_t back_off_ms, most_back_off_ms; /* the first pause after a failure; the longest */
    uint64_t patience_ms;     /* for one answer of the changelog */
    unsigned slow_s;          /* and how long it may hardly move; 0: 20 s */
    uint64_t sweep_ms;        /* how often all projects are compared by their serials; 0: never */
};

struct pypi_events {
    void (*jobs_made)(void *owner);       /* there may be more to build */
    /* These attempts are wanted no more: PyPI has withdrawn what they build. */
    void (*withdrawn)(void *owner, const int64_t *attempts, unsigned count);
};

struct pypi;
struct errand;

/* `http` and `db` outlive the stage; settings and events are copied. Starts following PyPI from where the database
 * stands. */
struct pypi *pypi_open(uv_loop_t *loop, struct db *db, struct http *http,
                       const struct pypi_settings *settings, const struct pypi_events *events, void *owner);
/* Cancels what is under way; then `closed` (may be NULL) with pypi_open's owner. No pypi_add after this. */
void pypi_close(struct pypi *pypi, void (*closed)(void *owner));

/* How following fares, for the tools: a new reference. */
json_t *pypi_describe(const struct pypi *pypi);

/* One package that a person asks for. Embedded in its owner; `name` must be python_name_valid. */
struct pypi_add {
    char name[256];           /* any spelling */
    char version[256];        /* "" means: follow, the newest release now (with `all`: the whole history) */
    bool all;
    /* Exactly once, never from inside pypi_add. error 0 with `asked`; else -errno (-ENOENT: PyPI has no such
     * package or version; -EAGAIN: PyPI cannot be asked now) with `reason` for a person. */
    void (*done)(struct pypi_add *a, int error);
    struct db_asked asked;    /* valid during `done` */
    char reason[256];
    void *owner;
    struct errand *errand;    /* private */
};
void pypi_add(struct pypi *pypi, struct pypi_add *a);
void pypi_add_cancel(struct pypi *pypi, struct pypi_add *a); /* completes soon with -ECANCELED */

#endif
