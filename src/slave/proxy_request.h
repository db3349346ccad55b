/*
 * What a client of the proxy asks for, and whether it may have it: pure functions, for proxy.c and the tests.
 */
#ifndef SLAVE_PROXY_REQUEST_H
#define SLAVE_PROXY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "core/buf.h"

#define PROXY_HEAD_MAX_BYTES 16384

struct proxy_place {
    char host[256];   /* lower case, an IPv6 address without its brackets */
    char port[6];
};

/* "http://user@Host:8080/simple" and its like. 0 or -EINVAL. */
int proxy_place_of_url(const char *url, struct proxy_place *p);

struct proxy_request {
    struct proxy_place place;
    bool tunnel;          /* CONNECT */
    struct buf head;      /* otherwise: what the server is told; release it */
};

/* Reads a whole head of `len` bytes, up to its empty line (RFC 9110, 9112). 0, or -EBADMSG; then nothing is to be
 * released. */
int proxy_request_read(const char *head, size_t len, struct proxy_request *r);

/* Length of the head with its empty line, or 0 while that has not come. */
size_t proxy_head_length(const char *data, size_t len);

/* Whether that is where the index is. */
bool proxy_is_index(const char *index_url, const struct proxy_place *p);

/* Whether the host is one of `hosts` ("a.example,b.example"), on a port of the web. */
bool proxy_is_allowed(const char *hosts, const struct proxy_place *p);

/* Whether an address is the Internet's: not this machine's, nor its neighbours', nor a cloud's own service. */
bool proxy_is_public(const struct sockaddr *address);

#endif
