/*
 * Keeps a build within its limits: looks again and again at what all its processes use together, at what it
 * has written and at what it has said, and tells when it is too much.
 */
#ifndef SLAVE_WATCHER_H
#define SLAVE_WATCHER_H

#include <stdint.h>
#include <uv.h>

#include "core/lane.h"
#include "disk_use.h"
#include "io/child.h"
#include "build_limits.h"

struct watcher {
    /* set by the owner before watcher_start; outlive it */
    const struct child *child;
    const struct limits *limits;
    const char *dir;
    /* Once at most, when a limit is passed: which ("memory"), and a sentence. */
    void (*exceeded)(struct watcher *w, const char *which, const char *sentence);
    void (*closed)(struct watcher *w);   /* once, after watcher_stop */
    /* to read */
    int64_t peak_bytes;                  /* the most memory that was seen */
    int64_t cpu_ms;                      /* the most processor time that was seen */
    /* private */
    uv_timer_t timer;
    struct lane_work work;
    struct disk_use use;                 /* as the last look at the directory found it */
    struct child_usage held;             /* whose open files that look takes in */
    uint64_t free_bytes, free_files;     /* of the file system, then */
    uint64_t first_free_bytes;           /* and when the build began */
    int64_t looked_ms, look_took_ms;
    int64_t heard_ms;
    uint64_t said_bytes;
    bool looking, over, stopped, timer_closed;
};

void watcher_start(uv_loop_t *loop, struct watcher *w);
void watcher_heard(struct watcher *w, size_t len);   /* the build printed that much */
void watcher_stop(struct watcher *w);

#endif
