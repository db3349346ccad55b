/*
 * How long a slave rests while the index does not answer as it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/slave/outage.h"

static const struct verdict no_index = {.outcome = "farm", .reason = "network"}, no_disk = {.outcome = "farm", .reason = "disk"},
                            good = {.outcome = "success"}, bad = {.outcome = "failed", .reason = "compile"},
                            ended_from_outside = {.outcome = NULL};

/* A build that begins after the rest and ends a second later so; how long the rest is then. */
static int64_t rest_after(struct outage *o, const struct verdict *v)
{
    int64_t began_ms = o->until_ms + 1000, now_ms = began_ms + 1000;
    outage_note(o, v, began_ms, now_ms);
    return o->until_ms > now_ms ? o->until_ms - now_ms : 0;
}

static void each_build_that_finds_no_index_doubles_the_rest_up_to_ten_minutes(void **state)
{
    struct outage o = {0};
    for (int64_t rest_ms = 5000; rest_ms < 600000; rest_ms *= 2)
        assert_int_equal(rest_after(&o, &no_index), rest_ms);
    assert_int_equal(rest_after(&o, &no_index), 600000);
    assert_int_equal(rest_after(&o, &no_index), 600000);
    assert_true(outage_rests(&o, o.until_ms - 1));
    assert_false(outage_rests(&o, o.until_ms));
}

static void a_build_that_got_what_it_wanted_ends_the_rest(void **state)
{
    const struct verdict *const ends[] = {&good, &bad};
    for (unsigned i = 0; i < 2; i++) {
        struct outage o = {0};
        rest_after(&o, &no_index);
        rest_after(&o, &no_index);
        outage_note(&o, ends[i], 0, o.until_ms - 1);
        assert_false(outage_rests(&o, 0));
        assert_int_equal(rest_after(&o, &no_index), 5000);
    }
}

static void what_tells_nothing_of_the_index_changes_nothing(void **state)
{
    struct outage o = {0};
    assert_int_equal(rest_after(&o, &no_disk), 0);
    rest_after(&o, &no_index);
    rest_after(&o, &no_disk);
    rest_after(&o, &ended_from_outside);
    assert_int_equal(rest_after(&o, &no_index), 10000);
}

static void builds_that_ran_side_by_side_count_as_one(void **state)
{
    struct outage o = {0};
    outage_note(&o, &no_index, 1000, 60000);
    outage_note(&o, &no_index, 2000, 61000);
    assert_int_equal(o.rest_ms, 5000);
    assert_int_equal(o.until_ms, 65000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_build_that_finds_no_index_doubles_the_rest_up_to_ten_minutes),
        cmocka_unit_test(a_build_that_got_what_it_wanted_ends_the_rest),
        cmocka_unit_test(what_tells_nothing_of_the_index_changes_nothing),
        cmocka_unit_test(builds_that_ran_side_by_side_count_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
