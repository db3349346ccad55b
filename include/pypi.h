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

#include "core/task.h"
#include "db.h"
#include "io/http.h"

struct pypi_settings {
    const char *simple_url;   /* https://pypi.org/simple, with or without a last '/' */
    const char *json_url;     /* https://pypi.org/pypi */
    uint64_t poll_ms;         /* how often followed packages are compared */
};

struct pypi;
struct errand;

/* `http` and `db` outlive the stage; the settings are copied. `jobs_made` hears whenever something was
 * stored. Starts following the packages that the database says are followed. */
struct pypi *pypi_open(uv_loop_t *loop, struct db *db, struct http *http,
                       const struct pypi_settings *settings, void (*jobs_made)(void *owner), void *owner);
/* Cancels what is under way; then `closed` (may be NULL) with pypi_open's owner. No pypi_add after this. */
void pypi_close(struct pypi *pypi, void (*closed)(void *owner));

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
