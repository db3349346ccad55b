/*
 * Claiming jobs, in batches. Each claim brings the id that the attempt will have, from a small stock reserved
 * in advance: a claim repeated after a lost connection finds the job that it took, instead of another one.
 * Called by the queue for every slave that asks for work.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

#define RESERVE_LEAST 16
#define RESERVE_MOST (2 * BATCH_MAX)

struct claim {
    int64_t slave, targets, lease_ms, memory_bytes, timeout_ms;
};

struct claims {
    struct db_batch batch;
    struct pg_request reserve;
    bool reserving;
    unsigned stock_count;
    int64_t stock[BATCH_MAX + RESERVE_MOST]; /* ids; the first go with the calls under way */
    int64_t rank[DB_MAX_TARGETS], version[DB_MAX_TARGETS]; /* the front of each: jobs_first in functions.sql */
};

static struct claims *claims_of(struct db_batch *b)
{
    return container_of(b, struct claims, batch);
}

/* ---- the stock of ids ---- */

static void on_reserved(struct pg_request *r, int error, const struct pg_result *result)
{
    struct claims *claims = container_of(r, struct claims, reserve);

    claims->reserving = false;
    if (error != 0) {
        if (claims->batch.count == 0) /* else they were for the next, which will ask again */
            batch_fail(&claims->batch, error, r);
        return;
    }
    for (unsigned i = 0; i < pg_rows(result) && claims->stock_count < COUNT_OF(claims->stock); i++)
        claims->stock[claims->stock_count++] = pg_int(result, i, 0);
    batch_go(&claims->batch);
}

static void reserve(struct claims *claims, unsigned count)
{
    struct pg_params params;

    if (claims->reserving)
        return;
    claims->reserving = true;
    pg_params_init(&params);
    pg_add_int(&params, count > RESERVE_LEAST ? count : RESERVE_LEAST);
    pg_query(claims->batch.db->fast, &claims->reserve, "SELECT piwheels.attempts_reserve($1)", &params, on_reserved);
}

/* A busy farm's next batch should not have to wait for its ids: twice as many are kept as the last one took. */
static bool ready(struct db_batch *b, unsigned count)
{
    struct claims *claims = claims_of(b);

    if (claims->stock_count < count || (count >= RESERVE_LEAST && claims->stock_count < 2 * count))
        reserve(claims, 2 * count);
    return claims->stock_count >= count;
}

/* Those of the first `count` ids that are `used` leave the stock. */
static void drop_used(struct claims *claims, const bool *used, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < claims->stock_count; i++)
        if (i >= count || !used[i])
            claims->stock[kept++] = claims->stock[i];
    claims->stock_count = kept;
}

/* ---- the statement ---- */

static void compose(struct db_batch *b, struct pg_params *params)
{
    pg_add_ints(params, claims_of(b)->stock, b->count);
    batch_add_ints(b, params, offsetof(struct claim, slave));
    batch_add_ints(b, params, offsetof(struct claim, targets));
    batch_add_ints(b, params, offsetof(struct claim, lease_ms));
    batch_add_ints(b, params, offsetof(struct claim, memory_bytes));
    batch_add_ints(b, params, offsetof(struct claim, timeout_ms));
    pg_add_ints(params, claims_of(b)->rank, DB_MAX_TARGETS);
    pg_add_ints(params, claims_of(b)->version, DB_MAX_TARGETS);
}

static void move_front(struct claims *claims, const struct db_attempt *a)
{
    int64_t *rank = &claims->rank[a->target % DB_MAX_TARGETS], *version = &claims->version[a->target % DB_MAX_TARGETS];

    if (a->front > 0 && (a->front > *rank || (a->front == *rank && a->version_id > *version)))
        *rank = a->front, *version = a->version_id;
}

void db_claims_look_again(struct db *db)
{
    struct claims *claims = claims_of(db->claims);

    memset(claims->rank, 0, sizeof claims->rank);
    memset(claims->version, 0, sizeof claims->version);
}

static void decode(struct db_batch *b, const struct pg_result *result)
{
    struct claims *claims = claims_of(b);
    bool used[BATCH_MAX] = {false};

    for (unsigned i = 0; i < b->count && i < pg_rows(result); i++) {
        struct db_attempt attempt = {0};
        used[i] = !pg_is_null(result, i, 0);
        if (!used[i])
            continue;
        attempt_read(result, i, &attempt);
        move_front(claims, &attempt);
        if (b->calls[i] != NULL)
            *(struct db_attempt *)b->calls[i]->out = attempt;
    }
    drop_used(claims, used, b->count);
}

/* An id may have been the reason. */
static void refused(struct db_batch *b)
{
    bool used[BATCH_MAX];

    memset(used, true, sizeof used);
    drop_used(claims_of(b), used, b->count);
}

static const struct batch_kind kind = {
    .sql = "SELECT * FROM piwheels.jobs_claim($1, $2, $3, $4, $5, $6, $7, $8)",
    .ready = ready,
    .compose = compose,
    .decode = decode,
    .refused = refused,
};

struct db_batch *claims_new(struct db *db)
{
    struct claims *claims = mem_new(1, sizeof *claims);

    batch_init(&claims->batch, db, &kind);
    return &claims->batch;
}

void db_claim(struct db *db, struct db_call *c, const struct db_claimant *slave, int64_t lease_ms,
              struct db_attempt *out, void (*done)(struct db_call *c, int error))
{
    struct claim *claim = mem_new(1, sizeof *claim);

    *claim = (struct claim){slave->slave, (int64_t)slave->targets, lease_ms, (int64_t)slave->memory_bytes,
                            (int64_t)slave->timeout_ms};
    memset(out, 0, sizeof *out);
    call_init(c, NULL, out, done);
    batch_add(db->claims, c, claim);
}
