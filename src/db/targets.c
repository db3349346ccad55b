/*
 * Targets: what wheels are built for. Read by the stages, changed by `piwheels target`.
 */
#include <string.h>

#include "private.h"

static void decode_targets(struct db_call *c, const struct pg_result *result)
{
    struct db_targets *targets = c->out;

    for (unsigned row = 0; row < pg_rows(result) && row < DB_MAX_TARGETS; row++) {
        struct db_target *t = &targets->items[targets->count++];
        t->id = (unsigned)pg_int(result, row, 0);
        column_copy(t->name, sizeof t->name, result, row, 1);
        column_copy(t->abi, sizeof t->abi, result, row, 2);
        column_copy(t->platform, sizeof t->platform, result, row, 3);
        column_copy(t->label, sizeof t->label, result, row, 4);
        t->skipped = !pg_is_null(result, row, 5);
        column_copy(t->skip, sizeof t->skip, result, row, 5);
    }
}

void db_targets(struct db *db, struct db_call *c, struct db_targets *out,
                void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_targets, out, done);
    call_send(c, db->fast,
              "SELECT id, name, abi, platform, label, skip FROM piwheels.target ORDER BY position, id",
              NULL);
}

void db_target_add(struct db *db, struct db_call *c, const char *name, const char *abi, const char *platform,
                   const char *label, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    pg_add_text(&params, abi);
    pg_add_text(&params, platform);
    add_clean(&params, label, LABEL_MAX);
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, "SELECT piwheels.target_add($1, $2, $3, $4)", &params);
}

static void decode_found(struct db_call *c, const struct pg_result *result)
{
    *(bool *)c->out = pg_bool(result, 0, 0);
}

void db_target_skip(struct db *db, struct db_call *c, const char *name, const char *reason, bool *found,
                    void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    if (reason != NULL)
        add_clean(&params, reason, sizeof ((struct db_target *)0)->skip - 1);
    else
        pg_add_null(&params);
    call_init(c, decode_found, found, done);
    call_send(c, db->bulk, "SELECT piwheels.target_skip($1, $2)", &params);
}

void db_target_preinstalled(struct db *db, struct db_call *c, const char *name, const char *const *packages,
                            size_t count, bool *found, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    pg_add_texts(&params, packages, count);
    call_init(c, decode_found, found, done);
    call_send(c, db->bulk, "SELECT piwheels.target_preinstalled($1, $2)", &params);
}
