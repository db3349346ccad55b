/*
 * Lines of a requirements file.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "python.h"

static void a_requirement_is_a_name_and_its_versions(void **state)
{
    static const struct {
        const char *line, *name, *specifiers;
    } cases[] = {
        {"cffi", "cffi", ""},
        {"  Jinja2 \r\n", "Jinja2", ""},
        {"cffi==1.15.1", "cffi", "==1.15.1"},
        {"cffi >= 1.0 , < 2", "cffi", ">=1.0,<2"},
        {"cffi (>=1.0)", "cffi", ">=1.0"},
        {"cffi[a, b]~=1.0", "cffi", "~=1.0"},
        {"cffi[a]", "cffi", ""},
        {"cffi;python_version<'3'", "cffi", ""},
        {"cffi>=1 ; sys_platform == 'linux'", "cffi", ">=1"},
        {"cffi # why", "cffi", ""},
        {"cffi==1.0 --hash=sha256:00 --hash=sha256:11", "cffi", "==1.0"},
        {"zope.interface!=5.*", "zope.interface", "!=5.*"},
        {"a===x#y", "a", "===x#y"},
    };
    struct requirement r;
    char why[128];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (python_requirement_parse(cases[i].line, &r, why, sizeof why) != 1)
            fail_msg("\"%s\" is not understood", cases[i].line);
        assert_string_equal(r.name, cases[i].name);
        assert_string_equal(r.specifiers, cases[i].specifiers);
    }
}

static void comments_and_blank_lines_hold_nothing(void **state)
{
    static const char *const lines[] = {"", "  \t\r\n", "# comment", "   # cffi"};
    struct requirement r;
    char why[128];

    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_int_equal(python_requirement_parse(lines[i], &r, why, sizeof why), 0);
}

static void what_cannot_be_added_by_name_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"-r other.txt", "an option"},
        {"--index-url https://x/", "an option"},
        {"-e .", "an option"},
        {"https://x/y.whl", "a URL"},
        {"git+https://x/y", "a URL"},
        {"cffi @ https://x/y.whl", "a URL"},
        {"cffi@file:///x", "a URL"},
        {"./cffi", "a file"},
        {"../cffi", "a file"},
        {"dir/cffi", "a file"},
        {".", "a file"},
        {"C:\\cffi", "a file"},
        {"cffi-1.0-py3-none-any.whl", "a file"},
        {"cffi-1.0.tar.gz", "a file"},
        {"; x == 1", "a file"},
        {"==1.0", "no package name"},
        {"caf\xc3\xa9", "no valid versions"},
        {"-", "an option"},
        {"cffi-", "no package name"},
        {"cffi[a", "not closed"},
        {"cffi 1.0", "no valid versions"},
        {"cffi=1.0", "no valid versions"},
        {"cffi>=1 <2", "no valid versions"},
        {"cffi idna", "no valid versions"},
        {"cffi==1 2", "no valid versions"},
    };
    struct requirement r;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char why[128] = "";

        assert_int_equal(python_requirement_parse(cases[i].line, &r, why, sizeof why), -EINVAL);
        if (!strstr(why, cases[i].why))
            fail_msg("\"%s\": %s", cases[i].line, why);
    }
}

static void a_requirement_that_does_not_fit_is_refused(void **state)
{
    struct requirement r;
    char line[1200], why[128];

    snprintf(line, sizeof line, "%0*d", 256, 1);
    assert_int_equal(python_requirement_parse(line, &r, why, sizeof why), -EINVAL);
    snprintf(line, sizeof line, "a===%0*d", 600, 1);
    assert_int_equal(python_requirement_parse(line, &r, why, sizeof why), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_requirement_is_a_name_and_its_versions),
        cmocka_unit_test(comments_and_blank_lines_hold_nothing),
        cmocka_unit_test(what_cannot_be_added_by_name_is_refused_with_the_reason),
        cmocka_unit_test(a_requirement_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
