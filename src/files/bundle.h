/*
 * A bundle: the work of receipts that come to the same step, done together. While its lots are on their threads the
 * others wait and go in the next, as with the calls of a batch in src/db: the busier the farm, the larger the lots,
 * and the fewer the times that anybody waits for the disk. There are a few lots, so that one can be written while another
 * waits for the disk.
 */
#ifndef FILES_BUNDLE_H
#define FILES_BUNDLE_H

#include <stdbool.h>

#include "core/lane.h"
#include "io/fs.h"

struct receipt;

/* What a bundle does, on a pool thread, with one lot. */
struct bundle_kind {
    /* Adds a receipt's changes, for its work_error. */
    void (*add)(struct receipt *r, struct fs_batch *b);
    /* They are made, or have failed; may be NULL. */
    void (*after)(struct receipt *r);
};

#define BUNDLE_LOTS 3

struct bundle {
    const struct bundle_kind *kind;
    struct receipt *waiting, *last;    /* in the order in which they came */
    struct lot {
        struct bundle *bundle;
        struct receipt *receipts;      /* NULL: none is under way */
        struct lane_work work;
    } lots[BUNDLE_LOTS];
};

void bundle_init(struct bundle *b, const struct bundle_kind *kind);

/* Joins the next lot, with no error yet; the receipt's task is resumed when that is done. */
void bundle_join(struct bundle *b, struct receipt *r);

#endif
