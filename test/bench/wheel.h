/*
 * Wheels for the scripted slaves: small ones by the thousand, or one as large as you like.
 */
#ifndef BENCH_WHEEL_H
#define BENCH_WHEEL_H

#include <stddef.h>
#include <stdint.h>

#include "core/hash.h"

/* One deflated member, the same in every wheel. */
struct payload {
    uint8_t *packed;
    size_t packed_len, len;
    uint32_t crc;
    uint8_t sha256[SHA256_SIZE];
    struct hash begun;    /* of a wheel, after the payload, */
    size_t begun_len;     /* which is so long and the same in all of them */
};

struct made_wheel {
    char name[640];
    uint8_t *data;
    size_t len;
    uint8_t sha256[SHA256_SIZE];
};

/* A payload of about `packed_len` bytes when packed. */
void payload_make(struct payload *p, size_t packed_len);
void payload_release(struct payload *p);

/* A valid pure wheel of this package (normalised name) and version around the payload. */
void wheel_make(struct made_wheel *w, const char *package, const char *version, const struct payload *p);
void wheel_free(struct made_wheel *w);

#endif
