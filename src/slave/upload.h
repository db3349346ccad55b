/*
 * One file on its way to the master: CHUNKs from its first byte, then SENT; read on worker threads, and no
 * faster than the connection takes it.
 */
#ifndef SLAVE_UPLOAD_H
#define SLAVE_UPLOAD_H

#include "core/lane.h"
#include "core/task.h"
#include "io/message.h"
#include "io/wire.h"

/* Unsent bytes at which one stops adding more; below WIRE_MAX_UNSENT, and above WIRE_LOW_WATER, so that the
 * wire's `drained` follows. */
#define ENOUGH_UNSENT_BYTES (1024 * 1024)

struct upload {
    /* set by the owner before upload_start */
    struct wire *wire;
    uint64_t attempt;
    unsigned file;                           /* which of BUILT's */
    char *path;
    uint64_t size_bytes;
    /* Exactly once: 0 when SENT is queued, -ECANCELED, or -errno of reading. */
    void (*ended)(struct upload *u, int error);
    /* to read */
    bool running;
    /* private */
    struct task task;
    struct lane_work work;
    int fd, read_error;
    uint64_t offset;
    uint32_t filled;
    bool full;                               /* waits for upload_drained */
    uint8_t chunk[CHUNK_MAX_BYTES];
};

void upload_start(uv_loop_t *loop, struct upload *u);

/* The wire's `drained` has come. Harmless at any time. */
void upload_drained(struct upload *u);

/* Sends nothing more; the wire may go at once. `ended` follows. Harmless when none is running. */
void upload_stop(struct upload *u);

#endif
