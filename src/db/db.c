/*
 * The connections to the database, and the way of one call: from the functions of the other files of this
 * room, through a connection, back to decode and the owner's done. Opened by the master and by the tools.
 */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

/* ---- one call ---- */

void call_init(struct db_call *c, void (*decode)(struct db_call *c, const struct pg_result *result),
               void *out, void (*done)(struct db_call *c, int error))
{
    c->done = done;
    c->decode = decode;
    c->out = out;
    c->batch = NULL;
    c->arguments = NULL;
    c->next = NULL;
    c->message[0] = '\0';
    c->sqlstate[0] = '\0';
}

void call_note(struct db_call *c, const struct pg_request *r)
{
    text_copy(c->message, sizeof c->message, r->message);
    text_copy(c->sqlstate, sizeof c->sqlstate, r->sqlstate);
}

static void on_answer(struct pg_request *r, int error, const struct pg_result *result)
{
    struct db_call *c = container_of(r, struct db_call, request);

    call_note(c, r);
    if (error == 0 && c->decode != NULL)
        c->decode(c, result);
    c->done(c, error);
}

void call_send(struct db_call *c, struct pg *pg, const char *sql, struct pg_params *params)
{
    pg_query(pg, &c->request, sql, params, on_answer);
}

void call_later(struct db *db, struct db_call *c, const char *sql, const char *name, int64_t in_ms,
                void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    pg_add_int(&params, in_ms);
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, sql, &params);
}

void call_copy(struct db_call *c, struct pg *pg, const char *sql, struct buf *rows)
{
    pg_copy(pg, &c->request, sql, rows, on_answer);
}

void db_cancel(struct db_call *c)
{
    if (c->batch != NULL)
        batch_cancel(c->batch, c);
    else
        pg_cancel(&c->request);
}

void column_copy(char *to, size_t size, const struct pg_result *result, unsigned row, unsigned column)
{
    text_copy(to, size, pg_text(result, row, column));
}

char *clean_copy(const char *text, size_t max_bytes)
{
    return text != NULL ? text_clean(text, strlen(text), max_bytes) : mem_text("");
}

void add_clean(struct pg_params *params, const char *text, size_t max_bytes)
{
    char *clean = clean_copy(text, max_bytes);

    pg_add_text(params, clean);
    free(clean);
}

/* ---- the connections ---- */

bool db_ready(const struct db *db)
{
    return pg_state(db->fast) == PG_READY && pg_state(db->bulk) == PG_READY
           && pg_state(db->pages) == PG_READY;
}

bool db_hopeless(const struct db *db)
{
    return pg_hopeless(db->fast) || pg_hopeless(db->bulk) || pg_hopeless(db->pages);
}

const char *db_why(const struct db *db)
{
    const struct pg *const connections[] = {db->fast, db->bulk, db->pages};

    for (unsigned i = 0; i < COUNT_OF(connections); i++)
        if (pg_why(connections[i])[0] != '\0')
            return pg_why(connections[i]);
    return "";
}

static void on_state(struct pg *pg, enum pg_state state, const char *why, void *owner)
{
    struct db *db = owner;
    int bad = db_taken(db) ? TOLD_TAKEN : db_hopeless(db) ? TOLD_HOPELESS : TOLD_AWAY;

    if (db->on_change == NULL || db->closing)
        return;
    if (state == PG_READY && db->told != TOLD_READY && db_ready(db)) {
        db->told = TOLD_READY;
        db->on_change(db->owner, true, "");
    } else if (state == PG_LOST && (int)db->told != bad) {
        db->told = bad;
        db->on_change(db->owner, false, why);
    }
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
void db_go_soon(struct db *db)
{
    if (!uv_is_active((uv_handle_t *)&db->soon))
        uv_timer_start(&db->soon, on_soon, 0, 0);
}

void db_cancel_soon(struct db *db, struct db_call *c)
{
    c->next = db->cancelled;
    db->cancelled = c;
    db_go_soon(db);
}

/* ---- opening and closing ---- */

static struct db *make(uv_loop_t *loop, void (*on_change)(void *owner, bool ready, const char *why), void *owner)
{
    struct db *db = mem_new(1, sizeof *db);

    db->on_change = on_change;
    db->owner = owner;
    uv_timer_init(loop, &db->soon);
    db->soon.data = db;
    db->claims = claims_new(db);
    db->announcements = announcements_new(db);
    db->failures = failures_new(db);
    db->successes = successes_new(db);
    return db;
}

struct db *db_open(uv_loop_t *loop, const char *dsn,
                   void (*on_change)(void *owner, bool ready, const char *why), void *owner)
{
    struct db *db = make(loop, on_change, owner);

    db->fast = pg_open(loop, dsn, PG_PIPELINED, "fast", on_state, db);
    db->bulk = pg_open(loop, dsn, PG_PLAIN, "bulk", on_state, db);
    db->pages = pg_open(loop, dsn, PG_PIPELINED, "pages", on_state, db);
    db->parts = 3;
    return db;
}

struct db *db_open_as_tool(uv_loop_t *loop, const char *dsn,
                           void (*on_change)(void *owner, bool ready, const char *why), void *owner)
{
    struct db *db = make(loop, on_change, owner);

    db->fast = db->bulk = db->pages = pg_open(loop, dsn, PG_PLAIN, "tool", on_state, db);
    db->parts = 1;
    return db;
}

static void on_soon_closed(uv_handle_t *timer)
{
    struct db *db = timer->data;

    if (db->closed != NULL)
        db->closed(db->closed_owner);
    free(db->claims);
    free(db->announcements);
    free(db->failures);
    free(db->successes);
    free(db);
}

static void on_part_closed(void *owner)
{
    struct db *db = owner;

    if (--db->parts > 0)
        return;
    batch_close(db->claims);
    batch_close(db->announcements);
    batch_close(db->failures);
    batch_close(db->successes);
    complete_cancelled(db);
    uv_close((uv_handle_t *)&db->soon, on_soon_closed);
}

void db_close(struct db *db, void (*closed)(void *owner), void *owner)
{
    db->closing = true;
    db->closed = closed;
    db->closed_owner = owner;
    pg_close(db->fast, on_part_closed);
    if (db->bulk == db->fast)
        return;
    pg_close(db->bulk, on_part_closed);
    pg_close(db->pages, on_part_closed);
}

void db_figures(const struct db *db, struct pg_figures *fast, struct pg_figures *bulk,
                struct pg_figures *pages)
{
    pg_figures(db->fast, fast);
    pg_figures(db->bulk, bulk);
    pg_figures(db->pages, pages);
}
