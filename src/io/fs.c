/*
 * Files that appear whole or not at all. The pages, the logs and the published wheels are written through
 * here, on worker threads; programs look for the control socket here at start.
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
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "core/buf.h"
#include "core/fault.h"
#include "core/memory.h"
#include "fs_private.h"

#define SOCKET_NAME "control.sock"
#define STATE_DIR "/var/lib/piwheels"
#define TEMP_NAME_BYTES 200 /* of the file's name that its temporary name repeats: both must fit NAME_MAX */

/* -- paths --------------------------------------------------------------------------------------- */

/* The directory that holds `path`. 0 or -ENAMETOOLONG. */
static int parent_of(const char *path, char parent[PATH_MAX])
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy)
        return -ENAMETOOLONG;
    strcpy(copy, path);
    strcpy(parent, dirname(copy));
    return 0;
}

static char scratch[PATH_MAX]; /* a setting: where temporary files go; empty: beside what they replace */

void fs_use_scratch(const char *directory)
{
    snprintf(scratch, sizeof scratch, "%s", directory);
}

static bool same_file_system(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev;
}

/* ".NAME.PID.THREAD.tmp" in the scratch directory, or beside `path` if a rename cannot lead from there to here. A
 * thread writes one file at a time, so nobody else has this name; what a crash left under it is overwritten. */
static int temp_of(const char *path, char temp[PATH_MAX])
{
    char parent[PATH_MAX];
    int rc = parent_of(path, parent);
    if (rc < 0)
        return rc;
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    bool apart = scratch[0] != '\0' && same_file_system(scratch, parent);
    int len = snprintf(temp, PATH_MAX, "%s/.%.*s.%d.%d.tmp", apart ? scratch : parent, TEMP_NAME_BYTES, name,
                       (int)getpid(), (int)gettid());
    return len < PATH_MAX ? 0 : -ENAMETOOLONG;
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
    rc = parent_of(path, parent);
    if (rc == 0 && strcmp(parent, path) != 0)
        rc = fs_make_dirs(parent, mode);
    return rc < 0 ? rc : make_dir(path, mode);
}

static int make_parent(const char *path)
{
    char parent[PATH_MAX];
    int rc = parent_of(path, parent);
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

static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    int rc = parent_of(path, parent);
    return rc < 0 ? rc : fs_sync_dir(parent);
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

static bool holds(const char *path, const void *data, size_t len)
{
    char *old;
    size_t old_len;
    struct stat st;
    if (stat(path, &st) < 0 || (size_t)st.st_size != len || fs_read(path, len, &old, &old_len) < 0)
        return false;
    bool same = old_len == len && memcmp(old, data, len) == 0;
    free(old);
    return same;
}

/* -- replacing ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, data, len);
        if (put < 0 && errno != EINTR)
            return -errno;
        if (put > 0) {
            data += put;
            len -= (size_t)put;
        }
    }
    return 0;
}

/* Makes the new file at least a whole second younger than the one at `path`. */
static int outdate(int fd, const char *path)
{
    struct stat old;
    struct timespec now;
    if (lstat(path, &old) < 0)
        return errno == ENOENT ? 0 : -errno;
    clock_gettime(CLOCK_REALTIME, &now);
    struct timespec least = {old.st_mtim.tv_sec + 1, old.st_mtim.tv_nsec};
    bool late = now.tv_sec > least.tv_sec || (now.tv_sec == least.tv_sec && now.tv_nsec >= least.tv_nsec);
    const struct timespec times[2] = {now, late ? now : least};
    return futimens(fd, times) < 0 ? -errno : 0;
}

static int write_temp(const char *temp, const char *path, const void *data, size_t len)
{
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, data, len);
    if (rc == 0 && fchmod(fd, 0644) < 0)
        rc = -errno;
    if (rc == 0)
        rc = outdate(fd, path);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

/* Gives `temp` its real name, or removes it when `rc` or the renaming says that it is not to be. */
static int settle(int rc, const char *temp, const char *path)
{
    if (rc == 0)
        rc = FAULT("fs_replace written");
    if (rc == 0 && rename(temp, path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(temp);
        return rc;
    }
    (void)FAULT("fs_replace renamed");
    return sync_parent(path);
}

int fs_replace(const char *path, const void *data, size_t len, bool keep_same)
{
    char temp[PATH_MAX];
    if (keep_same && holds(path, data, len))
        return 0;
    int rc = FAULT("fs_replace");
    if (rc == 0)
        rc = make_parent(path);
    if (rc == 0)
        rc = temp_of(path, temp);
    if (rc < 0)
        return rc;
    return settle(write_temp(temp, path, data, len), temp, path);
}

int fs_replace_gzip(const char *path, const void *data, size_t len)
{
    z_stream z = {0};
    if (len > UINT_MAX)
        return -EFBIG;
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) /* + 16: a gzip header */
        return -ENOMEM;
    size_t bound = deflateBound(&z, len);
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)len;
    z.next_out = mem_resize(NULL, bound, 1);
    z.avail_out = (uInt)bound;
    Bytef *packed = z.next_out;
    int rc = deflate(&z, Z_FINISH) == Z_STREAM_END ? fs_replace(path, packed, z.total_out, false) : -EIO;
    deflateEnd(&z);
    free(packed);
    return rc;
}

static bool leads_to(const char *path, const char *to)
{
    char now[PATH_MAX];
    ssize_t len = readlink(path, now, sizeof now);
    return len >= 0 && (size_t)len == strlen(to) && memcmp(now, to, (size_t)len) == 0;
}

int fs_replace_link(const char *path, const char *to)
{
    char temp[PATH_MAX];
    struct stat st;
    if (leads_to(path, to))
        return 0;
    if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode))
        return -EEXIST;
    int rc = FAULT("fs_replace_link");
    if (rc == 0)
        rc = make_parent(path);
    if (rc == 0)
        rc = temp_of(path, temp);
    if (rc < 0)
        return rc;
    unlink(temp);
    return settle(symlink(to, temp) < 0 ? -errno : 0, temp, path);
}

int fs_publish(const char *from, const char *to)
{
    int rc = FAULT("fs_publish");
    if (rc == 0 && link(from, to) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    rc = FAULT("fs_publish linked");
    if (rc == 0)
        rc = sync_parent(to);
    if (rc < 0)
        unlink(to);
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
    return errno == ENOENT && parent_of(dir, at) == 0 && strcmp(at, dir) != 0 && is_usable(at);
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
        if (!is_usable(dirs[i]) || (server && fs_make_dirs(dirs[i], 0755) < 0))
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
