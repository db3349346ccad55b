/*
 * Wheels out of the tree, and back into it: the bytes, with their metadata and the directories that they leave empty. Called
 * on pool threads: by record.c for what it placed in vain, by recover.c for what a crash left, by withdraw.c for what PyPI took
 * back. (record.c places new ones in bundles.)
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "io/fs.h"
#include "room.h"

#define WITHHELD "/.withheld"  /* below the output directory; the paths there are those of the tree */

/* The directory of the path, unless something is in it, and those above it, but not the one whose length is given. */
static void remove_empty(char *path, size_t top_len)
{
    for (char *slash; (slash = strrchr(path, '/')) != NULL && (size_t)(slash - path) > top_len;) {
        *slash = '\0';
        if (rmdir(path) != 0)
            return;
    }
}

/* A wheel, then its metadata, from below `top`. */
static int remove_below(const char *top, const char *public_path)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", top, public_path);
    int error = fs_remove(path);
    snprintf(path, sizeof path, "%s/%s.metadata", top, public_path);
    if (error == 0)
        error = fs_remove(path);
    return error;
}

int files_take_out(const struct files *f, const char *public_path)
{
    char path[1200], simple[sizeof f->output + sizeof "/simple"];
    int error = remove_below(f->output, public_path);
    snprintf(path, sizeof path, "%s/%s", f->output, public_path);
    snprintf(simple, sizeof simple, "%s/simple", f->output);
    *strrchr(path, '/') = '\0';
    if (error == 0)
        error = fs_sync_dir(path);
    snprintf(path, sizeof path, "%s/%s", f->output, public_path);
    remove_empty(path, strlen(simple));
    return error == -ENOENT ? 0 : error; /* the directory is gone, too */
}

/* It may have been quarantined before it was removed. */
int files_take_out_everywhere(const struct files *f, const char *public_path)
{
    char withheld[sizeof f->output + sizeof WITHHELD], path[1200];
    int error = files_take_out(f, public_path);
    snprintf(withheld, sizeof withheld, "%s" WITHHELD, f->output);
    if (error == 0)
        error = remove_below(withheld, public_path);
    snprintf(path, sizeof path, "%s/%s", withheld, public_path);
    remove_empty(path, strlen(withheld));
    return error;
}

/* The wheel leaves before its metadata and comes back after it, for an index may promise both. */
int files_move(const struct files *f, const char *public_path, bool back)
{
    static const char *const suffixes[] = {"", ".metadata"};
    char inside[1200], outside[1200];
    int error = 0;
    for (unsigned i = 0; i < COUNT_OF(suffixes) && error == 0; i++) {
        const char *suffix = suffixes[back ? COUNT_OF(suffixes) - 1 - i : i];
        snprintf(inside, sizeof inside, "%s/%s%s", f->output, public_path, suffix);
        snprintf(outside, sizeof outside, "%s" WITHHELD "/%s%s", f->output, public_path, suffix);
        error = back ? fs_move(outside, inside) : fs_move(inside, outside);
        if (error == -ENOENT && !back)
            error = 0; /* what is not there need not be hidden */
    }
    if (error == 0)
        remove_empty(back ? outside : inside, strlen(f->output) + strlen(back ? WITHHELD : "/simple"));
    return error;
}
