/*
 * A wheel's archive, once its structure has been judged: its members by name, and their bytes.
 */
#ifndef WHEEL_ARCHIVE_H
#define WHEEL_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wheel.h"

/* Where the reason for a refusal goes. */
struct reason {
    char *text;
    size_t size;
};

/* Each writes the reason (cleaned: it may quote foreign names) and returns the error. */
int refuse(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3))); /* -EBADMSG */
int fail(struct reason *why, int error, const char *what); /* `error`, a -errno: the machine's fault */

struct member {
    char *name;              /* as stored; checked to be a plain relative path */
    uint64_t offset;         /* of its local header */
    uint64_t stored_bytes;
    uint64_t inflated_bytes; /* as declared; archive_inflate holds it to that */
    uint32_t crc32;
    uint16_t flags;          /* general purpose bits */
    uint16_t method;
    uint8_t needs;           /* the version of the format that a reader must know: 20 is 2.0 */
    uint32_t mode;           /* Unix type and permissions, or 0 */
    bool directory;
    bool listed;             /* RECORD has named it */
};

struct archive {
    struct reason *why;
    struct wheel_limits limits;
    int fd;
    uint64_t size_bytes;
    const unsigned char *bytes; /* all of a small file, or of one in memory; NULL: it is read from fd as needed */
    unsigned char *own_bytes;   /* these, when they were read here */
    struct member *members;  /* in the order of the central directory, as libzip counts them */
    size_t count;
    struct member **by_name; /* the same, sorted */
    uint64_t inflated_bytes; /* of all members, as declared */
    bool has_objects;        /* record_check has met a member that begins as machine code does */
    struct zip *zip;
    unsigned char *chunk;    /* what was inflated last */
    struct libdeflate_decompressor *inflater; /* of small.c, made when first needed */
};

/* Each returns 0, or the error with its reason. archive_close() in any case. */
int archive_open(struct archive *a, const char *path, const struct wheel_limits *limits, struct reason *why);
int archive_open_bytes(struct archive *a, const void *bytes, size_t len, struct reason *why); /* which stay until it is closed */
void archive_close(struct archive *a);

struct member *archive_find(const struct archive *a, const char *name); /* NULL when there is no such file */

typedef void archive_sink(void *context, const void *data, size_t len);
int archive_inflate(struct archive *a, const struct member *m, archive_sink *sink, void *context);

/* The first `len` bytes of a member that has so many. */
int archive_peek(struct archive *a, const struct member *m, void *start, size_t len);

/* The whole member, with a NUL after it; refused when longer than `max_bytes`. Free *data in any case. */
int archive_read(struct archive *a, const struct member *m, size_t max_bytes, char **data, size_t *len);

/* small.c: archive_inflate for a file whose bytes are in memory. */
int small_inflate(struct archive *a, const struct member *m, archive_sink *sink, void *context);
void small_release(struct archive *a);

/* layout.c: `len` bytes of the file; refused where it is cut short. */
int archive_bytes(struct archive *a, uint64_t offset, void *to, size_t len);

/* layout.c: fills `members`, and checks that they and the central directory are all there is in the file. */
int layout_read(struct archive *a);

#endif
