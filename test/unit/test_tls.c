/*
 * TLS on the slave port, seen by a client that keeps to nothing: it is OpenSSL bare, over a socket, with whatever versions,
 * certificates and manners a test gives it. What both ends of ours do over TLS is in test_wire.c.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../../src/io/wire_private.h"
#include "core/hash.h"
#include "core/memory.h"

#define PATIENCE_MS 60000 /* no test waits longer for an event: it fails then */

struct world {
    uv_loop_t loop;
    char dir[32], path[64];
    struct key *key;
    struct wire_server *server;
    struct wire *wire;            /* of the server; NULL before and after */
    unsigned accepted, messages, closed;
    char reason[256];
    char shown[KEY_PRINT_SIZE];   /* wire_key at the first message */
    /* the bare client */
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static struct world *world; /* of the running test */

static void on_message(struct wire *w, const struct message *m)
{
    world->messages++;
    snprintf(world->shown, sizeof world->shown, "%s", wire_key(w));
}

static void on_closed(struct wire *w, const char *reason)
{
    snprintf(world->reason, sizeof world->reason, "%s", reason);
    world->closed++;
    world->wire = NULL;
}

static const struct wire_events events = {.message = on_message, .closed = on_closed};
static const struct wire_deadlines patient = {PATIENCE_MS, PATIENCE_MS, PATIENCE_MS, PATIENCE_MS};

static void on_accepted(struct wire *w, void *context)
{
    world->wire = w;
    world->accepted++;
}

/* ---- the stage ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    char why[256];
    bool made;
    world = mem_new(1, sizeof *world);
    uv_loop_init(&world->loop);
    world->fd = -1;
    strcpy(world->dir, "/tmp/test-tls-XXXXXX");
    if (mkdtemp(world->dir) == NULL)
        return -1;
    snprintf(world->path, sizeof world->path, "%s/key", world->dir);
    if (key_open(world->path, &world->key, &made, why, sizeof why) < 0)
        return -1;
    int rc = wire_listen(&world->loop, "127.0.0.1:0", world->key, &events, on_accepted, NULL, &world->server, why, sizeof why);
    if (rc == 0)
        wire_server_set_deadlines(world->server, &patient);
    return rc;
}

static int teardown(void **state)
{
    SSL_free(world->ssl);
    SSL_CTX_free(world->context);
    if (world->fd >= 0)
        close(world->fd);
    if (world->wire != NULL)
        wire_drop(world->wire, "the test is over");
    wire_server_close(world->server);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&world->loop);
    key_close(world->key);
    unlink(world->path);
    rc |= rmdir(world->dir);
    free(world);
    return rc;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static bool turn_until(const unsigned *count, unsigned wanted)
{
    uint64_t end_ms = now_ms() + PATIENCE_MS;
    while (*count < wanted && now_ms() < end_ms)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    return *count >= wanted;
}

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned before = world->accepted;
    to.sin_port = htons((uint16_t)atoi(strrchr(wire_server_address(world->server), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    assert_true(turn_until(&world->accepted, before + 1));
    return fd;
}

static void connect_bare(void)
{
    world->fd = dial();
}

/* ---- certificates -------------------------------------------------------------------------------- */

static X509 *certificate_of(EVP_PKEY *pair, const EVP_MD *digest)
{
    X509 *c = X509_new();
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), 7);
    ASN1_TIME_set_string(X509_getm_notBefore(c), "20000101000000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(c), "20000102000000Z"); /* long over: nobody asks */
    X509_set_pubkey(c, pair);
    assert_true(X509_sign(c, pair, digest) > 0);
    return c;
}

/* A client that shows this pair; NULL: none. */
static void show(EVP_PKEY *pair, const EVP_MD *digest)
{
    world->context = SSL_CTX_new(TLS_client_method());
    if (pair != NULL) {
        X509 *certificate = certificate_of(pair, digest);
        assert_int_equal(SSL_CTX_use_certificate(world->context, certificate), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(world->context, pair), 1);
        X509_free(certificate);
        EVP_PKEY_free(pair);
    }
}

static void show_ed25519(void)
{
    show(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
}

/* ---- the bare client ----------------------------------------------------------------------------- */

static bool wants_more(int rc)
{
    int error = SSL_get_error(world->ssl, rc);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool shake_hands(void)
{
    int rc = 0;
    connect_bare();
    world->ssl = SSL_new(world->context);
    SSL_set_fd(world->ssl, world->fd);
    for (uint64_t end_ms = now_ms() + PATIENCE_MS; now_ms() < end_ms;) {
        ERR_clear_error();
        rc = SSL_connect(world->ssl);
        if (rc == 1 || !wants_more(rc))
            break;
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    return rc == 1;
}

/* What the server says next; its length, 0 at its end, -1 when TLS breaks. */
static int hear(void *to, int size)
{
    int got = -1;
    for (uint64_t end_ms = now_ms() + PATIENCE_MS; now_ms() < end_ms;) {
        ERR_clear_error();
        got = SSL_read(world->ssl, to, size);
        if (got > 0 || !wants_more(got))
            break;
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    return got > 0 ? got : SSL_get_error(world->ssl, got) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static const char bye[] = "\0\0\0\x0a\x92\xa3" "BYE" "\xa4" "done";

static void assert_refused(const char *reason)
{
    assert_true(turn_until(&world->closed, 1));
    assert_string_equal(world->reason, reason);
    assert_int_equal(world->messages, 0);
}

/* ---- who is let in ------------------------------------------------------------------------------- */

static void a_client_with_a_key_is_heard_and_known_by_it(void **state)
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    unsigned char *info = NULL, digest[32], digits[64];
    char print[KEY_PRINT_SIZE];
    int len = i2d_PUBKEY(pair, &info);
    hash_bytes(info, (size_t)len, digest);
    EVP_EncodeBlock(digits, digest, sizeof digest);
    snprintf(print, sizeof print, "SHA256:%.43s", (char *)digits);
    OPENSSL_free(info);
    show(pair, NULL);

    assert_true(shake_hands());
    assert_int_equal(SSL_write(world->ssl, bye, sizeof bye - 1), sizeof bye - 1);
    assert_true(turn_until(&world->messages, 1));
    assert_string_equal(world->shown, print);
    assert_true(key_is_print(world->shown));
}

static void the_server_shows_its_key(void **state)
{
    show_ed25519();
    assert_true(shake_hands());
    EVP_PKEY *pair = X509_get0_pubkey(SSL_get0_peer_certificate(world->ssl));
    assert_true(EVP_PKEY_is_a(pair, "ED25519"));
    assert_string_equal(SSL_get_version(world->ssl), "TLSv1.3");
}

static void nobody_without_a_key_is_let_in(void **state)
{
    show(NULL, NULL);
    shake_hands(); /* a client of TLS 1.3 has ended before it is judged */
    assert_refused("it showed no key");
}

static void a_key_of_another_kind_is_refused(void **state)
{
    show(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), EVP_sha256());
    shake_hands();
    assert_true(turn_until(&world->closed, 1));
    assert_int_equal(world->messages, 0);
}

static void tls_1_2_is_refused(void **state)
{
    show_ed25519();
    SSL_CTX_set_max_proto_version(world->context, TLS1_2_VERSION);
    assert_false(shake_hands());
    assert_refused("TLS failed: unsupported protocol");
}

static void a_client_that_speaks_no_tls_is_refused(void **state)
{
    connect_bare();
    assert_int_equal(write(world->fd, bye, sizeof bye - 1), sizeof bye - 1);
    assert_refused("it does not speak TLS 1.3");
}

static void a_browser_is_refused(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connect_bare();
    assert_int_equal(write(world->fd, request, sizeof request - 1), sizeof request - 1);
    assert_refused("it does not speak TLS 1.3");
}

/* ---- what is not done ---------------------------------------------------------------------------- */

static void no_session_is_kept_or_resumed(void **state)
{
    char byte;
    show_ed25519();
    SSL_CTX_set_session_cache_mode(world->context, SSL_SESS_CACHE_CLIENT);
    assert_true(shake_hands());
    SSL_write(world->ssl, bye, sizeof bye - 1);
    assert_true(turn_until(&world->messages, 1));
    wire_finish(world->wire, "enough");
    assert_int_equal(hear(&byte, 1), 0); /* a ticket would have come before the end */
    assert_false(SSL_SESSION_is_resumable(SSL_get0_session(world->ssl)));
    assert_int_equal(SSL_SESSION_get_max_early_data(SSL_get0_session(world->ssl)), 0);
}

static void the_end_is_said_before_it_comes(void **state)
{
    char answer[64];
    show_ed25519();
    assert_true(shake_hands());
    SSL_write(world->ssl, bye, sizeof bye - 1);
    assert_true(turn_until(&world->messages, 1));
    wire_send(world->wire, &(struct message){.verb = VERB_WAKE});
    wire_finish(world->wire, "enough");
    assert_int_equal(hear(answer, sizeof answer), 10);
    assert_int_equal(hear(answer, sizeof answer), 0); /* close_notify, not just the socket's end */
    SSL_shutdown(world->ssl);
    assert_true(turn_until(&world->closed, 1));
    assert_string_equal(world->reason, "enough");
}

/* ---- floods -------------------------------------------------------------------------------------- */

static void who_does_not_show_a_key_is_not_waited_for(void **state)
{
    const struct wire_deadlines quick = {PATIENCE_MS, 150, PATIENCE_MS, 100};
    wire_server_set_deadlines(world->server, &quick);
    connect_bare();
    assert_int_equal(write(world->fd, "\x16\x03\x01", 3), 3);
    assert_refused("no first message within 0 s");
}

/* A ClientHello may be 128 KB long by the rules of OpenSSL; by ours not. */
static void little_is_taken_before_a_key_is_shown(void **state)
{
    unsigned char record[5 + 16000] = {22, 3, 1, 16000 >> 8, 16000 & 0xff, 1, 1, 0, 0};
    connect_bare();
    for (unsigned i = 0; i < 8 && world->closed == 0; i++) {
        if (i == 1)
            memset(record + 5, 0, 4); /* the first alone begins the message */
        if (write(world->fd, record, sizeof record) < 0)
            break;
        for (unsigned turn = 0; turn < 50; turn++)
            uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    assert_refused("it said too much before it showed its key");
}

/* ---- turns --------------------------------------------------------------------------------------- */

#define NEVER_MS 3600000

static void take_turns(unsigned at_once, unsigned most, uint64_t slow_ms, uint64_t patience_ms)
{
    const struct turn_limits limits = {at_once, most, slow_ms, patience_ms};
    wire_server_set_handshakes(world->server, &limits);
    show_ed25519();
}

/* Begins a handshake, but does not go on with it. */
static int dial_and_say_hello(void)
{
    char hello[2048];
    SSL *ssl = SSL_new(world->context);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    assert_int_equal(SSL_connect(ssl), -1);
    int len = BIO_read(out, hello, sizeof hello);
    SSL_free(ssl);
    int fd = dial();
    assert_int_equal(write(fd, hello, (size_t)len), len);
    return fd;
}

static bool has_answer(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK) == 1;
}

static bool is_answered(int fd)
{
    uint64_t end_ms = now_ms() + PATIENCE_MS;
    while (!has_answer(fd) && now_ms() < end_ms)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    return has_answer(fd);
}

static bool waits(int fd)
{
    for (unsigned i = 0; i < 200; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    return !has_answer(fd);
}

static void hang_up(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    assert_true(turn_until(&world->closed, world->accepted));
}

static void handshakes_take_turns(void **state)
{
    take_turns(1, 10, NEVER_MS, NEVER_MS);
    int first = dial_and_say_hello(), second = dial_and_say_hello();
    assert_true(is_answered(first));
    assert_true(waits(second));
    close(first);
    assert_true(is_answered(second));
    hang_up(&second, 1);
}

static void who_says_nothing_whole_takes_no_turn(void **state)
{
    take_turns(1, 1, NEVER_MS, NEVER_MS);
    int fds[2] = {dial(), dial()};
    assert_int_equal(write(fds[1], "\x16\x03\x01\x01", 4), 4);
    assert_true(waits(fds[1]));
    assert_int_equal(world->closed, 0);
    world->fd = dial_and_say_hello();
    assert_true(is_answered(world->fd));
    close(world->fd);
    world->fd = -1;
    hang_up(fds, 2);
}

static void the_slow_hold_up_nobody(void **state)
{
    int fds[3];
    take_turns(1, 2, 0, NEVER_MS);
    for (unsigned i = 0; i < 3; i++)
        fds[i] = dial_and_say_hello();
    assert_true(is_answered(fds[0]));
    assert_true(is_answered(fds[1]));
    assert_true(waits(fds[2])); /* but they are not to be too many */
    assert_int_equal(world->closed, 0);
    hang_up(fds, 3);
}

static void who_is_late_makes_room_for_who_waits(void **state)
{
    int fds[2];
    take_turns(1, 1, 0, 0);
    fds[0] = dial_and_say_hello();
    assert_true(is_answered(fds[0]));
    assert_int_equal(world->closed, 0);
    fds[1] = dial_and_say_hello();
    assert_refused("it took its time to show a key, and others waited");
    assert_true(is_answered(fds[1]));
    hang_up(fds, 2);
}

/* Who waits may leave, or say more than is taken from a stranger. */
static void a_place_in_the_line_can_be_lost(void **state)
{
    char noise[1024] = {0};
    take_turns(1, 1, NEVER_MS, NEVER_MS);
    int first = dial_and_say_hello(), second = dial_and_say_hello(), third = dial_and_say_hello();
    assert_true(is_answered(first));
    close(second);
    assert_true(turn_until(&world->closed, 1));
    for (unsigned i = 0; i < 20 && world->closed == 1; i++) {
        (void)!write(third, noise, sizeof noise);
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    assert_true(turn_until(&world->closed, 2));
    assert_string_equal(world->reason, "it said too much before it showed its key");
    close(first);
    hang_up(&third, 1);
}

/* ---- what a known peer may do -------------------------------------------------------------------- */

/* Each asks for new keys and for an answer of ours that nobody reads. */
static void a_flood_of_key_updates_is_borne(void **state)
{
    show_ed25519();
    assert_true(shake_hands());
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(SSL_key_update(world->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        while (SSL_do_handshake(world->ssl) != 1)
            uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(SSL_write(world->ssl, bye, sizeof bye - 1), sizeof bye - 1);
    assert_true(turn_until(&world->messages, 1));
    assert_int_equal(world->closed, 0);
}

static void a_peer_that_never_reads_is_dropped(void **state)
{
    char *json = mem_new(1000001, 1);
    memset(json, 'x', 1000000);
    show_ed25519();
    assert_true(shake_hands());
    SSL_write(world->ssl, bye, sizeof bye - 1);
    assert_true(turn_until(&world->messages, 1));
    for (unsigned i = 0; i < 200 && world->wire != NULL; i++) {
        wire_send(world->wire, &(struct message){.verb = VERB_DATA, .data = {.json = json}});
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    free(json);
    assert_true(turn_until(&world->closed, 1));
    assert_string_equal(world->reason, "left more than 4 MiB unread");
}

static void noise_after_the_handshake_ends_the_wire(void **state)
{
    static const unsigned char noise[] = {23, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                                          20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
    show_ed25519();
    assert_true(shake_hands());
    assert_int_equal(write(world->fd, noise, sizeof noise), sizeof noise);
    assert_refused("TLS failed: decryption failed or bad record mac");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_with_a_key_is_heard_and_known_by_it),
        TEST(the_server_shows_its_key),
        TEST(nobody_without_a_key_is_let_in),
        TEST(a_key_of_another_kind_is_refused),
        TEST(tls_1_2_is_refused),
        TEST(a_client_that_speaks_no_tls_is_refused),
        TEST(a_browser_is_refused),
        TEST(no_session_is_kept_or_resumed),
        TEST(the_end_is_said_before_it_comes),
        TEST(who_does_not_show_a_key_is_not_waited_for),
        TEST(little_is_taken_before_a_key_is_shown),
        TEST(handshakes_take_turns),
        TEST(who_says_nothing_whole_takes_no_turn),
        TEST(the_slow_hold_up_nobody),
        TEST(who_is_late_makes_room_for_who_waits),
        TEST(a_place_in_the_line_can_be_lost),
        TEST(a_flood_of_key_updates_is_borne),
        TEST(a_peer_that_never_reads_is_dropped),
        TEST(noise_after_the_handshake_ends_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
