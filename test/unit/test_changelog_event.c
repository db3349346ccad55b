/*
 * What rows of the changelog mean: every action that PyPI writes, and names, versions and files that are none.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/pypi/changelog_event.h"
#include "core/memory.h"
#include "python.h"

static void add_target(struct db_targets *targets, unsigned id, const char *abi, const char *platform)
{
    struct db_target *t = &targets->items[targets->count++];

    t->id = id;
    strcpy(t->abi, abi);
    strcpy(t->platform, platform);
}

static int set_up(void **state)
{
    struct fits *fits = mem_new(1, sizeof *fits);
    struct db_targets *targets = mem_new(1, sizeof *targets);

    add_target(targets, 0, "cp39", "linux_armv7l");
    add_target(targets, 5, "cp311", "linux_x86_64");
    add_target(targets, 63, "cp313t", "linux_x86_64");
    fits_set(fits, targets);
    free(targets);
    *state = fits;
    return 0;
}

static int tear_down(void **state)
{
    fits_release(*state);
    free(*state);
    return 0;
}

static enum changelog_verdict read_row(struct fits *fits, const char *name, const char *version,
                                       const char *action, struct changelog_event *to)
{
    struct changelog_row row = {.name = name, .version = version, .action = action, .happened = 1724000000, .serial = 7};
    return changelog_event_read(&row, fits, to);
}

/* ---- actions -------------------------------------------------------------------------------------- */

static void every_action_is_known_by_its_exact_words(void **state)
{
    static const struct {
        const char *version, *action;
        char kind;             /* ' ': nothing */
        const char *kept;      /* version, or NULL */
        const char *file, *tags;
    } cases[] = {
        {NULL, "create", 'c', NULL, NULL, NULL},
        {"1.0", "new release", 'n', "1.0", NULL, NULL},
        {"1.0", "add source file Ab_C-1.0.tar.gz", 's', "1.0", "Ab_C-1.0.tar.gz", NULL},
        {"1.0", "add source file ab-c-1.0.zip", 's', "1.0", "ab-c-1.0.zip", NULL},
        {"1.0", "add source file ab-c-1.0.rpm", 'o', "1.0", "ab-c-1.0.rpm", NULL},
        {"1.0", "add source file other-1.0.tar.gz", 's', "1.0", "other-1.0.tar.gz", NULL},
        {"1.0", "add any file ab-c-1.0.zip", 'o', "1.0", "ab-c-1.0.zip", NULL},
        {"1.0", "add 2.7 file Ab_C-1.0-py2.7.egg", 'o', "1.0", "Ab_C-1.0-py2.7.egg", NULL},
        {"1.0", "add py3 file ab_c-1.0-py3-none-any.whl", 'w', "1.0", "ab_c-1.0-py3-none-any.whl", "py3-none-any"},
        {"1.0", "add cp312 file ab_c-1.0-1-CP312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", 'w', "1.0",
         "ab_c-1.0-1-CP312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
         "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64"},
        {"1.0", "add py3 file other-1.0-py3-none-any.whl", 'w', "1.0", "other-1.0-py3-none-any.whl", "py3-none-any"},
        {NULL, "remove", 'P', NULL, NULL, NULL},
        {NULL, "remove project", 'P', NULL, NULL, NULL},
        {"1.0", "remove", 'P', NULL, NULL, NULL},
        {"1.0", "remove release", 'R', "1.0", NULL, NULL},
        {"1.0", "remove file ab-c-1.0.tar.gz", 'F', "1.0", "ab-c-1.0.tar.gz", NULL},
        {"1.0", "remove file ab_c-1.0-py3-none-any.whl", 'F', "1.0", "ab_c-1.0-py3-none-any.whl", "py3-none-any"},
        {"1.0", "yank release", 'y', "1.0", NULL, NULL},
        {"1.0", "unyank release", 'u', "1.0", NULL, NULL},
        {NULL, "project quarantined", 'Q', NULL, NULL, NULL},
        {NULL, "project quarantine cleared", 'C', NULL, NULL, NULL},
        {NULL, "project quarantined cleared", 'C', NULL, NULL, NULL},
        {"1.0", "release quarantined", 'q', "1.0", NULL, NULL},
        {"1.0", "release quarantine cleared", 'd', "1.0", NULL, NULL},
        {"1.0", "release quarantined cleared", 'd', "1.0", NULL, NULL},
        /* people come and go */
        {NULL, "add Owner somebody", ' ', NULL, NULL, NULL},
        {NULL, "add Maintainer somebody", ' ', NULL, NULL, NULL},
        {NULL, "remove Owner somebody", ' ', NULL, NULL, NULL},
        {NULL, "remove Maintainer project", ' ', NULL, NULL, NULL},
        {NULL, "change Owner somebody to Maintainer", ' ', NULL, NULL, NULL},
        {NULL, "invite Owner somebody", ' ', NULL, NULL, NULL},
        /* nobody knows these */
        {NULL, "", '?', NULL, NULL, NULL},
        {NULL, "archive", '?', NULL, NULL, NULL},
        {"1.0", "remove everything", '?', NULL, NULL, NULL},
        {"1.0", "removed", '?', NULL, NULL, NULL},
        {"1.0", "remove project now", '?', NULL, NULL, NULL},
        {"1.0", "Remove", '?', NULL, NULL, NULL},
        {"1.0", " create", '?', NULL, NULL, NULL},
        {"1.0", "create ", '?', NULL, NULL, NULL},
        {"1.0", "new", '?', NULL, NULL, NULL},
        {"1.0", "add Owner", '?', NULL, NULL, NULL},
        {"1.0", "add source file", '?', NULL, NULL, NULL},
        {"1.0", "add source file ", '?', NULL, NULL, NULL},
        {"1.0", "add source file a/b-1.0.tar.gz", '?', NULL, NULL, NULL},
        {"1.0", "add source file a\x7f", '?', NULL, NULL, NULL},
        {"1.0", "add file ab-c-1.0.tar.gz", '?', NULL, NULL, NULL},
        {"1.0", "remove file", '?', NULL, NULL, NULL},
        /* what lacks the version that it is about */
        {NULL, "new release", '?', NULL, NULL, NULL},
        {"", "new release", '?', NULL, NULL, NULL},
        {NULL, "remove release", '?', NULL, NULL, NULL},
        {NULL, "yank release", '?', NULL, NULL, NULL},
        {NULL, "add source file ab-c-1.0.tar.gz", '?', NULL, NULL, NULL},
    };
    struct changelog_event e;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum changelog_verdict verdict = read_row(*state, "Ab_C", cases[i].version, cases[i].action, &e);
        if (cases[i].kind == ' ') {
            assert_int_equal(verdict, ROW_NOTHING);
            continue;
        }
        assert_int_equal(verdict, cases[i].kind == '?' ? ROW_UNKNOWN : ROW_EVENT);
        assert_int_equal(e.event.kind, cases[i].kind);
        assert_string_equal(e.event.name, "ab-c");
        assert_string_equal(e.event.display, "Ab_C");
        assert_string_equal(e.event.version != NULL ? e.event.version : "-", cases[i].kept != NULL ? cases[i].kept : "-");
        assert_string_equal(e.event.file != NULL ? e.event.file : "-", cases[i].file != NULL ? cases[i].file : "-");
        assert_string_equal(e.event.tags != NULL ? e.event.tags : "-", cases[i].tags != NULL ? cases[i].tags : "-");
    }
}

/* ---- names and versions --------------------------------------------------------------------------- */

static void names_that_are_none_are_refused(void **state)
{
    char long_name[300];
    const char *const names[] = {"", "-a", "a b", "a\x7f" "b", "é", "a/b", long_name};
    struct changelog_event e;

    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(read_row(*state, names[i], NULL, "create", &e), ROW_REFUSED);
        assert_non_null(strstr(e.why, "name"));
    }
}

static void versions_get_their_normal_spelling_and_a_key(void **state)
{
    static const struct {
        const char *version, *normal;
        bool prerelease, legacy;
    } cases[] = {
        {"1.0.RC-1", "1.0rc1", true, false},
        {"v2.0", "2.0", false, false},
        {"1.0.dev3", "1.0.dev3", true, false},
        {"2004b", "2004b0", true, false},
        {"0.1-alpha-bug", "0.1-alpha-bug", false, true},
        {"1.0\x7f", "1.0", false, false},
        {"  odd one\t ", "odd one", false, true},
    };
    struct changelog_event e;
    struct buf key;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(read_row(*state, "a", cases[i].version, "new release", &e), ROW_EVENT);
        assert_string_equal(e.event.version, cases[i].normal);
        assert_int_equal(e.event.prerelease, cases[i].prerelease);
        assert_int_equal(e.event.legacy, cases[i].legacy);
        buf_init(&key, 2000);
        assert_int_equal(python_version_sort_key(cases[i].normal, &key), 0);
        assert_int_equal(e.event.sort_key_len, key.len);
        assert_memory_equal(e.event.sort_key, key.data, key.len);
        buf_release(&key);
    }
}

static void a_version_that_cannot_be_stored_is_refused(void **state)
{
    char version[400];
    struct changelog_event e;

    memset(version, '1', sizeof version - 1);
    version[sizeof version - 1] = '\0';
    assert_int_equal(read_row(*state, "a", version, "new release", &e), ROW_REFUSED);
    assert_non_null(strstr(e.why, "version"));
    version[255] = '\0';
    assert_int_equal(read_row(*state, "a", version, "new release", &e), ROW_EVENT);
    assert_true(e.event.legacy);
}

static void times_that_are_none_become_some(void **state)
{
    struct changelog_row row = {.name = "a", .action = "create", .happened = -5, .serial = 1};
    struct changelog_event e;

    changelog_event_read(&row, *state, &e);
    assert_int_equal(e.event.happened, 0);
    row.happened = INT64_MAX;
    changelog_event_read(&row, *state, &e);
    assert_int_equal(e.event.happened, INT64_C(4102444800));
}

/* ---- what fits ------------------------------------------------------------------------------------ */

static void a_wheel_tells_the_targets_that_it_fits(void **state)
{
    static const struct {
        const char *tags;
        uint64_t mask;
    } cases[] = {
        {"py3-none-any", 1 | UINT64_C(1) << 5 | UINT64_C(1) << 63},
        {"cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", 1 << 5},
        {"cp39-abi3-linux_armv7l", 1},
        {"cp313-cp313t-manylinux_2_28_x86_64", UINT64_C(1) << 63},
        {"cp311-cp311-win_amd64", 0},
        {"nonsense", 0},
    };

    for (unsigned round = 0; round < 2; round++) /* the second time they are remembered */
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            assert_int_equal(fits_mask(*state, cases[i].tags), cases[i].mask);
}

static void other_targets_are_judged_anew(void **state)
{
    struct fits *fits = *state;
    struct db_targets *targets = mem_new(1, sizeof *targets);

    assert_int_equal(fits_mask(fits, "cp311-cp311-linux_x86_64"), 1 << 5);
    *targets = fits->targets;
    targets->items[1].id = 6;
    fits_set(fits, targets);
    assert_int_equal(fits_mask(fits, "cp311-cp311-linux_x86_64"), 1 << 6);
    free(targets);
}

static void more_sets_of_tags_than_are_remembered_are_judged_all_the_same(void **state)
{
    char tags[64];

    for (unsigned i = 0; i < 30000; i++) {
        snprintf(tags, sizeof tags, "cp311-cp311-macosx_%u_0_x86_64.linux_x86_64", i);
        assert_int_equal(fits_mask(*state, tags), 1 << 5);
    }
}

/* ---- rows for the database ------------------------------------------------------------------------ */

static void an_event_becomes_a_row_of_copy(void **state)
{
    struct buf rows;
    struct db_event e = {.serial = 5, .happened = 6, .kind = 'w', .name = "a", .display = "A", .version = "1\\N",
                         .sort_key = "\x01\xff", .sort_key_len = 2, .legacy = true, .file = "a\tb\nc\rd", .tags = "t",
                         .fits = UINT64_C(1) << 63};

    buf_init(&rows, 1000);
    assert_int_equal(db_event_add(&rows, &e), 0);
    e = (struct db_event){.serial = 7, .happened = 8, .kind = 'c', .name = "a", .display = "A"};
    assert_int_equal(db_event_add(&rows, &e), 0);
    assert_string_equal(rows.data, "5\t6\tw\ta\tA\t1\\\\N\t\\\\x01ff\tf\tt\ta\\tb\\nc\\rd\tt\t-9223372036854775808\n"
                                   "7\t8\tc\ta\tA\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n");
    buf_release(&rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_action_is_known_by_its_exact_words),
        TEST(names_that_are_none_are_refused),
        TEST(versions_get_their_normal_spelling_and_a_key),
        TEST(a_version_that_cannot_be_stored_is_refused),
        TEST(times_that_are_none_become_some),
        TEST(a_wheel_tells_the_targets_that_it_fits),
        TEST(other_targets_are_judged_anew),
        TEST(more_sets_of_tags_than_are_remembered_are_judged_all_the_same),
        cmocka_unit_test(an_event_becomes_a_row_of_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
