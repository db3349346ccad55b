/*
 * The follower: compares followed packages with PyPI, one after the other, as they fall due.
 */
#ifndef PYPI_FOLLOW_H
#define PYPI_FOLLOW_H

#include "project.h"

struct trouble;

struct follower {
    /* set by the owner, the rest zeroed */
    struct db *db;
    struct http *http;
    const struct pypi_settings *settings;
    void (*stored)(struct follower *f);   /* something changed in the database */
    void (*ended)(struct follower *f);    /* after follower_stop */
    /* private */
    uv_loop_t *loop;
    struct task task;
    struct db_call call;
    struct db_projects due;
    unsigned at;                 /* index of the one that is compared */
    struct project *project;     /* that comparison, while it runs */
    int error;                   /* of the last comparison, as the next three */
    bool unchanged;
    char reason[TASK_REASON_SIZE];
    int64_t retry_after_ms;
    uint64_t hold_ms;            /* nothing is asked for so long */
    struct trouble *troubles;    /* packages whose last comparison failed */
    char complaint[TASK_REASON_SIZE]; /* logged last */
};

void follower_start(struct follower *f, uv_loop_t *loop);
void follower_stop(struct follower *f);

/* How long to wait after so many failures in a row (1: the first) before the package is asked for again. */
int64_t follower_back_off_ms(uint64_t poll_ms, unsigned failures, int64_t retry_after_ms);

#endif
