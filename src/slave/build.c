/*
 * A build from top to bottom. attempt.c starts it and is told when it has ended; the log grows meanwhile.
 */
#include "build.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/text.h"
#include "fetch.h"
#include "io/fs.h"

#define REQUIREMENT_MAX_BYTES 1024
#define REFUSED_MAX_BYTES 4096
#define SHELL_SIGNAL 128   /* bwrap tells of a signal as shells do */
#define LOOK_TIMEOUT_MS 120000

static enum step prepare_directory(struct task *t);
static enum step fetch_sdist(struct task *t);
static enum step judge_fetch(struct task *t);
static enum step run_pip(struct task *t);
static enum step read_report(struct task *t);
static enum step judge_pip(struct task *t);
static enum step doubt_verdict(struct task *t);
static enum step look_again(struct task *t);
static enum step judge_look(struct task *t);
static enum step read_wheels(struct task *t);
static enum step find_needs(struct task *t);
static enum step note_needs(struct task *t);

static const struct task_step build_steps[] = {
    {"prepare directory", prepare_directory},
    {"fetch sdist", fetch_sdist},
    {"judge fetch", judge_fetch},
    {"run pip", run_pip},
    {"read report", read_report},
    {"judge pip", judge_pip},
    {"doubt verdict", doubt_verdict},
    {"look again", look_again},
    {"judge look", judge_look},
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

static int write_requirements(const struct build *b)
{
    struct buf line;

    buf_init(&line, REQUIREMENT_MAX_BYTES);
    int error = command_requirement(b->package, b->version, b->sdist_known ? b->sdist_sha256 : NULL, &line);
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
    static const char *const names[] = {"home", "tmp", "shm", "wheels", FETCH_DIR};
    struct build *b = container_of(w, struct build, work);

    b->work_error = fs_remove_tree(b->dir);
    for (size_t i = 0; i < COUNT_OF(names) && b->work_error == 0; i++) {
        char *path = mem_format("%s/%s", b->dir, names[i]);
        b->work_error = fs_make_dirs(path, 0700);
        free(path);
    }
    if (b->work_error == 0)
        b->work_error = write_requirements(b);
    if (b->work_error == 0)
        b->work_error = own_write_constraints(&b->own, b->dir);
}

/* Each line of a text that ends in a newline. */
static void note_lines(struct build *b, struct buf *lines)
{
    char *rest = lines->data, *line;

    while (lines->len > 0 && (line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0')
            build_log_note(&b->log, now_ms(b), "%s", line);
}

static enum step prepare_directory(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    build_log_note(&b->log, now_ms(b), "%s %s for %s on %s", b->package, b->version, b->abi, b->platform);
    note_lines(b, &b->own.told);
    return work(b, LANE_DISK, make_directories);
}

/* ---- in the sandbox ---- */

static void on_output(struct cell *c, const char *data, size_t len)
{
    struct build *b = container_of(c, struct build, cell);
    build_log_add(b->command == COMMAND_LOOK ? &b->look : &b->log, now_ms(b), data, len);
    b->grown(b);
}

/* Once for each place, or a build that tries again and again would fill its log. */
static void on_refused(struct cell *c, const char *place, const char *why)
{
    struct build *b = container_of(c, struct build, cell);
    char line[300];

    snprintf(line, sizeof line, "%s\n", place);
    if (strstr(b->refused.data, line) != NULL || buf_adds(&b->refused, line) != 0)
        return;
    build_log_note(&b->log, now_ms(b), "refused a connection to %s: %s", place, why);
    b->grown(b);
}

static void on_report_closed(struct report *r)
{
    task_resume(&container_of(r, struct build, report)->task);
}

static void on_cell_ended(struct cell *c)
{
    struct build *b = container_of(c, struct build, cell);
    b->cell_running = false;
    if (b->command == COMMAND_BUILD)
        build_log_end(&b->log);
    if (b->command != COMMAND_LOOK) {
        b->wall_ms = c->child.wall_ms;
        b->cpu_ms = c->cpu_ms;
        b->peak_bytes = c->peak_bytes;
    }
    if (b->report.open)
        report_close(&b->report, on_report_closed);
    else
        task_resume(&b->task);
}

/* A build without a report is as good, but for its record. */
static void open_report(struct build *b)
{
    char *path = mem_format("%s/report", b->dir);
    int error = report_open(b->task.timer.loop, &b->report, path);
    if (error != 0)
        build_log_note(&b->log, now_ms(b), "what is installed for the build cannot be reported: %s", strerror(-error));
    free(path);
}

static void forget_command(struct build *b)
{
    words_release(&b->argv);
    words_release(&b->env);
}

/* Runs b->argv, for its end see on_cell_ended. */
static enum step run_in_cell(struct build *b, enum build_command command, enum network network, const struct limits *limits)
{
    b->command = command;
    command_environment(b, network, &b->env);
    b->cell = (struct cell){
        .sandbox = b->place->sandbox, .limits = limits, .cgroup = b->place->cgroup, .env = words_argv(&b->env),
        .what = {.dir = b->dir, .python = b->place->python, .network = network, .argv = words_argv(&b->argv)},
        .index_url = b->index_url, .hosts = b->place->hosts,
        .output = on_output, .refused = on_refused, .ended = on_cell_ended};
    b->cell_running = true;
    cell_run(b->task.timer.loop, &b->cell);
    return STEP_WAIT;
}

static void judge_signal(struct build *b, int number)
{
    if (number == SIGXCPU)
        verdict_set(&b->verdict, "failed", "processor time", "a process of it took more processor time than allowed");
    else
        verdict_set(&b->verdict, "farm", "killed", "its command was ended by signal %d (%s)", number,
                    strsignal(number));
}

/* Whether it was pip, or our own program, that used up the time, and with waiting for the index. */
static bool waited_for_index(const struct build *b)
{
    bool late = strcmp(b->cell.breach, "timeout") == 0 || strcmp(b->cell.breach, "silence") == 0;
    return late && (b->command != COMMAND_BUILD || verdict_waits_for_index(b->log.text.data, b->log.text.len));
}

/* Whether the command ended by itself, well or not: otherwise the verdict is set. */
static bool ended_by_itself(struct build *b)
{
    const struct cell *c = &b->cell;

    if (c->error != 0)
        verdict_set(&b->verdict, "farm", "no sandbox", "cannot begin a build: %s", strerror(-c->error));
    else if (waited_for_index(b))
        verdict_set(&b->verdict, "farm", "network", "the build was ended while pip waited for the index: %s", c->breach_text);
    else if (c->breach[0] != '\0')
        verdict_set(&b->verdict, "failed", c->breach, "the build was ended: %s", c->breach_text);
    else if (c->unboxed)
        verdict_set(&b->verdict, "farm", "no sandbox", "%s", c->breach_text);
    else if (c->child.signal != 0)
        judge_signal(b, c->child.signal);
    else if (c->child.status > SHELL_SIGNAL)
        judge_signal(b, c->child.status - SHELL_SIGNAL);
    return b->verdict.outcome == NULL;
}

/* ---- fetch sdist ---- */

static enum step fetch_sdist(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    const struct fetch fetch = {b->place->python, b->index_url, b->package, b->sdist,
                                b->sdist_known ? b->sdist_sha256 : NULL};

    if (b->work_error == -EINVAL) {
        verdict_set(&b->verdict, "failed", "version", "pip cannot be asked for %s %s", b->package,
                    b->version);
        return STEP_DONE;
    }
    if (b->work_error != 0) {
        verdict_set(&b->verdict, "farm", "disk", "cannot prepare %s: %s", b->dir, strerror(-b->work_error));
        return STEP_DONE;
    }
    if (b->own.network != NETWORK_NONE)
        return STEP_NEXT;
    if (fetch_add_words(&b->argv, &fetch) != 0) {
        verdict_set(&b->verdict, "failed", "no sdist", "\"%s\" is no name of a source distribution", b->sdist);
        return STEP_DONE;
    }
    return run_in_cell(b, COMMAND_FETCH, NETWORK_INDEX, &b->limits);
}

static enum step judge_fetch(struct task *t)
{
    struct build *b = container_of(t, struct build, task);

    if (b->command != COMMAND_FETCH)
        return STEP_NEXT;
    forget_command(b);
    if (ended_by_itself(b) && b->cell.child.status != 0)
        fetch_judge(&b->verdict, b->cell.child.status, b->log.text.data, b->log.text.len);
    return b->verdict.outcome == NULL ? STEP_NEXT : STEP_DONE;
}

/* ---- run pip ---- */

static enum step run_pip(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    open_report(b);
    command_build(b, &b->argv);
    return run_in_cell(b, COMMAND_BUILD, b->own.network, &b->limits);
}

/* ---- read report ---- */

static void parse_report(struct lane_work *w)
{
    report_read(&container_of(w, struct build, work)->report);
}

static enum step read_report(struct task *t)
{
    return work(container_of(t, struct build, task), LANE_VERIFY, parse_report);
}

/* ---- judge pip ---- */

static void find_reason(struct lane_work *w)
{
    struct build *b = container_of(w, struct build, work);
    struct buf requirement;

    buf_init(&requirement, REQUIREMENT_MAX_BYTES);
    command_requirement(b->package, b->version, NULL, &requirement);
    verdict_from_log(&b->verdict, b->log.text.data, b->log.text.len, requirement.data);
    buf_release(&requirement);
    if (b->refused.len > 0)
        verdict_blame_refusal(&b->verdict, b->refused.data);
}

static enum step judge_pip(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    if (ended_by_itself(b) && b->cell.child.status != 0)
        return work(b, LANE_VERIFY, find_reason);
    return STEP_NEXT;
}

/* ---- doubt verdict, look again, judge look ---- */

/* An index that does not answer as it should, or only in part, looks to pip like one that has nothing of a project, or not
 * enough. Before that counts as the package's failure, pip looks again and says what it sees. What the build has left behind
 * is removed first. */
static bool is_in_doubt(const struct build *b)
{
    return b->verdict.unfound[0] != '\0' && b->own.network != NETWORK_NONE;
}

static enum step doubt_verdict(struct task *t)
{
    struct build *b = container_of(t, struct build, task);

    if (!is_in_doubt(b))
        return STEP_NEXT;
    build_log_note(&b->log, now_ms(b), "looks again whether the index has %s", b->verdict.unfound);
    return work(b, LANE_DISK, make_directories);
}

static enum step look_again(struct task *t)
{
    struct build *b = container_of(t, struct build, task);

    if (!is_in_doubt(b))
        return STEP_NEXT;
    if (b->work_error != 0) {
        verdict_set(&b->verdict, "farm", "disk", "cannot prepare %s: %s", b->dir, strerror(-b->work_error));
        return STEP_DONE;
    }
    forget_command(b);
    command_look(b, b->verdict.unfound, &b->argv);
    build_log_init(&b->look);
    b->look_limits = b->limits;
    b->look_limits.timeout_ms = LOOK_TIMEOUT_MS;
    b->look_limits.output_bytes = UINT64_MAX;
    return run_in_cell(b, COMMAND_LOOK, b->own.network, &b->look_limits);
}

static enum step judge_look(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    const struct verdict first = b->verdict;

    if (b->command != COMMAND_LOOK)
        return STEP_NEXT;
    build_log_end(&b->look);
    b->verdict.outcome = NULL;
    if (ended_by_itself(b)) {
        b->verdict = first;
        verdict_after_look(&b->verdict, b->log.text.data, b->log.text.len, b->look.text.data, b->look.text.len);
    }
    build_log_release(&b->look); /* the build may be held for long */
    return STEP_DONE;
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
    note_lines(b, &b->needs->told);
    return STEP_NEXT;
}

/* ---- beginning and end ---- */

static void on_cancel(struct task *t)
{
    struct build *b = container_of(t, struct build, task);
    if (b->cell_running)
        cell_kill(&b->cell);
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
    if (b->given_up.outcome != NULL) {
        b->verdict = b->given_up;
        b->file_count = 0;
    }
    if (!b->log.ended)
        build_log_end(&b->log);
    if (v->outcome != NULL && v->reason[0] != '\0')
        build_log_note(&b->log, now_ms(b), "%s (%s): %s", v->outcome, v->reason, v->detail);
    b->ended(b);
}

void build_init(struct build *b, const struct msg_build *m, const struct build_place *place,
                const char *index_url)
{
    *b = (struct build){.place = place, .limits = *place->limits};
    b->package = mem_text(m->package);
    b->version = mem_text(m->version);
    b->abi = mem_text(m->abi);
    b->platform = mem_text(m->platform);
    b->sdist = mem_text(m->sdist);
    b->index_url = mem_text(index_url);
    b->dir = mem_format("%s/attempt-%llu", place->dir, (unsigned long long)m->attempt);
    b->wheels = mem_format("%s/wheels", b->dir);
    own_init(&b->own, m, place->sandbox, &b->limits);
    buf_init(&b->refused, REFUSED_MAX_BYTES);
    b->uploaded_ms = m->uploaded_ms;
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

void build_give_up(struct build *b, const char *reason, const char *detail)
{
    verdict_set(&b->given_up, "farm", reason, "%s", detail);
    build_stop(b);
}

void build_release(struct build *b)
{
    words_release(&b->argv);
    words_release(&b->env);
    buf_release(&b->refused);
    own_release(&b->own);
    free(b->package);
    free(b->version);
    free(b->abi);
    free(b->platform);
    free(b->sdist);
    free(b->index_url);
    free(b->dir);
    free(b->wheels);
    build_log_release(&b->look);
    report_release(&b->report);
    if (b->needs != NULL)
        needs_release(b->needs);
    free(b->needs);
    build_log_release(&b->log);
}
