/*
 * The byte buffer in which every room gathers frames, pages, statements and log lines.
 */
#include "core/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max, .cap = FIRST_CAP, .data = mem_new(FIRST_CAP, 1)};
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.data = NULL};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->full = false;
    b->data[0] = '\0';
}

/* Makes room for `len` more bytes and the NUL, or marks the buffer full. */
int buf_reserve(struct buf *b, size_t len)
{
    if (b->full || len > b->max - b->len) {
        b->full = true;
        return -ENOBUFS;
    }
    size_t need = b->len + len + 1;
    if (need > b->cap) {
        b->cap = need > b->cap * 2 ? need : b->cap * 2;
        b->data = mem_resize(b->data, b->cap, 1);
    }
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    int error = buf_reserve(b, len);
    if (error != 0)
        return error;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_adds(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return -EINVAL;
    int error = buf_reserve(b, (size_t)len);
    if (error != 0)
        return error;
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
    return 0;
}

void buf_drop(struct buf *b, size_t len)
{
    b->len -= len;
    memmove(b->data, b->data + len, b->len + 1);
}

char *buf_take(struct buf *b)
{
    char *data = b->data;
    buf_init(b, b->max);
    return data;
}

/* Ends an add of several parts: all of them, or none. */
static int all_or_nothing(struct buf *b, size_t start)
{
    if (!b->full)
        return 0;
    b->len = start;
    b->data[start] = '\0';
    return -ENOBUFS;
}

int buf_add_html(struct buf *b, const char *text)
{
    size_t start = b->len;

    while (*text != '\0') {
        size_t plain = strcspn(text, "&<>\"'");
        buf_add(b, text, plain);
        text += plain;
        switch (*text) {
        case '&': buf_adds(b, "&amp;"); break;
        case '<': buf_adds(b, "&lt;"); break;
        case '>': buf_adds(b, "&gt;"); break;
        case '"': buf_adds(b, "&quot;"); break;
        case '\'': buf_adds(b, "&#39;"); break;
        default: continue;
        }
        text++;
    }
    return all_or_nothing(b, start);
}

static void add_json_character(struct buf *b, char c)
{
    switch (c) {
    case '"': buf_adds(b, "\\\""); break;
    case '\\': buf_adds(b, "\\\\"); break;
    case '\n': buf_adds(b, "\\n"); break;
    case '\r': buf_adds(b, "\\r"); break;
    case '\t': buf_adds(b, "\\t"); break;
    default:
        if ((unsigned char)c < 0x20 || c == 0x7f)
            buf_addf(b, "\\u%04x", (unsigned)(unsigned char)c);
        else
            buf_addc(b, c);
    }
}

int buf_add_json(struct buf *b, const char *text)
{
    size_t start = b->len;

    if (text == NULL)
        return buf_adds(b, "null");
    buf_addc(b, '"');
    for (; *text != '\0'; text++)
        add_json_character(b, *text);
    buf_addc(b, '"');
    return all_or_nothing(b, start);
}
