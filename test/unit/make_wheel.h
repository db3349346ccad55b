/*
 * Makes wheels byte by byte, so that a test can have one that lies anywhere it likes.
 */
#ifndef MAKE_WHEEL_H
#define MAKE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MADE_MEMBERS_MAX 16

struct made_member {
    const char *name;
    const void *data;            /* NULL: RECORD is made from the members before it; nothing else has NULL */
    size_t len;                  /* 0: data is a text */
    bool deflated, streamed, zip64;
    uint16_t flags, method;      /* added to, and instead of (unless 0), what the rest implies */
    uint16_t needs;              /* version of the format, instead of 20 (2.0) */
    uint32_t mode;               /* Unix type and permissions */
    const char *extra;           /* one more extra field, in the directory */
    size_t extra_len;

    /* lies */
    const char *local_name;      /* in the local header; as long as the name */
    uint32_t crc_lie;            /* added to the CRC, everywhere */
    uint32_t local_crc_lie, local_size_lie, local_flags_lie, descriptor_lie; /* added only there */
    uint32_t inflated_lie;       /* added to the inflated size, everywhere */
    bool not_in_archive;         /* RECORD alone lists it */
    const char *junk;            /* bytes after its data */
};

struct made_wheel {
    struct made_member members[MADE_MEMBERS_MAX];
    size_t count;
    const char *junk_before, *junk_after;   /* bytes at the start, and after the end record */
    const char *comment;         /* of the archive */
    bool zip64;                  /* a zip64 end record too */
    uint16_t count_lie;          /* added to the number of entries */
    size_t cut_bytes;            /* cut off the end */
};

/* A sound wheel: demo-1.0-py3-none-any.whl, by these members. */
enum { MADE_CODE, MADE_METADATA, MADE_WHEEL, MADE_RECORD };
void make_sound(struct made_wheel *w);

/* Puts one more file before RECORD, which lists it. */
struct made_member *make_add(struct made_wheel *w, const char *name, const char *text);

/* Writes it as a file. */
void make_wheel(const struct made_wheel *w, const char *path);

#endif
