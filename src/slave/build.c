/*
 * A build from top to bottom. attempt.c starts it and is told when it has ended; the log grows meanwhile.
 */
#include "build.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "machine.h"
#include "python.h"

#define REQUIREMENT_MAX_BYTES 1024

static enum step prepare_directory(struct task *t);
static enum step run_pip(struct task *t);
static enum step judge_pip(struct task *t);
static enum step read_wheels(struct task *t);
static enum step find_needs(struct task *t);
static enum step note_needs(struct task *t);

static const struct task_step build_steps[] = {
    {"prepare directory", prepare_directory},
    {"run pip", run_pip},
    {"judge pip", judge_pip},
    {"read wheels", read_wheels},
    {"find needs", find_needs},
    {"note needs", note_needs},
    {NULL, NULL},
};

/* ---- work on other threads ---- */

static void on_work_done(struct lane_work *w, int status)
{
    struct build *b = container_of(w, struct build, work);
    b->work_running = false;
    if (status != 0)
        b->work_error = status;
    task_resume(&b->task);
}

static enum step work(struct build *b, enum lane_id lane, void (*run)(struct lane_work *w))
{
    b->work_error = 0;
    b->work_running = true;
    lane_submit(lane, &b->work, run, on_work_done);
    return STEP_WAIT;
}

/* Since the build began: for the log. */
static int64_t now_ms(const struct build *b)
{
    return clock_steady_ms() - b->started_ms;
}

/* ---- prepare directory ---- */

/* What pip would read as something else than a version: white space, ';', ',', '#', quotes, a leading '-'. */
static bool version_can_be_asked_for(const char *version)
{
    if (!isalnum((unsigned char)version[0]))
        return false;
    for (const char *c = version; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr(".!+_-", *c) == NULL)
            return false;
    return true;
}

int build_requirement(const char *package, const char *version, const uint8_t *sdist_sha256, struct buf *to)
{
    char hex[SHA256_HEX_SIZE];

    if (!python_name_valid(package) || !version_can_be_asked_for(version))
        return -EINVAL;
    buf_addf(to, "%s%s%s", package, python_version_valid(version) ? "==" : "===", version);
    if (sdist_sha256 != NULL)
        buf_addf(to, " --hash=sha256:%s", hash_hex(sdist_sha256, hex));
    return to->full ? -EINVAL : 0;
}

static int write_requirements(const struct build *b)
{
    struct buf line;

    buf_init(&line, REQUIREMENT_MAX_BYTES);
    int error = build_requirement(b->package, b->version, b->sdist_known ? b->sdist_sha256 : NULL, &line);
    buf_addc(&line, '\n');
    char *path = mem_format("%s/requirements.txt", b->dir);
    if (error == 0)
        error = fs_replace(path, line.data, line.len, false);
    free(path);
    buf_release(&line);
    return error;
}

static void make_directories(struct lane_work *w)
{
    static const char *const names[] = {"home", "tmp", "wheels"};
    struct build *b = container_of(w, struct build, work);

    b->work_error = fs_remove_tree(b->dir);
    for (size_t i = 0; i < COUNT_OF(names) && b->work_error == 0; i++) {
        char *path = mem_format("%s/%s", b->dir, names[i]);
        b->work_error = fs_make_dirs(path, 0700);
        free(path);
    }
    if (b->work_error == 0)
        b->work_error = write_requirements(b);
}

static enum step prepare_directory(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    build_log_note(&b->log, now_ms(b), "%s %s for %s on %s", b->package, b->version, b->abi, b->platform);
    return work(b, LANE_DISK, make_directories);
}

/* ---- run pip ---- */

static void on_output(struct child *c, const char *data, size_t len)
{
    struct build *b = container_of(c, struct build, child);
    build_log_add(&b->log, now_ms(b), data, len);
    b->grown(b);
}

static void on_child_ended(struct child *c)
{
    struct build *b = container_of(c, struct build, child);
    b->child_running = false;
    build_log_end(&b->log);
    task_resume(&b->task);
}

/* pip refuses plain http from elsewhere than the loopback unless the host is trusted by name. */
static char *host_of_plain_http(const char *url)
{
    if (!text_starts(url, "http://"))
        return NULL;
    const char *host = url + strlen("http://");
    const char *at = memchr(host, '@', strcspn(host, "/"));
    if (at != NULL)
        host = at + 1;
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    return mem_textn(host, len);
}

/* `-v`, or pip keeps what a build prints for itself unless it fails. `--no-binary` is for this package only: what
 * it requires to be built may come as wheels. */
static void fill_command(struct build *b)
{
    const char *const words[] = {
        b->python, "-m", "pip", "-v", "--isolated", "--no-input", "--disable-pip-version-check",
        "wheel", "--no-deps", "--no-cache-dir", "--use-pep517", "--no-binary", b->package,
        "--index-url", b->index_url, "--wheel-dir", "wheels", "--progress-bar", "off",
        "-r", "requirements.txt",
        b->trusted_host == NULL ? NULL : "--trusted-host", b->trusted_host, NULL};

    static_assert(sizeof words <= sizeof b->argv, "argv holds the command");
    memcpy(b->argv, words, sizeof words);
}

/* From scratch: nothing of the slave's own reaches a build. The pip that installs build requirements has some
 * of its settings from these variables only. */
static void fill_environment(struct build *b)
{
    char *const variables[] = {
        mem_text("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        mem_format("HOME=%s/home", b->dir),
        mem_format("TMPDIR=%s/tmp", b->dir),
        mem_text("LANG=C.UTF-8"),
        mem_text("PIWHEELS_BUILD=1"),
        mem_format("MAKEFLAGS=-j%u", machine_jobs()),
        mem_text("GIT_TERMINAL_PROMPT=0"),
        mem_text("GIT_ASKPASS=/bin/false"),
        mem_text("PIP_CONFIG_FILE=/dev/null"),
        mem_text("PIP_NO_INPUT=1"),
        mem_text("PIP_DISABLE_PIP_VERSION_CHECK=1"),
        mem_text("PIP_NO_CACHE_DIR=1"),
        NULL};

    static_assert(sizeof variables <= sizeof b->env, "env holds the variables");
    memcpy(b->env, variables, sizeof variables);
}

static enum step run_pip(struct task *t)
{
    struct build *b = container_of(t, struct build, task);

    if (b->work_error == -EINVAL) {
        verdict_set(&b->verdict, "failed", "version", "pip cannot be asked for %s %s", b->package,
                    b->version);
        return STEP_DONE;
    }
    if (b->work_error != 0) {
        verdict_set(&b->verdict, "farm", "disk", "cannot prepare %s: %s", b->dir, strerror(-b->work_error));
        return STEP_DONE;
    }
    b->trusted_host = host_of_plain_http(b->index_url);
    fill_command(b);
    fill_environment(b);
    b->child.argv = b->argv;
    b->child.env = (const char *const *)b->env;
    b->child.cwd = b->dir;
    b->child.timeout_ms = b->timeout_ms;
    b->child.output = on_output;
    b->child.ended = on_child_ended;
    b->child_running = true;
    child_run(t->timer.loop, &b->child);
    return STEP_WAIT;
}

/* ---- judge pip ---- */

static void find_reason(struct lane_work *w)
{
    struct build *b = container_of(w, struct build, work);
    struct buf requirement;

    buf_init(&requirement, REQUIREMENT_MAX_BYTES);
    build_requirement(b->package, b->version, NULL, &requirement);
    verdict_from_log(&b->verdict, b->log.text.data, b->log.text.len, requirement.data);
    buf_release(&requirement);
}

static enum step judge_pip(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    const struct child *c = &b->child;
    char span[CLOCK_TEXT_SIZE];

    if (c->error != 0)
        verdict_set(&b->verdict, "farm", "no python", "cannot run %s: %s", b->python, strerror(-c->error));
    else if (c->timed_out)
        verdict_set(&b->verdict, "failed", "timeout", "the build took longer than its time limit of %s",
                    clock_span((int64_t)b->timeout_ms, span));
    else if (c->signal != 0)
        verdict_set(&b->verdict, "farm", "killed", "pip was ended by signal %d (%s)", c->signal,
                    strsignal(c->signal));
    else if (c->status != 0)
        return work(b, LANE_VERIFY, find_reason);
    return STEP_NEXT;
}

/* ---- read wheels ---- */

static void collect(struct lane_work *w)
{
    struct build *b = container_of(w, struct build, work);
    collect_wheels(b->wheels, b->package, b->version, b->files, &b->file_count, &b->verdict);
}

static enum step read_wheels(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    return b->verdict.outcome != NULL ? STEP_DONE : work(b, LANE_VERIFY, collect);
}

/* ---- find needs, note needs ---- */

static void on_needs_ended(struct needs *n)
{
    struct build *b = n->owner;
    b->needs_running = false;
    task_resume(&b->task);
}

static enum step find_needs(struct task *t)
{
    struct build *b = container_of(t, struct build, task);

    if (b->file_count == 0)
        return STEP_DONE;
    b->needs = mem_new(1, sizeof *b->needs);
    b->needs->owner = b;
    b->needs->dir = b->wheels;
    b->needs->files = b->files;
    b->needs->file_count = b->file_count;
    b->needs->ended = on_needs_ended;
    b->needs_running = true;
    needs_start(t->timer.loop, b->needs);
    return STEP_WAIT;
}

static enum step note_needs(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    char *rest = b->needs->told.data, *line;

    while (b->needs->told.len > 0 && (line = strsep(&rest, "\n")) != NULL)
        build_log_note(&b->log, now_ms(b), "%s", line);
    return STEP_NEXT;
}

/* ---- beginning and end ---- */

static void on_cancel(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    if (b->child_running)
        child_kill(&b->child);
    if (b->work_running)
        lane_cancel(&b->work);
    if (b->needs_running)
        needs_stop(b->needs);
}

static void on_finished(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    const struct verdict *v = &b->verdict;

    b->running = false;
    if (!b->log.ended)
        build_log_end(&b->log);
    if (v->outcome != NULL && v->reason[0] != '\0')
        build_log_note(&b->log, now_ms(b), "%s (%s): %s", v->outcome, v->reason, v->detail);
    b->ended(b);
}

void build_init(struct build *b, const struct msg_build *m, const char *slave_dir, const char *python,
                const char *index_url, uint64_t timeout_ms)
{
    *b = (struct build){.python = python};
    b->package = mem_text(m->package);
    b->version = mem_text(m->version);
    b->abi = mem_text(m->abi);
    b->platform = mem_text(m->platform);
    b->index_url = mem_text(index_url);
    b->dir = mem_format("%s/attempt-%llu", slave_dir, (unsigned long long)m->attempt);
    b->wheels = mem_format("%s/wheels", b->dir);
    b->timeout_ms = m->timeout_ms > 0 && m->timeout_ms < timeout_ms ? m->timeout_ms : timeout_ms;
    b->sdist_known = m->sdist_sha256.len == SHA256_SIZE;
    if (b->sdist_known)
        memcpy(b->sdist_sha256, m->sdist_sha256.data, SHA256_SIZE);
    build_log_init(&b->log);
}

void build_start(uv_loop_t *loop, struct build *b)
{
    b->running = true;
    b->started_ms = clock_steady_ms();
    b->task.name = "build";
    b->task.steps = build_steps;
    b->task.cancel = on_cancel;
    b->task.finished = on_finished;
    task_start(loop, &b->task);
}

void build_stop(struct build *b)
{
    if (b->running)
        task_cancel(&b->task);
}

void build_release(struct build *b)
{
    for (unsigned i = 0; b->env[i] != NULL; i++)
        free(b->env[i]);
    free(b->trusted_host);
    free(b->package);
    free(b->version);
    free(b->abi);
    free(b->platform);
    free(b->index_url);
    free(b->dir);
    free(b->wheels);
    if (b->needs != NULL)
        needs_release(b->needs);
    free(b->needs);
    build_log_release(&b->log);
}
