/*
 * Forwarding between two streams. An end is read only while the other takes what it said, so a fast one waits
 * for a slow one in the kernel, not in our memory.
 */
#include "relay.h"

#include <assert.h>

#include "core/memory.h"

static void listen_to(struct relay_end *e);

static void on_closed(uv_handle_t *handle)
{
    struct relay_end *e = container_of((union relay_stream *)(void *)handle, struct relay_end, is);
    struct relay *r = e->relay;
    if (--r->open == 0)
        r->closed(r);
}

void relay_close(struct relay *r)
{
    if (r->closing)
        return;
    r->closing = true;
    for (int i = 0; i < 2; i++)
        uv_close(&r->ends[i].is.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct relay_end *e = container_of(request, struct relay_end, shutdown);
    if (status != 0 || e->other->finished)
        relay_close(e->relay);
}

/* It has said all: the other is told so, and may go on talking. */
static void finish(struct relay_end *e)
{
    e->finished = true;
    uv_read_stop(&e->is.stream);
    if (uv_shutdown(&e->shutdown, &e->other->is.stream, on_shutdown) != 0)
        relay_close(e->relay);
}

static void on_written(uv_write_t *request, int status)
{
    struct relay_end *e = container_of(request, struct relay_end, write);
    if (status != 0)
        relay_close(e->relay);
    else if (!e->relay->closing)
        listen_to(e);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct relay_end *e = container_of((union relay_stream *)(void *)handle, struct relay_end, is);
    *buffer = uv_buf_init(e->buffer, sizeof e->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct relay_end *e = container_of((union relay_stream *)(void *)stream, struct relay_end, is);
    if (got == UV_EOF) {
        finish(e);
    } else if (got < 0) {
        relay_close(e->relay);
    } else if (got > 0) {
        uv_buf_t said = uv_buf_init(e->buffer, (unsigned)got);
        uv_read_stop(stream);
        if (uv_write(&e->write, &e->other->is.stream, &said, 1, on_written) != 0)
            relay_close(e->relay);
    }
}

static void listen_to(struct relay_end *e)
{
    if (uv_read_start(&e->is.stream, on_alloc, on_read) != 0)
        relay_close(e->relay);
}

void relay_start(struct relay *r)
{
    listen_to(&r->ends[0]);
    listen_to(&r->ends[1]);
}

void relay_init(uv_loop_t *loop, struct relay *r, bool first_is_pipe, bool second_is_pipe)
{
    const bool pipes[2] = {first_is_pipe, second_is_pipe};

    r->open = 2;
    r->closing = false;
    for (int i = 0; i < 2; i++) {
        struct relay_end *e = &r->ends[i];
        e->relay = r;
        e->other = &r->ends[1 - i];
        e->finished = false;
        int rc = pipes[i] ? uv_pipe_init(loop, &e->is.pipe, 0) : uv_tcp_init(loop, &e->is.tcp);
        assert(rc == 0);
        (void)rc;
    }
}
