/*
 * When many builds fail at once, their logs come faster than they are compressed. Those that wait for it are counted, and
 * the farm is told when it should feed us no more, and when again: what it does not read stays with its slaves.
 *
 * Only what needs nothing more from a slave is counted. Where a file is still to come, waiting for the slaves to be read
 * again would be waiting for oneself.
 */
#include "receipt.h"

#define CROWD_BYTES (2 * 1024 * 1024)
#define AIRY_BYTES (CROWD_BYTES / 4)

void files_on_crowd(struct files *f, void (*crowded)(void *owner, bool crowded), void *owner)
{
    f->on_crowd = crowded;
    f->crowd_owner = owner;
}

static void tell(struct files *f, bool crowded)
{
    f->crowded = crowded;
    if (f->on_crowd)
        f->on_crowd(f->crowd_owner, crowded);
}

void crowd_join(struct receipt *r)
{
    struct files *f = r->files;
    r->crowd_bytes = r->log.held_bytes;
    f->crowd_bytes += r->crowd_bytes;
    if (!f->crowded && f->crowd_bytes > CROWD_BYTES)
        tell(f, true);
}

void crowd_leave(struct receipt *r)
{
    struct files *f = r->files;
    f->crowd_bytes -= r->crowd_bytes;
    r->crowd_bytes = 0;
    if (f->crowded && f->crowd_bytes < AIRY_BYTES)
        tell(f, false);
}
