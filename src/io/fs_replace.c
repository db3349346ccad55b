/*
 * Files that appear whole or not at all, one by one or many together. The pages, the logs and the published wheels
 * are written through here, on worker threads.
 *
 * What costs is not writing but making durable: each fsync waits for a commit of the file system's journal. The
 * changes of a batch are all written first, so that one commit serves them all, and each directory is synced once.
 */
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/memory.h"
#include "fs_private.h"

#define TEMP_NAME_BYTES 200 /* of the file's name that its temporary name repeats: both must fit NAME_MAX */
#define GZIP_LEVEL 6
#define SYNC_TOGETHER 4    /* so many files are made durable by one sync of the file system */

static char scratch[PATH_MAX]; /* a setting: where temporary files go; empty: beside what they replace */

void fs_use_scratch(const char *directory)
{
    snprintf(scratch, sizeof scratch, "%s", directory);
}

static bool same_parent(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
    size_t len_a = end_a == NULL ? 0 : (size_t)(end_a - a), len_b = end_b == NULL ? 0 : (size_t)(end_b - b);
    return len_a == len_b && memcmp(a, b, len_a) == 0;
}

/* The directory is looked up but once: most are there, and making it again would keep others waiting. */
static int look_at_parent(const char *path, char parent[PATH_MAX], struct stat *st)
{
    int rc = fs_parent_of(path, parent);
    if (rc < 0 || stat(parent, st) == 0)
        return rc;
    rc = fs_make_dirs(parent, 0755);
    return rc == 0 && stat(parent, st) < 0 ? -errno : rc;
}

static bool scratch_is_on(struct fs_batch *b, dev_t device)
{
    struct stat st;
    if (b->scratch_device == 0 && scratch[0] != '\0' && stat(scratch, &st) == 0)
        b->scratch_device = st.st_dev;
    return b->scratch_device == device;
}

/* ".NAME.PID.THREAD.N.tmp" in the scratch directory, or beside `path` if a rename cannot lead from there to here; makes the
 * directory of `path`. A thread has one batch at a time, and `n` is the change's place in it, so nobody else has this name;
 * what a crash left under it is overwritten. */
static int temp_of(struct fs_batch *b, const char *path, char temp[PATH_MAX])
{
    char parent[PATH_MAX];
    struct stat st;
    int rc = look_at_parent(path, parent, &st);
    if (rc < 0)
        return rc;
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    int len = snprintf(temp, PATH_MAX, "%s/.%.*s.%d.%d.%u.tmp", scratch_is_on(b, st.st_dev) ? scratch : parent, TEMP_NAME_BYTES,
                       name, (int)getpid(), (int)gettid(), b->count);
    return len < PATH_MAX ? 0 : -ENAMETOOLONG;
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

/* Leaves the file open: it is still to be synced. */
static int write_temp(const char *temp, const char *path, const void *data, size_t len, int *fd, struct stat *st)
{
    *fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (*fd < 0)
        return -errno;
    int rc = write_all(*fd, data, len);
    if (rc == 0 && (fstat(*fd, st) < 0 || ((st->st_mode & 07777) != 0644 && fchmod(*fd, 0644) < 0)))
        rc = -errno; /* the umask took too much */
    return rc == 0 ? outdate(*fd, path) : rc;
}

/* -- many changes together ----------------------------------------------------------------------- */

void fs_batch_init(struct fs_batch *b)
{
    memset(b, 0, sizeof *b);
}

static struct fs_change *new_change(struct fs_batch *b, const char *from, const char *to, int fd, dev_t device, int *error)
{
    struct fs_change *c = &b->changes[b->count++];
    *c = (struct fs_change){.from = mem_text(from), .to = mem_text(to), .fd = fd, .device = device, .error = error};
    return c;
}

void fs_batch_replace(struct fs_batch *b, const char *path, const void *data, size_t len, bool keep_same, int *error)
{
    char temp[PATH_MAX];
    struct stat st;
    int fd = -1;
    if (*error != 0 || (keep_same && holds(path, data, len)))
        return;
    if (b->count == FS_BATCH_MAX)
        fs_batch_end(b);
    *error = FAULT("fs_replace");
    if (*error == 0)
        *error = temp_of(b, path, temp);
    if (*error == 0)
        *error = write_temp(temp, path, data, len, &fd, &st);
    if (*error == 0) {
        new_change(b, temp, path, fd, st.st_dev, error);
    } else if (fd >= 0) {
        close(fd);
        unlink(temp);
    }
}

/* One compressor serves the batch: setting one up costs more than a short text. */
int fs_batch_pack(struct fs_batch *b, const void *data, size_t len, char **packed, size_t *packed_len)
{
    if (b->packer == NULL)
        b->packer = libdeflate_alloc_compressor(GZIP_LEVEL);
    if (b->packer == NULL)
        return -ENOMEM;
    size_t bound = libdeflate_gzip_compress_bound(b->packer, len);
    *packed = mem_resize(NULL, bound, 1);
    *packed_len = libdeflate_gzip_compress(b->packer, data, len, *packed, bound);
    *packed = mem_resize(*packed, *packed_len, 1);
    return 0;
}

void fs_batch_gzip(struct fs_batch *b, const char *path, const void *data, size_t len, int *error)
{
    char *packed = NULL;
    size_t packed_len = 0;
    if (*error == 0)
        *error = fs_batch_pack(b, data, len, &packed, &packed_len);
    fs_batch_replace(b, path, packed, packed_len, false, error);
    free(packed);
}

void fs_batch_publish(struct fs_batch *b, const char *from, const char *to, bool stays, int *error)
{
    struct stat st;
    if (*error != 0)
        return;
    if (b->count == FS_BATCH_MAX)
        fs_batch_end(b);
    int fd = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        *error = -errno;
        if (fd >= 0)
            close(fd);
        return;
    }
    struct fs_change *c = new_change(b, from, to, fd, st.st_dev, error);
    c->publishes = true;
    c->stays = stays;
}

static void note(struct fs_change *c, int rc)
{
    if (*c->error == 0)
        *c->error = rc;
    c->failed = c->failed || rc != 0;
}

/* Each sync of a file or directory sends the disk an order to flush its cache, even when one commit of the journal has
 * served them all. For many of them one order for the whole file system is less; for a few it could be more, for others
 * write there too. */
static bool sync_together(int fd, unsigned count, int *error)
{
    if (count < SYNC_TOGETHER)
        return false;
    *error = syncfs(fd) < 0 ? -errno : 0;
    return true;
}

static bool is_open_on(const struct fs_change *c, dev_t device)
{
    return c->fd >= 0 && c->device == device;
}

/* A few files that are synced one after the other need not wait for the disk one after the other. (What is synced together had
 * better leave together: each piece that leaves alone is an order to the disk of its own.) */
static void send_files_on(struct fs_batch *b, unsigned first)
{
    for (unsigned i = first; i < b->count; i++) {
        if (is_open_on(&b->changes[i], b->changes[first].device)) /* a hint: some file systems know it not */
            (void)sync_file_range(b->changes[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
}

/* Nobody may ask for a published file for days: left alone, a day's wheels push out of memory what is asked for all the time.
 * And where memory is a virtual machine's, the pages of the last wheel cost the next one less than any never used before. */
static void let_go_of_cache(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a hint */
}

/* The files that are still open, and on the device. */
static void sync_files_on(struct fs_batch *b, unsigned first)
{
    dev_t device = b->changes[first].device;
    unsigned count = 0;
    int error = 0;
    for (unsigned i = first; i < b->count; i++)
        count += is_open_on(&b->changes[i], device);
    bool together = sync_together(b->changes[first].fd, count, &error);
    if (!together && count > 1)
        send_files_on(b, first);
    for (unsigned i = first; i < b->count; i++) {
        struct fs_change *c = &b->changes[i];
        if (!is_open_on(c, device))
            continue;
        note(c, together ? error : fsync(c->fd) < 0 ? -errno : 0);
        if (c->publishes)
            let_go_of_cache(c->fd);
        note(c, close(c->fd) < 0 ? -errno : 0);
        c->fd = -1;
    }
}

/* Gives the file its real name, or removes it when something says that it is not to be. */
static void rename_change(struct fs_change *c)
{
    c->failed = *c->error != 0;
    if (!c->failed)
        note(c, FAULT("fs_replace written"));
    if (!c->failed)
        note(c, fs_rename(c->from, c->to));
    if (c->failed)
        unlink(c->from);
    else
        (void)FAULT("fs_replace renamed");
}

/* A rename that overwrites nothing touches the directories once; not every file system knows it. */
static int publish(const struct fs_change *c)
{
    if (!c->stays && renameat2(AT_FDCWD, c->from, AT_FDCWD, c->to, RENAME_NOREPLACE) == 0)
        return 0;
    if (!c->stays && errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (link(c->from, c->to) < 0)
        return -errno;
    if (!c->stays)
        unlink(c->from);
    return 0;
}

static void publish_change(struct fs_change *c)
{
    c->failed = *c->error != 0;
    if (!c->failed)
        note(c, FAULT("fs_publish"));
    if (!c->failed)
        note(c, publish(c));
    if (c->failed)
        return;
    note(c, FAULT("fs_publish linked"));
    if (c->failed)
        unlink(c->to);
}

/* How many directories hold what was changed on the device. */
static unsigned count_directories(const struct fs_batch *b, dev_t device)
{
    unsigned count = 0;
    for (unsigned i = 0; i < b->count; i++) {
        bool met = b->changes[i].failed || b->changes[i].device != device;
        for (unsigned j = 0; j < i && !met; j++)
            met = !b->changes[j].failed && same_parent(b->changes[i].to, b->changes[j].to);
        count += !met;
    }
    return count;
}

/* Makes the names durable that lie in the directory of changes[first], or all those on its device. */
static void sync_names(struct fs_batch *b, unsigned first)
{
    struct fs_change *at = &b->changes[first];
    char parent[PATH_MAX];
    int error = fs_parent_of(at->to, parent), fd = -1;
    if (error == 0 && (fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        error = -errno;
    bool together = fd >= 0 && sync_together(fd, count_directories(b, at->device), &error);
    if (fd >= 0 && !together && fsync(fd) < 0)
        error = -errno;
    if (fd >= 0)
        close(fd);
    for (unsigned i = first; i < b->count; i++) {
        struct fs_change *c = &b->changes[i];
        if (c->failed || c->synced || !(together ? c->device == at->device : same_parent(at->to, c->to)))
            continue;
        c->synced = true;
        if (error != 0 && c->publishes)
            unlink(c->to);
        note(c, error);
    }
}

static void forget_changes(struct fs_batch *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        free(b->changes[i].from);
        free(b->changes[i].to);
    }
    b->count = 0;
    if (b->packer != NULL)
        libdeflate_free_compressor(b->packer);
    b->packer = NULL;
}

void fs_batch_end(struct fs_batch *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        if (b->changes[i].fd >= 0)
            sync_files_on(b, i);
    }
    for (unsigned i = 0; i < b->count; i++) {
        if (!b->changes[i].publishes)
            rename_change(&b->changes[i]);
    }
    for (unsigned i = 0; i < b->count; i++) {
        if (b->changes[i].publishes)
            publish_change(&b->changes[i]);
    }
    for (unsigned i = 0; i < b->count; i++) {
        if (!b->changes[i].failed && !b->changes[i].synced)
            sync_names(b, i);
    }
    forget_changes(b);
}

/* -- one change ---------------------------------------------------------------------------------- */

int fs_replace(const char *path, const void *data, size_t len, bool keep_same)
{
    struct fs_batch b;
    int error = 0;
    fs_batch_init(&b);
    fs_batch_replace(&b, path, data, len, keep_same, &error);
    fs_batch_end(&b);
    return error;
}

int fs_replace_gzip(const char *path, const void *data, size_t len)
{
    struct fs_batch b;
    int error = 0;
    fs_batch_init(&b);
    fs_batch_gzip(&b, path, data, len, &error);
    fs_batch_end(&b);
    return error;
}

int fs_publish(const char *from, const char *to)
{
    struct fs_batch b;
    int error = 0;
    fs_batch_init(&b);
    fs_batch_publish(&b, from, to, true, &error);
    fs_batch_end(&b);
    return error;
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
    struct fs_batch b;
    struct stat st;
    if (leads_to(path, to))
        return 0;
    if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode))
        return -EEXIST;
    int rc = FAULT("fs_replace_link");
    fs_batch_init(&b);
    if (rc == 0)
        rc = temp_of(&b, path, temp);
    if (rc < 0)
        return rc;
    unlink(temp);
    if (symlink(to, temp) < 0 || lstat(temp, &st) < 0)
        return -errno;
    new_change(&b, temp, path, -1, st.st_dev, &rc);
    fs_batch_end(&b);
    return rc;
}

