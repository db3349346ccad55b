/*
 * One exchange of HTTP: what is asked (http_prepare), what arrives while libcurl reads the answer, and what became of it
 * (http_judge). http.c runs it. libcurl's callbacks here only store bytes.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/text.h"
#include "http_private.h"

#define DEFAULT_TIMEOUT_MS 60000
#define CONNECT_TIMEOUT_MS 20000
#define SLOW_BYTES_PER_S 1000L
#define SLOW_S 20L
#define MAX_REDIRECTS 5L
#define MAX_RETRY_AFTER_MS ((int64_t)7 * 24 * 3600 * 1000)

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

void http_forget_headers(struct http_request *r)
{
    r->etag[0] = r->content_type[0] = '\0';
    r->last_serial = r->retry_after_ms = -1;
}

static void begin_answer(struct http_request *r)
{
    long status = 0;

    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    r->status = (int)status;
    http_forget_headers(r);
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

void http_prepare(struct http_request *r, const char *user_agent)
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
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
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

int http_judge(struct http_request *r, CURLcode code)
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
