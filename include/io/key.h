/*
 * The key of one end of the slave port: an Ed25519 pair that master and slave each make at their first start. Who the
 * other end is, its key alone tells (io/wire.h); people compare fingerprints.
 *
 * A fingerprint is "SHA256:" and 43 characters of base64: the SHA-256 of the public key as a SubjectPublicKeyInfo
 * (RFC 5280, 4.1.2.7; for Ed25519 RFC 8410), in the form of ssh-keygen(1).
 */
#ifndef IO_KEY_H
#define IO_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define KEY_PRINT_SIZE 51 /* of a fingerprint, with its NUL */

struct key;

/* Reads the key at `path`. If nothing is there it is made: mode 0600, on the disk before it is used, and its directory
 * too where that is missing; `made` says so. A key that others may read is refused. Blocks: at start only. 0, or -errno
 * with `why`, which tells what to do and never holds anything of the key. */
int key_open(const char *path, struct key **key, bool *made, char *why, size_t why_size);

/* After the wires and servers that use it. NULL is fine. */
void key_close(struct key *key);

const char *key_print(const struct key *key);

/* Whether the text has the form of a fingerprint. */
bool key_is_print(const char *text);

#endif
