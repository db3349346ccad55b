/*
 * What the page for people tells of a package: called by the web stage.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "private.h"

/* One statement, for one page must show one moment. Every part has the same columns; releases come the newest
 * first (by `place`), and so does what belongs to them. Of many failed builds only the newest are told. */
static const char project_sql[] =
    "WITH package AS (SELECT * FROM piwheels.package WHERE name = $1), "
    "target AS (SELECT t.*, row_number() OVER (ORDER BY t.position) - 1 AS at FROM piwheels.target t), "
    "release AS (SELECT v.*, row_number() OVER (ORDER BY v.sort_key DESC) - 1 AS place "
    "    FROM piwheels.version v JOIN package p ON p.id = v.package) "
    "SELECT 0 AS part, 0 AS place, 0 AS target, p.display AS a, coalesce(p.summary, '') AS b, p.status AS c, '' AS d, '' AS e, "
    "       false AS f, false AS g, 0 AS n, '' AS h, 0 AS rank "
    "FROM package p "
    "UNION ALL "
    "SELECT 1, 0, t.at, t.name, t.abi, t.platform, t.label, '', false, false, 0, '', 0 FROM target t "
    "UNION ALL "
    "SELECT 2, r.place, 0, r.version, coalesce(to_char(r.released AT TIME ZONE 'UTC', "
    "       'YYYY-MM-DD HH24:MI:SS'), ''), r.yanked_reason, r.requires_python, "
    "       coalesce(p.skip, CASE WHEN r.skipped_mask <> 0 "
    "               AND NOT EXISTS (SELECT FROM target t WHERE t.skip IS NULL AND (r.skipped_mask >> t.id) & 1 = 0) "
    "           THEN (SELECT string_agg(DISTINCT k.reason, '; ') FROM piwheels.skip_reason s "
    "                     JOIN piwheels.skip_rule k ON k.id = s.rule WHERE s.version = r.id) END, ''), "
    "       r.prerelease, r.yanked, 0, '', 0 "
    "FROM package p CROSS JOIN release r "
    "UNION ALL "
    "SELECT 3, r.place, t.at, s.state, s.reason, '', '', '', false, false, 0, '', 0 "
    "FROM package p CROSS JOIN LATERAL piwheels.package_states(p.id) s "
    "    JOIN release r ON r.id = s.version JOIN target t ON t.id = s.target "
    "UNION ALL "
    "SELECT 4, r.place, t.at, f.name, encode(f.sha256, 'hex'), f.requires_python, "
    "       (SELECT coalesce(string_agg(d.name || E'\\n', '' ORDER BY d.name), '') "
    "            FROM piwheels.dependency d WHERE d.file = f.id AND d.tool = 'apt' AND NOT EXISTS "
    "                (SELECT FROM piwheels.preinstalled i WHERE i.target = f.target AND i.package = d.name)), "
    "       (SELECT coalesce(string_agg(d.name || E'\\n', '' ORDER BY d.name), '') "
    "            FROM piwheels.dependency d WHERE d.file = f.id AND d.tool = 'pip'), "
    "       f.was_native, f.armv6, f.size_bytes, concat(f.glibc, '/', f.glibcxx, "
    "           CASE WHEN f.apart THEN '/apart/' ELSE '/all/' END, " FILE_PLACE "), 0 "
    "FROM package p CROSS JOIN LATERAL piwheels.package_files(p.id) f "
    "    JOIN release r ON r.id = f.version JOIN target t ON t.id = f.target "
    "UNION ALL "
    "SELECT 5, r.place, t.at, b.outcome, '', '', '', '', b.logged, false, b.id, piwheels.build_record(b.id)::text, -b.id "
    "FROM package p CROSS JOIN LATERAL piwheels.package_builds(p.id) b "
    "    JOIN release r ON r.id = b.version JOIN target t ON t.id = b.target "
    "UNION ALL "
    "SELECT 6, 0, 0, l.name, '', '', '', '', false, false, 0, '', 0 "
    "FROM package p JOIN piwheels.package_alias l ON l.package = p.id "
    "UNION ALL "
    "SELECT 6, 0, 0, l, '', '', '', '', false, false, 0, '', 0 FROM piwheels.aliases_left($1) l "
    "ORDER BY part, place, target, rank, a";

enum { PART_PACKAGE, PART_TARGET, PART_RELEASE, PART_STATE, PART_FILE, PART_BUILD, PART_ALIAS, PART_COUNT };
enum { COL_PART, COL_PLACE, COL_TARGET, COL_A, COL_B, COL_C, COL_D, COL_E, COL_F, COL_G, COL_N, COL_H };

static char *text_of(const struct pg_result *result, unsigned row, unsigned column)
{
    return mem_text(pg_text(result, row, column));
}

/* ---- one row of each part ------------------------------------------------------------------------- */

static void read_target(struct db_project_target *target, const struct pg_result *result, unsigned row)
{
    target->name = text_of(result, row, COL_A);
    target->abi = text_of(result, row, COL_B);
    target->platform = text_of(result, row, COL_C);
    target->label = text_of(result, row, COL_D);
}

static void read_release(struct db_project_page *p, const struct pg_result *result, unsigned row)
{
    struct db_release *release = &p->releases[p->release_count];

    release->version = text_of(result, row, COL_A);
    column_copy(release->released, sizeof release->released, result, row, COL_B);
    release->yanked_reason = text_of(result, row, COL_C);
    release->requires_python = text_of(result, row, COL_D);
    release->skip = text_of(result, row, COL_E);
    release->prerelease = pg_bool(result, row, COL_F);
    release->yanked = pg_bool(result, row, COL_G);
    release->states = &p->states[(size_t)p->release_count++ * p->target_count];
}

static void read_state(struct db_project_state *state, const struct pg_result *result, unsigned row)
{
    state->state = text_of(result, row, COL_A);
    state->reason = text_of(result, row, COL_B);
}

static void read_file(struct db_project_page *p, struct db_release *release, const struct pg_result *result,
                      unsigned row)
{
    struct db_project_file *file = &p->files[p->file_count++];

    if (release->file_count++ == 0)
        release->files = file;
    file->target = (unsigned)pg_int(result, row, COL_TARGET);
    file->name = text_of(result, row, COL_A);
    column_copy(file->sha256, sizeof file->sha256, result, row, COL_B);
    file->requires_python = text_of(result, row, COL_C);
    file->apt = text_of(result, row, COL_D);
    file->pip = text_of(result, row, COL_E);
    file->was_native = pg_bool(result, row, COL_F);
    file->armv6 = pg_bool(result, row, COL_G);
    file->size_bytes = (uint64_t)pg_int(result, row, COL_N);
    const char *versions = pg_text(result, row, COL_H);
    snprintf(file->glibc, sizeof file->glibc, "%.*s", (int)strcspn(versions, "/"), versions);
    versions += strcspn(versions, "/") + 1;
    snprintf(file->glibcxx, sizeof file->glibcxx, "%.*s", (int)strcspn(versions, "/"), versions);
    versions += strcspn(versions, "/") + 1;
    file->apart = text_starts(versions, "apart/");
    file->place = mem_text(versions + strcspn(versions, "/") + 1);
}

static void read_build(struct db_project_page *p, struct db_release *release, const struct pg_result *result,
                       unsigned row)
{
    struct db_project_build *build = &p->builds[p->build_count++];

    if (release->build_count++ == 0)
        release->builds = build;
    build->target = (unsigned)pg_int(result, row, COL_TARGET);
    build->id = pg_int(result, row, COL_N);
    column_copy(build->outcome, sizeof build->outcome, result, row, COL_A);
    build->logged = pg_bool(result, row, COL_F);
    build->record = text_of(result, row, COL_H);
}

static void read_row(struct db_project_page *p, const struct pg_result *result, unsigned row)
{
    unsigned place = (unsigned)pg_int(result, row, COL_PLACE), target = (unsigned)pg_int(result, row,
                                                                                         COL_TARGET);

    switch (pg_int(result, row, COL_PART)) {
    case PART_PACKAGE:
        p->display = text_of(result, row, COL_A);
        p->summary = text_of(result, row, COL_B);
        p->status = text_of(result, row, COL_C);
        break;
    case PART_TARGET:
        read_target(&p->targets[p->target_count++], result, row);
        break;
    case PART_RELEASE:
        read_release(p, result, row);
        break;
    case PART_STATE:
        read_state(&p->releases[place].states[target], result, row);
        break;
    case PART_FILE:
        read_file(p, &p->releases[place], result, row);
        break;
    case PART_BUILD:
        read_build(p, &p->releases[place], result, row);
        break;
    case PART_ALIAS:
        p->aliases[p->alias_count++] = text_of(result, row, COL_A);
        break;
    }
}

/* ---- entry ---------------------------------------------------------------------------------------- */

static void decode_project(struct db_call *c, const struct pg_result *result)
{
    struct db_project_page *p = c->out;
    unsigned rows = pg_rows(result), counts[PART_COUNT] = {0};

    for (unsigned row = 0; row < rows; row++)
        counts[pg_int(result, row, COL_PART)]++;
    p->targets = mem_new(counts[PART_TARGET] + 1, sizeof *p->targets);
    p->releases = mem_new(counts[PART_RELEASE] + 1, sizeof *p->releases);
    p->states = mem_new((size_t)counts[PART_RELEASE] * counts[PART_TARGET] + 1, sizeof *p->states);
    p->files = mem_new(counts[PART_FILE] + 1, sizeof *p->files);
    p->builds = mem_new(counts[PART_BUILD] + 1, sizeof *p->builds);
    p->aliases = mem_new(counts[PART_ALIAS] + 1, sizeof *p->aliases);
    for (unsigned row = 0; row < rows; row++)
        read_row(p, result, row);
    assert(counts[PART_STATE] == p->release_count * p->target_count);
}

void db_project_page(struct db *db, struct db_call *c, const char *package, struct db_project_page *out,
                void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_text(&params, package);
    call_init(c, decode_project, out, done);
    call_send(c, db->pages, project_sql, &params);
}

static void release_lists(struct db_project_page *p)
{
    free(p->targets);
    free(p->releases);
    free(p->states);
    free(p->files);
    free(p->builds);
    free(p->aliases);
    free(p->display);
    free(p->summary);
    free(p->status);
}

void db_project_page_release(struct db_project_page *p)
{
    for (unsigned i = 0; i < p->target_count; i++) {
        free(p->targets[i].name);
        free(p->targets[i].abi);
        free(p->targets[i].platform);
        free(p->targets[i].label);
    }
    for (unsigned i = 0; i < p->release_count; i++) {
        free(p->releases[i].version);
        free(p->releases[i].yanked_reason);
        free(p->releases[i].requires_python);
        free(p->releases[i].skip);
    }
    for (size_t i = 0; i < (size_t)p->release_count * p->target_count; i++) {
        free(p->states[i].state);
        free(p->states[i].reason);
    }
    for (unsigned i = 0; i < p->file_count; i++) {
        free(p->files[i].name);
        free(p->files[i].requires_python);
        free(p->files[i].apt);
        free(p->files[i].pip);
        free(p->files[i].place);
    }
    for (unsigned i = 0; i < p->build_count; i++)
        free(p->builds[i].record);
    for (unsigned i = 0; i < p->alias_count; i++)
        free(p->aliases[i]);
    release_lists(p);
    memset(p, 0, sizeof *p);
}
