/*
 * SHA-256 (OpenSSL's), all at once or as the bytes arrive.
 */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65

struct hash {
    void *context; /* EVP_MD_CTX */
};

void hash_init(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t len);
void hash_end(struct hash *h, uint8_t digest[SHA256_SIZE]); /* releases too */
void hash_release(struct hash *h);                          /* safe after hash_end and on zeroes */

void hash_bytes(const void *data, size_t len, uint8_t digest[SHA256_SIZE]);

/* Reads the whole file: for worker threads only. 0 or -errno; `size` may be NULL. */
int hash_file(const char *path, uint8_t digest[SHA256_SIZE], uint64_t *size);

const char *hash_hex(const uint8_t digest[SHA256_SIZE], char hex[SHA256_HEX_SIZE]); /* returns hex */
int hash_from_hex(const char *hex, uint8_t digest[SHA256_SIZE]);                    /* 0 or -EINVAL */

#endif
