/*
 * Ends of attempts that published nothing, in batches: called by the files stage for every build that failed.
 */
#include <stdlib.h>

#include "core/memory.h"
#include "core/text.h"
#include "private.h"

struct end {
    int64_t attempt, wall_ms, cpu_ms, peak_bytes, log_bytes, retry_ms;
    const char *outcome_text, *class_text, *detail_text; /* the arrays below */
    char outcome[16], class[LABEL_MAX + 1], detail[DETAIL_MAX + 1];
};

static bool ready(struct db_batch *b, unsigned count)
{
    return true;
}

static void compose(struct db_batch *b, struct pg_params *params)
{
    batch_add_ints(b, params, offsetof(struct end, attempt));
    batch_add_texts(b, params, offsetof(struct end, outcome_text));
    batch_add_texts(b, params, offsetof(struct end, class_text));
    batch_add_texts(b, params, offsetof(struct end, detail_text));
    batch_add_ints(b, params, offsetof(struct end, wall_ms));
    batch_add_ints(b, params, offsetof(struct end, cpu_ms));
    batch_add_ints(b, params, offsetof(struct end, peak_bytes));
    batch_add_ints(b, params, offsetof(struct end, log_bytes));
    batch_add_ints(b, params, offsetof(struct end, retry_ms));
}

static void decode(struct db_batch *b, const struct pg_result *result)
{
    for (unsigned i = 0; i < b->count && i < pg_rows(result); i++)
        if (b->calls[i] != NULL)
            *(bool *)b->calls[i]->out = pg_bool(result, i, 0);
}

static const struct batch_kind kind = {
    .sql = "SELECT * FROM piwheels.builds_end($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    .ready = ready,
    .compose = compose,
    .decode = decode,
};

struct db_batch *ends_new(struct db *db)
{
    struct db_batch *b = mem_new(1, sizeof *b);

    batch_init(b, db, &kind);
    return b;
}

static void put_clean(char *to, size_t size, const char *text)
{
    char *clean = clean_copy(text, size - 1);

    text_copy(to, size, clean);
    free(clean);
}

void db_build_end(struct db *db, struct db_call *c, const struct db_build_end *end, int64_t retry_ms,
                  bool *recorded, void (*done)(struct db_call *c, int error))
{
    struct end *e = mem_new(1, sizeof *e);

    e->attempt = end->attempt;
    e->wall_ms = (int64_t)end->wall_ms;
    e->cpu_ms = (int64_t)end->cpu_ms;
    e->peak_bytes = (int64_t)end->peak_bytes;
    e->log_bytes = (int64_t)end->log_bytes;
    e->retry_ms = retry_ms;
    put_clean(e->class, sizeof e->class, end->reason);
    put_clean(e->detail, sizeof e->detail, end->detail);
    text_copy(e->outcome, sizeof e->outcome, end->outcome);
    e->outcome_text = e->outcome;
    e->class_text = e->class;
    e->detail_text = e->detail;
    *recorded = false;
    call_init(c, NULL, recorded, done);
    batch_add(db->ends, c, e);
}
