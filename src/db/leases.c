/*
 * The leases of attempts: called by the farm and the queue.
 */
#include <string.h>

#include "private.h"

void db_slave_told(struct db *db, struct db_call *c, const struct db_claimant *slave,
                   void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, slave->slave);
    pg_add_int(&params, (int64_t)slave->targets);
    pg_add_int(&params, (int64_t)slave->memory_bytes);
    pg_add_int(&params, (int64_t)slave->timeout_ms);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.slave_told($1, $2, $3, $4)", &params);
}

/* ---- attempts ---- */

void attempt_read(const struct pg_result *result, unsigned row, struct db_attempt *out)
{
    out->attempt = pg_int(result, row, 0);
    out->version_id = pg_int(result, row, 1);
    out->target = (unsigned)pg_int(result, row, 2);
    column_copy(out->package, sizeof out->package, result, row, 3);
    column_copy(out->version, sizeof out->version, result, row, 4);
    column_copy(out->sdist, sizeof out->sdist, result, row, 5);
    out->has_sha256 = !pg_is_null(result, row, 6)
                      && pg_bytes(result, row, 6, out->sdist_sha256, SHA256_SIZE) == SHA256_SIZE;
    out->started_ms = pg_int(result, row, 7);
    out->front = pg_int(result, row, 8);
    out->uploaded_ms = pg_int(result, row, 9);
}

static void decode_attempt(struct db_call *c, const struct pg_result *result)
{
    if (pg_rows(result) > 0)
        attempt_read(result, 0, c->out);
}

void db_adopt(struct db *db, struct db_call *c, int64_t attempt, int64_t slave, int64_t lease_ms,
              struct db_attempt *out, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_int(&params, attempt);
    pg_add_int(&params, slave);
    pg_add_int(&params, lease_ms);
    call_init(c, decode_attempt, out, done);
    call_send(c, db->fast, "SELECT * FROM piwheels.attempt_adopt($1, $2, $3)", &params);
}

void db_release(struct db *db, struct db_call *c, int64_t attempt, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, attempt);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.attempt_release($1)", &params);
}

/* ---- the queue's rounds ---- */

static void decode_mask(struct db_call *c, const struct pg_result *result)
{
    *(uint64_t *)c->out = (uint64_t)pg_int(result, 0, 0);
}

void db_ready_targets(struct db *db, struct db_call *c, uint64_t *targets,
                      void (*done)(struct db_call *c, int error))
{
    call_init(c, decode_mask, targets, done);
    call_send(c, db->fast, "SELECT piwheels.targets_ready()", NULL);
}

void db_leases_extend(struct db *db, struct db_call *c, const int64_t *attempts, size_t count,
                      int64_t lease_ms, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_ints(&params, attempts, count);
    pg_add_int(&params, lease_ms);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.leases_extend($1, $2)", &params);
}

static void decode_expired(struct db_call *c, const struct pg_result *result)
{
    struct db_expired *expired = c->out;
    unsigned most = sizeof expired->attempts / sizeof expired->attempts[0];

    for (unsigned row = 0; row < pg_rows(result) && row < most; row++)
        expired->attempts[expired->count++] = pg_int(result, row, 0);
}

void db_attempts_gone(struct db *db, struct db_call *c, const int64_t *attempts, size_t count, struct db_expired *out,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    out->count = 0;
    pg_params_init(&params);
    pg_add_ints(&params, attempts, count);
    call_init(c, decode_expired, out, done);
    call_send(c, db->fast, "SELECT * FROM piwheels.attempts_gone($1)", &params);
}

void db_leases_expire(struct db *db, struct db_call *c, int64_t retry_ms, struct db_expired *out,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    out->count = 0;
    pg_params_init(&params);
    pg_add_int(&params, retry_ms);
    call_init(c, decode_expired, out, done);
    call_send(c, db->fast, "SELECT * FROM piwheels.leases_expire($1)", &params);
}
