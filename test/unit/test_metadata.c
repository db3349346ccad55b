/*
 * METADATA: the headers we read, and those we refuse.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "python.h"

static void the_fields_are_read_and_the_description_is_not(void **state)
{
    static const char text[] =
        "Metadata-Version: 2.1\nName: Demo\nVERSION:1.0  \nSummary: A demo\nRequires-Python: >=3.7\n"
        "Requires-Dist: cffi (>=1.0)\nRequires-Dist: idna ; python_version > '3'\n\nName: other\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_string_equal(m.name, "Demo");
    assert_string_equal(m.version, "1.0");
    assert_string_equal(m.summary, "A demo");
    assert_string_equal(m.requires_python, ">=3.7");
    assert_int_equal(m.requires_dist_count, 2);
    assert_string_equal(m.requires_dist[0], "cffi (>=1.0)");
    assert_string_equal(m.requires_dist[1], "idna ; python_version > '3'");
    python_metadata_release(&m);
}

static void absent_fields_are_null(void **state)
{
    static const char text[] = "Name: a\nVersion: 1";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_null(m.summary);
    assert_null(m.requires_python);
    assert_int_equal(m.requires_dist_count, 0);
    python_metadata_release(&m);
}

static void requirements_of_extras_are_left_out(void **state)
{
    static const char text[] =
        "Name: a\nVersion: 1\nRequires-Dist: a; extra == 'dev'\nRequires-Dist: b; 'x'==extra\n"
        "Requires-Dist: c; platform_machine == 'extra'\nRequires-Dist: extra\n"
        "Requires-Dist: d; (python_version<'3')and(extra=='t')\nRequires-Dist: e; my_extra_x == 1\n"
        "Requires-Dist:\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_int_equal(m.requires_dist_count, 3);
    assert_string_equal(m.requires_dist[0], "c; platform_machine == 'extra'");
    assert_string_equal(m.requires_dist[1], "extra");
    assert_string_equal(m.requires_dist[2], "e; my_extra_x == 1");
    python_metadata_release(&m);
}

static void folded_lines_are_joined_and_control_characters_dropped(void **state)
{
    static const char text[] =
        "Name: a\r\nVersion: 1\r\nSummary: one\r\n\ttwo\r\n   three\x07\tfour\r\nRequires-Python:\n >=3\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_string_equal(m.summary, "one two three four");
    assert_string_equal(m.requires_python, ">=3");
    python_metadata_release(&m);
}

static void a_lone_carriage_return_ends_a_line_as_it_does_for_pip(void **state)
{
    static const char text[] = "Name: a\rVersion: 1\rSummary: b";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_string_equal(m.name, "a");
    assert_string_equal(m.version, "1");
    python_metadata_release(&m);
}

static void headers_end_at_the_first_line_that_is_none(void **state)
{
    static const char text[] = "Name: a\nVersion: 1\nnot a header\nRequires-Python: <2\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_null(m.requires_python);
    python_metadata_release(&m);
}

static void lines_that_pip_passes_over_hide_nothing(void **state)
{
    static const char text[] =
        " of nothing\nFrom me\nName: a\n:\n of nothing\nVersion: 1\nFrom me\n: x\nRequires-Python: <2\n:\n\nSummary: b\n";
    static const char twice[] = "Name: a\nVersion: 1\n:\nName: b\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    assert_string_equal(m.name, "a");
    assert_string_equal(m.version, "1");
    assert_string_equal(m.requires_python, "<2");
    assert_null(m.summary);
    python_metadata_release(&m);
    assert_int_equal(python_metadata_parse(twice, strlen(twice), &m, why, sizeof why), -EINVAL);
    python_metadata_release(&m);
}

static void other_headers_may_come_as_often_as_they_like(void **state)
{
    static const char text[] =
        "Classifier: x\nClassifier: y\nName: a\nVersion: 1\nLicense-File: a\nLicense-File: b\n"
        "A-Header-With-A-Name-That-Is-Longer-Than-Any-Header-Name-We-Have-Ever-Known: 1\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, strlen(text), &m, why, sizeof why), 0);
    python_metadata_release(&m);
}

static void bad_metadata_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "no Name"},
        {"Name: a\n", "no Version"},
        {"Version: 1\n", "no Name"},
        {"Name:  \nVersion: 1\n", "no Name"},
        {"Name: a\nVersion:\n", "no Version"},
        {"\nName: a\nVersion: 1\n", "no Name"},
        {"Name: a\nVersion: 1\nname: b\n", "two headers \"name\""},
        {"Name: a\nVersion: 1\nVersion: 1\n", "two headers \"version\""},
        {"Name: a\nVersion: 1\nSummary: b\nSummary: c\n", "two headers \"summary\""},
        {"Name: a\nVersion: 1\nRequires-Python: >3\nRequires-Python: <3\n",
         "two headers \"requires-python\""},
        {"Name: a\nVersion: 1\nSummary: \xff\n", "not UTF-8"},
        {"Name: a\nVersion: 1\n\n\xc0\x80", "not UTF-8"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct metadata m;
        char why[128] = "";

        assert_int_equal(python_metadata_parse(cases[i].text, strlen(cases[i].text), &m, why, sizeof why),
                         -EINVAL);
        assert_non_null(strstr(why, cases[i].why));
        python_metadata_release(&m);
    }
}

static void a_nul_in_metadata_is_refused(void **state)
{
    static const char text[] = "Name: a\nVersion: 1\0\n";
    struct metadata m;
    char why[128];

    assert_int_equal(python_metadata_parse(text, sizeof text - 1, &m, why, sizeof why), -EINVAL);
    python_metadata_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fields_are_read_and_the_description_is_not),
        cmocka_unit_test(absent_fields_are_null),
        cmocka_unit_test(requirements_of_extras_are_left_out),
        cmocka_unit_test(folded_lines_are_joined_and_control_characters_dropped),
        cmocka_unit_test(a_lone_carriage_return_ends_a_line_as_it_does_for_pip),
        cmocka_unit_test(headers_end_at_the_first_line_that_is_none),
        cmocka_unit_test(lines_that_pip_passes_over_hide_nothing),
        cmocka_unit_test(other_headers_may_come_as_often_as_they_like),
        cmocka_unit_test(bad_metadata_is_refused_with_the_reason),
        cmocka_unit_test(a_nul_in_metadata_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
