/*
 * Opens and closes the room: the connections to the database, and the batches on them. For the master and for the tools; a
 * call itself is in call.c.
 */
#include "private.h"

#include <stdlib.h>

#include "core/memory.h"

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

bool db_taken(const struct db *db)
{
    return pg_turned_away(db->fast);
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

/* ---- opening and closing ---- */

static struct db *make(uv_loop_t *loop, void (*on_change)(void *owner, bool ready, const char *why), void *owner)
{
    struct db *db = mem_new(1, sizeof *db);

    db->on_change = on_change;
    db->owner = owner;
    batches_open(db, loop);
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

static void on_batches_closed(struct db *db)
{
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

    if (--db->parts == 0)
        batches_close(db, on_batches_closed);
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

void db_cancel(struct db_call *c)
{
    if (c->batch != NULL)
        batch_cancel(c->batch, c);
    else
        pg_cancel(&c->request);
}

void db_figures(const struct db *db, struct pg_figures *fast, struct pg_figures *bulk,
                struct pg_figures *pages)
{
    pg_figures(db->fast, fast);
    pg_figures(db->bulk, bulk);
    pg_figures(db->pages, pages);
}
