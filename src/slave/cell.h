/*
 * One command in the sandbox, within limits, with a proxy to the index if it is to have one: what a build runs.
 */
#ifndef SLAVE_CELL_H
#define SLAVE_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "cgroup.h"
#include "io/child.h"
#include "proxy.h"
#include "sandbox.h"
#include "watcher.h"
#include "words.h"

struct cell {
    /* set by the owner before cell_run; outlive it */
    const struct sandbox *sandbox;
    const struct limits *limits;
    const struct cgroup *cgroup;         /* the slave's */
    struct sandboxed what;               /* but for `limits` */
    const char *const *env;              /* as the command finds it */
    const char *index_url, *hosts;       /* that it may reach */
    void (*output)(struct cell *c, const char *data, size_t len);
    void (*refused)(struct cell *c, const char *place, const char *why); /* by the proxy */
    /* Exactly once, never from inside cell_run, after the last output: no process is left. */
    void (*ended)(struct cell *c);
    /* the end, to read in `ended` */
    struct child child;                  /* how the command ended */
    int error;                           /* 0, or -errno: it was not begun */
    bool unboxed;                        /* the sandbox could not be made, or the command not begun in it */
    char breach[32];                     /* the limit that ended it: "memory"; or "" */
    char breach_text[160];               /* the same as a sentence about the build; or why it is unboxed */
    int64_t peak_bytes, cpu_ms;          /* of all its processes */
    /* private */
    struct words words;
    struct watcher watcher;
    struct proxy proxy;
    bool has_proxy;
    char *group;                         /* its control group, or NULL */
    unsigned open;
    uint64_t said_bytes;
};

void cell_run(uv_loop_t *loop, struct cell *c);

/* Ends it early; `ended` follows. Harmless on one that has ended. */
void cell_kill(struct cell *c);

#endif
