/*
 * The proxy through which a build reaches the index, and nothing else: one a build, on the slave's loop. It
 * listens on a Unix socket in the build's directory; inside.c forwards to it.
 */
#ifndef SLAVE_PROXY_H
#define SLAVE_PROXY_H

#include <stdbool.h>
#include <uv.h>

struct proxy {
    /* set by the owner before proxy_open; outlive it */
    const char *index_url, *hosts;   /* other hosts of the index, "a.example,b.example" */
    /* A place that was refused, "host:port", and why. */
    void (*refused)(struct proxy *p, const char *place, const char *why);
    void (*closed)(struct proxy *p); /* once, after proxy_close */
    /* private */
    uv_pipe_t server;
    int dir;                         /* descriptor by which the socket was named; libuv unlinks it so */
    struct visit *visits;
    unsigned visit_count;
    unsigned open;                   /* the server and visits */
    bool closing;
};

/* Listens on `dir`/SANDBOX_PROXY_SOCKET. 0 or -errno; proxy_close is due in either case. */
int proxy_open(uv_loop_t *loop, struct proxy *p, const char *dir);

/* Ends all that goes through it; `closed` follows. */
void proxy_close(struct proxy *p);

#endif
