/* The loop's lag: what holds the loop up is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "core/lag.h"

#define HELD_MS 250

static void hold_up(uv_timer_t *timer)
{
    uint64_t until_ns = uv_hrtime() + HELD_MS * 1000000ULL;
    while (uv_hrtime() < until_ns)
        ;
}

static void end(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void a_loop_that_was_held_up_is_seen_to_lag(void **state)
{
    uv_loop_t loop;
    uv_timer_t holder, ender;
    struct lag lag;
    uv_loop_init(&loop);
    lag_start(&loop, &lag);
    uv_timer_init(&loop, &holder);
    uv_timer_init(&loop, &ender);
    uv_timer_start(&holder, hold_up, 10, 0);
    uv_timer_start(&ender, end, 600, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(lag_worst_us(&lag) >= (HELD_MS - 110) * 1000);
    assert_true(lag_recent_us(&lag) <= lag_worst_us(&lag));
    lag_stop(&lag);
    uv_close((uv_handle_t *)&holder, NULL);
    uv_close((uv_handle_t *)&ender, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_timer_does_not_keep_the_loop_alive(void **state)
{
    uv_loop_t loop;
    struct lag lag;
    uv_loop_init(&loop);
    lag_start(&loop, &lag);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(lag_worst_us(&lag), 0);
    lag_stop(&lag);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_was_held_up_is_seen_to_lag),
        cmocka_unit_test(the_timer_does_not_keep_the_loop_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
