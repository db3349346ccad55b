/*
 * Two connected streams, each of which is told what the other says. The slave's proxy and its forwarder inside
 * the sandbox are made of them.
 */
#ifndef SLAVE_RELAY_H
#define SLAVE_RELAY_H

#include <stdbool.h>
#include <uv.h>

union relay_stream {
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_stream_t stream;
    uv_handle_t handle;
};

struct relay_end {
    union relay_stream is;
    struct relay *relay;
    struct relay_end *other;
    uv_write_t write;          /* of what this end said, to the other */
    uv_shutdown_t shutdown;    /* of the other, when this end has said all */
    bool finished;
    char buffer[16384];
};

struct relay {
    struct relay_end ends[2];
    void (*closed)(struct relay *r);   /* set by the owner; once, after relay_close: both handles are gone */
    /* private */
    unsigned open;
    bool closing;
};

/* Makes the handles; whether each is a pipe (a Unix socket), else TCP. */
void relay_init(uv_loop_t *loop, struct relay *r, bool first_is_pipe, bool second_is_pipe);

/* Both are connected: forwards until both have ended or one fails, then closes itself. */
void relay_start(struct relay *r);

/* Harmless when closing already. */
void relay_close(struct relay *r);

#endif
