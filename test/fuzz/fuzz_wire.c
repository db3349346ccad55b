/*
 * Frames: a server's wire over a transport of our own. In however many pieces the bytes come, the same
 * messages come out, and the connection ends for the same reason.
 *
 * The input: the size of a piece, then what the peer sends.
 */
#include <stdio.h>

#include "../../src/io/wire_private.h"
#include "fuzz.h"

/* What became of a connection. */
struct tale {
    struct buf messages;
    char reason[256];
    bool closed;
};

/* ---- a transport whose peer reads everything at once ---- */

static struct transport *current;

static int accept_nothing(struct transport *t, uv_stream_t *server)
{
    return 0;
}

static void read_nothing(struct transport *t, bool on)
{
}

static void write_away(struct transport *t, struct buf *bytes)
{
    size_t len = bytes->len;

    buf_clear(bytes);
    t->events->sent(t->owner, len);
}

static void shut_nothing(struct transport *t)
{
}

static void close_now(struct transport *t)
{
    current = NULL;
    t->events->closed(t->owner);
    free(t);
}

static void name_peer(struct transport *t, char *text, size_t size)
{
    snprintf(text, size, "a fuzzer");
}

static const char *no_key(struct transport *t)
{
    return "";
}

static const struct transport_kind fuzzed_kind = {
    .accept = accept_nothing, .read = read_nothing, .write = write_away, .shut = shut_nothing, .close = close_now,
    .peer = name_peer, .key = no_key,
};

/* Instead of src/io/transport_plain.c. */
struct transport *transport_plain_new(uv_loop_t *loop, bool local, const struct transport_events *events, void *owner)
{
    current = mem_new(1, sizeof *current);
    *current = (struct transport){&fuzzed_kind, events, owner};
    return current;
}

void transport_address_text(const struct sockaddr *address, char *text, size_t size)
{
    snprintf(text, size, "nowhere");
}

/* ---- the owner ---- */

static void on_message(struct wire *w, const struct message *m)
{
    struct tale *tale = wire_owner(w);

    message_print(m, &tale->messages);
    buf_addc(&tale->messages, '\n');
}

static void on_closed(struct wire *w, const char *reason)
{
    struct tale *tale = wire_owner(w);

    assert(!tale->closed && reason[0] != '\0');
    tale->closed = true;
    snprintf(tale->reason, sizeof tale->reason, "%s", reason);
}

static const struct wire_events events = {.message = on_message, .closed = on_closed};

/* As a transport does: into the room that there is for it, if there is some. */
static void give(const uint8_t *data, size_t len)
{
    size_t size = len;
    char *room = current->events->room(current->owner, &size);

    size = room != NULL && size < len ? size : len;
    if (room != NULL)
        memcpy(room, data, size);
    current->events->received(current->owner, room != NULL ? room : (const char *)data, size);
    if (size < len && current != NULL)
        give(data + size, len - size);
}

static void play(struct tale *tale, const uint8_t *data, size_t size, size_t piece)
{
    uv_loop_t loop;

    uv_loop_init(&loop);
    *tale = (struct tale){.closed = false};
    buf_init(&tale->messages, 1 << 20);
    wire_set_owner(wire_accept(&loop, NULL, false, NULL, NULL, &events, &wire_default_deadlines), tale);
    for (size_t at = 0; at < size && current != NULL; at += piece) {
        size_t len = size - at < piece ? size - at : piece;

        give(data + at, len);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    if (current != NULL)
        current->events->ended(current->owner);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert(tale->closed && current == NULL);
    assert(uv_loop_close(&loop) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tale whole, pieces;

    if (size < 2 || size > TRANSPORT_READ_BYTES)
        return -1;
    play(&whole, data + 1, size - 1, size);
    play(&pieces, data + 1, size - 1, data[0] + 1U);
    assert(strcmp(whole.messages.data, pieces.messages.data) == 0);
    assert(strcmp(whole.reason, pieces.reason) == 0);
    buf_release(&whole.messages);
    buf_release(&pieces.messages);
    return 0;
}
