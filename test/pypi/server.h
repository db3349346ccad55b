/*
 * The listening socket and its connections: requests come in whole, answers go out, one after the other
 * on each connection, on one libuv loop.
 */
#ifndef PYPI_SERVER_H
#define PYPI_SERVER_H

#include <stdbool.h>
#include <uv.h>

#include "http.h"

#define SERVER_CONNECTIONS_MAX 256   /* more are closed as they come */
#define SERVER_IDLE_MS 60000         /* a connection on which nothing moves for so long is closed */

/* Fills in the response to a request that is whole; never waits. */
typedef void server_answer(void *owner, const struct request *q, struct response *r);

struct server {
    uv_tcp_t tcp;
    server_answer *answer;
    void *owner;
    char url[128];                   /* "http://127.0.0.1:8080", the real port */
    struct connection *connections;  /* those that are open */
    unsigned connection_count;
};

/* Listens on "ADDRESS:PORT"; port 0 takes a free one. 0 or -errno. */
int server_open(struct server *s, uv_loop_t *loop, const char *listen, server_answer *answer, void *owner);

/* Closes everything; the loop then runs out of work. */
void server_close(struct server *s);

#endif
