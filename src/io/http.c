/*
 * HTTP for whoever asks PyPI: one libcurl multi handle on the loop. libcurl says which sockets it wants
 * watched and when it wants to be called; we poll, call it, and complete what it reports finished.
 *
 *     http_get ─▶ waiting ─▶ running ─▶ done
 *                    └──────────┴─▶ ended ─▶ done      (cancelled, or refused at once)
 *
 * Who waits for a connection waits here and not in libcurl, whose clock for the exchange would run.
 * libcurl's callbacks only store bytes, so a completion, which may start, cancel or close anything,
 * is never called from inside libcurl.
 */
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/http.h"

#define DEFAULT_TIMEOUT_MS 60000
#define CONNECT_TIMEOUT_MS 20000
#define SLOW_BYTES_PER_S 1000L
#define SLOW_S 20L
#define MAX_REDIRECTS 5L
#define MAX_RUNNING_A_HOST 8
#define MAX_RUNNING 16
#define MAX_RETRY_AFTER_MS ((int64_t)7 * 24 * 3600 * 1000)

struct list {
    struct http_request *first, *last;
};

struct http {
    uv_loop_t *loop;
    CURLM *multi;
    char *user_agent;
    struct list waiting, running, ended;
    uv_timer_t timer; /* when libcurl wants to be called */
    uv_timer_t soon;  /* completes what has ended */
    unsigned open_handles;
    bool closing;
    void (*closed)(void *owner);
    void *owner;
};

/* A socket of libcurl's; freed when its handle has closed. */
struct watch {
    uv_poll_t poll;
    curl_socket_t socket;
    struct http *http;
};

/* ---- lists ---- */

static void put_last(struct list *l, struct http_request *r, int place)
{
    r->place = place;
    r->next = NULL;
    r->prev = l->last;
    if (l->last != NULL)
        l->last->next = r;
    else
        l->first = r;
    l->last = r;
}

static void take_out(struct list *l, struct http_request *r)
{
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        l->first = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else
        l->last = r->prev;
    r->prev = r->next = NULL;
}

/* ---- completion ---- */

/* Ends libcurl's part in the request. */
static void let_go(struct http_request *r)
{
    if (r->easy == NULL)
        return;
    curl_multi_remove_handle(r->http->multi, r->easy);
    curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->headers);
    r->easy = r->headers = NULL;
}

static void complete(struct http_request *r, int error)
{
    free(r->host);
    r->host = NULL;
    r->http = NULL;
    r->place = HTTP_IDLE;
    r->done(r, error);
}

static void dispose(struct http *http);
static void end(struct http *http, struct http_request *r, int error, const char *reason);

/* libcurl hands over at once what it held back, and asks to be called for the rest. */
static void resume_held(struct http *http)
{
    for (struct http_request *r = http->running.first, *next; r != NULL; r = next) {
        next = r->next;
        if (!r->resumes)
            continue;
        r->resumes = false;
        if (curl_easy_pause(r->easy, CURLPAUSE_CONT) == CURLE_OK)
            continue;
        take_out(&http->running, r);
        end(http, r, -EFBIG, "the answer is larger than is taken");
    }
}

/* Those that end meanwhile wait for the next turn of the loop. */
static void on_soon(uv_timer_t *timer)
{
    struct http *http = timer->data;

    resume_held(http);
    struct http_request *last = http->ended.last;
    for (struct http_request *r = NULL; r != last && http->ended.first != NULL;) {
        r = http->ended.first;
        take_out(&http->ended, r);
        complete(r, r->error);
    }
    if (http->closing && http->ended.first == NULL)
        dispose(http);
}

/* Completes the request soon, without an answer. */
static void end(struct http *http, struct http_request *r, int error, const char *reason)
{
    let_go(r);
    r->error = error;
    text_copy(r->reason, sizeof r->reason, reason);
    put_last(&http->ended, r, HTTP_ENDED);
    uv_timer_start(&http->soon, on_soon, 0, 0);
}

/* ---- outcomes ---- */

static const struct outcome {
    CURLcode code;
    int error;
    const char *words;
} outcomes[] = {
    {CURLE_COULDNT_CONNECT, -EHOSTUNREACH, "no connection"},
    {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, "the host name was not resolved"},
    {CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH,
     "the proxy's name was not resolved; see the variable https_proxy"},
    {CURLE_GOT_NOTHING, -EPROTO, "the server hung up without an answer"},
    {CURLE_HTTP2, -EPROTO, "the answer was cut off"},
    {CURLE_HTTP2_STREAM, -EPROTO, "the answer was cut off"},
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, "too slow"},
    {CURLE_PARTIAL_FILE, -EPROTO, "the answer was cut off"},
    {CURLE_PEER_FAILED_VERIFICATION, -EPROTO,
     "the server's certificate was not accepted; see to the clock and the package ca-certificates"},
    {CURLE_RECV_ERROR, -EPROTO, "the answer was cut off"},
    {CURLE_SSL_CACERT_BADFILE, -EPROTO, "no certificates to check the server by; install ca-certificates"},
    {CURLE_TOO_MANY_REDIRECTS, -ELOOP, "redirected too often"},
    {CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, "the answer is no HTTP, or leads away from it"},
    {CURLE_URL_MALFORMAT, -EINVAL, "not a URL"},
    {CURLE_WEIRD_SERVER_REPLY, -EPROTO, "the answer is no HTTP"},
};

static const struct outcome *find_outcome(CURLcode code)
{
    static const struct outcome other = {.error = -EPROTO, .words = "the exchange failed"};

    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        if (outcomes[i].code == code)
            return &outcomes[i];
    }
    return &other;
}

/* The error, and the reason in our words and libcurl's (which are in r->reason until now). */
static int judge(struct http_request *r, CURLcode code)
{
    char detail[CURL_ERROR_SIZE], reason[2 * CURL_ERROR_SIZE];
    long status = 0;

    if (code == CURLE_OK) {
        curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        r->status = (int)status;
        r->reason[0] = '\0';
        return 0;
    }
    if (code == CURLE_WRITE_ERROR && r->body.full) {
        snprintf(r->reason, sizeof r->reason, "the answer is larger than %zu bytes", r->max_bytes);
        return -EFBIG;
    }
    const struct outcome *outcome = find_outcome(code);
    text_copy(detail, sizeof detail, r->reason[0] != '\0' ? r->reason : curl_easy_strerror(code));
    snprintf(reason, sizeof reason, "%s (%s)", outcome->words, detail);
    text_copy(r->reason, sizeof r->reason, reason);
    return outcome->error;
}

static bool may_run(const struct http *http, const struct http_request *asked)
{
    unsigned running = 0, at_host = 0;

    for (const struct http_request *r = http->running.first; r != NULL; r = r->next) {
        running++;
        at_host += strcasecmp(r->host, asked->host) == 0;
    }
    return asked->urgent || (running < MAX_RUNNING && at_host < MAX_RUNNING_A_HOST);
}

static void start_waiting(struct http *http)
{
    for (struct http_request *r = http->waiting.first, *next; r != NULL; r = next) {
        next = r->next;
        if (!may_run(http, r))
            continue;
        take_out(&http->waiting, r);
        put_last(&http->running, r, HTTP_RUNNING);
        curl_multi_add_handle(http->multi, r->easy);
    }
}

static void take_finished(struct http *http)
{
    const CURLMsg *message;
    int left = 0;

    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        struct http_request *r = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &r);
        int error = judge(r, code);
        let_go(r);
        take_out(&http->running, r);
        complete(r, error);
    }
    start_waiting(http);
}

/* ---- libcurl on the loop ---- */

static void act(struct http *http, curl_socket_t socket, int events)
{
    int running = 0;

    curl_multi_socket_action(http->multi, socket, events, &running);
    take_finished(http);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;

    if (timeout_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

    act(watch->http, watch->socket, status == 0 ? flags : CURL_CSELECT_ERR);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *watch_new(struct http *http, curl_socket_t socket)
{
    struct watch *watch = mem_new(1, sizeof *watch);

    if (uv_poll_init_socket(http->loop, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->socket = socket;
    watch->http = http;
    curl_multi_assign(http->multi, socket, watch);
    return watch;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
    struct http *http = arg;
    struct watch *watch = socket_arg;

    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            uv_close((uv_handle_t *)&watch->poll, on_poll_closed);
        curl_multi_assign(http->multi, socket, NULL);
        return 0;
    }
    if (watch == NULL)
        watch = watch_new(http, socket);
    if (watch == NULL)
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_poll) == 0 ? 0 : -1;
}

/* ---- the answer ---- */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    size_t len = size * count;

    if (r->held)
        return CURL_WRITEFUNC_PAUSE;
    if (len > r->max_bytes - r->received) {
        r->body.full = true;
        return 0;
    }
    r->received += len;
    if (r->sink != NULL && r->status == 200)
        r->held = !r->sink(r, data, len);
    else if (buf_add(&r->body, data, len) != 0)
        return 0;
    return len;
}

static void read_content_type(struct http_request *r, const char *value)
{
    size_t len = strcspn(value, "; \t");

    if (len >= sizeof r->content_type)
        return;
    for (size_t i = 0; i < len; i++)
        r->content_type[i] = (char)tolower((unsigned char)value[i]);
    r->content_type[len] = '\0';
}

static void read_serial(struct http_request *r, const char *value)
{
    unsigned long long serial = 0;

    if (text_to_u64(value, &serial) == 0 && serial <= INT64_MAX)
        r->last_serial = (int64_t)serial;
}

/* RFC 9110, 10.2.3: seconds or a date. */
static void read_retry_after(struct http_request *r, const char *value)
{
    unsigned long long seconds = 0;
    int64_t wait_ms = MAX_RETRY_AFTER_MS;
    int error = text_to_u64(value, &seconds);

    if (error == 0 && seconds < MAX_RETRY_AFTER_MS / 1000) {
        wait_ms = (int64_t)seconds * 1000;
    } else if (error == -EINVAL) {
        time_t date = curl_getdate(value, NULL);
        if (date == -1)
            return;
        wait_ms = (int64_t)date * 1000 - clock_wall_ms();
    }
    r->retry_after_ms = wait_ms < 0 ? 0 : wait_ms < MAX_RETRY_AFTER_MS ? wait_ms : MAX_RETRY_AFTER_MS;
}

static void forget_headers(struct http_request *r)
{
    r->etag[0] = r->content_type[0] = '\0';
    r->last_serial = r->retry_after_ms = -1;
}

static void begin_answer(struct http_request *r)
{
    long status = 0;

    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    r->status = (int)status;
    forget_headers(r);
}

static void read_header(struct http_request *r, const char *name, const char *value)
{
    if (strcasecmp(name, "etag") == 0) {
        if (!text_copy(r->etag, sizeof r->etag, value))
            r->etag[0] = '\0'; /* half an ETag never matches */
    } else if (strcasecmp(name, "content-type") == 0) {
        read_content_type(r, value);
    } else if (strcasecmp(name, "x-pypi-last-serial") == 0) {
        read_serial(r, value);
    } else if (strcasecmp(name, "retry-after") == 0) {
        read_retry_after(r, value);
    }
}

/* One line of the headers of each answer, those of redirects included. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    char line[512];
    size_t len = size * count;

    if (len >= sizeof line)
        return len; /* none that we read is so long */
    memcpy(line, data, len);
    line[len] = '\0';
    if (text_starts(line, "HTTP/"))
        begin_answer(r);
    char *colon = strchr(line, ':');
    if (colon == NULL)
        return len;
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t end_at = strlen(value); end_at > 0 && isspace((unsigned char)value[end_at - 1]); end_at--)
        value[end_at - 1] = '\0';
    read_header(r, line, value);
    return len;
}

/* ---- the question ---- */

static void add_header(struct http_request *r, const char *name, const char *value)
{
    if (value == NULL)
        return;
    char *line = mem_format("%s: %s", name, value);
    r->headers = curl_slist_append(r->headers, line);
    free(line);
}

static void set_limits(CURL *easy, uint64_t timeout_ms, unsigned slow_s)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_PER_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, slow_s > 0 ? (long)slow_s : SLOW_S);
}

static void prepare(struct http *http, struct http_request *r)
{
    CURL *easy = curl_easy_init();
    const char *host = strstr(r->url, "://") + 3;

    r->easy = easy;
    r->host = mem_textn(host, strcspn(host, "/?#"));
    add_header(r, "Accept", r->accept);
    add_header(r, "If-None-Match", r->if_none_match);
    add_header(r, "Content-Type", r->post_type);
    add_header(r, "Expect", r->post != NULL ? "" : NULL); /* ask without asking whether one may */
    set_limits(easy, r->timeout_ms, r->slow_s);
    curl_easy_setopt(easy, CURLOPT_URL, r->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, ""); /* all that libcurl can decode */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* else ending a request waits for the name server */
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->reason);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
    if (r->post != NULL) {
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, r->post);
        curl_easy_setopt(easy, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    }
}

/* ---- the public entries ---- */

static void start_libcurl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http *http_open(uv_loop_t *loop, const char *user_agent)
{
    static uv_once_t once = UV_ONCE_INIT;
    struct http *http = mem_new(1, sizeof *http);
    uv_timer_t *timers[] = {&http->timer, &http->soon};

    uv_once(&once, start_libcurl);
    http->loop = loop;
    http->user_agent = mem_text(user_agent);
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        uv_timer_init(loop, timers[i]);
        timers[i]->data = http;
        http->open_handles++;
    }
    http->multi = curl_multi_init();
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    return http;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;

    if (--http->open_handles > 0)
        return;
    void (*closed)(void *owner) = http->closed;
    void *owner = http->owner;
    free(http->user_agent);
    free(http);
    if (closed != NULL)
        closed(owner);
}

static void dispose(struct http *http)
{
    curl_multi_cleanup(http->multi);
    uv_close((uv_handle_t *)&http->timer, on_handle_closed);
    uv_close((uv_handle_t *)&http->soon, on_handle_closed);
}

void http_close(struct http *http, void (*closed)(void *owner), void *owner)
{
    http->closing = true;
    http->closed = closed;
    http->owner = owner;
    while (http->waiting.first != NULL)
        http_cancel(http->waiting.first);
    while (http->running.first != NULL)
        http_cancel(http->running.first);
    uv_timer_start(&http->soon, on_soon, 0, 0);
}

void http_get(struct http *http, struct http_request *r)
{
    assert(r->http == NULL && r->max_bytes > 0);
    http_request_release(r);
    buf_init(&r->body, r->max_bytes);
    forget_headers(r);
    r->http = http;
    r->status = 0;
    r->received = 0;
    r->held = r->resumes = false;
    r->reason[0] = '\0';
    if (http->closing) {
        end(http, r, -ECANCELED, "the client is closing");
    } else if (strncasecmp(r->url, "http://", 7) != 0 && strncasecmp(r->url, "https://", 8) != 0) {
        end(http, r, -EINVAL, "not a URL of http or https");
    } else if (FAULT("http_get %s", r->url) < 0) {
        end(http, r, -EHOSTUNREACH, "a fault on purpose");
    } else {
        prepare(http, r);
        put_last(&http->waiting, r, HTTP_WAITING);
        start_waiting(http);
    }
}

void http_go_on(struct http_request *r)
{
    if (r->place != HTTP_RUNNING || !r->held)
        return;
    r->held = false;
    r->resumes = true;
    uv_timer_start(&r->http->soon, on_soon, 0, 0);
}

void http_cancel(struct http_request *r)
{
    struct http *http = r->http;

    if (r->place != HTTP_WAITING && r->place != HTTP_RUNNING)
        return;
    take_out(r->place == HTTP_WAITING ? &http->waiting : &http->running, r);
    end(http, r, -ECANCELED, "cancelled");
    start_waiting(http);
}

void http_request_release(struct http_request *r)
{
    buf_release(&r->body);
}

bool http_is_later(int status)
{
    return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}
