/*
 * What a key is made of, for transport_tls.c.
 */
#ifndef KEY_PRIVATE_H
#define KEY_PRIVATE_H

#include <openssl/ssl.h>

#include "io/key.h"

struct key {
    SSL_CTX *context;            /* of every connection that shows this key */
    char print[KEY_PRINT_SIZE];
};

/* The fingerprint of a public key. False for what is no Ed25519 key. */
bool key_print_of(EVP_PKEY *pair, char print[KEY_PRINT_SIZE]);

/* By what rules TLS is spoken (transport_tls.c). Holds pair and certificate. */
SSL_CTX *tls_context_new(EVP_PKEY *pair, X509 *certificate);

#endif
