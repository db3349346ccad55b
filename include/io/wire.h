/*
 * Connections that carry messages: a 32-bit big-endian length, then one msgpack array
 * (io/message.h), over a Unix socket, or over TCP with TLS 1.3.
 *
 * A `struct wire` belongs to this room from accept or connect until `closed` has been called,
 * which happens exactly once and never from inside another call of this header; the pointer is dead
 * after it. A peer that sends a frame too long (a stranger over TCP has less
 * for its first word) or malformed, takes more than 60 s for one frame,
 * does not say its first word within 10 s, or leaves more than 4 MiB unread (a stranger less), is dropped; the reason is
 * given to `closed` and is fit for the log. A server's wire tells the peer first, in an ERROR, where it can.
 *
 * Over TCP both ends show a key (io/key.h): who gives one to wire_listen or wire_connect speaks TLS with it, and learns by
 * wire_key who the other end is, before the first message and before anything of ours is sent. Whether that is whom one
 * wants to speak with the owner decides: no key is refused here. Without a key TCP stays on this machine: other addresses
 * than those of the loopback are refused.
 */
#ifndef IO_WIRE_H
#define IO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "io/key.h"
#include "io/message.h"

#define WIRE_FIRST_FRAME_MAX_BYTES (16 * 1024) /* over TCP: four times the longest HELLO */
#define WIRE_MAX_UNSENT (4 * 1024 * 1024)
#define WIRE_STRANGER_FRAME_MAX_BYTES (260 * 1024) /* the longest MEANS */
#define WIRE_STRANGER_MAX_UNSENT (64 * 1024)
#define WIRE_LOW_WATER (512 * 1024)

struct wire;
struct wire_server;

struct wire_events {
    void (*opened)(struct wire *w);                           /* clients: the connection stands, wire_key tells
                                                                 with whom; or NULL */
    void (*message)(struct wire *w, const struct message *m); /* m lives during the call */
    void (*drained)(struct wire *w);                          /* unsent fell below WIRE_LOW_WATER; or NULL */
    void (*closed)(struct wire *w, const char *reason);       /* "closed by peer", "a frame took longer …" */
};

/* Listens. `address` is "ADDR:PORT", "[V6]:PORT" (numeric address, or a name for the loopback) or, with a
 * '/', the path of a Unix socket, which is made with mode 0660; a stale socket is replaced, a live one is
 * -EADDRINUSE. `key`, which outlives the server and its wires, is for TCP; NULL: no TLS. `accepted` gives the new wire
 * its owner with wire_set_owner; `events` serves all its wires. 0, or -errno with `why`. */
int wire_listen(uv_loop_t *loop, const char *address, const struct key *key, const struct wire_events *events,
                void (*accepted)(struct wire *w, void *context), void *context, struct wire_server **server,
                char *why, size_t why_size);

/* Whether somebody listens on the Unix socket `path`. Blocks for a moment: at start only. */
bool wire_is_live(const char *path);

/* The address really bound ("127.0.0.1:40123" where port 0 was asked for). */
const char *wire_server_address(const struct wire_server *server);

/* Stops listening (and removes the Unix socket); wires live on. */
void wire_server_close(struct wire_server *server);

/* Connects to "HOST", "HOST:PORT" (default port 5555, names resolved on the loop) or a socket's path.
 * `key` as in wire_listen. Failures come as `closed`. */
struct wire *wire_connect(uv_loop_t *loop, const char *address, const struct key *key,
                          const struct wire_events *events, void *owner);

/* The same address in full: "HOST:PORT" or "[V6]:PORT", in small letters. 0, or -EINVAL for what is none. */
int wire_full_address(const char *address, char *text, size_t size);

/* Whether the host of "HOST" or "HOST:PORT" is this machine, by its looks: localhost, 127.…, ::1. */
bool wire_is_loopback(const char *address);

/* Whether the other end is a stranger, whom nobody has let in: of such there may be hundreds, and each may say and leave unread
 * no more than WIRE_STRANGER_… has it. At first it is none, but for its first frame. */
void wire_set_stranger(struct wire *w, bool stranger);

void wire_set_owner(struct wire *w, void *owner);
void *wire_owner(const struct wire *w);

/* Queues a message. A peer that lets the unsent bytes pass WIRE_MAX_UNSENT is dropped. Harmless on a wire
 * that is closing. */
void wire_send(struct wire *w, const struct message *m);
size_t wire_unsent(const struct wire *w);

/* From within `message`, for who wants to keep what it points to: swaps the buffer in which the message lies with an empty one,
 * which may bring memory. False: other bytes lie there, too; copy. */
bool wire_swap_frame(struct wire *w, struct buf *empty);

/* Stops and restarts reading, for back-pressure. The frame deadline does not run while paused. */
void wire_pause(struct wire *w);
void wire_go_on(struct wire *w);

/* Hears no more, sends what is queued, waits for the peer to close too (at most 2 s in all, for what is
 * closed with bytes unread takes back what was sent) and closes, with this reason. */
void wire_finish(struct wire *w, const char *reason);
/* Closes at once. Both harmless on one that is closing. */
void wire_drop(struct wire *w, const char *reason);

/* "127.0.0.1:50312", "control client": for the log. */
const char *wire_peer(const struct wire *w);

/* The fingerprint of the peer's key; "" without TLS, and on a server's wire before the first message. */
const char *wire_key(const struct wire *w);

#endif
