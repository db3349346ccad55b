/*
 * The encrypted transport: TLS 1.3 (RFC 8446) over a plain one. Both ends show an Ed25519 key in a certificate of which
 * nothing else is looked at: no authority, no name, no date. That the peer holds the key the handshake proves; whether it
 * is the right one the wire's owner decides, who is told the fingerprint.
 *
 * OpenSSL never sees the socket. What arrives is handed to it through a BIO of ours and read until nothing is left, in the
 * call that brought it; what it makes gathers in `cipher` and leaves in one write. No sessions are resumed, no data are
 * sent early, and before the handshake has ended few bytes are taken: a stranger costs little. OpenSSL hears of a connection
 * that came to us only when its first record is whole and its turn has come (core/turns.h): a handshake
 * holds some 40 kB while it lasts, a connection at rest a third of that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "core/memory.h"
#include "io/wire.h"
#include "key_private.h"
#include "transport.h"

#define MAX_HANDSHAKE_BYTES (16 * 1024)    /* that a peer may send before it has shown its key */
#define MAX_CERTIFICATE_BYTES 4096
#define MAX_HELD_BYTES (2 * WIRE_MAX_UNSENT)
#define RECORD_BYTES (16 * 1024)           /* of one record: RFC 8446, 5.1 */
#define RECORD_HEADER_BYTES 5
#define RECORD_MORE_BYTES 22               /* that it is longer than what it hides: 5.2, and a tag of 16 */

/* One write beneath us, and how much of our user's was in it. */
struct flight {
    struct flight *next;
    size_t plain, cipher;
};

struct tls {
    struct transport base;       /* as our user sees it */
    struct transport *plain;     /* what lies beneath */
    SSL_CTX *context;
    SSL *ssl;                    /* NULL before it is our turn */
    struct turn turn;            /* to shake hands */
    struct turns *turns;         /* NULL: it waits for nobody's */
    bool server;
    bool ready;                  /* the handshake has ended well */
    bool over;                   /* the peer's end, or a fault, was told: nothing more is read */
    bool shut, closing;
    const char *in;              /* received and not yet read by OpenSSL: during a call only */
    size_t in_len;
    size_t greeted;              /* bytes received before `ready` */
    struct buf cipher;           /* made by OpenSSL, to be written */
    struct buf held;             /* given to us before `ready` */
    struct buf early;            /* received before it is our turn */
    struct flight *first, **last;
    size_t in_flight;            /* bytes of `cipher` given to the transport beneath, not yet sent */
    char print[KEY_PRINT_SIZE];  /* of the peer's key; "" before `ready` */
};

static struct tls *tls_of(struct transport *t)
{
    return container_of(t, struct tls, base);
}

/* -- the bytes that OpenSSL reads and writes ----------------------------------------------------- */

static int bio_read(BIO *bio, char *to, size_t size, size_t *got)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = size < t->in_len ? size : t->in_len;
    memcpy(to, t->in, *got);
    t->in += *got;
    t->in_len -= *got;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls *t = BIO_get_data(bio);
    *written = len;
    return buf_add(&t->cipher, data, len) == 0;
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

static void begin(struct tls *t)
{
    BIO *bio = BIO_new(bio_method());
    t->ssl = SSL_new(t->context);
    if (bio == NULL || t->ssl == NULL)
        abort(); /* out of memory */
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (t->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
}

/* -- writing ------------------------------------------------------------------------------------- */

/* Passes on what OpenSSL has made; `plain` bytes of our user's are in it. */
static void send_cipher(struct tls *t, size_t plain)
{
    if (t->cipher.len == 0)
        return;
    struct flight *f = mem_new(1, sizeof *f);
    f->plain = plain;
    f->cipher = t->cipher.len;
    *t->last = f;
    t->last = &f->next;
    t->in_flight += f->cipher;
    t->plain->kind->write(t->plain, &t->cipher);
}

static void on_sent(void *owner, size_t len)
{
    struct tls *t = owner;
    struct flight *f = t->first;
    size_t plain = f->plain;
    t->first = f->next;
    if (t->first == NULL)
        t->last = &t->first;
    t->in_flight -= f->cipher;
    free(f);
    if (plain > 0)
        t->base.events->sent(t->base.owner, plain);
}

/* OpenSSL fails here only when it has failed before: who closes then gives the reason. */
static void seal(struct tls *t, struct buf *bytes)
{
    size_t written = 0, len = bytes->len;
    ERR_clear_error();
    (void)buf_reserve(&t->cipher, len + (len / RECORD_BYTES + 1) * RECORD_MORE_BYTES);
    if (len > 0 && SSL_write_ex(t->ssl, bytes->data, len, &written) == 1)
        send_cipher(t, len);
    free(buf_take(bytes));
}

static void tls_write(struct transport *transport, struct buf *bytes)
{
    struct tls *t = tls_of(transport);
    if (t->ready) {
        seal(t, bytes);
        return;
    }
    buf_add(&t->held, bytes->data, bytes->len);
    buf_clear(bytes);
}

static void tls_shut(struct transport *transport)
{
    struct tls *t = tls_of(transport);
    if (t->shut)
        return;
    t->shut = true;
    ERR_clear_error();
    if (t->ready)
        SSL_shutdown(t->ssl); /* says close_notify */
    send_cipher(t, 0);
    t->plain->kind->shut(t->plain);
}

/* -- reading ------------------------------------------------------------------------------------- */

static const char *reason_of(struct tls *t, char *text, size_t size)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const char *words = ERR_reason_error_string(error);
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST ||
        reason == SSL_R_PACKET_LENGTH_TOO_LONG)
        return t->server ? "it does not speak TLS 1.3" : "it does not speak TLS (is the master run with --insecure?)";
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return "it showed no key";
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return "its key is no Ed25519 key";
    snprintf(text, size, "TLS failed: %s", words != NULL ? words : "the connection is broken");
    return text;
}

/* What the peer should know of it leaves first: OpenSSL's alert or, to one who spoke no TLS at all, ours. */
static void fail(struct tls *t, const char *reason)
{
    static const char protocol_version[] = {21, 3, 3, 0, 2, 2, 70}; /* RFC 8446, 6 */
    t->over = true;
    t->in_len = 0;
    turn_end(&t->turn);
    if (t->server && !t->ready && t->in_flight == 0 && t->cipher.len == 0)
        buf_add(&t->cipher, protocol_version, sizeof protocol_version);
    send_cipher(t, 0);
    t->base.events->broken(t->base.owner, reason);
}

/* After a call of OpenSSL's that did not succeed. */
static void look_after(struct tls *t, int rc)
{
    char text[160];
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return;
    case SSL_ERROR_ZERO_RETURN:
        t->over = true;
        turn_end(&t->turn);
        t->base.events->ended(t->base.owner);
        return;
    default:
        fail(t, reason_of(t, text, sizeof text));
    }
}

static void shake_hands(struct tls *t)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    if (rc != 1) {
        look_after(t, rc);
        return;
    }
    t->ready = key_print_of(X509_get0_pubkey(SSL_get0_peer_certificate(t->ssl)), t->print);
    turn_end(&t->turn);
    send_cipher(t, 0);
    if (t->held.len > 0)
        seal(t, &t->held);
    buf_release(&t->held);
    if (!t->server)
        t->base.events->opened(t->base.owner);
}

static void read_plain(struct tls *t)
{
    char data[RECORD_BYTES];
    while (!t->over && !t->closing) {
        size_t got, size = sizeof data;
        char *room = t->base.events->room(t->base.owner, &size), *to = room != NULL ? room : data;
        ERR_clear_error();
        int rc = SSL_read_ex(t->ssl, to, size, &got);
        if (rc != 1) {
            look_after(t, rc);
            return;
        }
        t->base.events->received(t->base.owner, to, got);
    }
}

/* Until OpenSSL has taken all that came. */
static void take_in(struct tls *t)
{
    if (!t->ready)
        shake_hands(t);
    if (t->ready && !t->over && !t->closing)
        read_plain(t);
    if (t->closing)
        return;
    send_cipher(t, 0);
    if (!t->over && t->in_flight > MAX_HELD_BYTES)
        fail(t, "left more than 4 MiB unread");
    else if (!t->over && !t->ready && t->greeted > MAX_HANDSHAKE_BYTES)
        fail(t, "it said too much before it showed its key");
}

static void give(struct tls *t, const char *data, size_t len)
{
    t->in = data;
    t->in_len = len;
    take_in(t);
    t->in = NULL;
    t->in_len = 0;
}

/* Our turn has come: what was received meanwhile goes to OpenSSL. */
static void go(struct turn *turn)
{
    struct tls *t = container_of(turn, struct tls, turn);
    size_t len = t->early.len;
    char *data = buf_take(&t->early);
    buf_release(&t->early);
    begin(t);
    give(t, data, len);
    free(data);
}

/* Others wait, and it has had its time. There is nothing to say to it: an alert would have to be sealed. */
static void late(struct turn *turn)
{
    struct tls *t = container_of(turn, struct tls, turn);
    t->over = true;
    turn_end(turn);
    t->base.events->broken(t->base.owner, "it took its time to show a key, and others waited");
}

/* A record that is no handshake's is for OpenSSL to refuse. */
static bool has_whole_record(const struct buf *early)
{
    const uint8_t *header = (const uint8_t *)early->data;
    if (early->len < RECORD_HEADER_BYTES)
        return early->len > 0 && header[0] != TLS_HANDSHAKE;
    return header[0] != TLS_HANDSHAKE || early->len >= RECORD_HEADER_BYTES + (size_t)(header[3] << 8 | header[4]);
}

static void wait_for_turn(struct tls *t, const char *data, size_t len)
{
    if (t->greeted > MAX_HANDSHAKE_BYTES) {
        fail(t, "it said too much before it showed its key");
        return;
    }
    buf_add(&t->early, data, len);
    if (has_whole_record(&t->early) && (t->turns == NULL || turn_ask(&t->turn, t->turns)))
        go(&t->turn);
}

/* OpenSSL has its own copy of a record. */
static char *on_room(void *owner, size_t *size)
{
    return NULL;
}

static void on_received(void *owner, const char *data, size_t len)
{
    struct tls *t = owner;
    if (t->over)
        return;
    t->greeted += t->ready ? 0 : len;
    if (t->ssl == NULL)
        wait_for_turn(t, data, len);
    else
        give(t, data, len);
}

/* Whether the peer said so or just left: frames tell by their own length what is missing. */
static void on_ended(void *owner)
{
    struct tls *t = owner;
    if (t->over)
        return;
    t->over = true;
    turn_end(&t->turn);
    if (t->server || t->ready)
        t->base.events->ended(t->base.owner);
    else
        t->base.events->broken(t->base.owner, "the connection was closed before the keys were shown");
}

static void tls_read(struct transport *transport, bool on)
{
    struct tls *t = tls_of(transport);
    t->plain->kind->read(t->plain, on);
}

/* -- opening and closing ------------------------------------------------------------------------- */

static int tls_accept(struct transport *transport, uv_stream_t *server)
{
    struct tls *t = tls_of(transport);
    t->server = true;
    return t->plain->kind->accept(t->plain, server);
}

static int tls_connect(struct transport *transport, const struct sockaddr *to)
{
    struct tls *t = tls_of(transport);
    return t->plain->kind->connect(t->plain, to);
}

static void on_opened(void *owner)
{
    struct tls *t = owner;
    t->plain->kind->read(t->plain, true);
    begin(t);
    take_in(t);
}

static void on_broken(void *owner, const char *reason)
{
    struct tls *t = owner;
    t->over = true;
    turn_end(&t->turn);
    t->base.events->broken(t->base.owner, reason);
}

static void on_closed(void *owner)
{
    struct tls *t = owner;
    t->base.events->closed(t->base.owner);
    while (t->first != NULL) {
        struct flight *f = t->first;
        t->first = f->next;
        free(f);
    }
    SSL_free(t->ssl);
    SSL_CTX_free(t->context);
    turns_let_go(t->turns);
    buf_release(&t->cipher);
    buf_release(&t->held);
    buf_release(&t->early);
    free(t);
}

static void tls_close(struct transport *transport)
{
    struct tls *t = tls_of(transport);
    t->closing = true;
    turn_end(&t->turn);
    t->plain->kind->close(t->plain);
}

static void tls_peer(struct transport *transport, char *text, size_t size)
{
    struct tls *t = tls_of(transport);
    t->plain->kind->peer(t->plain, text, size);
}

static const char *tls_key(struct transport *transport)
{
    return tls_of(transport)->print;
}

static const struct transport_events plain_events = {
    .opened = on_opened,
    .room = on_room,
    .received = on_received,
    .sent = on_sent,
    .ended = on_ended,
    .broken = on_broken,
    .closed = on_closed,
};

static const struct transport_kind tls_kind = {
    .accept = tls_accept,
    .connect = tls_connect,
    .read = tls_read,
    .write = tls_write,
    .shut = tls_shut,
    .close = tls_close,
    .peer = tls_peer,
    .key = tls_key,
};

struct transport *transport_tls_new(uv_loop_t *loop, const struct key *key, struct turns *turns,
                                    const struct transport_events *events, void *owner)
{
    struct tls *t = mem_new(1, sizeof *t);
    t->base = (struct transport){&tls_kind, events, owner};
    t->turn = (struct turn){.go = go, .late = late};
    t->turns = turns;
    if (turns != NULL)
        turns_hold(turns);
    t->plain = transport_plain_new(loop, false, &plain_events, t);
    t->context = key->context;
    SSL_CTX_up_ref(t->context);
    t->last = &t->first;
    buf_init(&t->cipher, MAX_HELD_BYTES);
    buf_init(&t->held, MAX_HELD_BYTES);
    buf_init(&t->early, MAX_HANDSHAKE_BYTES);
    return &t->base;
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
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_quiet_shutdown(c, 0);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(c, judge_certificate, NULL);
    return c;
}
