/*
 * The log of one build. build.c adds what pip prints, attempt.c sends `text` as far as it has grown.
 */
#include "log.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define NOTE_MAX_BYTES 1200
#define NOTES_MAX_BYTES 65536 /* of all that come after the end */
#define ALL_MAX_BYTES (BUILD_LOG_HEAD_BYTES + BUILD_LOG_TAIL_BYTES + NOTES_MAX_BYTES)
#define PARTIAL_LINE_BYTES 4096 /* the tail begins at a line's start if there is one so near */

void build_log_init(struct build_log *l)
{
    *l = (struct build_log){0};
    buf_init(&l->text, ALL_MAX_BYTES);
}

void build_log_release(struct build_log *l)
{
    buf_release(&l->text);
    free(l->tail);
    l->tail = NULL;
}

static void add_to_tail(struct build_log *l, const char *data, size_t len)
{
    if (l->tail == NULL)
        l->tail = mem_new(1, BUILD_LOG_TAIL_BYTES);
    while (len > 0) {
        size_t at = l->tail_bytes % BUILD_LOG_TAIL_BYTES;
        size_t part = len < BUILD_LOG_TAIL_BYTES - at ? len : BUILD_LOG_TAIL_BYTES - at;
        memcpy(l->tail + at, data, part);
        l->tail_bytes += part;
        data += part;
        len -= part;
    }
}

static void put(struct build_log *l, const char *data, size_t len)
{
    size_t room = BUILD_LOG_HEAD_BYTES - l->text.len;
    size_t head = len < room ? len : room;

    buf_add(&l->text, data, head);
    if (len > head)
        add_to_tail(l, data + head, len - head);
}

static void write_time(int64_t at_ms, char time[32])
{
    snprintf(time, 32, "[%5lld.%03d] ", (long long)(at_ms / 1000), (int)(at_ms % 1000));
}

void build_log_add(struct build_log *l, int64_t at_ms, const char *data, size_t len)
{
    char time[32];

    assert(!l->ended);
    write_time(at_ms, time);
    while (len > 0) {
        const char *newline = memchr(data, '\n', len);
        size_t part = newline != NULL ? (size_t)(newline - data) + 1 : len;
        if (!l->in_line)
            put(l, time, strlen(time));
        put(l, data, part);
        l->in_line = newline == NULL;
        data += part;
        len -= part;
    }
}

void build_log_note(struct build_log *l, int64_t at_ms, const char *format, ...)
{
    va_list args;
    char text[NOTE_MAX_BYTES - 64], line[NOTE_MAX_BYTES], time[32];

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_time(at_ms, time);
    int len = snprintf(line, sizeof line, "%s%s[piwheels: %s]\n", l->in_line ? "\n" : "", time, text);
    l->in_line = false;
    if (l->ended)
        buf_add(&l->text, line, (size_t)len);
    else
        put(l, line, (size_t)len);
}

const char *build_log_words(const char *line, size_t len)
{
    size_t at = 0;

    if (len == 0 || line[at++] != '[')
        return line;
    while (at < len && (line[at] == ' ' || isdigit((unsigned char)line[at]) || line[at] == '.'))
        at++;
    return at + 1 < len && line[at] == ']' && line[at + 1] == ' ' ? line + at + 2 : line;
}

/* How many of the ring's oldest bytes are the rest of a line whose beginning is lost. */
static size_t partial_line(const char *first, size_t len)
{
    const char *newline = memchr(first, '\n', len < PARTIAL_LINE_BYTES ? len : PARTIAL_LINE_BYTES);
    return newline == NULL ? 0 : (size_t)(newline - first) + 1;
}

static void join_wrapped(struct build_log *l)
{
    size_t at = l->tail_bytes % BUILD_LOG_TAIL_BYTES;
    size_t skip = partial_line(l->tail + at, BUILD_LOG_TAIL_BYTES - at);
    unsigned long long left_out = l->tail_bytes - BUILD_LOG_TAIL_BYTES + skip;

    buf_addf(&l->text, "\n[piwheels: %llu bytes were left out here]\n", left_out);
    buf_add(&l->text, l->tail + at + skip, BUILD_LOG_TAIL_BYTES - at - skip);
    buf_add(&l->text, l->tail, at);
}

void build_log_end(struct build_log *l)
{
    if (l->tail_bytes > BUILD_LOG_TAIL_BYTES)
        join_wrapped(l);
    else if (l->tail_bytes > 0)
        buf_add(&l->text, l->tail, l->tail_bytes);
    assert(!l->text.full);
    free(l->tail);
    l->tail = NULL;
    l->tail_bytes = 0;
    l->ended = true;
}
