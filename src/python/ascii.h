/*
 * Characters as the packaging rules mean them: ASCII only, whatever the process's locale says.
 */
#ifndef PYTHON_ASCII_H
#define PYTHON_ASCII_H

#include <stdbool.h>
#include <stddef.h>

static inline bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool ascii_alnum(char c)
{
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static inline bool ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Equal but for the case of letters. */
static inline bool ascii_same(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    return true;
}

#endif
