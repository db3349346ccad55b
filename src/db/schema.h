/*
 * The SQL files of schema/ as text in the binary, put there by scripts/embed, for initdb (setup.c).
 */
#ifndef SCHEMA_H
#define SCHEMA_H

extern const char schema_tables[], schema_functions[], schema_pypi[], schema_people[], schema_check[],
    schema_drop_functions[], schema_grants[];

/* [n] leads from level n - 1 to n; from 2 to DB_LEVEL. */
extern const char *const schema_upgrades[];

#endif
