/*
 * What the parts of the control room share.
 *
 *   control.c   clients, their state × message table, ADD and ACT
 *   watch.c     STATUS and WATCH: rounds of facts to all who listen
 */
#ifndef CONTROL_PRIVATE_H
#define CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "control.h"
#include "core/memory.h"
#include "io/wire.h"

enum client_state {
    CLIENT_NEW,
    CLIENT_ANSWERING,   /* the question is being answered; DONE follows */
    CLIENT_WATCHING,    /* gets rounds of facts until it leaves */
    CLIENT_LEAVING,
    CLIENT_STATES
};

struct client {
    struct control *control;
    struct client *prev, *next;
    struct wire *wire;            /* NULL once closed */
    enum client_state state;
    struct addition *additions;   /* of ADD */
    unsigned addition_count, running, failed;
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
    char output[4096];
    int64_t opened_ms;
    struct wire_server *server;
    struct client *clients;
    struct watch watch;
    bool closing;
    unsigned open_handles;
    void (*closed)(void *owner);
    void *closed_owner;
};

/* control.c */
void client_say(struct client *c, const struct message *m);
void client_say_done(struct client *c, bool good, const char *text);
void client_refuse(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool client_same_version(struct client *c, const char *version);
/* Frees the room once it is closing and nothing is under way. */
void control_check_closed(struct control *o);

/* watch.c */
void watch_open(struct control *o);
void watch_close(struct control *o);   /* begins to; its timers and its call end through the loop */
void watch_release(struct control *o);
void watch_on_status(struct client *c, const struct message *m);
void watch_on_watch(struct client *c, const struct message *m);

#endif
