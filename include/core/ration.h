/*
 * Rations: how often something may happen that others cause, such as a line of the log. So many at once, then one in each
 * span of time: who goes on for ever fills nothing.
 */
#ifndef CORE_RATION_H
#define CORE_RATION_H

#include <stdbool.h>
#include <stdint.h>

struct ration_limits {
    unsigned most;          /* at once */
    int64_t every_ms;       /* then one more in so long */
};

struct ration {
    unsigned used;          /* of `most`; 0 at the beginning */
    unsigned refused;       /* since ration_refused was last asked */
    int64_t since_ms;       /* from when the next one counts that comes back; steady clock */
};

/* Whether it may happen now: then one is used. */
bool ration_take(struct ration *r, const struct ration_limits *limits);

/* How many were refused since this was last asked. */
unsigned ration_refused(struct ration *r);

#endif
