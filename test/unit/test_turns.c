/*
 * Turns, by a clock that is far away or long past: no test waits for it.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/turns.h"

#define NEVER_MS 3600000
#define COUNT 4

struct one {
    struct turn turn;
    unsigned went, late;
};

static struct {
    uv_loop_t loop;
    struct turns *turns;
    struct one ones[COUNT];
} world;

static void on_go(struct turn *t)
{
    container_of(t, struct one, turn)->went++;
}

static void on_late(struct turn *t)
{
    container_of(t, struct one, turn)->late++;
    turn_end(t);
}

static void begin(unsigned at_once, unsigned most, uint64_t slow_ms, uint64_t patience_ms)
{
    const struct turn_limits limits = {at_once, most, slow_ms, patience_ms};
    uv_loop_init(&world.loop);
    world.turns = turns_new(&world.loop, &limits);
    for (unsigned i = 0; i < COUNT; i++)
        world.ones[i] = (struct one){.turn = {.go = on_go, .late = on_late}};
}

static int teardown(void **state)
{
    for (unsigned i = 0; i < COUNT; i++)
        turn_end(&world.ones[i].turn);
    turns_let_go(world.turns);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&world.loop);
}

static bool ask(unsigned i)
{
    return turn_ask(&world.ones[i].turn, world.turns);
}

static void turn_the_loop(void)
{
    for (unsigned i = 0; i < 20; i++)
        uv_run(&world.loop, UV_RUN_NOWAIT);
}

static void who_finds_room_goes_at_once(void **state)
{
    begin(2, UINT_MAX, NEVER_MS, NEVER_MS);
    assert_true(ask(0));
    assert_true(ask(1));
    assert_true(ask(1)); /* it runs already */
    turn_the_loop();
    assert_int_equal(world.ones[0].went + world.ones[1].went, 0);
}

static void the_others_go_in_the_order_in_which_they_asked(void **state)
{
    begin(1, UINT_MAX, NEVER_MS, NEVER_MS);
    assert_true(ask(0));
    assert_false(ask(1));
    assert_false(ask(2));
    assert_true(turn_waits(&world.ones[1].turn));
    turn_the_loop();
    assert_int_equal(world.ones[1].went, 0);
    turn_end(&world.ones[0].turn);
    assert_int_equal(world.ones[1].went, 0); /* not from inside a call */
    turn_the_loop();
    assert_int_equal(world.ones[1].went, 1);
    assert_int_equal(world.ones[2].went, 0);
}

static void who_leaves_the_line_does_not_go(void **state)
{
    begin(1, UINT_MAX, NEVER_MS, NEVER_MS);
    assert_true(ask(0));
    assert_false(ask(1));
    assert_false(ask(2));
    turn_end(&world.ones[1].turn);
    turn_end(&world.ones[0].turn);
    turn_the_loop();
    assert_int_equal(world.ones[1].went, 0);
    assert_int_equal(world.ones[2].went, 1);
}

static void nobody_overtakes_those_who_wait(void **state)
{
    begin(1, UINT_MAX, NEVER_MS, NEVER_MS);
    assert_true(ask(0));
    assert_false(ask(1));
    turn_end(&world.ones[0].turn);
    assert_false(ask(2));
    turn_the_loop();
    assert_int_equal(world.ones[1].went, 1);
    assert_int_equal(world.ones[2].went, 0);
}

static void the_slow_do_not_count(void **state)
{
    begin(1, 3, 0, NEVER_MS);
    assert_true(ask(0));
    assert_true(ask(1));
    assert_true(ask(2));
    assert_false(ask(3)); /* but they are not to be too many */
    turn_the_loop();
    assert_int_equal(world.ones[3].went, 0);
    assert_int_equal(world.ones[0].late, 0);
}

static void the_oldest_makes_room_for_who_waits(void **state)
{
    begin(1, 2, 0, 0);
    assert_true(ask(0));
    assert_true(ask(1));
    turn_the_loop();
    assert_int_equal(world.ones[0].late, 0); /* nobody waits */
    assert_false(ask(2));
    while (world.ones[2].went == 0)
        uv_run(&world.loop, UV_RUN_ONCE);
    assert_int_equal(world.ones[0].late, 1);
    assert_int_equal(world.ones[1].late, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_finds_room_goes_at_once),
        TEST(the_others_go_in_the_order_in_which_they_asked),
        TEST(who_leaves_the_line_does_not_go),
        TEST(nobody_overtakes_those_who_wait),
        TEST(the_slow_do_not_count),
        TEST(the_oldest_makes_room_for_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
