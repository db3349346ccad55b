/*
 * Slaves: who they are, and how they stand. Called by the farm when one says HELLO, and by the control room for what a
 * person decides.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

static enum db_trust trust_of(const char *name)
{
    static const char *const names[] = {"waiting", "accepted", "revoked", "other key", "crowded"};

    for (unsigned i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum db_trust)i;
    return DB_REVOKED;
}

static void decode_standing(struct db_call *c, const struct pg_result *result)
{
    struct db_standing *s = c->out;
    char trust[16];

    s->slave = pg_int(result, 0, 0);
    column_copy(s->label, sizeof s->label, result, 0, 1);
    column_copy(s->fingerprint, sizeof s->fingerprint, result, 0, 2);
    column_copy(trust, sizeof trust, result, 0, 3);
    s->trust = trust_of(trust);
    s->targets = (uint64_t)pg_int(result, 0, 4);
    column_copy(s->names, sizeof s->names, result, 0, 5);
}

static void send_standing(struct db *db, struct db_call *c, const char *sql, struct pg_params *params,
                          struct db_standing *out, void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_standing, out, done);
    call_send(c, db->fast, sql, params);
}

void db_slave_seen(struct db *db, struct db_call *c, const char *label, const char *system, const char *hardware,
                   const char *fingerprint, uint64_t offers, const char *has, struct db_standing *out,
                   void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    add_clean(&params, label, LABEL_MAX);
    add_clean(&params, system, LABEL_MAX);
    add_clean(&params, hardware, LABEL_MAX);
    add_clean(&params, fingerprint, LABEL_MAX);
    pg_add_int(&params, (int64_t)offers);
    pg_add_text(&params, has);
    send_standing(db, c, "SELECT * FROM piwheels.slave_seen($1, $2, $3, $4, $5, $6)", &params, out, done);
}

void db_slave_has(struct db *db, struct db_call *c, int64_t slave, const char *has, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, slave);
    pg_add_text(&params, has);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.slave_has($1, $2)", &params);
}

static void decode_again(struct db_call *c, const struct pg_result *result)
{
    *(int64_t *)c->out = pg_int(result, 0, 0);
}

void db_overrides_store(struct db *db, struct db_call *c, const char *const *packages, const char *const *wants,
                        const char *const *settings, size_t count, int64_t *again,
                        void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    *again = 0;
    pg_params_init(&params);
    pg_add_texts(&params, packages, count);
    pg_add_texts(&params, wants, count);
    pg_add_texts(&params, settings, count);
    call_init(c, decode_again, again, done);
    call_send(c, db->fast, "SELECT piwheels.overrides_store($1, $2, $3)", &params);
}

void db_slave_accept(struct db *db, struct db_call *c, const char *label, const char *const targets[], size_t count,
                     struct db_standing *out, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    add_clean(&params, label, LABEL_MAX);
    pg_add_texts(&params, targets, count);
    send_standing(db, c, "SELECT * FROM piwheels.slave_accept($1, $2)", &params, out, done);
}

void db_slave_revoke(struct db *db, struct db_call *c, const char *label, struct db_standing *out,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    add_clean(&params, label, LABEL_MAX);
    send_standing(db, c, "SELECT * FROM piwheels.slave_revoke($1)", &params, out, done);
}

static void decode_slaves(struct db_call *c, const struct pg_result *result)
{
    struct db_slaves *slaves = c->out;

    slaves->count = pg_rows(result);
    slaves->json = mem_new(slaves->count + 1, sizeof *slaves->json);
    for (unsigned row = 0; row < slaves->count; row++)
        slaves->json[row] = mem_text(pg_text(result, row, 0));
}

void db_slaves(struct db *db, struct db_call *c, struct db_slaves *out, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_int(&params, DB_MAX_SLAVES);
    call_init(c, decode_slaves, out, done);
    call_send(c, db->bulk, "SELECT * FROM piwheels.slaves_list($1)", &params);
}

void db_slaves_release(struct db_slaves *slaves)
{
    for (unsigned i = 0; i < slaves->count; i++)
        free(slaves->json[i]);
    free(slaves->json);
    memset(slaves, 0, sizeof *slaves);
}
