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
        rc = dist_info_read(a, folder, w);
    if (rc == 0)
        rc = whole ? record_check(a, folder) : dist_info_file(a, folder, "RECORD", &record);
    return rc;
}

int wheel_read(const char *path, const char *file_name, const char *package, const char *version, bool whole,
               const struct wheel_limits *limits, struct wheel *w, char *why_text, size_t why_size)
{
    struct reason why = {why_text, why_size};
    struct archive archive;
    int rc;

    memset(w, 0, sizeof *w);
    rc = check_file_name(w, file_name, package, version, &why);
    if (rc < 0)
        return rc;
    rc = archive_open(&archive, path, limits, &why);
    if (rc == 0)
        rc = check_contents(&archive, w, whole);
    w->inflated_bytes = archive.inflated_bytes;
    w->members = (unsigned)archive.count;
    w->has_objects = archive.has_objects;
    archive_close(&archive);
    return rc;
}

void wheel_release(struct wheel *w)
{
    python_metadata_release(&w->metadata);
    free(w->metadata_bytes);
    memset(w, 0, sizeof *w);
}
