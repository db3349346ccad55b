/*
 * A part of a text that somebody else keeps: where it begins and its length. Nothing here allocates.
 */
#ifndef PYTHON_SPAN_H
#define PYTHON_SPAN_H

#include <stddef.h>
#include <string.h>

#include "ascii.h"

struct span {
    const char *at;
    size_t len;
};

static inline struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline void span_skip(struct span *s, size_t count)
{
    s->at += count;
    s->len -= count;
}

static inline struct span span_trim(struct span s)
{
    while (s.len > 0 && ascii_space(s.at[0]))
        span_skip(&s, 1);
    while (s.len > 0 && ascii_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts off and returns what stands before the first `mark`, or all of it; the mark itself is dropped. */
static inline struct span span_cut(struct span *s, char mark)
{
    const char *found = s->len > 0 ? memchr(s->at, mark, s->len) : NULL;
    struct span head = {s->at, found ? (size_t)(found - s->at) : s->len};

    span_skip(s, head.len + (found ? 1 : 0));
    return head;
}

/* Skips the word where the span begins with it, in any case of letters. */
static inline bool span_skip_word(struct span *s, const char *word)
{
    size_t len = strlen(word);

    if (s->len < len || !ascii_same(s->at, word, len))
        return false;
    span_skip(s, len);
    return true;
}

static inline bool span_same(struct span a, struct span b)
{
    return a.len == b.len && ascii_same(a.at, b.at, a.len);
}

static inline bool span_is(struct span s, const char *text)
{
    return span_same(s, span_of(text));
}

#endif
