/*
 * A bundle: the disk work of receipts that come to the same step, done together. While one lot is on its thread the
 * others wait and go in the next, as with the calls of a batch in src/db: the busier the farm, the larger the lots,
 * and the fewer the times that anybody waits for the disk.
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

struct bundle {
    const struct bundle_kind *kind;
    struct receipt *waiting, *last;    /* in the order in which they came */
    struct receipt *under_way;
    struct lane_work work;
    bool busy;
};

void bundle_init(struct bundle *b, const struct bundle_kind *kind);

/* Joins the next lot, with no error yet; the receipt's task is resumed when that is done. */
void bundle_join(struct bundle *b, struct receipt *r);

#endif
