/*
 * A command with all that surrounds it, as one thing that is begun and ended. build.c runs pip in it.
 *
 *     proxy ─▶ watcher ─▶ the command ──ends, or is ended by a limit──▶ watcher and proxy are closed ─▶ ended
 */
#include "cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/text.h"
#include "inside.h"

/* How the first words begin when the command itself was never run. */
#define NOT_ENTERED "cannot enter the control group "
static const char *const failures[] = {"bwrap: ", "piwheels inside: ", NOT_ENTERED};

/* ---- the end ---- */

static void end_if_closed(struct cell *c)
{
    if (--c->open > 0)
        return;
    words_release(&c->words);
    c->ended(c);
}

static void on_watcher_closed(struct watcher *w)
{
    end_if_closed(container_of(w, struct cell, watcher));
}

static void on_proxy_closed(struct proxy *p)
{
    end_if_closed(container_of(p, struct cell, proxy));
}

static void close_around(struct cell *c)
{
    watcher_stop(&c->watcher);
    if (c->has_proxy)
        proxy_close(&c->proxy);
}

/* Names the limit that the kernel held the build to, where that was its end. */
static void judge_group(struct cell *c, const struct cgroup_use *u)
{
    bool well = c->child.status == 0 && c->child.signal == 0;

    if (well || c->breach[0] != '\0')
        return;
    if (u->memory_passed) {
        text_copy(c->breach, sizeof c->breach, "memory");
        snprintf(c->breach_text, sizeof c->breach_text, "its processes held %.0f MB of memory, the limit",
                 (double)c->limits->memory_bytes / 1e6);
    } else if (u->processes_passed) {
        text_copy(c->breach, sizeof c->breach, "processes");
        snprintf(c->breach_text, sizeof c->breach_text, "it had %llu processes and threads, the limit",
                 (unsigned long long)c->limits->processes);
    }
}

static void leave_group(struct cell *c)
{
    struct cgroup_use use;

    if (c->group == NULL)
        return;
    cgroup_read(c->group, &use);
    judge_group(c, &use);
    c->peak_bytes = use.peak_bytes > 0 ? use.peak_bytes : c->peak_bytes;
    c->cpu_ms = use.cpu_ms > c->cpu_ms ? use.cpu_ms : c->cpu_ms;
    cgroup_remove(c->group);
    free(c->group);
    c->group = NULL;
}

static void on_child_ended(struct child *child)
{
    struct cell *c = container_of(child, struct cell, child);
    char span[CLOCK_TEXT_SIZE];

    if (!child->killed)
        c->breach[0] = '\0'; /* it had ended by itself when the limit was seen to be passed */
    if (child->timed_out) {
        snprintf(c->breach, sizeof c->breach, "timeout");
        snprintf(c->breach_text, sizeof c->breach_text, "it took longer than its time limit of %s",
                 clock_span((int64_t)c->limits->timeout_ms, span));
    }
    c->error = child->error;
    c->cpu_ms = child->cpu_ms > c->watcher.cpu_ms ? child->cpu_ms : c->watcher.cpu_ms;
    c->peak_bytes = child->peak_bytes > c->watcher.peak_bytes ? child->peak_bytes : c->watcher.peak_bytes;
    leave_group(c);
    close_around(c);
}

/* ---- while it runs ---- */

static void on_exceeded(struct watcher *w, const char *which, const char *sentence)
{
    struct cell *c = container_of(w, struct cell, watcher);
    text_copy(c->breach, sizeof c->breach, which);
    text_copy(c->breach_text, sizeof c->breach_text, sentence);
    child_kill(&c->child);
}

static void on_refused(struct proxy *p, const char *place, const char *why)
{
    struct cell *c = container_of(p, struct cell, proxy);
    c->refused(c, place, why);
}

static void look_for_failure(struct cell *c, const char *data, size_t len)
{
    const char *newline = memchr(data, '\n', len);
    char *line = mem_textn(data, newline == NULL ? len : (size_t)(newline - data));

    for (size_t i = 0; i < COUNT_OF(failures); i++)
        c->unboxed = c->unboxed || text_starts(line, failures[i]);
    if (c->unboxed)
        text_copy(c->breach_text, sizeof c->breach_text, line);
    free(line);
}

static void on_output(struct child *child, const char *data, size_t len)
{
    struct cell *c = container_of(child, struct cell, child);

    if (c->said_bytes == 0)
        look_for_failure(c, data, len);
    c->said_bytes += len;
    c->output(c, data, len);
    watcher_heard(&c->watcher, len);
}

void cell_kill(struct cell *c)
{
    child_kill(&c->child);
}

/* ---- the start ---- */

static int open_proxy(uv_loop_t *loop, struct cell *c)
{
    c->has_proxy = sandbox_needs_proxy(c->sandbox, c->what.network);
    if (!c->has_proxy)
        return 0;
    c->open++;
    c->proxy.index_url = c->index_url;
    c->proxy.hosts = c->hosts;
    c->proxy.refused = on_refused;
    c->proxy.closed = on_proxy_closed;
    return proxy_open(loop, &c->proxy, c->what.dir);
}

static void open_watcher(uv_loop_t *loop, struct cell *c)
{
    c->open++;
    c->watcher = (struct watcher){.child = &c->child, .limits = c->limits, .dir = c->what.dir,
                                  .exceeded = on_exceeded, .closed = on_watcher_closed};
    watcher_start(loop, &c->watcher);
}

/* The command enters its group before it becomes bwrap, so that nothing of it is ever outside. */
static void enter_group(struct cell *c)
{
    static const char *const enter[] = {
        "/bin/sh", "-c",
        "{ echo 0 >\"$0\"/cgroup.procs; } 2>/dev/null || { echo \"" NOT_ENTERED "$0\"; exit 1; }; exec \"$@\"", NULL};
    const char *slash = strrchr(c->what.dir, '/');

    if (c->cgroup == NULL || c->cgroup->dir == NULL)
        return;
    c->group = cgroup_make(c->cgroup, slash == NULL ? c->what.dir : slash + 1, c->limits);
    if (c->group == NULL)
        return;
    words_add_all(&c->words, enter);
    words_add(&c->words, c->group);
}

static void run_command(uv_loop_t *loop, struct cell *c)
{
    c->child.argv = words_argv(&c->words);
    c->child.env = c->env;
    c->child.cwd = c->what.dir;
    c->child.timeout_ms = c->limits->timeout_ms;
    c->child.output = on_output;
    c->child.ended = on_child_ended;
    child_run(loop, &c->child);
    if (c->child.pass_fd > 0)
        close(c->child.pass_fd);
}

void cell_run(uv_loop_t *loop, struct cell *c)
{
    c->breach[0] = '\0';
    c->open = 0;
    c->what.limits = c->limits;
    c->error = open_proxy(loop, c);
    open_watcher(loop, c);
    if (c->error == 0)
        enter_group(c);
    if (c->error == 0)
        c->error = sandbox_command(c->sandbox, &c->what, &c->words, &c->child.pass_fd);
    if (c->error == 0)
        run_command(loop, c);
    if (c->error != 0) {
        leave_group(c);
        close_around(c);
    }
}
