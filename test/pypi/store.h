/*
 * The SQLite database whose tables (schema.sql) are the world that is served.
 *
 * A query: `store_query`, `store_next` until it is false, `store_done`. What goes wrong is printed and
 * noted in `failed`, so a route may run several queries and be judged once at its end.
 */
#ifndef PYPI_STORE_H
#define PYPI_STORE_H

#include <sqlite3.h>
#include <stdbool.h>

struct store {
    sqlite3 *db;
    bool failed;                     /* a statement has failed since this was last cleared */
};

/* Opens or creates the database and its tables. 0, or -EIO with the reason printed. */
int store_open(struct store *s, const char *file);
void store_close(struct store *s);

/* Prepares the statement and binds one text to each of its parameters; NULL is bound as NULL. Versions
 * sort by COLLATE pep440, and prerelease(version) tells whether one is none yet. */
sqlite3_stmt *store_query(struct store *s, const char *sql, ...);

/* Steps to the next row; false when there is none. */
bool store_next(struct store *s, sqlite3_stmt *query);
void store_done(sqlite3_stmt *query);

/* Runs a prepared statement that gives no rows; takes it. */
void store_run(struct store *s, sqlite3_stmt *statement);

/* The same without waiting: false, and nothing done, while somebody else is writing. */
bool store_try(struct store *s, sqlite3_stmt *statement);

const char *store_text(sqlite3_stmt *query, int column); /* NULL for NULL; lives until the next row */

#endif
