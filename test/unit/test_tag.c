/*
 * Wheel file names, their tags, and the targets they fit.
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

static void a_wheel_name_is_taken_apart(void **state)
{
    struct wheel_name name;

    assert_int_equal(
        python_wheel_name_parse("zope.interface-5.0+x_1-2b-cp39.cp311-abi3-linux_armv7l.whl", &name), 0);
    assert_string_equal(name.dist, "zope.interface");
    assert_string_equal(name.version, "5.0+x_1");
    assert_string_equal(name.build, "2b");
    assert_string_equal(name.python, "cp39.cp311");
    assert_string_equal(name.abi, "abi3");
    assert_string_equal(name.platform, "linux_armv7l");
}

static void a_wheel_name_without_build_has_an_empty_one(void **state)
{
    struct wheel_name name;

    assert_int_equal(python_wheel_name_parse("foo_bar-1!1.0-py2.py3-none-any.whl", &name), 0);
    assert_string_equal(name.build, "");
    assert_string_equal(name.version, "1!1.0");
    assert_true(python_wheel_is_pure(&name));
}

static void what_is_no_wheel_name_is_refused(void **state)
{
    static const char *const invalid[] = {
        "",
        ".whl",
        "foo-1.0.whl",
        "foo-1.0-py3-none.whl",
        "foo-1.0-py3-none-any.tar.gz",
        "foo-1.0-py3-none-any",
        "foo-1.0-py3-none-any.WHL",
        "foo-1.0-x1-py3-none-any.whl",
        "foo-1.0-1-2-py3-none-any.whl",
        "-1.0-py3-none-any.whl",
        "foo--py3-none-any.whl",
        "foo-1.0--none-any.whl",
        "foo-1.0-py3--any.whl",
        "foo-1.0-py3-none-.whl",
        "foo-1.0-py3-none-any-.whl",
        "foo-1.0-py3..py2-none-any.whl",
        "foo-1.0-.py3-none-any.whl",
        "foo-1.0-py3.-none-any.whl",
        "a/foo-1.0-py3-none-any.whl",
        "../foo-1.0-py3-none-any.whl",
        "foo-1.0-py3-none-any\n.whl",
        "foo-1/0-py3-none-any.whl",
        "foo-1.0-py3-none-a ny.whl",
        "_foo-1.0-py3-none-any.whl",
        "f\xc3\xb6-1.0-py3-none-any.whl",
        "foo-1.0-1/2-py3-none-any.whl",
    };
    struct wheel_name name;

    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        if (python_wheel_name_parse(invalid[i], &name) != -EINVAL)
            fail_msg("\"%s\" is taken for a wheel's name", invalid[i]);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    char file[1200];
    struct wheel_name name;

    snprintf(file, sizeof file, "%0*d-1.0-py3-none-any.whl", 255, 0);
    assert_int_equal(python_wheel_name_parse(file, &name), 0);
    snprintf(file, sizeof file, "%0*d-1.0-py3-none-any.whl", 256, 0);
    assert_int_equal(python_wheel_name_parse(file, &name), -EINVAL);
    snprintf(file, sizeof file, "foo-1.0-py3-none-%0*d.whl", 512, 0);
    assert_int_equal(python_wheel_name_parse(file, &name), -EINVAL);
}

static void a_set_of_more_than_32_tags_is_refused(void **state)
{
    char sets[128] = "p";
    struct python_tags tags = {0};

    for (int i = 1; i < PYTHON_TAG_SET_MAX; i++)
        strcat(sets, ".p");
    strcat(sets, "-none-any");
    assert_int_equal(python_tags_add(&tags, sets), 0);
    memmove(sets + 2, sets, strlen(sets) + 1);
    memcpy(sets, "p.", 2);
    assert_int_equal(python_tags_add(&tags, sets), -EINVAL);
    python_tags_release(&tags);
}

static void more_than_32768_tags_are_refused(void **state)
{
    static const char set[] = "p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p.p";
    struct python_tags tags = {0};
    char sets[3 * sizeof set];

    snprintf(sets, sizeof sets, "%s-%s-%s", set, set, set);
    assert_int_equal(python_tags_add(&tags, sets), 0);
    assert_int_equal(tags.count, PYTHON_TAGS_MAX);
    assert_int_equal(python_tags_add(&tags, "py3-none-any"), -EINVAL);
    python_tags_release(&tags);
}

static void tag_sets_are_compared_as_their_products(void **state)
{
    struct python_tags a = {0}, b = {0};

    python_tags_add(&a, "py2.py3-none-any");
    python_tags_add(&b, "PY3-none-any");
    assert_false(python_tags_equal(&a, &b));
    python_tags_add(&b, "py2-none-any");
    python_tags_add(&b, "py3-none-any");
    assert_true(python_tags_equal(&a, &b));
    assert_int_equal(b.count, 2);
    assert_string_equal(b.items[0], "py2-none-any");
    python_tags_add(&a, "cp39.cp310-abi3-linux_x86_64.linux_i686");
    assert_int_equal(a.count, 6);
    assert_false(python_tags_equal(&a, &b));
    python_tags_release(&a);
    python_tags_release(&b);
}

static void what_is_no_three_sets_is_no_tag(void **state)
{
    static const char *const invalid[] = {
        "", "py3", "py3-none", "py3-none-", "py3-none-any-", "py3-none-any-x", "py3--any", "py 3-none-any"};
    struct python_tags tags = {0};

    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        assert_int_equal(python_tags_add(&tags, invalid[i]), -EINVAL);
    assert_int_equal(tags.count, 0);
}

static void an_abi_tells_its_python(void **state)
{
    static const struct {
        const char *abi;
        unsigned major, minor;
        bool free_threaded;
    } cases[] = {{"cp311", 3, 11, false},
                 {"cp39", 3, 9, false},
                 {"cp313t", 3, 13, true},
                 {"cp37m", 3, 7, false},
                 {"cp3100", 3, 100, false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned major, minor;
        bool free_threaded;

        assert_int_equal(python_abi_parse(cases[i].abi, &major, &minor, &free_threaded), 0);
        assert_int_equal(major, cases[i].major);
        assert_int_equal(minor, cases[i].minor);
        assert_int_equal(free_threaded, cases[i].free_threaded);
    }
}

static void what_is_no_abi_of_cpython_is_refused(void **state)
{
    static const char *const invalid[] = {"",       "cp",     "cp3",     "py311",  "cp311x",
                                          "cp311m", "cp311t", "cp313tt", "cp3.11", "cp31100",
                                          "abi3",   "none",   "cpx11",   "cp313td"};
    unsigned major, minor;
    bool free_threaded;

    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        assert_int_equal(python_abi_parse(invalid[i], &major, &minor, &free_threaded), -EINVAL);
}

static void linux_platforms_in_all_spellings_are_valid(void **state)
{
    static const char *const valid[] = {
        "linux_x86_64", "linux_armv7l", "manylinux1_i686", "manylinux2010_x86_64", "manylinux2014_aarch64",
        "manylinux_2_28_riscv64", "musllinux_1_2_x86_64",
    };
    static const char *const invalid[] = {
        "",
        "any",
        "linux",
        "linux_",
        "linux__x",
        "linux_x86-64",
        "linux_x86.64",
        "Linux_x86_64",
        "linux_X86",
        "win32",
        "macosx_10_9_x86_64",
        "manylinux_x86_64",
        "manylinux_2_x86_64",
        "musllinux_x86_64",
        "musllinux_1_x86_64",
        "manylinux2099_x86_64",
        "linux_a/b",
        "manylinux_2_1234_x86_64",
    };

    for (size_t i = 0; i < COUNT_OF(valid); i++)
        assert_true(python_platform_valid(valid[i]));
    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        if (python_platform_valid(invalid[i]))
            fail_msg("\"%s\" is taken for a platform", invalid[i]);
}

static void assert_fits(const char *tags, const char *abi, const char *platform, bool fits)
{
    struct python_target target = {.abi = abi, .platform = platform};
    struct wheel_name name;
    char file[300];

    snprintf(file, sizeof file, "x-1-%s.whl", tags);
    assert_int_equal(python_wheel_name_parse(file, &name), 0);
    if (python_wheel_fits(&name, &target) != fits)
        fail_msg("%s %s %s on %s", tags, fits ? "does not fit" : "fits", abi, platform);
}

static void a_wheel_fits_a_target_whose_python_accepts_one_of_its_tags(void **state)
{
    static const char *const fitting[] = {
        "py3-none-any",
        "py2.py3-none-any",
        "py311-none-any",
        "py30-none-any",
        "py39-none-any",
        "cp311-none-any",
        "cp311-cp311-linux_x86_64",
        "cp311-none-linux_x86_64",
        "py3-none-linux_x86_64",
        "cp39-abi3-linux_x86_64",
        "cp32-abi3-linux_x86_64",
        "cp311-abi3-linux_x86_64",
        "CP311-CP311-LINUX_X86_64",
        "cp310.cp311-cp310.cp311-linux_i686.linux_x86_64",
        "cp311-cp311-manylinux1_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp38-abi3-manylinux_2_28_x86_64",
    };
    static const char *const others[] = {
        "py2-none-any",
        "py312-none-any",
        "py4-none-any",
        "py-none-any",
        "cp3-none-any",
        "cp310-none-any",
        "pp39-none-any",
        "cp310-cp310-linux_x86_64",
        "cp39-cp311-linux_x86_64",
        "cp312-abi3-linux_x86_64",
        "cp31-abi3-linux_x86_64",
        "cp27-abi3-linux_x86_64",
        "cp311-cp311-linux_i686",
        "cp311-cp311-win_amd64",
        "cp311-cp311-macosx_10_9_x86_64",
        "cp311-cp311-any",
        "cp311-cp311-musllinux_1_1_x86_64",
        "cp311-cp311-manylinux2014_aarch64",
        "py3-abi3-linux_x86_64",
        "cp311-cp311d-linux_x86_64",
        "py3-none-win32",
        "cp3111-cp3111-linux_x86_64",
        "cp311-cp313t-linux_x86_64",
    };

    for (size_t i = 0; i < COUNT_OF(fitting); i++)
        assert_fits(fitting[i], "cp311", "linux_x86_64", true);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_fits(others[i], "cp311", "linux_x86_64", false);
}

static void python_versions_are_compared_as_numbers(void **state)
{
    assert_fits("cp39-abi3-linux_x86_64", "cp311", "linux_x86_64", true);
    assert_fits("cp311-abi3-linux_x86_64", "cp39", "linux_x86_64", false);
    assert_fits("py310-none-any", "cp39", "linux_x86_64", false);
}

static void a_free_threaded_python_does_not_load_abi3(void **state)
{
    assert_fits("cp313-abi3-linux_x86_64", "cp313t", "linux_x86_64", false);
    assert_fits("cp313-cp313-linux_x86_64", "cp313t", "linux_x86_64", false);
    assert_fits("cp313-cp313t-linux_x86_64", "cp313t", "linux_x86_64", true);
    assert_fits("cp313-none-any", "cp313t", "linux_x86_64", true);
    assert_fits("cp313-cp313t-linux_x86_64", "cp313", "linux_x86_64", false);
}

static void a_platform_tag_fits_by_its_libc_and_its_version(void **state)
{
    assert_fits("cp311-cp311-manylinux_2_28_x86_64", "cp311", "manylinux_2_28_x86_64", true);
    assert_fits("cp311-cp311-manylinux2014_x86_64", "cp311", "manylinux_2_28_x86_64", true);
    assert_fits("cp311-cp311-linux_x86_64", "cp311", "manylinux_2_28_x86_64", true);
    assert_fits("cp311-cp311-manylinux_2_31_x86_64", "cp311", "manylinux_2_28_x86_64", false);
    assert_fits("cp311-cp311-musllinux_1_1_x86_64", "cp311", "musllinux_1_2_x86_64", true);
    assert_fits("cp311-cp311-musllinux_1_2_x86_64", "cp311", "musllinux_1_1_x86_64", false);
    assert_fits("cp311-cp311-musllinux_1_1_x86_64", "cp311", "linux_x86_64", false);
    assert_fits("cp311-cp311-manylinux1_x86_64", "cp311", "musllinux_1_2_x86_64", false);
    assert_fits("cp311-cp311-linux_armv6l", "cp311", "linux_armv7l", false);
}

static void no_pip_asks_for_a_manylinux_older_than_the_first_of_its_architecture(void **state)
{
    assert_fits("cp311-cp311-manylinux_2_5_i686", "cp311", "linux_i686", true);
    assert_fits("cp311-cp311-manylinux_2_4_i686", "cp311", "linux_i686", false);
    assert_fits("cp311-cp311-manylinux_2_4_x86_64", "cp311", "manylinux_2_28_x86_64", false);
    assert_fits("cp311-cp311-manylinux_2_17_armv7l", "cp311", "linux_armv7l", true);
    assert_fits("cp311-cp311-manylinux_2_12_armv7l", "cp311", "linux_armv7l", false);
    assert_fits("cp311-cp311-manylinux2010_aarch64", "cp311", "linux_aarch64", false);
    assert_fits("cp311-cp311-musllinux_1_1_aarch64", "cp311", "musllinux_1_2_aarch64", true);
}

static void nothing_fits_a_target_that_is_none(void **state)
{
    assert_fits("py3-none-any", "nonsense", "linux_x86_64", false);
}

static void a_wheel_wants_no_newer_glibc_than_the_target_has(void **state)
{
    static const struct {
        const char *platform;
        unsigned major, minor;
        bool fits;
    } cases[] = {
        {"manylinux_2_36_x86_64", 2, 36, true},    {"manylinux_2_37_x86_64", 2, 36, false},
        {"manylinux1_x86_64", 2, 5, true},         {"manylinux1_x86_64", 2, 4, false},
        {"manylinux2010_x86_64", 2, 12, true},     {"manylinux2010_x86_64", 2, 11, false},
        {"manylinux2014_x86_64", 2, 17, true},     {"manylinux2014_x86_64", 2, 16, false},
        {"manylinux_3_0_x86_64", 2, 36, false},    {"manylinux_2_99_x86_64", 0, 0, true},
        {"linux_x86_64", 2, 5, true},              {"musllinux_1_2_x86_64", 2, 36, false},
        {"manylinux_2_39_x86_64.manylinux_2_28_x86_64", 2, 36, true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct python_target target = {.abi = "cp311", .platform = "linux_x86_64", .glibc_major = cases[i].major,
                                       .glibc_minor = cases[i].minor};
        struct wheel_name name;
        char file[300];
        snprintf(file, sizeof file, "x-1-cp311-cp311-%s.whl", cases[i].platform);
        assert_int_equal(python_wheel_name_parse(file, &name), 0);
        if (python_wheel_fits(&name, &target) != cases[i].fits)
            fail_msg("%s on glibc %u.%u", cases[i].platform, cases[i].major, cases[i].minor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wheel_name_is_taken_apart),
        cmocka_unit_test(a_wheel_name_without_build_has_an_empty_one),
        cmocka_unit_test(what_is_no_wheel_name_is_refused),
        cmocka_unit_test(parts_that_do_not_fit_are_refused),
        cmocka_unit_test(a_set_of_more_than_32_tags_is_refused),
        cmocka_unit_test(more_than_32768_tags_are_refused),
        cmocka_unit_test(tag_sets_are_compared_as_their_products),
        cmocka_unit_test(what_is_no_three_sets_is_no_tag),
        cmocka_unit_test(an_abi_tells_its_python),
        cmocka_unit_test(what_is_no_abi_of_cpython_is_refused),
        cmocka_unit_test(linux_platforms_in_all_spellings_are_valid),
        cmocka_unit_test(a_wheel_fits_a_target_whose_python_accepts_one_of_its_tags),
        cmocka_unit_test(python_versions_are_compared_as_numbers),
        cmocka_unit_test(a_free_threaded_python_does_not_load_abi3),
        cmocka_unit_test(a_platform_tag_fits_by_its_libc_and_its_version),
        cmocka_unit_test(nothing_fits_a_target_that_is_none),
        cmocka_unit_test(no_pip_asks_for_a_manylinux_older_than_the_first_of_its_architecture),
        cmocka_unit_test(a_wheel_wants_no_newer_glibc_than_the_target_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
