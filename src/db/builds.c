/*
 * Files on their way into the tree: called by the files stage, which announces them, in batches, before it
 * places them. (Their builds end in ends.c.)
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "private.h"

/* ---- announcing files ---- */

static enum db_verdict verdict_read(const char *text, unsigned *tag)
{
    static const char *const words[] = {"new", "back", "leaving", "same"}; /* or "other" */
    unsigned verdict = 0;

    if (sscanf(text, "again %u", tag) == 1)
        return DB_FILE_AGAIN;
    if (strcmp(text, "apart") == 0)
        return DB_FILE_APART;
    if (strcmp(text, "judge") == 0)
        return DB_FILE_JUDGE;
    while (verdict < COUNT_OF(words) && strcmp(text, words[verdict]) != 0)
        verdict++;
    return (enum db_verdict)verdict;
}

struct announcement {
    int64_t attempt;
    char digest[sizeof ((struct db_targets *)0)->digest];
    const char *targets, *json; /* that digest, and the text below */
    char text[];
};

static bool always_ready(struct db_batch *b, unsigned count)
{
    return true;
}

static void compose_announcements(struct db_batch *b, struct pg_params *params)
{
    batch_add_ints(b, params, offsetof(struct announcement, attempt));
    batch_add_texts(b, params, offsetof(struct announcement, json));
    batch_add_texts(b, params, offsetof(struct announcement, targets));
}

/* One row a file, with the place of its call. */
static void decode_verdicts(struct db_batch *b, const struct pg_result *result)
{
    for (unsigned row = 0; row < pg_rows(result); row++) {
        unsigned call = (unsigned)pg_int(result, row, 0) - 1;
        struct db_verdicts *verdicts = call < b->count && b->calls[call] != NULL ? b->calls[call]->out : NULL;
        if (verdicts == NULL || verdicts->count == COUNT_OF(verdicts->items))
            continue;
        verdicts->items[verdicts->count] = verdict_read(pg_text(result, row, 1), &verdicts->tags[verdicts->count]);
        verdicts->count++;
    }
}

static const struct batch_kind announcements = {
    .sql = "SELECT call, verdict FROM piwheels.files_begin($1, $2, $3)",
    .ready = always_ready,
    .compose = compose_announcements,
    .decode = decode_verdicts,
};

struct db_batch *announcements_new(struct db *db)
{
    struct db_batch *b = mem_new(1, sizeof *b);

    batch_init(b, db, &announcements);
    return b;
}

void db_files_begin(struct db *db, struct db_call *c, int64_t attempt, const char *targets, const char *json,
                    struct db_verdicts *out, void (*done)(struct db_call *c, int error))
{
    size_t size = strlen(json) + 1;
    struct announcement *a = mem_new(1, sizeof *a + size);

    a->attempt = attempt;
    text_copy(a->digest, sizeof a->digest, targets);
    a->targets = a->digest;
    a->json = memcpy(a->text, json, size);
    out->count = 0;
    call_init(c, NULL, out, done);
    batch_add(db->announcements, c, a);
}

void db_files_forget(struct db *db, struct db_call *c, int64_t attempt,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, attempt);
    call_init(c, NULL, NULL, done);
    call_send(c, db->fast, "SELECT piwheels.files_forget($1)", &params);
}

/* ---- what a crash left ---- */

static void decode_publishing(struct db_call *c, const struct pg_result *result)
{
    struct db_publishing *left = c->out;

    left->count = pg_rows(result);
    left->items = mem_new(left->count + 1, sizeof *left->items);
    for (unsigned row = 0; row < left->count; row++) {
        left->items[row].attempt = pg_int(result, row, 0);
        column_copy(left->items[row].path, sizeof left->items[row].path, result, row, 1);
        left->items[row].back = pg_bool(result, row, 2);
    }
}

void db_publishing(struct db *db, struct db_call *c, struct db_publishing *out,
                   void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_publishing, out, done);
    call_send(c, db->fast,
              "SELECT attempt, path, EXISTS (SELECT FROM piwheels.withdrawn_file w WHERE w.path = f.path AND NOT w.gone) "
              "FROM piwheels.file f WHERE state = 'publishing' ORDER BY attempt, id",
              NULL);
}

void db_publishing_release(struct db_publishing *out)
{
    free(out->items);
    memset(out, 0, sizeof *out);
}

/* ---- what is public ---- */

static void decode_public(struct db_call *c, const struct pg_result *result)
{
    struct db_public_files *out = c->out;

    out->count = pg_rows(result);
    for (unsigned row = 0; row < out->count; row++) {
        struct db_public_file *f = &out->items[row];
        f->id = pg_int(result, row, 0);
        f->size_bytes = pg_int(result, row, 1);
        column_copy(f->package, sizeof f->package, result, row, 2);
        column_copy(f->version, sizeof f->version, result, row, 3);
        column_copy(f->path, sizeof f->path, result, row, 4);
        column_copy(f->sha256, sizeof f->sha256, result, row, 5);
        column_copy(f->metadata_sha256, sizeof f->metadata_sha256, result, row, 6);
    }
}

void db_public_files(struct db *db, struct db_call *c, int64_t after, struct db_public_files *out,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, after);
    out->count = 0;
    call_init(c, decode_public, out, done);
    call_send(c, db->bulk,
              "SELECT f.id, f.size_bytes, p.name, v.version, f.path, encode(f.sha256, 'hex'), encode(f.metadata_sha256, 'hex') "
              "FROM piwheels.file f JOIN piwheels.version v ON v.id = f.version JOIN piwheels.package p ON p.id = v.package "
              "WHERE f.state = 'live' AND f.id > $1 ORDER BY f.id LIMIT " TEXT(DB_PUBLIC_FILES_MAX),
              &params);
}
