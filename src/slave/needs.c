/*
 * From sound wheels to the Debian packages that they need: the objects are read, the libraries they name are looked
 * for as the dynamic linker would (libraries.c), and dpkg's database tells whose these are (dpkg.c). Nothing of a
 * wheel is ever run for it: ldd would.
 *
 * What cannot be found out is no failure of the build: the log says so.
 */
#include "needs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/debian.h"
#include "core/memory.h"
#include "dpkg.h"

#define ANSWER_MAX_BYTES (1024 * 1024)
#define TOLD_MAX_BYTES 16384
#define DPKG_TIMEOUT_MS 60000

static const char *const dpkg_env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
static const char *const dpkg_words[] = {"/usr/bin/dpkg-query", "-S"};

static enum step read_objects(struct task *t);
static enum step ask_dpkg(struct task *t);
static enum step name_packages(struct task *t);

static const struct task_step needs_steps[] = {
    {"read objects", read_objects},
    {"ask dpkg", ask_dpkg},
    {"name packages", name_packages},
    {NULL, NULL},
};

/* ---- read objects ---- */

static void find_libraries(struct needs *n, const struct linker *linker, unsigned i)
{
    struct wheel_objects objects;
    char *path = mem_format("%s/%s", n->dir, n->files[i].name);

    n->error = wheel_objects_read(path, &objects, n->why, sizeof n->why);
    if (n->error == 0)
        libraries_find(&objects, linker, &n->libraries[i]);
    wheel_objects_release(&objects);
    free(path);
}

static void list_spellings(struct needs *n)
{
    size_t room = 0;

    for (unsigned i = 0; i < n->file_count; i++)
        room += n->libraries[i].count * DPKG_SPELLINGS;
    n->spellings = mem_new(room + 1, sizeof *n->spellings);
    for (unsigned i = 0; i < n->file_count; i++)
        for (unsigned j = 0; j < n->libraries[i].count; j++)
            if (n->libraries[i].items[j].path != NULL)
                n->spelling_count += dpkg_spellings(n->libraries[i].items[j].path,
                                                    n->spellings + n->spelling_count);
}

/* On a pool thread. */
static void run_read(struct lane_work *w)
{
    struct needs *n = container_of(w, struct needs, work);
    struct linker linker;

    linker_init(&linker, "");
    for (unsigned i = 0; i < n->file_count && n->error == 0; i++)
        find_libraries(n, &linker, i);
    linker_release(&linker);
    list_spellings(n);
}

static void on_work_done(struct lane_work *w, int status)
{
    struct needs *n = container_of(w, struct needs, work);

    n->work_running = false;
    if (status != 0)
        n->error = status;
    task_resume(&n->task);
}

static enum step work(struct needs *n, void (*run)(struct lane_work *w))
{
    n->work_running = true;
    lane_submit(LANE_VERIFY, &n->work, run, on_work_done);
    return STEP_WAIT;
}

static enum step read_objects(struct task *t)
{
    return work(container_of(t, struct needs, task), run_read);
}

/* ---- ask dpkg ---- */

static void on_output(struct child *c, const char *data, size_t len)
{
    buf_add(&container_of(c, struct needs, child)->answer, data, len);
}

static void on_child_ended(struct child *c)
{
    struct needs *n = container_of(c, struct needs, child);

    n->child_running = false;
    task_resume(&n->task);
}

/* All paths in one question: it reads its whole database for each. Those that are nobody's it only complains of. */
static enum step ask_dpkg(struct task *t)
{
    struct needs *n = container_of(t, struct needs, task);

    if (n->spelling_count == 0)
        return STEP_NEXT;
    n->argv = mem_new(COUNT_OF(dpkg_words) + n->spelling_count + 1, sizeof *n->argv);
    memcpy(n->argv, dpkg_words, sizeof dpkg_words);
    for (size_t i = 0; i < n->spelling_count; i++)
        n->argv[COUNT_OF(dpkg_words) + i] = n->spellings[i];
    n->child.argv = n->argv;
    n->child.env = dpkg_env;
    n->child.cwd = "/";
    n->child.timeout_ms = DPKG_TIMEOUT_MS;
    n->child.output = on_output;
    n->child.ended = on_child_ended;
    n->child_running = n->child_asked = true;
    child_run(t->timer.loop, &n->child);
    return STEP_WAIT;
}

/* ---- name packages ---- */

static bool find_owner(const struct needs *n, const char *path, char *name, size_t size)
{
    char *spellings[DPKG_SPELLINGS];
    unsigned count = dpkg_spellings(path, spellings);
    bool found = false;

    for (unsigned i = 0; i < count; i++) {
        found = found || dpkg_owner(n->answer.data, spellings[i], name, size);
        free(spellings[i]);
    }
    return found;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void join(struct buf *to, char (*names)[DEBIAN_NAME_MAX + 1], unsigned count)
{
    qsort(names, count, sizeof *names, compare_names);
    for (unsigned i = 0; i < count; i++)
        if ((i == 0 || strcmp(names[i - 1], names[i]) != 0) &&
            to->len + strlen(names[i]) + 1 <= NEEDS_MAX_BYTES)
            buf_addf(to, "%s\n", names[i]);
}

static void tell(struct needs *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct needs *n, const char *format, ...)
{
    va_list args;
    char line[400];

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_addf(&n->told, "%s%s", n->told.len > 0 ? "\n" : "", line);
}

static void name_of_one(struct needs *n, const struct library *l, char (*names)[DEBIAN_NAME_MAX + 1],
                        unsigned *count)
{
    if (l->path == NULL)
        tell(n, "needs %s, which is nowhere on this machine", l->name);
    else if (!find_owner(n, l->path, names[*count], sizeof *names))
        tell(n, "needs %s (%s), which is of no Debian package", l->name, l->path);
    else
        tell(n, "needs %s (%s) of the package %s", l->name, l->path, names[(*count)++]);
}

/* On a pool thread: dpkg's answer may be long. */
static void run_name(struct lane_work *w)
{
    struct needs *n = container_of(w, struct needs, work);

    for (unsigned i = 0; i < n->file_count; i++) {
        const struct libraries *l = &n->libraries[i];
        char (*names)[DEBIAN_NAME_MAX + 1] = mem_new(l->count + 1, sizeof *names);
        unsigned count = 0;

        for (unsigned j = 0; j < l->count; j++)
            name_of_one(n, &l->items[j], names, &count);
        join(&n->apt[i], names, count);
        if (l->too_many)
            tell(n, "%s needs more libraries than are followed", n->files[i].name);
        free(names);
    }
}

static enum step name_packages(struct task *t)
{
    struct needs *n = container_of(t, struct needs, task);

    if (n->error != 0)
        tell(n, "what the wheels need could not be read: %s", n->why[0] != '\0' ? n->why : strerror(-n->error));
    else if (n->child.error != 0)
        tell(n, "which packages have the libraries needed is not known: cannot run %s: %s", dpkg_words[0],
             strerror(-n->child.error));
    else if (n->child_asked && (n->child.status < 0 || n->child.status > 1))
        tell(n, "which packages have the libraries needed is not known: %s failed", dpkg_words[0]);
    else
        return work(n, run_name);
    return STEP_DONE;
}

/* ---- beginning and end ---- */

static void on_cancel(struct task *t)
{
    struct needs *n = container_of(t, struct needs, task);

    if (n->child_running)
        child_kill(&n->child);
    if (n->work_running)
        lane_cancel(&n->work);
}

static void on_finished(struct task *t)
{
    struct needs *n = container_of(t, struct needs, task);
    n->ended(n);
}

void needs_start(uv_loop_t *loop, struct needs *n)
{
    for (unsigned i = 0; i < BUILD_MAX_FILES; i++)
        buf_init(&n->apt[i], NEEDS_MAX_BYTES);
    buf_init(&n->told, TOLD_MAX_BYTES);
    buf_init(&n->answer, ANSWER_MAX_BYTES);
    n->task.name = "needs";
    n->task.steps = needs_steps;
    n->task.cancel = on_cancel;
    n->task.finished = on_finished;
    task_start(loop, &n->task);
}

void needs_stop(struct needs *n)
{
    task_cancel(&n->task);
}

void needs_release(struct needs *n)
{
    for (unsigned i = 0; i < BUILD_MAX_FILES; i++) {
        buf_release(&n->apt[i]);
        libraries_release(&n->libraries[i]);
    }
    for (size_t i = 0; i < n->spelling_count; i++)
        free(n->spellings[i]);
    free(n->spellings);
    free(n->argv);
    buf_release(&n->told);
    buf_release(&n->answer);
}
