/*
 * There is one master to a database: it holds this lock on the session over which it changes things, and takes it before
 * anything else whenever that session is a new one.
 *
 * The session of a master that was killed ends by itself: its server process notices that the socket is closed, even
 * while it runs a statement (client_connection_check_interval), and a host that lost its power is noticed by keepalives.
 * For the former the lock is waited for. What this very master left behind when its connection broke is ended by it.
 */
#include <stdlib.h>

#include "core/memory.h"
#include "private.h"

#define KEY_HIGH "1885960040"  /* "piwh" */
#define KEY_LOW "1701145715"   /* "eels": the schema's name, as pg_locks shows it */

static const char script[] =
    "DO $lock$ "
    "DECLARE other record; "
    "BEGIN "
    "    PERFORM set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '1s' "
    "                                       WHEN 'tcp_keepalives_idle' THEN '30' "
    "                                       WHEN 'tcp_keepalives_interval' THEN '10' "
    "                                       WHEN 'tcp_keepalives_count' THEN '3' END, false) "
    "        FROM pg_settings WHERE name IN ('client_connection_check_interval', 'tcp_keepalives_idle', "
    "                                        'tcp_keepalives_interval', 'tcp_keepalives_count'); "
    "    PERFORM set_config('lock_timeout', '5s', true); "
    "    PERFORM pg_advisory_lock(" KEY_HIGH "::bigint << 32 | " KEY_LOW "); "
    "EXCEPTION WHEN lock_not_available THEN "
    "    SELECT a.pid, a.application_name, coalesce(' at ' || host(a.client_addr), '') AS place, "
    "           to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"') AS since INTO other "
    "        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "        WHERE l.locktype = 'advisory' AND l.classid = " KEY_HIGH " AND l.objid = " KEY_LOW " AND l.objsubid = 1 "
    "            AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()); "
    "    IF other.pid IS NULL OR other.pid = %ld THEN "
    "        PERFORM pg_terminate_backend(other.pid); "
    "        RAISE EXCEPTION 'the lock that only one master may hold is just becoming free' "
    "            USING ERRCODE = 'connection_failure'; "
    "    END IF; "
    "    RAISE EXCEPTION 'another master works with this database: %%, process %%, since %%', "
    "        other.application_name || other.place, other.pid, other.since USING ERRCODE = 'lock_not_available'; "
    "END $lock$";

static char *compose(long earlier)
{
    return mem_format(script, earlier);
}

struct db *db_open_as_master(uv_loop_t *loop, const char *dsn,
                             void (*on_change)(void *owner, bool ready, const char *why), void *owner)
{
    struct db *db = db_open(loop, dsn, on_change, owner);

    pg_greet(db->fast, compose);
    return db;
}
