/*
 * The watcher of one build. cell.c starts it with the build's command and stops it behind it; it only tells, the
 * cell kills.
 *
 * What a single process may have is the kernel's to enforce (inside.c); here it is the sum, so that a thousand
 * small processes come no further than one large one. Every LOOK_MS a look at /proc. The directory takes longer
 * to add up, on a worker thread: a look at it is due after DISK_MS, or as soon as the file system has lost what
 * the build may still write, and never for more than a tenth of the time.
 */
#include "watcher.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/memory.h"
#include "io/fs.h"

#define LOOK_MS 250
#define DISK_MS 10000
#define DISK_SHARE 10   /* looks at the directory take at most one in so many parts of the time */

#define MB(bytes) ((double)(bytes) / 1e6)

static void tell(struct watcher *w, const char *which, const char *sentence)
{
    if (w->over || w->stopped)
        return;
    w->over = true;
    w->exceeded(w, which, sentence);
}

/* ---- processes ---- */

static void judge_usage(struct watcher *w, const struct child_usage *u)
{
    const struct limits *l = w->limits;
    char text[160], span[CLOCK_TEXT_SIZE];

    if (u->memory_bytes > (int64_t)l->memory_bytes) {
        snprintf(text, sizeof text, "its processes held %.0f MB of memory; the limit is %.0f MB",
                 MB(u->memory_bytes), MB(l->memory_bytes));
        tell(w, "memory", text);
    } else if (u->processes >= l->processes) {
        snprintf(text, sizeof text, "it had %u processes and threads; the limit is %llu", u->processes,
                 (unsigned long long)l->processes);
        tell(w, "processes", text);
    } else if (u->cpu_ms > (int64_t)l->cpu_ms) {
        snprintf(text, sizeof text, "its processes took more processor time than their limit of %s",
                 clock_span((int64_t)l->cpu_ms, span));
        tell(w, "processor time", text);
    }
}

static void look_at_processes(struct watcher *w)
{
    struct child_usage u;
    int64_t limit = (int64_t)w->limits->memory_bytes;

    child_measure(w->child, w->peak_bytes < limit ? w->peak_bytes : limit, &u);
    if (u.memory_bytes > w->peak_bytes)
        w->peak_bytes = u.memory_bytes;
    if (u.cpu_ms > w->cpu_ms)
        w->cpu_ms = u.cpu_ms;
    judge_usage(w, &u);
    child_usage_release(&u);
}

/* ---- the directory ---- */

/* What is found, or all that the file system has lost since the build began where that does not show all. */
static uint64_t bytes_written(const struct watcher *w)
{
    uint64_t lost = w->free_bytes < w->first_free_bytes ? w->first_free_bytes - w->free_bytes : 0;
    return w->use.unseen && lost > w->use.bytes ? lost : w->use.bytes;
}

static void judge_disk(struct watcher *w)
{
    const struct limits *l = w->limits;
    char text[160];

    if (bytes_written(w) > l->disk_bytes) {
        snprintf(text, sizeof text, "it had written more than its limit of %.0f MB", MB(l->disk_bytes));
        tell(w, "disk", text);
    } else if (w->use.files > l->disk_files) {
        snprintf(text, sizeof text, "it had made more files than its limit of %llu",
                 (unsigned long long)l->disk_files);
        tell(w, "files", text);
    }
}

static void close_if_idle(struct watcher *w)
{
    if (w->stopped && w->timer_closed && !w->looking)
        w->closed(w);
}

static void look_at_disk(struct lane_work *work)
{
    struct watcher *w = container_of(work, struct watcher, work);
    const struct disk_use enough = {w->limits->disk_bytes, w->limits->disk_files};
    disk_use(w->dir, w->held.pids, w->held.pid_count, &enough, &w->use);
}

static void on_disk_seen(struct lane_work *work, int status)
{
    struct watcher *w = container_of(work, struct watcher, work);
    int64_t now_ms = clock_steady_ms();

    w->looking = false;
    w->look_took_ms = now_ms - w->looked_ms;
    w->looked_ms = now_ms;
    child_usage_release(&w->held);
    if (status == 0)
        judge_disk(w);
    close_if_idle(w);
}

/* Whether the file system has lost, since the last look, as much as the build has left. */
static bool may_be_full(const struct watcher *w, uint64_t free_bytes, uint64_t free_files)
{
    uint64_t lost_bytes = free_bytes < w->free_bytes ? w->free_bytes - free_bytes : 0;
    uint64_t lost_files = free_files < w->free_files ? w->free_files - free_files : 0;
    return w->use.bytes + lost_bytes > w->limits->disk_bytes ||
           w->use.files + lost_files > w->limits->disk_files;
}

static void look_at_disk_when_due(struct watcher *w)
{
    uint64_t bytes = 0, files = 0;
    int64_t since_ms = clock_steady_ms() - w->looked_ms;

    if (w->looking || since_ms < w->look_took_ms * (DISK_SHARE - 1) || fs_free(w->dir, &bytes, &files) != 0)
        return;
    if (since_ms < DISK_MS && !may_be_full(w, bytes, files))
        return;
    w->free_bytes = bytes;
    w->free_files = files;
    w->looked_ms = clock_steady_ms();
    w->looking = true;
    child_measure(w->child, INT64_MAX, &w->held);
    lane_submit(LANE_DISK, &w->work, look_at_disk, on_disk_seen);
}

/* ---- what it says ---- */

void watcher_heard(struct watcher *w, size_t len)
{
    char text[160];

    w->heard_ms = clock_steady_ms();
    w->said_bytes += len;
    if (w->said_bytes <= w->limits->output_bytes)
        return;
    snprintf(text, sizeof text, "it had printed more than its limit of %.0f MB", MB(w->limits->output_bytes));
    tell(w, "output", text);
}

static void judge_silence(struct watcher *w)
{
    char text[160], span[CLOCK_TEXT_SIZE];
    int64_t limit_ms = (int64_t)w->limits->silence_ms;

    if (clock_steady_ms() - w->heard_ms < limit_ms)
        return;
    snprintf(text, sizeof text, "it had printed nothing for %s", clock_span(limit_ms, span));
    tell(w, "silence", text);
}

/* ---- beginning and end ---- */

static void on_look(uv_timer_t *timer)
{
    struct watcher *w = container_of(timer, struct watcher, timer);
    look_at_processes(w);
    look_at_disk_when_due(w);
    judge_silence(w);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct watcher *w = container_of((uv_timer_t *)(void *)handle, struct watcher, timer);
    w->timer_closed = true;
    close_if_idle(w);
}

void watcher_start(uv_loop_t *loop, struct watcher *w)
{
    w->looked_ms = w->heard_ms = clock_steady_ms();
    fs_free(w->dir, &w->free_bytes, &w->free_files);
    w->first_free_bytes = w->free_bytes;
    uv_timer_init(loop, &w->timer);
    uv_timer_start(&w->timer, on_look, LOOK_MS, LOOK_MS);
}

void watcher_stop(struct watcher *w)
{
    if (w->stopped)
        return;
    w->stopped = true;
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}
