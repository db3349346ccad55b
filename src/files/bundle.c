/*
 * Bundles: see bundle.h. Used by record.c, for logs and for placing wheels.
 */
#include "bundle.h"

#include <stddef.h>

#include "core/memory.h"
#include "receipt.h"

#define LOT_MAX 64

void bundle_init(struct bundle *b, const struct bundle_kind *kind)
{
    *b = (struct bundle){.kind = kind};
}

/* On a pool thread. */
static void run_lot(struct lane_work *w)
{
    struct bundle *b = container_of(w, struct bundle, work);
    struct fs_batch changes;
    fs_batch_init(&changes);
    for (struct receipt *r = b->under_way; r; r = r->next_in_bundle)
        b->kind->add(r, &changes);
    fs_batch_end(&changes);
    for (struct receipt *r = b->under_way; r && b->kind->after; r = r->next_in_bundle)
        b->kind->after(r);
}

static void on_lot_done(struct lane_work *w, int status);

/* The first of those that wait get under way. */
static void start_lot(struct bundle *b)
{
    struct receipt *r = b->waiting;
    for (unsigned i = 1; r->next_in_bundle && i < LOT_MAX; i++)
        r = r->next_in_bundle;
    b->under_way = b->waiting;
    b->waiting = r->next_in_bundle;
    r->next_in_bundle = NULL;
    b->busy = true;
    lane_submit(LANE_DISK, &b->work, run_lot, on_lot_done); /* pages that catch up must not hold up builds */
}

static void on_lot_done(struct lane_work *w, int status)
{
    struct bundle *b = container_of(w, struct bundle, work);
    struct receipt *r = b->under_way, *next;
    b->busy = false;
    if (b->waiting)
        start_lot(b);
    for (; r; r = next) {
        next = r->next_in_bundle;
        if (status != 0)
            r->work_error = status;
        task_resume(&r->task);
    }
}

void bundle_join(struct bundle *b, struct receipt *r)
{
    r->work_error = 0;
    r->why[0] = '\0';
    r->next_in_bundle = NULL;
    if (b->waiting)
        b->last->next_in_bundle = r;
    else
        b->waiting = r;
    b->last = r;
    if (!b->busy)
        start_lot(b);
}
