/*
 * Child processes on the loop: one command with everything that it starts.
 *
 * The child gets its own session, /dev/null as stdin (closed to input, so that a prompt ends at
 * once), and one pipe as both stdout and stderr, so that their order is kept. No process of its tree can leave
 * it, a daemonised grandchild neither: when the command itself ends, or is killed, every process that descends
 * from it is killed and reaped before `ended` is called. Several commands may run at once; none's end touches
 * another's processes. All of them run on one loop, in the thread that outlives them.
 */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#define CHILD_PASSED_FD 3

struct child {
    /* set by the owner before child_run; must outlive it */
    const char *const *argv;      /* argv[0] is an absolute path */
    const char *const *env;       /* the whole environment, "NAME=value" */
    const char *cwd;
    int pass_fd;                  /* a descriptor that the command gets as CHILD_PASSED_FD; 0: none */
    uint64_t timeout_ms;          /* 0: none */
    void (*output)(struct child *c, const char *data, size_t len);
    /* Exactly once, never from inside child_run, after the last output. */
    void (*ended)(struct child *c);
    /* the end, to read in `ended` */
    int error;                    /* 0, or -errno when the command could not be started */
    int status;                   /* exit status, or -1 */
    int signal;                   /* that ended it, or 0 */
    bool timed_out, killed;       /* by timeout_ms; by child_kill */
    int64_t wall_ms, cpu_ms;      /* how long it ran; user + system time of the reaped tree */
    int64_t peak_bytes;           /* largest resident size of one of its processes */
    /* private */
    pid_t keeper;                 /* the command's parent, a process of ours; 0 when none was started */
    int report;                   /* where the keeper tells of the end */
    unsigned long long born;      /* its start, in clock ticks since boot: nothing of the tree is older */
    bool exited, deadly;          /* the keeper was reaped; what is left is killed, not asked */
    struct child *next;           /* of those that have a keeper */
    uv_signal_t died;             /* SIGCHLD */
    uv_timer_t limit;             /* timeout_ms, then the 2 s between SIGTERM and SIGKILL */
    uv_timer_t sweep;             /* the next look at the tree */
    uv_pipe_t pipe;
    unsigned open_handles;        /* 0: not running */
    int64_t started_ms;
    char buffer[65536];
};

void child_run(uv_loop_t *loop, struct child *c);

/* SIGTERM to the tree, SIGKILL 2 s later; `ended` follows. Harmless on one that has ended. */
void child_kill(struct child *c);

/* What the living processes of the tree hold now. */
struct child_usage {
    unsigned processes;           /* and threads, as RLIMIT_NPROC counts them */
    int64_t cpu_ms;               /* theirs, and that of the dead whom they have waited for */
    int64_t memory_bytes;         /* resident, what several share counted once; see child_measure */
    pid_t *pids;                  /* of the processes */
    size_t pid_count;
};

/* Looks at /proc. What is shared is told apart only when the plain sum passes `exact_above_bytes`, for that takes
 * time: below, memory_bytes is the sum. Release after. */
void child_measure(const struct child *c, int64_t exact_above_bytes, struct child_usage *u);
void child_usage_release(struct child_usage *u);

/* Runs a short command to its end and collects at most `size` - 1 bytes of its stdout in `out`
 * (NUL-terminated): for start-up only, before the loop runs, for it blocks. Its environment and stderr
 * are ours. Exit status (128 + signal when one ended it), or -errno. */
int child_read(const char *const argv[], char *out, size_t size);

/* The same with an environment, a descriptor as in `pass_fd`, and stderr collected too. */
int child_read_with(const char *const argv[], const char *const env[], int pass_fd, char *out, size_t size);

#endif
