/*
 * Rations: see core/ration.h.
 */
#include "core/ration.h"

#include "core/clock.h"

/* What has come back since it was last looked at. */
static void refill(struct ration *r, const struct ration_limits *limits)
{
    int64_t now_ms = clock_steady_ms(), back = (now_ms - r->since_ms) / limits->every_ms;

    if (r->used == 0 || back >= r->used) {
        r->used = 0;
        r->since_ms = now_ms;
    } else {
        r->used -= (unsigned)back;
        r->since_ms += back * limits->every_ms;
    }
}

bool ration_take(struct ration *r, const struct ration_limits *limits)
{
    refill(r, limits);
    if (r->used >= limits->most) {
        r->refused++;
        return false;
    }
    r->used++;
    return true;
}

unsigned ration_refused(struct ration *r)
{
    unsigned refused = r->refused;

    r->refused = 0;
    return refused;
}
