/*
 * The farm stage: speaks with the slaves. Hands out what the queue has, passes what a build brings to the
 * files stage, and keeps nothing that the database does not know: after a restart the slaves come back with
 * their attempts and go on.
 */
#ifndef FARM_H
#define FARM_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <jansson.h>

#include "db.h"
#include "files.h"
#include "queue.h"

struct farm;

struct farm_settings {
    const char *listen;        /* ADDR:PORT; copied */
    const char *index_url;     /* what slaves build from; copied */
    uint64_t build_timeout_ms;
    int64_t lease_ms;          /* a slave that builds and is silent for so long is dropped */
    int64_t retry_ms;          /* first pause after a failure of the farm */
};

/* Listens. 0, or -errno with `why`. */
int farm_open(uv_loop_t *loop, struct db *db, struct files *files, const struct farm_settings *settings,
              struct farm **farm, char *why, size_t why_size);

/* The queue needs the farm's events and the farm needs the queue: set before the loop runs. */
void farm_set_queue(struct farm *f, struct queue *q);
extern const struct queue_events farm_queue_events; /* their owner is the farm */

/* Stops listening, lets the connections go; builds go on at their slaves. */
void farm_close(struct farm *f, void (*closed)(void *owner), void *owner);

/* Where it really listens. */
const char *farm_address(const struct farm *f);

/* The slaves and what they do, for `piwheels status`: a new reference. */
json_t *farm_describe(const struct farm *f);

#endif
