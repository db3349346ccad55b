/*
 * Targets: what wheels are built for. Read by the stages, changed by `piwheels target`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

#define PACKAGES_AT_ONCE 2000 /* that one statement holds against a target */

static void decode_targets(struct db_call *c, const struct pg_result *result)
{
    struct db_targets *targets = c->out;

    targets->count = 0;
    column_copy(targets->digest, sizeof targets->digest, result, 0, 8);
    for (unsigned row = 0; row < pg_rows(result) && row < DB_MAX_TARGETS; row++) {
        struct db_target *t = &targets->items[targets->count++];
        memset(t, 0, sizeof *t);
        t->id = (unsigned)pg_int(result, row, 0);
        column_copy(t->name, sizeof t->name, result, row, 1);
        column_copy(t->abi, sizeof t->abi, result, row, 2);
        column_copy(t->platform, sizeof t->platform, result, row, 3);
        column_copy(t->label, sizeof t->label, result, row, 4);
        t->skipped = !pg_is_null(result, row, 5);
        column_copy(t->skip, sizeof t->skip, result, row, 5);
        sscanf(pg_text(result, row, 6), "%u.%u", &t->glibc_major, &t->glibc_minor);
        t->judging = pg_bool(result, row, 7);
    }
}

void db_targets(struct db *db, struct db_call *c, struct db_targets *out,
                void (*done)(struct db_call *c, int error))
{
    out->count = 0;
    call_init(c, decode_targets, out, done);
    call_send(c, db->fast,
              "SELECT id, name, abi, platform, label, skip, glibc, judging, piwheels.targets_digest() FROM piwheels.target "
              "ORDER BY position, id",
              NULL);
}

static void decode_id(struct db_call *c, const struct pg_result *result)
{
    *(unsigned *)c->out = (unsigned)pg_int(result, 0, 0);
}

void db_target_add(struct db *db, struct db_call *c, const char *name, const char *abi, const char *platform,
                   const char *label, const char *glibc, unsigned *id, void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    pg_add_text(&params, abi);
    pg_add_text(&params, platform);
    if (label != NULL)
        add_clean(&params, label, LABEL_MAX);
    else
        pg_add_null(&params);
    pg_add_text(&params, glibc);
    call_init(c, decode_id, id, done);
    call_send(c, db->bulk, "SELECT piwheels.target_add($1, $2, $3, $4, $5)", &params);
}

/* ---- judging a new one ---- */

static void decode_words(struct db_call *c, const struct pg_result *result)
{
    struct db_words *words = c->out;

    words->count = pg_rows(result);
    words->items = mem_new(words->count + 1, sizeof *words->items);
    for (unsigned row = 0; row < words->count; row++) {
        words->items[row].id = pg_int(result, row, 0);
        words->items[row].text = mem_text(pg_text(result, row, 1));
    }
}

void words_ask(struct db *db, struct db_call *c, const char *sql, struct pg_params *params, struct db_words *out,
               void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_words, out, done);
    call_send(c, db->bulk, sql, params);
}

void db_tagsets(struct db *db, struct db_call *c, struct db_words *out, void (*done)(struct db_call *c, int error))
{
    words_ask(db, c, "SELECT id, tags FROM piwheels.tagsets_all()", NULL, out, done);
}

void db_requires_python(struct db *db, struct db_call *c, struct db_words *out,
                        void (*done)(struct db_call *c, int error))
{
    words_ask(db, c, "SELECT 0, r FROM piwheels.requires_python_all() r", NULL, out, done);
}

void db_file_tags(struct db *db, struct db_call *c, struct db_words *out, void (*done)(struct db_call *c, int error))
{
    words_ask(db, c, "SELECT 0, t FROM piwheels.file_tags_all() t", NULL, out, done);
}

void db_words_release(struct db_words *out)
{
    for (unsigned i = 0; i < out->count; i++)
        free(out->items[i].text);
    free(out->items);
    memset(out, 0, sizeof *out);
}

void db_tagsets_judge(struct db *db, struct db_call *c, unsigned target, const int64_t *fits, size_t count,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, target);
    pg_add_ints(&params, fits, count);
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, "SELECT piwheels.tagsets_judge($1, $2)", &params);
}

static void decode_next(struct db_call *c, const struct pg_result *result)
{
    *(int64_t *)c->out = pg_is_null(result, 0, 0) ? -1 : pg_int(result, 0, 0);
}

void db_target_judge(struct db *db, struct db_call *c, unsigned target, const struct db_judgement *judgement, int64_t *next,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, target);
    pg_add_texts(&params, judgement->excluded, judgement->excluded_count);
    pg_add_texts(&params, judgement->loads, judgement->load_count);
    pg_add_int(&params, *next);
    pg_add_int(&params, PACKAGES_AT_ONCE);
    call_init(c, decode_next, next, done);
    call_send(c, db->bulk, "SELECT piwheels.target_judge($1, $2, $3, $4, $5)", &params);
}

void db_target_judged(struct db *db, struct db_call *c, unsigned target, int64_t *next,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, target);
    pg_add_int(&params, *next);
    pg_add_int(&params, PACKAGES_AT_ONCE);
    call_init(c, decode_next, next, done);
    call_send(c, db->bulk, "SELECT piwheels.target_judged($1, $2, $3)", &params);
}

/* ---- skipping ---- */

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
