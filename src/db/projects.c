/*
 * Projects as PyPI describes them: called by the pypi stage, on the bulk connection, for a project may have
 * thousands of versions.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

/* ---- storing one ---- */

static void decode_asked(struct db_call *c, const struct pg_result *result)
{
    struct db_asked *asked = c->out;

    asked->count = pg_rows(result);
    asked->items = mem_new(asked->count + 1, sizeof *asked->items);
    for (unsigned row = 0; row < asked->count; row++) {
        struct db_asked_item *item = &asked->items[row];
        column_copy(item->version, sizeof item->version, result, row, 0);
        column_copy(item->target, sizeof item->target, result, row, 1);
        column_copy(item->state, sizeof item->state, result, row, 2);
        column_copy(item->reason, sizeof item->reason, result, row, 3);
    }
}

void db_project_store(struct db *db, struct db_call *c, const char *json, struct db_asked *out,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_text(&params, json);
    call_init(c, decode_asked, out, done);
    call_send(c, db->bulk, "SELECT * FROM piwheels.project_store($1)", &params);
}

void db_asked_release(struct db_asked *out)
{
    free(out->items);
    memset(out, 0, sizeof *out);
}

/* ---- following ---- */

static void decode_compared(struct db_call *c, const struct pg_result *result)
{
    struct db_compared *compared = c->out;

    compared->behind = pg_bool(result, 0, 0);
    column_copy(compared->turned, sizeof compared->turned, result, 0, 1);
    compared->missed = (unsigned)pg_int(result, 0, 2);
    column_copy(compared->missed_names, sizeof compared->missed_names, result, 0, 3);
    compared->removed = (unsigned)pg_int(result, 0, 4);
    column_copy(compared->removed_names, sizeof compared->removed_names, result, 0, 5);
    compared->waiting = (unsigned)pg_int(result, 0, 6);
    compared->doubted = (unsigned)pg_int(result, 0, 7);
    column_ended(&compared->ended, result, 0, 8);
}

void db_project_compare(struct db *db, struct db_call *c, const char *json, struct db_compared *out,
                        void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_text(&params, json);
    call_init(c, decode_compared, out, done);
    call_send(c, db->bulk, "SELECT behind, turned, cardinality(missed), array_to_string(missed[1:" TEXT(DB_NAMED_RELEASES) "], ', '),"
              " cardinality(removed), array_to_string(removed[1:" TEXT(DB_NAMED_RELEASES) "], ', '), waiting, doubted, ended"
              " FROM piwheels.project_compare($1)", &params);
}

void db_ended_release(struct db_ended *ended)
{
    free(ended->attempts);
    memset(ended, 0, sizeof *ended);
}

/* The rows are in the order in which they are due, and tell in how many milliseconds. */
static void decode_due(struct db_call *c, const struct pg_result *result)
{
    struct db_projects *due = c->out;

    due->next_ms = pg_rows(result) > 0 ? pg_int(result, 0, 3) : -1;
    for (unsigned row = 0; row < pg_rows(result) && row < COUNT_OF(due->items); row++) {
        struct db_project *project = &due->items[row];
        if (pg_int(result, row, 3) > 0)
            break;
        column_copy(project->name, sizeof project->name, result, row, 0);
        column_copy(project->etag, sizeof project->etag, result, row, 1);
        project->serial = pg_int(result, row, 2);
        due->count++;
    }
}

void db_projects_due(struct db *db, struct db_call *c, struct db_projects *out,
                     void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_due, out, done);
    call_send(c, db->bulk, "SELECT * FROM piwheels.projects_due() LIMIT 32", NULL);
}

void db_project_later(struct db *db, struct db_call *c, const char *name, int64_t in_ms,
                      void (*done)(struct db_call *c, int error))
{
    call_later(db, c, "SELECT piwheels.project_later($1, $2)", name, in_ms, done);
}
