/*
 * The sweep on its way into the database: PyPI's list of all projects with their serials, piece by piece, and then the
 * comparison that schedules those that differ. On the bulk connection, which may COPY.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/memory.h"
#include "private.h"

int db_sweep_add(struct buf *rows, const char *name, int64_t serial)
{
    return buf_addf(rows, "%s\t%" PRId64 "\n", name, serial);
}

void db_sweep_begin(struct db *db, struct db_call *c, void (*done)(struct db_call *c, int error))
{
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, "SELECT piwheels.sweep_open()", NULL);
}

void db_sweep_store(struct db *db, struct db_call *c, struct buf *rows, void (*done)(struct db_call *c, int error))
{
    call_init(c, NULL, NULL, done);
    call_copy(c, db->bulk, "COPY pg_temp.sweep_staging (name, serial) FROM STDIN", rows);
}

static void decode_count(struct db_call *c, const struct pg_result *result)
{
    *(int64_t *)c->out = pg_int(result, 0, 0);
}

void db_sweep_apply(struct db *db, struct db_call *c, int64_t period_ms, int64_t *differ,
                    void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, period_ms);
    call_init(c, decode_count, differ, done);
    call_send(c, db->bulk, "SELECT piwheels.sweep_apply($1)", &params);
}
