/*
 * Turns: how much of one kind is under way at once, where each holds memory while it lasts and a thousand may begin together:
 * handshakes (src/io), transfers (src/files).
 *
 *   idle ──turn_ask──▶ waiting ──go──▶ running ──turn_end──▶ idle
 *
 * Those that are slow, for their network or on purpose, count no more after a while, so that they hold up nobody. Where they
 * must not become too many either, at most so many run in all, and then the oldest, after more time, is `late`.
 *
 * A `struct turn` is embedded in its owner, who ends it before it goes. `turns` goes when its maker and all who hold it have
 * let go of it.
 */
#ifndef CORE_TURNS_H
#define CORE_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct turns;

struct turn_limits {
    unsigned at_once;            /* of those that began less than slow_ms ago */
    unsigned most;               /* of all that run; UINT_MAX: any number */
    uint64_t slow_ms;
    uint64_t patience_ms;        /* with the oldest, when `most` run and others wait */
};

struct turn {
    void (*go)(struct turn *t);   /* it is its turn; from the loop, never from inside turn_ask */
    void (*late)(struct turn *t); /* it must end now: turn_end; NULL where `most` is any number */
    /* private */
    struct turns *turns;
    struct turn *before, *after;
    enum { TURN_IDLE, TURN_WAITING, TURN_RUNNING } state;
    int64_t begun_ms;            /* steady clock */
};

/* Made for one holder. */
struct turns *turns_new(uv_loop_t *loop, const struct turn_limits *limits);
void turns_hold(struct turns *t);
void turns_let_go(struct turns *t); /* NULL is fine */

/* True: it is its turn at once; else `go` follows. Asking again changes nothing. */
bool turn_ask(struct turn *t, struct turns *turns);
/* It is over, or not wanted any more. Harmless on an idle or zeroed one. */
void turn_end(struct turn *t);

bool turn_waits(const struct turn *t);

/* For tests: from now on. */
void turns_set_limits(struct turns *t, const struct turn_limits *limits);

#endif
