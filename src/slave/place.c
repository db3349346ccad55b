/*
 * The slave's directory. slave.c opens it before the loop runs and closes it afterwards, so all of this may
 * block.
 */
#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"

static bool is_own_directory(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid();
}

/* What a slave that was killed left: its lock can be taken. One that has none yet is about to be opened. */
static void remove_dead(const char *path)
{
    char *lock_path = mem_format("%s/lock", path);
    int lock = open(lock_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        fs_remove_tree(path);
    if (lock >= 0)
        close(lock);
    free(lock_path);
}

static void sweep_dead(const char *base)
{
    char prefix[64];
    struct dirent *entry;
    DIR *d = opendir(base);

    snprintf(prefix, sizeof prefix, "piwheels-slave-%u-", (unsigned)getuid());
    while (d != NULL && (entry = readdir(d)) != NULL)
        if (text_starts(entry->d_name, prefix)) {
            char *path = mem_format("%s/%s", base, entry->d_name);
            if (is_own_directory(path))
                remove_dead(path);
            free(path);
        }
    if (d != NULL)
        closedir(d);
}

/* A directory of that name that is ours can only be what a dead slave with our number left. */
static int make_own(char **dir)
{
    const char *base = getenv("TMPDIR");

    if (base == NULL || base[0] != '/')
        base = "/var/tmp";
    sweep_dead(base);
    *dir = mem_format("%s/piwheels-slave-%u-%ld", base, (unsigned)getuid(), (long)getpid());
    if (is_own_directory(*dir))
        fs_remove_tree(*dir);
    return mkdir(*dir, 0700) == 0 ? 0 : -errno;
}

static int make_given(const char *given, char **dir)
{
    int error = fs_make_dirs(given, 0700);
    *dir = error == 0 ? realpath(given, NULL) : NULL;
    if (error == 0 && *dir == NULL)
        error = -errno;
    if (*dir == NULL)
        *dir = mem_text(given);
    return error;
}

static int take_lock(struct place *p)
{
    char *path = mem_format("%s/lock", p->dir);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = p->lock < 0 ? -errno : flock(p->lock, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
    free(path);
    return error;
}

static int sweep(const char *dir)
{
    struct dirent *entry;
    int error = 0;

    DIR *d = opendir(dir);
    if (d == NULL)
        return -errno;
    while (error == 0 && (entry = readdir(d)) != NULL)
        if (text_starts(entry->d_name, "attempt-")) {
            char *path = mem_format("%s/%s", dir, entry->d_name);
            error = fs_remove_tree(path);
            free(path);
        }
    closedir(d);
    return error;
}

int place_open(struct place *p, const char *dir, char *why, size_t why_size)
{
    *p = (struct place){.temporary = dir == NULL, .lock = -1};
    int error = dir == NULL ? make_own(&p->dir) : make_given(dir, &p->dir);
    if (error != 0) {
        snprintf(why, why_size, "cannot make the directory %s: %s", p->dir, strerror(-error));
        goto free_dir;
    }
    error = take_lock(p);
    if (error == -EWOULDBLOCK)
        snprintf(why, why_size, "another slave builds in %s: give each its own directory (--dir)", p->dir);
    else if (error != 0)
        snprintf(why, why_size, "cannot write in %s: %s", p->dir, strerror(-error));
    if (error != 0)
        goto close_lock;
    error = sweep(p->dir);
    if (error == 0)
        return 0;
    snprintf(why, why_size, "cannot remove what an earlier slave left in %s: %s", p->dir, strerror(-error));
close_lock:
    if (p->lock >= 0)
        close(p->lock);
free_dir:
    free(p->dir);
    return error;
}

void place_close(struct place *p)
{
    if (p->temporary)
        fs_remove_tree(p->dir);
    close(p->lock);
    free(p->dir);
}
