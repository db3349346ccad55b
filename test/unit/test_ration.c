/*
 * Rations, by a clock of which as much has passed as the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/ration.h"

static const struct ration_limits three_then_one_an_hour = {.most = 3, .every_ms = 3600000};

static unsigned take(struct ration *r, unsigned times)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < times; i++)
        taken += ration_take(r, &three_then_one_an_hour);
    return taken;
}

static void pass_hours(struct ration *r, int64_t hours)
{
    r->since_ms -= hours * three_then_one_an_hour.every_ms;
}

static void so_many_are_given_at_once_and_the_others_are_counted(void **state)
{
    struct ration r = {0};
    assert_int_equal(take(&r, 10), 3);
    assert_int_equal(ration_refused(&r), 7);
    assert_int_equal(ration_refused(&r), 0);
}

static void one_comes_back_in_each_span_of_time(void **state)
{
    struct ration r = {0};
    take(&r, 3);
    pass_hours(&r, 2);
    assert_int_equal(take(&r, 10), 2);
    pass_hours(&r, 1);
    assert_int_equal(take(&r, 10), 1);
}

static void never_are_there_more_than_at_the_beginning(void **state)
{
    struct ration r = {0};
    take(&r, 2);
    pass_hours(&r, 100);
    assert_int_equal(take(&r, 10), 3);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(so_many_are_given_at_once_and_the_others_are_counted),
        TEST(one_comes_back_in_each_span_of_time),
        TEST(never_are_there_more_than_at_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
