/*
 * Removing a tree that a build made, as deep and as forbidding as it pleases: names are resolved from open
 * directories, links are never followed, and neither descriptors nor the stack grow with the depth.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "io/fs.h"

/* What lies deeper is moved up to the root and removed from there. */
#define MAX_DEPTH 64

struct removal {
    int root;            /* the directory to be removed */
    unsigned moved;      /* directories moved up to it, which also numbers their new names */
    int error;           /* the first: what can be removed is removed all the same */
};

static void note(struct removal *r, int error)
{
    if (r->error == 0 && error != -ENOENT)
        r->error = error;
}

/* Opens a directory, made readable and writable if its owner (us) had forgotten that. */
static int open_dir(int at, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat st;
    int fd = openat(at, name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
        fd = openat(at, name, flags);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
        fchmod(fd, 0700);
    return fd;
}

static void empty_dir(struct removal *r, int fd, unsigned depth);

static void move_up(struct removal *r, int at, const char *name)
{
    char place[64];
    int fd = open_dir(at, name); /* a directory must be writable to be moved */
    if (fd >= 0)
        close(fd);
    do
        snprintf(place, sizeof place, ".deep-%u", r->moved++);
    while (faccessat(r->root, place, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    if (renameat(at, name, r->root, place) < 0)
        note(r, -errno);
}

static void remove_dir(struct removal *r, int at, const char *name, unsigned depth)
{
    if (depth >= MAX_DEPTH) {
        move_up(r, at, name);
        return;
    }
    int fd = open_dir(at, name);
    if (fd < 0) {
        note(r, fd);
        return;
    }
    empty_dir(r, fd, depth);
    if (unlinkat(at, name, AT_REMOVEDIR) < 0)
        note(r, -errno);
}

/* Takes `fd`. */
static void empty_dir(struct removal *r, int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        note(r, -errno);
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(fd, name, 0) == 0)
            continue;
        if (errno == EISDIR)
            remove_dir(r, fd, name, depth + 1);
        else
            note(r, -errno);
    }
    closedir(dir);
}

int fs_remove_tree(const char *path)
{
    int fault = FAULT("fs_remove_tree");
    if (fault < 0)
        return fault;
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -errno;
    struct removal r = {.root = open_dir(AT_FDCWD, path)};
    if (r.root < 0)
        return r.root;
    unsigned before;
    do {
        before = r.moved;
        int fd = openat(r.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            note(&r, -errno);
        else
            empty_dir(&r, fd, 0);
    } while (r.moved > before && r.error == 0);
    close(r.root);
    if (r.error == 0 && rmdir(path) < 0)
        note(&r, -errno);
    return r.error;
}
