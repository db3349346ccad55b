/*
 * One project asked of PyPI and stored: the task behind `piwheels add` (pypi.c) and behind every
 * comparison of a followed package (follow.c).
 */
#ifndef PYPI_PROJECT_H
#define PYPI_PROJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/lane.h"
#include "core/task.h"
#include "db.h"
#include "digest.h"
#include "io/http.h"
#include "pypi.h"

enum project_flight { FLIGHT_NONE, FLIGHT_PAGE, FLIGHT_DB, FLIGHT_DIGEST };

struct project {
    /* set by the owner, the rest zeroed */
    struct db *db;
    struct http *http;
    const struct pypi_settings *settings;
    char name[256];              /* normalised */
    char spelling[256];          /* as somebody wrote it */
    char version[256];           /* see struct digest_request, as the next two */
    bool all, refresh;
    char etag[256];              /* of the page that was stored last, or "" */
    int64_t needed;              /* the serial that the page must have reached, or 0 */
    bool believed;               /* see struct digest_request */
    /* From the loop, exactly once. error: 0; -ENOENT, -EAGAIN, -ESTALE (a comparison was stored, but the page
     * lacks what it had), -EREMOTEIO (the database refused) or -ECANCELED, with `task.reason`. The owner may
     * release or free the project here. */
    void (*done)(struct project *p, int error);
    void *owner;
    /* the result, in `done` */
    bool unchanged;              /* the page is still the one of `etag`; nothing was stored */
    int64_t retry_after_ms;      /* PyPI wants to be left alone for so long; or -1 */
    bool behind;                 /* -EAGAIN because the page has not reached `needed` */
    bool whole;                  /* the page has something, and all that it had before */
    struct db_asked asked;       /* not of a comparison, which has instead: */
    struct db_compared compared;
    /* private but for task.reason */
    struct task task;
    bool has_place;
    enum project_flight flight;
    int error;                   /* of the last request */
    struct http_request page;
    struct db_call call;
    struct db_targets *targets;
    struct db_words skips;      /* the rules with a specifier */
    struct digest digest;
    int digest_error;
    struct lane_work work;
};

/* Waits for project_go before PyPI is asked. */
void project_start(uv_loop_t *loop, struct project *p);
void project_go(struct project *p);
void project_cancel(struct project *p);

#endif
