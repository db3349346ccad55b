/*
 * How the archive lies in its file (PKWARE's APPNOTE 6.3.9). Called by archive_open() before libzip sees it.
 *
 * Installers read wheels in different ways: pip goes by the central directory, others stream through the
 * local headers. All of them must see the same files. So the members, in the order of their offsets, have to
 * tile the file without gap or overlap from its first byte to the central directory, each local header has to
 * say what the directory says, and the directory's end record has to be the last thing in the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "core/memory.h"

#define END_SIZE 22
#define END64_SIZE 56
#define LOCATOR64_SIZE 20
#define ENTRY_SIZE 46
#define LOCAL_SIZE 30

#define END_SIGNATURE 0x06054b50
#define END64_SIGNATURE 0x06064b50
#define LOCATOR64_SIGNATURE 0x07064b50
#define ENTRY_SIGNATURE 0x02014b50
#define LOCAL_SIGNATURE 0x04034b50
#define DESCRIPTOR_SIGNATURE 0x08074b50

#define FLAG_STREAMED 0x0008   /* sizes and CRC stand in a descriptor after the data */
#define FLAGS_COMPARED 0x0809  /* encrypted, streamed, UTF-8: what changes how a member is read */

#define EXTRA_ZIP64 0x0001
#define EXTRA_UNICODE_PATH 0x7075 /* a second name, which some readers prefer */

#define DIRECTORY_BYTES_MAX (64U << 20)
#define NAME_BYTES_MAX 1024

/* Where the central directory lies. */
struct directory {
    uint64_t offset, size_bytes, entries;
    uint64_t end;   /* the offset of what must follow it */
};

/* What local headers and directory entries have in common. */
struct sizes {
    uint64_t inflated, stored, offset;
};

/* ---- little-endian numbers and bytes of the file ---- */

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

int archive_bytes(struct archive *a, uint64_t offset, void *to, size_t len)
{
    uint8_t *p = to;

    if (a->bytes && offset <= a->size_bytes && len <= a->size_bytes - offset) {
        memcpy(to, a->bytes + offset, len);
        return 0;
    }
    while (len > 0) {
        ssize_t got = a->fd >= 0 ? pread(a->fd, p, len, (off_t)offset) : 0;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(a->why, -errno, "reading it");
        if (got == 0)
            return refuse(a->why, "the file is cut short: no byte at offset %" PRIu64, offset);
        p += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

/* ---- the end of the central directory ---- */

/* A field of the old record is the new one's, or full of ones where it was too small for it. */
static bool agrees(uint64_t old, uint64_t full, uint64_t now)
{
    return old == now || old == full;
}

static int read_end64(struct archive *a, const uint8_t *end, const uint8_t *locator, struct directory *d)
{
    uint8_t end64[END64_SIZE];
    uint64_t offset = get64(locator + 8), last = a->size_bytes - END_SIZE - LOCATOR64_SIZE;
    int rc;

    if (last < END64_SIZE || offset != last - END64_SIZE)
        return refuse(a->why, "its zip64 end record is not where it must be");
    rc = archive_bytes(a, offset, end64, sizeof end64);
    if (rc < 0)
        return rc;
    if (get32(end64) != END64_SIGNATURE || get64(end64 + 4) != END64_SIZE - 12)
        return refuse(a->why, "its zip64 end record is damaged");
    d->entries = get64(end64 + 32);
    d->size_bytes = get64(end64 + 40);
    d->offset = get64(end64 + 48);
    d->end = offset;
    if (get32(end64 + 16) != 0 || get32(end64 + 20) != 0 || get64(end64 + 24) != d->entries ||
        !agrees(get16(end + 10), UINT16_MAX, d->entries) ||
        !agrees(get32(end + 12), UINT32_MAX, d->size_bytes) ||
        !agrees(get32(end + 16), UINT32_MAX, d->offset))
        return refuse(a->why, "its two end records contradict each other");
    return 0;
}

static int find_directory(struct archive *a, struct directory *d)
{
    uint8_t tail[LOCATOR64_SIZE + END_SIZE] = {0}, *end = tail + LOCATOR64_SIZE;
    size_t len = a->size_bytes < sizeof tail ? END_SIZE : sizeof tail;
    int rc;

    if (a->size_bytes == 0)
        return refuse(a->why, "the file is empty (0 bytes)");
    if (a->size_bytes < END_SIZE)
        return refuse(a->why, "the file is too short to be a zip archive");
    rc = archive_bytes(a, a->size_bytes - len, tail + sizeof tail - len, len);
    if (rc < 0)
        return rc;
    if (get32(end) != END_SIGNATURE || get16(end + 20) != 0)
        return refuse(a->why, "it is no zip archive, is cut short, or has bytes after its end");
    if (get16(end + 4) != 0 || get16(end + 6) != 0 || get16(end + 8) != get16(end + 10))
        return refuse(a->why, "it is a part of a divided zip archive");
    *d = (struct directory){get32(end + 16), get32(end + 12), get16(end + 10), a->size_bytes - END_SIZE};
    if (get32(tail) == LOCATOR64_SIGNATURE)
        rc = read_end64(a, end, tail, d);
    if (rc < 0)
        return rc;
    if (d->offset > d->end || d->size_bytes != d->end - d->offset)
        return refuse(a->why, "its central directory is not directly before its end record");
    return 0;
}

/* ---- fields that headers and entries share ---- */

/* Sizes too large for 32 bits stand in the zip64 field, in this order and only those (APPNOTE 4.5.3). */
static bool take_zip64(const uint8_t *data, size_t len, struct sizes *s)
{
    uint64_t *const fields[] = {&s->inflated, &s->stored, &s->offset};

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (*fields[i] != UINT32_MAX)
            continue;
        if (len < 8)
            return false;
        *fields[i] = get64(data);
        data += 8;
        len -= 8;
    }
    return true;
}

static int read_extra(struct archive *a, const char *name, const uint8_t *extra, size_t len, struct sizes *s)
{
    bool zip64 = false;

    while (len > 0) {
        size_t field = len < 4 ? SIZE_MAX : get16(extra + 2);

        if (len < 4 || field > len - 4)
            return refuse(a->why, "\"%s\" has a damaged extra field", name);
        if (get16(extra) == EXTRA_UNICODE_PATH)
            return refuse(a->why, "\"%s\" has a second name in its extra field", name);
        if (get16(extra) == EXTRA_ZIP64) {
            if (zip64 || !take_zip64(extra + 4, field, s))
                return refuse(a->why, "\"%s\" has a damaged zip64 field", name);
            zip64 = true;
        }
        extra += 4 + field;
        len -= 4 + field;
    }
    return 0;
}

/* ---- the central directory ---- */

/* Reads one entry of at most `len` bytes; *used says how many it took. */
static int read_entry(struct archive *a, const uint8_t *entry, size_t len, struct member *m, size_t *used)
{
    size_t name_len, extra_len, comment_len;
    struct sizes sizes;
    int rc;

    if (len < ENTRY_SIZE || get32(entry) != ENTRY_SIGNATURE)
        return refuse(a->why, "its central directory is damaged");
    name_len = get16(entry + 28);
    extra_len = get16(entry + 30);
    comment_len = get16(entry + 32);
    *used = ENTRY_SIZE + name_len + extra_len + comment_len;
    if (*used > len)
        return refuse(a->why, "its central directory is damaged");
    if (name_len == 0 || name_len > NAME_BYTES_MAX || memchr(entry + ENTRY_SIZE, '\0', name_len))
        return refuse(a->why, "it has a member without a name, or with one that no file can have");
    m->name = mem_textn((const char *)entry + ENTRY_SIZE, name_len);
    m->directory = m->name[name_len - 1] == '/';
    sizes = (struct sizes){get32(entry + 24), get32(entry + 20), get32(entry + 42)};
    rc = read_extra(a, m->name, entry + ENTRY_SIZE + name_len, extra_len, &sizes);
    if (rc < 0)
        return rc;
    m->needs = entry[6];
    m->flags = get16(entry + 8);
    m->method = get16(entry + 10);
    m->crc32 = get32(entry + 16);
    m->mode = get32(entry + 38) >> 16;
    m->inflated_bytes = sizes.inflated;
    m->stored_bytes = sizes.stored;
    m->offset = sizes.offset;
    return 0;
}

static int read_entries(struct archive *a, const struct directory *d, const uint8_t *data)
{
    size_t at = 0, used = 0;

    a->members = mem_new(d->entries, sizeof *a->members);
    while (a->count < d->entries) {
        int rc = read_entry(a, data + at, d->size_bytes - at, &a->members[a->count++], &used);

        if (rc < 0)
            return rc;
        at += used;
    }
    return at == d->size_bytes ? 0 : refuse(a->why, "its central directory has more entries than it counts");
}

static int read_directory(struct archive *a, const struct directory *d)
{
    uint8_t *data;
    int rc;

    if (d->entries == 0)
        return refuse(a->why, "it is an empty zip archive");
    if (d->entries > a->limits.max_members)
        return refuse(a->why, "it has %" PRIu64 " members, more than the %u allowed", d->entries,
                      a->limits.max_members);
    if (d->size_bytes > DIRECTORY_BYTES_MAX || d->entries > d->size_bytes / ENTRY_SIZE)
        return refuse(a->why, "its central directory is damaged or absurdly large");
    data = mem_new(d->size_bytes, 1);
    rc = archive_bytes(a, d->offset, data, d->size_bytes);
    if (rc == 0)
        rc = read_entries(a, d, data);
    free(data);
    return rc;
}

/* ---- local headers, and that everything lies side by side ---- */

/* A streamed member's local header may have noughts where the descriptor will have numbers. */
static bool repeats(uint64_t local, uint64_t entry, bool streamed)
{
    return local == entry || (streamed && local == 0);
}

static int compare_local(struct archive *a, const struct member *m, const uint8_t *local, const uint8_t *tail)
{
    bool streamed = m->flags & FLAG_STREAMED;
    size_t name_len = get16(local + 26), extra_len = get16(local + 28);
    struct sizes sizes = {get32(local + 22), get32(local + 18), 0};
    int rc;

    if (memcmp(tail, m->name, name_len) != 0)
        return refuse(a->why, "\"%s\" has another name in its local header", m->name);
    rc = read_extra(a, m->name, tail + name_len, extra_len, &sizes);
    if (rc < 0)
        return rc;
    if ((get16(local + 6) ^ m->flags) & FLAGS_COMPARED || get16(local + 8) != m->method ||
        !repeats(get32(local + 14), m->crc32, streamed) ||
        !repeats(sizes.stored, m->stored_bytes, streamed) ||
        !repeats(sizes.inflated, m->inflated_bytes, streamed))
        return refuse(a->why, "the local header of \"%s\" differs from the central directory", m->name);
    return 0;
}

/* Reads the member's local header and says where its data ends. */
static int read_local(struct archive *a, const struct member *m, uint64_t limit, uint64_t *data_end)
{
    uint8_t local[LOCAL_SIZE], tail[NAME_BYTES_MAX + UINT16_MAX];
    size_t tail_len;
    int rc;

    if (m->offset > limit || limit - m->offset < LOCAL_SIZE)
        return refuse(a->why, "\"%s\" lies outside of the archive, or within another member", m->name);
    rc = archive_bytes(a, m->offset, local, sizeof local);
    if (rc < 0)
        return rc;
    if (get32(local) != LOCAL_SIGNATURE || get16(local + 26) != strlen(m->name))
        return refuse(a->why, "\"%s\" has no local header of its name", m->name);
    tail_len = (size_t)get16(local + 26) + get16(local + 28);
    *data_end = m->offset + LOCAL_SIZE + tail_len;
    if (*data_end > limit || m->stored_bytes > limit - *data_end)
        return refuse(a->why, "\"%s\" overlaps with what follows it", m->name);
    *data_end += m->stored_bytes;
    rc = archive_bytes(a, m->offset + LOCAL_SIZE, tail, tail_len);
    return rc < 0 ? rc : compare_local(a, m, local, tail);
}

/* The descriptor fills the `len` bytes up to the next member: CRC and both sizes, in 4 or 8 bytes each,
 * perhaps with a signature before them. */
static int check_descriptor(struct archive *a, const struct member *m, uint64_t offset, uint64_t len)
{
    uint8_t data[24] = {0}, *p = data;
    bool wide = len >= 20, matches;
    int rc;

    if (len != 12 && len != 16 && len != 20 && len != 24)
        return refuse(a->why, "\"%s\" is followed by bytes that belong to no member", m->name);
    rc = archive_bytes(a, offset, data, len);
    if (rc < 0)
        return rc;
    matches = true;
    if (len == 16 || len == 24) {
        matches = get32(p) == DESCRIPTOR_SIGNATURE;
        p += 4;
    }
    matches = matches && get32(p) == m->crc32 && (wide ? get64(p + 4) : get32(p + 4)) == m->stored_bytes &&
              (wide ? get64(p + 12) : get32(p + 8)) == m->inflated_bytes;
    if (!matches)
        return refuse(a->why, "the data descriptor of \"%s\" differs from the central directory", m->name);
    return 0;
}

/* The member must fill the file from its offset up to `next`. */
static int check_member(struct archive *a, const struct member *m, uint64_t next)
{
    uint64_t data_end;
    int rc = read_local(a, m, next, &data_end);

    if (rc < 0)
        return rc;
    if (m->flags & FLAG_STREAMED)
        return check_descriptor(a, m, data_end, next - data_end);
    if (data_end != next)
        return refuse(a->why, "\"%s\" is followed by bytes that belong to no member", m->name);
    return 0;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct member *left = *(struct member *const *)a, *right = *(struct member *const *)b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

static int check_tiling(struct archive *a, uint64_t directory_offset)
{
    struct member **by_offset = mem_new(a->count, sizeof *by_offset);
    int rc = 0;

    for (size_t i = 0; i < a->count; i++)
        by_offset[i] = &a->members[i];
    qsort(by_offset, a->count, sizeof *by_offset, compare_offsets);
    if (by_offset[0]->offset != 0)
        rc = refuse(a->why, "it has bytes before its first member");
    for (size_t i = 0; rc == 0 && i < a->count; i++)
        rc = check_member(a, by_offset[i], i + 1 < a->count ? by_offset[i + 1]->offset : directory_offset);
    free(by_offset);
    return rc;
}

int layout_read(struct archive *a)
{
    struct directory d = {0};
    int rc = find_directory(a, &d);

    if (rc == 0)
        rc = read_directory(a, &d);
    return rc < 0 ? rc : check_tiling(a, d.offset);
}
