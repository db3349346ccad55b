/* Rules of core/clock.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/memory.h"

static void the_steady_clock_never_goes_back(void **state)
{
    int64_t last = clock_steady_ms();

    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_steady_ms();
        assert_true(now >= last);
        last = now;
    }
}

static void the_wall_clock_is_past_this_programs_birth(void **state)
{
    assert_true(clock_wall_ms() > INT64_C(1735689600000));
}

static void a_time_is_written_in_utc(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    assert_string_equal(clock_text(INT64_C(1769868309999), text), "2026-01-31 14:05:09");
    assert_string_equal(clock_text(-1, text), "1969-12-31 23:59:59");
    clock_text(INT64_MAX, text);
}

static void a_span_has_its_two_largest_units(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 s"},
        {-5, "0 s"},
        {999, "0 s"},
        {48000, "48 s"},
        {200000, "3 min 20 s"},
        {180000, "3 min"},
        {7500000, "2 h 5 min"},
        {7205000, "2 h"},
        {356400000, "4 d 3 h"},
    };
    char text[CLOCK_TEXT_SIZE];

    for (unsigned i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(clock_span(cases[i].ms, text), cases[i].text);
}

static void an_iso_time_is_read_to_the_millisecond(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"2023-04-05T06:07:08.123456Z", INT64_C(1680674828123)},
        {"2023-04-05 06:07:08", INT64_C(1680674828000)},
        {"2023-04-05T06:07:08.5+00:00", INT64_C(1680674828500)},
        {"2023-04-05T06:07:08Z", INT64_C(1680674828000)},
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59Z", -1000},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
    };
    int64_t ms;

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(clock_parse(cases[i].text, &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void what_is_no_utc_time_is_refused(void **state)
{
    static const char *const cases[] = {
        "", "yesterday", "2023-04-05", "2023-04-05T06:07", "2023-4-5T06:07:08", "2023-04-05T06:07:08.Z",
        "2023-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z",
        "2023-01-00T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z", "2023-01-01T00:00:61Z",
        "2023-01-01T00:00:00+02:00", "2023-01-01T00:00:00Z ", "-023-01-01T00:00:00Z",
    };
    int64_t ms;

    for (unsigned i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(clock_parse(cases[i], &ms), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steady_clock_never_goes_back),
        cmocka_unit_test(the_wall_clock_is_past_this_programs_birth),
        cmocka_unit_test(a_time_is_written_in_utc),
        cmocka_unit_test(a_span_has_its_two_largest_units),
        cmocka_unit_test(an_iso_time_is_read_to_the_millisecond),
        cmocka_unit_test(what_is_no_utc_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
