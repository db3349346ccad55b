/*
 * Streams: how bytes from slaves reach the disk without the loop waiting for it. Receipts
 * (receipt.c) own one for the log and one for each wheel in turn.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/memory.h"

#define PUSH_BYTES (8 * 1024 * 1024)

/* Bytes that were given. */
struct stream_piece {
    struct stream_piece *next;
    struct buf holder;
    const char *data;
    size_t len;
};

void stream_init(struct stream *s, const char *path, void (*written)(struct stream *s))
{
    memset(s, 0, sizeof *s);
    s->path = mem_text(path);
    buf_init(&s->waiting, STREAM_MAX_WAITING_BYTES);
    buf_init(&s->writing, STREAM_MAX_WAITING_BYTES);
    s->given_end = &s->given;
    s->written = written;
    s->fd = -1;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The disk need not wait for the last byte. A hint: some file systems know it not. */
static void push(struct stream *s)
{
    if (s->written_bytes - s->pushed_bytes < PUSH_BYTES)
        return;
    (void)sync_file_range(s->fd, (off_t)s->pushed_bytes, (off_t)(s->written_bytes - s->pushed_bytes), SYNC_FILE_RANGE_WRITE);
    s->pushed_bytes = s->written_bytes;
}

static int write_batch(struct stream *s)
{
    int fault = FAULT("stream_write");
    if (fault < 0)
        return fault;
    if (s->fd < 0)
        s->fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (s->fd < 0)
        return -errno;
    int error = write_all(s->fd, s->writing.data, s->writing.len);
    s->written_bytes += s->writing.len;
    for (const struct stream_piece *p = s->writing_given; p != NULL && error == 0; p = p->next) {
        error = write_all(s->fd, p->data, p->len);
        s->written_bytes += p->len;
    }
    push(s);
    return error;
}

/* Nothing is synced: who gives the file a name that counts does that, for many at once (record.c). */
static int close_file(struct stream *s)
{
    int error = s->waiting.full || s->writing.full ? -ENOBUFS : 0;
    if (s->fd >= 0 && close(s->fd) != 0 && error == 0)
        error = -errno;
    s->fd = -1;
    return error;
}

static void hash_batch(struct stream *s)
{
    if (s->hash.context == NULL)
        hash_init(&s->hash);
    hash_add(&s->hash, s->writing.data, s->writing.len);
    for (const struct stream_piece *p = s->writing_given; p != NULL; p = p->next)
        hash_add(&s->hash, p->data, p->len);
    if (s->closed)
        hash_end(&s->hash, s->sha256);
}

/* On a pool thread, while another hashes the same bytes; alone with a file that is there whole. */
static void run_write(struct lane_work *w)
{
    struct stream *s = container_of(w, struct stream, write);
    if (s->error == 0)
        s->error = write_batch(s);
    if (s->closed) {
        int error = close_file(s);
        if (s->error == 0)
            s->error = error;
    }
    if (!s->whole)
        return;
    hash_batch(s);
    if (s->error == 0 && s->inspect)
        s->inspect(s, s->writing.data, s->writing.len);
}

static void run_hash(struct lane_work *w)
{
    hash_batch(container_of(w, struct stream, hashing));
}

static size_t unwritten(const struct stream *s)
{
    return s->waiting.len + s->given_bytes;
}

static void on_written(struct lane_work *w, int status);
static void on_hashed(struct lane_work *w, int status);

static void submit(struct stream *s)
{
    struct buf empty = s->writing;
    s->writing = s->waiting;
    s->waiting = empty;
    s->writing_given = s->given;
    s->given = NULL;
    s->given_end = &s->given;
    s->given_bytes = 0;
    s->closed = s->ending;
    s->whole = s->closed && s->written_bytes == 0 && s->writing_given == NULL;
    s->busy = 1;
    lane_submit(s->whole && s->inspect ? LANE_VERIFY : LANE_DISK, &s->write, run_write, on_written);
    if (s->whole)
        return;
    s->busy++;
    lane_submit(LANE_DISK, &s->hashing, run_hash, on_hashed);
}

static void keep_spares(struct stream *s)
{
    while (s->writing_given != NULL) {
        struct stream_piece *p = s->writing_given;
        s->writing_given = p->next;
        p->next = s->spare;
        s->spare = p;
    }
}

static void end_batch(struct stream *s)
{
    if (--s->busy > 0)
        return;
    buf_clear(&s->writing);
    keep_spares(s);
    if (s->closed) {
        s->ended(s);
        return;
    }
    if (s->ending || unwritten(s) >= STREAM_BATCH_BYTES)
        submit(s);
    if (s->written)
        s->written(s);
}

static void on_written(struct lane_work *w, int status)
{
    struct stream *s = container_of(w, struct stream, write);
    if (status != 0 && s->error == 0)
        s->error = status;
    end_batch(s);
}

static void on_hashed(struct lane_work *w, int status)
{
    end_batch(container_of(w, struct stream, hashing));
}

bool stream_full(const struct stream *s)
{
    return unwritten(s) >= STREAM_PAUSE_BYTES;
}

static bool appended(struct stream *s, size_t len)
{
    s->fed_bytes += len;
    if (!s->busy && unwritten(s) >= STREAM_BATCH_BYTES && s->fed_bytes != s->expected_bytes)
        submit(s);
    return stream_full(s);
}

bool stream_feed(struct stream *s, const void *data, size_t len)
{
    if (s->given != NULL) { /* it comes after that */
        struct buf copy;
        buf_init(&copy, len);
        buf_add(&copy, data, len);
        return stream_give(s, copy, copy.data, len);
    }
    buf_add(&s->waiting, data, len);
    return appended(s, len);
}

bool stream_give(struct stream *s, struct buf holder, const void *data, size_t len)
{
    struct stream_piece *p = mem_new(1, sizeof *p);
    *p = (struct stream_piece){.holder = holder, .data = data, .len = len};
    *s->given_end = p;
    s->given_end = &p->next;
    s->given_bytes += len;
    if (unwritten(s) > STREAM_MAX_WAITING_BYTES)
        s->waiting.full = true;
    return appended(s, len);
}

struct buf stream_spare(struct stream *s)
{
    struct stream_piece *p = s->spare;
    struct buf holder;
    if (p == NULL) {
        buf_init(&holder, 0);
        return holder;
    }
    s->spare = p->next;
    holder = p->holder;
    free(p);
    buf_clear(&holder);
    return holder;
}

void stream_end(struct stream *s, void (*ended)(struct stream *s))
{
    s->ending = true;
    s->ended = ended;
    if (!s->busy)
        submit(s);
}

void stream_peek(const struct stream *s, uint64_t offset, const char **data, size_t *len, uint64_t *on_disk)
{
    uint64_t waits_from = s->fed_bytes - s->waiting.len;
    *on_disk = waits_from - s->writing.len;
    *data = "";
    *len = 0;
    if (offset >= waits_from && offset < s->fed_bytes) {
        *data = s->waiting.data + (offset - waits_from);
        *len = (size_t)(s->fed_bytes - offset);
    } else if (offset >= *on_disk && offset < waits_from) { /* a thread reads it too, and changes nothing */
        *data = s->writing.data + (offset - *on_disk);
        *len = (size_t)(waits_from - offset);
    }
}

bool stream_idle(const struct stream *s)
{
    return !s->busy;
}

bool stream_in_memory(const struct stream *s)
{
    return !s->busy && s->fd < 0 && !s->closed && s->error == 0;
}

static void free_pieces(struct stream_piece **first)
{
    while (*first != NULL) {
        struct stream_piece *p = *first;
        *first = p->next;
        buf_release(&p->holder);
        free(p);
    }
}

void stream_forget(struct stream *s)
{
    buf_release(&s->waiting);
    buf_release(&s->writing);
    free_pieces(&s->given);
    free_pieces(&s->writing_given);
    free_pieces(&s->spare);
    s->given_end = &s->given;
    s->given_bytes = 0;
}

void stream_release(struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    hash_release(&s->hash);
    stream_forget(s);
    free(s->path);
    s->path = NULL;
}
