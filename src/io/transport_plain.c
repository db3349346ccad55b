/*
 * The plain transport: the bytes of a TCP connection or of a Unix socket as they are.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "core/memory.h"
#include "transport.h"

#define KEEPALIVE_S 60

struct plain {
    struct transport base;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    uv_connect_t connecting;
    uv_shutdown_t shutting;
    bool shut;
};

struct write {
    uv_write_t request;
    struct plain *plain;
    char *data;
    size_t len;
};

static struct plain *plain_of(struct transport *t)
{
    return container_of(t, struct plain, base);
}

static void break_off(struct plain *p, int error)
{
    if (!uv_is_closing(&p->handle))
        p->base.events->broken(p->base.owner, uv_strerror(error));
}

/* Small answers must not wait for an acknowledgement, and a peer that vanished must be noticed. */
static void tune(struct plain *p)
{
    if (p->handle.type != UV_TCP)
        return;
    uv_tcp_nodelay(&p->tcp, 1);
    uv_tcp_keepalive(&p->tcp, 1, KEEPALIVE_S);
}

/* -- reading ------------------------------------------------------------------------------------- */

/* One for all: what is read into it has been taken when the next read comes. */
static char scratch[TRANSPORT_READ_BYTES];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct plain *p = handle->data;
    size_t size = sizeof scratch;
    char *room = p->base.events->room(p->base.owner, &size);
    *buffer = uv_buf_init(room != NULL ? room : scratch, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct plain *p = stream->data;
    if (got > 0)
        p->base.events->received(p->base.owner, buffer->base, (size_t)got);
    if (got < 0)
        uv_read_stop(stream);
    if (got == UV_EOF)
        p->base.events->ended(p->base.owner);
    else if (got < 0)
        break_off(p, (int)got);
}

static void plain_read(struct transport *t, bool on)
{
    struct plain *p = plain_of(t);
    if (uv_is_closing(&p->handle))
        return;
    if (on)
        uv_read_start(&p->stream, on_alloc, on_read);
    else
        uv_read_stop(&p->stream);
}

/* -- writing ------------------------------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status)
{
    struct write *w = container_of(request, struct write, request);
    struct plain *p = w->plain;
    size_t len = w->len;
    free(w->data);
    free(w);
    if (status < 0)
        break_off(p, status);
    else
        p->base.events->sent(p->base.owner, len);
}

static void plain_write(struct transport *t, struct buf *bytes)
{
    struct write *w = mem_new(1, sizeof *w);
    w->plain = plain_of(t);
    w->len = bytes->len;
    w->data = buf_take(bytes);
    uv_buf_t buffer = uv_buf_init(w->data, (unsigned)w->len);
    if (uv_write(&w->request, &w->plain->stream, &buffer, 1, on_written) < 0) {
        free(w->data); /* our side is shut or closing: whoever closes it gives the reason */
        free(w);
    }
}

static void on_shut(uv_shutdown_t *request, int status)
{
}

static void plain_shut(struct transport *t)
{
    struct plain *p = plain_of(t);
    if (!p->shut && !uv_is_closing(&p->handle))
        uv_shutdown(&p->shutting, &p->stream, on_shut);
    p->shut = true;
}

/* -- opening and closing ------------------------------------------------------------------------- */

static int plain_accept(struct transport *t, uv_stream_t *server)
{
    struct plain *p = plain_of(t);
    int rc = uv_accept(server, &p->stream);
    if (rc == 0)
        tune(p);
    return rc;
}

static void on_connect(uv_connect_t *request, int status)
{
    struct plain *p = container_of(request, struct plain, connecting);
    if (uv_is_closing(&p->handle))
        return;
    if (status < 0) {
        break_off(p, status);
        return;
    }
    tune(p);
    p->base.events->opened(p->base.owner);
}

static int plain_connect(struct transport *t, const struct sockaddr *to)
{
    struct plain *p = plain_of(t);
    const struct sockaddr_un *local = (const void *)to;
    if (to->sa_family != AF_UNIX)
        return uv_tcp_connect(&p->connecting, &p->tcp, to, on_connect);
    uv_pipe_connect(&p->connecting, &p->pipe, local->sun_path, on_connect);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct plain *p = handle->data;
    p->base.events->closed(p->base.owner);
    free(p);
}

static void plain_close(struct transport *t)
{
    uv_close(&plain_of(t)->handle, on_closed);
}

static void plain_peer(struct transport *t, char *text, size_t size)
{
    struct plain *p = plain_of(t);
    struct sockaddr_storage address;
    int len = sizeof address;
    if (p->handle.type != UV_TCP)
        snprintf(text, size, "control client");
    else if (uv_tcp_getpeername(&p->tcp, (struct sockaddr *)&address, &len) < 0)
        snprintf(text, size, "somebody who left at once");
    else
        transport_address_text((struct sockaddr *)&address, text, size);
}

static const char *plain_key(struct transport *t)
{
    return "";
}

void transport_address_text(const struct sockaddr *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    const struct sockaddr_un *local = (const void *)address;
    if (address->sa_family == AF_UNIX) {
        snprintf(text, size, "%s", local->sun_path);
    } else if (address->sa_family == AF_INET6) {
        uv_ip6_name(v6, host, sizeof host);
        snprintf(text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        uv_ip4_name(v4, host, sizeof host);
        snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
    }
}

static const struct transport_kind plain_kind = {
    .accept = plain_accept,
    .connect = plain_connect,
    .read = plain_read,
    .write = plain_write,
    .shut = plain_shut,
    .close = plain_close,
    .peer = plain_peer,
    .key = plain_key,
};

struct transport *transport_plain_new(uv_loop_t *loop, bool local, const struct transport_events *events,
                                      void *owner)
{
    struct plain *p = mem_new(1, sizeof *p);
    p->base = (struct transport){&plain_kind, events, owner};
    signal(SIGPIPE, SIG_IGN); /* libuv writes without MSG_NOSIGNAL: a peer that left must not end us */
    if (local)
        uv_pipe_init(loop, &p->pipe, 0);
    else
        uv_tcp_init(loop, &p->tcp);
    p->handle.data = p;
    return &p->base;
}
