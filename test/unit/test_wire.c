/*
 * Wires over real sockets: messages cross whole and in order, and a peer that plays foul is dropped with a
 * reason it can read. One loop runs both ends; where the other end must misbehave it is a bare socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/io/wire_private.h"
#include "core/memory.h"

#define PATIENCE_MS 60000 /* no test waits longer for an event: it fails then */

/* One end of a wire, and what happened there. */
struct end {
    struct wire *wire;       /* NULL after `closed` */
    unsigned opened, closed, drained, messages;
    enum verb last;
    uint64_t last_attempt;
    bool in_order;           /* attempts came as 0, 1, 2, … */
    char text[256];          /* of the last message that had one */
    size_t text_len;
    char reason[256];        /* given to `closed` */
    const char *json;        /* of the last DATA */
    void (*on_message)(struct end *e);
};

/* Frames whose buffers the owner took. */
static struct {
    struct buf holder;
    const char *json;
} kept[4];
static unsigned kept_count;

struct world {
    uv_loop_t loop;
    struct wire_server *server;
    struct key *key;         /* of both ends; NULL: no TLS */
    struct end servant, client;
    bool in_call;            /* inside a call of io/wire.h: nothing may be heard meanwhile */
    char dir[32], path[64], key_path[64];
};

static struct world *world;  /* of the running test: events have no other way to find it */

/* -- the umask: the program's calls end here --------------------------------------------------------- */

static unsigned umask_changes;

static mode_t set_umask(mode_t mask)
{
    return (mode_t)syscall(SYS_umask, mask);
}

mode_t umask(mode_t mask)
{
    umask_changes++;
    return set_umask(mask);
}

/* -- events -------------------------------------------------------------------------------------- */

static void on_opened(struct wire *w)
{
    assert_false(world->in_call);
    ((struct end *)wire_owner(w))->opened++;
}

static void keep_text(struct end *e, const char *text)
{
    e->text_len = strlen(text);
    snprintf(e->text, sizeof e->text, "%s", text);
}

static void on_message(struct wire *w, const struct message *m)
{
    struct end *e = wire_owner(w);
    assert_false(world->in_call);
    e->last = m->verb;
    if (m->verb == VERB_CONT) {
        e->in_order &= m->cont.attempt == e->messages;
        e->last_attempt = m->cont.attempt;
    } else if (m->verb == VERB_ERROR) {
        keep_text(e, m->error.reason);
    } else if (m->verb == VERB_DATA) {
        keep_text(e, m->data.json);
        e->json = m->data.json;
    } else if (m->verb == VERB_BYE) {
        keep_text(e, m->bye.reason);
    }
    e->messages++;
    if (e->on_message != NULL)
        e->on_message(e);
}

static void on_drained(struct wire *w)
{
    ((struct end *)wire_owner(w))->drained++;
}

static void on_closed(struct wire *w, const char *reason)
{
    struct end *e = wire_owner(w);
    assert_false(world->in_call);
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    e->closed++;
    e->wire = NULL;
}

static const struct wire_events events = {on_opened, on_message, on_drained, on_closed};

static void on_accepted(struct wire *w, void *context)
{
    struct end *e = context;
    e->wire = w;
    wire_set_owner(w, e);
}

/* -- the stage ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    world = mem_new(1, sizeof *world);
    uv_loop_init(&world->loop);
    world->servant.in_order = world->client.in_order = true;
    strcpy(world->dir, "/tmp/test-wire-XXXXXX");
    if (mkdtemp(world->dir) == NULL)
        return -1;
    snprintf(world->path, sizeof world->path, "%s/control.sock", world->dir);
    *state = world;
    return 0;
}

/* The same with TLS: both ends show one key. */
static int setup_tls(void **state)
{
    char why[256];
    bool made;
    if (setup(state) < 0)
        return -1;
    snprintf(world->key_path, sizeof world->key_path, "%s/key", world->dir);
    return key_open(world->key_path, &world->key, &made, why, sizeof why);
}

static int teardown(void **state)
{
    if (world->servant.wire != NULL)
        wire_drop(world->servant.wire, "the test is over");
    if (world->client.wire != NULL)
        wire_drop(world->client.wire, "the test is over");
    if (world->server != NULL)
        wire_server_close(world->server);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&world->loop);
    key_close(world->key);
    unlink(world->key_path);
    unlink(world->path);
    rc |= rmdir(world->dir);
    free(world);
    return rc;
}

static void on_tick(uv_timer_t *tick)
{
}

static void on_tick_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Runs the loop until the counter has reached `count`. False when it does not, in `ms`. The ticks make the
 * loop return also after events that came before it slept. */
static bool reaches(const unsigned *counter, unsigned count, uint64_t ms)
{
    uv_timer_t *tick = mem_new(1, sizeof *tick);
    uv_update_time(&world->loop);
    uint64_t end = uv_now(&world->loop) + ms;
    uv_timer_init(&world->loop, tick);
    uv_timer_start(tick, on_tick, 5, 5);
    while (*counter < count && uv_now(&world->loop) < end)
        uv_run(&world->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)tick, on_tick_closed);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    return *counter >= count;
}

#define WAIT_FOR(counter, count) assert_true(reaches(&(counter), count, PATIENCE_MS))

/* Lets the loop run, to see that something does not happen. */
static void run_for(uint64_t ms)
{
    unsigned never = 0;
    assert_false(reaches(&never, 1, ms));
}

static const char *port_of(const char *address)
{
    return strrchr(address, ':') + 1;
}

static void listen_at(const char *address)
{
    char why[256] = "";
    int rc = wire_listen(&world->loop, address, world->key, &events, on_accepted, &world->servant, &world->server, why,
                         sizeof why);
    assert_int_equal(rc, 0);
    assert_string_equal(why, "");
}

static void connect_to(const char *address)
{
    world->in_call = true;
    world->client.wire = wire_connect(&world->loop, address, world->key, &events, &world->client);
    world->in_call = false;
}

/* Both ends, connected over TCP. */
static void connect_both(void)
{
    listen_at("127.0.0.1:0");
    connect_to(wire_server_address(world->server));
    WAIT_FOR(world->client.opened, 1);
    while (world->servant.wire == NULL)
        uv_run(&world->loop, UV_RUN_ONCE);
}

static void send_cont(struct wire *w, uint64_t attempt)
{
    world->in_call = true;
    wire_send(w, &(struct message){.verb = VERB_CONT, .cont = {.attempt = attempt}});
    world->in_call = false;
}

static void send_data(struct wire *w, size_t len)
{
    char *json = mem_resize(NULL, len + 1, 1);
    memset(json, 'x', len);
    json[len] = '\0';
    wire_send(w, &(struct message){.verb = VERB_DATA, .data = {.json = json}});
    free(json);
}

static void drop(struct wire *w, const char *reason)
{
    world->in_call = true;
    wire_drop(w, reason);
    world->in_call = false;
}

static void finish(struct wire *w, const char *reason)
{
    world->in_call = true;
    wire_finish(w, reason);
    world->in_call = false;
}

/* -- a bare socket as the other end -------------------------------------------------------------- */

static int bare_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(port_of(wire_server_address(world->server))));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int bare_client(const struct wire_deadlines *deadlines)
{
    listen_at("127.0.0.1:0");
    if (deadlines != NULL)
        wire_server_set_deadlines(world->server, deadlines);
    int fd = bare_socket();
    while (world->servant.wire == NULL)
        uv_run(&world->loop, UV_RUN_ONCE);
    return fd;
}

#define SAY(fd, bytes) assert_int_equal(write(fd, bytes, sizeof(bytes) - 1), sizeof(bytes) - 1)

/* What a bare client was told in an ERROR, once the wire is gone. */
static void assert_told(int fd, const char *reason)
{
    char bytes[4096], why[256];
    struct message m;
    ssize_t len = read(fd, bytes, sizeof bytes - 1);
    assert_true(len > 4);
    assert_int_equal(message_decode(bytes + 4, (size_t)len - 4, &m, why, sizeof why), 0);
    assert_int_equal(m.verb, VERB_ERROR);
    assert_string_equal(m.error.reason, reason);
    assert_int_equal(read(fd, bytes, 1), 0);
    close(fd);
}

static const struct wire_deadlines patient = {PATIENCE_MS, PATIENCE_MS, PATIENCE_MS, PATIENCE_MS};

/* -- messages cross ------------------------------------------------------------------------------ */

static void messages_cross_in_both_directions(void **state)
{
    connect_both();
    send_cont(world->client.wire, 0);
    WAIT_FOR(world->servant.messages, 1);
    assert_int_equal(world->servant.last, VERB_CONT);
    send_cont(world->servant.wire, 0);
    WAIT_FOR(world->client.messages, 1);
    assert_int_equal(world->client.last, VERB_CONT);
}

static void messages_cross_a_unix_socket(void **state)
{
    listen_at(world->path);
    connect_to(world->path);
    send_cont(world->client.wire, 0);
    WAIT_FOR(world->servant.messages, 1);
    send_cont(world->servant.wire, 0);
    WAIT_FOR(world->client.messages, 1);
    assert_string_equal(wire_peer(world->servant.wire), "control client");
    assert_string_equal(wire_peer(world->client.wire), world->path);
}

static void messages_cross_ipv6(void **state)
{
    char why[256];
    int rc = wire_listen(&world->loop, "[::1]:0", world->key, &events, on_accepted, &world->servant, &world->server, why,
                         sizeof why);
    if (rc < 0) {
        assert_true(rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT);
        uv_run(&world->loop, UV_RUN_DEFAULT);
        skip(); /* a machine without IPv6 */
    }
    connect_to(wire_server_address(world->server));
    send_cont(world->client.wire, 0);
    WAIT_FOR(world->servant.messages, 1);
    assert_int_equal(strncmp(wire_peer(world->servant.wire), "[::1]:", 6), 0);
}

static void what_is_sent_before_the_connection_stands_arrives(void **state)
{
    listen_at("127.0.0.1:0");
    connect_to(wire_server_address(world->server));
    send_cont(world->client.wire, 0);
    send_cont(world->client.wire, 1);
    WAIT_FOR(world->servant.messages, 2);
    assert_true(world->servant.in_order);
}

static void many_messages_arrive_in_order(void **state)
{
    connect_both();
    for (unsigned i = 0; i < 20000; i++)
        send_cont(world->client.wire, i);
    WAIT_FOR(world->servant.messages, 20000);
    assert_true(world->servant.in_order);
    assert_int_equal(world->servant.last_attempt, 19999);
}

static void the_largest_message_arrives_whole(void **state)
{
    connect_both();
    send_data(world->servant.wire, 1000000);
    WAIT_FOR(world->client.messages, 1);
    assert_int_equal(world->client.text_len, 1000000);
}

/* Every second time. */
static void keep_frame(struct end *e)
{
    struct buf holder;
    if (e->messages % 2 == 0 || kept_count == 4)
        return;
    buf_init(&holder, 0);
    if (wire_swap_frame(e->wire, &holder)) {
        kept[kept_count].holder = holder;
        kept[kept_count++].json = e->json;
    } else {
        buf_release(&holder);
    }
}

static void assert_all(const char *text, char c, size_t len)
{
    assert_int_equal(strspn(text, (char[]){c, '\0'}), len);
    assert_int_equal(strlen(text), len);
}

static void what_a_message_points_to_can_be_kept(void **state)
{
    const size_t sizes[] = {300000, 5, 70000, 1000000, 40};
    connect_both();
    kept_count = 0;
    world->client.on_message = keep_frame;
    for (unsigned i = 0; i < 5; i++) {
        send_data(world->servant.wire, sizes[i]);
        WAIT_FOR(world->client.messages, i + 1);
        assert_int_equal(world->client.text_len, sizes[i]);
    }
    assert_int_equal(kept_count, 3);
    for (unsigned i = 0; i < kept_count; i++) {
        assert_all(kept[i].json, 'x', sizes[2 * i]);
        buf_release(&kept[i].holder);
    }
}

static void keep_any(struct end *e)
{
    struct buf holder;
    buf_init(&holder, 0);
    kept_count += wire_swap_frame(e->wire, &holder);
    buf_release(&holder);
}

static void a_frame_that_others_touch_cannot_be_kept(void **state)
{
    connect_both();
    kept_count = 0;
    world->servant.on_message = keep_any;
    wire_pause(world->servant.wire);
    for (unsigned i = 0; i < 3; i++)
        send_cont(world->client.wire, i);
    run_for(100);
    wire_go_on(world->servant.wire);
    WAIT_FOR(world->servant.messages, 3);
    assert_true(world->servant.in_order);
    assert_int_equal(kept_count, 0);
}

static void texts_of_frames_that_touch_do_not_spoil_each_other(void **state)
{
    connect_both();
    for (unsigned i = 0; i < 100; i++)
        wire_send(world->client.wire, &(struct message){.verb = VERB_BYE, .bye = {.reason = "so long"}});
    WAIT_FOR(world->servant.messages, 100);
    assert_string_equal(world->servant.text, "so long");
}

static void small_messages_of_one_turn_leave_in_one_write(void **state)
{
    connect_both();
    for (unsigned i = 0; i < 10; i++)
        send_cont(world->client.wire, i);
    assert_int_equal(world->client.wire->in_flight, 0);
    size_t queued = wire_unsent(world->client.wire);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->client.wire->out.len, 0);
    assert_true(queued > 0);
    WAIT_FOR(world->servant.messages, 10);
    assert_int_equal(wire_unsent(world->client.wire), 0);
}

static void a_frame_that_comes_byte_by_byte_arrives(void **state)
{
    static const char frame[] = "\0\0\0\x0a\x92\xa3" "BYE" "\xa4" "done";
    int fd = bare_client(&patient);
    for (size_t i = 0; i < sizeof frame - 1; i++) {
        assert_int_equal(write(fd, frame + i, 1), 1);
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    WAIT_FOR(world->servant.messages, 1);
    assert_string_equal(world->servant.text, "done");
    close(fd);
}

static void the_peer_is_named_by_its_address(void **state)
{
    connect_both();
    assert_int_equal(strncmp(wire_peer(world->servant.wire), "127.0.0.1:", 10), 0);
    assert_string_equal(wire_peer(world->client.wire), wire_server_address(world->server));
}

/* -- foul play ----------------------------------------------------------------------------------- */

static void a_frame_of_four_gigabytes_is_refused(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\xff\xff\xff\xff");
    uv_run(&world->loop, UV_RUN_ONCE);
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "frame of 4294967295 bytes, more than 16384");
    assert_told(fd, world->servant.reason);
}

static void a_first_frame_one_byte_too_long_is_refused(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\x40\x01");
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "frame of 16385 bytes, more than 16384");
    close(fd);
}

static void a_frame_one_byte_too_long_is_refused(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\0\x06\x91\xa4" "WAKE" "\0\x10\0\x01");
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "frame of 1048577 bytes, more than 1048576");
    close(fd);
}

static void a_frame_without_bytes_is_refused(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\0\0");
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "frame is cut short");
    assert_told(fd, "frame is cut short");
}

static void a_claimed_length_takes_no_memory_before_the_bytes_come(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\x40\0\xaa\xbb");
    while (world->servant.wire->in.len < 6)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_in_range(world->servant.wire->in.cap, 6, 4096);
    close(fd);
}

static void a_malformed_message_is_refused_with_its_field(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\0\x08\x92\xa4" "CONT" "\xa1" "x");
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
    assert_int_equal(world->servant.messages, 0);
    assert_string_equal(world->servant.reason, "CONT: field \"attempt\" is a str, not an integer");
    assert_told(fd, world->servant.reason);
}

static void the_reason_of_a_refusal_survives_what_the_peer_still_sends(void **state)
{
    static char flood[100000];
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\0\x01\xc0");
    for (unsigned i = 0; i < 5; i++) {
        assert_true(write(fd, flood, sizeof flood) > 0);
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
    assert_told(fd, "frame is something else, not an array");
}

static void a_master_that_speaks_nonsense_is_dropped(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char text[32];
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listening, 1), 0);
    getsockname(listening, (struct sockaddr *)&address, &len);
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));

    connect_to(text);
    WAIT_FOR(world->client.opened, 1);
    int fd = accept(listening, NULL, NULL);
    SAY(fd, "HTTP/1.1 400 Bad Request\r\n");
    WAIT_FOR(world->client.closed, 1);

    assert_string_equal(world->client.reason, "frame of 1213486160 bytes, more than 1048576");
    char byte;
    assert_true(read(fd, &byte, 1) <= 0); /* a client has no ERROR to say */
    close(fd);
    close(listening);
}

/* Sends one byte every hundredth of a second until the server has had enough. */
static void drip(int fd, char byte)
{
    while (world->servant.wire != NULL && world->servant.wire->state == WIRE_OPEN) {
        assert_int_equal(write(fd, &byte, 1), 1);
        run_for(10);
    }
    shutdown(fd, SHUT_WR);
    WAIT_FOR(world->servant.closed, 1);
}

static void a_frame_that_drips_is_given_up(void **state)
{
    const struct wire_deadlines short_frame = {PATIENCE_MS, PATIENCE_MS, 150, 2000};
    int fd = bare_client(&short_frame);
    SAY(fd, "\0\0\0\x06\x91\xa4WAKE\0\0\1\0");
    WAIT_FOR(world->servant.messages, 1);
    drip(fd, '\x91');
    assert_string_equal(world->servant.reason, "a frame took longer than 0 s");
    assert_told(fd, world->servant.reason);
}

static void a_silent_peer_between_frames_is_left_in_peace(void **state)
{
    const struct wire_deadlines short_frame = {PATIENCE_MS, PATIENCE_MS, 50, 2000};
    int fd = bare_client(&short_frame);
    SAY(fd, "\0\0\0\x06\x91\xa4WAKE");
    WAIT_FOR(world->servant.messages, 1);
    run_for(300);
    assert_int_equal(world->servant.closed, 0);
    close(fd);
}

static void a_peer_that_says_no_first_word_is_dropped(void **state)
{
    const struct wire_deadlines short_first = {PATIENCE_MS, 100, PATIENCE_MS, 100};
    int fd = bare_client(&short_first);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "no first message within 0 s");
    assert_told(fd, world->servant.reason);
}

static void half_a_first_word_does_not_stop_the_deadline(void **state)
{
    const struct wire_deadlines short_first = {PATIENCE_MS, 150, PATIENCE_MS, 2000};
    int fd = bare_client(&short_first);
    SAY(fd, "\0\0\1\0");
    drip(fd, '\x91');
    assert_string_equal(world->servant.reason, "no first message within 0 s");
    assert_told(fd, world->servant.reason);
}

static void a_peer_that_never_reads_is_dropped(void **state)
{
    int fd = bare_client(&patient);
    for (unsigned i = 0; i < 200 && world->servant.wire != NULL; i++) {
        send_data(world->servant.wire, 1000000);
        uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "left more than 4 MiB unread");
    close(fd);
}

static void a_message_of_ours_that_breaks_its_limits_ends_the_wire(void **state)
{
    connect_both();
    send_cont(world->client.wire, UINT64_MAX);
    WAIT_FOR(world->client.closed, 1);
    assert_string_equal(world->client.reason, "a message of ours breaks its own limits");
}

/* -- back-pressure ------------------------------------------------------------------------------- */

static void the_owner_hears_when_most_is_sent(void **state)
{
    connect_both();
    for (unsigned i = 0; i < 4; i++)
        send_data(world->servant.wire, 1000000);
    assert_in_range(wire_unsent(world->servant.wire), WIRE_LOW_WATER, WIRE_MAX_UNSENT);
    WAIT_FOR(world->servant.drained, 1);
    WAIT_FOR(world->client.messages, 4);
    assert_int_equal(world->servant.drained, 1);
}

static void little_that_is_sent_makes_no_noise(void **state)
{
    connect_both();
    send_cont(world->servant.wire, 0);
    WAIT_FOR(world->client.messages, 1);
    assert_int_equal(world->servant.drained, 0);
}

static void pause_after_first(struct end *e)
{
    if (e->messages == 1)
        wire_pause(e->wire);
}

static void a_paused_wire_hears_nothing_until_it_goes_on(void **state)
{
    connect_both();
    world->servant.on_message = pause_after_first;
    for (unsigned i = 0; i < 50; i++)
        send_cont(world->client.wire, i);
    WAIT_FOR(world->servant.messages, 1);
    run_for(100);
    assert_int_equal(world->servant.messages, 1);

    world->in_call = true;
    wire_go_on(world->servant.wire);
    world->in_call = false;
    WAIT_FOR(world->servant.messages, 50);
    assert_true(world->servant.in_order);
}

static void the_frame_deadline_rests_while_paused(void **state)
{
    const struct wire_deadlines short_frame = {PATIENCE_MS, PATIENCE_MS, 100, 2000};
    int fd = bare_client(&short_frame);
    world->servant.on_message = pause_after_first;
    SAY(fd, "\0\0\0\x06\x91\xa4WAKE\0\0\0\x06\x91");
    WAIT_FOR(world->servant.messages, 1);
    run_for(400);
    assert_int_equal(world->servant.closed, 0);
    wire_set_deadlines(world->servant.wire, &patient);
    wire_go_on(world->servant.wire);
    SAY(fd, "\xa4WAKE");
    WAIT_FOR(world->servant.messages, 2);
    close(fd);
}

/* -- the end ------------------------------------------------------------------------------------- */

static void a_peer_that_leaves_is_noticed(void **state)
{
    connect_both();
    drop(world->client.wire, "enough");
    WAIT_FOR(world->client.closed, 1);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->client.reason, "enough");
    assert_string_equal(world->servant.reason, "closed by peer");
}

static void a_peer_that_leaves_within_a_frame_is_told_apart(void **state)
{
    int fd = bare_client(&patient);
    SAY(fd, "\0\0\0\x06\x91");
    close(fd);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "closed by peer in the middle of a frame");
}

static void a_connection_that_is_reset_is_closed_with_a_reason(void **state)
{
    const struct linger at_once = {1, 0};
    int fd = bare_client(&patient);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "connection reset by peer");
}

static void closed_comes_once_however_often_a_wire_is_dropped(void **state)
{
    connect_both();
    drop(world->client.wire, "first");
    drop(world->client.wire, "second");
    finish(world->client.wire, "third");
    send_cont(world->client.wire, 1);
    wire_pause(world->client.wire);
    wire_go_on(world->client.wire);
    WAIT_FOR(world->client.closed, 1);
    run_for(50);
    assert_int_equal(world->client.closed, 1);
    assert_string_equal(world->client.reason, "first");
}

static void drop_at_first(struct end *e)
{
    wire_drop(e->wire, "heard enough");
}

static void a_wire_dropped_by_its_owner_hears_no_further_message(void **state)
{
    connect_both();
    world->servant.on_message = drop_at_first;
    for (unsigned i = 0; i < 10; i++)
        send_cont(world->client.wire, i);
    WAIT_FOR(world->servant.closed, 1);
    assert_int_equal(world->servant.messages, 1);
}

static void what_is_queued_is_sent_before_a_wire_finishes(void **state)
{
    connect_both();
    wire_set_deadlines(world->servant.wire, &patient);
    for (unsigned i = 0; i < 3; i++)
        send_data(world->servant.wire, 1000000);
    finish(world->servant.wire, "that was all");
    send_cont(world->servant.wire, 9);
    WAIT_FOR(world->servant.closed, 1);
    WAIT_FOR(world->client.closed, 1);
    assert_int_equal(world->client.messages, 3);
    assert_string_equal(world->servant.reason, "that was all");
    assert_string_equal(world->client.reason, "closed by peer");
}

static void a_finishing_wire_hears_no_more(void **state)
{
    connect_both();
    finish(world->servant.wire, "done");
    send_cont(world->client.wire, 0);
    WAIT_FOR(world->servant.closed, 1);
    assert_int_equal(world->servant.messages, 0);
}

static void a_peer_that_does_not_close_is_not_waited_for(void **state)
{
    const struct wire_deadlines short_finish = {PATIENCE_MS, PATIENCE_MS, PATIENCE_MS, 100};
    int fd = bare_client(&short_finish);
    finish(world->servant.wire, "done");
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "done");
    close(fd);
}

static void a_finishing_wire_can_still_be_dropped(void **state)
{
    int fd = bare_client(&patient);
    finish(world->servant.wire, "done");
    drop(world->servant.wire, "now");
    WAIT_FOR(world->servant.closed, 1);
    assert_string_equal(world->servant.reason, "done");
    close(fd);
}

static void wires_outlive_the_server_that_accepted_them(void **state)
{
    connect_both();
    wire_server_close(world->server);
    world->server = NULL;
    send_cont(world->client.wire, 0);
    WAIT_FOR(world->servant.messages, 1);
    send_cont(world->servant.wire, 0);
    WAIT_FOR(world->client.messages, 1);
}

/* -- connecting ---------------------------------------------------------------------------------- */

static void assert_unconnected(const char *address, const char *reason)
{
    world->client.closed = 0;
    connect_to(address);
    WAIT_FOR(world->client.closed, 1);
    assert_string_equal(world->client.reason, reason);
    assert_int_equal(world->client.opened, 0);
}

static void nobody_listening_is_a_reason(void **state)
{
    struct sockaddr_in held = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof held;
    char address[64], reason[128];
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* does not listen, but keeps the port from others */
    assert_int_equal(bind(fd, (struct sockaddr *)&held, sizeof held), 0);
    getsockname(fd, (struct sockaddr *)&held, &len);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(held.sin_port));
    snprintf(reason, sizeof reason, "cannot connect to %s: connection refused", address);
    assert_unconnected(address, reason);
    close(fd);
    snprintf(reason, sizeof reason, "cannot connect to %s: no such file or directory", world->path);
    assert_unconnected(world->path, reason);
}

static void a_name_is_looked_up_and_each_address_tried(void **state)
{
    char address[64];
    listen_at("127.0.0.1:0"); /* localhost may be ::1 first, where nobody listens */
    snprintf(address, sizeof address, "localhost:%s", port_of(wire_server_address(world->server)));
    connect_to(address);
    WAIT_FOR(world->client.opened, 1);
}

static void what_is_no_address_is_a_reason(void **state)
{
    assert_unconnected("", "cannot connect to : no address of the form HOST or HOST:PORT");
    assert_unconnected("[::1", "cannot connect to [::1: no address of the form HOST or HOST:PORT");
    assert_unconnected("h:99999", "cannot connect to h:99999: no address of the form HOST or HOST:PORT");
}

static void a_socket_path_too_long_is_a_reason(void **state)
{
    char path[200];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[199] = '\0';
    connect_to(path);
    WAIT_FOR(world->client.closed, 1);
    assert_non_null(strstr(world->client.reason, "name too long"));
}

static void a_wire_can_be_dropped_while_it_connects(void **state)
{
    listen_at("127.0.0.1:0");
    connect_to(wire_server_address(world->server));
    drop(world->client.wire, "changed my mind");
    WAIT_FOR(world->client.closed, 1);
    assert_string_equal(world->client.reason, "changed my mind");

    connect_to(wire_server_address(world->server));
    while (world->client.wire->transport == NULL)
        uv_run(&world->loop, UV_RUN_ONCE);
    finish(world->client.wire, "once more");
    WAIT_FOR(world->client.closed, 2);
    assert_string_equal(world->client.reason, "once more");
}

static void an_address_that_does_not_answer_is_given_up(void **state)
{
    const struct wire_deadlines short_connect = {100, PATIENCE_MS, PATIENCE_MS, 2000};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char text[32], reason[128];
    int waiting[3], listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listening, 0), 0);
    getsockname(listening, (struct sockaddr *)&address, &len);
    for (unsigned i = 0; i < COUNT_OF(waiting); i++) { /* fills the queue: who comes next gets no answer */
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(waiting[i], (struct sockaddr *)&address, sizeof address);
    }
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));

    connect_to(text);
    wire_set_deadlines(world->client.wire, &short_connect);
    WAIT_FOR(world->client.closed, 1);

    snprintf(reason, sizeof reason, "cannot connect to %s: no answer", text);
    assert_string_equal(world->client.reason, reason);
    for (unsigned i = 0; i < COUNT_OF(waiting); i++)
        close(waiting[i]);
    close(listening);
}

static void addresses_are_taken_apart(void **state)
{
    char host[WIRE_HOST_SIZE], port[WIRE_PORT_SIZE];
    static const struct {
        const char *address, *host, *port;
    } good[] = {
        {"master", "master", "5555"},        {"master:80", "master", "80"},   {"10.0.0.1:1", "10.0.0.1", "1"},
        {"[::1]:65535", "::1", "65535"},     {"[fe80::1]", "fe80::1", "5555"}, {"::1", "::1", "5555"},
        {"0.0.0.0:0", "0.0.0.0", "0"},
    };
    static const char *const bad[] = {"", ":", ":80", "[]", "[]:80", "[::1", "[::1]80", "a:", "a:x",
                                      "a:65536", "a:-1", "a:000080"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(wire_split(good[i].address, host, port), 0);
        assert_string_equal(host, good[i].host);
        assert_string_equal(port, good[i].port);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(wire_split(bad[i], host, port), -EINVAL);
}

/* -- listening ----------------------------------------------------------------------------------- */

static void assert_not_listening(const char *address, int error, const char *words)
{
    char why[256];
    struct wire_server *server;
    int rc = wire_listen(&world->loop, address, world->key, &events, on_accepted, NULL, &server, why, sizeof why);
    assert_int_equal(rc, error);
    assert_non_null(strstr(why, address));
    assert_non_null(strstr(why, words));
    uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void the_address_really_bound_is_told(void **state)
{
    listen_at("localhost:0");
    assert_int_not_equal(atoi(port_of(wire_server_address(world->server))), 0);
}

static void an_address_in_use_is_refused(void **state)
{
    listen_at("127.0.0.1:0");
    assert_not_listening(wire_server_address(world->server), -EADDRINUSE, "another program listens there");
}

static void an_address_of_another_machine_is_refused(void **state)
{
    assert_not_listening("192.0.2.1:0", -EADDRNOTAVAIL, "not an address of this machine");
    assert_not_listening("nonsense:port", -EADDRNOTAVAIL, "use ADDR:PORT");
}

static void without_tls_only_the_loopback_is_listened_on(void **state)
{
    assert_not_listening("192.0.2.1:0", -EPERM, "without TLS (--insecure) only the loopback");
    assert_not_listening("0.0.0.0:0", -EPERM, "without TLS (--insecure) only the loopback");
    assert_not_listening("[::]:0", -EPERM, "without TLS (--insecure) only the loopback");
}

static void without_tls_no_other_machine_is_spoken_with(void **state)
{
    static const char reason[] = "it is another machine, and without TLS (--insecure) none is spoken with";
    char text[160];
    snprintf(text, sizeof text, "cannot connect to 192.0.2.1:5: %s", reason);
    assert_unconnected("192.0.2.1:5", text);
    snprintf(text, sizeof text, "cannot connect to [2001:db8::1]:5: %s", reason);
    assert_unconnected("[2001:db8::1]:5", text);
}

static void what_is_this_machine_is_told_by_its_looks(void **state)
{
    static const char *const here[] = {"localhost", "localhost:5555", "127.0.0.1", "127.9.9.9:1", "::1", "[::1]:5555"};
    static const char *const there[] = {"10.0.0.1", "localhost.example", "127.example", "[2001:db8::1]:5555", "0.0.0.0", ""};
    for (unsigned i = 0; i < 6; i++) {
        assert_true(wire_is_loopback(here[i]));
        assert_false(wire_is_loopback(there[i]));
    }
}

static void a_unix_socket_is_for_owner_and_group_only(void **state)
{
    static const mode_t umasks[] = {0, 022, 0777};
    struct stat st;
    for (unsigned i = 0; i < COUNT_OF(umasks); i++) {
        mode_t before = set_umask(umasks[i]);
        listen_at(world->path);
        set_umask(before);
        assert_int_equal(stat(world->path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 07777, 0660);
        wire_server_close(world->server);
        world->server = NULL;
    }
}

/* It is that of all threads: what one of them makes meanwhile must not be closed to everybody. */
static void the_umask_is_nothing_that_a_server_changes(void **state)
{
    listen_at(world->path);
    assert_int_equal(umask_changes, 0);
}

static void a_unix_socket_is_removed_with_its_server(void **state)
{
    listen_at(world->path);
    wire_server_close(world->server);
    world->server = NULL;
    run_for(20);
    assert_int_equal(access(world->path, F_OK), -1);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    struct sockaddr_un address;
    assert_int_equal(wire_local_address(world->path, &address), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    listen_at(world->path);
    connect_to(world->path);
    WAIT_FOR(world->client.opened, 1);
}

static void a_live_unix_socket_is_left_alone(void **state)
{
    listen_at(world->path);
    assert_not_listening(world->path, -EADDRINUSE, "another master listens there");
    connect_to(world->path);
    WAIT_FOR(world->client.opened, 1);
}

static void what_is_no_socket_is_not_removed_for_one(void **state)
{
    int fd = open(world->path, O_WRONLY | O_CREAT, 0600);
    close(fd);
    assert_not_listening(world->path, -EEXIST, "no socket");
    assert_int_equal(access(world->path, F_OK), 0);
}

static void a_unix_socket_that_cannot_be_made_is_refused(void **state)
{
    char path[200];
    assert_not_listening("/nowhere/control.sock", -ENOENT, "directory is missing");
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[199] = '\0';
    assert_not_listening(path, -ENAMETOOLONG, "name too long");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TLS_TEST(name) {"tls: " #name, name, setup_tls, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_cross_in_both_directions),
        TLS_TEST(messages_cross_in_both_directions),
        TEST(messages_cross_a_unix_socket),
        TEST(messages_cross_ipv6),
        TLS_TEST(messages_cross_ipv6),
        TEST(what_is_sent_before_the_connection_stands_arrives),
        TLS_TEST(what_is_sent_before_the_connection_stands_arrives),
        TEST(many_messages_arrive_in_order),
        TLS_TEST(many_messages_arrive_in_order),
        TEST(what_a_message_points_to_can_be_kept),
        TLS_TEST(what_a_message_points_to_can_be_kept),
        TEST(a_frame_that_others_touch_cannot_be_kept),
        TEST(the_largest_message_arrives_whole),
        TLS_TEST(the_largest_message_arrives_whole),
        TEST(texts_of_frames_that_touch_do_not_spoil_each_other),
        TLS_TEST(texts_of_frames_that_touch_do_not_spoil_each_other),
        TEST(small_messages_of_one_turn_leave_in_one_write),
        TLS_TEST(small_messages_of_one_turn_leave_in_one_write),
        TEST(a_frame_that_comes_byte_by_byte_arrives),
        TEST(the_peer_is_named_by_its_address),
        TLS_TEST(the_peer_is_named_by_its_address),
        TEST(a_frame_of_four_gigabytes_is_refused),
        TEST(a_first_frame_one_byte_too_long_is_refused),
        TEST(a_frame_one_byte_too_long_is_refused),
        TEST(a_frame_without_bytes_is_refused),
        TEST(a_claimed_length_takes_no_memory_before_the_bytes_come),
        TEST(a_malformed_message_is_refused_with_its_field),
        TEST(the_reason_of_a_refusal_survives_what_the_peer_still_sends),
        TEST(a_master_that_speaks_nonsense_is_dropped),
        TEST(a_frame_that_drips_is_given_up),
        TEST(a_silent_peer_between_frames_is_left_in_peace),
        TEST(a_peer_that_says_no_first_word_is_dropped),
        TEST(half_a_first_word_does_not_stop_the_deadline),
        TEST(a_peer_that_never_reads_is_dropped),
        TEST(a_message_of_ours_that_breaks_its_limits_ends_the_wire),
        TLS_TEST(a_message_of_ours_that_breaks_its_limits_ends_the_wire),
        TEST(the_owner_hears_when_most_is_sent),
        TLS_TEST(the_owner_hears_when_most_is_sent),
        TEST(little_that_is_sent_makes_no_noise),
        TLS_TEST(little_that_is_sent_makes_no_noise),
        TEST(a_paused_wire_hears_nothing_until_it_goes_on),
        TLS_TEST(a_paused_wire_hears_nothing_until_it_goes_on),
        TEST(the_frame_deadline_rests_while_paused),
        TEST(a_peer_that_leaves_is_noticed),
        TLS_TEST(a_peer_that_leaves_is_noticed),
        TEST(a_peer_that_leaves_within_a_frame_is_told_apart),
        TEST(a_connection_that_is_reset_is_closed_with_a_reason),
        TEST(closed_comes_once_however_often_a_wire_is_dropped),
        TLS_TEST(closed_comes_once_however_often_a_wire_is_dropped),
        TEST(a_wire_dropped_by_its_owner_hears_no_further_message),
        TLS_TEST(a_wire_dropped_by_its_owner_hears_no_further_message),
        TEST(what_is_queued_is_sent_before_a_wire_finishes),
        TLS_TEST(what_is_queued_is_sent_before_a_wire_finishes),
        TEST(a_finishing_wire_hears_no_more),
        TLS_TEST(a_finishing_wire_hears_no_more),
        TEST(a_peer_that_does_not_close_is_not_waited_for),
        TEST(a_finishing_wire_can_still_be_dropped),
        TEST(wires_outlive_the_server_that_accepted_them),
        TLS_TEST(wires_outlive_the_server_that_accepted_them),
        TEST(nobody_listening_is_a_reason),
        TEST(a_name_is_looked_up_and_each_address_tried),
        TLS_TEST(a_name_is_looked_up_and_each_address_tried),
        TEST(what_is_no_address_is_a_reason),
        TEST(a_socket_path_too_long_is_a_reason),
        TEST(a_wire_can_be_dropped_while_it_connects),
        TLS_TEST(a_wire_can_be_dropped_while_it_connects),
        TEST(an_address_that_does_not_answer_is_given_up),
        TEST(addresses_are_taken_apart),
        TEST(the_address_really_bound_is_told),
        TEST(an_address_in_use_is_refused),
        TLS_TEST(an_address_of_another_machine_is_refused),
        TEST(without_tls_only_the_loopback_is_listened_on),
        TEST(without_tls_no_other_machine_is_spoken_with),
        TEST(what_is_this_machine_is_told_by_its_looks),
        TEST(a_unix_socket_is_for_owner_and_group_only),
        TEST(the_umask_is_nothing_that_a_server_changes),
        TEST(a_unix_socket_is_removed_with_its_server),
        TEST(a_stale_unix_socket_is_replaced),
        TEST(a_live_unix_socket_is_left_alone),
        TEST(what_is_no_socket_is_not_removed_for_one),
        TEST(a_unix_socket_that_cannot_be_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
