/*
 * The database of the loopback PyPI. Everything else here asks it through these few functions; the
 * world itself is changed from outside, by other connections, at any time: hence WAL, a busy timeout,
 * and no cache.
 */
#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"
#include "python.h"

#define BUSY_MS 5000

extern const char schema_sql[]; /* schema.sql, made a C string by the build */

static void note_failure(struct store *s, const char *what)
{
    s->failed = true;
    fprintf(stderr, "loopback-pypi: %s: %s\n", what, sqlite3_errmsg(s->db));
}

static int compare_versions(void *unused, int a_len, const void *a, int b_len, const void *b)
{
    char *left = mem_textn(a, (size_t)a_len), *right = mem_textn(b, (size_t)b_len);
    int order = python_version_compare(left, right);

    free(left);
    free(right);
    return order;
}

static void prerelease(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *version = (const char *)sqlite3_value_text(values[0]);

    sqlite3_result_int(context, version && python_version_prerelease(version));
}

int store_open(struct store *s, const char *file)
{
    *s = (struct store){0};
    if (sqlite3_open(file, &s->db) != SQLITE_OK) {
        note_failure(s, file);
        store_close(s);
        return -EIO;
    }
    sqlite3_busy_timeout(s->db, BUSY_MS);
    sqlite3_create_collation(s->db, "pep440", SQLITE_UTF8, NULL, compare_versions);
    sqlite3_create_function(s->db, "prerelease", 1, SQLITE_UTF8, NULL, prerelease, NULL, NULL);
    if (sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF", NULL, NULL, NULL) ||
        sqlite3_exec(s->db, schema_sql, NULL, NULL, NULL)) {
        note_failure(s, file);
        store_close(s);
        return -EIO;
    }
    return 0;
}

void store_close(struct store *s)
{
    sqlite3_close(s->db);
    s->db = NULL;
}

sqlite3_stmt *store_query(struct store *s, const char *sql, ...)
{
    sqlite3_stmt *query = NULL;
    va_list texts;

    if (sqlite3_prepare_v2(s->db, sql, -1, &query, NULL) != SQLITE_OK) {
        note_failure(s, "statement");
        return NULL;
    }
    va_start(texts, sql);
    for (int i = 1; i <= sqlite3_bind_parameter_count(query); i++)
        sqlite3_bind_text(query, i, va_arg(texts, const char *), -1, SQLITE_TRANSIENT);
    va_end(texts);
    return query;
}

bool store_next(struct store *s, sqlite3_stmt *query)
{
    if (!query)
        return false;
    int result = sqlite3_step(query);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        note_failure(s, sqlite3_sql(query));
    return result == SQLITE_ROW;
}

void store_done(sqlite3_stmt *query)
{
    sqlite3_finalize(query);
}

void store_run(struct store *s, sqlite3_stmt *statement)
{
    store_next(s, statement);
    store_done(statement);
}

bool store_try(struct store *s, sqlite3_stmt *statement)
{
    sqlite3_busy_timeout(s->db, 0);
    int result = sqlite3_step(statement);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (result != SQLITE_DONE && result != SQLITE_BUSY)
        note_failure(s, "statement");
    store_done(statement);
    return result != SQLITE_BUSY;
}

const char *store_text(sqlite3_stmt *query, int column)
{
    return (const char *)sqlite3_column_text(query, column);
}
