/*
 * The farm stage: speaks with the slaves. Hands out what the queue has, passes what a build brings to the
 * files stage, and keeps nothing that the database does not know: after a restart the slaves come back with
 * their attempts and go on.
 */
#ifndef FARM_H
#define FARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <jansson.h>

#include "db.h"
#include "files.h"
#include "io/key.h"
#include "overrides.h"
#include "queue.h"

struct farm;

struct farm_settings {
    const char *listen;        /* ADDR:PORT; copied */
    const struct key *key;     /* shown to slaves; outlives the farm. NULL: no TLS, slaves are taken at their word */
    const char *index_url;     /* what slaves build from; copied */
    uint64_t build_timeout_ms;
    int64_t lease_ms;          /* a slave that builds and is silent for so long is dropped */
    int64_t retry_ms;          /* first pause after a failure of the farm */
};

/* Listens. 0, or -errno with `why`. */
int farm_open(uv_loop_t *loop, struct db *db, struct files *files, const struct overrides *overrides,
              const struct farm_settings *settings, struct farm **farm, char *why, size_t why_size);

/* The queue needs the farm's events and the farm needs the queue: set before the loop runs. */
void farm_set_queue(struct farm *f, struct queue *q);
extern const struct queue_events farm_queue_events; /* their owner is the farm */

/* Stops listening, lets the connections go; builds go on at their slaves. */
void farm_close(struct farm *f, void (*closed)(void *owner), void *owner);

/* Where it really listens. */
const char *farm_address(const struct farm *f);

/* At most `max` slaves and what they do, for the tools: a new reference. Those who connected last come first;
 * *before, UINT64_MAX at first, is where the next call goes on, and 0 when all have been told. */
json_t *farm_describe(const struct farm *f, uint64_t *before, unsigned max);

/* What a person wants done ("pause", "resume", "skip", "stop", "kill") to the slave of this number, or to all (0). 0, or
 * -EINVAL or -ENOENT; `told` says in words what was done, or why nothing was. Pausing all goes for those too who connect
 * later. Pauses last until the master ends. */
int farm_act(struct farm *f, const char *action, int64_t slave, char *told, size_t size);

/* The build that the slave with this label began last and still works on; 0 when there is none, -1 when no such slave
 * is connected. */
int64_t farm_building(const struct farm *f, const char *label);

/* A person has accepted or revoked a slave, as the database has it now: its connection follows at once. */
void farm_heed(struct farm *f, const struct db_standing *standing);

/* Where the slave of this number is connected from, "" when it is not. */
const char *farm_whereabouts(const struct farm *f, int64_t slave);

/* The fingerprint of the farm's key; "" when it has none. */
const char *farm_key(const struct farm *f);

/* Attempts that are wanted no more: whoever builds them is told to stop, and why. */
void farm_stop_attempts(struct farm *f, const int64_t *attempts, unsigned count);

/* What the slave of this number does, as farm_describe has it ("idle", "building"); NULL when it is not connected. */
const char *farm_slave_state(const struct farm *f, int64_t slave);

/* Whether all are paused. */
bool farm_resting(const struct farm *f);

#endif
