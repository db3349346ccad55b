/*
 * The processes that descend from this one, as /proc(5) shows them. For child.c; private to this room.
 */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct proc {
    pid_t pid, parent;
    bool zombie;               /* has ended, waits to be reaped by its parent */
    bool ours;                 /* descends from us; all that proc_tree gives do */
    unsigned long long born;   /* clock ticks since boot */
};

/* One process. 0, or -ESRCH. */
int proc_look(pid_t pid, struct proc *p);

/* Our descendants that are no older than `born`, parents in no order. Free *tree with free(). */
size_t proc_tree(unsigned long long born, struct proc **tree);

#endif
