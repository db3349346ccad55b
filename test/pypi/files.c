/*
 * Files of the loopback PyPI: pages.c lists them, routes.c has them sent. The hash and size that a row
 * does not give are those of the bytes at that moment.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/text.h"

/* ---- rows ---- */

#define SELECT_FILES                                                                 \
    "SELECT f.filename, f.version, f.upload_time, f.requires_python,"                \
    " coalesce(f.yanked_reason, r.yanked_reason), f.yanked OR r.yanked,"             \
    " f.sha256, f.size, f.metadata, f.path, f.content"                               \
    " FROM file f JOIN release r ON r.project = f.project AND r.version = f.version"  \
    " JOIN project p ON p.name = f.project"

enum {
    FILENAME,
    VERSION,
    UPLOAD_TIME,
    REQUIRES_PYTHON,
    YANKED_REASON,
    YANKED,
    SHA256,
    SIZE,
    METADATA,
    PATH,
    CONTENT
};

sqlite3_stmt *files_query(struct store *s, const char *project, const char *version)
{
    return store_query(s, SELECT_FILES " WHERE f.project = ?1 AND (?2 IS NULL OR f.version = ?2)"
                                       " AND NOT r.quarantined AND NOT p.quarantined"
                                       " ORDER BY f.version COLLATE pep440, f.filename",
                       project, version);
}

static void hash_text(const void *data, size_t len, char hex[SHA256_HEX_SIZE])
{
    uint8_t digest[SHA256_SIZE];

    hash_bytes(data, len, digest);
    hash_hex(digest, hex);
}

/* Hash and size of the bytes as they are; left empty where there are none. */
static void measure(sqlite3_stmt *query, struct file *f)
{
    const char *path = store_text(query, PATH);
    uint8_t digest[SHA256_SIZE];

    if (path && hash_file(path, digest, &f->size_bytes) == 0) {
        hash_hex(digest, f->sha256);
    } else if (!path) {
        f->size_bytes = (uint64_t)sqlite3_column_bytes(query, CONTENT);
        hash_text(sqlite3_column_blob(query, CONTENT), (size_t)f->size_bytes, f->sha256);
    }
}

static void read_row(sqlite3_stmt *query, struct file *f)
{
    *f = (struct file){
        .filename = store_text(query, FILENAME),
        .version = store_text(query, VERSION),
        .upload_time = store_text(query, UPLOAD_TIME),
        .requires_python = store_text(query, REQUIRES_PYTHON),
        .yanked_reason = store_text(query, YANKED_REASON),
        .yanked = sqlite3_column_int(query, YANKED),
    };
    const char *sha256 = store_text(query, SHA256), *metadata = store_text(query, METADATA);
    bool sized = sqlite3_column_type(query, SIZE) != SQLITE_NULL;

    if (!sha256 || !sized)
        measure(query, f);
    if (sha256)
        text_copy(f->sha256, sizeof(f->sha256), sha256);
    if (sized)
        f->size_bytes = (uint64_t)sqlite3_column_int64(query, SIZE);
    if (metadata)
        hash_text(metadata, (size_t)sqlite3_column_bytes(query, METADATA), f->metadata_sha256);
}

bool files_next(struct store *s, sqlite3_stmt *query, struct file *f)
{
    if (!store_next(s, query))
        return false;
    read_row(query, f);
    return true;
}

void files_add_url(const struct exchange *x, const struct file *f, struct buf *to)
{
    buf_addf(to, "%s/files/", x->base_url);
    http_add_encoded(to, f->filename);
}

/* ---- bytes ---- */

static const char *content_type(const char *filename)
{
    if (text_ends(filename, ".whl") || text_ends(filename, ".zip"))
        return "application/zip";
    return text_ends(filename, ".gz") ? "application/gzip" : "application/octet-stream";
}

static bool open_file(const char *path, struct response *r)
{
    struct stat status;

    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    r->length = (uint64_t)status.st_size;
    return true;
}

/* Puts the bytes of the row into the response. False where it has none. */
static bool take_bytes(sqlite3_stmt *query, struct response *r)
{
    const char *path = store_text(query, PATH);

    if (path)
        return open_file(path, r);
    if (sqlite3_column_type(query, CONTENT) == SQLITE_NULL)
        return false;
    const void *content = sqlite3_column_blob(query, CONTENT);
    buf_add(&r->body, content, (size_t)sqlite3_column_bytes(query, CONTENT));
    r->length = r->body.len;
    return true;
}

void files_send(struct exchange *x, const char *filename)
{
    struct response *r = x->response;
    sqlite3_stmt *query = store_query(x->store, SELECT_FILES " WHERE f.filename = ?", filename);
    struct file f;
    char etag[SHA256_HEX_SIZE + 2];

    if (!files_next(x->store, query, &f)) {
        response_plain(r, 404, "no file of that name");
    } else if (!take_bytes(query, r)) {
        response_plain(r, 404, "the database knows the file, but its bytes are not there");
    } else {
        snprintf(etag, sizeof(etag), "\"%s\"", f.sha256);
        response_header(r, "Content-Type", "%s", content_type(filename));
        response_etag(r, x->request, etag);
        response_range(r, x->request, etag);
    }
    store_done(query);
}

void files_send_metadata(struct exchange *x, const char *filename)
{
    struct response *r = x->response;
    sqlite3_stmt *query = store_query(x->store, "SELECT metadata FROM file WHERE filename = ?"
                                                " AND metadata IS NOT NULL", filename);

    if (store_next(x->store, query)) {
        response_header(r, "Content-Type", "text/plain; charset=utf-8");
        buf_add(&r->body, store_text(query, 0), (size_t)sqlite3_column_bytes(query, 0));
        r->length = r->body.len;
    } else {
        response_plain(r, 404, "no metadata is offered for that file");
    }
    store_done(query);
}
