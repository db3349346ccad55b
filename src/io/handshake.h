/*
 * How two ends come to know each other: the handshake of TLS 1.3 (RFC 8446, 4), which OpenSSL does, on bytes that are handed
 * to it. Both ends show an Ed25519 key. What comes of it is the peer's fingerprint and the keys for the records that follow
 * (record.h). transport_tls.c is the only user; private to this room.
 */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "io/key.h"
#include "record.h"

struct handshake;

enum handshake_state {
    HANDSHAKE_WAITS,    /* for more bytes */
    HANDSHAKE_DONE,     /* handshake_take follows */
    HANDSHAKE_ENDED,    /* the peer went */
    HANDSHAKE_FAILED    /* handshake_reason tells why */
};

/* Adds what is to be sent to `out`, an alert included. Holds some 40 kB until it is freed. `key` and `out` outlive it. */
struct handshake *handshake_new(const struct key *key, bool server, struct buf *out);
void handshake_free(struct handshake *h); /* NULL is fine */

/* Takes from the `*len` bytes at `*in` what belongs to the handshake, and no more. */
enum handshake_state handshake_go_on(struct handshake *h, const char **in, size_t *len);

const char *handshake_reason(const struct handshake *h);
void handshake_take(const struct handshake *h, char print[KEY_PRINT_SIZE], struct record_key *ours, struct record_key *theirs);

#endif
