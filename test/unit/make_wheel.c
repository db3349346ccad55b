#include "make_wheel.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/memory.h"

#define MADE_BYTES_MAX (256U << 20)

/* A member as it went into the file. */
struct placed {
    const struct made_member *from;
    const void *data;
    size_t len, stored_len;
    uint64_t offset;
    uint32_t crc;
    uint16_t flags, method;
};

static void add16(struct buf *to, uint32_t value)
{
    buf_addc(to, (char)(value & 0xff));
    buf_addc(to, (char)(value >> 8 & 0xff));
}

static void add32(struct buf *to, uint32_t value)
{
    add16(to, value & 0xffff);
    add16(to, value >> 16);
}

static void add64(struct buf *to, uint64_t value)
{
    add32(to, (uint32_t)value);
    add32(to, (uint32_t)(value >> 32));
}

void make_sound(struct made_wheel *w)
{
    *w = (struct made_wheel){
        .members =
            {
                [MADE_CODE] =
                    {.name = "demo/__init__.py", .data = "answer = 42\n", .deflated = true, .mode = 0100644},
                [MADE_METADATA] = {.name = "demo-1.0.dist-info/METADATA",
                                   .deflated = true,
                                   .data = "Metadata-Version: 2.1\nName: demo\nVersion: "
                                           "1.0\nRequires-Python: >=3.7\n\nWords.\n"},
                [MADE_WHEEL] =
                    {.name = "demo-1.0.dist-info/WHEEL",
                     .data =
                         "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
                [MADE_RECORD] = {.name = "demo-1.0.dist-info/RECORD"},
            },
        .count = 4,
    };
}

struct made_member *make_add(struct made_wheel *w, const char *name, const char *text)
{
    struct made_member *last = &w->members[w->count - 1];

    assert(w->count < MADE_MEMBERS_MAX);
    w->members[w->count++] = *last;
    *last = (struct made_member){.name = name, .data = text};
    return last;
}

static size_t data_len(const struct made_member *m)
{
    return m->len > 0 ? m->len : strlen(m->data);
}

static void add_record_line(struct buf *record, const struct made_member *m)
{
    uint8_t digest[SHA256_SIZE];
    unsigned char text[64];

    hash_bytes(m->data, data_len(m), digest);
    EVP_EncodeBlock(text, digest, SHA256_SIZE);
    for (unsigned char *p = text; *p != '\0'; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p;
    buf_addf(record, "%s,sha256=%s,%zu\n", m->name, (char *)text, data_len(m));
}

static void make_record(const struct made_wheel *w, struct buf *record)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct made_member *m = &w->members[i];

        if (!m->data)
            buf_addf(record, "%s,,\n", m->name);
        else if (m->name[0] != '\0' && m->name[strlen(m->name) - 1] != '/')
            add_record_line(record, m);
    }
}

static void deflate_into(struct buf *to, const void *data, size_t len)
{
    z_stream z = {0};
    size_t bound;
    unsigned char *out;

    assert(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    bound = deflateBound(&z, len);
    out = mem_new(bound, 1);
    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)len;
    z.next_out = out;
    z.avail_out = (unsigned)bound;
    assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
    buf_add(to, out, z.total_out);
    deflateEnd(&z);
    free(out);
}

/* The zip64 field has both sizes in the local header, and the offset too in the directory. */
static void add_zip64(struct buf *to, const struct placed *p, bool local)
{
    bool unknown = local && p->from->streamed;

    add16(to, 1);
    add16(to, local ? 16 : 24);
    add64(to, unknown ? 0 : p->len + p->from->inflated_lie);
    add64(to, unknown ? 0 : p->stored_len);
    if (!local)
        add64(to, p->offset);
}

/* What local headers and directory entries share, from the flags to the extra field's length. */
static void add_common(struct buf *to, const struct placed *p, bool local)
{
    const struct made_member *m = p->from;
    bool unknown = local && m->streamed;
    uint32_t stored = unknown ? 0 : (uint32_t)p->stored_len,
             inflated = unknown ? 0 : (uint32_t)p->len + m->inflated_lie;

    add16(to, p->flags + (local ? m->local_flags_lie : 0));
    add16(to, p->method);
    add32(to, 0x58210000); /* midnight of 2024-01-01 */
    add32(to, (unknown ? 0 : p->crc) + (local ? m->local_crc_lie : 0));
    add32(to, m->zip64 ? UINT32_MAX : stored);
    add32(to, m->zip64 ? UINT32_MAX : inflated + (local ? m->local_size_lie : 0));
    add16(to, (uint32_t)strlen(m->name));
    add16(to, (uint32_t)((m->zip64 ? (local ? 20 : 28) : 0) + (local ? 0 : m->extra_len)));
}

static void add_descriptor(struct buf *to, const struct placed *p)
{
    add32(to, 0x08074b50);
    add32(to, p->crc + p->from->descriptor_lie);
    if (p->from->zip64) {
        add64(to, p->stored_len);
        add64(to, p->len);
    } else {
        add32(to, (uint32_t)p->stored_len);
        add32(to, (uint32_t)p->len);
    }
}

static void place(struct buf *to, struct placed *p)
{
    const struct made_member *m = p->from;
    struct buf stored;

    buf_init(&stored, MADE_BYTES_MAX);
    if (m->deflated)
        deflate_into(&stored, p->data, p->len);
    else
        buf_add(&stored, p->data, p->len);
    p->stored_len = stored.len;
    p->offset = to->len;
    p->crc = (uint32_t)crc32(0, p->data, (unsigned)p->len) + m->crc_lie;
    p->flags = (uint16_t)(m->flags | (m->streamed ? 8 : 0));
    p->method = m->method ? m->method : m->deflated ? 8 : 0;
    add32(to, 0x04034b50);
    add16(to, m->needs ? m->needs : 20);
    add_common(to, p, true);
    buf_adds(to, m->local_name ? m->local_name : m->name);
    if (m->zip64)
        add_zip64(to, p, true);
    buf_add(to, stored.data, stored.len);
    if (m->streamed)
        add_descriptor(to, p);
    if (m->junk)
        buf_adds(to, m->junk);
    buf_release(&stored);
}

static void add_entry(struct buf *to, const struct placed *p)
{
    const struct made_member *m = p->from;

    add32(to, 0x02014b50);
    add16(to, 3 << 8 | 20);
    add16(to, m->needs ? m->needs : 20);
    add_common(to, p, false);
    add16(to, 0);
    add16(to, 0);
    add16(to, 0);
    add32(to, m->mode << 16);
    add32(to, m->zip64 ? UINT32_MAX : (uint32_t)p->offset);
    buf_adds(to, m->name);
    if (m->zip64)
        add_zip64(to, p, false);
    buf_add(to, m->extra, m->extra_len);
}

static void add_end64(struct buf *to, uint64_t count, uint64_t offset)
{
    uint64_t at = to->len;

    add32(to, 0x06064b50);
    add64(to, 44);
    add16(to, 3 << 8 | 45);
    add16(to, 45);
    add32(to, 0);
    add32(to, 0);
    add64(to, count);
    add64(to, count);
    add64(to, at - offset);
    add64(to, offset);
    add32(to, 0x07064b50);
    add32(to, 0);
    add64(to, at);
    add32(to, 1);
}

static void add_end(struct buf *to, const struct made_wheel *w, uint32_t count, size_t offset)
{
    size_t size = to->len - offset;

    if (w->zip64)
        add_end64(to, count, offset);
    add32(to, 0x06054b50);
    add32(to, 0);
    add16(to, count + w->count_lie);
    add16(to, count + w->count_lie);
    add32(to, w->zip64 ? UINT32_MAX : (uint32_t)size);
    add32(to, w->zip64 ? UINT32_MAX : (uint32_t)offset);
    add16(to, w->comment ? (uint32_t)strlen(w->comment) : 0);
    if (w->comment)
        buf_adds(to, w->comment);
}

static void add_members(const struct made_wheel *w, struct buf *file, const struct buf *record)
{
    struct placed placed[MADE_MEMBERS_MAX];
    size_t offset;
    uint32_t count = 0;

    for (size_t i = 0; i < w->count; i++) {
        const struct made_member *m = &w->members[i];

        if (m->not_in_archive)
            continue;
        placed[count] = (struct placed){.from = m, .data = m->data ? m->data : record->data,
                                        .len = m->data ? data_len(m) : record->len};
        place(file, &placed[count++]);
    }
    offset = file->len;
    for (uint32_t i = 0; i < count; i++)
        add_entry(file, &placed[i]);
    add_end(file, w, count, offset);
}

void make_wheel(const struct made_wheel *w, const char *path)
{
    struct buf record, file;
    FILE *f = fopen(path, "wb");

    assert(f);
    buf_init(&record, MADE_BYTES_MAX);
    buf_init(&file, MADE_BYTES_MAX);
    make_record(w, &record);
    if (w->junk_before)
        buf_adds(&file, w->junk_before);
    add_members(w, &file, &record);
    if (w->junk_after)
        buf_adds(&file, w->junk_after);
    assert(!file.full && w->cut_bytes <= file.len);
    assert(fwrite(file.data, 1, file.len - w->cut_bytes, f) == file.len - w->cut_bytes);
    assert(fclose(f) == 0);
    buf_release(&record);
    buf_release(&file);
}
