/* Rules of core/nearest.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/nearest.h"

static const char *const known[] = {"master", "slave", "status", "--slave-listen", "PIW_MASTER_DSN"};

static const char *near(const char *typed)
{
    return nearest_name(typed, known, COUNT_OF(known));
}

static void one_edit_of_each_kind_is_forgiven(void **state)
{
    assert_string_equal(near("maste"), "master");
    assert_string_equal(near("masterr"), "master");
    assert_string_equal(near("mazter"), "master");
    assert_string_equal(near("matser"), "master");
}

static void case_does_not_matter(void **state)
{
    assert_string_equal(near("MASTER"), "master");
    assert_string_equal(near("piw_master_dns"), "PIW_MASTER_DSN");
}

static void two_edits_are_allowed_in_short_names(void **state)
{
    assert_string_equal(near("slv"), "slave");
    assert_null(near("sl"));
}

static void a_third_of_the_longer_name_is_allowed_in_long_ones(void **state)
{
    assert_string_equal(near("--slave-lis"), "--slave-listen");
    assert_string_equal(near("--slave-liXXXX"), "--slave-listen");
    assert_null(near("--slave-XXXXXX"));
}

static void the_nearest_wins_and_the_first_of_equals(void **state)
{
    static const char *const names[] = {"abcdef", "abcdeg", "abcd"};

    assert_string_equal(nearest_name("abcdeh", names, 3), "abcdef");
    assert_string_equal(nearest_name("abcdg", names, 3), "abcdeg");
}

static void what_is_far_from_all_has_no_neighbour(void **state)
{
    char endless[500];

    memset(endless, 'm', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_null(near("parsecs"));
    assert_null(near(endless));
    assert_null(nearest_name("x", known, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_edit_of_each_kind_is_forgiven),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(two_edits_are_allowed_in_short_names),
        cmocka_unit_test(a_third_of_the_longer_name_is_allowed_in_long_ones),
        cmocka_unit_test(the_nearest_wins_and_the_first_of_equals),
        cmocka_unit_test(what_is_far_from_all_has_no_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
