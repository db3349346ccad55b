/*
 * Adding up a build's directory while the build goes on in it. watcher.c asks for it, on a worker thread.
 *
 * Directories are opened from open ones and links never followed, so nothing outside is counted. A tree so deep
 * that it would use up our descriptors is left unread below MAX_DEPTH, and counted as though it were full: no
 * honest build has one. A directory that the build has closed even to its owner, who we are, is opened while it is
 * counted.
 */
#include "disk_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 200
#define BLOCK_BYTES 512   /* of st_blocks, stat(2) */

struct count {
    const struct disk_use *enough;
    struct disk_use *found;
    dev_t device;
};

static bool is_enough(const struct count *c)
{
    return c->found->bytes > c->enough->bytes || c->found->files > c->enough->files;
}

static void add(struct count *c, const struct stat *st)
{
    c->found->files++;
    /* a file of several names is counted by its share, so that all of them are the whole */
    c->found->bytes += (uint64_t)st->st_blocks * BLOCK_BYTES / (st->st_nlink > 1 && !S_ISDIR(st->st_mode) ? st->st_nlink : 1);
}

static bool is_closed(mode_t mode)
{
    return (mode & (S_IRUSR | S_IXUSR)) != (S_IRUSR | S_IXUSR);
}

/* `mode` is that of the directory; who closes it gives that back. */
static int open_directory(int at, const char *name, mode_t mode)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const mode_t opened = (mode & ALLPERMS) | S_IRUSR | S_IXUSR;
    int fd = openat(at, name, flags);

    if (fd < 0 && errno == EACCES && fchmodat(at, name, opened, AT_SYMLINK_NOFOLLOW) == 0)
        return openat(at, name, flags);
    if (fd >= 0 && is_closed(mode))
        fchmod(fd, opened);
    return fd;
}

/* Takes `fd`. */
static void add_directory(struct count *c, int fd, mode_t mode, unsigned depth)
{
    struct stat st;
    DIR *dir = fdopendir(fd);

    if (dir == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *entry; !is_enough(c) && (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        add(c, &st);
        if (!S_ISDIR(st.st_mode))
            continue;
        int below = open_directory(fd, entry->d_name, st.st_mode);
        if (below >= 0 && depth < MAX_DEPTH)
            add_directory(c, below, st.st_mode, depth + 1);
        else if (below >= 0) {
            close(below);
            c->found->files = c->enough->files + 1;
        }
    }
    if (is_closed(mode))
        fchmod(fd, mode & ALLPERMS);
    closedir(dir);
}

static void add_removed_file(struct count *c, int fds, const char *name)
{
    struct stat st;
    if (fstatat(fds, name, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0 && st.st_dev == c->device)
        c->found->bytes += (uint64_t)st.st_blocks * BLOCK_BYTES;
}

/* What has no name any more fills the disk all the same. Several processes may hold the same: then it counts for
 * each, so the sum may be too high, never too low. */
static void add_removed(struct count *c, pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        c->found->unseen = c->found->unseen || errno == EACCES;
        return;
    }
    for (struct dirent *entry; !is_enough(c) && (entry = readdir(dir)) != NULL;)
        add_removed_file(c, dirfd(dir), entry->d_name);
    closedir(dir);
}

void disk_use(const char *dir, const pid_t *pids, size_t pid_count, const struct disk_use *enough,
              struct disk_use *found)
{
    struct count c = {.enough = enough, .found = found};
    struct stat st;
    int fd = lstat(dir, &st) == 0 ? open_directory(AT_FDCWD, dir, st.st_mode) : -1;

    *found = (struct disk_use){0};
    if (fd < 0)
        return;
    c.device = st.st_dev;
    add_directory(&c, fd, st.st_mode, 0);
    for (size_t i = 0; i < pid_count && !is_enough(&c); i++)
        add_removed(&c, pids[i]);
}
