/*
 * What lies underneath the frames: a stream of bytes between two ends. `plain` is TCP or a Unix socket as
 * it is; an encrypted transport owns a plain one, is its listener, and looks the same from above. wire.c is
 * the only user; private to this room.
 *
 * A transport belongs to its user until `closed` has been called, from the loop, after close(); the pointer
 * is dead after it. No event comes from inside a call.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

#include "core/buf.h"
#include "core/turns.h"
#include "io/key.h"

#define TRANSPORT_READ_BYTES (256 * 1024)  /* of one read of a socket */
#define TRANSPORT_BURST_BYTES (288 * 1024) /* most that `received` gives, in one call or several, after read(off) */
#define TLS_HANDSHAKE 22                  /* content types of a record: RFC 8446, 5.1 */
#define TLS_ALERT 21

struct transport;

struct transport_events {
    void (*opened)(void *owner);                               /* after connect: bytes may flow */
    char *(*room)(void *owner, size_t *size);                  /* where what comes next should lie (NULL: anywhere) and how much
                                                                  there may be of it: *size, or less */
    void (*received)(void *owner, const char *data, size_t len);
    void (*sent)(void *owner, size_t len);                     /* these bytes have left */
    void (*ended)(void *owner);                                /* the peer has closed its side */
    void (*broken)(void *owner, const char *reason);           /* nothing can follow but close */
    void (*closed)(void *owner);
};

struct transport_kind {
    int (*accept)(struct transport *t, uv_stream_t *server);   /* 0 or -errno; open at once */
    int (*connect)(struct transport *t, const struct sockaddr *to); /* 0 or -errno; then opened or broken */
    void (*read)(struct transport *t, bool on);
    void (*write)(struct transport *t, struct buf *bytes);     /* takes what `bytes` holds, leaves it empty */
    void (*shut)(struct transport *t);                         /* ends our side after what was written */
    void (*close)(struct transport *t);                        /* once */
    void (*peer)(struct transport *t, char *text, size_t size);/* whom it leads to, for the log */
    const char *(*key)(struct transport *t);                   /* fingerprint of the peer's; "" if it showed none */
};

struct transport {
    const struct transport_kind *kind;
    const struct transport_events *events;
    void *owner;
};

/* TCP, or a Unix socket where `local`. */
struct transport *transport_plain_new(uv_loop_t *loop, bool local, const struct transport_events *events,
                                      void *owner);

/* TLS over TCP; shows this key and asks for the peer's, which is told before `opened`, and at an accepting end before
 * `received`. The key outlives it. `turns` are those of the listener; NULL: it waits for nobody's. */
struct transport *transport_tls_new(uv_loop_t *loop, const struct key *key, struct turns *turns,
                                    const struct transport_events *events, void *owner);

/* "127.0.0.1:5555", "[::1]:5555", or a socket's path. */
void transport_address_text(const struct sockaddr *address, char *text, size_t size);

#endif
