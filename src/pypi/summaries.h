/*
 * Summaries of projects: fetched apart from all else, a few at once, for packages that have a page of ours.
 */
#ifndef PYPI_SUMMARIES_H
#define PYPI_SUMMARIES_H

#include "about.h"
#include "core/lane.h"
#include "core/task.h"
#include "db.h"
#include "io/http.h"
#include "pypi.h"

#define SUMMARY_PLACES 2         /* asked for at once: comparisons share the connections to PyPI, and come first */

struct summaries;

/* One that is asked for, again and again. */
struct summary_place {
    struct summaries *summaries;
    struct task task;
    char name[256];              /* "": the place is free */
    struct http_request request;
    struct lane_work work;
    struct db_call call;
    bool requesting, reading, storing;
    int error;                   /* of whichever was the last */
    struct about about;
    int about_error;
};

struct summaries {
    /* set by the owner, the rest zeroed */
    struct db *db;
    struct http *http;
    const struct pypi_settings *settings;
    void (*stored)(struct summaries *s);  /* a page has changed */
    void (*ended)(struct summaries *s);   /* after summaries_stop */
    /* private */
    struct task look;
    struct db_call call;
    bool calling;
    int error;
    struct db_names due;
    bool look_again;
    int64_t hold_until_ms;       /* nothing is asked before; steady clock */
    unsigned in_a_row;           /* that could not be had, one after the other */
    struct summary_place places[SUMMARY_PLACES];
    unsigned tasks;              /* that have not ended */
};

void summaries_start(struct summaries *s, uv_loop_t *loop);
void summaries_stop(struct summaries *s);

/* There may be one to ask for: look now. Cheap. */
void summaries_wake(struct summaries *s);

#endif
