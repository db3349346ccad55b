/*
 * The .dist-info folder: found, and its METADATA and WHEEL held against the wheel's file name. Called by
 * wheel_read() once the archive's structure is sound; RECORD is record.c's.
 */
#include "dist_info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define METADATA_BYTES_MAX (4U << 20)
#define WHEEL_BYTES_MAX (64U << 10)

static const char info_ending[] = ".dist-info", data_ending[] = ".data";

bool wheel_versions_equal(const char *a, const char *b)
{
    char *left = mem_text(a), *right = mem_text(b);
    bool equal;

    for (char *p = left; *p != '\0'; p++)
        *p = *p == '_' ? '-' : *p;
    for (char *p = right; *p != '\0'; p++)
        *p = *p == '_' ? '-' : *p;
    equal = python_version_compare(left, right) == 0; /* what does not parse is compared as text */
    free(left);
    free(right);
    return equal;
}

/* ---- the folder ---- */

/* The length of "x-1.dist-info" at the start of a member's name; 0 when it lies elsewhere. */
static size_t folder_len(const char *name, const char *ending)
{
    size_t len = strcspn(name, "/"), end = strlen(ending);

    return len >= end && memcmp(name + len - end, ending, end) == 0 ? len : 0;
}

/* Whether it is "x-1", in any spelling of the wheel's name and version. */
static bool is_of_wheel(const char *stem, size_t len, const struct wheel_name *name)
{
    char version[sizeof name->version];

    return python_name_version_split(stem, len, name->dist, version, sizeof version) == 0 &&
           wheel_versions_equal(version, name->version);
}

int dist_info_find(struct archive *a, const struct wheel_name *name, char folder[DIST_INFO_FOLDER_SIZE])
{
    const char *first = NULL;
    size_t len = 0;

    for (size_t i = 0; i < a->count; i++) {
        const char *path = a->members[i].name;
        size_t this_len = folder_len(path, info_ending);

        if (this_len == 0 || (first && this_len == len && memcmp(first, path, len) == 0))
            continue;
        if (first)
            return refuse(a->why, "it has two .dist-info folders, \"%.*s\" and \"%.*s\"", (int)len, first,
                          (int)this_len, path);
        first = path;
        len = this_len;
    }
    if (!first)
        return refuse(a->why, "it has no .dist-info folder");
    if (len >= DIST_INFO_FOLDER_SIZE || !is_of_wheel(first, len - strlen(info_ending), name))
        return refuse(a->why, "its folder \"%.*s\" is not that of %s %s", (int)len, first, name->dist,
                      name->version);
    memcpy(folder, first, len);
    folder[len] = '\0';
    return 0;
}

/* The length of "x-1" in "x-1.data"; setuptools has the wheel's build tag behind it. */
static size_t data_stem_len(const char *folder, size_t len, const char *build)
{
    size_t build_len = strlen(build);

    len -= strlen(data_ending);
    if (build_len > 0 && len > build_len && folder[len - build_len - 1] == '-' &&
        memcmp(folder + len - build_len, build, build_len) == 0)
        len -= build_len + 1;
    return len;
}

/* What lies in "x-1.data" is installed where its subfolder says. pip takes every folder of this ending for one, uv that of the
 * wheel's own name; neither knows where to put what lies in no subfolder that PEP 427 names. */
static int check_data(struct archive *a, const struct wheel_name *name, const struct member *m)
{
    static const char *const subfolders[] = {"purelib/", "platlib/", "headers/", "scripts/", "data/"};
    size_t len = folder_len(m->name, data_ending);

    if (len == 0 || m->directory)
        return 0;
    if (!is_of_wheel(m->name, data_stem_len(m->name, len, name->build), name))
        return refuse(a->why, "its folder \"%.*s\" is not that of %s %s", (int)len, m->name, name->dist, name->version);
    for (size_t i = 0; m->name[len] == '/' && i < COUNT_OF(subfolders); i++)
        if (text_starts(m->name + len + 1, subfolders[i]))
            return 0;
    return refuse(a->why, "\"%s\" is in none of the folders that say where it is installed", m->name);
}

int dist_info_data(struct archive *a, const struct wheel_name *name)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->count; i++)
        rc = check_data(a, name, &a->members[i]);
    return rc;
}

int dist_info_file(struct archive *a, const char *folder, const char *file, struct member **found)
{
    char path[DIST_INFO_FOLDER_SIZE + 16];

    snprintf(path, sizeof path, "%s/%s", folder, file);
    *found = archive_find(a, path);
    return *found ? 0 : refuse(a->why, "it has no %s (\"%s\")", file, path);
}

/* ---- METADATA ---- */

static int check_metadata(struct archive *a, const struct wheel *w)
{
    if (!python_names_equal(w->metadata.name, w->name.dist))
        return refuse(a->why, "its METADATA is of \"%s\", its file name of \"%s\"", w->metadata.name,
                      w->name.dist);
    if (!wheel_versions_equal(w->metadata.version, w->name.version))
        return refuse(a->why, "its METADATA is of version \"%s\", its file name of \"%s\"",
                      w->metadata.version, w->name.version);
    return 0;
}

static int read_metadata(struct archive *a, const char *folder, struct wheel *w)
{
    struct member *file;
    int rc = dist_info_file(a, folder, "METADATA", &file);

    if (rc == 0)
        rc = archive_read(a, file, METADATA_BYTES_MAX, &w->metadata_bytes, &w->metadata_len);
    if (rc < 0)
        return rc;
    hash_bytes(w->metadata_bytes, w->metadata_len, w->metadata_sha256);
    rc = python_metadata_parse(w->metadata_bytes, w->metadata_len, &w->metadata, a->why->text, a->why->size);
    return rc < 0 ? -EBADMSG : check_metadata(a, w);
}

/* ---- WHEEL ---- */

/* What WHEEL says, of what is held against the file name. */
struct wheel_file {
    char *wheel_version, *build;
    struct python_tags tags;
    const char *flaw; /* why it cannot be read, or NULL */
};

/* Takes the value. */
static void keep_once(struct wheel_file *f, char **field, char *value)
{
    if (*field)
        f->flaw = "has a header twice";
    free(*field);
    *field = value;
}

static void parse_wheel_file(const char *data, size_t len, struct wheel_file *f)
{
    struct python_headers headers = {data, data + len};
    char name[PYTHON_HEADER_NAME_MAX], *value;

    if (!text_is_utf8(data, len)) {
        f->flaw = "is not UTF-8 text";
        return;
    }
    while (python_headers_next(&headers, name, &value)) {
        if (strcmp(name, "wheel-version") == 0) {
            keep_once(f, &f->wheel_version, value);
            continue;
        }
        if (strcmp(name, "build") == 0) {
            keep_once(f, &f->build, value);
            continue;
        }
        if (strcmp(name, "tag") == 0 && python_tags_add(&f->tags, value) < 0)
            f->flaw = "has a Tag that is none";
        free(value);
    }
}

static int check_wheel_file(struct archive *a, struct wheel_file *f, const struct wheel_name *name)
{
    struct python_tags promised = {0};
    char *sets = mem_format("%s-%s-%s", name->python, name->abi, name->platform);
    int rc = 0;

    python_tags_add(&promised, sets);
    if (f->flaw)
        rc = refuse(a->why, "its WHEEL %s", f->flaw);
    else if (!f->wheel_version || !text_starts(f->wheel_version, "1."))
        rc = refuse(a->why, "its WHEEL has Wheel-Version \"%s\"; only 1.x is known",
                    f->wheel_version ? f->wheel_version : "");
    else if (f->build && strcmp(f->build, name->build) != 0)
        rc = refuse(a->why, "its WHEEL is of build \"%s\", its file name of \"%s\"", f->build, name->build);
    else if (!python_tags_equal(&f->tags, &promised))
        rc = refuse(a->why, "the tags in its WHEEL differ from those in its file name, %s", sets);
    python_tags_release(&promised);
    free(sets);
    return rc;
}

static int read_wheel_file(struct archive *a, const char *folder, const struct wheel_name *name)
{
    struct wheel_file parsed = {0};
    struct member *file;
    char *data = NULL;
    size_t len;
    int rc = dist_info_file(a, folder, "WHEEL", &file);

    if (rc == 0)
        rc = archive_read(a, file, WHEEL_BYTES_MAX, &data, &len);
    if (rc == 0) {
        parse_wheel_file(data, len, &parsed);
        rc = check_wheel_file(a, &parsed, name);
    }
    python_tags_release(&parsed.tags);
    free(parsed.wheel_version);
    free(parsed.build);
    free(data);
    return rc;
}

int dist_info_read(struct archive *a, const char *folder, struct wheel *w)
{
    int rc = read_metadata(a, folder, w);

    return rc < 0 ? rc : read_wheel_file(a, folder, &w->name);
}
