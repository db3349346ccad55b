/*
 * Lists of words: the commands and environments that sandbox.c and command.c put together.
 */
#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"

/* Takes `word`. */
static void add(struct words *w, char *word)
{
    w->items = mem_resize(w->items, w->count + 2, sizeof *w->items);
    w->items[w->count++] = word;
    w->items[w->count] = NULL;
}

void words_add(struct words *w, const char *word)
{
    add(w, mem_text(word));
}

void words_addf(struct words *w, const char *format, ...)
{
    va_list args;
    char *word = NULL;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    word = mem_new((size_t)len + 1, 1);
    va_start(args, format);
    vsnprintf(word, (size_t)len + 1, format, args);
    va_end(args);
    add(w, word);
}

void words_add_all(struct words *w, const char *const *words)
{
    for (; *words != NULL; words++)
        words_add(w, *words);
}

void words_release(struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->items[i]);
    free(w->items);
    *w = (struct words){0};
}

const char *const *words_argv(const struct words *w)
{
    return (const char *const *)w->items;
}
