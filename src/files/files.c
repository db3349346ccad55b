/*
 * The room's own life: opening and closing. The master (src/cmd/master.c) opens it before it listens and closes it after the
 * farm.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "receipt.h"

/* Those over a slow line, a second old or more, hold as much memory, but are few. */
static const struct turn_limits transfer_limits = {.at_once = 32, .most = UINT_MAX, .slow_ms = 1000};

static int make_tree(struct files *f, char *why, size_t why_size)
{
    static const char *const dirs[] = {"", "/simple", "/logs", "/.staging", "/.withheld"}; /* the last two are not served */
    char path[512];
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        snprintf(path, sizeof path, "%s%s", f->output, dirs[i]);
        int error = fs_make_dirs(path, text_starts(dirs[i], "/.") ? 0700 : 0755);
        if (error == 0 && access(path, W_OK | X_OK) != 0)
            error = -errno;
        if (error) {
            snprintf(why, why_size, "the output directory cannot be used: %s: %s; make it and give it to this user, or "
                     "name another with --output", path, strerror(-error));
            return error;
        }
    }
    return 0;
}

int files_open(uv_loop_t *loop, struct db *db, const struct files_settings *settings,
               void (*published)(void *owner), void *owner, struct files **files, char *why, size_t why_size)
{
    struct files *f = mem_new(1, sizeof *f);
    f->loop = loop;
    f->db = db;
    f->settings = *settings;
    f->published = published;
    f->owner = owner;
    if (!text_copy(f->output, sizeof f->output, settings->output)) {
        snprintf(why, why_size, "the output directory's name is longer than %zu bytes", sizeof f->output - 1);
        free(f);
        return -ENAMETOOLONG;
    }
    while (strlen(f->output) > 1 && text_ends(f->output, "/"))
        f->output[strlen(f->output) - 1] = '\0';
    snprintf(f->staging, sizeof f->staging, "%s/.staging", f->output);
    int error = make_tree(f, why, why_size);
    if (error) {
        free(f);
        return error;
    }
    fs_use_scratch(f->staging);
    files_init_bundles(f);
    f->transfers = turns_new(loop, &transfer_limits);
    uv_timer_init(loop, &f->close_timer);
    *files = f;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct files *f = container_of(handle, struct files, close_timer);
    void (*closed)(void *owner) = f->closed;
    void *owner = f->closed_owner;
    turns_let_go(f->transfers);
    db_target_set_release(f->known);
    free(f);
    closed(owner);
}

static void on_look(uv_timer_t *timer)
{
    struct files *f = container_of(timer, struct files, close_timer);
    if (f->receipts)
        return;
    if (f->withdrawal)
        withdrawal_stop(f); /* not before: a receipt may wait for it */
    else
        uv_close((uv_handle_t *)&f->close_timer, on_timer_closed);
}

void files_close(struct files *f, void (*closed)(void *owner), void *owner)
{
    struct receipt *next;
    f->closed = closed;
    f->closed_owner = owner;
    for (struct receipt *r = f->receipts; r; r = next) {
        next = r->next;
        receipt_abandon(r);
    }
    uv_timer_start(&f->close_timer, on_look, 0, 10);
}
