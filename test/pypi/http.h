/*
 * HTTP/1.1 messages as values (RFC 9110, RFC 9112): a request read from its head, a response being put
 * together. No sockets here; server.c has those.
 */
#ifndef PYPI_HTTP_H
#define PYPI_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define HTTP_HEAD_MAX_BYTES (16 * 1024)
#define HTTP_BODY_MAX_BYTES (1024 * 1024)          /* of a request */
#define HTTP_RESPONSE_MAX_BYTES (256 * 1024 * 1024)/* of a response made in memory */
#define HTTP_HEADERS_MAX 64

struct header {
    const char *name, *value;
};

struct request {
    const char *method;              /* "GET" */
    char *path;                      /* decoded, without the query */
    struct header headers[HTTP_HEADERS_MAX];
    unsigned header_count;
    size_t body_len;                 /* as Content-Length says */
    const char *body;                /* set once it is all here */
    bool keep_alive;
};

/* Reads a head (without its empty line), whose bytes are changed and must outlive the request. 0, or the
 * status to refuse it with. */
int request_parse(struct request *r, char *head);

/* The value of the first header of that name (any case), or NULL. */
const char *request_header(const struct request *r, const char *name);

/* Whether the method is HEAD: the answer then has no body. */
bool request_is_head(const struct request *r);

enum manner {
    MANNER_GOOD,
    MANNER_CUT,                      /* the connection ends after `manner_argument` bytes of the body */
    MANNER_STALL,                    /* nothing is ever sent */
    MANNER_DRIP                      /* `manner_argument` bytes of the body a second */
};

struct response {
    int status;
    struct buf headers;              /* whole lines, Content-Length and Connection not among them */
    struct buf body;                 /* the body, unless `fd` is one */
    int fd;                          /* an open file that holds the body, or -1 */
    uint64_t offset, length;         /* which part of the body is sent */
    enum manner manner;
    uint64_t manner_argument;
};

void response_init(struct response *r);
void response_release(struct response *r);

/* Forgets everything but that there is a response to give. */
void response_reset(struct response *r, int status);

void response_header(struct response *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A short page of plain text: the status, its name and the words. */
void response_plain(struct response *r, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An answer of `status` that sends the client to `location`, a URL or an encoded path. */
void response_redirect(struct response *r, int status, const char *location);

/* Gives the response its ETag, and turns it into 304 where the client has that already. */
void response_etag(struct response *r, const struct request *q, const char *etag);

/* Narrows the response to the one range the client asks for (206), or refuses it (416). Several ranges, and
 * those of another ETag (If-Range), are answered with the whole. */
void response_range(struct response *r, const struct request *q, const char *etag);

/* The status line and headers as they go over the wire. */
void response_head(const struct response *r, bool keep_alive, struct buf *to);

/* Adds decoded `text` to a URL's path, percent-encoded where RFC 3986 wants it; '/' stays. */
void http_add_encoded(struct buf *to, const char *text);

#endif
