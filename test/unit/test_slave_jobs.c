/* What lets a slave do several builds at once: how many, with which Pythons, and with how much room. */
#include <errno.h>
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

#include "../../src/slave/attempts.h"
#include "../../src/slave/machine.h"
#include "../../src/slave/pythons.h"
#include "../../src/slave/shortage.h"
#include "core/memory.h"

#define GB 1000000000ULL

/* ---- how many ---------------------------------------------------------------------------------- */

static void as_many_jobs_as_processors_but_one_for_each_gb_of_memory(void **state)
{
    static const struct {
        long cores;
        uint64_t memory_bytes;
        unsigned jobs;
    } cases[] = {
        {4, 8 * GB, 4},  {4, 2 * GB, 2},   {8, 3 * GB + GB / 2, 3}, {1, 64 * GB, 1}, {4, GB, 1},
        {4, GB / 2, 1},  {4, 0, 1},        {-1, 8 * GB, 1},         {200, 500 * GB, SLAVE_MAX_JOBS},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(machine_jobs_for(cases[i].cores, cases[i].memory_bytes), cases[i].jobs);
}

static void jobs_are_a_number_or_auto(void **state)
{
    static const char *const wrong[] = {"", "0", "-1", "65", "many", "Auto", "2.5", " 2", "2 ", "99999999999999999999"};
    unsigned jobs = 0;

    assert_int_equal(slave_jobs_read("1", &jobs), 0);
    assert_int_equal(jobs, 1);
    assert_int_equal(slave_jobs_read("64", &jobs), 0);
    assert_int_equal(jobs, 64);
    assert_int_equal(slave_jobs_read("auto", &jobs), 0);
    assert_int_equal(jobs, machine_jobs());
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(slave_jobs_read(wrong[i], &jobs), -EINVAL);
}

/* ---- which Pythons ----------------------------------------------------------------------------- */

struct folder {
    char dir[32], why[512];
    struct pythons pythons;
};

static int make_folder(void **state)
{
    struct folder *f = mem_new(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/piwheels-jobs-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    char command[64];
    pythons_close(&f->pythons);
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* A Python that answers this; free its path. */
static char *make_python(const struct folder *f, const char *name, const char *answer)
{
    char *path = mem_format("%s/%s", f->dir, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho '%s'\n", answer);
    fclose(file);
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

/* Opens the Pythons of these paths, which are freed. */
static int open_two(struct folder *f, char *first, char *second)
{
    char *both = mem_format("%s,%s", first, second);
    int error = pythons_open(&f->pythons, both, f->why, sizeof f->why);
    free(first);
    free(second);
    free(both);
    return error;
}

static void each_python_is_found_by_what_it_builds_for(void **state)
{
    struct folder *f = *state;
    char told[200];

    assert_int_equal(open_two(f, make_python(f, "a", "yes cp311 linux_x86_64 3.11.2 23.0"),
                              make_python(f, "b", "yes cp313t linux_x86_64 3.13.1 24.0")), 0);
    assert_int_equal(f->pythons.count, 2);
    assert_string_equal(pythons_find(&f->pythons, "cp313t", "linux_x86_64")->facts.version, "3.13.1");
    assert_non_null(strstr(pythons_find(&f->pythons, "cp311", "linux_x86_64")->path, "/a"));
    assert_null(pythons_find(&f->pythons, "cp313", "linux_x86_64"));
    assert_null(pythons_find(&f->pythons, "cp311", "linux_aarch64"));
    assert_string_equal(pythons_tell(&f->pythons, told, sizeof told), "cp311 on linux_x86_64 and cp313t on linux_x86_64");
}

static void a_python_that_cannot_be_used_is_named(void **state)
{
    struct folder *f = *state;

    assert_int_equal(open_two(f, make_python(f, "good", "yes cp311 linux_x86_64 3.11.2 23.0"),
                              mem_text("/nonexistent/python3")), -ENOENT);
    assert_non_null(strstr(f->why, "/nonexistent/python3"));
    assert_null(strstr(f->why, "good"));
    pythons_close(&f->pythons);
    assert_int_equal(open_two(f, make_python(f, "good", "yes cp311 linux_x86_64 3.11.2 23.0"),
                              make_python(f, "bad", "no it has no pip")), -EINVAL);
    assert_non_null(strstr(f->why, "/bad cannot be used for builds: it has no pip"));
}

static void two_pythons_for_the_same_target_are_refused_by_both_their_names(void **state)
{
    struct folder *f = *state;

    assert_int_equal(open_two(f, make_python(f, "first", "yes cp311 linux_x86_64 3.11.2 23.0"),
                              make_python(f, "second", "yes cp311 linux_x86_64 3.11.9 24.0")), -EEXIST);
    assert_non_null(strstr(f->why, "/first and "));
    assert_non_null(strstr(f->why, "/second both build for cp311 on linux_x86_64"));
}

static void there_are_no_more_pythons_than_may_be_offered(void **state)
{
    struct folder *f = *state;
    char *paths = NULL;

    for (int i = 0; i <= PYTHONS_MAX; i++) {
        char name[16], answer[80];
        snprintf(name, sizeof name, "python%d", i);
        snprintf(answer, sizeof answer, "yes cp3%d linux_x86_64 3.%d.1 23.0", i + 7, i + 7);
        char *path = make_python(f, name, answer), *before = paths;
        paths = before == NULL ? mem_text(path) : mem_format("%s,%s", before, path);
        free(before);
        free(path);
    }
    assert_int_equal(pythons_open(&f->pythons, paths, f->why, sizeof f->why), -E2BIG);
    assert_int_equal(f->pythons.count, PYTHONS_MAX);
    assert_non_null(strstr(f->why, "python16 is one too many"));
    free(paths);
}

/* ---- how much room ----------------------------------------------------------------------------- */

static const struct room wanted = {.disk_bytes = 400000000, .disk_files = 1000, .memory_bytes = 100000000};
static const struct room plenty = {.disk_bytes = UINT64_MAX, .disk_files = UINT64_MAX, .memory_bytes = UINT64_MAX};

static void what_is_wanted_is_enough(void **state)
{
    struct shortage s = {0};

    shortage_judge(&wanted, &wanted, &s);
    assert_int_equal(s.level, SHORTAGE_NONE);
    assert_string_equal(s.text, "");
    shortage_judge(&wanted, &plenty, &s);
    assert_int_equal(s.level, SHORTAGE_NONE);
}

static void each_of_the_three_can_be_low_and_says_so(void **state)
{
    static const struct {
        struct room free;
        const char *reason, *text;
    } cases[] = {
        {{399000000, 5000, GB}, "low disk", "399 MB of disk are free, 400 are wanted (--min-free)"},
        {{GB, 999, GB}, "low files", "999 files (inodes) of the disk are free, 1000 are wanted (--min-free-files)"},
        {{GB, 5000, 99000000}, "low memory", "99 MB of memory are free, 100 are wanted (--min-free-memory)"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct shortage s = {0};
        shortage_judge(&wanted, &cases[i].free, &s);
        assert_int_equal(s.level, SHORTAGE_LOW);
        assert_string_equal(s.reason, cases[i].reason);
        assert_string_equal(s.text, cases[i].text);
    }
}

static void less_than_a_quarter_is_too_low(void **state)
{
    struct shortage s = {0};

    shortage_judge(&wanted, &(struct room){100000000, 5000, GB}, &s);
    assert_int_equal(s.level, SHORTAGE_LOW);
    shortage_judge(&wanted, &(struct room){99999999, 5000, GB}, &s);
    assert_int_equal(s.level, SHORTAGE_TOO_LOW);
}

static void the_worst_is_told(void **state)
{
    struct shortage s = {0};

    shortage_judge(&wanted, &(struct room){200000000, 500, 1}, &s);
    assert_int_equal(s.level, SHORTAGE_TOO_LOW);
    assert_string_equal(s.reason, "low memory");
}

static void a_shortage_is_over_only_with_a_tenth_more(void **state)
{
    struct shortage s = {0};

    shortage_judge(&wanted, &(struct room){399999999, 5000, GB}, &s);
    shortage_judge(&wanted, &(struct room){439999999, 5000, GB}, &s);
    assert_int_equal(s.level, SHORTAGE_LOW);
    shortage_judge(&wanted, &(struct room){440000000, 5000, GB}, &s);
    assert_int_equal(s.level, SHORTAGE_NONE);
    shortage_judge(&wanted, &(struct room){400000000, 5000, GB}, &s);
    assert_int_equal(s.level, SHORTAGE_NONE);
}

static void who_wants_nothing_is_never_short(void **state)
{
    struct shortage s = {0};
    shortage_judge(&(struct room){0}, &(struct room){0}, &s);
    assert_int_equal(s.level, SHORTAGE_NONE);
}

static void this_machine_tells_what_is_free(void **state)
{
    struct room free = {0};

    shortage_look("/tmp", &free);
    assert_true(free.disk_bytes > 0 && free.disk_bytes < UINT64_MAX);
    assert_true(free.disk_files > 0 && free.memory_bytes > 0 && free.memory_bytes < UINT64_MAX);
    shortage_look("/nonexistent", &free);
    assert_true(free.disk_bytes == UINT64_MAX && free.disk_files == UINT64_MAX);
}

/* ---- the list ---------------------------------------------------------------------------------- */

static void the_newest_attempt_is_the_first_and_each_is_found_by_its_id(void **state)
{
    struct attempts l = {0};
    struct attempt a = {.id = 3, .state = ATTEMPT_BUILT}, b = {.id = 9, .state = ATTEMPT_BUILDING},
                   c = {.id = 5, .state = ATTEMPT_BUILDING};

    attempts_add(&l, &a);
    attempts_add(&l, &b);
    attempts_add(&l, &c);
    assert_ptr_equal(l.first, &c);
    assert_int_equal(l.count, 3);
    assert_int_equal(attempts_in(&l, ATTEMPT_BUILDING), 2);
    assert_ptr_equal(attempts_find(&l, 9), &b);
    assert_null(attempts_find(&l, 4));
    attempts_remove(&l, &b);
    assert_null(attempts_find(&l, 9));
    assert_ptr_equal(attempts_find(&l, 3), &a);
    assert_int_equal(l.count, 2);
}

static void nothing_is_given_up_while_one_that_ends_makes_room(void **state)
{
    struct attempts l = {0};
    struct attempt older = {.id = 1, .state = ATTEMPT_ENDING}, newer = {.id = 2, .state = ATTEMPT_BUILDING};

    assert_null(attempts_give_up_newest(&l, "low disk", "…"));
    attempts_add(&l, &older);
    attempts_add(&l, &newer);
    assert_null(attempts_give_up_newest(&l, "low disk", "…"));
    older.state = ATTEMPT_BUILT;
    assert_ptr_equal(attempts_give_up_newest(&l, "low disk", "too full"), &newer);
    assert_string_equal(newer.build.given_up.outcome, "farm");
    assert_string_equal(newer.build.given_up.reason, "low disk");
    assert_string_equal(newer.build.given_up.detail, "too full");
    assert_null(attempts_give_up_newest(&l, "low disk", "…"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_jobs_as_processors_but_one_for_each_gb_of_memory),
        cmocka_unit_test(jobs_are_a_number_or_auto),
        cmocka_unit_test_setup_teardown(each_python_is_found_by_what_it_builds_for, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_python_that_cannot_be_used_is_named, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(two_pythons_for_the_same_target_are_refused_by_both_their_names, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(there_are_no_more_pythons_than_may_be_offered, make_folder, remove_folder),
        cmocka_unit_test(what_is_wanted_is_enough),
        cmocka_unit_test(each_of_the_three_can_be_low_and_says_so),
        cmocka_unit_test(less_than_a_quarter_is_too_low),
        cmocka_unit_test(the_worst_is_told),
        cmocka_unit_test(a_shortage_is_over_only_with_a_tenth_more),
        cmocka_unit_test(who_wants_nothing_is_never_short),
        cmocka_unit_test(this_machine_tells_what_is_free),
        cmocka_unit_test(the_newest_attempt_is_the_first_and_each_is_found_by_its_id),
        cmocka_unit_test(nothing_is_given_up_while_one_that_ends_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
