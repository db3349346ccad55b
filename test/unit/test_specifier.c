/*
 * Version specifiers and Requires-Python. The expected values are those of Python's `packaging`, but where an
 * epoch meets a prefix: there PEP 440 itself decides.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "python.h"

struct match {
    const char *specifiers, *version;
    int expected;
};

static void assert_matches(const struct match *cases, size_t count, bool prereleases)
{
    for (size_t i = 0; i < count; i++) {
        int got = python_specifiers_match(cases[i].specifiers, cases[i].version, prereleases);

        if (got != cases[i].expected)
            fail_msg("\"%s\" for \"%s\": %d, not %d", cases[i].specifiers, cases[i].version, got,
                     cases[i].expected);
    }
}

static void ordered_comparisons_ignore_local_parts(void **state)
{
    static const struct match cases[] = {
        {">=1.0", "1.0", 1},
        {">=1.0", "0.9", 0},
        {">=1.0", "1.0+x", 1},
        {"<=1.0", "1.0", 1},
        {"<=1.0", "1.0+x", 1},
        {"<=1.0", "1.0.1", 0},
        {"<=1.0", "1.0.post1", 0},
        {">=1.0", "1!0", 1},
        {">= 1.0", "1.0", 1},
        {"<=1", "1.0.0", 1},
        {">=99999999999999999999", "100000000000000000000", 1},
    };

    assert_matches(cases, COUNT_OF(cases), false);
}

static void exclusive_comparisons_leave_out_what_belongs_to_their_version(void **state)
{
    static const struct match cases[] = {
        {"<1.0", "0.9", 1},
        {"<1.0", "1.0", 0},
        {"<1.0", "1.0rc1", 0},
        {"<1.0", "1.0.dev1", 0},
        {"<1.0", "0.9rc1", 1},
        {"<1.0rc2", "1.0rc1", 1},
        {"<1.0.post1", "1.0rc1", 0},
        {"<1.0.post1", "1.0", 1},
        {">1.0", "1.1", 1},
        {">1.0", "1.0", 0},
        {">1.0", "1.0.post1", 0},
        {">1.0", "1.0+x", 0},
        {">1.0", "1.0.1", 1},
        {">1.0.post1", "1.0.post2", 1},
        {">1.0.post1", "1.0.post1+x", 0},
        {">1.0", "1.1+x", 1},
        {">1.0a1", "1.0", 1},
        {">1.7", "1.7.0.post1", 0},
    };

    assert_matches(cases, COUNT_OF(cases), true);
}

static void equality_compares_versions_not_text(void **state)
{
    static const struct match cases[] = {
        {"==1.0", "1.0.0", 1}, {"==1.0", "v1", 1}, {"==1.0", "1.0.post1", 0}, {"==1.0", "1.0+x", 1},
        {"==1.0+x", "1.0", 0}, {"==1.0+x.1", "1.0+X-01", 1}, {"!=1.0", "1.0", 0}, {"!=1.0", "1.0+x", 0},
        {"!=1.0+x", "1.0", 1}, {"!=1.0", "1.1", 1}, {"==1!1.0", "1.0", 0},
    };

    assert_matches(cases, COUNT_OF(cases), false);
}

static void a_prefix_matches_every_version_that_begins_with_it(void **state)
{
    static const struct match cases[] = {
        {"==1.1.*", "1.1", 1},         {"==1.1.*", "1.1.5", 1}, {"==1.1.*", "1.1a1", 1},
        {"==1.1.*", "1.1.post1+x", 1}, {"==1.1.*", "1.10", 0},  {"==1.0.0.*", "1", 1},
        {"==1.0.0.*", "1a1", 1},       {"==1.*", "1!1.0", 0},   {"==1!1.*", "1!1.5", 1},
        {"!=1.1.*", "1.1.5", 0},       {"!=1.1.*", "1.2", 1},   {"==01.*", "1.5", 1},
        {"== v1.*", "1", 1},
    };

    assert_matches(cases, COUNT_OF(cases), true);
}

static void a_compatible_release_keeps_all_but_its_last_number(void **state)
{
    static const struct match cases[] = {
        {"~=2.2", "2.2", 1},       {"~=2.2", "2.9", 1},       {"~=2.2", "3.0", 0},
        {"~=2.2", "2.1", 0},       {"~=1.4.5", "1.4.9", 1},   {"~=1.4.5", "1.5", 0},
        {"~=2.2.post3", "2.2", 0}, {"~=2.2.post3", "2.3", 1}, {"~=1.4.5a4", "1.4.5", 1},
        {"~=1.4.5a4", "1.5", 0},   {"~=2.2.0", "2.2.1", 1},   {"~=2.2.0", "2.3", 0},
        {"~=2.2", "2.2+x", 1},     {"~=1!2.2", "2.2", 0},     {"~=1!2.2", "1!2.3", 1},
    };

    assert_matches(cases, COUNT_OF(cases), true);
}

static void arbitrary_equality_compares_text(void **state)
{
    static const struct match cases[] = {
        {"===1.0", "1.0", 1}, {"===1.0", "1.0.0", 0}, {"===foobar", "FooBar", 1}, {"===foobar", "1.0", 0},
        {"===1.0rc1", "1.0.RC-1", 1}, {"===1.0+x", "1.0", 0}, {"=== 1.0 ", "1.0", 1},
    };

    assert_matches(cases, COUNT_OF(cases), true);
}

static void all_specifiers_of_a_list_must_fit(void **state)
{
    static const struct match cases[] = {
        {"", "1.0", 1},
        {" , ", "1.0", 1},
        {">=1,<2", "1.5", 1},
        {">=1,<2", "2.5", 0},
        {" >=1 , !=1.5 ", "1.5", 0},
        {">=1,", "1.5", 1},
        {"~=2.2,!=2.2.3", "2.2.4", 1},
    };

    assert_matches(cases, COUNT_OF(cases), false);
}

static void a_prerelease_fits_only_where_one_is_named_or_allowed(void **state)
{
    static const struct match closed[] = {
        {"", "1.0a1", 0},         {">=1.0", "1.1rc1", 0},   {">=1.0a1", "1.1rc1", 1},
        {"==1.0a1", "1.0a1", 1},  {"!=1.0a1", "1.1a1", 0},  {">=1,<=2.dev0", "1.5b1", 1},
        {"===1.0a1", "1.0a1", 1}, {">=1.0", "1.1.dev1", 0}, {">=1.0", "1.1.post1", 1},
    };
    static const struct match open[] = {{"", "1.0a1", 1}, {">=1.0", "1.1rc1", 1}, {"!=1.0a1", "1.1a1", 1}};

    assert_matches(closed, COUNT_OF(closed), false);
    assert_matches(open, COUNT_OF(open), true);
}

static void a_version_that_does_not_parse_fits_only_by_its_text(void **state)
{
    static const struct match cases[] = {
        {"", "french toast", 1}, {">=0", "french", 0}, {"!=1", "french", 0}, {"===french", "french", 1},
    };

    assert_matches(cases, COUNT_OF(cases), true);
}

static void what_is_no_specifier_is_refused(void **state)
{
    static const char *const invalid[] = {
        "1.0",     "=1.0",     "=>1.0",        "==",        "===",          "~=1",      ">=1.0.*",
        "<1.*",    "~=1.0.*",  "==1.0a1.*",    "==1.0+x.*", "==1.0.dev1.*", ">=1.0+x",  "<=1.0+x",
        "~=1.0+x", "==1.0 .*", ">=1.0 <2",     "==1.0;x",   "===a b",       ">=french", "==*",
        "><1",     ">=1,foo",  "==1.0post1.*", "(>=1.0)",
    };

    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        if (python_specifiers_match(invalid[i], "1.0", false) != -EINVAL)
            fail_msg("\"%s\" parses", invalid[i]);
}

static void an_absurdly_long_list_is_refused(void **state)
{
    char list[5000];

    memset(list, ',', sizeof list - 1);
    list[sizeof list - 1] = '\0';
    assert_int_equal(python_specifiers_match(list, "1.0", false), -EINVAL);
    assert_true(python_requires_allows(list, "3.11"));
}

static void a_python_is_excluded_only_when_none_of_its_patch_releases_fits(void **state)
{
    static const struct {
        const char *requires_python;
        bool allowed;
    } cases[] = {
        {"", true},
        {">=3.7", true},
        {">=3.11", true},
        {">=3.11.4", true},
        {">=3.12", false},
        {"<3.11", false},
        {"<3.11.1", true},
        {"<=3.11", true},
        {"<=3.10.99", false},
        {">3.11", true},
        {">3.11.9", true},
        {">3.12", false},
        {"==3.11.2", true},
        {"==3.11", true},
        {"==3.11.*", true},
        {"==3.*", true},
        {"!=3.11.*", false},
        {"!=3.11.2", true},
        {"~=3.11", true},
        {"~=3.11.4", true},
        {"~=3.12", false},
        {"~=3.7", true},
        {"~=3.7.1", false},
        {"<4", true},
        {"<3.11.0rc1", false},
        {">=3.11.4,<3.11.5", true},
        {">=3.11.4,<3.11.5,!=3.11.4", false},
        {">3.11.4,<3.11.6", true},
        {">3.11.4,<3.11.5", false},
        {"!=3.11.0,<3.11.1", false},
        {"!=3.11.0,!=3.11.1,!=3.11.2", true},
        {"!=3.11.0,!=3.11.1,<3.11.2", false},
        {"===3.11.4", true},
        {"===3.10.4", false},
        {">=3.11.4.1,<3.11.5", false},
        {">=3.11.4.1", true},
        {">=2.7,!=3.0.*,!=3.1.*,<3.10", false},
        {"==3.11.4.*,!=3.11.4", false},
        {">=3.11.123456789012345678901", false},
        {"<1!0", true},
        {">=1!0", false},
        {">=3.11.post1", true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (python_requires_allows(cases[i].requires_python, "3.11") != cases[i].allowed)
            fail_msg("\"%s\" %s 3.11", cases[i].requires_python, cases[i].allowed ? "excludes" : "allows");
}

static void a_requires_python_that_does_not_parse_excludes_nothing(void **state)
{
    assert_true(python_requires_allows("3.12 or so", "3.11"));
    assert_true(python_requires_allows(">=3.12.*", "3.11"));
    assert_true(python_requires_allows("<3,nonsense", "3.11"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordered_comparisons_ignore_local_parts),
        cmocka_unit_test(exclusive_comparisons_leave_out_what_belongs_to_their_version),
        cmocka_unit_test(equality_compares_versions_not_text),
        cmocka_unit_test(a_prefix_matches_every_version_that_begins_with_it),
        cmocka_unit_test(a_compatible_release_keeps_all_but_its_last_number),
        cmocka_unit_test(arbitrary_equality_compares_text),
        cmocka_unit_test(all_specifiers_of_a_list_must_fit),
        cmocka_unit_test(a_prerelease_fits_only_where_one_is_named_or_allowed),
        cmocka_unit_test(a_version_that_does_not_parse_fits_only_by_its_text),
        cmocka_unit_test(what_is_no_specifier_is_refused),
        cmocka_unit_test(an_absurdly_long_list_is_refused),
        cmocka_unit_test(a_python_is_excluded_only_when_none_of_its_patch_releases_fits),
        cmocka_unit_test(a_requires_python_that_does_not_parse_excludes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
