/*
 * Ending an attempt: its files become public, or its failure is noted. receipt.c calls it when all that the
 * build brought has been taken in.
 *
 * The order is what makes a crash harmless. Bytes are verified before the database names them ('publishing'); they are
 * on the disk before they get their public name, and have it before the database calls them live; only then does an index
 * mention them. A build's log is in place before its record.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "receipt.h"

#define LEAVE_WAIT_MS 100      /* for a file that leaves the tree, and */
#define LEAVE_WAITS 25         /* as often, which is no longer than the master takes to stop */

static bool is_success(const struct receipt *r)
{
    return strcmp(r->outcome, "success") == 0;
}

static void on_answer(struct db_call *c, int error)
{
    struct receipt *r = container_of(c, struct receipt, call);
    r->work_error = error;
    if (error)
        snprintf(r->why, sizeof r->why, "the database refused: %s", c->message);
    task_resume(&r->task);
}

static void on_worked(struct lane_work *w, int status)
{
    struct receipt *r = container_of(w, struct receipt, work);
    if (status != 0)
        r->work_error = status;
    task_resume(&r->task);
}

/* Fails the task when the step before it did; the first thing every later step says. */
static bool step_failed(struct receipt *r, const char *doing)
{
    if (r->work_error)
        task_fail(&r->task, r->work_error, "%s: %s", doing, r->why[0] ? r->why : strerror(-r->work_error));
    return r->work_error != 0;
}

/* ---- the log ------------------------------------------------------------------------------------- */

static void on_log_ended(struct stream *s)
{
    task_resume(&container_of(s, struct receipt, log)->task);
}

static enum step end_log(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->log_kept || stream_in_memory(&r->log) || r->log.closed)
        return STEP_NEXT;
    stream_end(&r->log, on_log_ended);
    return STEP_WAIT;
}

void files_log_path(const struct files *f, int64_t attempt, char *path, size_t size)
{
    long long id = (long long)attempt;
    snprintf(path, size, "%s/logs/%04lld/%04lld/%04lld.txt.gz", f->output, id / 100000000 % 10000, id / 10000 % 10000,
             id % 10000);
}

/* On a pool thread. */
static void pack_one(struct receipt *r, struct fs_batch *b)
{
    char *text = NULL;
    size_t len = 0;
    if (stream_in_memory(&r->log)) {
        const char *held = stream_held(&r->log, &len);
        r->work_error = fs_batch_pack(b, held, len, &r->packed_log, &r->packed_bytes);
        return;
    }
    r->work_error = r->log.error ? r->log.error : fs_read(r->log.path, FILES_MAX_LOG_BYTES, &text, &len);
    if (r->work_error == 0)
        r->work_error = fs_batch_pack(b, text, len, &r->packed_log, &r->packed_bytes);
    free(text);
}

static const struct bundle_kind packs = {pack_one, NULL};

static enum step pack_log(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    r->work_error = 0;
    r->why[0] = '\0';
    if (r->log_kept || r->packed_log)
        return STEP_NEXT;
    crowd_join(r);
    bundle_join(&r->files->packs, r);
    return STEP_WAIT;
}

/* On a pool thread. */
static void add_log(struct receipt *r, struct fs_batch *b)
{
    char path[512];
    if (r->work_error)
        return;
    files_log_path(r->files, r->attempt.attempt, path, sizeof path);
    fs_batch_replace(b, path, r->packed_log, r->packed_bytes, false, &r->work_error);
}

static const struct bundle_kind logs = {add_log, NULL};

/* Here a thousand of them may wait for the disk, so what was compressed is let go. */
static enum step keep_log(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    crowd_leave(r);
    if (r->log_kept || r->work_error)
        return STEP_NEXT;
    stream_forget(&r->log);
    bundle_join(&r->files->logs, r);
    return STEP_WAIT;
}

static enum step note_kept(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->work_error)
        return STEP_NEXT;
    stream_forget(&r->log);
    r->log_kept = true;
    free(r->packed_log);
    r->packed_log = NULL;
    return STEP_NEXT;
}

/* ---- publishing ---------------------------------------------------------------------------------- */

static json_t *lines_of(const char *text)
{
    json_t *lines = json_array();
    for (size_t len; (len = strcspn(text, "\n")) > 0; text += len + 1)
        json_array_append_new(lines, json_stringn(text, len));
    return lines;
}

static json_t *describe_file(const struct receipt_file *f)
{
    char sha256[SHA256_HEX_SIZE], metadata_sha256[SHA256_HEX_SIZE];
    const struct wheel *w = receipt_wheel(f);
    json_t *requires = json_array();
    for (size_t i = 0; i < w->metadata.requires_dist_count; i++)
        json_array_append_new(requires, json_string(w->metadata.requires_dist[i]));
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:s, s:s, s:b, s:I}", "path", f->public_path, "name", f->name,
                     "size", (json_int_t)f->size_bytes, "sha256", hash_hex(f->sha256, sha256),
                     "metadata_sha256", hash_hex(w->metadata_sha256, metadata_sha256), "requires_python",
                     w->metadata.requires_python ? w->metadata.requires_python : "", "requires", requires,
                     "apt", lines_of(f->apt), "native", f->code.native, "armv6", f->code.armv6, "glibc", f->code.glibc,
                     "glibcxx", f->code.glibcxx, "apart", f->apart, "fits", (json_int_t)f->fits);
}

static enum step announce(struct receipt *r)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < r->file_count; i++)
        json_array_append_new(list, describe_file(&r->files_made[i]));
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    if (!text)
        return task_fail(&r->task, -EBADMSG, "its metadata is not UTF-8");
    db_files_begin(r->files->db, &r->call, r->attempt.attempt, r->targets->digest, text, &r->verdicts, on_answer);
    free(text);
    return STEP_WAIT;
}

static enum step announce_files(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    receipt_add_twins(r);
    receipt_use_last_targets(r);
    return announce(r);
}

/* A target may have come since the slave's first word. */
static enum step read_targets(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (step_failed(r, "announcing the files"))
        return STEP_FAIL;
    if (!receipt_must_be_judged(r))
        return STEP_NEXT;
    r->reading = mem_new(1, sizeof *r->reading);
    db_targets(r->files->db, &r->call, r->reading, on_answer);
    return STEP_WAIT;
}

static enum step judge_again(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (!r->reading)
        return STEP_NEXT;
    if (step_failed(r, "reading the targets"))
        return STEP_FAIL;
    receipt_use_read_targets(r);
    return STEP_AGAIN;
}

/* A name that means another file on another distribution is for its own target's index, and so is its twin. */
static bool set_apart(const struct receipt *r, struct receipt_file *f, enum db_verdict verdict)
{
    bool before = f->apart;
    f->apart = before || verdict == DB_FILE_APART || (f->twin && f->twin->apart);
    if (receipt_place(r, f))
        return f->apart != before;
    f->apart = before; /* it is discarded */
    return false;
}

/* Announces them once more if some had to find another place. */
static enum step find_places(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    bool moved = false;
    if (step_failed(r, "announcing the files"))
        return STEP_FAIL;
    for (unsigned i = 0; i < r->file_count && i < r->verdicts.count; i++)
        moved = set_apart(r, &r->files_made[i], r->verdicts.items[i]) || moved;
    return moved ? announce(r) : STEP_NEXT;
}

/* Announces them once more if the names of some had to change. */
static enum step name_rebuilds(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    bool renamed = false;
    if (step_failed(r, "announcing the files"))
        return STEP_FAIL;
    for (unsigned i = 0; i < r->file_count && i < r->verdicts.count; i++) {
        if (r->verdicts.items[i] == DB_FILE_AGAIN && receipt_tag_name(r, &r->files_made[i], r->verdicts.tags[i]))
            renamed = true;
    }
    return renamed ? announce(r) : STEP_NEXT;
}

/* What stands in the way under the public name may be this very file, from before a crash or a restore. */
static int accept_standing(struct receipt *r, const struct receipt_file *f, const char *path)
{
    uint8_t digest[SHA256_SIZE];
    int error = hash_file(path, digest, NULL);
    if (error || memcmp(digest, f->sha256, SHA256_SIZE) == 0)
        return error;
    snprintf(r->why, sizeof r->why, "%.300s stands there with other bytes, but the database does not know it",
             f->public_path);
    return -EEXIST;
}

/* A twin comes behind the file whose bytes it shares. */
static bool has_twin(const struct receipt *r, unsigned file)
{
    for (unsigned i = file + 1; i < r->file_count; i++) {
        if (r->files_made[i].twin == &r->files_made[file])
            return true;
    }
    return false;
}

/* On a pool thread. The log goes along, for it must be there when the build is recorded; so no build waits twice for the
 * disk. */
static void add_files(struct receipt *r, struct fs_batch *b)
{
    char path[1100], metadata[1200];
    if (receipt_names_are_taken(r))
        return;
    pack_one(r, b);
    add_log(r, b);
    for (unsigned i = 0; i < r->file_count; i++) {
        struct receipt_file *f = &r->files_made[i];
        f->placing = 0;
        if (!receipt_places(f))
            continue;
        receipt_place_path(r, f, path, sizeof path);
        snprintf(metadata, sizeof metadata, "%s.metadata", path);
        fs_batch_replace(b, metadata, receipt_wheel(f)->metadata_bytes, receipt_wheel(f)->metadata_len, true, &f->placing);
        fs_batch_publish(b, f->path, path, has_twin(r, i), &f->placing);
    }
}

/* On a pool thread. */
static void check_placed(struct receipt *r)
{
    char path[1100], metadata[1200];
    for (unsigned i = 0; i < r->file_count && !r->name_taken; i++) {
        struct receipt_file *f = &r->files_made[i];
        if (!receipt_places(f))
            continue;
        receipt_place_path(r, f, path, sizeof path);
        if (f->placing == -EEXIST) {
            unlink(f->path);
            f->placing = accept_standing(r, f, path);
        }
        f->placed = f->placing == 0 && f->verdict == DB_FILE_NEW;
        if (f->placing == 0)
            continue;
        snprintf(metadata, sizeof metadata, "%s.metadata", path);
        if (f->verdict == DB_FILE_NEW)
            unlink(metadata);
        if (r->work_error == 0)
            r->work_error = f->placing;
    }
}

static const struct bundle_kind places = {add_files, check_placed};

/* An earlier file may just be leaving the tree: then its name is free in a moment. */
static enum step read_verdicts(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (step_failed(r, "announcing the files"))
        return STEP_FAIL;
    r->refused = r->verdicts.count == 0;
    if (r->refused)
        return STEP_DONE;
    if (receipt_must_be_judged(r))
        return STEP_AGAIN;
    r->name_leaving = false;
    for (unsigned i = 0; i < r->file_count; i++) {
        r->files_made[i].verdict = i < r->verdicts.count ? r->verdicts.items[i] : DB_FILE_OTHER;
        r->name_leaving = r->name_leaving || r->files_made[i].verdict == DB_FILE_LEAVING;
    }
    if (!r->name_leaving)
        return STEP_NEXT;
    if (++r->waits > LEAVE_WAITS)
        return task_fail(t, -EBUSY, "a withdrawn file of the same name has not left the tree yet");
    files_wake(r->files);
    return task_pause(t, LEAVE_WAIT_MS);
}

static enum step place_files(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->name_leaving)
        return STEP_AGAIN;
    bundle_join(&r->files->places, r);
    return STEP_WAIT;
}

static enum step avoid_taken_names(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (step_failed(r, "placing the files"))
        return STEP_FAIL;
    if (!r->name_taken)
        return STEP_NEXT;
    if (receipt_take_other_names(r))
        return STEP_AGAIN;
    return task_fail(t, -EEXIST, "too many files stand in the tree that the database does not know; look at %s/simple/%s",
                     r->files->output, r->attempt.package);
}

/* What became of the files, in words: the build's detail and the slave's DONE. */
static void describe_outcome(struct receipt *r)
{
    struct buf text;
    buf_init(&text, 16 * 1024);
    for (unsigned i = 0; i < r->file_count; i++) {
        const struct receipt_file *f = &r->files_made[i];
        const char *fate = receipt_places(f)            ? "published"
                           : f->verdict == DB_FILE_SAME ? "was published before with the same bytes"
                                                        : "was published before with other bytes; this one is discarded";
        buf_addf(&text, "%s%s %s", i > 0 ? "; " : "", f->name, fate);
    }
    receipt_describe(r, text.data);
    buf_release(&text);
}

static enum step make_public(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (step_failed(r, "placing the files"))
        return STEP_FAIL;
    uint64_t serves = 0;
    for (unsigned i = 0; i < r->file_count; i++)
        serves |= r->files_made[i].serves | (r->files_made[i].apart ? 0 : r->files_made[i].fits);
    describe_outcome(r);
    db_build_publish(r->files->db, &r->call, &r->end, serves, &r->recorded, on_answer);
    return STEP_WAIT;
}

static enum step check_public(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (step_failed(r, "making the files public"))
        return STEP_FAIL;
    r->refused = !r->recorded;
    return STEP_DONE;
}

static const struct task_step publish_steps[] = {
    {"end log", end_log},
    {"announce files", announce_files},
    {"read targets", read_targets},
    {"judge again", judge_again},
    {"find places", find_places},
    {"name rebuilds", name_rebuilds},
    {"read verdicts", read_verdicts},
    {"place files", place_files},
    {"avoid names that are taken", avoid_taken_names},
    {"note that the log is kept", note_kept},
    {"make public", make_public},
    {"check public", check_public},
    {NULL, NULL},
};

/* ---- failing, and taking back what was begun ------------------------------------------------------- */

/* On a pool thread. */
static void run_take_out(struct lane_work *w)
{
    struct receipt *r = container_of(w, struct receipt, work);
    for (unsigned i = 0; i < r->file_count; i++) {
        if (r->files_made[i].placed)
            files_take_out(r->files, r->files_made[i].public_path);
        r->files_made[i].placed = false;
    }
}

static enum step take_out_files(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    r->work_error = 0;
    r->why[0] = '\0';
    if (r->verdicts.count == 0 && !r->refused)
        return STEP_NEXT;
    lane_submit(LANE_DISK, &r->work, run_take_out, on_worked);
    return STEP_WAIT;
}

static enum step forget_files(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->verdicts.count == 0)
        return STEP_NEXT;
    db_files_forget(r->files->db, &r->call, r->attempt.attempt, on_answer);
    return STEP_WAIT;
}

static enum step note_failure(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->work_error)
        log_error("files", "build %lld: its log could not be kept (%s)", (long long)r->attempt.attempt,
                  r->why[0] ? r->why : strerror(-r->work_error));
    if (r->refused)
        return STEP_DONE;
    db_build_end(r->files->db, &r->call, &r->end, r->files->settings.retry_ms, &r->recorded, on_answer);
    return STEP_WAIT;
}

static enum step check_noted(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (step_failed(r, "noting the failure"))
        return STEP_FAIL;
    r->refused = !r->recorded;
    return STEP_DONE;
}

static const struct task_step failure_steps[] = {
    {"take out files", take_out_files},
    {"forget files", forget_files},
    {"end log", end_log},
    {"pack log", pack_log},
    {"keep log", keep_log},
    {"note that the log is kept", note_kept},
    {"note failure", note_failure},
    {"check noted", check_noted},
    {NULL, NULL},
};

/* ---- the end ------------------------------------------------------------------------------------- */

static const char *subject(const struct receipt *r, char *to, size_t size)
{
    const char *abi = "?";
    for (unsigned i = 0; i < r->targets->count; i++) {
        if (r->targets->items[i].id == r->attempt.target)
            abi = r->targets->items[i].abi;
    }
    snprintf(to, size, "%s %s for %s", r->attempt.package, r->attempt.version, abi);
    return to;
}

static void say(const struct receipt *r)
{
    char what[640], span[CLOCK_TEXT_SIZE];
    subject(r, what, sizeof what);
    clock_span((int64_t)r->end.wall_ms, span);
    if (r->refused)
        log_warning("files", "%s: the result of %s is too late (build %lld is no longer its attempt)", r->slave, what,
                    (long long)r->attempt.attempt);
    else if (is_success(r))
        log_info("files", "%s: built %s in %s (build %lld: %s)", r->slave, what, span, (long long)r->attempt.attempt,
                 r->detail);
    else
        log_info("files", "%s: failed to build %s in %s (build %lld, %s, %s: %s)", r->slave, what, span,
                 (long long)r->attempt.attempt, r->outcome, r->reason, r->detail);
}

static void settle(struct receipt *r, bool good)
{
    struct files *f = r->files;
    const char *text = r->refused ? "too late: the build was given to another or is not wanted any more" : r->detail;
    say(r);
    if (r->events)
        r->events->settled(r->owner, good, text);
    r->events = NULL;
    if (f->published)
        f->published(f->owner);
    receipt_free(r);
    files_wake(f); /* it may have held up a file that leaves */
}

static void on_failure_noted(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (t->error) {
        log_error("files", "build %lld: %s; its lease will run out", (long long)r->attempt.attempt, t->reason);
        r->refused = true;
    }
    settle(r, false);
}

static void on_published(struct task *t)
{
    struct receipt *r = container_of(t, struct receipt, task);
    if (r->recorded) {
        settle(r, true);
        return;
    }
    if (t->error) {
        bool full = t->error == -ENOSPC || t->error == -EDQUOT;
        log_error("files", "build %lld: %s", (long long)r->attempt.attempt, t->reason);
        receipt_fail(r, "farm", full ? "disk" : "master", "%s", t->reason);
    }
    receipt_start(r, "failure", failure_steps, NULL, on_failure_noted);
}

void files_init_bundles(struct files *f)
{
    bundle_init(&f->packs, &packs);
    bundle_init(&f->logs, &logs);
    bundle_init(&f->places, &places);
}

void receipt_record(struct receipt *r)
{
    r->recording = true;
    r->work_error = 0;
    r->why[0] = '\0';
    if (is_success(r))
        receipt_start(r, "publish", publish_steps, NULL, on_published);
    else
        receipt_start(r, "failure", failure_steps, NULL, on_failure_noted);
}
