/*
 * Files on their way out of the tree, and those that come back: called by the files stage. On the connection that also
 * announces files, so that the answers come in the order in which the server decided.
 */
#include <string.h>

#include "private.h"

/* ---- quarantined and cleared ---- */

static void decode_moves(struct db_call *c, const struct pg_result *result)
{
    struct db_moves *moves = c->out;

    for (unsigned row = 0; row < pg_rows(result) && row < DB_MOVES_MAX; row++) {
        struct db_move *move = &moves->items[moves->count++];
        move->file = pg_int(result, row, 0);
        column_copy(move->path, sizeof move->path, result, row, 1);
        move->back = pg_bool(result, row, 2);
    }
}

void db_moves(struct db *db, struct db_call *c, int64_t after, struct db_moves *out,
              void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    out->count = 0;
    pg_params_init(&params);
    pg_add_int(&params, after);
    call_init(c, decode_moves, out, done);
    call_send(c, db->fast,
              "SELECT id, path, state = 'returning' FROM piwheels.file "
              "WHERE (state = 'returning' OR state = 'withheld' AND NOT hidden) AND id > $1 "
              "ORDER BY id LIMIT " TEXT(DB_MOVES_MAX),
              &params);
}

void db_files_hidden(struct db *db, struct db_call *c, const int64_t *files, size_t count,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_ints(&params, files, count);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.files_hidden($1)", &params);
}

static void decode_count(struct db_call *c, const struct pg_result *result)
{
    *(int64_t *)c->out = pg_int(result, 0, 0);
}

void db_files_returned(struct db *db, struct db_call *c, const int64_t *files, size_t count, int64_t *count_out,
                       void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    *count_out = 0;
    pg_params_init(&params);
    pg_add_ints(&params, files, count);
    call_init(c, decode_count, count_out, done);
    call_send(c, db->fast, "SELECT piwheels.files_returned($1)", &params);
}

/* ---- withdrawn ---- */

static void decode_leaving(struct db_call *c, const struct pg_result *result)
{
    struct db_leaving *leaving = c->out;

    for (unsigned row = 0; row < pg_rows(result); row++) {
        if (!pg_is_null(result, row, 0)) {
            if (leaving->count < DB_LEAVING_MAX)
                column_copy(leaving->paths[leaving->count++], sizeof leaving->paths[0], result, row, 0);
            continue;
        }
        leaving->again_ms = pg_is_null(result, row, 1) ? -1 : pg_int(result, row, 1);
        column_copy(leaving->after_at, sizeof leaving->after_at, result, row, 2);
        column_copy(leaving->after, sizeof leaving->after, result, row, 3);
    }
}

void db_files_leaving(struct db *db, struct db_call *c, int64_t wait_ms, bool all, struct db_leaving *out,
                      void (*done)(struct db_call *c, int error))
{
    const char *beginning = all ? "-infinity" : "epoch";
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, wait_ms);
    pg_add_text(&params, out->after_at[0] != '\0' ? out->after_at : beginning);
    pg_add_text(&params, out->after);
    out->count = 0;
    out->again_ms = -1;
    out->after_at[0] = out->after[0] = '\0';
    call_init(c, decode_leaving, out, done);
    call_send(c, db->fast, "SELECT path, again_ms, after_at, after FROM piwheels.files_leaving($1, $2, $3)", &params);
}

void db_files_gone(struct db *db, struct db_call *c, const char *const *paths, size_t count,
                   void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_texts(&params, paths, count);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.files_gone($1)", &params);
}
