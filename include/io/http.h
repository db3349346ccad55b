/*
 * HTTP on the loop (libcurl multi; nothing else includes curl/curl.h).
 *
 * A request gets exactly one completion, never from inside http_get. Redirects are followed (5 at
 * most, http and https only), bodies are limited, certificates are checked.
 */
#ifndef IO_HTTP_H
#define IO_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"

struct http; /* one client: connections are kept and shared; 8 exchanges a host and 16 in all, others wait */

struct http_request { /* zeroed before its first use; may be used again once completed */
    /* set by the owner before http_get */
    const char *url;           /* copied */
    const char *accept;        /* Accept header, or NULL; copied */
    const char *if_none_match; /* ETag of what we have, or NULL; copied */
    const char *post;          /* a body to POST, or NULL to GET; copied */
    const char *post_type;     /* its Content-Type; copied */
    bool urgent;               /* waits for nobody else */
    size_t max_bytes;          /* of the body, decoded; more is an error (-EFBIG); not 0 */
    /* Takes the body of an answer of status 200 as it arrives, in pieces of some kB; NULL: it is gathered in `body`.
     * Called from inside libcurl: it may start, cancel and complete nothing. False: no more for now, until
     * http_go_on; the clock of timeout_ms goes on meanwhile. */
    bool (*sink)(struct http_request *r, const char *data, size_t len);
    uint64_t timeout_ms;       /* of the whole exchange, once its turn has come; 0: 60 s */
    unsigned slow_s;           /* less than 1 kB/s for so long ends it too; 0: 20 s */
    /* Completion. error 0: there was an answer, see `status`; else -errno with `reason`:
     * -ETIMEDOUT, -EHOSTUNREACH (no address, no connection), -ELOOP (redirects), -EFBIG, -EPROTO
     * (cut off, no HTTP, no valid certificate), -EINVAL (not a URL of http or https), -ECANCELED. */
    void (*done)(struct http_request *r, int error);
    /* the answer: valid until http_request_release */
    int status;                /* 200, 304, 404, …; of the last answer when redirected; known to the sink too */
    struct buf body;
    size_t received;           /* bytes of the body, decoded */
    char etag[256];            /* "" when absent */
    char content_type[128];    /* lower case, without parameters */
    int64_t last_serial;       /* X-PyPI-Last-Serial, or -1 */
    int64_t retry_after_ms;    /* Retry-After (seconds or date), or -1 */
    char reason[256];          /* what went wrong, in words; "" otherwise */
    /* private */
    struct http *http;
    struct http_request *prev, *next;
    void *easy, *headers;
    bool held, resumes;        /* the sink wants no more for now; and then it does */
    char *host;                /* "pypi.org:443": a host is asked for only so much at once */
    int error;                 /* of a completion that is due */
    enum { HTTP_IDLE, HTTP_WAITING, HTTP_RUNNING, HTTP_ENDED } place;
};

struct http *http_open(uv_loop_t *loop, const char *user_agent);
/* Cancels what runs, frees; then calls `closed` (may be NULL). */
void http_close(struct http *http, void (*closed)(void *owner), void *owner);

void http_get(struct http *http, struct http_request *r);
/* The sink takes more. It is called from the loop, never from inside this. Harmless on a request that is not held. */
void http_go_on(struct http_request *r);
void http_cancel(struct http_request *r);
void http_request_release(struct http_request *r); /* the body; only when not in flight */

/* Whether an answer means "ask later" rather than "no": 408, 425, 429, 5xx. */
bool http_is_later(int status);

#endif
