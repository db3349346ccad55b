/*
 * A growing byte buffer with a declared maximum.
 *
 * Invariants: `data` is never NULL after buf_init and always ends in a NUL byte that `len` does
 * not count, so it can be read as text; `len` <= `max`. Adding past `max` adds nothing, sets
 * `full` and returns -ENOBUFS; every later add fails too, so a series of adds can be checked once
 * at its end. Life: buf_init, adds, buf_release (or buf_take).
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;  /* the bytes, then a NUL */
    size_t len;  /* bytes used */
    size_t cap;  /* bytes allocated */
    size_t max;  /* bytes allowed */
    bool full;   /* an add was refused */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);

/* Empties the buffer and clears `full`; keeps the memory. */
void buf_clear(struct buf *b);

/* Each returns 0, or -ENOBUFS when `max` would be passed. */
int buf_reserve(struct buf *b, size_t len); /* room for so many more, at once: who adds piece by piece need not grow it so */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *text);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first `len` bytes. */
void buf_drop(struct buf *b, size_t len);

/* Hands the bytes to the caller (free with free()) and leaves the buffer empty and usable. */
char *buf_take(struct buf *b);

/* The two escapes that pages and JSON need. Text must be UTF-8. HTML: & < > " '. */
int buf_add_html(struct buf *b, const char *text);
int buf_add_json(struct buf *b, const char *text); /* with the quotes; NULL gives null */

#endif
