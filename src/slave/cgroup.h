/*
 * Control groups for builds (cgroups(7), version 2), where the slave has been given some: under systemd with
 * Delegate=yes. Then the kernel itself adds up what all processes of a build use, and ends them all at once.
 */
#ifndef SLAVE_CGROUP_H
#define SLAVE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "build_limits.h"

struct cgroup {          /* the slave's own, below which builds get theirs */
    char *dir;           /* NULL: none was given to us */
};

/* Takes what `own` ("0::/system.slice/piwheels.service", a line of /proc/self/cgroup) names below `mount`, if it is
 * ours and has the controllers for memory and processes: we move into a leaf of it ourselves, as the kernel demands.
 * Without one `dir` stays NULL, which is no error. Blocks. */
void cgroup_open(struct cgroup *g, const char *mount, const char *own);
void cgroup_close(struct cgroup *g);

/* The same with what /proc says of this process. */
void cgroup_open_own(struct cgroup *g);

/* A group for one build, with its limits; free the path, NULL when it could not be made. */
char *cgroup_make(const struct cgroup *g, const char *name, const struct limits *l);

struct cgroup_use {
    int64_t peak_bytes, cpu_ms;
    bool memory_passed, processes_passed;   /* a limit was met */
};

/* What it has used; what the kernel does not tell is 0. Reads four small files. */
void cgroup_read(const char *path, struct cgroup_use *u);

/* Ends whatever is left in it, and removes it. */
void cgroup_remove(const char *path);

#endif
