/*
 * SHA-256, by which files are known from the slave's disk to the published index.
 */
#include "core/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"

#define READ_BYTES (256 * 1024)

/* OpenSSL fails here only for want of memory or of SHA-256 itself; nobody could go on without. */
static void must(int good)
{
    if (good != 1) {
        fputs("piwheels: OpenSSL refuses to hash with SHA-256\n", stderr);
        abort();
    }
}

void hash_init(struct hash *h)
{
    h->context = EVP_MD_CTX_new();
    must(h->context != NULL);
    must(EVP_DigestInit_ex(h->context, EVP_sha256(), NULL));
}

void hash_add(struct hash *h, const void *data, size_t len)
{
    must(EVP_DigestUpdate(h->context, data, len));
}

void hash_end(struct hash *h, uint8_t digest[SHA256_SIZE])
{
    must(EVP_DigestFinal_ex(h->context, digest, NULL));
    hash_release(h);
}

void hash_release(struct hash *h)
{
    EVP_MD_CTX_free(h->context);
    h->context = NULL;
}

void hash_bytes(const void *data, size_t len, uint8_t digest[SHA256_SIZE])
{
    struct hash h;

    hash_init(&h);
    hash_add(&h, data, len);
    hash_end(&h, digest);
}

/* Hashes all that `fd` has left; 0 or -errno. */
static int hash_descriptor(struct hash *h, int fd, uint64_t *size)
{
    char *block = mem_new(READ_BYTES, 1);
    ssize_t got;

    *size = 0;
    while ((got = read(fd, block, READ_BYTES)) > 0 || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        hash_add(h, block, (size_t)got);
        *size += (uint64_t)got;
    }
    int error = got < 0 ? -errno : 0;
    free(block);
    return error;
}

int hash_file(const char *path, uint8_t digest[SHA256_SIZE], uint64_t *size)
{
    struct hash h;
    uint64_t bytes;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    hash_init(&h);
    int error = hash_descriptor(&h, fd, &bytes);
    if (error == 0)
        hash_end(&h, digest);
    hash_release(&h);
    close(fd);
    if (size != NULL)
        *size = bytes;
    return error;
}

const char *hash_hex(const uint8_t digest[SHA256_SIZE], char hex[SHA256_HEX_SIZE])
{
    for (unsigned i = 0; i < SHA256_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return hex;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hash_from_hex(const char *hex, uint8_t digest[SHA256_SIZE])
{
    if (strlen(hex) != SHA256_HEX_SIZE - 1)
        return -EINVAL;
    for (unsigned i = 0; i < SHA256_SIZE; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        digest[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}
