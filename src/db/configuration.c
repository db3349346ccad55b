/*
 * What kind of database this is, and whether this program can work with it: asked once by the master and by
 * every tool, before anything else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"
#include "python.h"

static void decode(struct db_call *c, const struct pg_result *result)
{
    struct db_configuration *found = c->out;

    if (pg_rows(result) == 0)
        return;
    column_copy(found->database, sizeof found->database, result, 0, 0);
    column_copy(found->version, sizeof found->version, result, 0, 1);
    found->level = (int)pg_int(result, 0, 2);
}

/* A database without our schema refuses the query: undefined_table. */
static void on_answer(struct pg_request *r, int error, const struct pg_result *result)
{
    struct db_call *c = container_of(r, struct db_call, request);

    if (error == -EREMOTEIO && strcmp(r->sqlstate, "42P01") == 0)
        error = 0;
    else if (error == 0)
        decode(c, result);
    call_note(c, r);
    c->done(c, error);
}

void db_configuration(struct db *db, struct db_call *c, struct db_configuration *out,
                      void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, NULL, out, done);
    pg_query(db->bulk, &c->request, "SELECT current_database(), version, level FROM piwheels.configuration",
             NULL,
             on_answer);
}

bool db_configuration_newer(const struct db_configuration *found)
{
    return found->level > DB_LEVEL || python_version_compare(found->version, PIWHEELS_VERSION) > 0;
}

int db_configuration_check(const struct db_configuration *found, char *why, size_t why_size)
{
    if (found->version[0] == '\0') {
        snprintf(why, why_size, "the database has no piwheels schema yet; run, as PostgreSQL's superuser: "
                                "piwheels initdb");
        return -EPROTO;
    }
    if (strcmp(found->version, PIWHEELS_VERSION) == 0 && found->level == DB_LEVEL)
        return 0;
    int len = snprintf(why, why_size,
                       "database %s is of piwheels %s (schema level %d), this is %s (level %d); ",
                       found->database, found->version, found->level, PIWHEELS_VERSION, DB_LEVEL);
    if (len > 0 && (size_t)len < why_size) {
        if (db_configuration_newer(found))
            snprintf(why + len, why_size - (size_t)len, "install piwheels %s", found->version);
        else
            snprintf(why + len, why_size - (size_t)len, "run, as PostgreSQL's superuser: piwheels initdb");
    }
    return -EPROTO;
}

void db_policy(struct db *db, struct db_call *c, bool build_all, int64_t settle_ms, int64_t event_retention_ms,
               void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, build_all ? "all" : "missing");
    pg_add_int(&params, settle_ms);
    pg_add_int(&params, event_retention_ms);
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, "SELECT piwheels.policy_set($1, $2, $3)", &params);
}
