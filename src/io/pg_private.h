/*
 * What the files of the PostgreSQL adapter share.
 *
 *     pg.c          the life of a connection: its phases, deadlines, back-off, opening and closing
 *     pg_connect.c  one attempt to connect: resolving hosts, libpq's options, why it was refused
 *     pg_greet.c    what a new connection does first
 *     pg_request.c  requests: queued, completed, repeated, cancelled
 *     pg_exchange.c sending them and taking the answers
 *     pg_params.c   parameters of a statement
 *     pg_result.c   reading a result
 */
#ifndef IO_PG_PRIVATE_H
#define IO_PG_PRIVATE_H

#include <libpq-fe.h>

#include "io/pg.h"

#define PG_MAX_IN_FLIGHT 256u
#define PG_MAX_STATEMENTS 512u /* more are sent without being prepared */
#define PG_MAX_WHY 512

/* See the table in pg.c. */
enum pg_phase { PHASE_NEW, PHASE_RESOLVE, PHASE_CONNECT, PHASE_GREET, PHASE_READY, PHASE_PAUSE, PHASE_CLOSING, PHASES };

struct pg_result {
    PGresult *rows;
};

struct pg_queue {
    struct pg_request *first, *last;
    unsigned count;
};

/* A statement known by the address of its text; its name on the server is "s" and its index. */
struct pg_statement {
    const char *sql;
    enum { STATEMENT_NEW, STATEMENT_SENT, STATEMENT_PREPARED } state;
};

/* What was sent and not yet answered in full. */
struct pg_flight {
    struct pg_request *request;     /* NULL once its owner has cancelled */
    struct pg_statement *preparing; /* whose preparation must be answered first, or NULL */
    bool fed;                       /* its COPY has begun: there is no second one */
    PGresult *result;               /* the first error, else the newest result; or NULL */
};

/* Where libpq is to connect: three comma-separated lists that go together. */
struct pg_addresses {
    struct buf hosts, hostaddrs, ports;
    unsigned count;
    unsigned next; /* which of the hosts asked for is to be resolved next */
};

/* A host name being resolved; may outlive the attempt and the connection. */
struct pg_lookup {
    uv_getaddrinfo_t request;
    struct pg *pg; /* NULL once nobody waits for it */
};

struct pg {
    uv_loop_t *loop;
    enum pg_kind kind;
    char *name;
    void (*on_state)(struct pg *pg, enum pg_state state, const char *why, void *owner);
    void (*on_notice)(void *owner, const char *text);
    void *notice_owner;
    void (*closed)(void *owner);
    void *owner;

    /* life */
    enum pg_phase phase;
    bool connected_once, hopeless;
    char why[PG_MAX_WHY];      /* of the last refusal or loss; "" when ready */
    char farewell[PG_MAX_WHY]; /* what the server said before it hung up, or "" */
    uint64_t backoff_ms;
    int64_t warned_ms;         /* when a refusal was last logged, or -1 */
    uv_timer_t timer;          /* deadline of an attempt to connect, or the pause before the next */
    unsigned open_handles;

    /* connection */
    PQconninfoOption *options; /* of the DSN; NULL when it is malformed */
    struct pg_addresses addresses;
    struct pg_lookup *lookup;  /* of a host name under way, or NULL */
    char *(*compose_greeting)(long earlier); /* or NULL */
    char refused[PG_MAX_WHY];  /* the server's words on the greeting, or "" */
    bool turned_away;
    long backend;              /* the server's process of the last connection that was ready, or 0 */
    PGconn *conn;
    uv_poll_t *poll;           /* on conn's socket; on the heap, as it is replaced while the old one closes */
    int polled_events;

    /* requests */
    struct pg_queue waiting;   /* to be sent */
    struct pg_queue paused;    /* to be repeated after a serialization failure or deadlock */
    struct pg_queue ended;     /* to be completed without an answer */
    uv_timer_t soon;           /* due at once: completes what has ended, sends what waits */
    uv_timer_t repeat;         /* ends the pause of what is paused */
    struct pg_flight flights[PG_MAX_IN_FLIGHT]; /* a ring */
    unsigned first_flight, in_flight;
    bool feeding;              /* the server waits for the rows of the flight's COPY */
    struct pg_statement statements[PG_MAX_STATEMENTS]; /* known to this connection */
    unsigned statement_count;

    /* figures */
    uint64_t done, repeated, reconnects;
    int64_t last_ms;           /* how long the latest answer took */
    int64_t minute_began_ms, worst_ms, worst_before_ms; /* of this minute and of the one before */
};

/* ---- pg.c ---- */

/* Ends the connection, or the attempt to get one, for the reason `why`; tries again later. */
void pg_lose(struct pg *pg, const char *why);

/* All hosts are resolved (why is NULL) or none could be. */
void pg_resolved(struct pg *pg, const char *why);

/* Closing, and all requests are completed: frees. */
void pg_dispose(struct pg *pg);

/* Polls the connection's socket for these events (UV_READABLE, UV_WRITABLE). */
void pg_watch(struct pg *pg, int events);

/* ---- pg_connect.c ---- */

int pg_read_dsn(struct pg *pg, const char *dsn); /* 0, or -EINVAL with pg->why */

/* Resolves what is a name among the hosts; ends in pg_resolved. */
void pg_resolve(struct pg *pg);
void pg_drop_lookup(struct pg *pg);

/* Begins to connect; NULL with `why` where libpq refuses at once. */
PGconn *pg_start_connection(struct pg *pg);

/* Reads from libpq's words why an attempt failed into `why` (PG_MAX_WHY) and pg->hopeless. */
void pg_read_refusal(struct pg *pg, char *why);

/* A text of libpq's, which may be several lines, on one. */
void pg_one_line(char *to, size_t size, const char *text);

/* ---- pg_greet.c ---- */

bool pg_send_greeting(struct pg *pg);

/* The socket is ready: how far the greeting is; watches the socket while it waits. `why` it failed. */
enum pg_greeting { GREETING_WAITS, GREETING_DONE, GREETING_FAILED };
enum pg_greeting pg_hear_greeting(struct pg *pg, const char **why);

/* ---- pg_request.c ---- */

void pg_take_out(struct pg_queue *q, struct pg_request *r);

/* The request's result is here; completes it, or has it repeated. */
void pg_answer(struct pg *pg, struct pg_request *r, PGresult *result);

/* Completes the request soon, without an answer. */
void pg_end(struct pg *pg, struct pg_request *r, int error);

/* The connection is gone: what was in flight waits again. */
void pg_recall(struct pg *pg);

/* Everything not completed ends with -ECANCELED. */
void pg_cancel_all(struct pg *pg);

/* ---- pg_exchange.c ---- */

/* The socket is ready: takes answers, sends what waits. */
void pg_serve(struct pg *pg);

/* Sends what waits, as far as it may. */
void pg_send(struct pg *pg);

/* What the server says outside of answers (libpq's notice receiver). */
void pg_hear_notice(void *arg, const PGresult *notice);

struct pg_flight *pg_nth_flight(struct pg *pg, unsigned n); /* 0: the oldest */
bool pg_is_error(const PGresult *result);
const char *pg_field(const PGresult *result, int code); /* of an error or notice; "" when absent */
const char *pg_words(const PGresult *result); /* the server's message, or libpq's where it said nothing */

#endif
