/*
 * What the parts of the control room share.
 *
 *   control.c   clients, their state × message table, ADD and ACT
 *   slaves.c    SLAVES, ACCEPT and REVOKE: whom the master takes builds from
 *   orders.c    EXPLAIN, QUEUE, REBUILD, REWRITE, SKIP, SKIPS, UNSKIP and REMOVE: the database answers
 *   watch.c     STATUS and WATCH: rounds of facts to all who listen
 *   logs.c      LOGS: the log of a build as it grows
 */
#ifndef CONTROL_PRIVATE_H
#define CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "control.h"
#include "core/lane.h"
#include "core/memory.h"
#include "io/wire.h"

enum client_state {
    CLIENT_NEW,
    CLIENT_ANSWERING,   /* the question is being answered; DONE follows */
    CLIENT_WATCHING,    /* gets rounds of facts until it leaves */
    CLIENT_READING,     /* gets pieces of a log; DONE follows */
    CLIENT_LEAVING,
    CLIENT_STATES
};

/* Of a client that reads a log. */
struct reading {
    int64_t build;
    uint64_t offset;              /* how much of it has been read */
    char held[4];                 /* its last bytes, when they are the beginning of a character */
    size_t held_bytes;
    bool follow;
    bool busy;                    /* a thread reads the file */
    struct lane_work work;
    char path[512], *piece;       /* what it reads, and where to */
    size_t len;
    int error;
    int64_t clear_ms;             /* when the client had last read all that was sent; steady clock */
};

struct client {
    struct control *control;
    struct client *prev, *next;
    struct wire *wire;            /* NULL once closed */
    enum client_state state;
    struct addition *additions;   /* of ADD */
    unsigned addition_count, running, failed;
    struct reading reading;       /* of LOGS */
    struct db_call call;          /* of SLAVES, ACCEPT and REVOKE; counts as running */
    struct db_slaves slaves;
    struct db_standing standing;
    struct order *order;          /* of EXPLAIN and the like; counts as running */
    bool answered;                /* in full: its leaving is nothing to be told */
    bool asks, counted;           /* STATUS: waits for facts; and they are being read */
    bool listens;                 /* gets the parts of the present round */
    int64_t clear_ms;             /* WATCH: when it had last read all that was sent; steady clock */
};

/* The facts of the database as last read, and how far the present round has come. */
struct watch {
    uv_timer_t tick, turn;        /* the next round; the next part of this one */
    struct db_call call;
    bool calling;
    char *json;                   /* what the call answers */
    json_t *facts;                /* as last read; an empty object before */
    int64_t asked_ms, took_ms;    /* steady clock */
    char trouble[256];            /* why the facts are old; "" when they are not */
    bool due;                     /* watchers are to be told */
    bool telling, again;          /* a round goes on; and another must follow */
    bool head_told;
    uint64_t before;              /* of farm_describe */
};

struct control {
    uv_loop_t *loop;
    struct control_sources sources;
    char output[4096], site_url[512];
    int64_t opened_ms;
    struct wire_server *server;
    struct client *clients;
    struct watch watch;
    uv_timer_t reading_tick;      /* runs while somebody follows a log */
    bool closing;
    unsigned open_handles;
    void (*closed)(void *owner);
    void *closed_owner;
};

/* control.c */
void control_on_handle_closed(uv_handle_t *handle);
void client_say(struct client *c, const struct message *m);
void client_say_json(struct client *c, json_t *object); /* takes it */
void client_say_done(struct client *c, bool good, const char *text);
void client_refuse(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool client_same_version(struct client *c, const char *version);
/* Frees the client once it is gone and nothing is under way for it. */
void client_check_end(struct client *c);
/* Frees the room once it is closing and nothing is under way. */
void control_check_closed(struct control *o);

/* logs.c */
void logs_open(struct control *o);
void logs_close(struct control *o);
void logs_on_logs(struct client *c, const struct message *m);
void logs_go_on(struct client *c);     /* what was sent has been read */

/* slaves.c */
void slaves_on_slaves(struct client *c, const struct message *m);
void slaves_on_accept(struct client *c, const struct message *m);
void slaves_on_revoke(struct client *c, const struct message *m);

/* orders.c */
void orders_on_explain(struct client *c, const struct message *m);
void orders_on_queue(struct client *c, const struct message *m);
void orders_on_rebuild(struct client *c, const struct message *m);
void orders_on_rewrite(struct client *c, const struct message *m);
void orders_on_skip(struct client *c, const struct message *m);
void orders_on_skips(struct client *c, const struct message *m);
void orders_on_unskip(struct client *c, const struct message *m);
void orders_on_remove(struct client *c, const struct message *m);
void orders_cancel(struct client *c);  /* the master stops: what is under way ends soon */

/* watch.c */
void watch_open(struct control *o);
void watch_close(struct control *o);   /* begins to; its timers and its call end through the loop */
void watch_release(struct control *o);
void watch_on_status(struct client *c, const struct message *m);
void watch_on_watch(struct client *c, const struct message *m);

#endif
