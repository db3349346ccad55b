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

static int is_wheel(const struct dirent *entry)
{
    return text_ends(entry->d_name, ".whl");
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
    if (error != 0)
        verdict_set(v, "farm", "disk", "cannot read %s: %s", f->name, strerror(-error));
}

void collect_wheels(const char *dir, const char *package, const char *version,
                    struct build_file files[BUILD_MAX_FILES], unsigned *count, struct verdict *v)
{
    struct dirent **entries;
    struct stat st;

    *count = 0;
    if (lstat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
        verdict_set(v, "failed", "bad wheel", "the build put something else in place of the directory for its wheels");
        return;
    }
    int found = scandir(dir, &entries, is_wheel, alphasort);
    if (found < 0) {
        verdict_set(v, "farm", "disk", "cannot read %s: %s", dir, strerror(errno));
        return;
    }
    if (found == 0)
        verdict_set(v, "failed", "no wheel", "pip ended well but made no wheel");
    else if (found > BUILD_MAX_FILES)
        verdict_set(v, "failed", "bad wheel", "pip made %d wheels, more than the %d that one build may have",
                    found, BUILD_MAX_FILES);
    for (int i = 0; i < found && v->outcome == NULL; i++) {
        struct build_file *f = &files[i];
        char *path = mem_format("%s/%s", dir, entries[i]->d_name);
        snprintf(f->name, sizeof f->name, "%s", entries[i]->d_name);
        collect_one(path, package, version, f, v);
        free(path);
    }
    for (int i = 0; i < found; i++)
        free(entries[i]);
    free(entries);
    if (v->outcome == NULL) {
        *count = (unsigned)found;
        verdict_set(v, "success", "", "%s", "");
    }
}
