/*
 * Ends of attempts, in batches: called by the files stage for every build that failed, or whose files stand in
 * the tree.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "private.h"

struct end {
    int64_t attempt, wall_ms, cpu_ms, peak_bytes, log_bytes;
    int64_t retry_ms;   /* of a failure */
    int64_t serves;     /* of a success: a mask of targets */
    const char *outcome_text, *class_text, *detail_text, *record_text; /* the arrays below */
    char outcome[16], class[LABEL_MAX + 1], detail[DETAIL_MAX + 1];
    char record[];
};

static bool ready(struct db_batch *b, unsigned count)
{
    return true;
}

static void compose_what_it_took(struct db_batch *b, struct pg_params *params)
{
    batch_add_texts(b, params, offsetof(struct end, class_text));
    batch_add_texts(b, params, offsetof(struct end, detail_text));
    batch_add_ints(b, params, offsetof(struct end, wall_ms));
    batch_add_ints(b, params, offsetof(struct end, cpu_ms));
    batch_add_ints(b, params, offsetof(struct end, peak_bytes));
    batch_add_ints(b, params, offsetof(struct end, log_bytes));
}

static void compose_failures(struct db_batch *b, struct pg_params *params)
{
    batch_add_ints(b, params, offsetof(struct end, attempt));
    batch_add_texts(b, params, offsetof(struct end, outcome_text));
    compose_what_it_took(b, params);
    batch_add_ints(b, params, offsetof(struct end, retry_ms));
    batch_add_texts(b, params, offsetof(struct end, record_text));
}

static void compose_successes(struct db_batch *b, struct pg_params *params)
{
    batch_add_ints(b, params, offsetof(struct end, attempt));
    compose_what_it_took(b, params);
    batch_add_ints(b, params, offsetof(struct end, serves));
    batch_add_texts(b, params, offsetof(struct end, record_text));
}

static void decode(struct db_batch *b, const struct pg_result *result)
{
    for (unsigned i = 0; i < b->count && i < pg_rows(result); i++)
        if (b->calls[i] != NULL)
            *(bool *)b->calls[i]->out = pg_bool(result, i, 0);
}

static const struct batch_kind failures = {
    .sql = "SELECT * FROM piwheels.builds_end($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    .ready = ready,
    .compose = compose_failures,
    .decode = decode,
};

static const struct batch_kind successes = {
    .sql = "SELECT * FROM piwheels.build_publish($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    .ready = ready,
    .compose = compose_successes,
    .decode = decode,
};

static struct db_batch *batch_new(struct db *db, const struct batch_kind *kind)
{
    struct db_batch *b = mem_new(1, sizeof *b);

    batch_init(b, db, kind);
    return b;
}

struct db_batch *failures_new(struct db *db)
{
    return batch_new(db, &failures);
}

struct db_batch *successes_new(struct db *db)
{
    return batch_new(db, &successes);
}

static void put_clean(char *to, size_t size, const char *text)
{
    char *clean = clean_copy(text, size - 1);

    text_copy(to, size, clean);
    free(clean);
}

static struct end *end_new(const struct db_build_end *end)
{
    const char *record = end->record != NULL ? end->record : "{}";
    size_t record_size = strlen(record) + 1;
    struct end *e = mem_new(1, sizeof *e + record_size);

    e->record_text = memcpy(e->record, record, record_size);
    e->attempt = end->attempt;
    e->wall_ms = (int64_t)end->wall_ms;
    e->cpu_ms = (int64_t)end->cpu_ms;
    e->peak_bytes = (int64_t)end->peak_bytes;
    e->log_bytes = (int64_t)end->log_bytes;
    put_clean(e->class, sizeof e->class, end->reason);
    put_clean(e->detail, sizeof e->detail, end->detail);
    text_copy(e->outcome, sizeof e->outcome, end->outcome);
    e->outcome_text = e->outcome;
    e->class_text = e->class;
    e->detail_text = e->detail;
    return e;
}

void db_build_end(struct db *db, struct db_call *c, const struct db_build_end *end, int64_t retry_ms,
                  bool *recorded, void (*done)(struct db_call *c, int error))
{
    struct end *e = end_new(end);

    e->retry_ms = retry_ms;
    *recorded = false;
    call_init(c, NULL, recorded, done);
    batch_add(db->failures, c, e);
}

void db_build_publish(struct db *db, struct db_call *c, const struct db_build_end *end, uint64_t serves,
                      bool *recorded, void (*done)(struct db_call *c, int error))
{
    struct end *e = end_new(end);

    e->serves = (int64_t)serves;
    *recorded = false;
    call_init(c, NULL, recorded, done);
    batch_add(db->successes, c, e);
}
