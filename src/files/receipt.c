/*
 * Taking in what a build brings: the log as it is printed, then file after file. The farm (src/farm)
 * makes a receipt for every attempt it hands out and feeds it; once all files are verified, or the build
 * has failed, record.c ends it.
 */
#include "receipt.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/debian.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "io/wire.h"

#define SHARE 4            /* one slave's builds have together a fourth of what is free */
#define MANY_BUILDS 64     /* so many that are that much smaller have room anyhow */
#define ROOM_LOOK_MS 1000

/* ---- steps: once around for every file ---------------------------------------------------------- */

static void on_written(struct stream *s)
{
    struct receipt *r = container_of(s, struct receipt, stream);
    if (r->events && !stream_full(s))
        r->events->relieved(r->owner);
}

static uint64_t size_of_all(const struct receipt *r)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < r->file_count; i++) {
        if (__builtin_add_overflow(bytes, r->files_made[i].size_bytes, &bytes))
            return UINT64_MAX;
    }
    return bytes;
}

/* What other builds of the same slave bring, that are being taken in. */
static uint64_t size_of_others(const struct receipt *r)
{
    uint64_t bytes = 0;
    for (const struct receipt *other = r->files->receipts; other; other = other->next) {
        if (other != r && other->admitted && strcmp(other->slave, r->slave) == 0)
            bytes += size_of_all(other);
    }
    return bytes;
}

static enum step check_size(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    uint64_t bytes = size_of_all(r), most = r->files->settings.max_wheel_bytes;
    if (bytes <= most)
        return STEP_NEXT;
    if (r->file_count == 1)
        receipt_fail(r, "failed", "too large", "%s has %llu bytes; the master takes at most %llu", r->files_made[0].name,
                     (unsigned long long)bytes, (unsigned long long)most);
    else
        receipt_fail(r, "failed", "too large", "the %u wheels have %llu bytes together; the master takes at most %llu",
                     r->file_count, (unsigned long long)bytes, (unsigned long long)most);
    return STEP_DONE;
}

/* A file stays in staging until all of its build's are there. The builds of one slave have a part of the free space
 * together, so that none, broken or taken over, fills the disk; what goes beyond waits until others of its own are through. */
static bool must_wait(struct receipt *r, uint64_t free_bytes)
{
    uint64_t bytes = size_of_all(r), others;
    if (r->admitted || bytes <= free_bytes / SHARE / MANY_BUILDS || (others = size_of_others(r)) == 0 ||
        others + bytes <= free_bytes / SHARE)
        return false;
    if (!r->waited)
        log_info("files", "build %lld waits for room: its %llu MB and the %llu MB that %s brings already are more than a quarter "
                 "of what is free", (long long)r->attempt.attempt, (unsigned long long)bytes >> 20,
                 (unsigned long long)others >> 20, r->slave);
    return r->waited = true;
}

static enum step check_space(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    struct receipt_file *f = &r->files_made[r->at];
    uint64_t free_bytes = 0, inodes = 0;
    int error = fs_free(r->files->staging, &free_bytes, &inodes);
    if (error)
        return task_fail(t, error, "cannot look at %s: %s", r->files->staging, strerror(-error));
    if (free_bytes < f->size_bytes + r->files->settings.min_free_bytes)
        return task_fail(t, -ENOSPC, "the output directory %s is full: %llu MB are free, %s needs %llu MB beside the "
                         "%llu MB that stay free; make room and the build is tried again", r->files->output,
                         (unsigned long long)free_bytes >> 20, f->name, (unsigned long long)f->size_bytes >> 20,
                         (unsigned long long)r->files->settings.min_free_bytes >> 20);
    if (must_wait(r, free_bytes))
        return task_pause(t, ROOM_LOOK_MS);
    r->admitted = true;
    return STEP_NEXT;
}

static enum step look_again(struct task *t)
{
    return container_of(t, struct receipt, task)->admitted ? STEP_NEXT : STEP_AGAIN;
}

static bool arrived_whole(const struct receipt *r)
{
    const struct receipt_file *f = &r->files_made[r->at];
    return r->stream.fed_bytes == f->size_bytes && memcmp(r->stream.sha256, f->sha256, SHA256_SIZE) == 0;
}

/* On a pool thread. A farm has a great many small wheels: one visit to a thread is enough for each. */
static void judge_at_once(struct stream *s, const void *data, size_t len)
{
    struct receipt *r = container_of(s, struct receipt, stream);
    if (arrived_whole(r))
        receipt_judge(r, data);
}

static void on_turn(struct turn *transfer)
{
    task_resume(&container_of(transfer, struct receipt, transfer)->task);
}

/* What is on its way is partly in memory, or all of it where it is small: not all send at once. */
static enum step wait_for_turn(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    r->transfer.go = on_turn;
    return turn_ask(&r->transfer, r->files->transfers) ? STEP_NEXT : STEP_WAIT;
}

static enum step take_in(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    struct receipt_file *f = &r->files_made[r->at];
    f->tries++;
    f->judged = false;
    r->work_error = 0;
    stream_init(&r->stream, f->path, on_written);
    stream_expect(&r->stream, f->size_bytes);
    r->stream.inspect = judge_at_once;
    r->streaming = true;
    r->sent = false;
    r->events->want(r->owner, r->at);
    return STEP_WAIT; /* for SENT, and then for the last byte on the disk: on_stored */
}

static enum step check_bytes(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    struct receipt_file *f = &r->files_made[r->at];
    int error = r->stream.error;
    bool equal = arrived_whole(r);
    turn_end(&r->transfer);
    stream_release(&r->stream);
    r->streaming = false;
    if (error)
        return task_fail(t, error, "cannot write %s: %s", f->path, strerror(-error));
    if (equal)
        return STEP_NEXT;
    if (f->tries < FILES_MAX_TRIES) {
        log_warning("files", "build %lld: %s arrived damaged; asking for it again", (long long)r->attempt.attempt, f->name);
        return STEP_AGAIN;
    }
    receipt_fail(r, "farm", "transfer", "%s arrived damaged %u times", f->name, f->tries);
    return STEP_DONE;
}

static void run_judge(struct lane_work *w)
{
    receipt_judge(container_of(w, struct receipt, work), NULL);
}

static void on_judged(struct lane_work *w, int status)
{
    struct receipt *r = container_of(w, struct receipt, work);
    if (status != 0)
        r->work_error = status;
    task_resume(&r->task);
}

static enum step judge(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->files_made[r->at].judged || r->work_error)
        return STEP_NEXT; /* it was, when it was stored */
    lane_submit(LANE_VERIFY, &r->work, run_judge, on_judged);
    return STEP_WAIT;
}

static enum step next_file(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    struct receipt_file *f = &r->files_made[r->at];
    if (r->work_error == -EBADMSG) {
        receipt_fail(r, "failed", "bad wheel", "%s: %s", f->name, r->why);
        return STEP_DONE;
    }
    if (r->work_error)
        return task_fail(t, r->work_error, "cannot read %s: %s", f->name, r->why);
    r->at++;
    return r->at < r->file_count ? STEP_AGAIN : STEP_DONE;
}

static const struct task_step receive_steps[] = {
    {"check size", check_size},
    {"check space", check_space},
    {"look again if it must wait", look_again},
    {"wait for its turn", wait_for_turn},
    {"take in", take_in},
    {"check bytes", check_bytes},
    {"judge", judge},
    {"next file", next_file},
    {NULL, NULL},
};

static void on_stored(struct stream *s)
{
    task_resume(&container_of(s, struct receipt, stream)->task);
}

static void on_receive_cancel(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (turn_waits(&r->transfer)) {
        turn_end(&r->transfer);
        task_resume(t);
    } else if (!r->streaming) {
        lane_cancel(&r->work);
    } else if (!r->stream.ending) {
        stream_end(&r->stream, on_stored);
    }
}

static void on_received(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    turn_end(&r->transfer);
    if (r->streaming)
        stream_release(&r->stream);
    r->streaming = false;
    if (!r->events) {
        receipt_free(r);
        return;
    }
    if (t->error == -ENOSPC || t->error == -EDQUOT)
        receipt_fail(r, "farm", "disk", "%s", t->reason);
    else if (t->error)
        receipt_fail(r, "farm", "master", "%s", t->reason);
    receipt_record(r);
}

/* ---- what the farm calls ------------------------------------------------------------------------- */

int receipt_log(struct receipt *r, uint64_t offset, const struct bytes *data)
{
    uint64_t have = r->log.fed_bytes;
    if (r->reported || offset > have)
        return -EPROTO;
    if (offset + data->len <= have)
        return 0; /* told before, on an earlier connection */
    if (offset + data->len > FILES_MAX_LOG_BYTES)
        return -EFBIG;
    return stream_feed(&r->log, data->data + (have - offset), data->len - (have - offset)) ? 1 : 0;
}

static bool is_plain_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        if (*c == '/' || *c == '\\' || iscntrl((unsigned char)*c))
            return false;
    }
    return name[0] && name[0] != '.';
}

static int check_report(const struct receipt *r, const struct msg_built *b, char *why, size_t size)
{
    bool success = strcmp(b->outcome, "success") == 0;
    if (r->reported)
        return snprintf(why, size, "BUILT was said before"), -EPROTO;
    if (!success && strcmp(b->outcome, "failed") != 0 && strcmp(b->outcome, "farm") != 0)
        return snprintf(why, size, "BUILT has the outcome \"%s\"; it can be success, failed or farm", b->outcome), -EPROTO;
    if (success != (b->files.count > 0))
        return snprintf(why, size, "BUILT has the outcome %s and %u files", b->outcome, b->files.count), -EPROTO;
    if (b->log_bytes != r->log.fed_bytes)
        return snprintf(why, size, "BUILT speaks of %llu bytes of log, OUTPUT brought %llu",
                        (unsigned long long)b->log_bytes, (unsigned long long)r->log.fed_bytes), -EPROTO;
    if (!receipt_requirements_valid(b))
        return snprintf(why, size, "BUILT names a requirement that is no package, or has a SHA-256 of another size"), -EPROTO;
    if (!receipt_override_right(r, b))
        return snprintf(why, size, "BUILT says that the build had other settings of its own than BUILD gave"), -EPROTO;
    for (unsigned i = 0; i < b->files.count; i++) {
        const struct rec_wheel *w = &b->files.items[i];
        if (!is_plain_name(w->name))
            return snprintf(why, size, "BUILT names a file \"%s\"", w->name), -EPROTO;
        if (w->sha256.len != SHA256_SIZE)
            return snprintf(why, size, "BUILT gives %s a SHA-256 of %u bytes", w->name, w->sha256.len), -EPROTO;
        if (!debian_names_valid(w->apt))
            return snprintf(why, size, "BUILT has names for what %s needs that are not Debian's, or in disorder", w->name), -EPROTO;
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(w->name, b->files.items[j].name) == 0)
                return snprintf(why, size, "BUILT names %s twice", w->name), -EPROTO;
        }
    }
    return 0;
}

static void note_files(struct receipt *r, const struct msg_built *b)
{
    r->file_count = b->files.count;
    if (r->file_count > 0)
        r->files_made = mem_new(r->file_count, sizeof *r->files_made);
    for (unsigned i = 0; i < b->files.count; i++) {
        const struct rec_wheel *w = &b->files.items[i];
        struct receipt_file *f = &r->files_made[i];
        text_copy(f->name, sizeof f->name, w->name);
        f->size_bytes = w->size_bytes;
        f->apt = mem_text(w->apt);
        memcpy(f->sha256, w->sha256.data, SHA256_SIZE);
        f->path = mem_format("%s/%lld-%llu-%u.part", r->files->staging, (long long)r->attempt.attempt,
                             (unsigned long long)r->number, i);
        f->public_path = mem_format("simple/%s/%s", r->attempt.package, f->name);
    }
}

int receipt_built(struct receipt *r, const struct msg_built *b, const char *slave, char *why, size_t why_size)
{
    int error = check_report(r, b, why, why_size);
    if (error)
        return error;
    r->reported = true;
    text_copy(r->slave, sizeof r->slave, slave);
    text_copy(r->outcome, sizeof r->outcome, b->outcome);
    text_copy(r->reason, sizeof r->reason, b->reason);
    r->end = (struct db_build_end){.attempt = r->attempt.attempt, .outcome = r->outcome, .reason = r->reason,
                                   .wall_ms = b->wall_ms, .cpu_ms = b->cpu_ms, .peak_bytes = b->peak_bytes,
                                   .log_bytes = b->log_bytes};
    receipt_describe(r, b->detail);
    r->end.record = r->record = receipt_compose_record(r, b);
    note_files(r, b);
    if (r->file_count > 0)
        receipt_start(r, "receive", receive_steps, on_receive_cancel, on_received);
    else
        receipt_record(r);
    return 0;
}

/* A large file's pieces go to the disk from where they arrived. */
static bool feed_chunk(struct receipt *r, const struct msg_chunk *c, struct wire *from)
{
    bool large = c->data.len >= STREAM_BATCH_BYTES && r->files_made[r->at].size_bytes > c->data.len;
    struct buf frame;
    if (!large)
        return stream_feed(&r->stream, c->data.data, c->data.len);
    frame = stream_spare(&r->stream);
    if (wire_swap_frame(from, &frame))
        return stream_give(&r->stream, frame, c->data.data, c->data.len);
    buf_release(&frame);
    return stream_feed(&r->stream, c->data.data, c->data.len);
}

int receipt_chunk(struct receipt *r, const struct msg_chunk *c, struct wire *from, char *why, size_t why_size)
{
    const struct receipt_file *f = &r->files_made[r->at];
    if (!r->streaming || r->sent || c->file != r->at)
        return snprintf(why, why_size, "CHUNK of file %llu, which was not asked for", (unsigned long long)c->file), -EPROTO;
    if (c->offset != r->stream.fed_bytes || c->data.len == 0)
        return snprintf(why, why_size, "CHUNK of %u bytes at %llu of %s; expected %llu", c->data.len,
                        (unsigned long long)c->offset, f->name, (unsigned long long)r->stream.fed_bytes), -EPROTO;
    if (c->data.len > f->size_bytes - r->stream.fed_bytes)
        return snprintf(why, why_size, "CHUNK leads past the %llu bytes of %s", (unsigned long long)f->size_bytes,
                        f->name), -EPROTO;
    return feed_chunk(r, c, from) ? 1 : 0;
}

int receipt_sent(struct receipt *r, unsigned file, char *why, size_t why_size)
{
    if (!r->streaming || r->sent || file != r->at)
        return snprintf(why, why_size, "SENT for file %u, which was not asked for", file), -EPROTO;
    r->sent = true;
    stream_end(&r->stream, on_stored);
    return 0;
}

void receipt_abandon(struct receipt *r)
{
    r->events = NULL;
    if (r->recording)
        return; /* the end is on its way into the database: let it arrive */
    if (r->reported)
        task_cancel(&r->task);
    else
        receipt_free(r);
}

int files_log(const struct files *f, int64_t attempt, uint64_t offset, struct files_log *out)
{
    for (const struct receipt *r = f->receipts; r; r = r->next) {
        if (!r->events || r->attempt.attempt != attempt)
            continue;
        if (r->log_kept)
            return -ENOENT;
        *out = (struct files_log){.path = r->log.path, .complete = r->reported};
        stream_peek(&r->log, offset, &out->data, &out->len, &out->on_disk);
        return 0;
    }
    return -ENOENT;
}

bool files_recording(const struct files *f, int64_t attempt)
{
    for (const struct receipt *r = f->receipts; r; r = r->next) {
        if (r->recording && r->attempt.attempt == attempt)
            return true;
    }
    return false;
}
