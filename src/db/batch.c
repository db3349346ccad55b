/*
 * Batches: see batch.h. Used by claims.c, builds.c and ends.c, whose calls come by the thousand when the farm is busy.
 */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>

#include "core/memory.h"
#include "private.h"

void batch_init(struct db_batch *b, struct db *db, const struct batch_kind *kind)
{
    b->db = db;
    b->kind = kind;
}

/* ---- the calls ---- */

static struct db_call *take_first(struct db_batch *b)
{
    struct db_call *c = b->waiting;

    b->waiting = c->next;
    if (b->waiting == NULL)
        b->last = NULL;
    b->waiting_count--;
    c->next = NULL;
    return c;
}

static void forget(struct db_call *c)
{
    free(c->arguments);
    c->arguments = NULL;
    c->batch = NULL;
}

/* The first of those that wait get under way. */
static void take(struct db_batch *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        b->calls[i] = take_first(b);
    b->count = count;
}

/* Those under way wait again, before the others. */
static void put_back(struct db_batch *b)
{
    for (unsigned i = b->count; i-- > 0;) {
        struct db_call *c = b->calls[i];
        if (c == NULL)
            continue;
        c->next = b->waiting;
        b->waiting = c;
        if (b->last == NULL)
            b->last = c;
        b->waiting_count++;
        b->alone++;
    }
    b->count = 0;
}

/* A completion may add calls or cancel others, so the list under way stays true until it is through. */
static void complete(struct db_batch *b, int error, const struct pg_request *r)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct db_call *c = b->calls[i];
        b->calls[i] = NULL;
        if (c == NULL)
            continue;
        call_note(c, r);
        forget(c);
        c->done(c, error);
    }
    b->count = 0;
}

/* ---- the statement ---- */

static unsigned sendable(const struct db_batch *b)
{
    return b->waiting_count < BATCH_MAX ? b->waiting_count : BATCH_MAX;
}

/* One round only, for completions may ask again; but nobody does when the connection is closed. */
void batch_fail(struct db_batch *b, int error, const struct pg_request *r)
{
    do {
        take(b, sendable(b));
        complete(b, error, r);
    } while (error == -ECANCELED && b->waiting != NULL);
    batch_go(b);
}

static void on_answer(struct pg_request *r, int error, const struct pg_result *result)
{
    struct db_batch *b = container_of(r, struct db_batch, request);

    if (error == 0)
        b->kind->decode(b, result);
    else if (error == -EREMOTEIO && b->kind->refused != NULL)
        b->kind->refused(b);

    if (error == -EREMOTEIO && b->count > 1)
        put_back(b);
    else
        complete(b, error, r);
    if (error == -ECANCELED)
        batch_fail(b, error, r);
    else
        batch_go(b);
}

void batch_go(struct db_batch *b)
{
    struct pg_params params;
    unsigned count = sendable(b);

    if (b->alone > 0 && count > 0)
        count = 1;
    if (count == 0 || b->count > 0 || b->db->closing || !b->kind->ready(b, count))
        return;
    take(b, count);
    b->alone -= b->alone > 0;
    pg_params_init(&params);
    b->kind->compose(b, &params);
    pg_query(b->db->fast, &b->request, b->kind->sql, &params, on_answer);
}

/* ---- soon: batches that are due, and batched calls that were cancelled ---- */

static void complete_cancelled(struct db *db)
{
    while (db->cancelled != NULL) {
        struct db_call *c = db->cancelled;
        db->cancelled = c->next;
        c->next = NULL;
        c->done(c, -ECANCELED);
    }
}

static void on_soon(uv_timer_t *timer)
{
    struct db *db = timer->data;

    complete_cancelled(db);
    batch_go(db->claims);
    batch_go(db->announcements);
    batch_go(db->failures);
    batch_go(db->successes);
}

/* A timer of no time at all. */
static void go_soon(struct db *db)
{
    if (!uv_is_active((uv_handle_t *)&db->soon))
        uv_timer_start(&db->soon, on_soon, 0, 0);
}

void batch_add(struct db_batch *b, struct db_call *c, void *arguments)
{
    c->batch = b;
    c->arguments = arguments;
    if (b->last != NULL)
        b->last->next = c;
    else
        b->waiting = c;
    b->last = c;
    b->waiting_count++;
    go_soon(b->db); /* what else happens in this turn of the loop goes along */
}

static bool take_out(struct db_batch *b, struct db_call *c)
{
    struct db_call **link = &b->waiting, *before = NULL;

    for (; *link != NULL; before = *link, link = &(*link)->next) {
        if (*link != c)
            continue;
        *link = c->next;
        if (b->last == c)
            b->last = before;
        b->waiting_count--;
        return true;
    }
    return false;
}

void batch_cancel(struct db_batch *b, struct db_call *c)
{
    if (!take_out(b, c))
        for (unsigned i = 0; i < b->count; i++)
            if (b->calls[i] == c)
                b->calls[i] = NULL;
    forget(c);
    c->next = b->db->cancelled;
    b->db->cancelled = c;
    go_soon(b->db);
}

/* ---- opening and closing ---- */

void batches_open(struct db *db, uv_loop_t *loop)
{
    uv_timer_init(loop, &db->soon);
    db->soon.data = db;
}

static void batch_close(struct db_batch *b)
{
    b->request.message[0] = b->request.sqlstate[0] = '\0';
    batch_fail(b, -ECANCELED, &b->request);
}

static void on_soon_closed(uv_handle_t *timer)
{
    struct db *db = timer->data;

    db->batches_closed(db);
}

void batches_close(struct db *db, void (*closed)(struct db *db))
{
    batch_close(db->claims);
    batch_close(db->announcements);
    batch_close(db->failures);
    batch_close(db->successes);
    complete_cancelled(db);
    db->batches_closed = closed;
    uv_close((uv_handle_t *)&db->soon, on_soon_closed);
}

/* ---- arrays ---- */

static const void *member(const struct db_batch *b, unsigned i, size_t offset)
{
    return (const char *)b->calls[i]->arguments + offset;
}

void batch_add_ints(const struct db_batch *b, struct pg_params *params, size_t offset)
{
    int64_t values[BATCH_MAX];

    for (unsigned i = 0; i < b->count; i++)
        values[i] = *(const int64_t *)member(b, i, offset);
    pg_add_ints(params, values, b->count);
}

void batch_add_texts(const struct db_batch *b, struct pg_params *params, size_t offset)
{
    const char *values[BATCH_MAX];

    for (unsigned i = 0; i < b->count; i++)
        values[i] = *(const char *const *)member(b, i, offset);
    pg_add_texts(params, values, b->count);
}
