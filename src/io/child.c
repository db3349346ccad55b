/*
 * A command with everything that it starts, from spawn to the last of its processes. The slave builds
 * with it.
 *
 *     running ──the command ends──────────────────────────────┐
 *        └──child_kill, timeout──▶ SIGTERM ──2 s──▶ SIGKILL ──▶ sweep till nobody is left ─▶ drain ─▶ ended
 *
 * While a command runs, its tree is what descends from its keeper (child_keep.c). When the keeper has ended, what is
 * left of the tree is ours: a child of ours that is no keeper of a command that still runs is nobody's but one's that
 * has ended, and is killed. A sweep looks for them in /proc and reaps the dead; only pids seen there are waited for,
 * so nobody else's children are taken.
 */
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_keep.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/memory.h"
#include "proc.h"

#define KILL_AFTER_MS 2000     /* between SIGTERM and SIGKILL */
#define SWEEP_MS 20            /* between looks at a tree that dies */
#define PASSES 8               /* looks in one sweep: a fork may slip through each */
#define DRAIN_MAX_BYTES (1024 * 1024) /* all that a pipe holds: more has a writer that is out of our reach */

/* Those that have a keeper: who is an orphan cannot be told by one of them alone. */
static struct child *running;

/* -- the end ------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;
    if (--c->open_handles == 0)
        c->ended(c);
}

static void end(struct child *c)
{
    c->wall_ms = clock_steady_ms() - c->started_ms;
    uv_close((uv_handle_t *)&c->died, on_handle_closed);
    uv_close((uv_handle_t *)&c->limit, on_handle_closed);
    uv_close((uv_handle_t *)&c->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
}

/* Gives away what the dead left in the pipe. */
static void drain(struct child *c)
{
    uv_os_fd_t fd;
    size_t drained = 0;
    uv_read_stop((uv_stream_t *)&c->pipe);
    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0)
        return;
    while (drained < DRAIN_MAX_BYTES) {
        ssize_t got = read(fd, c->buffer, sizeof c->buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        c->output(c, c->buffer, (size_t)got);
        drained += (size_t)got;
    }
}

/* -- the tree ------------------------------------------------------------------------------------ */

static void take_off(struct child *c)
{
    struct child **link = &running;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
}

static int64_t time_ms(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000 + t.tv_usec / 1000;
}

/* The keeper has ended, by itself behind its command or by a SIGKILL. */
static void note_end(struct child *c, int status)
{
    struct keep_end end;
    take_off(c);
    c->exited = true;
    if (!keep_read(c->report, &end))
        end = (struct keep_end){.status = WIFSIGNALED(status) ? status : SIGKILL};
    close(c->report);
    if (end.peak_bytes > c->peak_bytes)
        c->peak_bytes = end.peak_bytes;
    c->status = WIFEXITED(end.status) ? WEXITSTATUS(end.status) : -1;
    c->signal = WIFSIGNALED(end.status) ? WTERMSIG(end.status) : 0;
}

/* Reaps one dead child of ours and adds what it used, its own reaped children included. */
static void reap(struct child *c, pid_t pid)
{
    int status;
    struct rusage used;
    if (wait4(pid, &status, WNOHANG, &used) != pid)
        return;
    c->cpu_ms += time_ms(used.ru_utime) + time_ms(used.ru_stime);
    if (pid == c->keeper && !c->exited)
        note_end(c, status);
    else if ((int64_t)used.ru_maxrss * 1024 > c->peak_bytes)
        c->peak_bytes = (int64_t)used.ru_maxrss * 1024;
}

/* Its processes. Free *tree with free(). */
static size_t tree_of(const struct child *c, struct proc **tree)
{
    size_t count = 0, at = 0;
    *tree = NULL;
    if (c->keeper == 0)
        return 0;
    if (!c->exited)
        return proc_tree(&(struct proc_root){.parent = c->keeper, .born = c->born}, tree);
    for (const struct child *other = running; other != NULL; other = other->next)
        count++;
    pid_t *keepers = mem_new(count + 1, sizeof *keepers);
    for (const struct child *other = running; other != NULL; other = other->next)
        keepers[at++] = other->keeper;
    count = proc_tree(&(struct proc_root){getpid(), keepers, count, c->born}, tree);
    free(keepers);
    return count;
}

/* One look: how many were found that can be killed, or reaped. The dead count too: what one of them forked at last may have
 * a number that this look had passed already. Only a look that finds nobody is the end. */
static size_t look(struct child *c, int signal)
{
    struct proc *tree;
    size_t remain = 0, count = tree_of(c, &tree);
    for (size_t i = 0; i < count; i++) {
        if (tree[i].zombie && tree[i].parent == getpid())
            reap(c, tree[i].pid), remain++;
        else if (tree[i].zombie)
            remain++;
        else if (kill(tree[i].pid, signal) == 0 || errno == ESRCH)
            remain++; /* who is another user's now and may not be killed is not waited for */
    }
    free(tree);
    if (signal == SIGKILL && !c->exited)
        kill(c->keeper, SIGKILL);
    return remain;
}

static void on_sweep(uv_timer_t *timer)
{
    struct child *c = timer->data;
    size_t remain = look(c, SIGKILL);
    for (unsigned pass = 1; remain > 0 && pass < PASSES; pass++)
        remain = look(c, SIGKILL);
    if (c->exited && remain == 0) {
        drain(c);
        end(c);
    } else {
        uv_timer_start(&c->sweep, on_sweep, SWEEP_MS, 0);
    }
}

static void on_died(uv_signal_t *handle, int signum)
{
    struct child *c = handle->data;
    if (c->exited)
        return;
    reap(c, c->keeper);
    if (c->exited)
        uv_timer_start(&c->sweep, on_sweep, 0, 0);
}

/* -- time limit and kill ------------------------------------------------------------------------- */

static void on_patience_over(uv_timer_t *timer)
{
    struct child *c = timer->data;
    c->deadly = true;
    on_sweep(&c->sweep);
}

static void ask_to_end(struct child *c)
{
    look(c, SIGTERM);
    uv_timer_start(&c->limit, on_patience_over, KILL_AFTER_MS, 0);
}

static void on_timeout(uv_timer_t *timer)
{
    struct child *c = timer->data;
    if (c->exited || c->killed)
        return;
    c->timed_out = true;
    ask_to_end(c);
}

void child_kill(struct child *c)
{
    if (c->open_handles == 0 || c->keeper == 0 || c->exited || c->killed || c->timed_out)
        return;
    c->killed = true;
    ask_to_end(c);
}

/* -- what it uses -------------------------------------------------------------------------------- */

void child_measure(const struct child *c, int64_t exact_above_bytes, struct child_usage *u)
{
    struct proc *tree;
    unsigned long long ticks = 0;
    int64_t page_bytes = sysconf(_SC_PAGESIZE);
    struct proc keeper;
    size_t count = tree_of(c, &tree);
    *u = (struct child_usage){.pids = mem_new(count + 1, sizeof *u->pids)};
    for (size_t i = 0; i < count; i++) {
        ticks += tree[i].ticks;
        if (tree[i].zombie)
            continue;
        u->pids[u->pid_count++] = tree[i].pid;
        u->processes += tree[i].threads;
        u->memory_bytes += tree[i].pages * page_bytes;
    }
    if (!c->exited && proc_look(c->keeper, &keeper) == 0)
        ticks += keeper.ticks; /* those of the orphans that it has reaped */
    u->cpu_ms = (int64_t)(ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK));
    if (u->memory_bytes > exact_above_bytes) {
        u->memory_bytes = 0;
        for (size_t i = 0; i < count; i++)
            if (!tree[i].zombie)
                u->memory_bytes += proc_memory_bytes(tree[i].pid, tree[i].pages * page_bytes);
    }
    free(tree);
}

void child_usage_release(struct child_usage *u)
{
    free(u->pids);
    u->pids = NULL;
}

/* -- the start ----------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct child *c = handle->data;
    *buffer = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void on_output(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct child *c = stream->data;
    if (got > 0)
        c->output(c, buffer->base, (size_t)got);
    else if (got < 0)
        uv_read_stop(stream); /* the command may live on without it: only the tree's death is the end */
}

static void reset(uv_loop_t *loop, struct child *c)
{
    c->error = c->signal = 0;
    c->status = -1;
    c->timed_out = c->killed = c->exited = c->deadly = false;
    c->wall_ms = c->cpu_ms = c->peak_bytes = 0;
    c->keeper = 0;
    c->started_ms = clock_steady_ms();
    uv_signal_init(loop, &c->died);
    uv_timer_init(loop, &c->limit);
    uv_timer_init(loop, &c->sweep);
    uv_pipe_init(loop, &c->pipe, 0);
    c->died.data = c->limit.data = c->sweep.data = c->pipe.data = c;
    c->open_handles = 4;
}

static int start(struct child *c)
{
    int ends[2];
    struct proc self;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    uv_signal_start(&c->died, on_died, SIGCHLD); /* before there is a child to miss */
    int rc = keep_start(c->argv, c->env, c->cwd, &(struct child_files){ends[1], ends[1], c->pass_fd}, &c->keeper,
                        &c->report);
    close(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        return rc;
    }
    c->born = proc_look(c->keeper, &self) == 0 ? self.born : 0;
    c->next = running;
    running = c;
    uv_pipe_open(&c->pipe, ends[0]);
    uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_output);
    return 0;
}

void child_run(uv_loop_t *loop, struct child *c)
{
    reset(loop, c);
    c->error = FAULT("child_run");
    if (c->error == 0)
        c->error = start(c);
    if (c->error < 0) {
        c->keeper = 0;
        end(c);
    } else if (c->timeout_ms > 0) {
        uv_timer_start(&c->limit, on_timeout, c->timeout_ms, 0);
    }
}
