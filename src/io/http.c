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
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/memory.h"
#include "core/text.h"
#include "http_private.h"

#define MAX_RUNNING_A_HOST 8
#define MAX_RUNNING 16

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
        int error = http_judge(r, code);
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
    http_forget_headers(r);
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
        http_prepare(r, http->user_agent);
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
