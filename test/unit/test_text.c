/* Rules of core/text.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/text.h"

static void valid_utf8_is_recognised(void **state)
{
    static const char *const cases[] = {
        "",
        "plain",
        "\xc3\xa4",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++)
        assert_true(text_is_utf8(cases[i], strlen(cases[i])));
}

static void nul_overlongs_surrogates_and_fragments_are_not_utf8(void **state)
{
    static const char *const cases[] = {
        "\x80",
        "\xc3",
        "\xc3(",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xe2\x82",
        "a\xe2\x28\xa1",
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++)
        assert_false(text_is_utf8(cases[i], strlen(cases[i])));
    assert_false(text_is_utf8("a\0b", 3));
}

static void assert_cleaned(const char *data, size_t len, size_t max, const char *expected)
{
    char *clean = text_clean(data, len, max);

    assert_string_equal(clean, expected);
    free(clean);
}

static void cleaning_drops_controls_and_nul_but_keeps_lines_and_tabs(void **state)
{
    assert_cleaned("a\0b\r\n\tc\x1b[31m\x7f\xc2\x9b!", 16, 100, "ab\n\tc[31m!");
}

static void cleaning_replaces_what_is_no_utf8(void **state)
{
    assert_cleaned("a\xff\xe2\x82z", 5, 100, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

static void cleaning_cuts_on_a_border_and_marks_the_cut(void **state)
{
    assert_cleaned("abcdef", 6, 6, "abcdef");
    assert_cleaned("abcdefg", 7, 6, "abc\xe2\x80\xa6");
    assert_cleaned("ab\xc3\xa4 defgh", 10, 6, "ab\xe2\x80\xa6");
    assert_cleaned("abcdef", 6, 2, "ab");
    assert_cleaned("abcdef", 6, 3, "\xe2\x80\xa6");
    assert_cleaned("abc", 3, 0, "");
    assert_cleaned("", 0, 0, "");
}

static void copying_tells_whether_it_cut_and_cuts_on_a_border(void **state)
{
    char to[5];

    assert_true(text_copy(to, sizeof to, "abcd"));
    assert_string_equal(to, "abcd");
    assert_false(text_copy(to, sizeof to, "abcde"));
    assert_string_equal(to, "abcd");
    assert_false(text_copy(to, sizeof to, "abc\xc3\xa4"));
    assert_string_equal(to, "abc");
}

static void beginnings_and_ends_are_compared(void **state)
{
    assert_true(text_starts("manylinux_2_17", "manylinux"));
    assert_true(text_starts("a", ""));
    assert_false(text_starts("many", "manylinux"));
    assert_true(text_ends("a.whl", ".whl"));
    assert_true(text_ends(".whl", ".whl"));
    assert_false(text_ends("whl", ".whl"));
}

static void only_whole_decimals_are_numbers(void **state)
{
    unsigned long long value;

    assert_int_equal(text_to_u64("0", &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(text_to_u64("18446744073709551615", &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(text_to_u64("18446744073709551616", &value), -ERANGE);
    assert_int_equal(text_to_u64("", &value), -EINVAL);
    assert_int_equal(text_to_u64("-1", &value), -EINVAL);
    assert_int_equal(text_to_u64(" 1", &value), -EINVAL);
    assert_int_equal(text_to_u64("1x", &value), -EINVAL);
    assert_int_equal(text_to_u64("0x10", &value), -EINVAL);
}

static void assert_wrapped(const char *text, unsigned column, unsigned indent, const char *expected)
{
    char *written = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&written, &size);

    text_wrap(to, text, column, indent);
    fclose(to);
    assert_string_equal(written, expected);
    free(written);
}

static void wrapping_breaks_between_words_and_indents(void **state)
{
    assert_wrapped("short", 0, 0, "short\n");
    assert_wrapped("short", 2, 4, "  short\n");
    assert_wrapped("123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 1", 0, 2,
                   "  123456789 123456789 123456789 123456789 123456789 123456789 123456789\n"
                   "  123456789 1\n");
}

static void wrapping_fills_the_last_column_and_counts_characters_not_bytes(void **state)
{
    assert_wrapped("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4 "
                   "123456789 123456789 123456789 123456789 123456789 123456789 1234567890 x", 0, 0,
                   "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4 "
                   "123456789 123456789 123456789 123456789 123456789 123456789 1234567890\nx\n");
}

static void wrapping_keeps_line_ends_and_their_indentation(void **state)
{
    assert_wrapped("one\n\n  two\nthree", 0, 0, "one\n\n  two\nthree\n");
}

static void a_name_of_a_variable_is_letters_digits_and_lines(void **state)
{
    assert_true(text_is_identifier("CFLAGS"));
    assert_true(text_is_identifier("_x86_64"));
    assert_false(text_is_identifier(""));
    assert_false(text_is_identifier("3D"));
    assert_false(text_is_identifier("A-B"));
    assert_false(text_is_identifier("A=B"));
    assert_false(text_is_identifier("\xc3\xa9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_of_a_variable_is_letters_digits_and_lines),
        cmocka_unit_test(valid_utf8_is_recognised),
        cmocka_unit_test(nul_overlongs_surrogates_and_fragments_are_not_utf8),
        cmocka_unit_test(cleaning_drops_controls_and_nul_but_keeps_lines_and_tabs),
        cmocka_unit_test(cleaning_replaces_what_is_no_utf8),
        cmocka_unit_test(cleaning_cuts_on_a_border_and_marks_the_cut),
        cmocka_unit_test(copying_tells_whether_it_cut_and_cuts_on_a_border),
        cmocka_unit_test(beginnings_and_ends_are_compared),
        cmocka_unit_test(only_whole_decimals_are_numbers),
        cmocka_unit_test(wrapping_breaks_between_words_and_indents),
        cmocka_unit_test(wrapping_fills_the_last_column_and_counts_characters_not_bytes),
        cmocka_unit_test(wrapping_keeps_line_ends_and_their_indentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
