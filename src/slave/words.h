/*
 * The words of a command, put together one after the other.
 */
#ifndef SLAVE_WORDS_H
#define SLAVE_WORDS_H

#include <stddef.h>

struct words {
    char **items;   /* NULL-terminated once there is one; all are its own */
    size_t count;
};

void words_add(struct words *w, const char *word);
void words_addf(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_add_all(struct words *w, const char *const *words); /* up to a NULL */
void words_release(struct words *w);

/* As spawning takes them. */
const char *const *words_argv(const struct words *w);

#endif
