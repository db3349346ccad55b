/*
 * The table `request`: what was asked, for tests to look at.
 *
 * A note is written at once, unless somebody outside is in the middle of a transaction; then it waits, and no
 * answer waits with it.
 */
#ifndef PYPI_NOTES_H
#define PYPI_NOTES_H

#include <uv.h>

#include "http.h"
#include "store.h"

#define NOTES_WAITING_MAX 1000       /* more than so many push the oldest out */

struct notes {
    struct store *store;
    struct note *first, **end;       /* those that wait, oldest first */
    unsigned count;
    uv_timer_t timer;                /* runs while any wait */
};

void notes_open(struct notes *n, uv_loop_t *loop, struct store *store);
void notes_close(struct notes *n);

/* Notes a request and the status of its answer; 0: it is left without one. */
void notes_add(struct notes *n, const struct request *q, int status);

#endif
