/*
 * io/http against a small server on the loopback address, in the same process and on the same loop.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include <cmocka.h>

#include "core/memory.h"
#include "io/http.h"

#define FLOOD_BYTES (8u << 20)

/* ---- the server: each path has one answer, then the connection is closed ---- */

struct peer {
    uv_tcp_t tcp;
    char heard[4096];
    size_t len;
    struct server *server;
};

struct server {
    uv_tcp_t tcp;
    int port;
    unsigned connections, most_connections;
    char last_request[4096];
    const char *zipped; /* what /zipped sends */
    size_t zipped_len;
};

static void on_peer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    peer->server->connections--;
    free(peer);
}

static void hang_up(struct peer *peer)
{
    if (!uv_is_closing((uv_handle_t *)&peer->tcp))
        uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
}

static void say(struct peer *peer, const char *text, size_t len)
{
    uv_buf_t b = uv_buf_init((char *)text, (unsigned)len);
    assert_int_equal(uv_try_write((uv_stream_t *)&peer->tcp, &b, 1), (int)len);
}

static const struct {
    const char *path, *answer;
} answers[] = {
    {"/ok", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"abc\"\r\n"
            "Content-Type: Text/HTML; charset=UTF-8\r\n"
            "X-PyPI-Last-Serial: 40123456\r\nConnection: close\r\n\r\nhello"},
    {"/bare", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"},
    {"/unchanged", "HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nConnection: close\r\n\r\n"},
    {"/busy", "HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\nRetry-After: 30\r\nConnection: close\r\n\r\n"},
    {"/ages", "HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: 99999999999999999999\r\n"
              "Connection: close\r\n\r\n"},
    {"/past", "HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "Connection: close\r\n\r\n"},
    {"/odd", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nRetry-After: soon\r\nX-PyPI-Last-Serial: -5x\r\n"
             "Connection: close\r\n\r\n"},
    {"/moved", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nETag: \"old\"\r\nContent-Length: 3\r\n"
               "Connection: close\r\n\r\nbye"},
    {"/moved-post", "HTTP/1.1 301 Moved\r\nLocation: /ok\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
    {"/loop", "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
    {"/away", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n"
              "Connection: close\r\n\r\n"},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\nonly this"},
    {"/cut-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                   "100\r\nonly this"},
    {"/nothing", ""},
    {"/gibberish", "220 mail.example ESMTP ready\r\n\r\n"},
};

static void on_flood_written(uv_write_t *write, int status)
{
    struct peer *peer = write->data;

    free(write);
    hang_up(peer);
}

/* FLOOD_BYTES bytes that count up, more than the sockets hold. */
static void flood(struct peer *peer)
{
    static char body[FLOOD_BYTES];
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    uv_buf_t parts[] = {uv_buf_init((char *)head, sizeof head - 1), uv_buf_init(body, sizeof body)};
    uv_write_t *write = mem_new(1, sizeof *write);

    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)(i % 251);
    write->data = peer;
    uv_write(write, (uv_stream_t *)&peer->tcp, parts, 2, on_flood_written);
}

static void answer(struct peer *peer, const char *path)
{
    if (strcmp(path, "/flood") == 0) {
        flood(peer);
        return;
    }
    if (strcmp(path, "/stall") == 0)
        return;
    if (strcmp(path, "/zipped") == 0) {
        char head[256];
        int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                           "Content-Length: %zu\r\nConnection: close\r\n\r\n", peer->server->zipped_len);
        say(peer, head, (size_t)len);
        say(peer, peer->server->zipped, peer->server->zipped_len);
    } else {
        for (size_t i = 0; i < COUNT_OF(answers); i++) {
            if (strcmp(path, answers[i].path) == 0 && answers[i].answer[0] != '\0')
                say(peer, answers[i].answer, strlen(answers[i].answer));
        }
    }
    hang_up(peer);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *b)
{
    struct peer *peer = handle->data;
    *b = uv_buf_init(peer->heard + peer->len, (unsigned)(sizeof peer->heard - 1 - peer->len));
}

static void on_heard(uv_stream_t *stream, ssize_t len, const uv_buf_t *b)
{
    struct peer *peer = stream->data;
    char path[256] = "";

    if (len < 0) {
        hang_up(peer);
        return;
    }
    peer->len += (size_t)len;
    peer->heard[peer->len] = '\0';
    if (strstr(peer->heard, "\r\n\r\n") == NULL)
        return;
    const char *length = strstr(peer->heard, "Content-Length: ");
    if (length != NULL && strlen(strstr(peer->heard, "\r\n\r\n") + 4) < strtoul(length + 16, NULL, 10))
        return;
    assert_int_equal(sscanf(peer->heard, "%*[A-Z] %255s", path), 1);
    strcpy(peer->server->last_request, peer->heard);
    answer(peer, path);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct server *server = stream->data;
    struct peer *peer = mem_new(1, sizeof *peer);

    uv_tcp_init(stream->loop, &peer->tcp);
    peer->tcp.data = peer;
    peer->server = server;
    assert_int_equal(uv_accept(stream, (uv_stream_t *)&peer->tcp), 0);
    if (++server->connections > server->most_connections)
        server->most_connections = server->connections;
    uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_heard);
}

/* ---- the world of a test ---- */

struct world {
    uv_loop_t loop;
    struct server server;
    struct http *http;
    uv_timer_t limit;
    bool closed;
};

/* A request, and what became of it. */
struct get {
    struct http_request request;
    struct world *world;
    int error;
    unsigned completions;
    bool inside;            /* http_get has not returned yet */
    struct get *then_get, *then_cancel;
    size_t sunk, hold_at;   /* bytes that its sink took; where it wants no more for now, or 0 */
    bool then_close;
};

static void on_limit(uv_timer_t *timer)
{
    fail_msg("nothing happened for two minutes");
}

static void on_http_closed(void *owner)
{
    struct world *w = owner;
    w->closed = true;
    uv_stop(&w->loop);
}

static int set_up(void **state)
{
    struct world *w = mem_new(1, sizeof *w);
    struct sockaddr_in address;
    int len = sizeof address;

    uv_loop_init(&w->loop);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&w->loop, &w->server.tcp);
    w->server.tcp.data = &w->server;
    uv_tcp_bind(&w->server.tcp, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&w->server.tcp, 64, on_connection), 0);
    uv_tcp_getsockname(&w->server.tcp, (struct sockaddr *)&address, &len);
    w->server.port = ntohs(address.sin_port);
    uv_timer_init(&w->loop, &w->limit);
    uv_timer_start(&w->limit, on_limit, 120000, 0);
    w->http = http_open(&w->loop, "piwheels-test/1 (someone@example.org)");
    *state = w;
    return 0;
}

static void on_leftover(uv_handle_t *handle, void *arg)
{
    const struct world *w = arg;

    if (uv_is_closing(handle))
        return;
    bool ours = handle == (const uv_handle_t *)&w->server.tcp || handle == (const uv_handle_t *)&w->limit;
    if (ours)
        uv_close(handle, NULL);
    else if (handle->type == UV_TCP)
        hang_up(handle->data);
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (w->http != NULL)
        http_close(w->http, on_http_closed, w);
    while (!w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_walk(&w->loop, on_leftover, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    return 0;
}

static void start(struct get *g);

static void on_got(struct http_request *r, int error)
{
    struct get *g = container_of(r, struct get, request);
    struct world *w = g->world;

    assert_false(g->inside);
    g->error = error;
    g->completions++;
    uv_stop(&w->loop); /* UV_RUN_ONCE would go on to wait for something else */
    if (g->then_get != NULL)
        start(g->then_get);
    if (g->then_cancel != NULL)
        http_cancel(&g->then_cancel->request);
    if (g->then_close) {
        http_close(w->http, on_http_closed, w);
        w->http = NULL;
    }
}

static void begin(struct get *g, struct world *w, const char *path)
{
    static char urls[64][128]; /* enough for the requests of one test */
    static unsigned next;
    char *url = urls[next++ % COUNT_OF(urls)];

    snprintf(url, sizeof urls[0], "http://127.0.0.1:%d%s", w->server.port, path);
    *g = (struct get){.world = w};
    g->request.url = url;
    g->request.max_bytes = 1000;
    g->request.done = on_got;
}

static void start(struct get *g)
{
    g->inside = true;
    http_get(g->world->http, &g->request);
    g->inside = false;
}

static void wait_for(struct get *g)
{
    while (g->completions == 0)
        uv_run(&g->world->loop, UV_RUN_ONCE);
    assert_int_equal(g->completions, 1);
}

/* Holds once at `hold_at`. */
static bool take_flood(struct http_request *r, const char *data, size_t len)
{
    struct get *g = container_of(r, struct get, request);

    assert_false(g->inside);
    for (size_t i = 0; i < len; i++)
        assert_int_equal((unsigned char)data[i], (g->sunk + i) % 251);
    g->sunk += len;
    if (g->hold_at == 0 || g->sunk < g->hold_at)
        return true;
    g->hold_at = 0;
    return false;
}

static void begin_sink(struct get *g, struct world *w, const char *path)
{
    begin(g, w, path);
    g->request.sink = take_flood;
    g->request.max_bytes = FLOOD_BYTES;
}

static void get(struct get *g, struct world *w, const char *path)
{
    begin(g, w, path);
    start(g);
    wait_for(g);
}

/* ---- answers ---- */

static void an_answer_has_status_headers_and_body(void **state)
{
    struct get g;

    get(&g, *state, "/ok");
    assert_int_equal(g.error, 0);
    assert_int_equal(g.request.status, 200);
    assert_string_equal(g.request.body.data, "hello");
    assert_string_equal(g.request.etag, "\"abc\"");
    assert_string_equal(g.request.content_type, "text/html");
    assert_int_equal(g.request.last_serial, 40123456);
    assert_int_equal(g.request.retry_after_ms, -1);
    assert_string_equal(g.request.reason, "");
    http_request_release(&g.request);
}

static void absent_and_odd_headers_are_told_as_absent(void **state)
{
    struct get g;

    get(&g, *state, "/odd");
    assert_int_equal(g.error, 0);
    assert_string_equal(g.request.etag, "");
    assert_string_equal(g.request.content_type, "");
    assert_int_equal(g.request.last_serial, -1);
    assert_int_equal(g.request.retry_after_ms, -1);
    http_request_release(&g.request);
}

static void an_error_status_is_an_answer(void **state)
{
    struct get g;

    get(&g, *state, "/missing");
    assert_int_equal(g.error, 0);
    assert_int_equal(g.request.status, 404);
    http_request_release(&g.request);
}

static void the_question_carries_accept_etag_and_user_agent(void **state)
{
    struct world *w = *state;
    struct get g;

    begin(&g, w, "/unchanged");
    g.request.accept = "application/vnd.pypi.simple.v1+json";
    g.request.if_none_match = "\"abc\"";
    start(&g);
    wait_for(&g);
    assert_int_equal(g.request.status, 304);
    assert_non_null(strstr(w->server.last_request, "\r\nAccept: application/vnd.pypi.simple.v1+json\r\n"));
    assert_non_null(strstr(w->server.last_request, "\r\nIf-None-Match: \"abc\"\r\n"));
    assert_non_null(strstr(w->server.last_request, "\r\nUser-Agent: piwheels-test/1 (someone@"));
    assert_non_null(strstr(w->server.last_request, "gzip"));
    http_request_release(&g.request);
}

static void retry_after_is_read_in_seconds(void **state)
{
    struct get g;

    get(&g, *state, "/busy");
    assert_int_equal(g.request.status, 429);
    assert_int_equal(g.request.retry_after_ms, 30000);
    http_request_release(&g.request);
}

static void retry_after_is_read_as_a_date(void **state)
{
    struct get g;

    get(&g, *state, "/past");
    assert_int_equal(g.request.retry_after_ms, 0);
    http_request_release(&g.request);
}

static void retry_after_for_ages_is_a_week(void **state)
{
    struct get g;

    get(&g, *state, "/ages");
    assert_int_equal(g.request.retry_after_ms, (int64_t)7 * 24 * 3600 * 1000);
    http_request_release(&g.request);
}

static void a_redirect_is_followed_and_only_its_end_counts(void **state)
{
    struct get g;

    get(&g, *state, "/moved");
    assert_int_equal(g.error, 0);
    assert_int_equal(g.request.status, 200);
    assert_string_equal(g.request.body.data, "hello");
    assert_string_equal(g.request.etag, "\"abc\"");
    http_request_release(&g.request);
}

static void a_request_may_be_used_again(void **state)
{
    struct get g;

    get(&g, *state, "/ok");
    g.completions = 0;
    start(&g);
    wait_for(&g);
    assert_string_equal(g.request.body.data, "hello");
    http_request_release(&g.request);
}

static char *zip(const char *data, size_t len, size_t *zipped_len)
{
    z_stream z = {.next_in = (unsigned char *)data, .avail_in = (unsigned)len};
    char *zipped = mem_new(len + 100, 1);

    z.next_out = (unsigned char *)zipped;
    z.avail_out = (unsigned)len + 100;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *zipped_len = z.total_out;
    deflateEnd(&z);
    return zipped;
}

static void get_zipped(struct get *g, struct world *w, size_t len)
{
    char *data = mem_new(len + 1, 1);

    memset(data, 'x', len);
    char *zipped = zip(data, len, &w->server.zipped_len);
    w->server.zipped = zipped;
    get(g, w, "/zipped");
    free(zipped);
    free(data);
}

static void a_compressed_body_is_decoded(void **state)
{
    struct get g;

    get_zipped(&g, *state, 1000);
    assert_int_equal(g.error, 0);
    assert_int_equal(g.request.body.len, 1000);
    http_request_release(&g.request);
}

/* ---- failures ---- */

static void the_limit_counts_decoded_bytes(void **state)
{
    struct get g;

    get_zipped(&g, *state, 1001);
    assert_int_equal(g.error, -EFBIG);
    assert_string_equal(g.request.reason, "the answer is larger than 1000 bytes");
    http_request_release(&g.request);
}

static void expect_failure(struct world *w, const char *path, int error, const char *words)
{
    struct get g;

    get(&g, w, path);
    assert_int_equal(g.error, error);
    assert_non_null(strstr(g.request.reason, words));
    http_request_release(&g.request);
}

static void a_redirect_loop_ends(void **state)
{
    expect_failure(*state, "/loop", -ELOOP, "redirected too often");
}

static void a_redirect_to_a_file_is_refused(void **state)
{
    expect_failure(*state, "/away", -EPROTO, "leads away");
}

static void a_body_cut_off_is_an_error(void **state)
{
    expect_failure(*state, "/cut", -EPROTO, "cut off");
    expect_failure(*state, "/cut-chunk", -EPROTO, "cut off");
}

static void a_server_that_hangs_up_is_an_error(void **state)
{
    expect_failure(*state, "/nothing", -EPROTO, "hung up");
}

static void an_answer_that_is_no_http_is_an_error(void **state)
{
    expect_failure(*state, "/gibberish", -EPROTO, "no HTTP");
}

static void a_stalled_server_is_timed_out(void **state)
{
    struct get g;

    begin(&g, *state, "/stall");
    g.request.timeout_ms = 50;
    start(&g);
    wait_for(&g);
    assert_int_equal(g.error, -ETIMEDOUT);
    assert_non_null(strstr(g.request.reason, "too slow"));
    http_request_release(&g.request);
}

static void a_refused_connection_is_unreachable(void **state)
{
    struct get g;

    begin(&g, *state, "/");
    g.request.url = "http://127.0.0.1:1/";
    start(&g);
    wait_for(&g);
    assert_int_equal(g.error, -EHOSTUNREACH);
    assert_non_null(strstr(g.request.reason, "no connection"));
    http_request_release(&g.request);
}

static void an_unknown_host_is_unreachable(void **state)
{
    struct get g;

    begin(&g, *state, "/");
    /* longer than a label may be: nobody is asked for it */
    g.request.url = "http://no-such-host-no-such-host-no-such-host-no-such-host-no-such-host-.invalid/";
    start(&g);
    wait_for(&g);
    assert_int_equal(g.error, -EHOSTUNREACH);
    assert_non_null(strstr(g.request.reason, "not resolved"));
    http_request_release(&g.request);
}

static void other_protocols_and_broken_urls_are_refused(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "", "http://[::1/"};

    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct get g;
        begin(&g, *state, "/");
        g.request.url = urls[i];
        start(&g);
        wait_for(&g);
        assert_int_equal(g.error, -EINVAL);
        http_request_release(&g.request);
    }
}

/* ---- cancelling, closing, crowds ---- */

static void a_cancelled_request_completes_once(void **state)
{
    struct get g;

    begin(&g, *state, "/stall");
    start(&g);
    http_cancel(&g.request);
    http_cancel(&g.request);
    assert_int_equal(g.completions, 0);
    wait_for(&g);
    assert_int_equal(g.error, -ECANCELED);
    http_cancel(&g.request);
    uv_run(&g.world->loop, UV_RUN_NOWAIT);
    assert_int_equal(g.completions, 1);
    http_request_release(&g.request);
}

static void a_completion_may_cancel_another(void **state)
{
    struct get first, second;

    begin(&first, *state, "/ok");
    begin(&second, *state, "/stall");
    first.then_cancel = &second;
    start(&first);
    start(&second);
    wait_for(&second);
    assert_int_equal(first.error, 0);
    assert_int_equal(second.error, -ECANCELED);
    http_request_release(&first.request);
    http_request_release(&second.request);
}

static void a_completion_may_ask_again(void **state)
{
    struct get first, second;

    begin(&first, *state, "/ok");
    begin(&second, *state, "/missing");
    first.then_get = &second;
    start(&first);
    wait_for(&second);
    assert_int_equal(second.request.status, 404);
    http_request_release(&first.request);
    http_request_release(&second.request);
}

static void a_completion_may_close_the_client(void **state)
{
    struct world *w = *state;
    struct get first, second;

    begin(&first, w, "/ok");
    begin(&second, w, "/stall");
    first.then_close = true;
    start(&first);
    start(&second);
    wait_for(&second);
    assert_int_equal(second.error, -ECANCELED);
    while (!w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
    http_request_release(&first.request);
    http_request_release(&second.request);
}

static void closing_cancels_what_runs_and_what_comes(void **state)
{
    struct world *w = *state;
    struct get running, late;

    begin(&running, w, "/stall");
    begin(&late, w, "/ok");
    start(&running);
    http_close(w->http, on_http_closed, w);
    start(&late);
    w->http = NULL;
    assert_int_equal(running.completions + late.completions, 0);
    while (!w->closed)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(running.error, -ECANCELED);
    assert_int_equal(late.error, -ECANCELED);
    assert_int_equal(running.completions + late.completions, 2);
    http_request_release(&running.request);
    http_request_release(&late.request);
}

static void a_host_gets_eight_connections_at_most(void **state)
{
    struct world *w = *state;
    struct get crowd[40];

    for (size_t i = 0; i < COUNT_OF(crowd); i++) {
        begin(&crowd[i], w, "/ok");
        start(&crowd[i]);
    }
    for (size_t i = 0; i < COUNT_OF(crowd); i++) {
        wait_for(&crowd[i]);
        assert_int_equal(crowd[i].error, 0);
        http_request_release(&crowd[i].request);
    }
    assert_in_range(w->server.most_connections, 1, 8);
}

static void a_request_behind_stalled_ones_has_its_own_time(void **state)
{
    struct get stalled[8], last;

    for (size_t i = 0; i < COUNT_OF(stalled); i++) {
        begin(&stalled[i], *state, "/stall");
        stalled[i].request.timeout_ms = 3000;
        start(&stalled[i]);
    }
    begin(&last, *state, "/ok");
    last.request.timeout_ms = 2900;
    start(&last);
    wait_for(&last);
    assert_int_equal(last.error, 0);
    http_request_release(&last.request);
    for (size_t i = 0; i < COUNT_OF(stalled); i++) {
        wait_for(&stalled[i]); /* all have the same time, but they are not over in one turn */
        http_request_release(&stalled[i].request);
    }
}

static void later_is_told_from_no(void **state)
{
    static const int later[] = {408, 425, 429, 500, 502, 503, 504, 599};
    static const int no[] = {200, 304, 400, 401, 403, 404, 410, 451, 600};

    for (size_t i = 0; i < COUNT_OF(later); i++)
        assert_true(http_is_later(later[i]));
    for (size_t i = 0; i < COUNT_OF(no); i++)
        assert_false(http_is_later(no[i]));
}

static void an_urgent_request_waits_for_nobody(void **state)
{
    struct get stalled[16], urgent;

    for (size_t i = 0; i < COUNT_OF(stalled); i++) {
        begin(&stalled[i], *state, "/stall");
        start(&stalled[i]);
    }
    begin(&urgent, *state, "/ok");
    urgent.request.urgent = true;
    start(&urgent);
    wait_for(&urgent);
    assert_int_equal(urgent.error, 0);
    for (size_t i = 0; i < COUNT_OF(stalled); i++) {
        assert_int_equal(stalled[i].completions, 0);
        http_cancel(&stalled[i].request);
    }
    for (size_t i = 0; i < COUNT_OF(stalled); i++) {
        wait_for(&stalled[i]);
        http_request_release(&stalled[i].request);
    }
    http_request_release(&urgent.request);
}

/* ---- posting ---- */

static void a_post_carries_its_body_and_type(void **state)
{
    struct world *w = *state;
    struct get g;

    begin(&g, w, "/ok");
    g.request.post = "<methodCall/>";
    g.request.post_type = "text/xml";
    start(&g);
    wait_for(&g);
    assert_int_equal(g.request.status, 200);
    assert_memory_equal(w->server.last_request, "POST /ok ", 9);
    assert_non_null(strstr(w->server.last_request, "\r\nContent-Type: text/xml\r\n"));
    assert_null(strstr(w->server.last_request, "Expect"));
    assert_string_equal(strstr(w->server.last_request, "\r\n\r\n"), "\r\n\r\n<methodCall/>");
    http_request_release(&g.request);
}

static void a_redirected_post_is_posted_again(void **state)
{
    struct world *w = *state;
    struct get g;

    begin(&g, w, "/moved-post");
    g.request.post = "<methodCall/>";
    g.request.post_type = "text/xml";
    start(&g);
    wait_for(&g);
    assert_memory_equal(w->server.last_request, "POST /ok ", 9);
    assert_non_null(strstr(w->server.last_request, "<methodCall/>"));
    http_request_release(&g.request);
}

/* ---- sinks ---- */

static void a_sink_takes_the_body_as_it_arrives(void **state)
{
    struct get g;

    begin_sink(&g, *state, "/flood");
    start(&g);
    wait_for(&g);
    assert_int_equal(g.error, 0);
    assert_int_equal(g.sunk, FLOOD_BYTES);
    assert_int_equal(g.request.received, FLOOD_BYTES);
    assert_int_equal(g.request.body.len, 0);
    http_request_release(&g.request);
}

static void a_sink_that_holds_gets_nothing_until_it_goes_on(void **state)
{
    struct world *w = *state;
    struct get g;

    begin_sink(&g, w, "/flood");
    g.hold_at = 100000;
    start(&g);
    while (g.hold_at > 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    size_t held_at = g.sunk;
    for (unsigned turn = 0; turn < 50; turn++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(g.sunk, held_at);
    assert_true(held_at < FLOOD_BYTES / 2);
    g.inside = true;
    http_go_on(&g.request);
    g.inside = false;
    wait_for(&g);
    assert_int_equal(g.error, 0);
    assert_int_equal(g.sunk, FLOOD_BYTES);
    http_request_release(&g.request);
}

static void a_held_request_can_be_cancelled(void **state)
{
    struct world *w = *state;
    struct get g;

    begin_sink(&g, w, "/flood");
    g.hold_at = 1;
    start(&g);
    while (g.hold_at > 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    http_go_on(&g.request);
    http_cancel(&g.request);
    wait_for(&g);
    assert_int_equal(g.error, -ECANCELED);
    http_go_on(&g.request);
    http_request_release(&g.request);
}

static void a_body_beyond_the_limit_ends_a_sink_too(void **state)
{
    struct get g;

    begin_sink(&g, *state, "/flood");
    g.request.max_bytes = FLOOD_BYTES - 1;
    start(&g);
    wait_for(&g);
    assert_int_equal(g.error, -EFBIG);
    assert_true(g.sunk < FLOOD_BYTES);
    http_request_release(&g.request);
}

static void what_is_no_200_is_gathered_and_not_sunk(void **state)
{
    struct get g;

    begin_sink(&g, *state, "/missing");
    start(&g);
    wait_for(&g);
    assert_int_equal(g.sunk, 0);
    assert_string_equal(g.request.body.data, "no");
    http_request_release(&g.request);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_answer_has_status_headers_and_body),
        TEST(absent_and_odd_headers_are_told_as_absent),
        TEST(an_error_status_is_an_answer),
        TEST(the_question_carries_accept_etag_and_user_agent),
        TEST(retry_after_is_read_in_seconds),
        TEST(retry_after_is_read_as_a_date),
        TEST(retry_after_for_ages_is_a_week),
        TEST(a_redirect_is_followed_and_only_its_end_counts),
        TEST(a_request_may_be_used_again),
        TEST(a_compressed_body_is_decoded),
        TEST(the_limit_counts_decoded_bytes),
        TEST(a_redirect_loop_ends),
        TEST(a_redirect_to_a_file_is_refused),
        TEST(a_body_cut_off_is_an_error),
        TEST(a_server_that_hangs_up_is_an_error),
        TEST(an_answer_that_is_no_http_is_an_error),
        TEST(a_stalled_server_is_timed_out),
        TEST(a_refused_connection_is_unreachable),
        TEST(an_unknown_host_is_unreachable),
        TEST(other_protocols_and_broken_urls_are_refused),
        TEST(a_cancelled_request_completes_once),
        TEST(a_completion_may_cancel_another),
        TEST(a_completion_may_ask_again),
        TEST(a_completion_may_close_the_client),
        TEST(closing_cancels_what_runs_and_what_comes),
        TEST(a_host_gets_eight_connections_at_most),
        TEST(a_request_behind_stalled_ones_has_its_own_time),
        TEST(an_urgent_request_waits_for_nobody),
        TEST(a_post_carries_its_body_and_type),
        TEST(a_redirected_post_is_posted_again),
        TEST(a_sink_takes_the_body_as_it_arrives),
        TEST(a_sink_that_holds_gets_nothing_until_it_goes_on),
        TEST(a_held_request_can_be_cancelled),
        TEST(a_body_beyond_the_limit_ends_a_sink_too),
        TEST(what_is_no_200_is_gathered_and_not_sunk),
        cmocka_unit_test(later_is_told_from_no),
    };

    /* A proxy of the surroundings would stand between the client and the loopback server. */
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    /* Stop at a failure: its requests were on a stack that is gone. */
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
