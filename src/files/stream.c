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

void stream_init(struct stream *s, const char *path, void (*written)(struct stream *s))
{
    memset(s, 0, sizeof *s);
    s->path = mem_text(path);
    buf_init(&s->waiting, STREAM_MAX_WAITING_BYTES);
    buf_init(&s->writing, STREAM_MAX_WAITING_BYTES);
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
    if (s->fd < 0) {
        s->fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (s->fd < 0)
            return -errno;
        hash_init(&s->hash);
    }
    hash_add(&s->hash, s->writing.data, s->writing.len);
    int error = write_all(s->fd, s->writing.data, s->writing.len);
    s->written_bytes += s->writing.len;
    push(s);
    return error;
}

/* Nothing is synced: who gives the file a name that counts does that, for many at once (record.c). */
static int finish_file(struct stream *s)
{
    int error = s->waiting.full || s->writing.full ? -ENOBUFS : 0;
    if (s->fd < 0)
        return error;
    if (close(s->fd) != 0 && error == 0)
        error = -errno;
    s->fd = -1;
    hash_end(&s->hash, s->sha256);
    return error;
}

/* On a pool thread. */
static void run_write(struct lane_work *w)
{
    struct stream *s = container_of(w, struct stream, work);
    if (s->error == 0)
        s->error = write_batch(s);
    if (s->closed) {
        int error = finish_file(s);
        if (s->error == 0)
            s->error = error;
    }
    if (s->whole && s->error == 0 && s->inspect)
        s->inspect(s, s->writing.data, s->writing.len);
}

static void on_written(struct lane_work *w, int status);

static void submit(struct stream *s)
{
    struct buf empty = s->writing;
    s->writing = s->waiting;
    s->waiting = empty;
    s->closed = s->ending;
    s->whole = s->closed && s->written_bytes == 0;
    s->busy = true;
    lane_submit(s->whole && s->inspect ? LANE_VERIFY : LANE_DISK, &s->work, run_write, on_written);
}

static void on_written(struct lane_work *w, int status)
{
    struct stream *s = container_of(w, struct stream, work);
    s->busy = false;
    if (status != 0 && s->error == 0)
        s->error = status;
    buf_clear(&s->writing);
    if (s->closed) {
        s->ended(s);
        return;
    }
    if (s->ending || s->waiting.len >= STREAM_BATCH_BYTES)
        submit(s);
    if (s->written)
        s->written(s);
}

bool stream_feed(struct stream *s, const void *data, size_t len)
{
    s->fed_bytes += len;
    buf_add(&s->waiting, data, len);
    if (!s->busy && s->waiting.len >= STREAM_BATCH_BYTES && s->fed_bytes != s->expected_bytes)
        submit(s);
    return s->waiting.len >= STREAM_PAUSE_BYTES;
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

void stream_forget(struct stream *s)
{
    buf_release(&s->waiting);
    buf_release(&s->writing);
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
