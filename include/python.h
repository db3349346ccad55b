/*
 * Python packaging's rules as pure functions: no I/O, no state. Sources are named at each.
 */
#ifndef PYTHON_H
#define PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* ---- names (PEP 503, PEP 508, core metadata specification) ---- */

#define PYTHON_NAME_MAX 255

/* Letters, digits, '.', '_', '-', first and last alphanumeric, at most PYTHON_NAME_MAX bytes (PEP 508). */
bool python_name_valid(const char *name);

/* Writes the normalised name: runs of "-_." become "-", ASCII lower case (PEP 503). -ENOBUFS, or 0. */
int python_name_normalise(const char *name, char *to, size_t size);

bool python_names_equal(const char *a, const char *b); /* after normalisation */

/* Splits the first `len` bytes of "cffi-1.15.1", in any spelling of `package`; writes the version's text.
 * -EINVAL when they are not of that package, or the version does not fit. */
int python_name_version_split(const char *text, size_t len, const char *package, char *version, size_t size);

/* ---- versions (PEP 440) ---- */

#define PYTHON_VERSION_MAX 250 /* bytes; a longer one does not parse */

/* Whether the version parses (numbers of any length, all the spellings PEP 440 normalises). */
bool python_version_valid(const char *version);
bool python_version_prerelease(const char *version); /* a, b, rc or dev; false when it does not parse */

/* <0, 0, >0 in PEP 440's order; what does not parse sorts below all that does, by its bytes. */
int python_version_compare(const char *a, const char *b);

/* Appends bytes whose memcmp order is python_version_compare's, for the database. -ENOBUFS, or 0. */
int python_version_sort_key(const char *version, struct buf *to);

/* Appends the normalised spelling ("1.0.RC-1" gives "1.0rc1"), or the text as it is when it does not parse.
 * -ENOBUFS, or 0. */
int python_version_normalise(const char *version, struct buf *to);

/* Whether `version` fits the specifiers (">=3.7,!=3.9.*"; all operators of PEP 440, "" fits all; a
 * pre-release fits only if a specifier other than != names one or `prereleases`). 1, 0, or -EINVAL when
 * `specifiers` do not parse. */
int python_specifiers_match(const char *specifiers, const char *version, bool prereleases);

/* Requires-Python against a target's Python known as "3.11": as pip does, for X.Y.z with any z: excluded only
 * when no patch release could fit. A value that does not parse excludes nothing. */
bool python_requires_allows(const char *requires_python, const char *python);

/* ---- wheel file names and tags (PEP 427, PEP 425) ---- */

struct wheel_name {
    char dist[256];      /* as spelled */
    char version[256];   /* as spelled ('_' for '-' undone is the caller's matter) */
    char build[64];      /* build tag, or "" */
    char python[256];    /* dotted sets of tags */
    char abi[256];
    char platform[512];
};

#define PYTHON_TAG_SET_MAX 32 /* tags in one dotted set */

/* 0, or -EINVAL when `file_name` is no wheel's name (or has a '/' or control characters). */
int python_wheel_name_parse(const char *file_name, struct wheel_name *to);

/* What a file of an sdist's name can be: splits "cffi-1.15.1.tar.gz" / ".zip" given the (normalised) package
 * name; writes the version's text. -EINVAL when it is none. */
int python_sdist_name_parse(const char *file_name, const char *package, char *version, size_t size);

struct python_target {
    const char *abi;       /* "cp311", "cp313t" */
    const char *platform;  /* "linux_armv7l" */
    unsigned glibc_major, glibc_minor; /* of its distribution; 0: unknown, as new as any wheel wants */
};

/* "cp313t" -> major 3, minor 13, free-threaded. 0, or -EINVAL. Versions are numbers: cp39 < cp311. */
int python_abi_parse(const char *abi, unsigned *major, unsigned *minor, bool *free_threaded);

/* Whether a platform tag is one we can serve a target for: linux_ARCH, manylinux (all its spellings) or
 * musllinux_X_Y_ARCH; lower-case letters, digits and '_' only. */
bool python_platform_valid(const char *platform);

/* Whether a wheel built on and for this kind of machine runs on the target: the product of its tag sets has a
 * member that the target's Python accepts: pyX / pyXY-none, cpXY-none, cpXY-cpXY, cpXY-abi3 for CPython >=
 * X.Y (not on a free-threaded one); platform equal to the target's, or "any" with abi none. manylinux tags of
 * the same architecture fit a linux_ARCH target, and a manylinux target, with the same glibc or a newer one;
 * musllinux tags fit only a musllinux target (PEP 600, PEP 656); linux_ARCH fits each of them. */
bool python_wheel_fits(const struct wheel_name *wheel, const struct python_target *target);

bool python_wheel_is_pure(const struct wheel_name *wheel); /* abi none and platform any */

/* A set of plain tags such as "py3-none-any". Begins as zeroes. */
struct python_tags {
    char **items;   /* lower case */
    size_t count;
};

#define PYTHON_TAGS_MAX 32768 /* what the largest sets expand to */

/* Adds what "py2.py3-none-any" stands for. 0, or -EINVAL when it is not three sets of tags, or with them
 * there would be more than PYTHON_TAGS_MAX. */
int python_tags_add(struct python_tags *tags, const char *sets);
bool python_tags_equal(struct python_tags *a, struct python_tags *b); /* as sets; sorts both */
void python_tags_release(struct python_tags *tags);

/* ---- metadata (core metadata specification: RFC 822 headers) ---- */

/* Headers as METADATA and WHEEL have them, read one by one; begins at the text. */
struct python_headers {
    const char *at, *end;
};

#define PYTHON_HEADER_NAME_MAX 64 /* a longer name is cut: it is none that we know */

/* The next header: its name in lower case, and its value (new: free it), unfolded onto one line, trimmed and
 * free of control characters. False at the end of the headers. The text must be UTF-8. */
bool python_headers_next(struct python_headers *h, char name[PYTHON_HEADER_NAME_MAX], char **value);

struct metadata {
    char *name, *version;       /* the first of each, or NULL */
    char *summary;
    char *requires_python;
    char **requires_dist;       /* without those that need an extra */
    size_t requires_dist_count;
};

/* Reads METADATA. 0, or -EINVAL with `why` (not UTF-8, no Name, no Version, one of the headers above that may
 * be given once given twice). Release in either case. */
int python_metadata_parse(const char *data, size_t len, struct metadata *m, char *why, size_t why_size);
void python_metadata_release(struct metadata *m);

/* ---- requirements files (pip's format, as much of it as `piwheels add -r` needs) ---- */

struct requirement {
    char name[256];
    char specifiers[512];   /* "==1.2", ">=2,<3", or "" */
};

/* One logical line (the caller has joined lines that end in a backslash): comments, blank lines, extras,
 * environment markers and what follows " --" (hashes) are passed over. 1: a requirement; 0: nothing on it;
 * -EINVAL with `why`: an option, URL or file that cannot be added by name. */
int python_requirement_parse(const char *line, struct requirement *to, char *why, size_t why_size);

#endif
