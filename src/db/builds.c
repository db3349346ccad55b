/*
 * Files on their way into the tree, and the builds that made them: called by the files stage. (Builds that
 * published nothing end in ends.c.)
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

/* ---- announcing files ---- */

static enum db_verdict verdict_read(const char *text)
{
    if (strcmp(text, "new") == 0)
        return DB_FILE_NEW;
    return strcmp(text, "same") == 0 ? DB_FILE_SAME : DB_FILE_OTHER;
}

static void decode_verdicts(struct db_call *c, const struct pg_result *result)
{
    struct db_verdicts *verdicts = c->out;

    for (unsigned row = 0; row < pg_rows(result) && row < COUNT_OF(verdicts->items); row++)
        verdicts->items[verdicts->count++] = verdict_read(pg_text(result, row, 0));
}

void db_files_begin(struct db *db, struct db_call *c, int64_t attempt, const char *json,
                    struct db_verdicts *out, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    out->count = 0;
    pg_params_init(&params);
    pg_add_int(&params, attempt);
    pg_add_text(&params, json);
    call_init(c, decode_verdicts, out, done);
    call_send(c, db->fast, "SELECT verdict FROM piwheels.files_begin($1, $2) ORDER BY place", &params);
}

void db_files_forget(struct db *db, struct db_call *c, int64_t attempt,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, attempt);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.files_forget($1)", &params);
}

/* ---- publishing them ---- */

static void decode_recorded(struct db_call *c, const struct pg_result *result)
{
    *(bool *)c->out = pg_bool(result, 0, 0);
}

void db_build_publish(struct db *db, struct db_call *c, const struct db_build_end *end, uint64_t serves,
                      bool *recorded, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    *recorded = false;
    pg_params_init(&params);
    pg_add_int(&params, end->attempt);
    add_clean(&params, end->reason, LABEL_MAX);
    add_clean(&params, end->detail, DETAIL_MAX);
    pg_add_int(&params, (int64_t)end->wall_ms);
    pg_add_int(&params, (int64_t)end->cpu_ms);
    pg_add_int(&params, (int64_t)end->peak_bytes);
    pg_add_int(&params, (int64_t)end->log_bytes);
    pg_add_int(&params, (int64_t)serves);
    call_init(c, decode_recorded, recorded, done);
    call_send(c, db->fast, "SELECT piwheels.build_publish($1, $2, $3, $4, $5, $6, $7, $8)", &params);
}

/* ---- what a crash left ---- */

static void decode_publishing(struct db_call *c, const struct pg_result *result)
{
    struct db_publishing *left = c->out;

    left->count = pg_rows(result);
    left->items = mem_new(left->count + 1, sizeof *left->items);
    for (unsigned row = 0; row < left->count; row++) {
        left->items[row].attempt = pg_int(result, row, 0);
        column_copy(left->items[row].path, sizeof left->items[row].path, result, row, 1);
    }
}

void db_publishing(struct db *db, struct db_call *c, struct db_publishing *out,
                   void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_publishing, out, done);
    call_send(c, db->fast,
              "SELECT attempt, path FROM piwheels.file WHERE state = 'publishing' ORDER BY attempt, id",
              NULL);
}

void db_publishing_release(struct db_publishing *out)
{
    free(out->items);
    memset(out, 0, sizeof *out);
}
