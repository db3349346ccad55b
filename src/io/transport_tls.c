/*
 * The encrypted transport: TLS 1.3 (RFC 8446) over a plain one. Both ends show an Ed25519 key in a certificate of which
 * nothing else is looked at: no authority, no name, no date. That the peer holds the key the handshake proves; whether it
 * is the right one the wire's owner decides, who is told the fingerprint.
 *
 * OpenSSL shakes hands (handshake.c), and then goes: what follows is protected by record.c, with the secrets that were agreed
 * on. What is to be sent gathers in `cipher` and leaves in one write. Before the handshake has ended few bytes are taken: a
 * stranger costs little. OpenSSL hears of a connection that came to us only when its first record is whole and its turn has
 * come (core/turns.h): a handshake holds some 40 kB while it lasts, a connection at rest less than one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "core/memory.h"
#include "io/wire.h"
#include "handshake.h"
#include "key_private.h"
#include "record.h"
#include "transport.h"

#define MAX_HANDSHAKE_BYTES (16 * 1024)    /* that a peer may send before it has shown its key */
#define MAX_HELD_BYTES (2 * WIRE_MAX_UNSENT)
#define KEEP_BYTES 512                     /* a connection between two records holds no larger buffer */
#define PART_BYTES (RECORD_HEADER_BYTES + RECORD_CIPHER_BYTES) /* more than MAX_HANDSHAKE_BYTES, too */
#define KEY_UPDATE 24                      /* the type of a handshake message: RFC 8446, 4 */

enum alert_level { ALERT_WARNING = 1, ALERT_FATAL = 2 }; /* 6 */

/* One write beneath us, and how much of our user's was in it. */
struct flight {
    struct flight *next;
    size_t plain, cipher;
};

struct tls {
    struct transport base;       /* as our user sees it */
    struct transport *plain;     /* what lies beneath */
    const struct key *key;       /* of ours */
    struct handshake *handshake; /* NULL before it is our turn, and from `ready` on */
    struct turn turn;            /* to shake hands */
    struct turns *turns;         /* NULL: it waits for nobody's */
    bool server;
    bool ready;                  /* the handshake has ended well */
    bool over;                   /* the peer's end, or a fault, was told: nothing more is read */
    bool shut, closing;
    const char *in;              /* received and not yet read: during a call only */
    size_t in_len;
    size_t greeted;              /* bytes received before `ready` */
    struct buf cipher;           /* to be written */
    struct buf held;             /* given to us before `ready` */
    struct buf part;             /* received before it is our turn; after `ready` the beginning of a record */
    struct record_key ours, theirs; /* from `ready` on */
    bool asked;                  /* by the peer for another key */
    struct flight *first, **last;
    size_t in_flight;            /* bytes of `cipher` given to the transport beneath, not yet sent */
    char print[KEY_PRINT_SIZE];  /* of the peer's key; "" before `ready` */
};

static struct tls *tls_of(struct transport *t)
{
    return container_of(t, struct tls, base);
}

/* -- writing ------------------------------------------------------------------------------------- */

/* Passes on what was made; `plain` bytes of our user's are in it. */
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

/* Another key for what follows: RFC 8446, 4.6.3. */
static void renew_key(struct tls *t)
{
    static const char update[] = {KEY_UPDATE, 0, 0, 1, 0};
    record_seal(t->key->engine, &t->ours, RECORD_HANDSHAKE, update, sizeof update, &t->cipher);
    record_key_renew(t->key->engine, &t->ours);
}

static void seal(struct tls *t, struct buf *bytes)
{
    size_t len = bytes->len, at = 0, piece;
    (void)buf_reserve(&t->cipher, len + (len / RECORD_BYTES + 2) * RECORD_MORE_BYTES);
    for (; at < len; at += piece) {
        piece = len - at < RECORD_BYTES ? len - at : RECORD_BYTES;
        if (record_key_worn(t->key->engine, &t->ours))
            renew_key(t);
        record_seal(t->key->engine, &t->ours, RECORD_DATA, bytes->data + at, piece, &t->cipher);
    }
    send_cipher(t, len);
    free(buf_take(bytes));
}

static void alert(struct tls *t, enum alert_level level, uint8_t what)
{
    const uint8_t words[] = {(uint8_t)level, what};
    record_seal(t->key->engine, &t->ours, RECORD_ALERT, words, sizeof words, &t->cipher);
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
    if (t->ready)
        alert(t, ALERT_WARNING, SSL3_AD_CLOSE_NOTIFY);
    send_cipher(t, 0);
    t->plain->kind->shut(t->plain);
}

/* -- reading ------------------------------------------------------------------------------------- */

/* What the peer should know of it leaves first: the alert that was made or, to one who spoke no TLS at all, another. */
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

static void become_ready(struct tls *t)
{
    handshake_take(t->handshake, t->print, &t->ours, &t->theirs);
    handshake_free(t->handshake);
    t->handshake = NULL;
    t->ready = true;
    turn_end(&t->turn);
    send_cipher(t, 0);
    if (t->held.len > 0)
        seal(t, &t->held);
    buf_release(&t->held);
    if (!t->server)
        t->base.events->opened(t->base.owner);
}

static void shake_hands(struct tls *t)
{
    switch (handshake_go_on(t->handshake, &t->in, &t->in_len)) {
    case HANDSHAKE_WAITS:
        break;
    case HANDSHAKE_DONE:
        become_ready(t);
        break;
    case HANDSHAKE_ENDED:
        t->over = true;
        turn_end(&t->turn);
        t->base.events->ended(t->base.owner);
        break;
    case HANDSHAKE_FAILED:
        fail(t, handshake_reason(t->handshake));
    }
}

/* -- the records of who is known ------------------------------------------------------------------ */

static void refuse_record(struct tls *t, enum record_fault fault)
{
    char text[160];
    snprintf(text, sizeof text, "TLS failed: %s", SSL_alert_desc_string_long(fault));
    alert(t, ALERT_FATAL, (uint8_t)fault);
    fail(t, text);
}

/* Of the two kinds of alerts only the end is none of a fault's: 6. */
static void take_alert(struct tls *t, const char *data, size_t len)
{
    char text[160];
    if (len != 2) {
        refuse_record(t, RECORD_UNEXPECTED);
    } else if (data[1] == SSL3_AD_CLOSE_NOTIFY) {
        t->over = true;
        t->base.events->ended(t->base.owner);
    } else {
        snprintf(text, sizeof text, "TLS failed: the other end says: %s", SSL_alert_desc_string_long((uint8_t)data[1]));
        fail(t, text);
    }
}

/* After the handshake nothing of its kind comes but the word that another key is used from now on. */
static void take_key_update(struct tls *t, const char *data, size_t len)
{
    static const char update[] = {KEY_UPDATE, 0, 0, 1};
    if (len != sizeof update + 1 || memcmp(data, update, sizeof update) != 0 || (uint8_t)data[4] > 1) {
        refuse_record(t, RECORD_UNEXPECTED);
        return;
    }
    record_key_renew(t->key->engine, &t->theirs);
    t->asked |= data[4] == 1;
}

static void take_record(struct tls *t, const char *record, size_t record_len)
{
    char data[RECORD_INNER_BYTES];
    enum record_type type;
    size_t len, size = sizeof data, wanted = record_room(record_len);
    char *room = t->base.events->room(t->base.owner, &size);
    char *to = room != NULL && size >= wanted ? room : data;
    enum record_fault fault = record_open(t->key->engine, &t->theirs, record, record_len, to, &len, &type);
    if (fault != RECORD_GOOD)
        refuse_record(t, fault);
    else if (type == RECORD_DATA && len > 0)
        t->base.events->received(t->base.owner, to, len);
    else if (type == RECORD_ALERT)
        take_alert(t, to, len);
    else if (type == RECORD_HANDSHAKE)
        take_key_update(t, to, len);
    else if (type != RECORD_DATA)
        refuse_record(t, RECORD_UNEXPECTED);
}

/* Takes up to `wanted` bytes of what came to those that are kept; whether they are there now. */
static bool keep_up_to(struct tls *t, size_t wanted)
{
    size_t missing = wanted > t->part.len ? wanted - t->part.len : 0;
    size_t len = missing < t->in_len ? missing : t->in_len;
    (void)buf_reserve(&t->part, missing);
    buf_add(&t->part, t->in, len);
    t->in += len;
    t->in_len -= len;
    return len == missing;
}

/* A record that began in an earlier read. Its header may have come in pieces, too. */
static void end_part(struct tls *t)
{
    if (!keep_up_to(t, RECORD_HEADER_BYTES))
        return;
    size_t whole = record_length(t->part.data);
    if (whole == 0) {
        refuse_record(t, RECORD_TOO_LONG);
        return;
    }
    if (!keep_up_to(t, whole))
        return;
    take_record(t, t->part.data, whole);
    buf_clear(&t->part);
}

static void take_records(struct tls *t)
{
    while (t->in_len > 0 && !t->over && !t->closing) {
        size_t whole = t->part.len == 0 && t->in_len >= RECORD_HEADER_BYTES ? record_length(t->in) : 0;
        if (whole == 0 || whole > t->in_len) {
            end_part(t);
            continue;
        }
        const char *record = t->in;
        t->in += whole;
        t->in_len -= whole;
        take_record(t, record, whole);
    }
    if (t->part.len == 0 && t->part.cap > KEEP_BYTES) {
        buf_release(&t->part);
        buf_init(&t->part, PART_BYTES);
    }
    if (t->asked && !t->over && !t->closing)
        renew_key(t);
    t->asked = false;
}

/* All that came. */
static void take_in(struct tls *t)
{
    if (!t->ready)
        shake_hands(t);
    if (t->ready)
        take_records(t);
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
    size_t len = t->part.len;
    char *data = buf_take(&t->part);
    t->handshake = handshake_new(t->key, true, &t->cipher);
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
    if (early->len < RECORD_HEADER_BYTES)
        return early->len > 0 && early->data[0] != TLS_HANDSHAKE;
    return early->data[0] != TLS_HANDSHAKE || early->len >= record_length(early->data);
}

static void wait_for_turn(struct tls *t, const char *data, size_t len)
{
    if (t->greeted > MAX_HANDSHAKE_BYTES) {
        fail(t, "it said too much before it showed its key");
        return;
    }
    buf_add(&t->part, data, len);
    if (has_whole_record(&t->part) && (t->turns == NULL || turn_ask(&t->turn, t->turns)))
        go(&t->turn);
}

/* A record is opened to its place, not read to it. */
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
    if (t->handshake == NULL && !t->ready)
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
    t->handshake = handshake_new(t->key, false, &t->cipher);
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
    handshake_free(t->handshake);
    turns_let_go(t->turns);
    buf_release(&t->cipher);
    buf_release(&t->held);
    buf_release(&t->part);
    OPENSSL_cleanse(t, sizeof *t);
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
    t->key = key;
    t->last = &t->first;
    buf_init(&t->cipher, MAX_HELD_BYTES);
    buf_init(&t->held, MAX_HELD_BYTES);
    buf_init(&t->part, PART_BYTES);
    return &t->base;
}
