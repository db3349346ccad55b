/*
 * How a target's index comes to differ from that of all. Called by tree.c when a package has files that are named only
 * there. Whoever reads meanwhile sees the old index or the new one, for they are exchanged.
 */
#include "apart.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"

#define NEW ".new-simple"

static bool is_directory(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool apart_is_open(const char *output, const char *target)
{
    char *path = mem_format("%s/%s/simple", output, target);
    bool open = is_directory(path);
    free(path);
    return open;
}

bool apart_has_page(const char *output, const char *target, const char *package)
{
    char *path = mem_format("%s/%s/simple/%s", output, target, package);
    bool has = is_directory(path);
    free(path);
    return has;
}

int apart_link_files(const char *output, const char *package, const char *directory)
{
    char *shared = mem_format("%s/simple/%s", output, package);
    DIR *dir = opendir(shared);
    int error = dir == NULL && errno != ENOENT ? -errno : 0;

    for (const struct dirent *d; error == 0 && dir != NULL && (d = readdir(dir)) != NULL;) {
        if (!text_ends(d->d_name, ".whl") && !text_ends(d->d_name, ".whl.metadata"))
            continue;
        char *link = mem_format("%s/%s", directory, d->d_name), *to = mem_format("../../../simple/%s/%s", package, d->d_name);
        error = symlink(to, link) == 0 ? 0 : -errno;
        free(to);
        free(link);
    }
    if (dir != NULL)
        closedir(dir);
    free(shared);
    return error;
}

int apart_unlink_files(const char *directory, bool all)
{
    DIR *dir = opendir(directory);
    struct stat st;
    int error = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : -errno;
    for (const struct dirent *d; error == 0 && (d = readdir(dir)) != NULL;)
        if (d->d_type == DT_LNK && (all || fstatat(dirfd(dir), d->d_name, &st, 0) != 0))
            error = unlinkat(dirfd(dir), d->d_name, 0) == 0 ? 0 : -errno;
    closedir(dir);
    return error;
}

int apart_put(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0)
        return unlink(from) == 0 ? 0 : -errno;
    if (errno != ENOENT)
        return -errno;
    return rename(from, to) == 0 ? 0 : -errno;
}

/* What is a link in /simple leads to its neighbour here, too: another spelling of a name. */
static int link_one(const char *simple, const char *to, const struct dirent *d)
{
    char neighbour[256];
    char *from = mem_format("%s/%s", simple, d->d_name), *link = mem_format("%s/%s", to, d->d_name);
    ssize_t len = readlink(from, neighbour, sizeof neighbour - 1);
    char *target;

    if (len > 0) {
        neighbour[len] = '\0';
        target = mem_text(neighbour);
    } else {
        target = mem_format("../../simple/%s", d->d_name);
    }
    int error = symlink(target, link) == 0 ? 0 : -errno;
    free(target);
    free(link);
    free(from);
    return error;
}

static int link_all(const char *simple, const char *to)
{
    DIR *dir = opendir(simple);
    int error = 0;

    if (dir == NULL)
        return -errno;
    for (const struct dirent *d; error == 0 && (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            error = link_one(simple, to, d);
    closedir(dir);
    return error;
}

static int make_directory(const char *output, const char *target)
{
    char *simple = mem_format("%s/simple", output), *place = mem_format("%s/%s/simple", output, target);
    char *new = mem_format("%s/%s/" NEW, output, target);

    int error = fs_remove_tree(new);
    if (error == 0)
        error = fs_make_dirs(new, 0755);
    if (error == 0)
        error = link_all(simple, new);
    if (error == 0)
        error = fs_sync_dir(new);
    if (error == 0)
        error = apart_put(new, place);
    free(new);
    free(place);
    free(simple);
    return error;
}

int apart_open(const char *output, const char *target)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&one_at_a_time);
    int error = apart_is_open(output, target) ? 0 : make_directory(output, target);
    pthread_mutex_unlock(&one_at_a_time);
    return error;
}
