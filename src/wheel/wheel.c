/*
 * A wheel read and judged, from its file name to its last byte. The slave reads what it has built this way,
 * to tell the master about it; the master reads what it was sent the same way, for it believes nobody.
 */
#include "wheel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "dist_info.h"
#include "record.h"

static int check_file_name(struct wheel *w, const char *file_name, const char *package, const char *version,
                           struct reason *why)
{
    if (python_wheel_name_parse(file_name, &w->name) < 0)
        return refuse(why, "\"%s\" is no wheel's file name", file_name);
    if (package && !python_names_equal(package, w->name.dist))
        return refuse(why, "its file name is of \"%s\", not of %s", w->name.dist, package);
    if (version && !wheel_versions_equal(version, w->name.version))
        return refuse(why, "its file name is of version \"%s\", not %s", w->name.version, version);
    return 0;
}

static int check_contents(struct archive *a, struct wheel *w, bool whole)
{
    char folder[DIST_INFO_FOLDER_SIZE];
    struct member *record;
    int rc = dist_info_find(a, &w->name, folder);

    if (rc == 0)
        rc = dist_info_data(a, &w->name);
    if (rc == 0)
        rc = dist_info_read(a, folder, w);
    if (rc == 0)
        rc = whole ? record_check(a, folder) : dist_info_file(a, folder, "RECORD", &record);
    return rc;
}

/* The archive has been opened, with this result; closes it. */
static int read_archive(struct archive *a, int rc, struct wheel *w, bool whole)
{
    if (rc == 0)
        rc = check_contents(a, w, whole);
    w->inflated_bytes = a->inflated_bytes;
    w->members = (unsigned)a->count;
    w->has_objects = a->has_objects;
    archive_close(a);
    return rc;
}

int wheel_read(const char *path, const char *file_name, const char *package, const char *version, bool whole,
               const struct wheel_limits *limits, struct wheel *w, char *why_text, size_t why_size)
{
    struct reason why = {why_text, why_size};
    struct archive archive;

    memset(w, 0, sizeof *w);
    int rc = check_file_name(w, file_name, package, version, &why);
    return rc < 0 ? rc : read_archive(&archive, archive_open(&archive, path, limits, &why), w, whole);
}

int wheel_read_bytes(const void *bytes, size_t len, const char *file_name, const char *package, const char *version,
                     struct wheel *w, char *why_text, size_t why_size)
{
    struct reason why = {why_text, why_size};
    struct archive archive;

    memset(w, 0, sizeof *w);
    int rc = check_file_name(w, file_name, package, version, &why);
    return rc < 0 ? rc : read_archive(&archive, archive_open_bytes(&archive, bytes, len, &why), w, true);
}

void wheel_release(struct wheel *w)
{
    python_metadata_release(&w->metadata);
    free(w->metadata_bytes);
    memset(w, 0, sizeof *w);
}
