/*
 * The proxy of a build. cell.c opens it before the build's command and closes it behind it.
 *
 * A visit is one connection of the build:
 *
 *     read the head ─▶ judge the host ─▶ resolve ─▶ judge the address ─▶ connect ─▶ answer or pass on ─▶ relay
 *            └─────────────────┴────────────┴──────────────┴──────────────┴──▶ say why not ─▶ close
 *
 * The index may be anywhere, on this machine too, for the operator has put it there. Other hosts must have an
 * address of the Internet: a name may be made to point at our own network.
 */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "proxy_request.h"
#include "relay.h"
#include "sandbox.h"

#define MAX_VISITS 64
#define ANSWER_SIZE 512

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

struct visit {
    struct relay relay;              /* from the build to the server */
    struct proxy *proxy;
    struct visit *next, **link;
    struct proxy_request request;
    struct buf heard;                /* the head, then whatever came with it */
    bool to_index;
    bool resolving;
    bool gone;                       /* its handles are */
    uv_getaddrinfo_t lookup;
    struct addrinfo *addresses, *address;
    uv_connect_t connect;
    uv_write_t write;
    char answer[ANSWER_SIZE];
};

/* ---- the end of a visit ---- */

static void close_if_last(struct proxy *p)
{
    if (--p->open == 0)
        p->closed(p);
}

static void free_if_idle(struct visit *v)
{
    struct proxy *p = v->proxy;
    if (!v->gone || v->resolving)
        return;
    *v->link = v->next;
    if (v->next != NULL)
        v->next->link = v->link;
    uv_freeaddrinfo(v->addresses);
    buf_release(&v->request.head);
    buf_release(&v->heard);
    free(v);
    p->visit_count--;
    close_if_last(p);
}

static void on_relay_closed(struct relay *r)
{
    struct visit *v = container_of(r, struct visit, relay);
    v->gone = true;
    if (v->resolving)
        uv_cancel((uv_req_t *)&v->lookup);
    free_if_idle(v);
}

static uv_stream_t *client_of(struct visit *v)
{
    return &v->relay.ends[0].is.stream;
}

static uv_stream_t *server_of(struct visit *v)
{
    return &v->relay.ends[1].is.stream;
}

static void on_refusal_written(uv_write_t *w, int status)
{
    relay_close(&container_of(w, struct visit, write)->relay);
}

/* An answer of our own, and the end. */
static void answer(struct visit *v, const char *status, const char *why)
{
    snprintf(v->answer, sizeof v->answer,
             "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n", status,
             strlen(why) + 1, why);
    uv_buf_t text = uv_buf_init(v->answer, (unsigned)strlen(v->answer));
    if (uv_write(&v->write, client_of(v), &text, 1, on_refusal_written) != 0)
        relay_close(&v->relay);
}

static void refuse(struct visit *v, const char *why)
{
    char place[300];
    snprintf(place, sizeof place, "%s:%s", v->request.place.host, v->request.place.port);
    v->proxy->refused(v->proxy, place, why);
    answer(v, "403 Forbidden", why);
}

/* ---- connected ---- */

static void on_first_written(uv_write_t *w, int status)
{
    struct visit *v = container_of(w, struct visit, write);
    if (status != 0)
        relay_close(&v->relay);
    else if (!v->relay.closing)
        relay_start(&v->relay);
}

/* Says 200 to the client of a tunnel, the head to another's server; what came behind the head goes there too. */
static void begin_relay(struct visit *v)
{
    uv_buf_t rest = uv_buf_init(v->heard.data, (unsigned)v->heard.len);
    uv_buf_t head = uv_buf_init(v->request.head.data, (unsigned)v->request.head.len);
    uv_buf_t pieces[] = {head, rest};
    int rc;

    if (v->request.tunnel) {
        uv_buf_t yes = uv_buf_init((char *)established, sizeof established - 1);
        rc = uv_try_write(client_of(v), &yes, 1) == (int)yes.len ? 0 : UV_EPIPE;
        if (rc == 0)
            rc = uv_write(&v->write, server_of(v), &rest, 1, on_first_written);
    } else {
        rc = uv_write(&v->write, server_of(v), pieces, 2, on_first_written);
    }
    if (rc != 0)
        relay_close(&v->relay);
}

/* ---- connecting ---- */

static const char no_connection[] = "the server cannot be reached";

/* A status would pass for the server's own answer, and pip takes one it does not know for "there is no such package". Whose
 * connection just ends tries again, says so, and gives up for want of a network. */
static void say_unreachable(struct visit *v, const char *why)
{
    if (v->request.tunnel)
        answer(v, "502 Bad Gateway", why);
    else
        relay_close(&v->relay);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct visit *v = container_of(request, struct visit, connect);
    if (v->relay.closing)
        return;
    if (status == 0)
        begin_relay(v);
    else
        say_unreachable(v, no_connection);
}

/* The first address that is allowed; IPv4 first, for many machines have only half an IPv6. */
static void connect_to_best(struct visit *v)
{
    const struct addrinfo *best = NULL;

    for (const struct addrinfo *a = v->addresses; a != NULL; a = a->ai_next) {
        if (!v->to_index && !proxy_is_public(a->ai_addr))
            continue;
        if (best == NULL || (best->ai_family != AF_INET && a->ai_family == AF_INET))
            best = a;
    }
    if (best == NULL)
        refuse(v, "its address is not one of the Internet");
    else if (uv_tcp_connect(&v->connect, &v->relay.ends[1].is.tcp, best->ai_addr, on_connected) != 0)
        say_unreachable(v, no_connection);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct visit *v = container_of(request, struct visit, lookup);
    v->resolving = false;
    v->addresses = found;
    if (v->relay.closing)
        free_if_idle(v);
    else if (status != 0)
        say_unreachable(v, "the name of the server is not known");
    else
        connect_to_best(v);
}

static void resolve(struct visit *v)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    const struct proxy_place *place = &v->request.place;

    v->resolving = true;
    if (uv_getaddrinfo(v->proxy->server.loop, &v->lookup, on_resolved, place->host, place->port, &hints) == 0)
        return;
    v->resolving = false;
    say_unreachable(v, no_connection);
}

/* ---- the head ---- */

static void judge(struct visit *v)
{
    const struct proxy *p = v->proxy;

    v->to_index = proxy_is_index(p->index_url, &v->request.place);
    if (v->to_index || proxy_is_allowed(p->hosts, &v->request.place))
        resolve(v);
    else
        refuse(v, "builds reach the index only");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct relay_end *e = container_of((union relay_stream *)(void *)handle, struct relay_end, is);
    *buffer = uv_buf_init(e->buffer, sizeof e->buffer);
}

static void on_head(uv_stream_t *client, ssize_t got, const uv_buf_t *buffer)
{
    struct relay_end *e = container_of((union relay_stream *)(void *)client, struct relay_end, is);
    struct visit *v = container_of(e->relay, struct visit, relay);

    if (got < 0 || (got > 0 && buf_add(&v->heard, buffer->base, (size_t)got) != 0)) {
        relay_close(&v->relay);
        return;
    }
    size_t len = proxy_head_length(v->heard.data, v->heard.len);
    if (len == 0)
        return;
    uv_read_stop(client);
    int error = proxy_request_read(v->heard.data, len, &v->request);
    buf_drop(&v->heard, len);
    if (error != 0)
        answer(v, "400 Bad Request", "this is no request to a proxy");
    else
        judge(v);
}

/* ---- the door ---- */

static void on_visit(uv_stream_t *server, int status)
{
    struct proxy *p = server->data;
    struct visit *v = mem_new(1, sizeof *v);

    relay_init(server->loop, &v->relay, true, false);
    v->relay.closed = on_relay_closed;
    v->proxy = p;
    v->next = p->visits;
    v->link = &p->visits;
    if (v->next != NULL)
        v->next->link = &v->next;
    p->visits = v;
    p->open++;
    p->visit_count++;
    buf_init(&v->heard, PROXY_HEAD_MAX_BYTES);
    if (status != 0 || uv_accept(server, client_of(v)) != 0 || p->visit_count > MAX_VISITS || p->closing ||
        uv_read_start(client_of(v), on_alloc, on_head) != 0)
        relay_close(&v->relay);
}

/* The address of a Unix socket is short, the path of a build's directory may not be. */
static int listen_in(struct proxy *p, const char *dir)
{
    char path[64];

    p->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0)
        return -errno;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", p->dir, SANDBOX_PROXY_SOCKET);
    int rc = uv_pipe_bind(&p->server, path);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&p->server, MAX_VISITS, on_visit);
    return rc;
}

static void on_server_closed(uv_handle_t *handle)
{
    struct proxy *p = handle->data;
    if (p->dir >= 0)
        close(p->dir);
    close_if_last(p);
}

int proxy_open(uv_loop_t *loop, struct proxy *p, const char *dir)
{
    p->visits = NULL;
    p->visit_count = 0;
    p->open = 1;
    p->closing = false;
    uv_pipe_init(loop, &p->server, 0);
    p->server.data = p;
    return listen_in(p, dir);
}

void proxy_close(struct proxy *p)
{
    if (p->closing)
        return;
    p->closing = true;
    for (struct visit *v = p->visits; v != NULL; v = v->next)
        relay_close(&v->relay);
    uv_close((uv_handle_t *)&p->server, on_server_closed);
}
