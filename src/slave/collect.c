/*
 * Reads the wheels that a build left in its directory. build.c calls it on a worker thread. The master reads
 * them again, more strictly: what is refused here only spares the transfer and gives the better reason.
 */
#include "collect.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/memory.h"
#include "core/text.h"
#include "wheel.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct build_file *)a)->name, ((const struct build_file *)b)->name);
}

/* How many wheels there are, whose names go into `files`; one more than may be is enough, for a build may make any number.
 * -errno when the directory cannot be read. */
static int list_wheels(const char *dir, struct build_file files[BUILD_MAX_FILES])
{
    int found = 0;
    DIR *d = opendir(dir);

    if (d == NULL)
        return -errno;
    for (struct dirent *entry; found <= BUILD_MAX_FILES && (entry = readdir(d)) != NULL;) {
        if (!text_ends(entry->d_name, ".whl"))
            continue;
        if (found < BUILD_MAX_FILES)
            text_copy(files[found].name, sizeof files[found].name, entry->d_name);
        found++;
    }
    closedir(d);
    if (found <= BUILD_MAX_FILES)
        qsort(files, (size_t)found, sizeof *files, by_name);
    return found;
}

/* Judges one file; leaves the verdict alone when it is good. */
static void collect_one(const char *path, const char *package, const char *version, struct build_file *f,
                        struct verdict *v)
{
    struct wheel wheel;
    struct stat st;
    char why[512];

    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        verdict_set(v, "failed", "bad wheel", "%s is not a regular file", f->name);
        return;
    }
    int error = wheel_read(path, f->name, package, version, false, NULL, &wheel, why, sizeof why);
    wheel_release(&wheel);
    if (error == -EBADMSG) {
        verdict_set(v, "failed", "bad wheel", "%s: %s", f->name, why);
        return;
    }
    if (error == 0)
        error = hash_file(path, f->sha256, &f->size_bytes);
    if (error == -EACCES)
        verdict_set(v, "failed", "bad wheel", "the build has closed %s even to its owner", f->name);
    else if (error != 0)
        verdict_set(v, "farm", "disk", "cannot read %s: %s", f->name, strerror(-error));
}

void collect_wheels(const char *dir, const char *package, const char *version,
                    struct build_file files[BUILD_MAX_FILES], unsigned *count, struct verdict *v)
{
    struct stat st;

    *count = 0;
    if (lstat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
        verdict_set(v, "failed", "bad wheel", "the build put something else in place of the directory for its wheels");
        return;
    }
    int found = list_wheels(dir, files);
    if (found == -EACCES) {
        verdict_set(v, "failed", "bad wheel", "the build has closed the directory for its wheels even to its owner");
        return;
    }
    if (found < 0) {
        verdict_set(v, "farm", "disk", "cannot read %s: %s", dir, strerror(-found));
        return;
    }
    if (found == 0)
        verdict_set(v, "failed", "no wheel", "pip ended well but made no wheel");
    else if (found > BUILD_MAX_FILES)
        verdict_set(v, "failed", "bad wheel", "pip made more wheels than the %d that one build may have", BUILD_MAX_FILES);
    for (int i = 0; i < found && v->outcome == NULL; i++) {
        char *path = mem_format("%s/%s", dir, files[i].name);
        collect_one(path, package, version, &files[i], v);
        free(path);
    }
    if (v->outcome == NULL) {
        *count = (unsigned)found;
        verdict_set(v, "success", "", "%s", "");
    }
}
