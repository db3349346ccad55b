/*
 * `--seed DIR`: what main.c does before it listens. The name and version of a file are those of its
 * file name; what else PyPI would know comes from the PKG-INFO or METADATA inside.
 */
#include "seed.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "archive.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/text.h"
#include "python.h"

#define METADATA_MAX_BYTES (4 * 1024 * 1024)

static const char *const sdist_suffixes[] = {".tar.gz", ".zip"};

struct found {
    char *path;
    const char *filename;            /* within `path` */
    char display[256];               /* as spelled in the file name */
    char project[256];               /* normalised */
    char version[256];
    char sha256[SHA256_HEX_SIZE], size[32], upload_time[64];
    struct buf text;                 /* PKG-INFO or METADATA, or nothing */
    struct metadata metadata;
};

static bool is_wheel(const char *filename)
{
    return text_ends(filename, ".whl");
}

/* "foo-bar-1.0" is foo-bar 1.0: the version begins after the first '-' that leaves one. */
static bool split_sdist_name(struct found *f)
{
    char stem[256];

    if (!text_copy(stem, sizeof(stem), f->filename))
        return false;
    for (size_t i = 0; i < COUNT_OF(sdist_suffixes); i++)
        if (text_ends(stem, sdist_suffixes[i]))
            stem[strlen(stem) - strlen(sdist_suffixes[i])] = '\0';
    char *dash = strchr(stem, '-');
    while (dash && !python_version_valid(dash + 1))
        dash = strchr(dash + 1, '-');
    if (!dash)
        return false;
    *dash = '\0';
    text_copy(f->display, sizeof(f->display), stem);
    text_copy(f->version, sizeof(f->version), dash + 1);
    return true;
}

static bool split_wheel_name(struct found *f)
{
    struct wheel_name name;

    if (python_wheel_name_parse(f->filename, &name) != 0)
        return false;
    text_copy(f->display, sizeof(f->display), name.dist);
    text_copy(f->version, sizeof(f->version), name.version);
    return true;
}

/* Reads what the archive says about itself; one that says nothing readable is served all the same. */
static void read_metadata(struct found *f)
{
    char why[256] = "it has none";
    const char *pattern = is_wheel(f->filename) ? "*.dist-info/METADATA" : "*/PKG-INFO";
    int error = archive_read(f->path, pattern, &f->text);

    if (error == 0)
        error = python_metadata_parse(f->text.data, f->text.len, &f->metadata, why, sizeof(why));
    if (error != 0)
        fprintf(stderr, "loopback-pypi: %s: served without metadata (%s)\n", f->path, why);
    else if (python_names_equal(f->metadata.name, f->project))
        text_copy(f->display, sizeof(f->display), f->metadata.name);
}

static int read_file(struct found *f)
{
    uint8_t digest[SHA256_SIZE];
    uint64_t size;
    struct stat status;
    struct tm utc;
    int error = hash_file(f->path, digest, &size);

    if (error)
        return error;
    if (stat(f->path, &status) != 0)
        return -errno;
    hash_hex(digest, f->sha256);
    snprintf(f->size, sizeof(f->size), "%llu", (unsigned long long)size);
    strftime(f->upload_time, sizeof(f->upload_time), "%Y-%m-%dT%H:%M:%S.000000Z",
             gmtime_r(&status.st_mtime, &utc));
    read_metadata(f);
    return 0;
}

static void store_file(struct store *s, const struct found *f)
{
    bool offered = is_wheel(f->filename) && f->text.len > 0 && !memchr(f->text.data, '\0', f->text.len);

    store_run(s, store_query(s, "INSERT INTO project (name, display, summary) VALUES (?, ?, ?)"
                                " ON CONFLICT (name) DO UPDATE SET summary = excluded.summary"
                                " WHERE project.summary IS NULL AND excluded.summary IS NOT NULL",
                             f->project, f->display, f->metadata.summary));
    store_run(s, store_query(s, "INSERT INTO file (project, version, filename, path, sha256, size,"
                                " upload_time, requires_python, metadata)"
                                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                                " ON CONFLICT (filename) DO UPDATE SET path = excluded.path,"
                                " sha256 = excluded.sha256, size = excluded.size,"
                                " metadata = excluded.metadata"
                                " WHERE path IS NOT excluded.path OR sha256 IS NOT excluded.sha256",
                             f->project, f->version, f->filename, f->path, f->sha256, f->size,
                             f->upload_time, f->metadata.requires_python, offered ? f->text.data : NULL));
}

static void seed_file(struct store *s, const char *folder, const char *filename)
{
    struct found f = {.path = mem_format("%s/%s", folder, filename)};
    const char *why = NULL;

    f.filename = strrchr(f.path, '/') + 1;
    buf_init(&f.text, METADATA_MAX_BYTES);
    if (!(is_wheel(filename) ? split_wheel_name(&f) : split_sdist_name(&f)) || !python_name_valid(f.display))
        why = "the file name tells no name and version";
    else if (python_name_normalise(f.display, f.project, sizeof(f.project)) != 0)
        why = "the name is too long";
    else if (read_file(&f) != 0)
        why = "it cannot be read";
    if (why)
        fprintf(stderr, "loopback-pypi: %s: passed over (%s)\n", f.path, why);
    else
        store_file(s, &f);
    python_metadata_release(&f.metadata);
    buf_release(&f.text);
    free(f.path);
}

static int is_seed(const struct dirent *entry)
{
    if (is_wheel(entry->d_name))
        return true;
    for (size_t i = 0; i < COUNT_OF(sdist_suffixes); i++)
        if (text_ends(entry->d_name, sdist_suffixes[i]))
            return true;
    return false;
}

int seed_folder(struct store *s, const char *folder)
{
    char absolute[PATH_MAX];
    struct dirent **entries;

    if (!realpath(folder, absolute))
        return -errno;
    int count = scandir(absolute, &entries, is_seed, alphasort);
    if (count < 0)
        return -errno;
    store_run(s, store_query(s, "BEGIN IMMEDIATE"));
    for (int i = 0; i < count; i++) {
        seed_file(s, absolute, entries[i]->d_name);
        free(entries[i]);
    }
    store_run(s, store_query(s, "COMMIT"));
    free(entries);
    return s->failed ? -EIO : 0;
}
