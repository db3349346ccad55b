/* The slave's files: known masters (src/slave/known.h) and the wheels that a build left (src/slave/collect.h). */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/slave/collect.h"
#include "../../src/slave/known.h"
#include "io/fs.h"

#define ONE "SHA256:qc0kAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define OTHER "SHA256:9Jw2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(PATH_MAX);

    snprintf(path, PATH_MAX, "%s/slave-files-XXXXXX", base != NULL ? base : "/tmp");
    *state = path;
    return mkdtemp(path) == NULL;
}

static int remove_folder(void **state)
{
    int error = fs_remove_tree(*state);
    free(*state);
    return error;
}

static void write_in(const char *folder, const char *name, const char *text)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(fs_replace(path, text, strlen(text), false), 0);
}

/* ---- known masters ---- */

static enum known check(void **state, const char *master, const char *print)
{
    char path[2 * PATH_MAX], why[2048];

    snprintf(path, sizeof path, "%s/known_masters", (const char *)*state);
    return known_check(path, master, print, why, sizeof why);
}

static void a_master_is_known_by_the_key_of_its_first_contact(void **state)
{
    assert_int_equal(check(state, "10.0.0.1", ONE), KNOWN_NOW);
    assert_int_equal(check(state, "10.0.0.1:5555", ONE), KNOWN);
    assert_int_equal(check(state, "10.0.0.1", OTHER), KNOWN_OTHERWISE);
    assert_int_equal(check(state, "10.0.0.2", OTHER), KNOWN_NOW);
}

static void a_line_that_a_person_left_without_an_end_keeps_its_key(void **state)
{
    write_in(*state, "known_masters", "# ours\n10.0.0.1:5555 " ONE);
    assert_int_equal(check(state, "10.0.0.2", OTHER), KNOWN_NOW);
    assert_int_equal(check(state, "10.0.0.1", ONE), KNOWN);
    assert_int_equal(check(state, "10.0.0.2", OTHER), KNOWN);
}

/* ---- wheels ---- */

static void collect(void **state, struct verdict *v)
{
    struct build_file files[BUILD_MAX_FILES];
    unsigned count;

    *v = (struct verdict){0};
    collect_wheels(*state, "cffi", "1.0", files, &count, v);
    assert_int_equal(count, 0);
}

static void the_first_wheel_by_name_is_judged_first(void **state)
{
    struct verdict v;

    write_in(*state, "cffi-1.0-py3-none-linux_riscv64.whl", "b");
    write_in(*state, "cffi-1.0-py3-none-any.whl", "a");
    write_in(*state, "a.txt", "c");
    collect(state, &v);
    assert_string_equal(v.outcome, "failed");
    assert_string_equal(v.reason, "bad wheel");
    assert_memory_equal(v.detail, "cffi-1.0-py3-none-any.whl: ", 27);
}

static void what_a_build_has_closed_is_its_own_failure(void **state)
{
    struct verdict v;
    char path[2 * PATH_MAX];

    write_in(*state, "cffi-1.0-py3-none-any.whl", "a");
    snprintf(path, sizeof path, "%s/cffi-1.0-py3-none-any.whl", (const char *)*state);
    assert_int_equal(chmod(path, 0), 0);
    collect(state, &v);
    assert_string_equal(v.outcome, "failed");
    assert_int_equal(chmod(*state, 0), 0);
    collect(state, &v);
    assert_string_equal(v.outcome, "failed");
    assert_int_equal(chmod(*state, 0700), 0);
}

static void any_number_of_wheels_too_many_is_one_failure(void **state)
{
    struct verdict v;
    char name[64];

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "cffi-1.0-py3-none-any%d.whl", i);
        write_in(*state, name, "");
    }
    collect(state, &v);
    assert_string_equal(v.outcome, "failed");
    assert_string_equal(v.detail, "pip made more wheels than the 16 that one build may have");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_master_is_known_by_the_key_of_its_first_contact),
        TEST(a_line_that_a_person_left_without_an_end_keeps_its_key),
        TEST(the_first_wheel_by_name_is_judged_first),
        TEST(what_a_build_has_closed_is_its_own_failure),
        TEST(any_number_of_wheels_too_many_is_one_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
