/*
 * The room: looks at the directory again and again, reads it when something in it has changed, tells the database what
 * builds want, and keeps what the farm asks for. The master opens it before the farm.
 */
#include "overrides.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/lane.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/task.h"
#include "core/text.h"
#include "python.h"
#include "read.h"

#define SUFFIX ".conf"
#define WANTS_MAX_BYTES (OVERRIDE_MAX_DEBIAN * 128)
#define MARKS_MAX_BYTES (16 * 1024 * 1024)

/* What is known of one package. */
struct entry {
    char package[256];            /* "": of a file that is nobody's, which has a fault */
    struct override *override;    /* the last good one; NULL: it was never right */
    char *fault;                  /* what is wrong with the file now; NULL: nothing */
};

struct set {
    struct entry *items;          /* by package */
    unsigned count;
};

struct overrides {
    struct db *db;
    struct overrides_settings settings;
    void (*changed)(void *owner);
    void *owner;
    struct set now;
    struct task task;
    struct lane_work work;
    bool looking;
    struct db_call call;
    int64_t again;                /* versions that are tried again after it was stored */
    int store_error;              /* -1: what is kept has not been stored yet */
    bool open;                    /* it was stored for the first time: nobody makes jobs before */
    bool confirmed;               /* it was stored once more: a job made meanwhile had not seen it */
    /* of the pool thread while `looking` */
    struct set found;
    char *found_fault;            /* the directory cannot be read */
    uint8_t mark[SHA256_SIZE];    /* of the directory as last read: names, sizes, times */
    bool new_mark;
    void (*closed)(void *owner);
    void *closed_owner;
};

/* ---- sets ---- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->package, ((const struct entry *)b)->package);
}

static struct entry *find(const struct set *set, const char *package)
{
    struct entry key;

    if (set->count == 0)
        return NULL;
    text_copy(key.package, sizeof key.package, package);
    return bsearch(&key, set->items, set->count, sizeof *set->items, compare_entries);
}

static void release(struct set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        override_free(set->items[i].override);
        free(set->items[i].fault);
    }
    free(set->items);
    *set = (struct set){0};
}

/* ---- look: on a pool thread ---- */

static int select_settings(const struct dirent *d)
{
    return d->d_name[0] != '.' && text_ends(d->d_name, SUFFIX);
}

/* In the order of their names; -1 when there is no such directory, or it cannot be read. */
static int list(struct overrides *o, struct dirent ***names)
{
    int count = scandir(o->settings.dir, names, select_settings, alphasort);

    free(o->found_fault);
    o->found_fault = NULL;
    if (count < 0 && errno != ENOENT)
        o->found_fault = mem_format("%s: cannot be read: %s", o->settings.dir, strerror(errno));
    return count;
}

/* What tells that something was changed, without reading it. */
static bool marks_differ(struct overrides *o, struct dirent *const *names, int count)
{
    struct buf marks;
    struct stat st;
    uint8_t mark[SHA256_SIZE];

    buf_init(&marks, MARKS_MAX_BYTES);
    buf_addf(&marks, "%s\n", o->found_fault != NULL ? o->found_fault : "");
    for (int i = 0; i < count; i++) {
        char *path = mem_format("%s/%s", o->settings.dir, names[i]->d_name);
        memset(&st, 0, sizeof st);
        if (stat(path, &st) != 0)
            st.st_size = -errno;
        buf_addf(&marks, "%s %lld %lld %lld.%09ld %lld.%09ld\n", path, (long long)st.st_ino, (long long)st.st_size,
                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
        free(path);
    }
    hash_bytes(marks.data, marks.len, mark);
    buf_release(&marks);
    bool differ = memcmp(mark, o->mark, sizeof mark) != 0;
    memcpy(o->mark, mark, sizeof mark);
    return differ;
}

/* The package whose settings a file has; false, with `why`, when its name is none, or another file is the package's. */
static bool name_package(const struct set *set, const char *file, char package[256], char *why, size_t why_size)
{
    char *name = mem_textn(file, strlen(file) - strlen(SUFFIX));
    bool good = python_name_valid(name) && python_name_normalise(name, package, 256) == 0;

    free(name);
    if (!good) {
        snprintf(why, why_size, "the file is to be named as a package, such as numpy.conf");
        return false;
    }
    for (unsigned i = 0; i < set->count; i++)
        if (strcmp(set->items[i].package, package) == 0) {
            snprintf(why, why_size, "%s has another file already; only one counts", package);
            return false;
        }
    return true;
}

static void read_one(struct set *set, const char *dir, const char *file)
{
    char why[INI_WHY_SIZE], package[256];
    char *path = mem_format("%s/%s", dir, file);
    bool named = name_package(set, file, package, why, sizeof why);
    struct entry *e = &set->items[set->count++];

    if (named) {
        text_copy(e->package, sizeof e->package, package);
        e->override = override_read(path, package, why, sizeof why);
        e->fault = e->override == NULL ? mem_text(why) : NULL;
    } else {
        e->fault = mem_format("%s: %s", path, why);
    }
    free(path);
}

static void look(struct overrides *o)
{
    struct dirent **names = NULL;
    int count = list(o, &names);

    o->new_mark = marks_differ(o, names, count);
    if (o->new_mark && count > 0) {
        o->found.items = mem_new((size_t)count, sizeof *o->found.items);
        for (int i = 0; i < count; i++)
            read_one(&o->found, o->settings.dir, names[i]->d_name);
        qsort(o->found.items, o->found.count, sizeof *o->found.items, compare_entries);
    }
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* ---- take in ---- */

static void tell(const struct entry *e, const struct entry *old)
{
    char hex[SHA256_HEX_SIZE];
    bool good_before = old != NULL && old->override != NULL;

    if (e->package[0] == '\0')
        log_error("overrides", "overrides: %s", e->fault);
    else if (e->fault != NULL)
        log_error("overrides", "overrides: %s (%s)", e->fault,
                  good_before ? "what was right before goes on" : "nothing of the package is built until this is mended");
    else if (!good_before || old->fault != NULL || memcmp(e->override->sha256, old->override->sha256, SHA256_SIZE) != 0)
        log_info("overrides", "overrides: %s has settings of its own (%.12s…)", e->package, hash_hex(e->override->sha256, hex));
}

/* What was found becomes what is; what was right of files that are wrong now is kept. */
static void take_in(struct overrides *o)
{
    if (o->found_fault != NULL) {
        log_error("overrides", "overrides: %s (what was right before goes on)", o->found_fault);
        return;
    }
    for (unsigned i = 0; i < o->found.count; i++) {
        struct entry *e = &o->found.items[i], *old = find(&o->now, e->package);
        tell(e, old);
        if (e->override == NULL && e->package[0] != '\0' && old != NULL) {
            e->override = old->override;
            old->override = NULL;
        }
    }
    for (unsigned i = 0; i < o->now.count; i++)
        if (o->now.items[i].package[0] != '\0' && find(&o->found, o->now.items[i].package) == NULL)
            log_info("overrides", "overrides: %s has no settings of its own any more", o->now.items[i].package);
    release(&o->now);
    o->now = o->found;
    o->found = (struct set){0};
    o->store_error = -1;
}

/* ---- the database ---- */

static void on_stored(struct db_call *c, int error)
{
    struct overrides *o = container_of(c, struct overrides, call);
    bool news = error == 0 && o->store_error != 0;

    o->confirmed = error == 0 && (!news || !o->open);
    o->open = o->open || error == 0;
    o->store_error = error;
    if (error == -EREMOTEIO)
        log_error("overrides", "overrides: the database refused: %s", c->message);
    if (error == 0 && o->again > 0)
        log_info("overrides", "overrides: %lld version%s that failed with other settings: tried again", (long long)o->again,
                 o->again == 1 ? "" : "s");
    if (news)
        o->changed(o->owner);
    task_resume(&o->task);
}

/* A file that was never right wants what no slave has. */
static char *wants_of(const struct entry *e)
{
    struct buf wants;

    buf_init(&wants, WANTS_MAX_BYTES);
    if (e->override != NULL)
        override_wants(e->override, &wants);
    else
        buf_addf(&wants, "!%s", e->fault);
    char *text = buf_take(&wants);
    buf_release(&wants);
    return text;
}

static void send_all(struct overrides *o)
{
    const char **packages = mem_new(o->now.count + 1, sizeof *packages);
    const char **settings = mem_new(o->now.count + 1, sizeof *settings);
    char **wants = mem_new(o->now.count + 1, sizeof *wants);
    char (*hex)[SHA256_HEX_SIZE] = mem_new(o->now.count + 1, sizeof *hex);
    size_t count = 0;

    for (unsigned i = 0; i < o->now.count; i++) {
        const struct entry *e = &o->now.items[i];
        if (e->package[0] == '\0')
            continue;
        packages[count] = e->package;
        settings[count] = e->override != NULL ? hash_hex(e->override->sha256, hex[count]) : "";
        wants[count++] = wants_of(e);
    }
    db_overrides_store(o->db, &o->call, packages, (const char *const *)wants, settings, count, &o->again, on_stored);
    for (size_t i = 0; i < count; i++)
        free(wants[i]);
    free(hex);
    free(wants);
    free(settings);
    free(packages);
}

/* ---- the task ---- */

static void run_look(struct lane_work *w)
{
    look(container_of(w, struct overrides, work));
}

static void on_looked(struct lane_work *w, int status)
{
    struct overrides *o = container_of(w, struct overrides, work);

    o->looking = false;
    if (status != 0)
        o->new_mark = false;
    task_resume(&o->task);
}

static enum step tell_database(struct task *t)
{
    struct overrides *o = container_of(t, struct overrides, task);

    if (o->store_error == 0 && o->confirmed)
        return STEP_NEXT;
    send_all(o);
    return STEP_WAIT;
}

static enum step rest(struct task *t)
{
    return task_pause(t, container_of(t, struct overrides, task)->settings.look_ms);
}

static enum step look_again(struct task *t)
{
    struct overrides *o = container_of(t, struct overrides, task);

    o->looking = true;
    lane_submit(LANE_DISK, &o->work, run_look, on_looked);
    return STEP_WAIT;
}

static enum step take_in_again(struct task *t)
{
    struct overrides *o = container_of(t, struct overrides, task);

    if (o->new_mark)
        take_in(o);
    return STEP_AGAIN;
}

/* The first look is overrides_open's. */
static const struct task_step steps[] = {
    {"tell database", tell_database},
    {"pause", rest},
    {"look", look_again},
    {"take in", take_in_again},
    {NULL, NULL},
};

static void on_cancel(struct task *t)
{
    struct overrides *o = container_of(t, struct overrides, task);

    if (o->looking)
        lane_cancel(&o->work);
    else
        db_cancel(&o->call);
}

static void on_finished(struct task *t)
{
    struct overrides *o = container_of(t, struct overrides, task);
    void (*closed)(void *owner) = o->closed;
    void *owner = o->closed_owner;

    release(&o->now);
    release(&o->found);
    free(o->found_fault);
    free(o);
    closed(owner);
}

struct overrides *overrides_open(uv_loop_t *loop, struct db *db, const struct overrides_settings *settings,
                                 void (*changed)(void *owner), void *owner)
{
    struct overrides *o = mem_new(1, sizeof *o);

    o->db = db;
    o->settings = *settings;
    o->changed = changed;
    o->owner = owner;
    o->store_error = -1;
    look(o);
    take_in(o);
    o->task.name = "overrides";
    o->task.steps = steps;
    o->task.cancel = on_cancel;
    o->task.finished = on_finished;
    task_start(loop, &o->task);
    return o;
}

void overrides_close(struct overrides *o, void (*closed)(void *owner), void *owner)
{
    o->closed = closed;
    o->closed_owner = owner;
    task_cancel(&o->task);
}

void overrides_wake(struct overrides *o)
{
    task_wake(&o->task);
}

const struct override *overrides_find(const struct overrides *o, const char *package)
{
    const struct entry *e = find(&o->now, package);
    return e != NULL ? e->override : NULL;
}
