/*
 * A wheel as an archive: opened, judged by the strict rules, and read (libzip).
 *
 * Blocking: for worker threads and for the slave. Refused, with the reason in words: duplicate names, a
 * file that is a folder too, local and central headers that differ, bytes that belong to no member, absolute or ".." paths, backslashes and
 * control characters in names, symlinks and other special files, not exactly one dist-info folder, a data folder
 * that installers do not agree on or cannot place, no or unreadable METADATA, WHEEL or RECORD, a METADATA name or version or WHEEL tags that differ from the file
 * name (PEP 427; versions by PEP 440 equality, names by PEP 503; a missing Build: is fine), RECORD that
 * differs from the contents, encrypted members, an absurd compression ratio or inflated size, an archive
 * comment. Sources: PEP 427, PEP 376 RECORD as amended by the binary distribution format specification,
 * FACTS of this project.
 */
#ifndef WHEEL_H
#define WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/hash.h"
#include "python.h"

struct wheel_limits {
    uint64_t max_inflated_bytes;   /* of all members; 0: 16 GiB */
    unsigned max_members;          /* 0: 200000 */
    unsigned max_ratio;            /* inflated : stored of the whole archive; 0: 1000. Archives that
                                    * inflate to under 64 MiB are not judged by ratio */
};

struct wheel {
    struct wheel_name name;        /* parsed from the file name */
    struct metadata metadata;
    char *metadata_bytes;          /* METADATA, byte for byte */
    size_t metadata_len;
    uint8_t metadata_sha256[SHA256_SIZE];
    uint64_t inflated_bytes;
    unsigned members;
    bool has_objects;              /* some member is machine code; told only when the wheel was read whole */
};

/* Reads the archive at `path` as if it bore `file_name`. With `package` (normalised) and `version` not NULL
 * the wheel must be of these. `whole` checks RECORD against every member's bytes (inflates all); otherwise
 * only the structure and METADATA are read. 0; -EBADMSG with `why` when the wheel is bad; another -errno with
 * `why` when the machine is at fault (EIO, EMFILE, …). Release in either case. */
int wheel_read(const char *path, const char *file_name, const char *package, const char *version, bool whole,
               const struct wheel_limits *limits, struct wheel *w, char *why, size_t why_size);

/* The same, whole, with the default limits, of an archive that is in memory; the bytes must stay during the call. */
int wheel_read_bytes(const void *bytes, size_t len, const char *file_name, const char *package, const char *version,
                     struct wheel *w, char *why, size_t why_size);
void wheel_release(struct wheel *w);

/* -- machine code in a wheel: ELF objects, read as the dynamic linker would, and never run ---------- */

#define WHEEL_MAX_OBJECTS 4096
#define WHEEL_MAX_NEEDED 256         /* libraries that one object may name */

struct wheel_object {
    char *path;                      /* below the directory that it is installed in: "numpy/_core.so" */
    bool sound;                      /* could be read; without that nothing below is known */
    bool loadable;                   /* has a dynamic section: a shared library or a program */
    uint16_t machine;                /* e_machine: EM_ARM, EM_X86_64, … */
    uint8_t bits;                    /* 32 or 64 */
    bool big_endian;
    bool armv6;                      /* 32-bit Arm code that an ARMv6 with VFPv2 can run */
    char *soname;                    /* or NULL, as the next two */
    char *rpath, *runpath;           /* directories, divided by colons */
    unsigned needed_count;
    char **needed;                   /* names of libraries (DT_NEEDED) */
    unsigned glibc[3], glibcxx[3];   /* the newest versions of symbols asked for: {2, 34, 0}; zeroes: none */
};

struct wheel_objects {
    unsigned count;                  /* at most WHEEL_MAX_OBJECTS: there may be more */
    struct wheel_object *items;      /* in the order of their paths */
};

/* Finds and reads the ELF objects of a wheel that wheel_read has found good. An object that cannot be understood
 * is no error. 0, -EBADMSG or another -errno with `why`. Blocks; needs room for the largest object beside the
 * wheel. Release in either case. */
int wheel_objects_read(const char *path, struct wheel_objects *objects, char *why, size_t why_size);
void wheel_objects_release(struct wheel_objects *objects);

/* All objects in sum. */
struct wheel_code {
    bool native;                     /* there are some */
    bool armv6;                      /* all of them run on an ARMv6 */
    char glibc[16], glibcxx[16];     /* "2.34", "3.4.30", or "" */
};
void wheel_objects_sum(const struct wheel_objects *objects, struct wheel_code *code);

#endif
