/*
 * Directories, whole files, and places: used on worker threads, and by programs at start, which look for the control
 * socket here. (How files are replaced is in fs_replace.c, how trees are removed in fs_tree.c.)
 */
#include "io/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fault.h"
#include "core/memory.h"
#include "fs_private.h"

#define SOCKET_NAME "control.sock"
#define STATE_DIR "/var/lib/piwheels"

/* -- paths --------------------------------------------------------------------------------------- */

int fs_parent_of(const char *path, char parent[PATH_MAX])
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy)
        return -ENAMETOOLONG;
    strcpy(copy, path);
    strcpy(parent, dirname(copy));
    return 0;
}

static int make_dir(const char *path, mode_t mode)
{
    struct stat st;
    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fs_make_dirs(const char *path, mode_t mode)
{
    char parent[PATH_MAX];
    int rc = FAULT("fs_make_dirs");
    if (rc == 0)
        rc = make_dir(path, mode);
    if (rc != -ENOENT)
        return rc;
    rc = fs_parent_of(path, parent);
    if (rc == 0 && strcmp(parent, path) != 0)
        rc = fs_make_dirs(parent, mode);
    return rc < 0 ? rc : make_dir(path, mode);
}

int fs_make_parent(const char *path)
{
    char parent[PATH_MAX];
    int rc = fs_parent_of(path, parent);
    return rc < 0 ? rc : fs_make_dirs(parent, 0755);
}

int fs_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* -- moving, removing ---------------------------------------------------------------------------- */

static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    int rc = fs_parent_of(path, parent);
    return rc < 0 ? rc : fs_sync_dir(parent);
}

int fs_rename(const char *from, const char *to)
{
    int rc = rename(from, to) < 0 ? -errno : 0;
    if (rc != -ENOENT || access(from, F_OK) != 0 || fs_make_parent(to) != 0)
        return rc;
    return rename(from, to) == 0 ? 0 : -errno;
}

int fs_move(const char *from, const char *to)
{
    int rc = FAULT("fs_move");
    if (rc == 0)
        rc = fs_make_parent(to);
    if (rc == 0)
        rc = fs_rename(from, to);
    if (rc == -ENOENT && access(to, F_OK) == 0)
        rc = 0;
    if (rc < 0)
        return rc;
    rc = FAULT("fs_move renamed");
    if (rc == 0)
        rc = sync_parent(to);
    if (rc == 0)
        rc = sync_parent(from);
    return rc == -ENOENT ? 0 : rc; /* the directory that it left is gone */
}

int fs_remove(const char *path)
{
    int rc = FAULT("fs_remove");
    if (rc == 0 && unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        rc = -errno;
    return rc;
}

/* -- reading ------------------------------------------------------------------------------------- */

/* Reads until the end, whatever size the file claims: those of /proc claim none. */
static int read_fd(int fd, struct buf *to)
{
    char piece[65536];
    for (;;) {
        ssize_t got = read(fd, piece, sizeof piece);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got > 0 && buf_add(to, piece, (size_t)got) < 0)
            return -EFBIG;
    }
}

int fs_read(const char *path, size_t max, char **data, size_t *len)
{
    struct buf content;
    int rc = FAULT("fs_read");
    if (rc < 0)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    buf_init(&content, max);
    rc = read_fd(fd, &content);
    close(fd);
    if (rc == 0) {
        *len = content.len;
        *data = buf_take(&content);
    }
    buf_release(&content);
    return rc;
}

/* -- places -------------------------------------------------------------------------------------- */

int fs_free(const char *path, uint64_t *bytes, uint64_t *inodes)
{
    struct statvfs st;
    int rc = FAULT("fs_free");
    if (rc < 0)
        return rc;
    if (statvfs(path, &st) < 0)
        return -errno;
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    *inodes = st.f_files == 0 ? UINT64_MAX : st.f_favail; /* btrfs and others count none */
    return 0;
}

/* Whether this directory could be written to, were the missing ones on the way to it made. */
static bool is_usable(const char *dir)
{
    char at[PATH_MAX];
    if (access(dir, W_OK | X_OK) == 0)
        return true;
    return errno == ENOENT && fs_parent_of(dir, at) == 0 && strcmp(at, dir) != 0 && is_usable(at);
}

static bool has_socket(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int socket_in(const char *dir, char *path, size_t size)
{
    int len = snprintf(path, size, "%s/%s", dir, SOCKET_NAME);
    return len >= 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

int fs_control_socket_among(const char *const dirs[], char *path, size_t size, bool server)
{
    for (unsigned i = 0; !server && dirs[i] != NULL; i++)
        if (socket_in(dirs[i], path, size) == 0 && has_socket(path))
            return 0;
    for (unsigned i = 0; dirs[i] != NULL; i++) {
        if (!is_usable(dirs[i]) || (server && fs_make_dirs(dirs[i], i == 0 ? 0755 : 0700) < 0))
            continue;
        int rc = socket_in(dirs[i], path, size);
        return rc < 0 || server ? rc : -ENOENT;
    }
    return socket_in(dirs[0], path, size) < 0 ? -ENAMETOOLONG : server ? -EACCES : -ENOENT;
}

static const char *home(void)
{
    const char *dir = getenv("HOME");
    struct passwd *user = dir == NULL ? getpwuid(getuid()) : NULL;
    return dir != NULL ? dir : user != NULL ? user->pw_dir : "/";
}

void fs_state_file(const char *name, char *path, size_t size)
{
    char of_user[PATH_MAX];
    snprintf(of_user, sizeof of_user, "%s/.local/state/piwheels/%s", home(), name);
    snprintf(path, size, "%s/%s", STATE_DIR, name);
    if (access(path, F_OK) == 0 || (access(of_user, F_OK) < 0 && access(STATE_DIR, W_OK | X_OK) == 0))
        return;
    snprintf(path, size, "%s", of_user);
}

int fs_control_socket(char *path, size_t size, bool server)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char of_session[PATH_MAX], of_user[PATH_MAX];
    const char *dirs[4] = {"/run/piwheels"};
    unsigned count = 1;
    if (runtime != NULL && runtime[0] == '/') {
        snprintf(of_session, sizeof of_session, "%s/piwheels", runtime);
        dirs[count++] = of_session;
    }
    snprintf(of_user, sizeof of_user, "%s/.local/state/piwheels", home());
    dirs[count] = of_user;
    return fs_control_socket_among(dirs, path, size, server);
}
