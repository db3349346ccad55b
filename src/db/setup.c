/*
 * Creating and upgrading the database: called by `piwheels initdb`, as a superuser.
 *
 * All is one script in one transaction, sent at once: if the connection is lost in between, nothing has been
 * done. Its notices tell how far it is.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"
#include "schema.h"

#define SCRIPT_MAX (4u << 20)

/* ---- what is there ---- */

static void decode_setup(struct db_call *c, const struct pg_result *result)
{
    struct db_setup *found = c->out;

    column_copy(found->database, sizeof found->database, result, 0, 0);
    column_copy(found->user, sizeof found->user, result, 0, 1);
    column_copy(found->encoding, sizeof found->encoding, result, 0, 2);
    column_copy(found->server, sizeof found->server, result, 0, 3);
    found->server_number = (int)pg_int(result, 0, 4);
    found->superuser = pg_bool(result, 0, 5);
    found->service_exists = !pg_is_null(result, 0, 6);
    found->service_superuser = found->service_exists && pg_bool(result, 0, 6);
    found->schema_exists = pg_bool(result, 0, 7);
    found->masters = (unsigned)pg_int(result, 0, 8);
}

void db_setup_look(struct db *db, struct db_call *c, const char *service, struct db_setup *out,
                   void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_text(&params, service);
    call_init(c, decode_setup, out, done);
    call_send(c, db->bulk,
              "SELECT current_database(), current_user, pg_encoding_to_char(d.encoding), "
              "       current_setting('server_version'), current_setting('server_version_num')::integer, "
              "       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), "
              "       (SELECT rolsuper FROM pg_roles WHERE rolname = $1), "
              "       to_regnamespace('piwheels') IS NOT NULL, "
              "       (SELECT count(*) FROM pg_stat_activity a "
              "            WHERE a.datname = d.datname AND a.usename = $1 AND a.usename <> current_user "
              "              AND a.application_name = 'piwheels fast') "
              "FROM pg_database d WHERE d.datname = current_database()",
              &params);
}

/* ---- the script ---- */

static void add_literal(struct buf *script, const char *text)
{
    buf_addc(script, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_addc(script, '\'');
        buf_addc(script, *text);
    }
    buf_addc(script, '\'');
}

/* One of ours, and plain: no quoting is needed. */
static void add_progress(struct buf *script, const char *text)
{
    buf_addf(script, "DO $$ BEGIN RAISE NOTICE '%s'; END $$;\n", text);
}

static void add_creation(struct buf *script)
{
    add_progress(script, "creating the tables");
    buf_adds(script, schema_tables);
    add_progress(script, "creating the functions");
    buf_adds(script, schema_functions);
    buf_adds(script, schema_pypi);
    buf_adds(script, schema_people);
    buf_adds(script, schema_check);
    buf_addf(script, "INSERT INTO piwheels.configuration (version, level) VALUES ('%s', %d);\n",
             PIWHEELS_VERSION,
             DB_LEVEL);
}

/* Refuses when somebody else was faster. */
static void add_guard(struct buf *script, const struct db_configuration *found)
{
    buf_adds(script, "LOCK TABLE piwheels.configuration IN ACCESS EXCLUSIVE MODE;\n"
                     "DO $$ BEGIN IF NOT EXISTS (SELECT FROM piwheels.configuration WHERE version = ");
    add_literal(script, found->version);
    buf_addf(script,
             " AND level = %d) THEN RAISE EXCEPTION 'somebody else has upgraded the database meanwhile'; "
                     "END IF; END $$;\n",
             found->level);
}

static void add_upgrade(struct buf *script, const struct db_configuration *found)
{
    char text[64];

    add_guard(script, found);
    for (int level = found->level + 1; level <= DB_LEVEL; level++) {
        snprintf(text, sizeof text, "upgrading the tables to level %d", level);
        add_progress(script, text);
        buf_adds(script, schema_upgrades[level]);
    }
    add_progress(script, "replacing the functions");
    buf_adds(script, schema_drop_functions);
    buf_adds(script, schema_functions);
    buf_adds(script, schema_pypi);
    buf_adds(script, schema_people);
    buf_adds(script, schema_check);
    buf_addf(script, "UPDATE piwheels.configuration SET version = '%s', level = %d;\n", PIWHEELS_VERSION,
             DB_LEVEL);
}

static void on_script_end(struct pg_request *r, int error, const struct pg_result *result)
{
    struct db_call *c = container_of(r, struct db_call, request);

    call_note(c, r);
    c->done(c, error);
}

void db_setup_run(struct db *db, struct db_call *c, const struct db_configuration *found, const char *service,
                  void (*progress)(void *owner, const char *text), void *owner,
                  void (*done)(struct db_call *c, int error))
{
    struct buf script;

    buf_init(&script, SCRIPT_MAX);
    buf_adds(&script, "BEGIN;\nSET LOCAL client_min_messages = notice;\n"
                      "SET LOCAL standard_conforming_strings = on;\nSET LOCAL check_function_bodies = on;\n");
    if (found->version[0] == '\0')
        add_creation(&script);
    else if (found->level != DB_LEVEL || strcmp(found->version, PIWHEELS_VERSION) != 0)
        add_upgrade(&script, found);
    add_progress(&script, "granting the rights");
    buf_adds(&script, "SET LOCAL piwheels.service_user = ");
    add_literal(&script, service);
    buf_adds(&script, ";\n");
    buf_adds(&script, schema_grants);
    buf_adds(&script, "COMMIT;\n");
    assert(!script.full);

    call_init(c, NULL, NULL, done);
    pg_on_notice(db->bulk, progress, owner);
    pg_script(db->bulk, &c->request, script.data, on_script_end);
    buf_release(&script);
}
