/*
 * Streams: how bytes from slaves reach the disk without the loop waiting for it. Receipts
 * (receipt.c) own one for the log and one for each wheel in turn.
 *
 * What comes is a row of pieces. One thread passes over them and writes, another hashes; neither waits for the other, and
 * a piece is let go when both have seen it.
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
#define LARGE_BYTES (8 * 1024 * 1024)       /* a file of more comes in larger batches: each costs two threads' waking */
#define LARGE_BATCH_BYTES (1024 * 1024)
#define LARGE_PAUSE_BYTES (4 * 1024 * 1024)
#define LARGE_ROOM_BYTES (8 * 1024 * 1024)
#define PASS_BYTES (1024 * 1024)            /* no pass is much longer: what it has seen is let go at its end */

/* Of large files under way, each of which may hold its part of LARGE_ROOM_BYTES. */
static size_t large_streams;

void stream_init(struct stream *s, const char *path, void (*written)(struct stream *s))
{
    memset(s, 0, sizeof *s);
    s->path = mem_text(path);
    s->end = &s->pieces;
    s->written = written;
    s->writing.stream = s->hashing.stream = s;
    s->fd = -1;
}

void stream_expect(struct stream *s, uint64_t bytes)
{
    s->expected_bytes = bytes;
    s->hashes = true;
    s->large = bytes > LARGE_BYTES;
    large_streams += s->large;
}

static size_t batch_bytes(const struct stream *s)
{
    return s->large ? LARGE_BATCH_BYTES : STREAM_BATCH_BYTES;
}

static size_t pause_bytes(const struct stream *s)
{
    size_t part = s->large ? LARGE_ROOM_BYTES / large_streams : 0;
    if (part > LARGE_PAUSE_BYTES)
        return LARGE_PAUSE_BYTES;
    return part > STREAM_PAUSE_BYTES ? part : STREAM_PAUSE_BYTES;
}

/* -- on pool threads ----------------------------------------------------------------------------- */

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

/* Behind the last piece the loop may be adding another: its `next` is not looked at. */
static struct stream_piece *next_of(const struct stream_pass *p, const struct stream_piece *piece)
{
    return piece == p->last ? NULL : piece->next;
}

static int write_pieces(struct stream *s)
{
    const struct stream_pass *pass = &s->writing;
    int error = FAULT("stream_write");
    if (error < 0)
        return error;
    if (s->fd < 0)
        s->fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (s->fd < 0)
        return -errno;
    for (const struct stream_piece *p = pass->first; p != NULL && error == 0; p = next_of(pass, p)) {
        error = write_all(s->fd, p->data, p->len);
        s->written_bytes += p->len;
    }
    push(s);
    return error;
}

/* Nothing is synced: who gives the file a name that counts does that, for many at once (record.c). */
static int close_file(struct stream *s)
{
    int error = s->fd >= 0 && close(s->fd) != 0 ? -errno : 0;
    s->fd = -1;
    return error;
}

static void run_write(struct lane_work *w)
{
    struct stream *s = container_of(w, struct stream, writing.work);
    int error = s->error == 0 ? write_pieces(s) : 0;
    int closing = s->closed ? close_file(s) : 0;
    if (s->error == 0)
        s->error = error != 0 ? error : closing;
}

static void hash_pieces(struct stream *s)
{
    const struct stream_pass *pass = &s->hashing;
    if (s->hash.context == NULL)
        hash_init(&s->hash);
    for (const struct stream_piece *p = pass->first; p != NULL; p = next_of(pass, p))
        hash_add(&s->hash, p->data, p->len);
}

static void run_hash(struct lane_work *w)
{
    hash_pieces(container_of(w, struct stream, hashing.work));
}

/* All of it at once. */
static void run_whole(struct lane_work *w)
{
    struct stream *s = container_of(w, struct stream, writing.work);
    const struct stream_piece *only = s->pieces;
    run_write(w);
    if (s->hashes) {
        hash_pieces(s);
        hash_end(&s->hash, s->sha256);
    }
    if (s->error == 0 && s->inspect)
        s->inspect(s, only != NULL ? only->data : "", only != NULL ? only->len : 0);
}

/* -- the passes ---------------------------------------------------------------------------------- */

static void on_written(struct lane_work *w, int status);
static void on_hashed(struct lane_work *w, int status);
static void on_whole(struct lane_work *w, int status);

static struct stream_piece *last_piece(struct stream *s)
{
    return s->pieces != NULL ? container_of(s->end, struct stream_piece, next) : NULL;
}

/* The next pieces for a pass that is idle. */
static void load(struct stream_pass *pass, struct stream_piece *first)
{
    size_t len = first != NULL ? first->len : 0;
    pass->first = pass->last = first;
    while (pass->last != NULL && pass->last->next != NULL && len < PASS_BYTES) {
        pass->last = pass->last->next;
        len += pass->last->len;
    }
    if (pass->last != NULL)
        pass->last->open = false;
    pass->busy = true;
}

/* Work for who has none, when there is enough of it, or no more will come. */
static void submit(struct stream *s)
{
    struct stream_piece *unwritten = s->pieces, *unhashed = s->pieces;
    uint64_t until = s->ending ? UINT64_MAX : s->fed_bytes;
    while (unwritten != NULL && unwritten->written)
        unwritten = unwritten->next;
    while (unhashed != NULL && unhashed->hashed)
        unhashed = unhashed->next;
    if (!s->writing.busy && !s->closed && (unwritten != NULL || s->ending) &&
        until - s->written_bytes >= batch_bytes(s)) {
        load(&s->writing, unwritten);
        s->closed = s->ending && (s->writing.last == NULL || s->writing.last->next == NULL);
        lane_submit(LANE_DISK, &s->writing.work, run_write, on_written);
    }
    if (!s->hashing.busy && unhashed != NULL && until - s->hashed_bytes >= batch_bytes(s)) {
        load(&s->hashing, unhashed);
        lane_submit(LANE_DISK, &s->hashing.work, run_hash, on_hashed);
    }
}

static void submit_whole(struct stream *s)
{
    s->closed = true;
    load(&s->writing, s->pieces);
    load(&s->hashing, s->pieces);
    lane_submit(s->inspect ? LANE_VERIFY : LANE_DISK, &s->writing.work, run_whole, on_whole);
}

/* What both have seen. Buffers that were given are kept for the next. */
static void let_go(struct stream *s)
{
    while (s->pieces != NULL && s->pieces->written && s->pieces->hashed) {
        struct stream_piece *p = s->pieces;
        s->pieces = p->next;
        s->held_bytes -= p->len;
        p->next = s->spare;
        s->spare = p;
    }
    if (s->pieces == NULL)
        s->end = &s->pieces;
}

static void end_pass(struct stream *s)
{
    let_go(s);
    submit(s);
    if (!s->closed || s->writing.busy || s->hashing.busy) {
        if (s->written)
            s->written(s);
        return;
    }
    if (s->hash.context != NULL) /* of what was not whole */
        hash_end(&s->hash, s->sha256);
    if (s->flooded && s->error == 0)
        s->error = -ENOBUFS;
    s->ended(s);
}

static void note_written(struct stream *s, int status)
{
    for (struct stream_piece *p = s->writing.first; p != NULL; p = next_of(&s->writing, p))
        p->written = true;
    s->writing.busy = false;
    if (status != 0 && s->error == 0)
        s->error = status;
}

static void note_hashed(struct stream *s)
{
    for (struct stream_piece *p = s->hashing.first; p != NULL; p = next_of(&s->hashing, p)) {
        p->hashed = true;
        s->hashed_bytes += p->len;
    }
    s->hashing.busy = false;
}

static void on_written(struct lane_work *w, int status)
{
    struct stream *s = container_of(w, struct stream, writing.work);
    note_written(s, status);
    end_pass(s);
}

static void on_hashed(struct lane_work *w, int status)
{
    struct stream *s = container_of(w, struct stream, hashing.work);
    note_hashed(s);
    end_pass(s);
}

static void on_whole(struct lane_work *w, int status)
{
    struct stream *s = container_of(w, struct stream, writing.work);
    note_written(s, status);
    note_hashed(s);
    end_pass(s);
}

/* -- what the owner calls ------------------------------------------------------------------------ */

bool stream_full(const struct stream *s)
{
    return s->held_bytes >= pause_bytes(s);
}

static bool appended(struct stream *s, size_t len)
{
    s->fed_bytes += len;
    s->held_bytes += len;
    if (s->fed_bytes != s->expected_bytes)
        submit(s);
    return stream_full(s);
}

/* Whether there is room for so much more; a peer that goes on nevertheless has lost. */
static bool take(struct stream *s, size_t len)
{
    if (s->held_bytes + len > STREAM_MAX_HELD_BYTES)
        s->flooded = true;
    return !s->flooded;
}

static struct stream_piece *add_piece(struct stream *s, struct buf holder)
{
    struct stream_piece *p = mem_new(1, sizeof *p);
    p->holder = holder;
    p->hashed = !s->hashes;
    *s->end = p;
    s->end = &p->next;
    return p;
}

bool stream_feed(struct stream *s, const void *data, size_t len)
{
    struct stream_piece *p = last_piece(s);
    if (!take(s, len))
        return true;
    if (p == NULL || !p->open) {
        p = add_piece(s, stream_spare(s));
        p->holder.max = STREAM_MAX_HELD_BYTES;
        p->open = true;
    }
    buf_add(&p->holder, data, len);
    p->data = p->holder.data;
    p->len = p->holder.len;
    return appended(s, len);
}

bool stream_give(struct stream *s, struct buf holder, const void *data, size_t len)
{
    struct stream_piece *p;
    if (!take(s, len)) {
        buf_release(&holder);
        return true;
    }
    if (last_piece(s) != NULL)
        last_piece(s)->open = false;
    p = add_piece(s, holder);
    p->data = data;
    p->len = len;
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

/* Nothing has gone to a thread yet. */
static bool untouched(const struct stream *s)
{
    return stream_idle(s) && s->fd < 0 && !s->closed && s->written_bytes == 0 && s->error == 0;
}

bool stream_in_memory(const struct stream *s)
{
    return untouched(s) && !s->flooded;
}

void stream_end(struct stream *s, void (*ended)(struct stream *s))
{
    s->ending = true;
    s->ended = ended;
    if (untouched(s) && (s->pieces == NULL || s->pieces->next == NULL))
        submit_whole(s);
    else
        submit(s);
}

const char *stream_held(const struct stream *s, size_t *len)
{
    *len = s->pieces != NULL ? s->pieces->len : 0;
    return s->pieces != NULL ? s->pieces->data : "";
}

void stream_peek(const struct stream *s, uint64_t offset, const char **data, size_t *len, uint64_t *on_disk)
{
    uint64_t at = s->fed_bytes - s->held_bytes;
    *on_disk = at;
    *data = "";
    *len = 0;
    for (const struct stream_piece *p = s->pieces; p != NULL; p = p->next) { /* threads read them too, and change nothing */
        if (offset >= at && offset - at < p->len) {
            *data = p->data + (offset - at);
            *len = p->len - (size_t)(offset - at);
            return;
        }
        at += p->len;
    }
}

bool stream_idle(const struct stream *s)
{
    return !s->writing.busy && !s->hashing.busy;
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
    free_pieces(&s->pieces);
    free_pieces(&s->spare);
    s->end = &s->pieces;
    s->held_bytes = 0;
}

void stream_release(struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    hash_release(&s->hash);
    large_streams -= s->large;
    s->large = false;
    stream_forget(s);
    free(s->path);
    s->path = NULL;
}
