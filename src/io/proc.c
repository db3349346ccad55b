/*
 * The processes that descend from another. Links to parents are enough to find them all: below a child subreaper
 * (prctl(2)), as child_keep.c and child.c make them, a process whose parent died is the subreaper's child.
 */
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"

int proc_look(pid_t pid, struct proc *p)
{
    char path[64], text[1024], state;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return -ESRCH;
    text[len] = '\0';
    const char *name_end = strrchr(text, ')'); /* the command's name may hold anything, parentheses too */
    if (name_end == NULL)
        return -ESRCH;

    /* Fields 3 and 4, 14 to 17, 20, 22 and 24 of proc(5). */
    *p = (struct proc){.pid = pid};
    unsigned long long ticks[4];
    if (sscanf(name_end + 1,
               " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %llu %llu %*s %*s %u %*s %llu %*s %ld",
               &state, &p->parent, &ticks[0], &ticks[1], &ticks[2], &ticks[3], &p->threads, &p->born,
               &p->pages) != 9)
        return -ESRCH;
    p->ticks = ticks[0] + ticks[1] + ticks[2] + ticks[3];
    p->zombie = state == 'Z' || state == 'X';
    return 0;
}

/* The kB behind a key at the start of a line, or 0. */
static int64_t kilobytes(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at == NULL ? 0 : strtoll(at + strlen(key), NULL, 10);
}

int64_t proc_memory_bytes(pid_t pid, int64_t otherwise)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return otherwise;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return otherwise;
    text[len] = '\0';
    if (strstr(text, "\nPss_Anon:") == NULL)
        return kilobytes(text, "\nPss:") * 1024;
    return (kilobytes(text, "\nPss_Anon:") + kilobytes(text, "\nPss_Shmem:")) * 1024;
}

static size_t look_at_all(struct proc **found)
{
    size_t count = 0, room = 0;
    DIR *dir = opendir("/proc");
    *found = NULL;
    if (dir == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for what is no process */
        if (count == room) {
            room = room * 2 + 64;
            *found = mem_resize(*found, room, sizeof **found);
        }
        if (pid > 0 && proc_look(pid, &(*found)[count]) == 0)
            count++;
    }
    closedir(dir);
    return count;
}

static int by_pid(const void *a, const void *b)
{
    pid_t first = ((const struct proc *)a)->pid, second = ((const struct proc *)b)->pid;
    return (first > second) - (first < second);
}

static bool is_spared(const struct proc_root *root, pid_t pid)
{
    for (size_t i = 0; i < root->spared_count; i++)
        if (root->spared[i] == pid)
            return true;
    return false;
}

static bool has_parent_inside(const struct proc *all, size_t count, const struct proc *p, const struct proc_root *root)
{
    if (p->parent == root->parent)
        return !is_spared(root, p->pid);
    const struct proc wanted = {.pid = p->parent};
    const struct proc *parent = bsearch(&wanted, all, count, sizeof *all, by_pid);
    return parent != NULL && parent->inside;
}

/* Marks those of the tree, until a whole pass finds nobody new. `all` is sorted by pid. */
static void mark_inside(struct proc *all, size_t count, const struct proc_root *root)
{
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            struct proc *p = &all[i];
            if (p->inside || p->born < root->born || !has_parent_inside(all, count, p, root))
                continue;
            p->inside = more = true;
        }
    }
}

size_t proc_tree(const struct proc_root *root, struct proc **tree)
{
    size_t count = look_at_all(tree), kept = 0;
    if (count > 0)
        qsort(*tree, count, sizeof **tree, by_pid);
    mark_inside(*tree, count, root);
    for (size_t i = 0; i < count; i++)
        if ((*tree)[i].inside)
            (*tree)[kept++] = (*tree)[i];
    return kept;
}
