/*
 * What the wheels of a build need from the machine they are installed on: a task of its own behind the build's,
 * which build.c starts when the wheels are sound.
 */
#ifndef SLAVE_NEEDS_H
#define SLAVE_NEEDS_H

#include <uv.h>

#include "collect.h"
#include "core/buf.h"
#include "core/lane.h"
#include "core/task.h"
#include "io/child.h"
#include "libraries.h"

#define NEEDS_MAX_BYTES 4096            /* of names a file: "apt" of the message BUILT */

struct needs {
    /* set by the owner before needs_start; must outlive it */
    const char *dir;                    /* of the wheels */
    const struct build_file *files;
    unsigned file_count;
    void *owner;
    void (*ended)(struct needs *n);     /* exactly once, never from inside needs_start */
    /* what came of it, to read in `ended` */
    struct buf apt[BUILD_MAX_FILES];    /* names of Debian packages, each ended by a newline, sorted */
    struct buf told;                    /* lines for the log, without newline at the end; may be empty */
    /* private */
    struct task task;
    struct lane_work work;
    struct child child;
    bool child_running, child_asked, work_running;
    int error;                          /* of the work on a thread */
    char why[512];
    struct libraries libraries[BUILD_MAX_FILES];
    const char **argv;
    char **spellings;                   /* argv's paths, our own */
    size_t spelling_count;
    struct buf answer;                  /* dpkg-query's */
};

void needs_start(uv_loop_t *loop, struct needs *n);
void needs_stop(struct needs *n);       /* `ended` follows */
void needs_release(struct needs *n);    /* harmless on one that was never started */

#endif
