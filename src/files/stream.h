/*
 * A staging file that is fed from the loop; pool threads write it and hash it, each at its own pace.
 */
#ifndef FILES_STREAM_H
#define FILES_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/lane.h"

#define STREAM_BATCH_BYTES (64 * 1024)       /* less is kept in memory: most logs never touch the disk here */
#define STREAM_PAUSE_BYTES (1024 * 1024)     /* more held: the peer should wait */
#define STREAM_MAX_HELD_BYTES (16 * 1024 * 1024) /* a peer that does not wait ends here */

/* Bytes in a row: gathered as they came, or given with the buffer that they lie in. */
struct stream_piece {
    struct stream_piece *next;
    struct buf holder;
    const char *data;
    size_t len;
    bool open;               /* more may be gathered in it: no thread has it yet */
    bool written, hashed;    /* what is both is let go */
};

/* One of the two that pass over the pieces. */
struct stream_pass {
    struct lane_work work;
    struct stream *stream;
    struct stream_piece *first, *last; /* of those under way; NULL: none */
    bool busy;
};

struct stream {
    char *path;                     /* NULL before stream_init and after stream_release */
    uint64_t fed_bytes;             /* in all */
    int error;                      /* of the first write that failed, -ENOBUFS for too much at once, or 0 */
    uint8_t sha256[SHA256_SIZE];    /* after the end, of what was expected */
    uint64_t expected_bytes;        /* how many are to come, or 0. What is there whole waits for its end: a small file is
                                       one piece of work */
    void (*inspect)(struct stream *s, const void *data, size_t len); /* on the pool thread that has just written and hashed
                                       all of the file at once, for it still is in memory; or NULL */
    /* private */
    void (*written)(struct stream *s);  /* a pass is done: there may be room again */
    void (*ended)(struct stream *s);
    struct stream_piece *pieces, **end; /* those that are not let go, in order */
    struct stream_piece *spare;         /* let go, to be used again */
    size_t held_bytes;                  /* in `pieces` */
    struct stream_pass writing, hashing;
    struct hash hash;
    int fd;
    uint64_t written_bytes, pushed_bytes, hashed_bytes; /* to the file; of these, on their way to the disk */
    bool hashes, large, ending, closed;
    bool flooded;                       /* more came than may be held: it was not kept */
};

/* `written` (may be NULL) is called on the loop after each pass. The file is made with the first write. */
void stream_init(struct stream *s, const char *path, void (*written)(struct stream *s));

/* How many bytes are to come: they are hashed too. Before the first. */
void stream_expect(struct stream *s, uint64_t bytes);

/* Appends. True: enough is held, the peer should pause until stream_full says no more, after `written`. */
bool stream_feed(struct stream *s, const void *data, size_t len);

/* Appends without a copy: `data` lie in `holder`, which becomes the stream's. For large pieces of what is not peeked at. */
bool stream_give(struct stream *s, struct buf holder, const void *data, size_t len);

/* An empty buffer that was given before, or a new one: for who wants to fill the next. The caller's. */
struct buf stream_spare(struct stream *s);

bool stream_full(const struct stream *s);

/* Writes what is held and closes, but does not sync; then `ended` on the loop, once, with error and sha256 set. */
void stream_end(struct stream *s, void (*ended)(struct stream *s));

/* What was fed from `offset` on, as far as it is still in memory: *len bytes at *data, valid until the loop goes on.
 * With *len 0 it is in the file, whose first *on_disk bytes may be read, unless there is nothing new. */
void stream_peek(const struct stream *s, uint64_t offset, const char **data, size_t *len, uint64_t *on_disk);

/* Nothing has been written yet: all there is is one piece in memory. */
bool stream_in_memory(const struct stream *s);

/* All of a stream that is in memory. */
const char *stream_held(const struct stream *s, size_t *len);

/* What is in memory is not needed any more. For an idle stream. */
void stream_forget(struct stream *s);

/* No thread works on it: it may be released (which removes nothing from the disk). */
bool stream_idle(const struct stream *s);
void stream_release(struct stream *s);

#endif
