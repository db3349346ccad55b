/*
 * Allocation that cannot fail: out of memory ends the process with a message, for no caller
 * could go on. Never pass a size that a peer chose: refuse it against a declared maximum first.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <stddef.h>

/* Zeroed memory for `count` things of `size` bytes. Free with free(). */
void *mem_new(size_t count, size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));

/* Resizes `old` (may be NULL) to `count` things of `size` bytes; what is added is not zeroed. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull, warn_unused_result));

/* A copy of `text`; NULL stays NULL. Free with free(). */
char *mem_text(const char *text) __attribute__((warn_unused_result));

/* A NUL-terminated copy of the first `len` bytes of `text`. Free with free(). */
char *mem_textn(const char *text, size_t len) __attribute__((returns_nonnull, warn_unused_result));

/* printf into a new text. Free with free(). */
char *mem_format(const char *format, ...)
    __attribute__((format(printf, 1, 2), returns_nonnull, warn_unused_result));

/* The struct that holds `member` at address `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
