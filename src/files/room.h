/*
 * The room itself, and what its parts do for each other beside the receipts (receipt.h):
 *
 *   files.c     opens and closes the room
 *   recover.c   undoes what a crash left half-way, then begins withdrawing
 *   withdraw.c  takes out of the tree what PyPI removed or quarantined
 *   tree.c      moves the bytes
 */
#ifndef FILES_ROOM_H
#define FILES_ROOM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bundle.h"
#include "core/lane.h"
#include "core/task.h"
#include "core/turns.h"
#include "db.h"
#include "files.h"

struct files {
    uv_loop_t *loop;
    struct db *db;
    char output[256];                /* without a last '/' */
    char staging[300];
    struct files_settings settings;
    void (*published)(void *owner);
    void *owner;
    struct receipt *receipts;        /* all that live */
    uint64_t receipts_made;
    struct bundle packs, logs, places; /* of receipts that compress their log, that keep it, that place their files */
    struct turns *transfers;         /* of files to us */
    size_t crowd_bytes;              /* of logs that wait to be compressed */
    bool crowded;
    void (*on_crowd)(void *owner, bool crowded);
    void *crowd_owner;
    struct recovery *recovery;       /* while it is under way */
    struct withdrawal *withdrawal;   /* from then on */
    struct db_target_set *known;     /* the targets as last read here, or NULL */
    void (*closed)(void *owner);     /* set while closing */
    void *closed_owner;
    uv_timer_t close_timer;
};

/* withdraw.c: begins, and ends: then `withdrawal` is NULL. */
void withdrawal_start(struct files *f);
void withdrawal_stop(struct files *f);

/* life.c: whether a build is just putting a file there. */
bool files_being_placed(const struct files *f, const char *public_path);

/* tree.c, each 0 or -errno; they block. A wheel and its .metadata leave the tree; also the place of the withheld; move to
 * that place, or back. */
int files_take_out(const struct files *f, const char *public_path);
int files_take_out_everywhere(const struct files *f, const char *public_path);
int files_move(const struct files *f, const char *public_path, bool back);

#endif
