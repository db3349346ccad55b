/*
 * A batch: calls of one kind that, while one statement is under way, wait and go together in the next,
 * as arrays.
 *
 * A statement that the server refuses completes none of its calls if there were several: each is sent again
 * alone, so that one bad call does not spoil the others. (Every statement here is a transaction and can be
 * repeated.)
 */
#ifndef DB_BATCH_H
#define DB_BATCH_H

#include "db.h"

#define BATCH_MAX 256

struct db_batch;

struct batch_kind {
    const char *sql;
    /* Whether a statement for `count` calls can be sent now; if not, batch_go is called when it can. */
    bool (*ready)(struct db_batch *b, unsigned count);
    /* Adds the parameters for calls[0 … count - 1]. */
    void (*compose)(struct db_batch *b, struct pg_params *params);
    /* Stores the result for each; calls[i] is NULL when that one was cancelled meanwhile. */
    void (*decode)(struct db_batch *b, const struct pg_result *result);
    /* The server refused the statement; may be NULL. */
    void (*refused)(struct db_batch *b);
};

struct db_batch {
    struct db *db;
    const struct batch_kind *kind;
    struct db_call *waiting, *last;    /* in the order in which they came */
    unsigned waiting_count;
    struct db_call *calls[BATCH_MAX];  /* under way */
    unsigned count;
    unsigned alone;                    /* so many calls are sent one by one */
    struct pg_request request;
};

/* The batches of a room open before they are made and close when its connections have been closed: what waits completes with
 * -ECANCELED. `closed`, from the loop: they can be freed. */
void batches_open(struct db *db, uv_loop_t *loop);
void batches_close(struct db *db, void (*closed)(struct db *db));

void batch_init(struct db_batch *b, struct db *db, const struct batch_kind *kind);

/* Takes `arguments` (freed with free()). */
void batch_add(struct db_batch *b, struct db_call *c, void *arguments);
void batch_cancel(struct db_batch *b, struct db_call *c);

/* Sends what waits, if nothing is under way. */
void batch_go(struct db_batch *b);

/* What `ready` asked for cannot be had, for the reason in `r`: completes what waits with this error. */
void batch_fail(struct db_batch *b, int error, const struct pg_request *r);

/* Adds, as an array, the member at `offset` of each call's arguments. */
void batch_add_ints(const struct db_batch *b, struct pg_params *params, size_t offset);  /* int64_t */
void batch_add_texts(const struct db_batch *b, struct pg_params *params, size_t offset); /* const char * */

#endif
