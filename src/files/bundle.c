/*
 * Bundles: see bundle.h. Used by record.c: for compressing logs, for keeping them and for placing wheels.
 */
#include "bundle.h"

#include <stddef.h>

#include "core/memory.h"
#include "receipt.h"

#define LOT_MAX 64

void bundle_init(struct bundle *b, const struct bundle_kind *kind)
{
    *b = (struct bundle){.kind = kind};
    for (unsigned i = 0; i < BUNDLE_LOTS; i++)
        b->lots[i].bundle = b;
}

/* On a pool thread. */
static void run_lot(struct lane_work *w)
{
    struct lot *l = container_of(w, struct lot, work);
    const struct bundle_kind *kind = l->bundle->kind;
    struct fs_batch changes;
    fs_batch_init(&changes);
    for (struct receipt *r = l->receipts; r; r = r->next_in_bundle)
        kind->add(r, &changes);
    fs_batch_end(&changes);
    for (struct receipt *r = l->receipts; r && kind->after; r = r->next_in_bundle)
        kind->after(r);
}

static void on_lot_done(struct lane_work *w, int status);

/* The first of those that wait get under way. */
static void start_lot(struct bundle *b, struct lot *l)
{
    struct receipt *r = b->waiting;
    for (unsigned i = 1; r->next_in_bundle && i < LOT_MAX; i++)
        r = r->next_in_bundle;
    l->receipts = b->waiting;
    b->waiting = r->next_in_bundle;
    r->next_in_bundle = NULL;
    lane_submit(LANE_DISK, &l->work, run_lot, on_lot_done); /* pages that catch up must not hold up builds */
}

static void on_lot_done(struct lane_work *w, int status)
{
    struct lot *l = container_of(w, struct lot, work);
    struct bundle *b = l->bundle;
    struct receipt *r = l->receipts, *next;
    l->receipts = NULL;
    if (b->waiting)
        start_lot(b, l);
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
    for (unsigned i = 0; i < BUNDLE_LOTS && b->waiting; i++) {
        if (!b->lots[i].receipts)
            start_lot(b, &b->lots[i]);
    }
}
