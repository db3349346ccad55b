/*
 * PEP 440 versions: spellings, order, and the keys that the database sorts by. The expected values are those
 * of Python's `packaging`.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "python.h"

#define HUGE_NUMBER "123456789012345678901234567890"

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static struct buf key_of(const char *version)
{
    struct buf key;

    buf_init(&key, 1024);
    assert_int_equal(python_version_sort_key(version, &key), 0);
    return key;
}

/* As the database compares bytea: a key that begins another is the lesser. */
static int compare_keys(const char *a, const char *b)
{
    struct buf left = key_of(a), right = key_of(b);
    int order = memcmp(left.data, right.data, left.len < right.len ? left.len : right.len);

    if (order == 0)
        order = (left.len > right.len) - (left.len < right.len);
    buf_release(&left);
    buf_release(&right);
    return sign(order);
}

static void assert_order(const char *a, const char *b, int order)
{
    if (sign(python_version_compare(a, b)) != order || compare_keys(a, b) != order)
        fail_msg("\"%s\" against \"%s\": %d by comparison, %d by key, not %d", a, b,
                 sign(python_version_compare(a, b)), compare_keys(a, b), order);
}

static void every_spelling_has_one_normal_form(void **state)
{
    static const struct {
        const char *version, *normal;
    } cases[] = {
        {"1", "1"},
        {"1.0", "1.0"},
        {"01.02.003", "1.2.3"},
        {"v1.0", "1.0"},
        {"V1", "1"},
        {" 1.0\n", "1.0"},
        {"\t1.0 \r\n", "1.0"},
        {"0!1", "1"},
        {"1!2", "1!2"},
        {"007!2", "7!2"},
        {"0", "0"},
        {"00.00", "0.0"},
        {"1.0a1", "1.0a1"},
        {"1.0.a.1", "1.0a1"},
        {"1.0-ALPHA-1", "1.0a1"},
        {"1.0_alpha_01", "1.0a1"},
        {"1.0beta", "1.0b0"},
        {"1.0b", "1.0b0"},
        {"1.0c3", "1.0rc3"},
        {"1.0pre3", "1.0rc3"},
        {"1.0preview3", "1.0rc3"},
        {"1.0.RC-1", "1.0rc1"},
        {"1.0a-", "1.0a0"},
        {"1.0a.", "1.0a0"},
        {"1.0a.dev1", "1.0a0.dev1"},
        {"1.0a-.dev1", "1.0a0.dev1"},
        {"1.0a--1", "1.0a0.post1"},
        {"1.0a1-2", "1.0a1.post2"},
        {"1.0-1", "1.0.post1"},
        {"1.0-01.dev2", "1.0.post1.dev2"},
        {"1.0post", "1.0.post0"},
        {"1.0.rev4", "1.0.post4"},
        {"1.0-r4", "1.0.post4"},
        {"1.0_Post_4", "1.0.post4"},
        {"1.0r", "1.0.post0"},
        {"1.0dev", "1.0.dev0"},
        {"1.0-DEV-3", "1.0.dev3"},
        {"1.0.dev.", "1.0.dev0"},
        {"1.0rc1.post2.dev3", "1.0rc1.post2.dev3"},
        {"1.0+abc", "1.0+abc"},
        {"1.0+ABC-1_02.x", "1.0+abc.1.2.x"},
        {"1.0+00", "1.0+0"},
        {"1.0+1a", "1.0+1a"},
        {"1.0.post1+ubuntu-1", "1.0.post1+ubuntu.1"},
        {HUGE_NUMBER "." HUGE_NUMBER, HUGE_NUMBER "." HUGE_NUMBER},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf normal;

        buf_init(&normal, 256);
        assert_true(python_version_valid(cases[i].version));
        assert_int_equal(python_version_normalise(cases[i].version, &normal), 0);
        assert_string_equal(normal.data, cases[i].normal);
        assert_order(cases[i].version, cases[i].normal, 0);
        buf_release(&normal);
    }
}

static void what_is_no_version_does_not_parse(void **state)
{
    static const char *const invalid[] = {
        "",
        " ",
        "a",
        "french toast",
        "v",
        "vv1",
        "1.",
        ".1",
        "1..0",
        "1.0+",
        "1.0+a+b",
        "1.0+_",
        "1.0+a__b",
        "1.0+a.",
        "1.0-",
        "1.0--1",
        "1.0-a-b",
        "!1",
        "1!",
        "1!!2",
        "1!2!3",
        "-1!2",
        "1.0x",
        "1.0 a1",
        "1.0.*",
        "1.0a1b1",
        "1.0.post1.post2",
        "1.0.dev1a1",
        "1.0.dev1.post1",
        "1.0_1",
        "1.0-1-2",
        "+a",
        "1.0+\xc3\xa9",
        "1,0",
        "1.0\x01",
        "\u00a01.0",
        "1.0+a b",
        "2004d..x",
    };

    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        if (python_version_valid(invalid[i]))
            fail_msg("\"%s\" parses", invalid[i]);
}

static void a_version_of_250_bytes_parses_and_a_longer_one_does_not(void **state)
{
    char version[PYTHON_VERSION_MAX + 2];

    memset(version, '9', sizeof version);
    version[PYTHON_VERSION_MAX] = '\0';
    assert_true(python_version_valid(version));
    assert_order(version, "1", 1);
    version[PYTHON_VERSION_MAX] = '9';
    version[PYTHON_VERSION_MAX + 1] = '\0';
    assert_false(python_version_valid(version));
    assert_order(version, "0.dev0", -1);
}

static void the_longest_versions_make_keys_that_fit(void **state)
{
    static const char *const repeated[] = {"1.", "0.", "1+a.", "1+1.", "1a1.post1.dev1+a.1."};

    for (size_t i = 0; i < COUNT_OF(repeated); i++) {
        char version[PYTHON_VERSION_MAX + 1];
        size_t len = strlen(repeated[i]);

        for (size_t j = 0; j < PYTHON_VERSION_MAX; j++)
            version[j] = j < len ? repeated[i][j] : repeated[i][len - 2 + (j - len) % 2];
        version[PYTHON_VERSION_MAX - 1] = '1';
        version[PYTHON_VERSION_MAX] = '\0';
        if (!python_version_valid(version))
            version[PYTHON_VERSION_MAX - 1] = '\0';
        assert_true(python_version_valid(version));
        assert_order(version, version, 0);
    }
}

/* Each is less than all that follow. */
static const char *const ascending[] = {
    "",
    "2004d",
    "french toast",
    "zzz",
    "0.dev0",
    "0a0",
    "0",
    "0.0.0.1",
    "1.dev0",
    "1.0.dev456",
    "1.0a1.dev1",
    "1.0a1",
    "1.0a1.post1.dev0",
    "1.0a1.post1",
    "1.0a2.dev456",
    "1.0a12.dev456",
    "1.0a12",
    "1.0b1.dev456",
    "1.0b2",
    "1.0b2.post345.dev456",
    "1.0b2.post345",
    "1.0rc1.dev456",
    "1.0rc1",
    "1.0rc2",
    "1.0rc10",
    "1.0",
    "1.0+abc.5",
    "1.0+abc.7",
    "1.0+abca",
    "1.0+5",
    "1.0+5.a",
    "1.0+5.0",
    "1.0+10",
    "1.0.post0.dev1",
    "1.0.post0",
    "1.0.post456.dev34",
    "1.0.post456",
    "1.0.1.dev0",
    "1.0.1",
    "1.0.2",
    "1.0.10",
    "1.1.dev1",
    "1.1",
    "1.2+123abc",
    "1.2+abc",
    "1.2+abc123",
    "1.2+abcdef",
    "1.2+1234.abc",
    "1.2+123456",
    "1.2.r32+123456",
    "1.2.rev33+123456",
    "1.10",
    "2",
    "9",
    "10",
    "20230101",
    HUGE_NUMBER,
    ("1" HUGE_NUMBER),
    "1!0.dev0",
    "1!1.0",
    "2!0",
    "10!0",
};

static void versions_sort_in_the_order_of_pep_440(void **state)
{
    for (size_t i = 0; i < COUNT_OF(ascending); i++)
        for (size_t j = 0; j < COUNT_OF(ascending); j++)
            assert_order(ascending[i], ascending[j], (i > j) - (i < j));
}

static void versions_that_mean_the_same_are_equal(void **state)
{
    static const char *const pairs[][2] = {
        {"1", "1.0.0.0"},     {"0", "0.0"},     {"1.0", "v1"},    {"1.0", "0!01"},   {"1.0+a-1", "1.0+A.01"},
        {"1.0.1.0", "1.0.1"}, {"1!0", "1!0.0"}, {"1.0c0", "1rc"}, {"1-0", "1.post"},
    };

    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        assert_order(pairs[i][0], pairs[i][1], 0);
}

/* A version drawn at random as numbers, whose order is known without its spelling. */
struct drawn {
    int parts[9];   /* epoch, three of the release, pre kind, its number, post, dev, local: as they compare */
    char text[128];
};

static int draw(unsigned *seed, int from, int below)
{
    return from + rand_r(seed) % (below - from);
}

static void spell(struct drawn *d, unsigned *seed)
{
    static const char *const pre[][3] = {
        {"a", ".alpha", "-A"}, {"b", "_beta", "B."}, {"rc", "c", "-preview_"}};
    static const char *const zeros[] = {"", ".0", ".00.0"};
    const int *p = d->parts;
    int len = 0;

    if (p[0] > 0)
        len += sprintf(d->text + len, "%d!", p[0]);
    len += sprintf(d->text + len, "%d.%0*d.%d", p[1], draw(seed, 1, 4), p[2], p[3]);
    len += sprintf(d->text + len, "%s", zeros[draw(seed, 0, 3)]);
    if (p[4] >= 1 && p[4] <= 3)
        len += sprintf(d->text + len, "%s%d", pre[p[4] - 1][draw(seed, 0, 3)], p[5]);
    if (p[6] >= 0)
        len += sprintf(d->text + len, draw(seed, 0, 2) ? "-%d" : ".post%d", p[6]);
    if (p[7] < 1000)
        len += sprintf(d->text + len, draw(seed, 0, 2) ? ".dev%d" : "DEV-0%d", p[7]);
    if (p[8] >= 0)
        sprintf(d->text + len, "+%d", p[8]);
}

static void draw_version(struct drawn *d, unsigned *seed)
{
    int *p = d->parts;

    p[0] = draw(seed, 0, 2);
    for (int i = 1; i <= 3; i++)
        p[i] = draw(seed, 0, 2) ? draw(seed, 0, 3) : draw(seed, 8, 102);
    p[4] = draw(seed, 1, 8) > 3 ? 4 : draw(seed, 1, 4);
    p[5] = p[4] == 4 ? 0 : draw(seed, 0, 12);
    p[6] = draw(seed, 0, 3) ? -1 : draw(seed, 0, 12);
    p[7] = draw(seed, 0, 3) ? 1000 : draw(seed, 0, 12);
    p[8] = draw(seed, 0, 4) ? -1 : draw(seed, 0, 12);
    if (p[4] == 4 && p[6] < 0 && p[7] < 1000)
        p[4] = 0; /* a bare dev release comes before all pre-releases */
    spell(d, seed);
}

static void drawn_versions_compare_as_their_numbers_do(void **state)
{
    unsigned seed = 440;

    for (int round = 0; round < 20000; round++) {
        struct drawn a, b;
        int order = 0;

        draw_version(&a, &seed);
        draw_version(&b, &seed);
        for (size_t i = 0; i < COUNT_OF(a.parts) && order == 0; i++)
            order = (a.parts[i] > b.parts[i]) - (a.parts[i] < b.parts[i]);
        assert_order(a.text, b.text, order);
    }
}

static void alpha_beta_candidate_and_dev_are_prereleases(void **state)
{
    static const char *const pre[] = {"1a1",          "1b",          "1.0rc1",        "1.dev0",
                                      "1.post1.dev0", "1.0c1.post1", "1.0.dev1+local"};
    static const char *const final[] = {"1", "1.post1", "1-1", "1+dev1", "1!0", "not a version", ""};

    for (size_t i = 0; i < COUNT_OF(pre); i++)
        assert_true(python_version_prerelease(pre[i]));
    for (size_t i = 0; i < COUNT_OF(final); i++)
        assert_false(python_version_prerelease(final[i]));
}

static void a_version_that_does_not_parse_keeps_its_spelling(void **state)
{
    struct buf normal;

    buf_init(&normal, 64);
    assert_int_equal(python_version_normalise("Final (1)", &normal), 0);
    assert_string_equal(normal.data, "Final (1)");
    buf_release(&normal);
}

static void a_full_buffer_is_told(void **state)
{
    struct buf small;

    buf_init(&small, 3);
    assert_int_equal(python_version_normalise("1.2.3", &small), -ENOBUFS);
    buf_clear(&small);
    assert_int_equal(python_version_sort_key("1.2.3", &small), -ENOBUFS);
    buf_clear(&small);
    assert_int_equal(python_version_sort_key("no version", &small), -ENOBUFS);
    buf_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_has_one_normal_form),
        cmocka_unit_test(what_is_no_version_does_not_parse),
        cmocka_unit_test(a_version_of_250_bytes_parses_and_a_longer_one_does_not),
        cmocka_unit_test(the_longest_versions_make_keys_that_fit),
        cmocka_unit_test(versions_sort_in_the_order_of_pep_440),
        cmocka_unit_test(versions_that_mean_the_same_are_equal),
        cmocka_unit_test(drawn_versions_compare_as_their_numbers_do),
        cmocka_unit_test(alpha_beta_candidate_and_dev_are_prereleases),
        cmocka_unit_test(a_version_that_does_not_parse_keeps_its_spelling),
        cmocka_unit_test(a_full_buffer_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
