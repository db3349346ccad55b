/*
 * What protects a connection once its handshake is over: the records of TLS 1.3 (RFC 8446, 5.2 to 5.5), one by one.
 *
 * OpenSSL shakes hands, and would go on; but its SSL keeps 15 kB for a connection that rests, and a thousand may. The keys of
 * one connection take two hundred bytes, and an engine does the arithmetic of all, in turn. The transport (transport_tls.c)
 * says what is done with alerts and with what else is no data. Private to this room.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define RECORD_HEADER_BYTES 5
#define RECORD_BYTES (16 * 1024)           /* of data, most in one record: RFC 8446, 5.1 */
#define RECORD_INNER_BYTES (RECORD_BYTES + 1) /* with its true type: 5.2 */
#define RECORD_MORE_BYTES 22               /* that it is longer than its data: header, true type, and a tag of 16 */
#define RECORD_CIPHER_BYTES (RECORD_BYTES + 256) /* most that a header may tell */
#define RECORD_SECRET_BYTES 32             /* both suites hash with SHA-256 */

enum record_type { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

/* Why a record is refused, as its peer is told: 6. */
enum record_fault { RECORD_GOOD = 0, RECORD_UNEXPECTED = 10, RECORD_FORGED = 20, RECORD_TOO_LONG = 22 };

/* The suites that are spoken (B.4). */
enum record_suite { RECORD_AES_128_GCM = 0x1301, RECORD_CHACHA20_POLY1305 = 0x1303 };

/* Of one direction. */
struct record_key {
    enum record_suite suite;
    uint8_t secret[RECORD_SECRET_BYTES];   /* the traffic's, from which the next two and the next secret follow */
    uint8_t key[32], iv[12];
    uint64_t count;                        /* records so far */
    uint64_t number;                       /* of this key, among all of its engine's */
};

struct record_engine;

struct record_engine *record_engine_new(void);
void record_engine_free(struct record_engine *e); /* NULL is fine */

void record_key_set(struct record_engine *e, struct record_key *k, enum record_suite suite,
                    const uint8_t secret[RECORD_SECRET_BYTES]);
/* After a KeyUpdate (4.6.3, 7.2). */
void record_key_renew(struct record_engine *e, struct record_key *k);
/* It has protected as many records as one key should (5.5): another is due. */
bool record_key_worn(const struct record_engine *e, const struct record_key *k);

/* Appends a record with these at most RECORD_BYTES. */
void record_seal(struct record_engine *e, struct record_key *k, enum record_type type, const void *data, size_t len,
                 struct buf *to);

/* How long the record is that begins with this header, as it says itself; 0: longer than may be. */
size_t record_length(const char header[RECORD_HEADER_BYTES]);
/* How much room record_open needs for a record of that length. */
size_t record_room(size_t record_len);
/* Reads a whole record into `to`; what it holds is *len bytes of *type there. */
enum record_fault record_open(struct record_engine *e, struct record_key *k, const char *record, size_t record_len, char *to,
                              size_t *len, enum record_type *type);

/* Tests only: how many records wear a key. */
void record_engine_set_wear(struct record_engine *e, uint64_t records);

#endif
