/*
 * Connections of the loopback PyPI. Each goes round
 *
 *     READING_HEAD -> READING_BODY -> ANSWERING -> READING_HEAD (kept alive) or closed
 *
 * with at most one write in flight; what a client sends ahead waits in `input`. main.c opens the
 * server, routes.c gives the answers.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"

#define CHUNK_BYTES (64 * 1024)
#define DRIP_MS 100

enum reading { READING_HEAD, READING_BODY, ANSWERING, CLOSING };

struct connection {
    struct server *server;
    struct connection *next, **link; /* in the server's list */
    uv_tcp_t tcp;
    uv_timer_t timer;                /* idleness, or the next drip */
    uv_write_t write;
    unsigned handles;                /* open ones; the last to close frees */
    enum reading at;
    struct buf input;                /* bytes not yet used */
    char *head;                      /* of the request being read or answered; the request points into it */
    struct request request;
    struct response response;
    bool keep_alive;
    uint64_t sent;                   /* bytes of the body */
    struct buf output;               /* the write in flight */
};

static void serve_next(struct connection *c);

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;

    if (--c->handles > 0)
        return;
    response_release(&c->response);
    buf_release(&c->input);
    buf_release(&c->output);
    free(c->head);
    free(c);
}

static void connection_close(struct connection *c)
{
    if (c->at == CLOSING)
        return;
    c->at = CLOSING;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->server->connection_count--;
    uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
    uv_close((uv_handle_t *)&c->timer, on_connection_closed);
}

static void on_idle(uv_timer_t *timer)
{
    connection_close(timer->data);
}

static void watch_idleness(struct connection *c)
{
    uv_timer_start(&c->timer, on_idle, SERVER_IDLE_MS, 0);
}

/* ---- sending ---- */

/* How much of the body this answer sends at all. */
static uint64_t body_end(const struct connection *c)
{
    const struct response *r = &c->response;

    if (request_is_head(&c->request))
        return 0;
    return r->manner == MANNER_CUT && r->manner_argument < r->length ? r->manner_argument : r->length;
}

static size_t step_bytes(const struct connection *c)
{
    const struct response *r = &c->response;
    uint64_t left = body_end(c) - c->sent, step = CHUNK_BYTES;

    if (r->manner == MANNER_DRIP)
        step = r->manner_argument * DRIP_MS / 1000 > 0 ? r->manner_argument * DRIP_MS / 1000 : 1;
    if (step > CHUNK_BYTES)
        step = CHUNK_BYTES;
    return (size_t)(left < step ? left : step);
}

/* Adds the next part of the body to `output`. False when the file has become shorter than promised. */
static bool add_body(struct connection *c)
{
    const struct response *r = &c->response;
    size_t bytes = step_bytes(c);
    uint64_t from = r->offset + c->sent;

    c->sent += bytes;
    if (r->fd < 0) {
        buf_add(&c->output, r->body.data + from, bytes);
        return true;
    }
    char chunk[CHUNK_BYTES];
    if (pread(r->fd, chunk, bytes, (off_t)from) != (ssize_t)bytes)
        return false;
    buf_add(&c->output, chunk, bytes);
    return true;
}

static void end_answer(struct connection *c)
{
    if (!c->keep_alive || c->response.manner == MANNER_CUT) {
        connection_close(c);
        return;
    }
    response_reset(&c->response, 200);
    c->request = (struct request){0};
    free(c->head);
    c->head = NULL;
    c->at = READING_HEAD;
    serve_next(c);
}

static void send_more(struct connection *c);

static void on_drip(uv_timer_t *timer)
{
    send_more(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;

    if (c->at == CLOSING)
        return;
    buf_clear(&c->output);
    if (status < 0)
        connection_close(c);
    else if (c->sent == body_end(c))
        end_answer(c);
    else if (c->response.manner == MANNER_DRIP)
        uv_timer_start(&c->timer, on_drip, DRIP_MS, 0);
    else
        send_more(c);
}

static void send_more(struct connection *c)
{
    watch_idleness(c);
    if (!add_body(c)) {
        connection_close(c);
        return;
    }
    uv_buf_t bytes = uv_buf_init(c->output.data, (unsigned)c->output.len);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_written) < 0)
        connection_close(c);
}

static void start_sending(struct connection *c)
{
    c->at = ANSWERING;
    c->sent = 0;
    if (c->response.manner == MANNER_STALL) {
        uv_timer_stop(&c->timer);
        return;
    }
    response_head(&c->response, c->keep_alive, &c->output);
    send_more(c);
}

/* ---- reading ---- */

static void refuse(struct connection *c, int status)
{
    response_plain(&c->response, status, "the request cannot be served");
    c->keep_alive = false;
    start_sending(c);
}

/* Takes a whole head from the input. False while there is none. */
static bool take_head(struct connection *c)
{
    const char *end = memmem(c->input.data, c->input.len, "\r\n\r\n", 4);
    size_t len = end ? (size_t)(end - c->input.data) : c->input.len;

    if (len > HTTP_HEAD_MAX_BYTES) {
        refuse(c, 431);
        return false;
    }
    if (!end)
        return false;
    int refused = memchr(c->input.data, '\0', len) ? 400 : 0;
    c->head = mem_textn(c->input.data, len);
    buf_drop(&c->input, len + 4);
    if (refused == 0)
        refused = request_parse(&c->request, c->head);
    if (refused != 0) {
        refuse(c, refused);
        return false;
    }
    c->at = READING_BODY;
    return true;
}

static void serve_next(struct connection *c)
{
    watch_idleness(c);
    if (c->at == READING_HEAD && !take_head(c))
        return;
    if (c->at != READING_BODY || c->input.len < c->request.body_len)
        return;
    c->request.body = c->input.data;
    c->keep_alive = c->request.keep_alive;
    c->server->answer(c->server->owner, &c->request, &c->response);
    c->request.body = NULL;
    buf_drop(&c->input, c->request.body_len);
    start_sending(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *to)
{
    *to = uv_buf_init(mem_new(1, CHUNK_BYTES), CHUNK_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *from)
{
    struct connection *c = stream->data;
    bool lost = len < 0 || (len > 0 && buf_add(&c->input, from->base, (size_t)len) != 0);

    free(from->base);
    if (lost)
        connection_close(c);
    else if (c->at != ANSWERING)
        serve_next(c);
}

/* ---- the listening socket ---- */

static void on_connection(uv_stream_t *stream, int status)
{
    struct server *s = stream->data;

    if (status < 0)
        return;
    struct connection *c = mem_new(1, sizeof(*c));
    c->server = s;
    c->link = &s->connections;
    c->next = s->connections;
    if (c->next)
        c->next->link = &c->next;
    s->connections = c;
    s->connection_count++;
    buf_init(&c->input, HTTP_HEAD_MAX_BYTES + HTTP_BODY_MAX_BYTES + CHUNK_BYTES);
    buf_init(&c->output, HTTP_HEAD_MAX_BYTES + 2 * CHUNK_BYTES);
    response_init(&c->response);
    uv_tcp_init(stream->loop, &c->tcp);
    uv_timer_init(stream->loop, &c->timer);
    c->tcp.data = c->timer.data = c->write.data = c;
    c->handles = 2;
    if (uv_accept(stream, (uv_stream_t *)&c->tcp) < 0 || s->connection_count > SERVER_CONNECTIONS_MAX ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0) {
        connection_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    watch_idleness(c);
}

/* Reads "ADDRESS:PORT"; an IPv6 address may stand in brackets. */
static int parse_address(const char *listen, struct sockaddr_storage *to)
{
    char host[64];
    unsigned long long port;
    const char *colon = strrchr(listen, ':');
    bool bracketed = listen[0] == '[' && colon && colon[-1] == ']';

    if (!colon || text_to_u64(colon + 1, &port) != 0 || port > 65535)
        return -EINVAL;
    const char *first = listen + bracketed;
    size_t len = (size_t)(colon - first) - bracketed;
    if (len >= sizeof(host))
        return -EINVAL;
    memcpy(host, first, len);
    host[len] = '\0';
    if (bracketed)
        return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)to);
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)to);
}

static int write_url(struct server *s)
{
    struct sockaddr_storage bound;
    char host[64];
    int len = sizeof(bound);
    int error = uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&bound, &len);

    if (error)
        return error;
    bool v6 = bound.ss_family == AF_INET6;
    uv_ip_name((struct sockaddr *)&bound, host, sizeof(host));
    unsigned port = ntohs(v6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                             : ((struct sockaddr_in *)&bound)->sin_port);
    snprintf(s->url, sizeof(s->url), v6 ? "http://[%s]:%u" : "http://%s:%u", host, port);
    return 0;
}

int server_open(struct server *s, uv_loop_t *loop, const char *listen, server_answer *answer, void *owner)
{
    struct sockaddr_storage address;
    int error = parse_address(listen, &address);

    *s = (struct server){.answer = answer, .owner = owner};
    if (error)
        return error;
    uv_tcp_init(loop, &s->tcp);
    s->tcp.data = s;
    error = uv_tcp_bind(&s->tcp, (struct sockaddr *)&address, 0);
    if (!error)
        error = uv_listen((uv_stream_t *)&s->tcp, 128, on_connection);
    if (!error)
        error = write_url(s);
    if (error)
        uv_close((uv_handle_t *)&s->tcp, NULL);
    return error;
}

void server_close(struct server *s)
{
    while (s->connections)
        connection_close(s->connections);
    uv_close((uv_handle_t *)&s->tcp, NULL);
}
