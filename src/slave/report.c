/*
 * Takes in pip's installation reports (https://pip.pypa.io/en/stable/reference/installation-report/). build.c opens
 * one for each build.
 *
 * pip installs what a build requires in a pip of its own, often twice, and each writes its report over the one before:
 * hence a FIFO, which loses none. Whatever runs in the build may write there as well, so nothing is believed but its
 * form, and what would take much memory is not read at all.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "python.h"

#define REPORT_MAX_BYTES (4 * 1024 * 1024) /* what comes behind is read and dropped, so that nobody waits */
#define DRAIN_MAX_BYTES (1024 * 1024)
#define MAX_VALUES 100000 /* of all reports: each takes up to 240 bytes in memory, and four bytes of text can be one */

/* ---- taking in ----------------------------------------------------------------------------------- */

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct report *r = handle->data;
    *buf = uv_buf_init(r->buffer, sizeof r->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct report *r = stream->data;
    if (got > 0)
        buf_add(&r->text, buf->base, (size_t)got);
    else if (got < 0)
        uv_read_stop(stream);
}

/* Open for writing too: no end is seen when one pip has written and the next has not begun. */
int report_open(uv_loop_t *loop, struct report *r, const char *path)
{
    if (mkfifo(path, 0600) != 0)
        return -errno;
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    uv_pipe_init(loop, &r->pipe, 0);
    uv_pipe_open(&r->pipe, fd);
    r->pipe.data = r;
    r->open = true;
    buf_init(&r->text, REPORT_MAX_BYTES);
    uv_read_start((uv_stream_t *)&r->pipe, on_allocate, on_read);
    return 0;
}

static void drain(struct report *r)
{
    uv_os_fd_t fd;
    size_t drained = 0;
    ssize_t got;

    if (uv_fileno((uv_handle_t *)&r->pipe, &fd) != 0)
        return;
    while (drained < DRAIN_MAX_BYTES && (got = read(fd, r->buffer, sizeof r->buffer)) > 0) {
        buf_add(&r->text, r->buffer, (size_t)got);
        drained += (size_t)got;
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct report *r = handle->data;
    r->open = false;
    r->closed(r);
}

void report_close(struct report *r, void (*closed)(struct report *r))
{
    r->closed = closed;
    drain(r);
    uv_close((uv_handle_t *)&r->pipe, on_closed);
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* Older pips write "hash": "sha256=…", later ones "hashes": {"sha256": "…"} as well. */
static const char *hash_of(const json_t *installed)
{
    const json_t *archive = json_object_get(json_object_get(installed, "download_info"), "archive_info");
    const char *hex = json_string_value(json_object_get(json_object_get(archive, "hashes"), "sha256"));
    const char *hash = json_string_value(json_object_get(archive, "hash"));

    if (hex != NULL)
        return hex;
    return hash != NULL && text_starts(hash, "sha256=") ? hash + strlen("sha256=") : "";
}

static bool is_known(const struct report *r, const struct report_requirement *q)
{
    for (unsigned i = 0; i < r->count; i++)
        if (strcmp(r->items[i].name, q->name) == 0 && strcmp(r->items[i].version, q->version) == 0)
            return true;
    return false;
}

static void add(struct report *r, const json_t *installed)
{
    const json_t *metadata = json_object_get(installed, "metadata");
    const char *name = json_string_value(json_object_get(metadata, "name"));
    const char *version = json_string_value(json_object_get(metadata, "version"));
    struct report_requirement *q = &r->items[r->count];

    if (name == NULL || version == NULL || !python_name_valid(name) || !python_version_valid(version) ||
        python_name_normalise(name, q->name, sizeof q->name) != 0 ||
        !text_copy(q->version, sizeof q->version, version) || is_known(r, q))
        return;
    q->hashed = hash_from_hex(hash_of(installed), q->sha256) == 0;
    r->count++;
}

/* Those in strings are counted too: honest reports have a few thousand. */
static bool has_too_many_values(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    return count > MAX_VALUES;
}

void report_parse(struct report *r, const char *text, size_t len)
{
    json_error_t error;

    if (r->items == NULL)
        r->items = mem_new(REPORT_MAX_REQUIREMENTS + 1, sizeof *r->items);
    if (has_too_many_values(text, len))
        return;
    while (len > 0) {
        json_t *report = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, &error);
        size_t i;
        json_t *installed;
        if (report == NULL || error.position <= 0)
            return;
        json_array_foreach(json_object_get(report, "install"), i, installed) {
            if (r->count < REPORT_MAX_REQUIREMENTS)
                add(r, installed);
        }
        json_decref(report);
        text += error.position;
        len -= (size_t)error.position;
    }
}

void report_read(struct report *r)
{
    report_parse(r, r->text.data != NULL ? r->text.data : "", r->text.len);
}

void report_release(struct report *r)
{
    buf_release(&r->text);
    free(r->items);
}
