/*
 * The sweep: now and then PyPI's list of all projects is held against what is known, for what events did not tell.
 */
#ifndef PYPI_SWEEP_H
#define PYPI_SWEEP_H

#include "core/task.h"
#include "io/http.h"
#include "list_json.h"
#include "pypi.h"

struct sweep {
    /* set by the owner, the rest zeroed */
    struct db *db;
    struct http *http;
    const struct pypi_settings *settings;
    bool (*may_begin)(struct sweep *s);   /* the changelog has been read so far */
    void (*swept)(struct sweep *s);       /* packages may have become due */
    void (*ended)(struct sweep *s);       /* after sweep_stop */
    /* private */
    struct task task;
    struct http_request request;
    bool requesting, storing, calling;    /* request, piece_call, call are under way */
    struct list_json json;
    int parse_error, http_error, error;
    struct buf rows;                      /* of the next piece */
    struct db_call piece_call, call;
    int64_t differ;
    unsigned failures;
    bool failed;                          /* this round */
    bool passed_over;                     /* it was not the time */
    char cause[200];
};

void sweep_start(struct sweep *s, uv_loop_t *loop);
void sweep_stop(struct sweep *s);

#endif
