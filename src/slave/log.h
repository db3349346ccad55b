/*
 * What a build prints, kept in memory within bounds: its head and its tail, for the reason of a failure
 * stands at the end. The head may be sent while the build goes on; all of it stays until the attempt is
 * forgotten, so that it can be sent again over a new connection.
 *
 * Every line begins with the time since the build's start when its first byte came, in seconds and right-aligned, so
 * that columns stay: "[   12.345] gcc -c x.c".
 */
#ifndef SLAVE_LOG_H
#define SLAVE_LOG_H

#include <stdint.h>

#include "core/buf.h"

#define BUILD_LOG_HEAD_BYTES 2500000
#define BUILD_LOG_TAIL_BYTES 2500000

struct build_log {
    struct buf text;         /* the head; after build_log_end everything that is kept */
    char *tail;              /* ring of the last BUILD_LOG_TAIL_BYTES, from the moment the head is full */
    uint64_t tail_bytes;     /* that ever went into the ring */
    bool in_line;            /* the next byte goes on with a line */
    bool ended;
};

void build_log_init(struct build_log *l);
void build_log_add(struct build_log *l, int64_t at_ms, const char *data, size_t len);

/* A line of the slave's own, in brackets, on a line by itself; before or after build_log_end. */
void build_log_note(struct build_log *l, int64_t at_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What of a line stands behind the time. */
const char *build_log_words(const char *line, size_t len);

/* Joins head and tail, with a line between them that says how many bytes were left out. Once; afterwards only
 * notes may be added. */
void build_log_end(struct build_log *l);
void build_log_release(struct build_log *l);

#endif
