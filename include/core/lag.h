/*
 * The loop's own lag: how late a timer is that should run every 100 ms. Whatever holds the loop up, a long
 * callback or a machine with no time for us, shows here first.
 */
#ifndef CORE_LAG_H
#define CORE_LAG_H

#include <stdint.h>
#include <uv.h>

#define LAG_SECONDS 60

struct lag {
    uv_timer_t timer;          /* private, as is all */
    uint64_t due_ns, second;   /* when it should run next; seconds since it was started */
    uint64_t worst_ns[LAG_SECONDS]; /* of each second, the last minute's */
};

/* Starts measuring; the timer does not keep the loop alive. */
void lag_start(uv_loop_t *loop, struct lag *lag);
/* Ends it; `lag` must outlive the closing of its timer. */
void lag_stop(struct lag *lag);

/* The worst of the last minute, and that of the last two seconds, in microseconds. */
int64_t lag_worst_us(const struct lag *lag);
int64_t lag_recent_us(const struct lag *lag);

#endif
