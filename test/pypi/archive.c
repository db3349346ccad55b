/*
 * Reads PKG-INFO out of sdists and METADATA out of wheels for seed.c: tar (ustar with pax and GNU long
 * names) under zlib, zip with libzip. It judges nothing: a PyPI serves broken archives as well.
 */
#include "archive.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>
#include <zlib.h>

#include "core/memory.h"
#include "core/text.h"

/* ---- tar (POSIX.1-2017, pax: ustar interchange format) ---- */

#define BLOCK_BYTES 512
#define LONG_NAME_MAX_BYTES 65536

struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
        version[2], user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};

struct tar {
    gzFile file;
    struct buf name;      /* path of the current member */
    uint64_t size_bytes;  /* of its contents, which come next */
    char type;
    bool named;           /* `name` came from a pax or GNU header before it */
};

static bool tar_read(struct tar *t, void *to, unsigned len)
{
    return gzread(t->file, to, len) == (int)len;
}

/* Appends the contents of the current member; leaves the file behind its padding. */
static int tar_contents(struct tar *t, struct buf *to)
{
    char block[BLOCK_BYTES];

    for (uint64_t left = t->size_bytes; left > 0;) {
        size_t len = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
        if (!tar_read(t, block, BLOCK_BYTES))
            return -EBADMSG;
        if (buf_add(to, block, len) != 0)
            return -ENOBUFS;
        left -= len;
    }
    return 0;
}

static int tar_skip(struct tar *t)
{
    char block[BLOCK_BYTES];

    for (uint64_t done = 0; done < t->size_bytes; done += BLOCK_BYTES)
        if (!tar_read(t, block, BLOCK_BYTES))
            return -EBADMSG;
    return 0;
}

/* Finds "path" among the "LENGTH KEY=VALUE\n" records of a pax header. */
static void take_pax_path(struct tar *t, const struct buf *records)
{
    const char *record = records->data, *end = records->data + records->len;

    while (record < end) {
        char *key;
        unsigned long len = strtoul(record, &key, 10);
        if (*key != ' ' || len < 3 || len > (size_t)(end - record) || record[len - 1] != '\n')
            return;
        if (text_starts(key, " path=")) {
            buf_clear(&t->name);
            buf_add(&t->name, key + 6, (size_t)(record + len - 1 - (key + 6)));
            t->named = true;
        }
        record += len;
    }
}

static void take_header_name(struct tar *t, const struct tar_header *h)
{
    buf_clear(&t->name);
    if (strncmp(h->magic, "ustar", 5) == 0 && h->prefix[0])
        buf_addf(&t->name, "%.*s/", (int)sizeof(h->prefix), h->prefix);
    buf_addf(&t->name, "%.*s", (int)sizeof(h->name), h->name);
}

/* A header that only names the member after it. */
static int take_long_name(struct tar *t)
{
    struct buf contents;

    buf_init(&contents, LONG_NAME_MAX_BYTES);
    int error = tar_contents(t, &contents);
    if (error == 0 && t->type == 'x')
        take_pax_path(t, &contents);
    if (error == 0 && t->type == 'L') {
        buf_clear(&t->name);
        buf_adds(&t->name, contents.data);
        t->named = true;
    }
    buf_release(&contents);
    return error;
}

/* Goes to the next member. 0; -ENOENT at the end. */
static int tar_next(struct tar *t)
{
    struct tar_header h;

    for (t->named = false;;) {
        if (!tar_read(t, &h, sizeof(h)))
            return -EBADMSG;
        if (h.name[0] == '\0')
            return -ENOENT;
        char size[sizeof(h.size) + 1] = {0};
        memcpy(size, h.size, sizeof(h.size));
        t->size_bytes = strtoull(size, NULL, 8);
        t->type = h.type;
        if (h.type != 'x' && h.type != 'L')
            break;
        int error = take_long_name(t);
        if (error)
            return error;
    }
    if (!t->named)
        take_header_name(t, &h);
    return 0;
}

static int read_tar(const char *path, const char *pattern, struct buf *to)
{
    struct tar t = {.file = gzopen(path, "rb")};
    int error;

    if (!t.file)
        return -EBADMSG;
    buf_init(&t.name, LONG_NAME_MAX_BYTES);
    while ((error = tar_next(&t)) == 0) {
        if ((t.type == '0' || t.type == '\0') && fnmatch(pattern, t.name.data, FNM_PATHNAME) == 0) {
            error = tar_contents(&t, to);
            break;
        }
        error = tar_skip(&t);
        if (error)
            break;
    }
    buf_release(&t.name);
    gzclose(t.file);
    return error;
}

/* ---- zip ---- */

static int read_zip_member(zip_t *archive, zip_uint64_t index, struct buf *to)
{
    char block[4096];
    zip_int64_t len;
    int error = 0;
    zip_file_t *member = zip_fopen_index(archive, index, 0);

    if (!member)
        return -EBADMSG;
    while (error == 0 && (len = zip_fread(member, block, sizeof(block))) != 0)
        error = len < 0 ? -EBADMSG : buf_add(to, block, (size_t)len);
    zip_fclose(member);
    return error;
}

static int read_zip(const char *path, const char *pattern, struct buf *to)
{
    zip_t *archive = zip_open(path, ZIP_RDONLY, NULL);
    int error = -ENOENT;

    if (!archive)
        return -EBADMSG;
    for (zip_int64_t i = 0; error == -ENOENT && i < zip_get_num_entries(archive, 0); i++) {
        const char *name = zip_get_name(archive, (zip_uint64_t)i, 0);
        if (name && fnmatch(pattern, name, FNM_PATHNAME) == 0)
            error = read_zip_member(archive, (zip_uint64_t)i, to);
    }
    zip_discard(archive);
    return error;
}

int archive_read(const char *path, const char *pattern, struct buf *to)
{
    return text_ends(path, ".tar.gz") ? read_tar(path, pattern, to) : read_zip(path, pattern, to);
}
