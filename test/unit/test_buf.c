/* Rules of core/buf.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"

static void a_new_buffer_reads_as_empty_text(void **state)
{
    struct buf b;

    buf_init(&b, 10);
    assert_string_equal(b.data, "");
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

static void adds_of_every_kind_follow_each_other(void **state)
{
    struct buf b;

    buf_init(&b, 100);
    assert_int_equal(buf_add(&b, "abc", 2), 0);
    assert_int_equal(buf_adds(&b, "-text"), 0);
    assert_int_equal(buf_addc(&b, '!'), 0);
    assert_int_equal(buf_addf(&b, " %d %s", 42, "x"), 0);
    assert_string_equal(b.data, "ab-text! 42 x");
    assert_int_equal(b.len, 13);
    buf_release(&b);
}

static void a_buffer_grows_to_its_maximum_and_no_further(void **state)
{
    struct buf b;

    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_addc(&b, 'x'), 0);
    assert_int_equal(b.len, 1000);
    assert_false(b.full);
    assert_int_equal(buf_addc(&b, 'x'), -ENOBUFS);
    assert_int_equal(b.len, 1000);
    assert_true(b.full);
    buf_release(&b);
}

static void a_refused_add_adds_nothing_and_every_later_one_fails(void **state)
{
    struct buf b;

    buf_init(&b, 5);
    buf_adds(&b, "abc");
    assert_int_equal(buf_adds(&b, "def"), -ENOBUFS);
    assert_int_equal(buf_addc(&b, 'd'), -ENOBUFS);
    assert_int_equal(buf_addf(&b, "%d", 1), -ENOBUFS);
    assert_string_equal(b.data, "abc");
    buf_release(&b);
}

static void a_size_near_the_largest_does_not_wrap_round(void **state)
{
    struct buf b;

    buf_init(&b, 5);
    buf_adds(&b, "abc");
    assert_int_equal(buf_add(&b, "", SIZE_MAX), -ENOBUFS);
    buf_release(&b);
}

static void clearing_empties_and_ends_the_refusal(void **state)
{
    struct buf b;

    buf_init(&b, 3);
    buf_adds(&b, "abcd");
    buf_clear(&b);
    assert_false(b.full);
    assert_int_equal(buf_adds(&b, "xyz"), 0);
    assert_string_equal(b.data, "xyz");
    buf_release(&b);
}

static void dropping_removes_the_first_bytes(void **state)
{
    struct buf b;

    buf_init(&b, 10);
    buf_adds(&b, "abcdef");
    buf_drop(&b, 2);
    assert_string_equal(b.data, "cdef");
    assert_int_equal(b.len, 4);
    buf_drop(&b, 4);
    assert_string_equal(b.data, "");
    buf_release(&b);
}

static void taking_hands_the_bytes_over_and_leaves_a_usable_buffer(void **state)
{
    struct buf b;

    buf_init(&b, 10);
    buf_adds(&b, "abc");
    char *taken = buf_take(&b);
    assert_string_equal(taken, "abc");
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_adds(&b, "0123456789"), 0);
    assert_int_equal(buf_addc(&b, 'x'), -ENOBUFS);
    free(taken);
    buf_release(&b);
}

static void bytes_may_include_nul(void **state)
{
    struct buf b;

    buf_init(&b, 10);
    buf_add(&b, "a\0b", 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_release(&b);
}

static void html_escapes_what_html_gives_a_meaning(void **state)
{
    struct buf b;

    buf_init(&b, 200);
    assert_int_equal(buf_add_html(&b, "a<b>&\"c\" 'd' \xc3\xa4"), 0);
    assert_string_equal(b.data, "a&lt;b&gt;&amp;&quot;c&quot; &#39;d&#39; \xc3\xa4");
    buf_release(&b);
}

static void json_escapes_quotes_backslashes_and_controls(void **state)
{
    struct buf b;

    buf_init(&b, 200);
    assert_int_equal(buf_add_json(&b, "a\"b\\c\n\r\t\x01\x7f/\xc3\xa4"), 0);
    assert_string_equal(b.data, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f/\xc3\xa4\"");
    buf_clear(&b);
    assert_int_equal(buf_add_json(&b, NULL), 0);
    assert_string_equal(b.data, "null");
    buf_release(&b);
}

static void an_escape_is_added_whole_or_not_at_all(void **state)
{
    struct buf b;

    buf_init(&b, 8);
    buf_adds(&b, "ab");
    assert_int_equal(buf_add_html(&b, "c<d>"), -ENOBUFS);
    assert_string_equal(b.data, "ab");
    buf_clear(&b);
    assert_int_equal(buf_add_json(&b, "1234567"), -ENOBUFS);
    assert_string_equal(b.data, "");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_reads_as_empty_text),
        cmocka_unit_test(adds_of_every_kind_follow_each_other),
        cmocka_unit_test(a_buffer_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(a_refused_add_adds_nothing_and_every_later_one_fails),
        cmocka_unit_test(a_size_near_the_largest_does_not_wrap_round),
        cmocka_unit_test(clearing_empties_and_ends_the_refusal),
        cmocka_unit_test(dropping_removes_the_first_bytes),
        cmocka_unit_test(taking_hands_the_bytes_over_and_leaves_a_usable_buffer),
        cmocka_unit_test(bytes_may_include_nul),
        cmocka_unit_test(html_escapes_what_html_gives_a_meaning),
        cmocka_unit_test(json_escapes_quotes_backslashes_and_controls),
        cmocka_unit_test(an_escape_is_added_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
