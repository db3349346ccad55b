/*
 * Measures how late the loop is. The master (src/cmd/master.c) starts it; `piwheels status` and the monitor show it.
 */
#include "core/lag.h"

#include "core/memory.h"

#define EVERY_MS 100
#define EVERY_NS (EVERY_MS * 1000000ULL)
#define SECOND_NS 1000000000ULL

/* Seconds that passed while the loop stood still have no figure of their own. */
static void go_to_second(struct lag *lag, uint64_t second)
{
    if (second - lag->second > LAG_SECONDS)
        lag->second = second - LAG_SECONDS;
    while (lag->second < second)
        lag->worst_ns[++lag->second % LAG_SECONDS] = 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct lag *lag = container_of(timer, struct lag, timer);
    uint64_t now_ns = uv_hrtime();
    uint64_t late_ns = now_ns > lag->due_ns ? now_ns - lag->due_ns : 0;
    go_to_second(lag, now_ns / SECOND_NS);
    if (late_ns > lag->worst_ns[lag->second % LAG_SECONDS])
        lag->worst_ns[lag->second % LAG_SECONDS] = late_ns;
    lag->due_ns = now_ns + EVERY_NS;
    uv_timer_start(timer, on_timer, EVERY_MS, 0);
}

void lag_start(uv_loop_t *loop, struct lag *lag)
{
    *lag = (struct lag){.second = uv_hrtime() / SECOND_NS};
    uv_update_time(loop); /* the timer counts from the loop's idea of now */
    lag->due_ns = uv_hrtime() + EVERY_NS;
    uv_timer_init(loop, &lag->timer);
    uv_timer_start(&lag->timer, on_timer, EVERY_MS, 0);
    uv_unref((uv_handle_t *)&lag->timer);
}

void lag_stop(struct lag *lag)
{
    uv_close((uv_handle_t *)&lag->timer, NULL);
}

int64_t lag_worst_us(const struct lag *lag)
{
    uint64_t worst_ns = 0;
    for (unsigned i = 0; i < LAG_SECONDS; i++) {
        if (lag->worst_ns[i] > worst_ns)
            worst_ns = lag->worst_ns[i];
    }
    return (int64_t)(worst_ns / 1000);
}

int64_t lag_recent_us(const struct lag *lag)
{
    uint64_t now_ns = lag->worst_ns[lag->second % LAG_SECONDS];
    uint64_t before_ns = lag->worst_ns[(lag->second + LAG_SECONDS - 1) % LAG_SECONDS];
    return (int64_t)((now_ns > before_ns ? now_ns : before_ns) / 1000);
}
