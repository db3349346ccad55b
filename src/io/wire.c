/*
 * A connection that carries messages: frames in, frames out, its deadlines and its end. The farm, the
 * control socket, the slave and the tools hold wires; how a wire begins is in wire_connect.c and
 * wire_listen.c, what lies underneath in transport.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/memory.h"
#include "wire_private.h"

#define HEADER_BYTES 4
#define TLS_MAJOR_VERSION 3
#define FLUSH_BYTES (128 * 1024) /* so many leave at once: a file is sent in pieces that are reused, not in one that grows */
#define FIRST_BYTES (32 * 1024) /* that are read at once where it is not known yet what comes */
#define LONG_BYTES 2048 /* of a frame still to come: worth a read of their own */
#define KEEP_BYTES 512 /* a wire between two frames holds no larger buffer: there may be a thousand of them */

const struct wire_deadlines wire_default_deadlines = {
    .connect_ms = 10 * 1000, .first_ms = 10 * 1000, .frame_ms = 60 * 1000, .finish_ms = 2 * 1000,
};

/* -- the end ------------------------------------------------------------------------------------- */

void wire_part_ended(struct wire *w)
{
    if (--w->open_parts > 0)
        return;
    w->events->closed(w, w->reason);
    if (w->search != NULL && w->search->found != NULL)
        uv_freeaddrinfo(w->search->found);
    free(w->search);
    buf_release(&w->in);
    buf_release(&w->out);
    free(w->peer);
    free(w->reason);
    free(w);
}

static void on_handle_closed(uv_handle_t *handle)
{
    wire_part_ended(handle->data);
}

/* The first reason stays: what follows is only its consequence. */
static void set_reason(struct wire *w, const char *reason)
{
    if (w->reason == NULL)
        w->reason = mem_textn(reason, strnlen(reason, WIRE_REASON_SIZE - 1));
}

void wire_drop(struct wire *w, const char *reason)
{
    if (w->state == WIRE_CLOSING)
        return;
    bool trying = w->state == WIRE_CONNECTING;
    set_reason(w, reason);
    w->state = WIRE_CLOSING;
    if (trying)
        uv_cancel((uv_req_t *)&w->search->lookup);
    if (w->transport != NULL)
        w->transport->kind->close(w->transport);
    w->transport = NULL;
    uv_close((uv_handle_t *)&w->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&w->turn, on_handle_closed);
}

static void on_transport_closed(void *owner)
{
    wire_part_ended(owner);
}

/* -- deadlines ----------------------------------------------------------------------------------- */

static void refuse(struct wire *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void on_deadline(uv_timer_t *timer)
{
    struct wire *w = timer->data;
    if (w->state == WIRE_CONNECTING)
        wire_try_next(w, "no answer");
    else if (w->state == WIRE_FINISHING)
        wire_drop(w, w->reason);
    else if (!w->heard && w->accepted)
        refuse(w, "no first message within %llu s", (unsigned long long)w->deadlines.first_ms / 1000);
    else
        refuse(w, "a frame took longer than %llu s", (unsigned long long)w->deadlines.frame_ms / 1000);
}

/* The deadline of a frame runs from its first byte; `fresh`: another frame ended before what is there now. */
static void watch_frame(struct wire *w, bool fresh)
{
    if (w->state != WIRE_OPEN || (w->accepted && !w->heard))
        return;
    if (w->paused || w->in.len == 0)
        uv_timer_stop(&w->deadline);
    else if (fresh || !uv_is_active((uv_handle_t *)&w->deadline))
        uv_timer_start(&w->deadline, on_deadline, w->deadlines.frame_ms, 0);
}

/* -- receiving ----------------------------------------------------------------------------------- */

static void trace(struct wire *w, const char *direction, const struct message *m)
{
    if (!log_debugging("io"))
        return;
    struct buf text;
    buf_init(&text, 4096);
    message_print(m, &text);
    log_debug("io", "%s: %s %s", w->peer, direction, text.data);
    buf_release(&text);
}

/* Ends the wire for a fault of the other end's. A server says why, for the peer's own log. */
static void refuse(struct wire *w, const char *format, ...)
{
    char reason[WIRE_REASON_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (!w->accepted) {
        wire_drop(w, reason);
        return;
    }
    wire_send(w, &(struct message){.verb = VERB_ERROR, .error = {.reason = reason}});
    wire_finish(w, reason);
}

static size_t later_frame_bytes(const struct wire *w)
{
    return w->stranger ? WIRE_STRANGER_FRAME_MAX_BYTES : FRAME_MAX_BYTES;
}

/* Decoding ends texts with a NUL, the last one on the byte behind the frame, which belongs to the next. */
static void take_frame(struct wire *w, char *frame, size_t len)
{
    struct message m;
    char why[WIRE_REASON_SIZE];
    char behind = frame[len];
    if (message_decode(frame, len, &m, why, sizeof why) < 0) {
        refuse(w, "%s", why);
    } else {
        w->heard = true;
        w->max_frame_bytes = later_frame_bytes(w);
        trace(w, "<", &m);
        w->events->message(w, &m);
    }
    if (w->in.len > 0) /* else its buffer was swapped */
        frame[len] = behind;
}

bool wire_swap_frame(struct wire *w, struct buf *empty)
{
    struct buf full = w->in;
    if (!w->alone)
        return false;
    w->alone = false;
    w->in = *empty;
    w->in.max = full.max;
    *empty = full;
    return true;
}

static size_t frame_length(const char *header)
{
    size_t len = 0;
    for (int i = 0; i < HEADER_BYTES; i++)
        len = len << 8 | (uint8_t)header[i];
    return len;
}

/* What a server without TLS hears from a client with it, and the other way round, is worth a word of its own. */
static void refuse_length(struct wire *w, size_t len)
{
    bool is_tls = w->key == NULL && !w->heard && (len >> 24 == TLS_HANDSHAKE || len >> 24 == TLS_ALERT) &&
                  (len >> 16 & 0xff) == TLS_MAJOR_VERSION;
    if (is_tls)
        refuse(w, "the other end speaks TLS, this one does not: --insecure goes on both sides or on none");
    else
        refuse(w, "frame of %zu bytes, more than %zu", len, w->max_frame_bytes);
}

/* Gives away the whole frames that are there, until the owner has had enough. */
static void read_frames(struct wire *w)
{
    size_t at = 0;
    while (w->state == WIRE_OPEN && !w->paused && w->in.len - at >= HEADER_BYTES) {
        size_t len = frame_length(w->in.data + at);
        if (len > w->max_frame_bytes) {
            refuse_length(w, len);
            break;
        }
        if (w->in.len - at - HEADER_BYTES < len)
            break;
        w->alone = at == 0 && w->in.len == HEADER_BYTES + len;
        take_frame(w, w->in.data + at + HEADER_BYTES, len);
        if (w->in.len == 0) { /* swapped: what came instead is kept for the next */
            watch_frame(w, true);
            return;
        }
        at += HEADER_BYTES + len;
    }
    buf_drop(&w->in, at);
    if (w->in.len == 0 && w->in.cap > KEEP_BYTES) {
        size_t max = w->in.max;
        buf_release(&w->in);
        buf_init(&w->in, max);
    }
    watch_frame(w, at > 0);
}

/* For who comes later: a transport that is gone is asked no more. */
static void keep_key(struct wire *w)
{
    if (w->peer_key[0] == '\0')
        snprintf(w->peer_key, sizeof w->peer_key, "%s", w->transport->kind->key(w->transport));
}

/* The rest of a long frame is read to its place behind the beginning, which is short then: it is moved there. */
static char *on_room(void *owner, size_t *size)
{
    struct wire *w = owner;
    if (*size > FIRST_BYTES)
        *size = FIRST_BYTES;
    if (w->state != WIRE_OPEN || w->in.len < HEADER_BYTES)
        return NULL;
    size_t whole = HEADER_BYTES + frame_length(w->in.data);
    if (whole < w->in.len + LONG_BYTES || buf_reserve(&w->in, whole - w->in.len) != 0)
        return NULL;
    *size = whole - w->in.len;
    return w->in.data + w->in.len;
}

static void on_received(void *owner, const char *data, size_t len)
{
    struct wire *w = owner;
    keep_key(w);
    if (w->state != WIRE_OPEN) /* finishing: read only so that the peer's end is seen */
        return;
    if (data == w->in.data + w->in.len) {
        w->in.len += len;
        w->in.data[w->in.len] = '\0';
    } else {
        buf_add(&w->in, data, len);
    }
    read_frames(w);
}

static void on_ended(void *owner)
{
    struct wire *w = owner;
    w->ended = true;
    if (w->state != WIRE_FINISHING || wire_unsent(w) == 0)
        wire_drop(w, w->in.len > 0 ? "closed by peer in the middle of a frame" : "closed by peer");
}

/* -- sending ------------------------------------------------------------------------------------- */

/* Our side is shut first and the peer's end awaited: closing a socket with unread bytes would take back what
 * was sent, the reason of a refusal above all. */
static void end_if_all_sent(struct wire *w)
{
    if (w->state != WIRE_FINISHING || wire_unsent(w) > 0)
        return;
    if (w->ended)
        wire_drop(w, w->reason);
    else
        w->transport->kind->shut(w->transport);
}

static void flush(struct wire *w)
{
    if (w->out.len == 0)
        return;
    w->in_flight += w->out.len;
    w->transport->kind->write(w->transport, &w->out);
}

static void on_turn(uv_timer_t *turn)
{
    struct wire *w = turn->data;
    if (w->state == WIRE_CONNECTING)
        return;
    read_frames(w); /* what was left when the owner paused */
    if (w->state == WIRE_CLOSING)
        return;
    flush(w);
    end_if_all_sent(w);
}

/* A timer of no time at all: it runs when everything that happened in this turn of the loop has been told. */
static void end_turn(struct wire *w)
{
    if (!uv_is_active((uv_handle_t *)&w->turn))
        uv_timer_start(&w->turn, on_turn, 0, 0);
}

static void on_sent(void *owner, size_t len)
{
    struct wire *w = owner;
    size_t before = wire_unsent(w);
    w->in_flight -= len;
    if (w->state == WIRE_CLOSING)
        return;
    end_if_all_sent(w);
    if (w->state == WIRE_OPEN && before >= WIRE_LOW_WATER && wire_unsent(w) < WIRE_LOW_WATER &&
        w->events->drained != NULL)
        w->events->drained(w);
}

void wire_send(struct wire *w, const struct message *m)
{
    if (w->state != WIRE_OPEN && w->state != WIRE_CONNECTING)
        return;
    trace(w, ">", m);
    if (FAULT("wire_send %s", message_verb_name(m->verb)) < 0) {
        wire_drop(w, "a fault on purpose");
    } else if (message_encode(m, &w->out) < 0) {
        log_error("io", "%s: a %s of ours breaks its own limits", w->peer, message_verb_name(m->verb));
        wire_drop(w, "a message of ours breaks its own limits");
    } else if (wire_unsent(w) > (w->stranger ? WIRE_STRANGER_MAX_UNSENT : WIRE_MAX_UNSENT)) {
        wire_drop(w, w->stranger ? "left more than 64 KiB unread" : "left more than 4 MiB unread");
    } else if (w->state == WIRE_OPEN && w->out.len >= FLUSH_BYTES) {
        flush(w);
    } else {
        end_turn(w);
    }
}

size_t wire_unsent(const struct wire *w)
{
    return w->out.len + w->in_flight;
}

void wire_finish(struct wire *w, const char *reason)
{
    if (w->state == WIRE_CONNECTING) {
        wire_drop(w, reason);
        return;
    }
    if (w->state != WIRE_OPEN)
        return;
    set_reason(w, reason);
    w->state = WIRE_FINISHING;
    w->transport->kind->read(w->transport, true);
    uv_timer_start(&w->deadline, on_deadline, w->deadlines.finish_ms, 0);
    end_turn(w);
}

/* -- the beginning ------------------------------------------------------------------------------- */

static void on_opened(void *owner)
{
    struct wire *w = owner;
    w->state = WIRE_OPEN;
    keep_key(w);
    uv_timer_stop(&w->deadline);
    w->transport->kind->read(w->transport, !w->paused);
    end_turn(w);
    if (w->events->opened != NULL)
        w->events->opened(w);
}

static void on_broken(void *owner, const char *reason)
{
    struct wire *w = owner;
    if (w->state == WIRE_CONNECTING)
        wire_try_next(w, reason);
    else
        wire_drop(w, reason);
}

static const struct transport_events transport_events = {
    .opened = on_opened,
    .room = on_room,
    .received = on_received,
    .sent = on_sent,
    .ended = on_ended,
    .broken = on_broken,
    .closed = on_transport_closed,
};

void wire_new_transport(struct wire *w, bool local, struct turns *turns)
{
    w->transport = w->key != NULL && !local ? transport_tls_new(w->loop, w->key, turns, &transport_events, w)
                                            : transport_plain_new(w->loop, local, &transport_events, w);
    w->open_parts++;
    uv_timer_start(&w->deadline, on_deadline, w->deadlines.connect_ms, 0);
}

struct wire *wire_new(uv_loop_t *loop, const struct key *key, const struct wire_events *events, void *owner)
{
    struct wire *w = mem_new(1, sizeof *w);
    w->loop = loop;
    w->key = key;
    w->events = events;
    w->owner = owner;
    w->deadlines = wire_default_deadlines;
    w->max_frame_bytes = FRAME_MAX_BYTES;
    buf_init(&w->in, HEADER_BYTES + FRAME_MAX_BYTES + TRANSPORT_BURST_BYTES);
    buf_init(&w->out, WIRE_MAX_UNSENT + HEADER_BYTES + FRAME_MAX_BYTES);
    uv_timer_init(loop, &w->deadline);
    uv_timer_init(loop, &w->turn);
    w->deadline.data = w->turn.data = w;
    w->open_parts = 2;
    return w;
}

struct wire *wire_accept(uv_loop_t *loop, uv_stream_t *server, bool local, const struct key *key, struct turns *turns,
                         const struct wire_events *events, const struct wire_deadlines *deadlines)
{
    char peer[128];
    struct wire *w = wire_new(loop, key, events, NULL);
    w->accepted = true;
    if (!local) /* whoever can connect could fill our memory before we know who it is */
        w->max_frame_bytes = WIRE_FIRST_FRAME_MAX_BYTES;
    w->deadlines = *deadlines;
    wire_new_transport(w, local, turns);
    int rc = w->transport->kind->accept(w->transport, server);
    w->transport->kind->peer(w->transport, peer, sizeof peer);
    w->peer = mem_text(peer);
    w->state = WIRE_OPEN;
    w->transport->kind->read(w->transport, true);
    uv_timer_start(&w->deadline, on_deadline, deadlines->first_ms, 0);
    if (rc < 0)
        wire_drop(w, uv_strerror(rc));
    return w;
}

void wire_pause(struct wire *w)
{
    w->paused = true;
    if (w->state != WIRE_OPEN)
        return;
    w->transport->kind->read(w->transport, false);
    watch_frame(w, false);
}

void wire_go_on(struct wire *w)
{
    w->paused = false;
    if (w->state != WIRE_OPEN)
        return;
    w->transport->kind->read(w->transport, true);
    end_turn(w);
}

void wire_set_stranger(struct wire *w, bool stranger)
{
    w->stranger = stranger;
    if (w->heard)
        w->max_frame_bytes = later_frame_bytes(w);
}

void wire_set_owner(struct wire *w, void *owner)
{
    w->owner = owner;
}

void *wire_owner(const struct wire *w)
{
    return w->owner;
}

const char *wire_peer(const struct wire *w)
{
    return w->peer;
}

const char *wire_key(const struct wire *w)
{
    return w->peer_key;
}

void wire_set_deadlines(struct wire *w, const struct wire_deadlines *deadlines)
{
    w->deadlines = *deadlines;
}
