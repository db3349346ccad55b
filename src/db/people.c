/*
 * What people ask and order: one function of schema/people.sql each, which answers JSON. Called by the control room.
 * Questions that are quickly answered go over the connection of the pages, orders and what reads large tables over the
 * bulk one, where they hold nobody up.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

static void decode_json(struct db_call *c, const struct pg_result *result)
{
    *(char **)c->out = mem_text(pg_text(result, 0, 0));
}

static void ask(struct pg *pg, struct db_call *c, const char *sql, struct pg_params *params, char **json,
                void (*done)(struct db_call *c, int error))
{
    *json = NULL;
    call_init(c, decode_json, json, done);
    call_send(c, pg, sql, params);
}

static void add_subject(struct pg_params *params, const struct db_subject *s)
{
    pg_params_init(params);
    pg_add_text(params, s->package);
    if (s->key != NULL)
        pg_add_bytes(params, s->key->data, s->key->len);
    else
        pg_add_null(params);
}

/* ---- questions ---- */

void db_status(struct db *db, struct db_call *c, char **json, void (*done)(struct db_call *c, int error))
{
    ask(db->pages, c, "SELECT piwheels.status_facts()", NULL, json, done);
}

void db_explain(struct db *db, struct db_call *c, const struct db_subject *s, char **json,
                void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    add_subject(&params, s);
    pg_add_text(&params, s->target);
    ask(db->pages, c, "SELECT piwheels.explain($1, $2, $3)", &params, json, done);
}

void db_queue(struct db *db, struct db_call *c, const char *target, char **json,
              void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, target);
    ask(db->bulk, c, "SELECT piwheels.queue_facts($1)", &params, json, done);
}

void db_facts(struct db *db, struct db_call *c, int64_t from, bool repair, char **json,
              void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, from);
    pg_add_bool(&params, repair);
    ask(db->bulk, c, "SELECT piwheels.facts_go_through($1, $2)", &params, json, done);
}

/* ---- orders ---- */

void db_rebuild(struct db *db, struct db_call *c, const struct db_subject *s, bool sure, char **json,
                void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    add_subject(&params, s);
    pg_add_text(&params, s->target);
    pg_add_bool(&params, sure);
    ask(db->bulk, c, "SELECT piwheels.rebuild($1, $2, $3, $4)", &params, json, done);
}

void db_rebuild_pages(struct db *db, struct db_call *c, const char *kind, const char *package, char **json,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, kind);
    pg_add_text(&params, package);
    ask(db->bulk, c, "SELECT piwheels.pages_rebuild($1, $2)", &params, json, done);
}

void db_remove(struct db *db, struct db_call *c, const struct db_subject *s, bool builds_only, bool sure, char **json,
               void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    add_subject(&params, s);
    pg_add_bool(&params, builds_only);
    pg_add_bool(&params, sure);
    ask(db->bulk, c, "SELECT piwheels.remove($1, $2, $3, $4)", &params, json, done);
}

/* ---- skips ---- */

void db_skip(struct db *db, struct db_call *c, const struct db_skip *skip, char **json,
             void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, skip->package);
    pg_add_text(&params, skip->specifier);
    pg_add_text(&params, skip->target);
    pg_add_bool(&params, skip->prereleases);
    add_clean(&params, skip->reason, DETAIL_MAX);
    pg_add_ints(&params, skip->judged, skip->judged_count);
    pg_add_ints(&params, skip->struck, skip->struck_count);
    ask(db->bulk, c, "SELECT piwheels.skip_add($1, $2, $3, $4, $5, $6, $7)", &params, json, done);
}

void db_skip_spread(struct db *db, struct db_call *c, int64_t rule, int64_t from, char **json,
                    void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, rule);
    pg_add_int(&params, from);
    ask(db->bulk, c, "SELECT piwheels.skip_spread($1, $2)", &params, json, done);
}

void db_skips(struct db *db, struct db_call *c, const char *package, char **json,
              void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, package);
    ask(db->pages, c, "SELECT piwheels.skips_list($1)", &params, json, done);
}

void db_unskip(struct db *db, struct db_call *c, const char *word, char **json,
               void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, word);
    ask(db->bulk, c, "SELECT piwheels.skips_remove($1)", &params, json, done);
}

static void ask_words(struct db *db, struct db_call *c, const char *sql, const char *package, struct db_words *out,
                      void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, package);
    words_ask(db, c, sql, &params, out, done);
}

void db_versions(struct db *db, struct db_call *c, const char *package, struct db_words *out,
                 void (*done)(struct db_call *c, int error))
{
    ask_words(db, c, "SELECT v.id, v.version FROM piwheels.version v JOIN piwheels.package p ON p.id = v.package "
                     "WHERE p.name = $1", package, out, done);
}

void db_skip_specifiers(struct db *db, struct db_call *c, const char *package, struct db_words *out,
                        void (*done)(struct db_call *c, int error))
{
    ask_words(db, c, "SELECT r.id, r.specifier FROM piwheels.skip_rule r JOIN piwheels.package p ON p.id = r.package "
                     "WHERE p.name = $1 AND r.specifier <> ''", package, out, done);
}
