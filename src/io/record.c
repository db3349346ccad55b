/*
 * Records: see record.h. A record's nonce is its number, counted from 0 under each key, in the key's iv (RFC 8446, 5.3); what
 * is sealed with its data is its header. Keys follow from secrets by HKDF-Expand-Label (7.1), which for so few bytes is one HMAC.
 */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "core/hash.h"
#include "core/memory.h"

#define TAG_BYTES 16
#define WEAR (UINT64_C(1) << 24) /* of 2^24.5 that AES-GCM bears: 5.5 */
#define LABEL_PREFIX "tls13 "

/* To load a key costs as much as a small record: the one that was used last stays loaded. */
struct arithmetic {
    EVP_CIPHER_CTX *context;
    enum record_suite suite;     /* of the loaded key; 0 before the first */
    uint64_t loaded;             /* its number */
};

struct record_engine {
    EVP_CIPHER *aes, *chacha;
    EVP_MAC_CTX *hmac;           /* with SHA-256 */
    struct arithmetic sealing, opening;
    uint64_t keys;               /* so far */
    uint64_t wear;
};

/* ---- keys ---------------------------------------------------------------------------------------- */

static void expand(const struct record_engine *e, const uint8_t secret[RECORD_SECRET_BYTES], const char *label, uint8_t *to,
                   size_t len)
{
    uint8_t info[64], full[SHA256_SIZE];
    size_t label_len = strlen(label), prefix_len = strlen(LABEL_PREFIX), at = 0, full_len;
    info[at++] = 0;
    info[at++] = (uint8_t)len;
    info[at++] = (uint8_t)(prefix_len + label_len);
    memcpy(info + at, LABEL_PREFIX, prefix_len);
    at += prefix_len;
    memcpy(info + at, label, label_len);
    at += label_len;
    info[at++] = 0; /* no context */
    info[at++] = 1; /* HKDF's first block, and its only one */
    if (EVP_MAC_init(e->hmac, secret, RECORD_SECRET_BYTES, NULL) != 1 || EVP_MAC_update(e->hmac, info, at) != 1 ||
        EVP_MAC_final(e->hmac, full, &full_len, sizeof full) != 1)
        abort(); /* out of memory */
    memcpy(to, full, len);
    OPENSSL_cleanse(full, sizeof full);
}

static size_t key_bytes(enum record_suite suite)
{
    return suite == RECORD_AES_128_GCM ? 16 : 32;
}

void record_key_set(struct record_engine *e, struct record_key *k, enum record_suite suite,
                    const uint8_t secret[RECORD_SECRET_BYTES])
{
    memmove(k->secret, secret, RECORD_SECRET_BYTES);
    k->suite = suite;
    k->count = 0;
    k->number = ++e->keys;
    expand(e, k->secret, "key", k->key, key_bytes(suite));
    expand(e, k->secret, "iv", k->iv, sizeof k->iv);
}

void record_key_renew(struct record_engine *e, struct record_key *k)
{
    uint8_t next[RECORD_SECRET_BYTES];
    expand(e, k->secret, "traffic upd", next, sizeof next);
    record_key_set(e, k, k->suite, next);
    OPENSSL_cleanse(next, sizeof next);
}

bool record_key_worn(const struct record_engine *e, const struct record_key *k)
{
    return k->count >= e->wear;
}

/* ---- arithmetic ---------------------------------------------------------------------------------- */

/* For the next record under this key. */
static void prepare(const struct record_engine *e, struct arithmetic *a, struct record_key *k, bool seal)
{
    uint8_t nonce[sizeof k->iv];
    uint64_t count = k->count++;
    memcpy(nonce, k->iv, sizeof nonce);
    for (size_t i = sizeof nonce; count > 0; count >>= 8)
        nonce[--i] ^= (uint8_t)count;
    const EVP_CIPHER *wanted = k->suite == RECORD_AES_128_GCM ? e->aes : e->chacha;
    bool is_loaded = a->loaded == k->number;
    if (EVP_CipherInit_ex(a->context, a->suite == k->suite ? NULL : wanted, NULL, is_loaded ? NULL : k->key, nonce, seal) != 1)
        abort(); /* out of memory */
    a->suite = k->suite;
    a->loaded = k->number;
}

void record_seal(struct record_engine *e, struct record_key *k, enum record_type type, const void *data, size_t len,
                 struct buf *to)
{
    EVP_CIPHER_CTX *c = e->sealing.context;
    size_t inner = len + 1, whole = len + RECORD_MORE_BYTES;
    const uint8_t true_type = (uint8_t)type;
    uint8_t header[RECORD_HEADER_BYTES] = {RECORD_DATA, 3, 3, (uint8_t)((inner + TAG_BYTES) >> 8), (uint8_t)(inner + TAG_BYTES)};
    int got;
    if (buf_reserve(to, whole) != 0)
        return; /* it is marked full, and whoever wrote more than it may is dropped */
    uint8_t *at = (uint8_t *)to->data + to->len;
    prepare(e, &e->sealing, k, true);
    memcpy(at, header, sizeof header);
    at += sizeof header;
    bool good = EVP_EncryptUpdate(c, NULL, &got, header, sizeof header) == 1 &&
                EVP_EncryptUpdate(c, at, &got, data, (int)len) == 1 &&
                EVP_EncryptUpdate(c, at + len, &got, &true_type, 1) == 1 &&
                EVP_EncryptFinal_ex(c, at + inner, &got) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, at + inner) == 1;
    if (!good)
        abort(); /* out of memory */
    to->len += whole;
    to->data[to->len] = '\0';
}

size_t record_length(const char header[RECORD_HEADER_BYTES])
{
    size_t len = (size_t)((uint8_t)header[3] << 8 | (uint8_t)header[4]);
    return len > RECORD_CIPHER_BYTES ? 0 : RECORD_HEADER_BYTES + len;
}

size_t record_room(size_t record_len)
{
    return record_len > RECORD_HEADER_BYTES + TAG_BYTES ? record_len - RECORD_HEADER_BYTES - TAG_BYTES : 0;
}

enum record_fault record_open(struct record_engine *e, struct record_key *k, const char *record, size_t record_len, char *to,
                              size_t *len, enum record_type *type)
{
    EVP_CIPHER_CTX *c = e->opening.context;
    const uint8_t *header = (const uint8_t *)record, *sealed = header + RECORD_HEADER_BYTES;
    size_t inner = record_room(record_len);
    uint8_t tag[TAG_BYTES];
    int got;
    if (header[0] != RECORD_DATA)
        return RECORD_UNEXPECTED;
    if (inner > RECORD_INNER_BYTES)
        return RECORD_TOO_LONG;
    if (inner == 0)
        return RECORD_FORGED;
    memcpy(tag, sealed + inner, sizeof tag);
    prepare(e, &e->opening, k, false);
    bool good = EVP_DecryptUpdate(c, NULL, &got, header, RECORD_HEADER_BYTES) == 1 &&
                EVP_DecryptUpdate(c, (uint8_t *)to, &got, sealed, (int)inner) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
                EVP_DecryptFinal_ex(c, (uint8_t *)to + inner, &got) == 1;
    if (!good)
        return RECORD_FORGED;
    while (inner > 0 && to[inner - 1] == 0) /* padding: 5.4 */
        inner--;
    if (inner == 0)
        return RECORD_UNEXPECTED;
    *type = (enum record_type)(uint8_t)to[--inner];
    *len = inner;
    return RECORD_GOOD;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static EVP_MAC_CTX *hmac_new(void)
{
    char digest[] = "SHA256";
    OSSL_PARAM with[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *hmac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    if (hmac == NULL || EVP_MAC_CTX_set_params(hmac, with) != 1)
        abort(); /* out of memory */
    return hmac;
}

struct record_engine *record_engine_new(void)
{
    struct record_engine *e = mem_new(1, sizeof *e);
    e->hmac = hmac_new();
    e->aes = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    e->chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    e->sealing.context = EVP_CIPHER_CTX_new();
    e->opening.context = EVP_CIPHER_CTX_new();
    e->wear = WEAR;
    if (e->aes == NULL || e->chacha == NULL || e->sealing.context == NULL || e->opening.context == NULL)
        abort(); /* out of memory */
    return e;
}

void record_engine_free(struct record_engine *e)
{
    if (e == NULL)
        return;
    EVP_MAC_CTX_free(e->hmac);
    EVP_CIPHER_CTX_free(e->sealing.context);
    EVP_CIPHER_CTX_free(e->opening.context);
    EVP_CIPHER_free(e->aes);
    EVP_CIPHER_free(e->chacha);
    free(e);
}

void record_engine_set_wear(struct record_engine *e, uint64_t records)
{
    e->wear = records;
}
