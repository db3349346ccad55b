/*
 * The archive behind a wheel: opened for wheel_read(), its members judged by name, kind and size before any
 * byte of them is inflated, then read through libzip, which checks each member's CRC.
 *
 * libzip 1.7 would take "../x", symlinks and absurd ratios as they come, so those are refused here; layout.c
 * has already refused what differs between two ways of reading the file.
 */
#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "core/memory.h"
#include "core/text.h"

#define CHUNK_BYTES (128U << 10)
#define SMALL_BYTES (1U << 20)        /* a file of no more is read at once, */
#define SMALL_MEMBER_BYTES (4U << 20) /* and those of its members that are no more once inflated */
#define REASON_BYTES_MAX 512
#define RATIO_FREE_BYTES (64ULL << 20) /* archives that inflate to less are not judged by ratio */

#define FLAG_ENCRYPTED 0x0001
#define FLAG_PATCH 0x0020
#define FLAG_STRONGLY_ENCRYPTED 0x0040
#define FLAG_UTF8 0x0800
#define FLAG_MASKED 0x2000

#define FORMAT_MAX 63 /* of the zip format: Python's zipfile, and so pip, reads nothing newer */

#define METHOD_STORED 0
#define METHOD_DEFLATED 8

/* ---- reasons ---- */

static void write_reason(struct reason *why, const char *text, size_t len)
{
    char *clean = text_clean(text, len, REASON_BYTES_MAX);

    text_copy(why->text, why->size, clean);
    free(clean);
}

int refuse(struct reason *why, const char *format, ...)
{
    char *text;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len >= 0) {
        write_reason(why, text, (size_t)len);
        free(text);
    }
    return -EBADMSG;
}

int fail(struct reason *why, int error, const char *what)
{
    refuse(why, "%s failed: %s", what, strerror(-error));
    return error;
}

/* libzip's error is the machine's where it names an errno, the wheel's otherwise. */
static int fail_zip(struct reason *why, struct zip_error *error, const char *what)
{
    if (zip_error_system_type(error) == ZIP_ET_SYS && zip_error_code_system(error) != 0)
        return fail(why, -zip_error_code_system(error), what);
    return refuse(why, "%s: %s", what, zip_error_strerror(error));
}

/* ---- the rules for one member ---- */

/* Whether each part between slashes is a plain name; one slash may end a directory's. */
static bool path_plain(const char *path)
{
    while (*path != '\0') {
        size_t len = strcspn(path, "/");

        if (len == 0 || (len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += len + (path[len] == '/' ? 1 : 0);
    }
    return true;
}

static bool has_control_characters(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

static int check_name(struct archive *a, const struct member *m)
{
    const char *name = m->name;

    if (!text_is_utf8(name, strlen(name)) || (!is_ascii(name) && !(m->flags & FLAG_UTF8)))
        return refuse(a->why, "the name of \"%s\" is not marked as UTF-8, or is none", name);
    if (has_control_characters(name))
        return refuse(a->why, "the name of \"%s\" has control characters", name);
    if (strchr(name, '\\'))
        return refuse(a->why, "the name of \"%s\" has a backslash", name);
    if (name[0] == '/' || (name[0] != '\0' && name[1] == ':'))
        return refuse(a->why, "\"%s\" is an absolute path", name);
    if (!path_plain(name))
        return refuse(a->why, "\"%s\" is no plain path: it has an empty part, \".\" or \"..\"", name);
    return 0;
}

static int check_kind(struct archive *a, const struct member *m)
{
    uint32_t kind = m->mode & S_IFMT;

    if (kind == S_IFLNK)
        return refuse(a->why, "\"%s\" is a symbolic link", m->name);
    if (kind != 0 && kind != (m->directory ? S_IFDIR : S_IFREG))
        return refuse(a->why, "\"%s\" is neither a plain file nor a plain folder", m->name);
    if (m->flags & (FLAG_ENCRYPTED | FLAG_STRONGLY_ENCRYPTED | FLAG_MASKED))
        return refuse(a->why, "\"%s\" is encrypted", m->name);
    if (m->flags & FLAG_PATCH)
        return refuse(a->why, "\"%s\" is a patch, and no file", m->name);
    if (m->needs > FORMAT_MAX)
        return refuse(a->why, "\"%s\" needs version %u.%u of the zip format; only up to %u.%u is read", m->name, m->needs / 10,
                      m->needs % 10, FORMAT_MAX / 10, FORMAT_MAX % 10);
    if (m->method != METHOD_STORED && m->method != METHOD_DEFLATED)
        return refuse(a->why, "\"%s\" is compressed by method %u; only \"stored\" and \"deflated\" are read",
                      m->name, m->method);
    if (m->method == METHOD_STORED && m->stored_bytes != m->inflated_bytes)
        return refuse(a->why, "\"%s\" is stored as it is, yet with another size", m->name);
    if (m->directory && m->inflated_bytes != 0)
        return refuse(a->why, "the folder \"%s\" has contents of its own", m->name);
    return 0;
}

/* ---- the rules for all of them ---- */

static int compare_names(const void *a, const void *b)
{
    const struct member *left = *(struct member *const *)a, *right = *(struct member *const *)b;

    return strcmp(left->name, right->name);
}

static int sort_by_name(struct archive *a)
{
    a->by_name = mem_new(a->count, sizeof *a->by_name);
    for (size_t i = 0; i < a->count; i++)
        a->by_name[i] = &a->members[i];
    qsort(a->by_name, a->count, sizeof *a->by_name, compare_names);
    for (size_t i = 1; i < a->count; i++)
        if (strcmp(a->by_name[i - 1]->name, a->by_name[i]->name) == 0)
            return refuse(a->why, "it has two members named \"%s\"", a->by_name[i]->name);
    return 0;
}

/* No installer can make both a file "a" and a file "a/b"; which of them it would leave is its own affair. Names that
 * differ only in case are two files where our wheels are installed. */
static int check_folders(struct archive *a)
{
    for (size_t i = 0; i < a->count; i++) {
        char *path = mem_text(a->members[i].name);
        bool clash = false;

        for (char *slash = strchr(path, '/'); slash && !clash; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            clash = archive_find(a, path);
            *slash = '/';
        }
        free(path);
        if (clash)
            return refuse(a->why, "\"%s\" lies in a folder that is a file, too", a->members[i].name);
    }
    return 0;
}

/* The stored bytes cannot be more than the file's: the members do not overlap. */
static int check_sizes(struct archive *a)
{
    uint64_t stored = 0;

    for (size_t i = 0; i < a->count; i++) {
        stored += a->members[i].stored_bytes;
        if (a->members[i].inflated_bytes > a->limits.max_inflated_bytes - a->inflated_bytes)
            return refuse(a->why, "it inflates to more than the %" PRIu64 " bytes allowed",
                          a->limits.max_inflated_bytes);
        a->inflated_bytes += a->members[i].inflated_bytes;
    }
    if (a->inflated_bytes >= RATIO_FREE_BYTES && stored < a->inflated_bytes / a->limits.max_ratio)
        return refuse(a->why, "it would inflate from %" PRIu64 " to %" PRIu64 " bytes: an absurd ratio",
                      stored, a->inflated_bytes);
    return 0;
}

static int check_members(struct archive *a)
{
    for (size_t i = 0; i < a->count; i++) {
        int rc = check_name(a, &a->members[i]);

        if (rc == 0)
            rc = check_kind(a, &a->members[i]);
        if (rc < 0)
            return rc;
    }
    return check_sizes(a);
}

/* ---- opening and closing ---- */

static void set_limits(struct wheel_limits *to, const struct wheel_limits *from)
{
    *to = from ? *from : (struct wheel_limits){0};
    if (to->max_inflated_bytes == 0)
        to->max_inflated_bytes = 16ULL << 30;
    if (to->max_members == 0)
        to->max_members = 200000;
    if (to->max_ratio == 0)
        to->max_ratio = 1000;
}

/* A small wheel is read once, so that neither reader has to ask for it piece by piece. */
static int read_small(struct archive *a)
{
    if (a->size_bytes == 0 || a->size_bytes > SMALL_BYTES)
        return 0;
    a->own_bytes = mem_resize(NULL, a->size_bytes, 1);
    int rc = archive_bytes(a, 0, a->own_bytes, a->size_bytes);
    a->bytes = a->own_bytes;
    return rc;
}

static int open_file(struct archive *a, const char *path)
{
    struct stat st;

    a->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (a->fd < 0 || fstat(a->fd, &st) < 0)
        return fail(a->why, -errno, "opening it");
    if (!S_ISREG(st.st_mode))
        return refuse(a->why, "it is not a plain file");
    a->size_bytes = (uint64_t)st.st_size;
    return read_small(a);
}

/* libzip takes the file over only when all is well. */
static int open_zip_file(struct archive *a, struct zip_error *error)
{
    int code, fd = dup(a->fd);

    if (fd < 0)
        return fail(a->why, -errno, "opening it");
    a->zip = zip_fdopen(fd, ZIP_CHECKCONS, &code);
    if (a->zip)
        return 0;
    zip_error_init_with_code(error, code);
    close(fd);
    return fail_zip(a->why, error, "it is no sound zip archive");
}

/* libzip frees the source only when all is well; the bytes stay ours. */
static int open_zip_bytes(struct archive *a, struct zip_error *error)
{
    struct zip_source *source = zip_source_buffer_create(a->bytes, a->size_bytes, 0, error);

    if (source)
        a->zip = zip_open_from_source(source, ZIP_CHECKCONS | ZIP_RDONLY, error);
    if (a->zip)
        return 0;
    zip_source_free(source);
    return fail_zip(a->why, error, "it is no sound zip archive");
}

static int open_zip(struct archive *a)
{
    struct zip_error error;
    int rc;

    zip_error_init(&error);
    rc = a->bytes ? open_zip_bytes(a, &error) : open_zip_file(a, &error);
    zip_error_fini(&error);
    return rc;
}

/* Both readers must have seen the same members. */
static int compare_with_zip(struct archive *a)
{
    bool same = zip_get_num_entries(a->zip, ZIP_FL_UNCHANGED) == (zip_int64_t)a->count;

    for (size_t i = 0; same && i < a->count; i++) {
        const char *name = zip_get_name(a->zip, i, ZIP_FL_ENC_RAW);

        same = name && strcmp(name, a->members[i].name) == 0;
    }
    return same ? 0 : refuse(a->why, "its central directory can be read in two ways");
}

/* Everything that does not need a member's bytes. */
static int read_members(struct archive *a)
{
    int rc = layout_read(a);

    if (rc == 0)
        rc = check_members(a);
    if (rc == 0)
        rc = sort_by_name(a);
    if (rc == 0)
        rc = check_folders(a);
    if (rc == 0)
        rc = open_zip(a);
    if (rc == 0)
        rc = compare_with_zip(a);
    return rc;
}

int archive_open(struct archive *a, const char *path, const struct wheel_limits *limits, struct reason *why)
{
    *a = (struct archive){.why = why, .fd = -1};
    set_limits(&a->limits, limits);
    int rc = open_file(a, path);
    return rc == 0 ? read_members(a) : rc;
}

int archive_open_bytes(struct archive *a, const void *bytes, size_t len, struct reason *why)
{
    *a = (struct archive){.why = why, .fd = -1, .bytes = bytes, .size_bytes = len};
    set_limits(&a->limits, NULL);
    return read_members(a);
}

void archive_close(struct archive *a)
{
    if (a->zip)
        zip_discard(a->zip);
    if (a->fd >= 0)
        close(a->fd);
    for (size_t i = 0; i < a->count; i++)
        free(a->members[i].name);
    free(a->members);
    free(a->by_name);
    small_release(a);
    free(a->own_bytes);
    free(a->chunk);
    *a = (struct archive){.fd = -1};
}

/* ---- reading ---- */

static int compare_with_name(const void *name, const void *member)
{
    return strcmp(name, (*(struct member *const *)member)->name);
}

struct member *archive_find(const struct archive *a, const char *name)
{
    struct member **found = bsearch(name, a->by_name, a->count, sizeof *a->by_name, compare_with_name);

    return found && !(*found)->directory ? *found : NULL;
}

int archive_inflate(struct archive *a, const struct member *m, archive_sink *sink, void *context)
{
    uint64_t left = m->inflated_bytes;
    zip_int64_t got;
    int rc = 0;

    if (a->bytes && left <= SMALL_MEMBER_BYTES)
        return small_inflate(a, m, sink, context);
    if (!a->chunk)
        a->chunk = mem_resize(NULL, CHUNK_BYTES, 1);
    struct zip_file *file = zip_fopen_index(a->zip, (zip_uint64_t)(m - a->members), ZIP_FL_UNCHANGED);
    if (!file)
        return fail_zip(a->why, zip_get_error(a->zip), m->name);
    while ((got = zip_fread(file, a->chunk, CHUNK_BYTES)) > 0 && (uint64_t)got <= left) {
        left -= (uint64_t)got;
        sink(context, a->chunk, (size_t)got);
    }
    if (got < 0)
        rc = fail_zip(a->why, zip_file_get_error(file), m->name);
    else if (got > 0 || left > 0)
        rc = refuse(a->why, "\"%s\" does not inflate to the size it declares", m->name);
    zip_fclose(file);
    return rc;
}

int archive_peek(struct archive *a, const struct member *m, void *start, size_t len)
{
    struct zip_file *file = zip_fopen_index(a->zip, (zip_uint64_t)(m - a->members), ZIP_FL_UNCHANGED);
    int rc = 0;

    if (!file)
        return fail_zip(a->why, zip_get_error(a->zip), m->name);
    zip_int64_t got = zip_fread(file, start, len);
    if (got < 0)
        rc = fail_zip(a->why, zip_file_get_error(file), m->name);
    else if ((size_t)got < len)
        rc = refuse(a->why, "\"%s\" does not inflate to the size it declares", m->name);
    zip_fclose(file);
    return rc;
}

static void append(void *context, const void *data, size_t len)
{
    char **to = context;

    memcpy(*to, data, len);
    *to += len;
}

int archive_read(struct archive *a, const struct member *m, size_t max_bytes, char **data, size_t *len)
{
    char *to;

    *data = NULL;
    *len = 0;
    if (m->inflated_bytes > max_bytes)
        return refuse(a->why, "\"%s\" is longer than the %zu bytes allowed", m->name, max_bytes);
    *len = (size_t)m->inflated_bytes;
    *data = to = mem_new(*len + 1, 1);
    return archive_inflate(a, m, append, &to);
}
