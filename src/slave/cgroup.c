/*
 * The files of the cgroup file system. slave.c opens the slave's own group, cell.c makes one for each build and
 * begins the command in it.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "io/machine.h"

#define LEAF "slave"

/* ---- files ---- */

static int write_file(const char *dir, const char *name, const char *text)
{
    char *path = mem_format("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), error = 0;
    ssize_t len = (ssize_t)strlen(text);

    if (fd < 0 || write(fd, text, (size_t)len) != len)
        error = -errno;
    if (fd >= 0)
        close(fd);
    free(path);
    return error;
}

static int write_number(const char *dir, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return write_file(dir, name, text);
}

static void read_file(const char *dir, const char *name, char *text, size_t size)
{
    char *path = mem_format("%s/%s", dir, name);
    machine_text(path, text, size);
    free(path);
}

/* The number behind a key at the start of a line, or 0. */
static int64_t number_of(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += line != text;
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            return strtoll(line + len, NULL, 10);
        if (line[0] == '\0')
            break;
    }
    return 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += len)
        if ((at == text || at[-1] == ' ') && strchr(" \n", at[len]) != NULL)
            return true;
    return false;
}

/* ---- the slave's own ---- */

/* A group with processes cannot have groups below it that have controllers: so we make way. */
static int make_way(const char *dir)
{
    char *leaf = mem_format("%s/" LEAF, dir);
    int error = mkdir(leaf, 0755) == 0 || errno == EEXIST ? 0 : -errno;
    if (error == 0)
        error = write_number(leaf, "cgroup.procs", (uint64_t)getpid());
    if (error == 0)
        error = write_file(dir, "cgroup.subtree_control", "+memory +pids");
    free(leaf);
    return error;
}

void cgroup_open(struct cgroup *g, const char *mount, const char *own)
{
    char controllers[512];

    g->dir = NULL;
    if (strncmp(own, "0::/", 4) != 0)
        return;
    char *dir = mem_format("%s%.*s", mount, (int)strcspn(own + 3, "\n"), own + 3);
    read_file(dir, "cgroup.controllers", controllers, sizeof controllers);
    if (access(dir, W_OK) == 0 && has_word(controllers, "memory") && has_word(controllers, "pids")) {
        int error = make_way(dir);
        if (error == 0)
            g->dir = mem_text(dir);
        else
            log_info("slave", "slave: the control group %s cannot be used (%s)", dir, strerror(-error));
    }
    free(dir);
}

void cgroup_open_own(struct cgroup *g)
{
    char text[4096];

    machine_text("/proc/self/cgroup", text, sizeof text);
    const char *own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    cgroup_open(g, "/sys/fs/cgroup", own == NULL ? "" : own + (own[0] == '\n'));
}

void cgroup_close(struct cgroup *g)
{
    free(g->dir);
    g->dir = NULL;
}

/* ---- a build's ---- */

char *cgroup_make(const struct cgroup *g, const char *name, const struct limits *l)
{
    char *path = mem_format("%s/%s", g->dir, name);

    rmdir(path); /* of a slave that was killed: its counters would be taken for this build's */
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        log_warning("slave", "slave: cannot make the control group %s: %s", path, strerror(errno));
        free(path);
        return NULL;
    }
    int error = write_number(path, "memory.max", l->memory_bytes);
    if (error == 0)
        error = write_number(path, "pids.max", l->processes);
    if (error == 0)
        error = write_file(path, "memory.oom.group", "1");
    write_file(path, "memory.swap.max", "0"); /* not there without swap */
    if (error == 0)
        return path;
    log_warning("slave", "slave: cannot limit the control group %s: %s", path, strerror(-error));
    rmdir(path);
    free(path);
    return NULL;
}

void cgroup_read(const char *path, struct cgroup_use *u)
{
    char text[4096];

    *u = (struct cgroup_use){0};
    read_file(path, "memory.peak", text, sizeof text);
    u->peak_bytes = strtoll(text, NULL, 10);
    read_file(path, "memory.events", text, sizeof text);
    u->memory_passed = number_of(text, "oom") > 0 && number_of(text, "oom_kill") > 0; /* the machine's own want kills, too */
    read_file(path, "pids.events", text, sizeof text);
    u->processes_passed = number_of(text, "max") > 0;
    read_file(path, "cpu.stat", text, sizeof text);
    u->cpu_ms = number_of(text, "usage_usec") / 1000;
}

void cgroup_remove(const char *path)
{
    write_file(path, "cgroup.kill", "1"); /* since Linux 5.14; before, the tree was ended by its processes alone */
    if (rmdir(path) != 0)
        log_warning("slave", "slave: cannot remove the control group %s: %s", path, strerror(errno));
}
