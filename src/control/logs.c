/*
 * LOGS: the log of a build, piece by piece, while it is being taken in. What has ended is not read here: the tool is
 * told the path of what is kept, and from which byte on to read it.
 *
 * A reader gets no more than it reads: the next piece follows when the last has gone. One that reads nothing for too
 * long is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/text.h"
#include "private.h"

#define PIECE_BYTES (32 * 1024)
#define TICK_MS 200         /* between looks at a log that has no more yet */
#define STALL_MS 10000

/* ---- saying -------------------------------------------------------------------------------------- */

/* How many bytes of a character that goes on later the text ends with. */
static size_t cut_character(const char *data, size_t len)
{
    size_t tail = 0;
    while (tail < 3 && tail < len && ((unsigned char)data[len - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (tail == len || (unsigned char)data[len - 1 - tail] < 0xc0 || text_character(data + len - 1 - tail, tail + 1) > 0)
        return 0;
    return tail + 1;
}

/* A character that is cut is held back until its rest comes. */
static void say_piece(struct client *c, const char *data, size_t len)
{
    struct reading *r = &c->reading;
    char piece[PIECE_BYTES + sizeof r->held];
    len = len < PIECE_BYTES ? len : PIECE_BYTES;
    memcpy(piece, r->held, r->held_bytes);
    memcpy(piece + r->held_bytes, data, len);
    size_t all = r->held_bytes + len;
    size_t held = cut_character(piece, all);
    char *text = text_clean(piece, all - held, sizeof piece * 4);
    client_say_json(c, json_pack("{s:I, s:s}", "build", (json_int_t)r->build, "text", text));
    free(text);
    memcpy(r->held, piece + all - held, held);
    r->held_bytes = held;
    r->offset += len;
}

/* The build has ended: what is left is in a file that stays. */
static void say_path(struct client *c)
{
    char path[512];
    files_log_path(c->control->sources.files, c->reading.build, path, sizeof path);
    client_say_json(c, json_pack("{s:I, s:I, s:s}", "build", (json_int_t)c->reading.build, "offset",
                                 (json_int_t)(c->reading.offset - c->reading.held_bytes), "path", path));
    client_say_done(c, true, "the build has ended");
}

/* ---- reading the file ---------------------------------------------------------------------------- */

/* On a pool thread. */
static void run_read(struct lane_work *w)
{
    struct reading *r = container_of(w, struct reading, work);
    int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd < 0 ? -1 : pread(fd, r->piece, r->len, (off_t)r->offset);
    r->error = got < 0 ? -errno : got == 0 ? -EIO : 0;
    r->len = got < 0 ? 0 : (size_t)got;
    if (fd >= 0)
        close(fd);
}

/* A file that is gone was that of a build that has just ended. */
static void on_read(struct lane_work *w, int status)
{
    struct client *c = container_of(w, struct client, reading.work);
    struct reading *r = &c->reading;
    r->busy = false;
    if (c->state != CLIENT_READING) {
        client_check_end(c);
        return;
    }
    if (status != 0)
        r->error = status;
    if (r->error == -ENOENT)
        return; /* until the next tick, when there is no such build */
    if (r->error != 0) {
        client_refuse(c, "the log of build %lld cannot be read: %s", (long long)r->build, strerror(-r->error));
        return;
    }
    say_piece(c, r->piece, r->len);
    logs_go_on(c);
}

static void read_file(struct client *c, const struct files_log *log)
{
    struct reading *r = &c->reading;
    uint64_t there = log->on_disk - r->offset;
    if (!r->piece)
        r->piece = mem_new(PIECE_BYTES, 1);
    r->len = there < PIECE_BYTES ? (size_t)there : PIECE_BYTES;
    text_copy(r->path, sizeof r->path, log->path);
    r->busy = true;
    lane_submit(LANE_PAGES, &r->work, run_read, on_read);
}

/* ---- going on ------------------------------------------------------------------------------------ */

/* Sends what there is, as far as the reader takes it. */
void logs_go_on(struct client *c)
{
    struct reading *r = &c->reading;
    struct files_log log;
    while (c->state == CLIENT_READING && c->wire && !r->busy && wire_unsent(c->wire) <= PIECE_BYTES) {
        if (files_log(c->control->sources.files, r->build, r->offset, &log) != 0) {
            say_path(c);
        } else if (log.len > 0) {
            say_piece(c, log.data, log.len);
        } else if (log.on_disk > r->offset) {
            read_file(c, &log);
        } else if (!r->follow) {
            client_say_done(c, true, "the build goes on");
        } else {
            return; /* until the next tick */
        }
    }
}

static void check_stall(struct client *c, int64_t now_ms)
{
    if (wire_unsent(c->wire) == 0)
        c->reading.clear_ms = now_ms;
    if (now_ms - c->reading.clear_ms < STALL_MS)
        return;
    log_warning("control", "a reader of build %lld's log is dropped: it has read nothing for %d s",
                (long long)c->reading.build, STALL_MS / 1000);
    wire_drop(c->wire, "read nothing for too long");
}

static void on_tick(uv_timer_t *timer)
{
    struct control *o = timer->data;
    int64_t now_ms = clock_steady_ms();
    bool any = false;
    for (struct client *c = o->clients; c; c = c->next) {
        if (c->state != CLIENT_READING || !c->wire)
            continue;
        any = true;
        check_stall(c, now_ms);
        logs_go_on(c);
    }
    if (!any)
        uv_timer_stop(timer);
}

/* ---- the verb ------------------------------------------------------------------------------------ */

void logs_on_logs(struct client *c, const struct message *m)
{
    struct control *o = c->control;
    const struct msg_logs *logs = &m->logs;
    int64_t build = (int64_t)logs->build;
    if (!client_same_version(c, logs->version))
        return;
    if (build == 0)
        build = farm_building(o->sources.farm, logs->slave);
    if (build < 0) {
        client_refuse(c, "no slave \"%s\" is connected; piwheels status lists those that are", logs->slave);
    } else if (build == 0) {
        client_refuse(c, "slave %s builds nothing now; the log of a build that has ended is shown by its number", logs->slave);
    } else {
        c->state = CLIENT_READING;
        c->reading.build = build;
        c->reading.follow = logs->follow;
        c->reading.clear_ms = clock_steady_ms();
        if (!uv_is_active((uv_handle_t *)&o->reading_tick))
            uv_timer_start(&o->reading_tick, on_tick, TICK_MS, TICK_MS);
        logs_go_on(c);
    }
}

/* ---- opening and closing ------------------------------------------------------------------------- */

void logs_open(struct control *o)
{
    uv_timer_init(o->loop, &o->reading_tick);
    o->reading_tick.data = o;
    o->open_handles++;
}

void logs_close(struct control *o)
{
    uv_close((uv_handle_t *)&o->reading_tick, control_on_handle_closed);
}
