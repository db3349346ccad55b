/*
 * A staging file that is fed from the loop and written by pool threads, in order, hashed on the way.
 */
#ifndef FILES_STREAM_H
#define FILES_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/lane.h"

#define STREAM_BATCH_BYTES (64 * 1024)       /* less is kept in memory: most logs never touch the disk here */
#define STREAM_PAUSE_BYTES (1024 * 1024)     /* more unwritten: the peer should wait */
#define STREAM_MAX_WAITING_BYTES (16 * 1024 * 1024) /* a peer that does not wait ends here */

struct stream {
    char *path;                     /* NULL before stream_init and after stream_release */
    uint64_t fed_bytes;             /* in all */
    struct buf waiting, writing;    /* not yet given to a thread; with a thread */
    struct stream_piece *given, *writing_given; /* what follows on each, in buffers of its own */
    int error;                      /* of the first write that failed: -errno */
    uint8_t sha256[SHA256_SIZE];    /* after the end */
    uint64_t expected_bytes;        /* how many are to come, or 0. What is there whole waits for its end: a small file is
                                       one piece of work */
    void (*inspect)(struct stream *s, const void *data, size_t len); /* on the pool thread that has just written and hashed
                                       all of the file at once, for it still is in memory; or NULL */
    /* private */
    void (*written)(struct stream *s);  /* a write is done: there is room again */
    void (*ended)(struct stream *s);
    struct stream_piece **given_end, *spare; /* the end of `given`; written, to be used again */
    size_t given_bytes;             /* in `given` */
    struct hash hash;
    struct lane_work write, hashing;
    int fd;
    uint64_t written_bytes, pushed_bytes; /* to the file; of these, on their way to the disk */
    unsigned busy;                  /* works under way */
    bool ending, closed;
    bool whole;                     /* the file is what the thread has now */
};

/* `written` (may be NULL) is called on the loop after each write. The file is made with the first write. */
void stream_init(struct stream *s, const char *path, void (*written)(struct stream *s));

/* Appends. True: enough is waiting, the peer should pause until stream_full says no more, after `written`. */
bool stream_feed(struct stream *s, const void *data, size_t len);

/* Appends without a copy: `data` lie in `holder`, which becomes the stream's. For large pieces of what is not peeked at. */
bool stream_give(struct stream *s, struct buf holder, const void *data, size_t len);

/* An empty buffer that was given before, or a new one: for who wants to fill the next. The caller's. */
struct buf stream_spare(struct stream *s);

bool stream_full(const struct stream *s);

/* Writes what waits and closes, but does not sync; then `ended` on the loop, once, with error and sha256 set. */
void stream_end(struct stream *s, void (*ended)(struct stream *s));

/* What was fed from `offset` on, as far as it is still in memory: *len bytes at *data, valid until the loop goes on.
 * With *len 0 it is in the file, whose first *on_disk bytes may be read, unless there is nothing new. */
void stream_peek(const struct stream *s, uint64_t offset, const char **data, size_t *len, uint64_t *on_disk);

/* Nothing has been written yet: all there is is in `waiting`. */
bool stream_in_memory(const struct stream *s);

/* What is in memory is not needed any more. For an idle stream. */
void stream_forget(struct stream *s);

/* No thread works on it: it may be released (which removes nothing from the disk). */
bool stream_idle(const struct stream *s);
void stream_release(struct stream *s);

#endif
