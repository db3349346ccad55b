/*
 * Makes valid wheels in memory: a zip of one payload, METADATA, WHEEL and RECORD. Used by slaves.c, which must
 * make a thousand in a second: so all but the small members is computed once.
 */
#include "wheel.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/buf.h"
#include "core/memory.h"

#define PAYLOAD_NAME "bench_payload.bin"
#define MEMBERS 4
#define DEFLATED 8
#define DATE 0x5C21 /* 2026-01-01, in MS-DOS's format */
#define SMALL_BYTES 4096 /* more than all but the payload has */
#define ROOM ((size_t)1 << 31)

struct member {
    char name[700];
    const uint8_t *packed;
    size_t packed_len, len;
    uint32_t crc, offset;
    unsigned method;
};

/* -- RECORD -------------------------------------------------------------------------------------- */

static void add_row(struct buf *record, const char *name, const uint8_t sha256[SHA256_SIZE], size_t len)
{
    unsigned char text[64];
    EVP_EncodeBlock(text, sha256, SHA256_SIZE);
    for (char *c = (char *)text; *c; c++)
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c);
    buf_addf(record, "%s,sha256=%s,%zu\n", name, (char *)text, len);
}

static struct member stored(const char *folder, const char *name, const struct buf *text)
{
    struct member m = {.packed = (const uint8_t *)text->data, .packed_len = text->len, .len = text->len,
                       .crc = (uint32_t)crc32_z(0, (const uint8_t *)text->data, text->len)};
    snprintf(m.name, sizeof m.name, "%s/%s", folder, name);
    return m;
}

static void add_row_of(struct buf *record, const struct member *m)
{
    uint8_t sha256[SHA256_SIZE];
    hash_bytes(m->packed, m->packed_len, sha256);
    add_row(record, m->name, sha256, m->len);
}

/* -- the archive (PKWARE's APPNOTE, 4.3) ------------------------------------------------------------ */

static void put16(struct buf *b, unsigned value)
{
    buf_addc(b, (char)(value & 255));
    buf_addc(b, (char)(value >> 8 & 255));
}

static void put32(struct buf *b, size_t value)
{
    put16(b, value & 0xFFFF);
    put16(b, (unsigned)(value >> 16 & 0xFFFF));
}

static void put_common(struct buf *b, const struct member *m)
{
    put16(b, 20);
    put16(b, 0);
    put16(b, m->method);
    put16(b, 0);
    put16(b, DATE);
    put32(b, m->crc);
    put32(b, m->packed_len);
    put32(b, m->len);
    put16(b, (unsigned)strlen(m->name));
    put16(b, 0);
}

static void put_local(struct buf *b, struct member *m)
{
    m->offset = (uint32_t)b->len;
    put32(b, 0x04034B50);
    put_common(b, m);
    buf_adds(b, m->name);
    buf_add(b, m->packed, m->packed_len);
}

static void put_central(struct buf *b, const struct member *m)
{
    put32(b, 0x02014B50);
    put16(b, 20 | 3 << 8);              /* made by Unix */
    put_common(b, m);
    put16(b, 0);
    put16(b, 0);
    put16(b, 0);
    put32(b, (size_t)0100644 << 16);
    put32(b, m->offset);
    buf_adds(b, m->name);
}

static void put_archive(struct buf *b, struct member *members)
{
    buf_reserve(b, members[0].packed_len + SMALL_BYTES); /* else it would be copied once more */
    for (unsigned i = 0; i < MEMBERS; i++)
        put_local(b, &members[i]);
    size_t start = b->len;
    for (unsigned i = 0; i < MEMBERS; i++)
        put_central(b, &members[i]);
    size_t len = b->len - start;
    put32(b, 0x06054B50);
    put32(b, 0);
    put16(b, MEMBERS);
    put16(b, MEMBERS);
    put32(b, len);
    put32(b, start);
    put16(b, 0);
}

/* -- the payload ---------------------------------------------------------------------------------- */

static struct member payload_member(const struct payload *p)
{
    return (struct member){.name = PAYLOAD_NAME, .packed = p->packed, .packed_len = p->packed_len, .len = p->len,
                           .crc = p->crc, .method = DEFLATED};
}

static void begin_hash(struct payload *p)
{
    struct member m = payload_member(p);
    struct buf begun;
    buf_init(&begun, ROOM);
    put_local(&begun, &m);
    hash_init(&p->begun);
    hash_add(&p->begun, begun.data, begun.len);
    p->begun_len = begun.len;
    buf_release(&begun);
}

/* Six random bits a byte: deflate takes a quarter away. */
void payload_make(struct payload *p, size_t packed_len)
{
    uint64_t random = 88172645463325252ULL;
    p->len = packed_len / 3 * 4;
    uint8_t *bytes = mem_new(p->len + 1, 1);
    for (size_t i = 0; i < p->len; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        bytes[i] = 32 + (random & 63);
    }
    z_stream z = {.next_in = bytes, .avail_in = (uInt)p->len};
    deflateInit2(&z, 1, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    size_t bound = deflateBound(&z, p->len);
    p->packed = mem_new(bound, 1);
    z.next_out = p->packed;
    z.avail_out = (uInt)bound;
    deflate(&z, Z_FINISH);
    p->packed_len = z.total_out;
    deflateEnd(&z);
    p->crc = (uint32_t)crc32_z(0, bytes, p->len);
    hash_bytes(bytes, p->len, p->sha256);
    free(bytes);
    begin_hash(p);
}

void payload_release(struct payload *p)
{
    hash_release(&p->begun);
    free(p->packed);
}

/* -- the whole ------------------------------------------------------------------------------------- */

/* Slaves of a real farm hash on processors of their own. */
static void hash_wheel(struct made_wheel *w, const struct payload *p)
{
    struct hash h = {EVP_MD_CTX_new()};
    EVP_MD_CTX_copy_ex(h.context, p->begun.context);
    hash_add(&h, w->data + p->begun_len, w->len - p->begun_len);
    hash_end(&h, w->sha256);
}

void wheel_make(struct made_wheel *w, const char *package, const char *version, const struct payload *p)
{
    char escaped[256], folder[600];
    struct buf metadata, wheel, record, archive;
    snprintf(escaped, sizeof escaped, "%s", package);
    for (char *c = escaped; *c; c++)
        *c = *c == '-' ? '_' : *c;
    snprintf(w->name, sizeof w->name, "%s-%s-py3-none-any.whl", escaped, version);
    snprintf(folder, sizeof folder, "%s-%s.dist-info", escaped, version);
    buf_init(&metadata, ROOM);
    buf_init(&wheel, ROOM);
    buf_init(&record, ROOM);
    buf_init(&archive, ROOM);
    buf_addf(&metadata, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: scripted\n", package, version);
    buf_adds(&wheel, "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
    struct member members[MEMBERS] = {
        payload_member(p),
        stored(folder, "METADATA", &metadata),
        stored(folder, "WHEEL", &wheel),
    };
    add_row(&record, PAYLOAD_NAME, p->sha256, p->len);
    add_row_of(&record, &members[1]);
    add_row_of(&record, &members[2]);
    buf_addf(&record, "%s/RECORD,,\n", folder);
    members[3] = stored(folder, "RECORD", &record);
    put_archive(&archive, members);
    w->len = archive.len;
    w->data = (uint8_t *)buf_take(&archive);
    hash_wheel(w, p);
    buf_release(&metadata);
    buf_release(&wheel);
    buf_release(&record);
    buf_release(&archive);
}

void wheel_free(struct made_wheel *w)
{
    free(w->data);
    *w = (struct made_wheel){0};
}
