/*
 * A receipt from its beginning, when the farm hands out an attempt, to its end, and what may become of it in between. What
 * comes in goes through receipt.c, and all leaves through record.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "receipt.h"

static void on_log_written(struct stream *s)
{
    struct receipt *r = container_of(s, struct receipt, log);
    if (r->events && !stream_full(s))
        r->events->relieved(r->owner);
    if (r->doomed && stream_idle(s))
        receipt_free(r);
}

struct receipt *receipt_new(struct files *f, const struct db_attempt *attempt, struct db_target_set *targets,
                            const struct files_events *events, void *owner)
{
    struct receipt *r = mem_new(1, sizeof *r);
    char path[512];
    r->files = f;
    r->number = ++f->receipts_made;
    r->attempt = (struct receipt_attempt){
        .attempt = attempt->attempt, .target = attempt->target, .package = mem_text(attempt->package),
        .version = mem_text(attempt->version), .uploaded_ms = attempt->uploaded_ms, .handed_out = attempt->handed_out,
        .has_override = attempt->has_override,
    };
    memcpy(r->attempt.override_sha256, attempt->override_sha256, SHA256_SIZE);
    r->known = db_target_set_hold(targets);
    r->targets = &targets->targets;
    r->events = events;
    r->owner = owner;
    snprintf(path, sizeof path, "%s/%lld-%llu.log", f->staging, (long long)attempt->attempt,
             (unsigned long long)r->number);
    stream_init(&r->log, path, on_log_written);
    r->next = f->receipts;
    if (r->next)
        r->next->prev = r;
    f->receipts = r;
    return r;
}

void receipt_start(struct receipt *r, const char *name, const struct task_step *steps,
                   void (*cancel)(struct task *t), void (*finished)(struct task *t))
{
    memset(&r->task, 0, sizeof r->task);
    r->task.name = name;
    r->task.steps = steps;
    r->task.finished = finished;
    r->task.cancel = cancel;
    task_start(r->files->loop, &r->task);
}

void receipt_describe(struct receipt *r, const char *text)
{
    free(r->detail);
    r->end.detail = r->detail = text_clean(text, strlen(text), FILES_DETAIL_BYTES);
}

void receipt_fail(struct receipt *r, const char *outcome, const char *reason, const char *format, ...)
{
    char detail[FILES_DETAIL_BYTES + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    receipt_describe(r, detail);
    text_copy(r->outcome, sizeof r->outcome, outcome);
    text_copy(r->reason, sizeof r->reason, reason);
}

bool receipt_places(const struct receipt_file *f)
{
    return f->verdict == DB_FILE_NEW || f->verdict == DB_FILE_BACK;
}

bool files_being_placed(const struct files *f, const char *public_path)
{
    for (const struct receipt *r = f->receipts; r; r = r->next) {
        for (unsigned i = 0; r->recording && r->verdicts.count > 0 && i < r->file_count; i++) {
            if (receipt_places(&r->files_made[i]) && strcmp(r->files_made[i].public_path, public_path) == 0)
                return true;
        }
    }
    return false;
}

/* Staging is a handful of unlinks: cheap enough for the loop. */
static void remove_staging(struct receipt *r)
{
    if (!stream_in_memory(&r->log))
        unlink(r->log.path);
    for (unsigned i = 0; i < r->file_count; i++) {
        if (!r->files_made[i].placed)
            unlink(r->files_made[i].path);
    }
}

void receipt_free(struct receipt *r)
{
    struct files *f = r->files;
    r->doomed = true;
    if (!stream_idle(&r->log))
        return; /* a thread still writes: on_log_written comes back here */
    crowd_leave(r);
    remove_staging(r);
    stream_release(&r->log);
    free(r->packed_log);
    free(r->record);
    free(r->detail);
    for (unsigned i = 0; i < r->file_count; i++) {
        free(r->files_made[i].public_path);
        if (r->files_made[i].twin)
            continue;
        wheel_release(&r->files_made[i].wheel);
        free(r->files_made[i].path);
        free(r->files_made[i].apt);
    }
    if (r->next)
        r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        f->receipts = r->next;
    db_target_set_release(r->known);
    free(r->reading);
    free(r->files_made);
    free(r->attempt.package);
    free(r->attempt.version);
    free(r);
}
