/*
 * One build: a directory of its own, pip in it, and what pip made, read and judged. Knows nothing of the
 * master; attempt.c owns it.
 */
#ifndef SLAVE_BUILD_H
#define SLAVE_BUILD_H

#include <uv.h>

#include "cell.h"
#include "collect.h"
#include "core/hash.h"
#include "core/lane.h"
#include "core/task.h"
#include "io/message.h"
#include "log.h"
#include "needs.h"
#include "own.h"
#include "report.h"
#include "verdict.h"

/* What all builds of a slave share; outlives them. */
struct build_place {
    const char *dir;                  /* the slave's */
    const char *python;
    const char *hosts;                /* that builds may reach besides the index; with commas */
    const struct sandbox *sandbox;
    const struct limits *limits;
    const struct cgroup *cgroup;      /* the slave's own */
    unsigned compilers;               /* that a build should run at once */
};

struct build {
    /* set by build_init */
    const struct build_place *place;
    char *package, *version, *abi, *platform, *sdist, *index_url;
    uint8_t sdist_sha256[SHA256_SIZE];
    bool sdist_known;                 /* its hash is */
    struct limits limits;             /* the place's, or what the master asks for if that is less */
    struct own own;                   /* the package's own settings */
    uint64_t uploaded_ms;             /* when its sdist was, since 1970; 0: not known */
    char *dir, *wheels;               /* "…/attempt-7", "…/attempt-7/wheels" */
    /* set by the owner before build_start */
    void (*grown)(struct build *b);   /* its log has */
    void (*ended)(struct build *b);   /* exactly once, after success, failure and build_stop */
    /* what came of it, to read in `ended`; the log at any time */
    struct verdict verdict;
    struct build_log log;
    int64_t started_ms;               /* steady clock */
    struct build_file files[BUILD_MAX_FILES];
    unsigned file_count;
    struct needs *needs;              /* of the files; NULL where it did not come so far */
    struct report report;             /* what was installed for it */
    int64_t wall_ms, cpu_ms, peak_bytes;  /* of its command */
    bool running;                     /* from build_start until `ended` */
    struct verdict given_up;          /* of build_give_up; else its outcome is NULL */
    /* private */
    struct task task;
    struct lane_work work;
    int work_error;
    bool cell_running, work_running, needs_running;
    enum build_command { COMMAND_NONE, COMMAND_FETCH, COMMAND_BUILD, COMMAND_LOOK } command;  /* in the cell, or the last there */
    struct cell cell;
    struct words argv, env;
    struct build_log look;            /* what COMMAND_LOOK printed */
    struct limits look_limits;        /* the build's, but it is short and may say much */
    struct buf refused;               /* places that the proxy refused, each on a line */
};

/* Copies what it needs of `m`. */
void build_init(struct build *b, const struct msg_build *m, const struct build_place *place,
                const char *index_url);
void build_start(uv_loop_t *loop, struct build *b);

/* Ends it early, with every process; `ended` follows. Harmless on one that has ended. */
void build_stop(struct build *b);

/* The same, as a failure of the farm: `verdict` says so in the end, whatever came of it meanwhile. */
void build_give_up(struct build *b, const char *reason, const char *detail);

/* After `ended`. The directory is the owner's to remove. */
void build_release(struct build *b);

#endif
