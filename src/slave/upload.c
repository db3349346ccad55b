/*
 * Sends one file. attempt.c starts it for each SEND of the master.
 */
#include "upload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"

static enum step read_chunk(struct task *t);
static enum step send_chunk(struct task *t);
static enum step go_on(struct task *t);

static const struct task_step upload_steps[] = {
    {"read chunk", read_chunk},
    {"send chunk", send_chunk},
    {"go on", go_on},
    {NULL, NULL},
};

/* On a worker thread. A file that ends early is an error: it has the size that BUILT told. */
static void read_next(struct lane_work *w)
{
    struct upload *u = container_of(w, struct upload, work);
    uint64_t rest = u->size_bytes - u->offset;
    uint32_t want = rest < CHUNK_MAX_BYTES ? (uint32_t)rest : CHUNK_MAX_BYTES;

    if (u->fd < 0)
        u->fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    u->read_error = u->fd < 0 ? -errno : 0;
    for (u->filled = 0; u->filled < want && u->read_error == 0;) {
        ssize_t got = pread(u->fd, u->chunk + u->filled, want - u->filled, (off_t)(u->offset + u->filled));
        if (got > 0)
            u->filled += (uint32_t)got;
        else if (got == 0 || errno != EINTR)
            u->read_error = got == 0 ? -EIO : -errno;
    }
}

static void on_read(struct lane_work *w, int status)
{
    struct upload *u = container_of(w, struct upload, work);
    if (status != 0)
        u->read_error = status;
    task_resume(&u->task);
}

static enum step read_chunk(struct task *t)
{
    struct upload *u = container_of(t, struct upload, task);
    lane_submit(LANE_DISK, &u->work, read_next, on_read);
    return STEP_WAIT;
}

static enum step send_chunk(struct task *t)
{
    struct upload *u = container_of(t, struct upload, task);

    if (u->read_error != 0)
        return task_fail(t, u->read_error, "cannot read %s: %s", u->path, strerror(-u->read_error));
    wire_send(u->wire, &(struct message){VERB_CHUNK, .chunk = {
        .attempt = u->attempt, .file = u->file, .offset = u->offset, .data = {u->chunk, u->filled}}});
    u->offset += u->filled;
    if (u->offset == u->size_bytes) {
        wire_send(u->wire, &(struct message){VERB_SENT, .sent = {.attempt = u->attempt, .file = u->file}});
        return STEP_DONE;
    }
    u->full = wire_unsent(u->wire) >= ENOUGH_UNSENT_BYTES;
    return u->full ? STEP_WAIT : STEP_NEXT;
}

static enum step go_on(struct task *t)
{
    return STEP_AGAIN;
}

/* A read that runs ends by itself; waiting for the wire ends here. */
static void on_cancel(struct task *t)
{
    struct upload *u = container_of(t, struct upload, task);
    if (u->full)
        upload_drained(u);
}

static void on_finished(struct task *t)
{
    struct upload *u = container_of(t, struct upload, task);
    if (u->fd >= 0)
        close(u->fd);
    u->running = false;
    u->ended(u, t->error);
}

void upload_start(uv_loop_t *loop, struct upload *u)
{
    u->task = (struct task){.name = "upload", .steps = upload_steps, .finished = on_finished, .cancel = on_cancel};
    u->fd = -1;
    u->offset = 0;
    u->full = false;
    u->running = true;
    task_start(loop, &u->task);
}

void upload_drained(struct upload *u)
{
    if (!u->running || !u->full)
        return;
    u->full = false;
    task_resume(&u->task);
}

void upload_stop(struct upload *u)
{
    if (u->running)
        task_cancel(&u->task);
}
