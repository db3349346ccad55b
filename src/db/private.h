/*
 * What the files of this room share: the connections, and how a call becomes a statement.
 */
#ifndef DB_PRIVATE_H
#define DB_PRIVATE_H

#include "batch.h"
#include "db.h"

struct db {
    struct pg *fast, *bulk, *pages;
    void (*on_change)(void *owner, bool ready, const char *why);
    void *owner;
    enum { TOLD_NOTHING, TOLD_READY, TOLD_AWAY, TOLD_HOPELESS, TOLD_TAKEN } told;
    struct db_batch *claims, *announcements, *failures, *successes;
    struct db_call *cancelled;        /* batched calls whose completion is due */
    uv_timer_t soon;                  /* completes them and sends batches, when all that happens in this turn has been told */
    void (*batches_closed)(struct db *db);
    unsigned parts;                   /* connections not yet closed */
    bool closing;
    void (*closed)(void *owner);
    void *closed_owner;
};

/* Prepares a call: nothing is under way yet. */
void call_init(struct db_call *c, void (*decode)(struct db_call *c, const struct pg_result *result),
               void *out, void (*done)(struct db_call *c, int error));

/* Sends the call's statement; `params` (NULL for none) is taken. Its answer goes to decode, then done. */
void call_send(struct db_call *c, struct pg *pg, const char *sql, struct pg_params *params);
/* `sql` puts off what concerns the package by so many milliseconds: $1, $2. */
void call_later(struct db *db, struct db_call *c, const char *sql, const char *name, int64_t in_ms,
                void (*done)(struct db_call *c, int error));

/* Sends a script with one COPY … FROM STDIN in it, fed with `rows` (taken); only on `bulk`. */
void call_copy(struct db_call *c, struct pg *pg, const char *sql, struct buf *rows);

/* Keeps what the server said of a request that failed for this call. */
void call_note(struct db_call *c, const struct pg_request *r);

/* A text column, cut where it is too long. */
void column_copy(char *to, size_t size, const struct pg_result *result, unsigned row, unsigned column);

/* Attempts, which the column has as an array: {1,2,3}. */
void column_ended(struct db_ended *to, const struct pg_result *result, unsigned row, unsigned column);

/* text_clean of a C string, at most `max_bytes`; NULL gives "". Free with free(). */
char *clean_copy(const char *text, size_t max_bytes);

/* pg_add_text of a cleaned copy. */
void add_clean(struct pg_params *params, const char *text, size_t max_bytes);

/* A constant within the text of a statement. */
#define TEXT_OF(n) #n
#define TEXT(n) TEXT_OF(n)

/* Where in the tree the file `f` lies: "simple", or "TARGET/wheels". */
#define FILE_PLACE "regexp_replace(f.path, '/[^/]+/[^/]+$', '')"

#define DETAIL_MAX 2000 /* bytes of a build's detail, and of other texts for people */
#define LABEL_MAX 120   /* bytes of a short one */

/* Rows of a number and a text, on the bulk connection; `params` (NULL for none) is taken. */
void words_ask(struct db *db, struct db_call *c, const char *sql, struct pg_params *params, struct db_words *out,
               void (*done)(struct db_call *c, int error));

/* One row of attempt_facts. */
void attempt_read(const struct pg_result *result, unsigned row, struct db_attempt *out);

/* The batches; free with free(). */
struct db_batch *claims_new(struct db *db);
struct db_batch *announcements_new(struct db *db);
struct db_batch *failures_new(struct db *db);
struct db_batch *successes_new(struct db *db);

#endif
