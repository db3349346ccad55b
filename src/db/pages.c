/*
 * Pages that are stale, and what is on them: called by the web stage.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

/* ---- which ---- */

/* The index goes first, for installers need it; but a long run of its pages does not hold up those for people. */
#define INDEX_AT_ONCE 48
#define PROJECTS_AT_ONCE 5

static void decode_stale(struct db_call *c, const struct pg_result *result)
{
    struct db_stale *stale = c->out;
    unsigned projects = 0;

    for (unsigned row = 0; row < pg_rows(result) && row < COUNT_OF(stale->items); row++) {
        column_copy(stale->items[row].kind, sizeof stale->items[row].kind, result, row, 0);
        column_copy(stale->items[row].key, sizeof stale->items[row].key, result, row, 1);
        stale->items[row].generation = pg_int(result, row, 2);
        projects += strcmp(stale->items[row].kind, "project") == 0;
        stale->count++;
    }
    stale->full = projects == PROJECTS_AT_ONCE || stale->count - projects == INDEX_AT_ONCE;
}

/* IS FALSE: of "= false" the planner makes "<>", which the index is not by. */
static const char stale_sql[] =
    "(SELECT kind, key, generation FROM piwheels.stale_page WHERE (kind = 'project') IS FALSE "
    " ORDER BY since LIMIT " TEXT(INDEX_AT_ONCE) ") "
    "UNION ALL "
    "(SELECT kind, key, generation FROM piwheels.stale_page WHERE (kind = 'project') IS TRUE "
    " ORDER BY since LIMIT " TEXT(PROJECTS_AT_ONCE) ")";

void db_stale(struct db *db, struct db_call *c, struct db_stale *out,
              void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_stale, out, done);
    call_send(c, db->pages, stale_sql, NULL);
}

void db_page_written(struct db *db, struct db_call *c, const char *kind, const char *key, int64_t generation,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, kind);
    pg_add_text(&params, key);
    pg_add_int(&params, generation);
    call_init(c, NULL, NULL, done);
    call_send(c, db->pages, "SELECT piwheels.page_written($1, $2, $3)", &params);
}

/* ---- a package's page ---- */

/* One statement, for one page must show one moment: the package, its files and its aliases, or those that a package of
 * this name has left. */
static const char index_sql[] =
    "SELECT 0 AS part, p.display AS name, '' AS version, '' AS requires_python, false AS yanked, "
    "       '' AS yanked_reason, 0::bigint AS size_bytes, '' AS sha256, '' AS metadata_sha256, "
    "       '' AS uploaded, ''::bytea AS sort_key, '' AS home, '' AS seen_by, '' AS place "
    "FROM piwheels.package p WHERE p.name = $1 "
    "UNION ALL "
    "SELECT 1, f.name, v.version, f.requires_python, v.yanked, v.yanked_reason, f.size_bytes, "
    "       encode(f.sha256, 'hex'), encode(f.metadata_sha256, 'hex'), "
    "       to_char(f.published AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), v.sort_key, "
    "       CASE WHEN f.apart THEN (SELECT name FROM piwheels.target WHERE id = f.target) ELSE '' END, "
    "       CASE WHEN f.apart THEN piwheels.target_kin(f.target) ELSE '' END, " FILE_PLACE " "
    "FROM piwheels.package p CROSS JOIN LATERAL piwheels.package_files(p.id) f "
    "    JOIN piwheels.version v ON v.id = f.version "
    "WHERE p.name = $1 "
    "UNION ALL "
    "SELECT 2, a.name, '', '', false, '', 0, '', '', '', '', '', '', '' "
    "FROM piwheels.package p JOIN piwheels.package_alias a ON a.package = p.id WHERE p.name = $1 "
    "UNION ALL "
    "SELECT 2, l, '', '', false, '', 0, '', '', '', '', '', '', '' FROM piwheels.aliases_left($1) l "
    "ORDER BY part, sort_key, name";

enum { PART_PACKAGE, PART_FILE, PART_ALIAS };

static void index_file_read(struct db_index_file *file, const struct pg_result *result, unsigned row)
{
    file->name = mem_text(pg_text(result, row, 1));
    file->version = mem_text(pg_text(result, row, 2));
    file->requires_python = mem_text(pg_text(result, row, 3));
    file->yanked = pg_bool(result, row, 4);
    file->yanked_reason = mem_text(pg_text(result, row, 5));
    file->size_bytes = (uint64_t)pg_int(result, row, 6);
    column_copy(file->sha256, sizeof file->sha256, result, row, 7);
    column_copy(file->metadata_sha256, sizeof file->metadata_sha256, result, row, 8);
    column_copy(file->uploaded, sizeof file->uploaded, result, row, 9);
    file->home = mem_text(pg_text(result, row, 11));
    file->seen_by = mem_text(pg_text(result, row, 12));
    file->place = mem_text(pg_text(result, row, 13));
}

static void decode_index(struct db_call *c, const struct pg_result *result)
{
    struct db_index *page = c->out;
    unsigned rows = pg_rows(result);

    page->files = mem_new(rows + 1, sizeof *page->files);
    page->aliases = mem_new(rows + 1, sizeof *page->aliases);
    for (unsigned row = 0; row < rows; row++) {
        switch (pg_int(result, row, 0)) {
        case PART_PACKAGE:
            page->display = mem_text(pg_text(result, row, 1));
            break;
        case PART_FILE:
            index_file_read(&page->files[page->count++], result, row);
            break;
        case PART_ALIAS:
            page->aliases[page->alias_count++] = mem_text(pg_text(result, row, 1));
            break;
        }
    }
}

void db_index(struct db *db, struct db_call *c, const char *package, struct db_index *out,
              void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_text(&params, package);
    call_init(c, decode_index, out, done);
    call_send(c, db->pages, index_sql, &params);
}

void db_index_release(struct db_index *out)
{
    for (unsigned i = 0; i < out->count; i++) {
        free(out->files[i].name);
        free(out->files[i].version);
        free(out->files[i].requires_python);
        free(out->files[i].yanked_reason);
        free(out->files[i].home);
        free(out->files[i].seen_by);
        free(out->files[i].place);
    }
    for (unsigned i = 0; i < out->alias_count; i++)
        free(out->aliases[i]);
    free(out->files);
    free(out->aliases);
    free(out->display);
    memset(out, 0, sizeof *out);
}

/* ---- the list of all packages ---- */

static void decode_root(struct db_call *c, const struct pg_result *result)
{
    struct db_root *root = c->out;

    root->count = pg_rows(result);
    root->items = mem_new(root->count + 1, sizeof *root->items);
    for (unsigned row = 0; row < root->count; row++) {
        root->items[row].name = mem_text(pg_text(result, row, 0));
        root->items[row].display = mem_text(pg_text(result, row, 1));
        root->items[row].shared = pg_bool(result, row, 2);
        root->items[row].seen_by = mem_text(pg_text(result, row, 3));
    }
}

void db_root(struct db *db, struct db_call *c, struct db_root *out,
             void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_root, out, done);
    call_send(c, db->pages,
              "SELECT name, display, live_files > apart_files, "
              "       CASE WHEN apart_files > 0 THEN piwheels.package_kin(id) ELSE '' END "
              "FROM piwheels.package WHERE live_files > 0 ORDER BY name COLLATE \"C\"",
              NULL);
}

void db_root_release(struct db_root *out)
{
    for (unsigned i = 0; i < out->count; i++) {
        free(out->items[i].name);
        free(out->items[i].display);
        free(out->items[i].seen_by);
    }
    free(out->items);
    memset(out, 0, sizeof *out);
}
