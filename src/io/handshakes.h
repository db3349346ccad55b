/*
 * Whose turn it is to shake hands. A handshake of TLS holds some 40 kB while it lasts, a connection at rest a third of that;
 * when a thousand slaves come back at once, they take turns. Who has said nothing yet has no turn and waits for none.
 *
 * A listener has one `struct handshakes`, each encrypted connection that it accepts one `struct handshake` within itself:
 *
 *   silent ──handshake_ask──▶ waiting ──go──▶ running ──handshake_end──▶ silent
 *
 * Those that are slow, for their network or on purpose, count no more after a while, so that they hold up nobody; but at
 * most so many run in all, and then the oldest, after more time, is `late`.
 */
#ifndef HANDSHAKES_H
#define HANDSHAKES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct handshakes;

struct handshake_limits {
    unsigned at_once;            /* of those that began less than slow_ms ago */
    unsigned most;               /* of all that run */
    uint64_t slow_ms;
    uint64_t patience_ms;        /* with the oldest, when `most` run and others wait */
};

extern const struct handshake_limits handshake_default_limits;

enum handshake_state { HANDSHAKE_SILENT, HANDSHAKE_WAITING, HANDSHAKE_RUNNING };

struct handshake {
    struct handshakes *all;      /* NULL: it never waits (a client's) */
    void (*go)(struct handshake *h);   /* it is its turn; from the loop */
    void (*late)(struct handshake *h); /* it must end, which is said with handshake_end */
    /* private */
    struct handshake *before, *after;
    enum handshake_state state;
    int64_t begun_ms;
};

/* For a listener, which lets go of it when it is closed; it goes when the last connection has done so, too. */
struct handshakes *handshakes_new(uv_loop_t *loop);
void handshakes_hold(struct handshakes *all);
void handshakes_let_go(struct handshakes *all); /* NULL is fine */

/* The peer has begun. True: it is its turn already; else `go` follows. */
bool handshake_ask(struct handshake *h);
/* It is over, or does not matter any more. Harmless in any state. */
void handshake_end(struct handshake *h);

/* Tests only. */
void handshakes_set_limits(struct handshakes *all, const struct handshake_limits *limits);

#endif
