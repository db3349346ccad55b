/*
 * The queue stage: hands out jobs and keeps their leases. The jobs themselves are rows of the database; this
 * room holds only the attempts that are alive now, so that their leases are extended, and tells the
 * farm when there is work for somebody who sleeps.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <stdint.h>
#include <uv.h>

#include "db.h"

struct queue;

struct queue_settings {
    int64_t lease_ms;      /* how long an attempt may go unheard of */
    int64_t retry_ms;      /* first pause after a failure of the farm; times 3 for each further one */
    uint64_t grace_ms;     /* after a start no lease expires for so long: slaves come back with their attempts */
    uint64_t round_ms;     /* how often leases and waiting jobs are looked at */
};

struct queue_events {
    void (*work)(void *owner, uint64_t targets);   /* there are jobs for these targets */
    void (*lost)(void *owner, int64_t attempt);    /* its lease ran out: the job is somebody else's now */
    void (*unwanted)(void *owner, int64_t attempt);/* nobody wants it built any more, or it ended otherwise */
};

struct queue *queue_open(uv_loop_t *loop, struct db *db, const struct queue_settings *settings,
                         const struct queue_events *events, void *owner);
void queue_close(struct queue *q, void (*closed)(void *owner), void *owner);

/* Jobs may have appeared: look now. Cheap, may be called often. */
void queue_wake(struct queue *q);

/* Claims a job for the slave (db_claim with the lease of the settings). */
void queue_take(struct queue *q, struct db_call *c, const struct db_claimant *slave, struct db_attempt *out,
                void (*done)(struct db_call *c, int error));

/* A slave came back with an attempt of an earlier connection (db_adopt). */
void queue_take_back(struct queue *q, struct db_call *c, int64_t attempt, int64_t slave, struct db_attempt *out,
                     void (*done)(struct db_call *c, int error));

/* The attempt is alive: its lease is extended until queue_let_go. */
void queue_hold(struct queue *q, int64_t attempt);
/* Its slave is gone, or it ended: an open lease now runs out by itself. Unknown attempts are fine. */
void queue_let_go(struct queue *q, int64_t attempt);

#endif
