/*
 * Text that others wrote: package names, versions, summaries, log lines. Nothing of it is stored or
 * shown before it came through here.
 */
#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/memory.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"

size_t text_character(const char *data, size_t len)
{
    const unsigned char *byte = (const unsigned char *)data;

    if (len == 0 || byte[0] == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    if (byte[0] < 0xc2 || byte[0] > 0xf4) /* continuation, overlong, beyond U+10FFFF */
        return 0;
    size_t size = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
    if (len < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    /* RFC 3629 section 4: the second byte rules out overlongs, surrogates and what is too large. */
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
        return 0;
    return size;
}

bool text_is_control(const char *data, size_t len)
{
    unsigned char first = (unsigned char)data[0];

    /* U+0080 to U+009F are controls too: a terminal may take U+009B for an escape. */
    return first < 0x20 || first == 0x7f || (len == 2 && first == 0xc2 && (unsigned char)data[1] < 0xa0);
}

bool text_is_identifier(const char *text)
{
    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return false;
    for (const char *c = text; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return true;
}

bool text_is_utf8(const char *data, size_t len)
{
    while (len > 0) {
        size_t size = text_character(data, len);
        if (size == 0)
            return false;
        data += size;
        len -= size;
    }
    return true;
}

/* The largest length up to `max` at which the valid UTF-8 of `text` can be cut. */
static size_t border(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void cut(struct buf *b, size_t max_bytes)
{
    size_t mark = strlen(ELLIPSIS);
    size_t keep = border(b->data, b->len, max_bytes >= mark ? max_bytes - mark : max_bytes);

    b->len = keep;
    b->data[keep] = '\0';
    if (max_bytes >= mark)
        buf_adds(b, ELLIPSIS);
}

char *text_clean(const char *data, size_t len, size_t max_bytes)
{
    struct buf b;

    buf_init(&b, SIZE_MAX - 1);
    for (size_t at = 0; at < len && b.len <= max_bytes;) {
        size_t size = text_character(data + at, len - at);
        if (size == 0 && data[at] != '\0')
            buf_adds(&b, REPLACEMENT);
        else if (size > 0 && (data[at] == '\n' || data[at] == '\t' || !text_is_control(data + at, size)))
            buf_add(&b, data + at, size);
        at += size > 0 ? size : 1;
    }
    if (b.len > max_bytes)
        cut(&b, max_bytes);
    return b.data; /* the buffer's memory becomes the text */
}

bool text_copy(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    size_t keep = border(from, len, size - 1);

    memcpy(to, from, keep);
    to[keep] = '\0';
    return keep == len;
}

/* Columns of the first `len` bytes, counting each character as one. */
static unsigned columns(const char *text, size_t len)
{
    unsigned count = 0;

    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

void text_wrap(FILE *to, const char *text, unsigned column, unsigned indent)
{
    unsigned pending = column < indent ? indent - column : 0; /* blanks owed before the next word */

    while (*text != '\0') {
        size_t blanks = strspn(text, " ");
        text += blanks;
        pending += (unsigned)blanks;
        if (*text == '\n') {
            fputc('\n', to);
            column = 0;
            pending = indent;
            text++;
            continue;
        }
        size_t len = strcspn(text, " \n");
        unsigned wide = columns(text, len);
        if (column > indent && column + pending + wide > TEXT_COLUMNS) {
            fputc('\n', to);
            column = 0;
            pending = indent;
        }
        if (len > 0)
            fprintf(to, "%*s%.*s", (int)pending, "", (int)len, text);
        column += pending + wide;
        pending = 0;
        text += len;
    }
    fputc('\n', to);
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

int text_to_u64(const char *text, unsigned long long *value)
{
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
        return -EINVAL;
    errno = 0;
    *value = strtoull(text, NULL, 10);
    return errno == ERANGE ? -ERANGE : 0;
}
