/*
 * The files of the world: as rows for the pages that list them, and as bytes.
 */
#ifndef PYPI_FILES_H
#define PYPI_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/hash.h"
#include "exchange.h"

struct file {
    const char *filename, *version, *upload_time;
    const char *requires_python;     /* or NULL */
    const char *yanked_reason;       /* or NULL */
    bool yanked;                     /* itself or its release */
    char sha256[SHA256_HEX_SIZE];
    uint64_t size_bytes;
    char metadata_sha256[SHA256_HEX_SIZE]; /* "": no metadata is offered */
};

/* The project's files by version and name, without those in quarantine; of one version where `version` is not
 * NULL. Read with files_next until it is false, then store_done. A file lives until the next. */
sqlite3_stmt *files_query(struct store *s, const char *project, const char *version);
bool files_next(struct store *s, sqlite3_stmt *query, struct file *f);

/* Appends the file's address on this host. */
void files_add_url(const struct exchange *x, const struct file *f, struct buf *to);

/* Routes: the bytes of a file, and the METADATA of a wheel. */
void files_send(struct exchange *x, const char *filename);
void files_send_metadata(struct exchange *x, const char *filename);

#endif
