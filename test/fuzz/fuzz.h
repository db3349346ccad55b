/*
 * What the fuzz targets share. Each is a program of its own around one parser of foreign bytes: libFuzzer calls
 * it with whatever it can think of, the sanitizers watch, and assert() holds the promises of the parser's
 * header. run.py gives a target its seeds.
 */
#ifndef FUZZ_H
#define FUZZ_H

#undef NDEBUG
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a text of its own size, so that a byte read too far is seen; free it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    return mem_textn((const char *)data, size);
}

/* Cuts the next line off the text; "" at its end. */
static inline char *fuzz_line(char **text)
{
    char *line = *text, *end = line + strcspn(line, "\n");

    *text = end + (*end != '\0');
    *end = '\0';
    return line;
}

#endif
