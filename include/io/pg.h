/*
 * PostgreSQL on the loop (libpq's asynchronous API; nothing else includes libpq-fe.h).
 *
 * A `struct pg` is one connection that lives as long as its owner wants: it resolves the host with
 * uv_getaddrinfo, connects, and reconnects with back-off (0.2 s doubling to 10 s) for ever. A
 * request gets EXACTLY ONE completion, never from inside pg_query. Requests that were not answered
 * when a connection broke are sent again on the next one, in order: every statement given here must
 * therefore be idempotent. A server's refusal (SQL error) completes the request with -EREMOTEIO; it
 * is not repeated, but for serialization failures and deadlocks (SQLSTATE class 40), which are, up
 * to 5 times.
 *
 * PG_PIPELINED: many requests in flight, each its own transaction (libpq pipeline mode, one sync a
 * request, statements prepared on first use by the address of their text). Cancelling a request that
 * was sent detaches it: the result is dropped.
 * PG_PLAIN: one request at a time, the others wait; may COPY and run scripts of several statements.
 * Cancelling a statement that runs detaches it too: the next one waits until the server is through.
 */
#ifndef IO_PG_H
#define IO_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"

enum pg_kind { PG_PIPELINED, PG_PLAIN };

enum pg_state { PG_CONNECTING, PG_READY, PG_LOST, PG_CLOSED };

struct pg;          /* private to src/io */
struct pg_result;

/* Parameters of a statement, in the order of $1, $2 …; sent as text. The values are copied. More
 * than PG_MAX_PARAM_BYTES in all are refused (-EREMOTEIO, SQLSTATE 54000, before anything is sent). */
#define PG_MAX_PARAMS 32
#define PG_MAX_PARAM_BYTES ((size_t)64 << 20)
struct pg_params {
    unsigned count;
    size_t offset[PG_MAX_PARAMS];  /* into bytes; SIZE_MAX is NULL */
    struct buf bytes;
};
void pg_params_init(struct pg_params *p);
void pg_params_release(struct pg_params *p);
void pg_add_null(struct pg_params *p);
void pg_add_text(struct pg_params *p, const char *text);               /* NULL gives NULL */
void pg_add_int(struct pg_params *p, int64_t value);
void pg_add_bool(struct pg_params *p, bool value);
void pg_add_bytes(struct pg_params *p, const void *data, size_t len);  /* bytea */
void pg_add_ints(struct pg_params *p, const int64_t *values, size_t count);         /* bigint[] */
void pg_add_texts(struct pg_params *p, const char *const *values, size_t count); /* text[], NULLs too */

struct pg_request {
    /* Completion: 0 with a result; -EREMOTEIO: the server refused (see `sqlstate`, `message`);
     * -ECANCELED; -ECONNRESET (scripts only). The result is valid during the call only. */
    void (*done)(struct pg_request *r, int error, const struct pg_result *result);
    char sqlstate[6];     /* "23505", or "" */
    char message[256];    /* the server's words, or "" */
    /* private */
    struct pg *pg;
    struct pg_request *prev, *next;
    const char *sql;
    char *copy;           /* of sql, on PG_PLAIN */
    struct pg_params params;
    struct buf rows;      /* of pg_copy */
    size_t rows_sent;     /* how much of them libpq has */
    unsigned repeats;     /* after serialization failures and deadlocks */
    unsigned flight;      /* its place among those in flight */
    int64_t asked_ms;
    int error;            /* of a completion that is due without an answer */
    bool script;          /* sent by the simple query protocol */
    bool once;            /* never repeated */
    bool feeds;           /* by pg_copy: the server may ask for its rows */
    enum { PG_IDLE, PG_WAITING, PG_PAUSED, PG_SENT, PG_ENDED } place;
};

/* A new connection, called `name` in the log and in application_name ("piwheels fast", unless the DSN
 * or PGAPPNAME give another). `on_state` (may be NULL) hears, from the loop, of every change but that
 * to PG_CLOSED, which the owner asks for himself; `why` is that of pg_why. */
struct pg *pg_open(uv_loop_t *loop, const char *dsn, enum pg_kind kind, const char *name,
                   void (*on_state)(struct pg *pg, enum pg_state state, const char *why, void *owner),
                   void *owner);

/* What each new connection does before anything else, and before it counts as ready: the script that `compose` makes
 * (freed here), by the simple query protocol. `earlier` is the server's process of the connection before, or 0. A
 * refusal ends the attempt to connect, with the server's words as the reason; as always there is another one later.
 * To be called right after pg_open. */
void pg_greet(struct pg *pg, char *(*compose)(long earlier));

/* Whether the last attempt to connect ended because the greeting was refused with SQLSTATE 55P03 (lock_not_available):
 * somebody else has what only one can have. */
bool pg_turned_away(const struct pg *pg);

/* Cancels what waits, closes, frees; then calls `closed` (may be NULL). All of it from the loop, so that
 * it may be called from a completion. A request given in the meantime is cancelled too. */
void pg_close(struct pg *pg, void (*closed)(void *owner));

enum pg_state pg_state(const struct pg *pg);

/* The last reason for which a connection was refused or lost, "" when ready. */
const char *pg_why(const struct pg *pg);

/* Whether no connection ever came about and the last attempt ended for a reason that trying again will
 * not mend (no such database or role, bad password, malformed DSN): for tools that give up. Attempts
 * go on all the same, except with a malformed DSN, of which this is true from pg_open on. */
bool pg_hopeless(const struct pg *pg);

/* Sends `sql` (a constant that outlives the program's use of it; in PG_PLAIN copied) with `params` (takes
 * their contents and leaves them as if released; NULL for none). `r` is embedded in its owner, is zeroed
 * before its first use and must not be in flight. */
void pg_query(struct pg *pg, struct pg_request *r, const char *sql, struct pg_params *params,
              void (*done)(struct pg_request *r, int error, const struct pg_result *result));

/* PG_PLAIN only: runs a script of several statements given without parameters (simple query
 * protocol); the result is the last statement's; `on_notice` of pg_on_notice hears RAISE NOTICE.
 * A lost connection is an error here (-ECONNRESET), never a repetition. */
void pg_script(struct pg *pg, struct pg_request *r, const char *sql,
               void (*done)(struct pg_request *r, int error, const struct pg_result *result));

/* PG_PLAIN only: a script with one COPY … FROM STDIN in it, which is fed with `rows` (their contents are taken, and
 * it is left as if released). It is one transaction; the result is the last statement's. After a lost
 * connection it is sent again with the same rows, as pg_query does: what follows the COPY must make the
 * repetition harmless. Cancelled while the rows are being sent it leaves nothing behind; later it is detached. */
void pg_copy(struct pg *pg, struct pg_request *r, const char *sql, struct buf *rows,
             void (*done)(struct pg_request *r, int error, const struct pg_result *result));

/* Hears what the server says outside of answers; of one connection. */
void pg_on_notice(struct pg *pg, void (*on_notice)(void *owner, const char *text), void *owner);

/* Completes soon with -ECANCELED; harmless on a request not in flight. */
void pg_cancel(struct pg_request *r);

unsigned pg_rows(const struct pg_result *result);
const char *pg_text(const struct pg_result *result, unsigned row, unsigned column); /* "" for NULL */
bool pg_is_null(const struct pg_result *result, unsigned row, unsigned column);
int64_t pg_int(const struct pg_result *result, unsigned row, unsigned column);      /* 0 for NULL */
bool pg_bool(const struct pg_result *result, unsigned row, unsigned column);
/* Decodes a bytea column of at most `size` bytes into `to`; its length, or -EINVAL. */
int pg_bytes(const struct pg_result *result, unsigned row, unsigned column, void *to, size_t size);

struct pg_figures {
    unsigned waiting, in_flight;
    uint64_t done, repeated, reconnects;
    int64_t last_ms;       /* how long the latest answer took */
    int64_t worst_ms;      /* the slowest in the last minute or so */
};
void pg_figures(const struct pg *pg, struct pg_figures *figures);

#endif
