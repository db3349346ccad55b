/*
 * Handshakes: see handshake.h. OpenSSL never sees a socket: it reads and writes through a BIO of ours, record by record, so
 * that it takes nothing that comes after the handshake. No sessions are resumed and no data are sent early.
 *
 * The secrets of the records that follow are told as OpenSSL tells them to who keeps a log of keys: see
 * SSL_CTX_set_keylog_callback(3).
 */
#include "handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "core/hash.h"
#include "core/memory.h"
#include "core/text.h"
#include "key_private.h"

#define MAX_CERTIFICATE_BYTES 4096

struct handshake {
    SSL *ssl;
    const struct key *key;
    bool server;
    const char *in;              /* received and not yet read: during a call only */
    size_t in_len;
    struct buf *out;
    uint8_t secrets[2][RECORD_SECRET_BYTES]; /* the client's, the server's */
    bool told[2];                /* which of them are known */
    char print[KEY_PRINT_SIZE];  /* of the peer's key */
    char why[160];
};

/* -- the bytes that OpenSSL reads and writes ----------------------------------------------------- */

static int bio_read(BIO *bio, char *to, size_t size, size_t *got)
{
    struct handshake *h = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (h->in_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = size < h->in_len ? size : h->in_len;
    memcpy(to, h->in, *got);
    h->in += *got;
    h->in_len -= *got;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct handshake *h = BIO_get_data(bio);
    *written = len;
    return buf_add(h->out, data, len) == 0;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

/* Made once for all connections. */
static BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;
    if (method != NULL)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "piwheels");
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* -- going on ------------------------------------------------------------------------------------ */

static const char *usual_reason(const struct handshake *h, unsigned long error)
{
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST ||
        reason == SSL_R_PACKET_LENGTH_TOO_LONG)
        return h->server ? "it does not speak TLS 1.3" : "it does not speak TLS (is the master run with --insecure?)";
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return "it showed no key";
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return "its key is no Ed25519 key";
    return NULL;
}

static void note_reason(struct handshake *h)
{
    unsigned long error = ERR_peek_error();
    const char *usual = usual_reason(h, error), *words = ERR_reason_error_string(error);
    if (usual != NULL)
        text_copy(h->why, sizeof h->why, usual);
    else
        snprintf(h->why, sizeof h->why, "TLS failed: %s", words != NULL ? words : "the connection is broken");
}

/* OpenSSL has done its part: the peer and the secrets must be known, and nothing more may have been read. */
static enum handshake_state check_end(struct handshake *h)
{
    if (key_print_of(X509_get0_pubkey(SSL_get0_peer_certificate(h->ssl)), h->print) && h->told[0] && h->told[1] &&
        !SSL_has_pending(h->ssl))
        return HANDSHAKE_DONE;
    text_copy(h->why, sizeof h->why, "TLS failed: its handshake has no proper end");
    return HANDSHAKE_FAILED;
}

enum handshake_state handshake_go_on(struct handshake *h, const char **in, size_t *len)
{
    h->in = *in;
    h->in_len = *len;
    ERR_clear_error();
    int rc = SSL_do_handshake(h->ssl);
    *in = h->in;
    *len = h->in_len;
    if (rc == 1)
        return check_end(h);
    switch (SSL_get_error(h->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return HANDSHAKE_WAITS;
    case SSL_ERROR_ZERO_RETURN:
        return HANDSHAKE_ENDED;
    default:
        note_reason(h);
        return HANDSHAKE_FAILED;
    }
}

const char *handshake_reason(const struct handshake *h)
{
    return h->why;
}

/* -- what comes of it ---------------------------------------------------------------------------- */

/* A line of the form of NSS's key logs: the secret's name, the client's random bytes, the secret. */
static void on_secret(const SSL *ssl, const char *line)
{
    static const char *const names[2] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    struct handshake *h = SSL_get_app_data(ssl);
    for (unsigned i = 0; i < 2; i++) {
        if (text_starts(line, names[i]))
            h->told[i] = hash_from_hex(strrchr(line, ' ') + 1, h->secrets[i]) == 0;
    }
}

void handshake_take(const struct handshake *h, char print[KEY_PRINT_SIZE], struct record_key *ours, struct record_key *theirs)
{
    enum record_suite suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(h->ssl));
    memcpy(print, h->print, KEY_PRINT_SIZE);
    record_key_set(h->key->engine, ours, suite, h->secrets[h->server]);
    record_key_set(h->key->engine, theirs, suite, h->secrets[!h->server]);
}

/* -- life ---------------------------------------------------------------------------------------- */

struct handshake *handshake_new(const struct key *key, bool server, struct buf *out)
{
    struct handshake *h = mem_new(1, sizeof *h);
    BIO *bio = BIO_new(bio_method());
    h->key = key;
    h->server = server;
    h->out = out;
    h->ssl = SSL_new(key->context);
    if (bio == NULL || h->ssl == NULL)
        abort(); /* out of memory */
    BIO_set_data(bio, h);
    BIO_set_init(bio, 1);
    SSL_set_bio(h->ssl, bio, bio);
    SSL_set_app_data(h->ssl, h);
    if (server)
        SSL_set_accept_state(h->ssl);
    else
        SSL_set_connect_state(h->ssl);
    return h;
}

void handshake_free(struct handshake *h)
{
    if (h == NULL)
        return;
    SSL_free(h->ssl);
    OPENSSL_cleanse(h, sizeof *h);
    free(h);
}

/* -- the rules ----------------------------------------------------------------------------------- */

/* In place of OpenSSL's own check of chains, names and dates: any Ed25519 key will do for the handshake. */
static int judge_certificate(X509_STORE_CTX *shown, void *context)
{
    X509 *certificate = X509_STORE_CTX_get0_cert(shown);
    EVP_PKEY *pair = certificate != NULL ? X509_get0_pubkey(certificate) : NULL;
    return pair != NULL && EVP_PKEY_is_a(pair, "ED25519");
}

/* A machine without AES in hardware, as many a slave is, says so by its order of ciphers and gets ChaCha20. */
SSL_CTX *tls_context_new(EVP_PKEY *pair, X509 *certificate)
{
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    bool good = c != NULL && SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) &&
        SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) &&
        SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") &&
        SSL_CTX_set1_groups_list(c, "X25519") && SSL_CTX_set1_sigalgs_list(c, "ed25519") &&
        SSL_CTX_set_num_tickets(c, 0) && SSL_CTX_use_certificate(c, certificate) &&
        SSL_CTX_use_PrivateKey(c, pair);
    if (!good)
        abort(); /* out of memory */
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                        SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(c, 0);
    SSL_CTX_set_max_cert_list(c, MAX_CERTIFICATE_BYTES);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(c, judge_certificate, NULL);
    SSL_CTX_set_keylog_callback(c, on_secret);
    return c;
}
