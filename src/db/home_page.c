/*
 * What the front page tells: called by the web stage. Nothing here counts more than DB_HOME_COUNT_MAX rows of
 * a table that grows with the farm.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

#define UTC(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"

/* One kind of builds: of the hour, of the day, and ever. */
#define BUILDS(part, column)                                                             \
    "UNION ALL SELECT " part ", 0, '', '', '', '', '', false, "                          \
    "    coalesce(sum(" column ") FILTER (WHERE minute > now() - interval '1 hour'), 0), " \
    "    coalesce(sum(" column ") FILTER (WHERE minute > now() - interval '1 day'), 0), "  \
    "    coalesce(sum(" column "), 0) "                                                  \
    "FROM piwheels.tally "
#define FEW_JOBS(condition)                                                                  \
    "(SELECT FROM piwheels.job j WHERE j.target = t.id AND " condition " LIMIT " TEXT(DB_HOME_COUNT_MAX) ")"
#define JOBS(some) "(SELECT count(*) FROM (" some ") few)"
/* as jobs_waiting in functions.sql */
#define WAITING_JOBS                                                                          \
    FEW_JOBS("j.attempt IS NULL AND j.need IS NULL AND j.kind IS NULL") " UNION ALL "          \
    FEW_JOBS("j.attempt IS NULL AND j.need IS NULL AND j.kind IS NOT NULL") " LIMIT " TEXT(DB_HOME_COUNT_MAX)

static const char home_sql[] =
    "SELECT 0 AS part, 0::bigint AS place, " UTC("now()") " AS a, '' AS b, '' AS c, '' AS d, '' AS e, "
    "       false AS f, coalesce(sum(packages), 0) AS n, coalesce(sum(versions), 0) AS m, "
    "       coalesce(sum(files), 0) AS o "
    "FROM piwheels.tally "
    "UNION ALL "
    "SELECT 1, 0, '', '', '', '', '', false, coalesce(sum(size_bytes), 0), 0, 0 FROM piwheels.tally "
    BUILDS("2", "succeeded") BUILDS("3", "failed") BUILDS("4", "farm")
    "UNION ALL "
    "SELECT 5, t.position, t.name, t.abi, t.platform, t.label, '', t.skip IS NOT NULL, "
    "       " JOBS(WAITING_JOBS) ", " JOBS(FEW_JOBS("j.attempt IS NOT NULL")) ", 0 "
    "FROM piwheels.target t "
    "UNION ALL "
    "SELECT 6, -b.id, p.name, v.version, t.name, b.outcome, " UTC("b.finished") ", b.log_bytes > 0, b.id, "
    "       b.wall_ms, 0 "
    "FROM (SELECT * FROM piwheels.build ORDER BY id DESC LIMIT " TEXT(DB_HOME_BUILDS) ") b "
    "    JOIN piwheels.version v ON v.id = b.version JOIN piwheels.package p ON p.id = v.package "
    "    JOIN piwheels.target t ON t.id = b.target "
    "ORDER BY part, place";

enum { PART_SITE, PART_SIZE, PART_SUCCEEDED, PART_FAILED, PART_FARM, PART_TARGET, PART_BUILD };
enum { COL_PART, COL_PLACE, COL_A, COL_B, COL_C, COL_D, COL_E, COL_F, COL_N, COL_M, COL_O };

static uint64_t number_of(const struct pg_result *result, unsigned row, unsigned column)
{
    return (uint64_t)pg_int(result, row, column);
}

static char *text_of(const struct pg_result *result, unsigned row, unsigned column)
{
    return mem_text(pg_text(result, row, column));
}

static void read_site(struct db_home *home, const struct pg_result *result, unsigned row)
{
    column_copy(home->now, sizeof home->now, result, row, COL_A);
    home->packages = number_of(result, row, COL_N);
    home->versions = number_of(result, row, COL_M);
    home->files = number_of(result, row, COL_O);
}

static void read_target(struct db_home_target *target, const struct pg_result *result, unsigned row)
{
    target->name = text_of(result, row, COL_A);
    target->abi = text_of(result, row, COL_B);
    target->platform = text_of(result, row, COL_C);
    target->label = text_of(result, row, COL_D);
    target->skipped = pg_bool(result, row, COL_F);
    target->queued = (unsigned)pg_int(result, row, COL_N);
    target->building = (unsigned)pg_int(result, row, COL_M);
}

static void read_build(struct db_home_build *build, const struct pg_result *result, unsigned row)
{
    build->package = text_of(result, row, COL_A);
    build->version = text_of(result, row, COL_B);
    build->target = text_of(result, row, COL_C);
    column_copy(build->outcome, sizeof build->outcome, result, row, COL_D);
    column_copy(build->finished, sizeof build->finished, result, row, COL_E);
    build->logged = pg_bool(result, row, COL_F);
    build->id = pg_int(result, row, COL_N);
    build->wall_ms = number_of(result, row, COL_M);
}

static void decode_home(struct db_call *c, const struct pg_result *result)
{
    struct db_home *home = c->out;
    unsigned rows = pg_rows(result);

    home->targets = mem_new(rows + 1, sizeof *home->targets);
    home->builds = mem_new(rows + 1, sizeof *home->builds);
    for (unsigned row = 0; row < rows; row++) {
        uint64_t n = number_of(result, row, COL_N), m = number_of(result, row, COL_M),
                 o = number_of(result, row, COL_O);
        switch (pg_int(result, row, COL_PART)) {
        case PART_SITE:
            read_site(home, result, row);
            break;
        case PART_SIZE:
            home->size_bytes = n;
            break;
        case PART_SUCCEEDED:
            home->hour.succeeded = n, home->day.succeeded = m, home->ever.succeeded = o;
            break;
        case PART_FAILED:
            home->hour.failed = n, home->day.failed = m, home->ever.failed = o;
            break;
        case PART_FARM:
            home->hour.farm = n, home->day.farm = m, home->ever.farm = o;
            break;
        case PART_TARGET:
            read_target(&home->targets[home->target_count++], result, row);
            break;
        case PART_BUILD:
            read_build(&home->builds[home->build_count++], result, row);
            break;
        }
    }
}

void db_home_take(struct db *db, struct db_call *c, void (*done)(struct db_call *c, int error))
{
    call_init(c, NULL, NULL, done);
    call_send(c, db->pages, "SELECT piwheels.home_take()", NULL);
}

void db_home(struct db *db, struct db_call *c, struct db_home *out,
             void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_home, out, done);
    call_send(c, db->pages, home_sql, NULL);
}

void db_home_release(struct db_home *out)
{
    for (unsigned i = 0; i < out->target_count; i++) {
        free(out->targets[i].name);
        free(out->targets[i].abi);
        free(out->targets[i].platform);
        free(out->targets[i].label);
    }
    for (unsigned i = 0; i < out->build_count; i++) {
        free(out->builds[i].package);
        free(out->builds[i].version);
        free(out->builds[i].target);
    }
    free(out->targets);
    free(out->builds);
    memset(out, 0, sizeof *out);
}
