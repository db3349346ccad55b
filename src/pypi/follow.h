/*
 * The follower: compares packages with PyPI as they fall due, a few at once.
 */
#ifndef PYPI_FOLLOW_H
#define PYPI_FOLLOW_H

#include "project.h"

#define FOLLOW_PLACES 8          /* packages compared at once */

struct trouble;
struct follower;

/* One package on its way. */
struct comparison {
    struct follower *follower;   /* NULL: the place is free */
    struct project *project;     /* while PyPI is asked and answers are stored */
    char name[256];
    int64_t begun_ms;            /* steady clock */
    struct db_call call;         /* what follows it */
    bool calling;
    struct db_ended ended;
};

struct follower {
    /* set by the owner, the rest zeroed */
    struct db *db;
    struct http *http;
    const struct pypi_settings *settings;
    void (*stored)(struct follower *f);   /* something changed in the database */
    void (*withdrawn)(struct follower *f, const struct db_ended *attempts);
    void (*ended)(struct follower *f);    /* after follower_stop */
    /* private */
    uv_loop_t *loop;
    struct task task;
    struct db_call call;
    bool calling, resting, stopping, over;
    bool look_again;             /* others may have become due since it was looked */
    struct db_projects due;
    unsigned at;                 /* index of the next that is compared */
    struct comparison places[FOLLOW_PLACES];
    unsigned busy;               /* places */
    int64_t hold_until_ms;       /* nothing is asked before; steady clock, as the next */
    int64_t found_ms;            /* when the newest comparison that found a page with all it should have began */
    unsigned in_a_row;           /* comparisons that have failed, one after the other */
    struct trouble *troubles;    /* packages whose last comparison failed */
    char complaint[TASK_REASON_SIZE]; /* logged last */
};

void follower_start(struct follower *f, uv_loop_t *loop);
void follower_stop(struct follower *f);

/* Packages may have become due: look now. Cheap, may be called often. */
void follower_wake(struct follower *f);

/* How long to wait after so many failures in a row (1: the first) before the package is asked for again. */
int64_t follower_back_off_ms(uint64_t poll_ms, unsigned failures, int64_t retry_after_ms);

#endif
