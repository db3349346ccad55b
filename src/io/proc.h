/*
 * The processes that descend from another, as /proc(5) shows them. For child.c; private to this room.
 */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
    pid_t pid, parent;
    bool zombie;               /* has ended, waits to be reaped by its parent */
    bool inside;               /* of the tree that is looked for; all that proc_tree gives are */
    unsigned long long born;   /* clock ticks since boot */
    unsigned long long ticks;  /* of processor time: its own, and of the children that it has waited for */
    unsigned threads;
    long pages;                /* resident */
};

/* One process. 0, or -ESRCH. */
int proc_look(pid_t pid, struct proc *p);

/* Which tree. Nothing of it is older than `born`. */
struct proc_root {
    pid_t parent;              /* the descendants of this process, without itself */
    const pid_t *spared;       /* but for these and theirs */
    size_t spared_count;
    unsigned long long born;
};

/* The processes of a tree, parents in no order. Free *tree with free(). */
size_t proc_tree(const struct proc_root *root, struct proc **tree);

/* Resident memory of a process, with what it shares with others only in part its own; what it maps of files,
 * which the kernel can take back, left out. `otherwise` when the kernel does not tell. */
int64_t proc_memory_bytes(pid_t pid, int64_t otherwise);

#endif
