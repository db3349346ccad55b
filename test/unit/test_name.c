/*
 * Package names: which are valid, which are the same, and what an sdist's file name says.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "python.h"

static void names_of_letters_digits_and_inner_separators_are_valid(void **state)
{
    static const char *const valid[] = {"a", "9", "A.b-c_d", "zope.interface", "a--b", "foo_1"};
    static const char *const invalid[] = {"",    "-a",          "a-",  "_a",  "a.", "a b",
                                          "a/b", "caf\xc3\xa9", "a\n", "a+b", ".."};

    for (size_t i = 0; i < COUNT_OF(valid); i++)
        assert_true(python_name_valid(valid[i]));
    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        assert_false(python_name_valid(invalid[i]));
}

static void a_name_may_have_255_bytes_but_not_256(void **state)
{
    char name[PYTHON_NAME_MAX + 2];

    memset(name, 'a', sizeof name);
    name[PYTHON_NAME_MAX] = '\0';
    assert_true(python_name_valid(name));
    name[PYTHON_NAME_MAX] = 'a';
    name[PYTHON_NAME_MAX + 1] = '\0';
    assert_false(python_name_valid(name));
}

static void runs_of_separators_become_one_dash_and_letters_lower_case(void **state)
{
    static const struct {
        const char *name, *normal;
    } cases[] = {
        {"MarkupSafe", "markupsafe"},
        {"zope.interface", "zope-interface"},
        {"A-_.B", "a-b"},
        {"a__b..c", "a-b-c"},
        {"", ""},
        {"\xc3\x84", "\xc3\x84"},
    };
    char to[64];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(python_name_normalise(cases[i].name, to, sizeof to), 0);
        assert_string_equal(to, cases[i].normal);
    }
}

static void a_normalised_name_that_does_not_fit_is_refused(void **state)
{
    char to[4];

    assert_int_equal(python_name_normalise("abc", to, sizeof to), 0);
    assert_int_equal(python_name_normalise("abcd", to, sizeof to), -ENOBUFS);
    assert_int_equal(python_name_normalise("", to, 0), -ENOBUFS);
}

static void names_are_equal_when_their_normal_forms_are(void **state)
{
    assert_true(python_names_equal("Foo.Bar", "foo-_bar"));
    assert_false(python_names_equal("foobar", "foo-bar"));
}

static void an_sdists_version_is_what_follows_the_package_name(void **state)
{
    static const struct {
        const char *file, *package, *version;
    } cases[] = {
        {"cffi-1.15.1.tar.gz", "cffi", "1.15.1"},
        {"zope.interface-5.0.zip", "zope-interface", "5.0"},
        {"foo_bar-1.0rc1.tar.bz2", "foo-bar", "1.0rc1"},
        {"foo-bar-1.0-1.tar.gz", "foo-bar", "1.0-1"},
        {"Foo-2-1.0.tgz", "foo-2", "1.0"},
        {"a-1.tar.xz", "a", "1"},
    };
    char version[32];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(python_sdist_name_parse(cases[i].file, cases[i].package, version, sizeof version),
                         0);
        assert_string_equal(version, cases[i].version);
    }
}

static void what_is_no_sdist_of_the_package_is_refused(void **state)
{
    static const char *const files[] = {
        "cffi-1.15.1.whl",   "cffi-1.15.1",      "cffi.tar.gz",        "cffi-.tar.gz",
        "other-1.0.tar.gz",  "cffi2-1.0.tar.gz", "../cffi-1.0.tar.gz", "cffi-1.0/x.tar.gz",
        "cffi-1.0\n.tar.gz", "cffi-1\\0.tar.gz", "cffi-1 0.tar.gz",    "",
        ".tar.gz",           "-1.0.tar.gz",      "cffi-1.0.exe",       "cffi-123456789.tar.gz",
    };
    char version[8];

    for (size_t i = 0; i < COUNT_OF(files); i++)
        assert_int_equal(python_sdist_name_parse(files[i], "cffi", version, sizeof version), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_letters_digits_and_inner_separators_are_valid),
        cmocka_unit_test(a_name_may_have_255_bytes_but_not_256),
        cmocka_unit_test(runs_of_separators_become_one_dash_and_letters_lower_case),
        cmocka_unit_test(a_normalised_name_that_does_not_fit_is_refused),
        cmocka_unit_test(names_are_equal_when_their_normal_forms_are),
        cmocka_unit_test(an_sdists_version_is_what_follows_the_package_name),
        cmocka_unit_test(what_is_no_sdist_of_the_package_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
