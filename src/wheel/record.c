/*
 * RECORD held against the archive (PEP 376 as amended by the binary distribution format): it must list every
 * file once, with a hash of SHA-256 or better, and no other. wheel_read() calls it last, for it
 * inflates all.
 */
#include "record.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "dist_info.h"
#include "object.h"

#define RECORD_BYTES_MAX (64U << 20)
#define HASH_TEXT_SIZE 96 /* base64 of 64 bytes, and a NUL */

struct row {
    char *path, *hash, *size; /* unquoted, in RECORD's own bytes */
};

struct record {
    struct archive *archive;
    const char *folder;
    char *data, *at;          /* RECORD, and what of it is unread */
    EVP_MD_CTX *context;
};

/* ---- rows: comma-separated values, as Python's csv module writes them ---- */

/* Moves the text between quotes to `to`; "" stands for one quote. Returns what follows, or NULL. */
static char *unquote(char *from, char **to)
{
    for (from++; *from != '\0'; from++) {
        if (*from == '"' && *++from != '"')
            return from;
        *(*to)++ = *from;
    }
    return NULL;
}

/* Takes one field, unquoted in place; *ended_by is the comma, line feed or NUL after it. */
static bool take_field(char **at, char **field, char *ended_by)
{
    char *from = *at, *to = from;

    *field = to;
    if (*from == '"') {
        from = unquote(from, &to);
        if (!from)
            return false;
    } else {
        from = to += strcspn(from, ",\r\n\"");
    }
    if (from[0] == '\r' && from[1] == '\n')
        from++;
    *ended_by = *from;
    *at = from + (*from != '\0');
    *to = '\0';
    return *ended_by == ',' || *ended_by == '\n' || *ended_by == '\0';
}

/* 1, 0 at the end, or -EINVAL when a row has not just three fields. */
static int next_row(struct record *r, struct row *row)
{
    char ended_by;

    r->at += strspn(r->at, "\r\n");
    if (*r->at == '\0')
        return 0;
    if (!take_field(&r->at, &row->path, &ended_by) || ended_by != ',' ||
        !take_field(&r->at, &row->hash, &ended_by) || ended_by != ',' ||
        !take_field(&r->at, &row->size, &ended_by) || ended_by == ',')
        return -EINVAL;
    return 1;
}

/* ---- hashes ---- */

/* URL-safe base64 without padding. */
static void write_base64(const unsigned char *digest, unsigned len, char text[HASH_TEXT_SIZE])
{
    EVP_EncodeBlock((unsigned char *)text, digest, (int)len);
    for (char *p = text; *p != '\0'; p++) {
        if (*p == '+')
            *p = '-';
        else if (*p == '/')
            *p = '_';
        else if (*p == '=')
            *p = '\0';
    }
}

/* "sha256=…" -> SHA-256, with *text at what follows; NULL for algorithms that are too weak or unknown. */
static const EVP_MD *find_algorithm(const char **text)
{
    static const struct {
        const char *prefix;
        const EVP_MD *(*algorithm)(void);
    } algorithms[] = {{"sha256=", EVP_sha256}, {"sha384=", EVP_sha384}, {"sha512=", EVP_sha512}};

    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        if (text_starts(*text, algorithms[i].prefix)) {
            *text += strlen(algorithms[i].prefix);
            return algorithms[i].algorithm();
        }
    }
    return NULL;
}

/* What is hashed; and whether it begins as machine code does. */
struct hashed {
    EVP_MD_CTX *context;
    bool begun, object;
};

static void add_to_hash(void *context, const void *data, size_t len)
{
    struct hashed *h = context;

    h->object = h->object || (!h->begun && object_is_magic(data, len));
    h->begun = true;
    EVP_DigestUpdate(h->context, data, len);
}

static int check_hash(struct record *r, const struct member *m, const char *hash)
{
    struct archive *a = r->archive;
    const EVP_MD *algorithm = find_algorithm(&hash);
    struct hashed hashed = {.context = r->context};
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[HASH_TEXT_SIZE];
    unsigned len;
    int rc;

    if (!algorithm)
        return refuse(a->why, "its RECORD has a hash for \"%s\" that is not SHA-256, 384 or 512", m->name);
    EVP_DigestInit_ex(r->context, algorithm, NULL);
    rc = archive_inflate(a, m, add_to_hash, &hashed);
    if (rc < 0)
        return rc;
    r->archive->has_objects = r->archive->has_objects || hashed.object;
    EVP_DigestFinal_ex(r->context, digest, &len);
    write_base64(digest, len, text);
    return strcmp(text, hash) == 0 ? 0 : refuse(a->why, "\"%s\" differs from its hash in RECORD", m->name);
}

/* ---- the whole of it ---- */

/* RECORD cannot have its own hash, and signatures are made after it. */
static bool may_lack_hash(const struct record *r, const char *path)
{
    static const char *const files[] = {"RECORD", "RECORD.jws", "RECORD.p7s"};
    size_t len = strlen(r->folder);

    if (!text_starts(path, r->folder) || path[len] != '/')
        return false;
    for (size_t i = 0; i < COUNT_OF(files); i++)
        if (strcmp(path + len + 1, files[i]) == 0)
            return true;
    return false;
}

static int check_row(struct record *r, const struct row *row)
{
    struct archive *a = r->archive;
    struct member *m = archive_find(a, row->path);
    unsigned long long size_bytes;

    if (!m)
        return refuse(a->why, "its RECORD lists \"%s\", which is not there", row->path);
    if (m->listed)
        return refuse(a->why, "its RECORD lists \"%s\" twice", row->path);
    m->listed = true;
    if (row->size[0] != '\0' && (text_to_u64(row->size, &size_bytes) < 0 || size_bytes != m->inflated_bytes))
        return refuse(a->why, "\"%s\" differs from its size in RECORD", m->name);
    if (row->hash[0] != '\0')
        return check_hash(r, m, row->hash);
    return may_lack_hash(r, m->name) ? 0 : refuse(a->why, "its RECORD has no hash for \"%s\"", m->name);
}

static int check_rows(struct record *r)
{
    struct row row;
    int rc = 0, found;

    while (rc == 0 && (found = next_row(r, &row)) != 0)
        rc = found < 0 ? refuse(r->archive->why, "its RECORD has a line that is no \"path,hash,size\"")
                       : check_row(r, &row);
    return rc;
}

static int check_all_listed(struct record *r)
{
    struct archive *a = r->archive;

    for (size_t i = 0; i < a->count; i++) {
        const struct member *m = a->by_name[i];

        if (!m->listed && !m->directory && !may_lack_hash(r, m->name))
            return refuse(a->why, "\"%s\" is not listed in its RECORD", m->name);
    }
    return 0;
}

int record_check(struct archive *a, const char *folder)
{
    struct record r = {.archive = a, .folder = folder};
    struct member *file;
    size_t len;
    int rc = dist_info_file(a, folder, "RECORD", &file);

    if (rc == 0)
        rc = archive_read(a, file, RECORD_BYTES_MAX, &r.data, &len);
    if (rc == 0 && !text_is_utf8(r.data, len))
        rc = refuse(a->why, "its RECORD is not UTF-8 text");
    if (rc == 0) {
        r.at = r.data;
        r.context = EVP_MD_CTX_new();
        rc = r.context ? check_rows(&r) : fail(a->why, -ENOMEM, "hashing it");
    }
    if (rc == 0)
        rc = check_all_listed(&r);
    EVP_MD_CTX_free(r.context);
    free(r.data);
    return rc;
}
