/*
 * Summaries of projects: which are to be asked for, and what PyPI said. Called by the pypi stage.
 */
#include <string.h>

#include "core/memory.h"
#include "private.h"

static void decode_names(struct db_call *c, const struct pg_result *result)
{
    struct db_names *names = c->out;

    for (unsigned row = 0; row < pg_rows(result) && row < COUNT_OF(names->names); row++)
        column_copy(names->names[names->count++], sizeof names->names[0], result, row, 0);
}

void db_summaries_due(struct db *db, struct db_call *c, unsigned most, struct db_names *out,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_int(&params, most);
    call_init(c, decode_names, out, done);
    call_send(c, db->bulk, "SELECT * FROM piwheels.summaries_due($1)", &params);
}

void db_summary_store(struct db *db, struct db_call *c, const char *name, const char *summary, const char *display,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    pg_add_text(&params, summary);
    pg_add_text(&params, display);
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, "SELECT piwheels.summary_store($1, $2, $3)", &params);
}

void db_summary_later(struct db *db, struct db_call *c, const char *name, int64_t in_ms,
                      void (*done)(struct db_call *c, int error))
{
    call_later(db, c, "SELECT piwheels.summary_later($1, $2)", name, in_ms, done);
}
