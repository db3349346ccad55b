/*
 * The changelog's XML-RPC as PyPI writes it, as nobody should, and cut anywhere.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/pypi/changelog_xml.h"
#include "core/buf.h"
#include "core/memory.h"

#define BEGIN "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n"
#define END "</data></array></value>\n</param>\n</params>\n</methodResponse>\n"
#define ROW(name, version, time, action, serial)                                                                       \
    "<value><array><data>\n<value><string>" name "</string></value>\n<value>" version "</value>\n<value><int>" time     \
    "</int></value>\n<value><string>" action "</string></value>\n<value><int>" serial "</int></value>\n"                \
    "</data></array></value>\n"
#define TWO_ROWS                                                                                                       \
    BEGIN ROW("numpy", "<string>2.1.0</string>", "1724000000", "new release", "24500001")                               \
    ROW("numpy", "<nil/>", "1724000001", "add Owner x &amp; y", "24500002") END
#define FAULT(code, words)                                                                                             \
    "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>" code        \
    "</int></value></member><member><name>faultString</name><value><string>" words "</string></value></member>"         \
    "</struct></value></fault></methodResponse>"

struct reading {
    struct changelog_xml xml;
    struct buf rows;          /* one line each */
    unsigned wanted;          /* rows before no more are */
    bool cut;
    int error;
};

static bool on_row(void *owner, const struct changelog_row *row)
{
    struct reading *r = owner;

    buf_addf(&r->rows, "%s|%s|%lld|%s|%lld\n", row->name, row->version != NULL ? row->version : "-",
             (long long)row->happened, row->action, (long long)row->serial);
    r->cut = row->cut;
    return --r->wanted > 0;
}

static void begin(struct reading *r)
{
    *r = (struct reading){.xml = {.row = on_row, .owner = r}, .wanted = 1000};
    buf_init(&r->rows, 1 << 20);
    changelog_xml_init(&r->xml);
}

static void feed(struct reading *r, const char *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len && r->error == 0; at += piece)
        r->error = changelog_xml_feed(&r->xml, data + at, len - at < piece ? len - at : piece);
}

static void read_pieces(struct reading *r, const char *text, size_t piece)
{
    begin(r);
    feed(r, text, strlen(text), piece);
    if (r->error == 0)
        r->error = changelog_xml_end(&r->xml);
}

static void release(struct reading *r)
{
    changelog_xml_release(&r->xml);
    buf_release(&r->rows);
}

static void expect(const char *text, const char *rows)
{
    struct reading r;

    read_pieces(&r, text, strlen(text));
    assert_string_equal(r.xml.reason, "");
    assert_int_equal(r.error, 0);
    assert_int_equal(r.xml.answer, ANSWER_ROWS);
    assert_string_equal(r.rows.data, rows);
    release(&r);
}

static void expect_refusal(const char *text)
{
    struct reading r;

    read_pieces(&r, text, strlen(text));
    assert_int_equal(r.error, -EPROTO);
    assert_string_not_equal(r.xml.reason, "");
    release(&r);
}

/* ---- what PyPI says ------------------------------------------------------------------------------- */

static void rows_come_as_they_are_written(void **state)
{
    expect(TWO_ROWS, "numpy|2.1.0|1724000000|new release|24500001\nnumpy|-|1724000001|add Owner x & y|24500002\n");
}

static void no_rows_are_an_answer_too(void **state)
{
    expect(BEGIN END, "");
}

static void the_size_of_the_pieces_makes_no_difference(void **state)
{
    struct reading r;

    for (size_t piece = 1; piece < 40; piece++) {
        read_pieces(&r, TWO_ROWS, piece);
        assert_int_equal(r.error, 0);
        assert_int_equal(r.xml.rows, 2);
        assert_string_equal(r.rows.data, "numpy|2.1.0|1724000000|new release|24500001\n"
                                         "numpy|-|1724000001|add Owner x & y|24500002\n");
        release(&r);
    }
}

static void a_value_without_a_type_is_a_text(void **state)
{
    expect(BEGIN "<value><array><data><value>a</value><value></value><value><i4>-5</i4></value><value>create</value>"
           "<value><i8>7</i8></value></data></array></value>" END, "a||-5|create|7\n");
}

static void characters_that_xml_forbids_spoil_only_the_text_they_are_in(void **state)
{
    expect(BEGIN ROW("a&#0;b", "<string>1\x01</string>", "1", "create", "1")
           ROW("c&#x1F;d", "<string>&#233;&#9;</string>", "2", "create", "2") END,
           "a\x7f" "b|1\x7f|1|create|1\nc\x7f" "d|é\t|2|create|2\n");
}

static void a_number_is_an_answer_to_another_question(void **state)
{
    struct reading r;

    read_pieces(&r, "<methodResponse><params><param><value><int>39999999</int></value></param></params></methodResponse>", 7);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.xml.answer, ANSWER_NUMBER);
    assert_int_equal(r.xml.number, 39999999);
    release(&r);
}

static void a_fault_is_told_with_its_words(void **state)
{
    struct reading r;

    read_pieces(&r, FAULT("-32500", "HTTPTooManyRequests: Limit may reset in 36 seconds."), 11);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.xml.answer, ANSWER_FAULT);
    assert_int_equal(r.xml.fault_code, -32500);
    assert_string_equal(r.xml.fault, "HTTPTooManyRequests: Limit may reset in 36 seconds.");
    release(&r);
}

static void a_row_that_wants_no_more_ends_it(void **state)
{
    struct reading r;

    begin(&r);
    r.wanted = 1;
    feed(&r, TWO_ROWS, strlen(TWO_ROWS), 10000);
    assert_int_equal(r.error, -ECANCELED);
    assert_int_equal(r.xml.rows, 1);
    release(&r);
}

/* ---- what is refused ------------------------------------------------------------------------------ */

static void an_answer_cut_off_anywhere_is_refused(void **state)
{
    struct reading r;

    for (size_t len = 0; len < strlen(TWO_ROWS) - 1; len++) {
        begin(&r);
        feed(&r, TWO_ROWS, len, 1000);
        assert_int_equal(r.error, 0);
        assert_int_equal(changelog_xml_end(&r.xml), -EPROTO);
        assert_non_null(strstr(r.xml.reason, len == 0 ? "empty" : "before it is complete"));
        release(&r);
    }
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "   \n",
        "<!DOCTYPE html><html><body>Bad gateway</body></html>",
        "<html><body>Bad gateway</body></html>",
        "{\"meta\": {}}",
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><methodResponse/>",
        "<?xml version='1.0'?><?more?>" BEGIN END,
        BEGIN END "<methodResponse/>",
        BEGIN END "more",
        "<methodResponse><params></params></methodResponse>",
        "<methodResponse><params><param><value><string>x</string></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><int>1</int></value></param></params><params/></methodResponse>",
        "<methodResponse><params><param><value><int>1</int><int>2</int></value></param></params></methodResponse>",
        BEGIN "<!-- a comment -->" END,
        BEGIN "text" END,
        BEGIN "<![CDATA[text]]>" END,
        BEGIN "<value><int>1</int></value>" END,
        BEGIN "<value><array><data></data></array></value>" END,
        BEGIN "<value><array><data><value>a</value><value>1</value><value><int>1</int></value><value>create</value>"
              "</data></array></value>" END,
        BEGIN "<value><array><data><value>a</value><value>1</value><value><int>1</int></value><value>create</value>"
              "<value><int>2</int></value><value><int>3</int></value></data></array></value>" END,
        BEGIN "<value><array><data><value><nil/></value><value>1</value><value><int>1</int></value>"
              "<value>create</value><value><int>2</int></value></data></array></value>" END,
        BEGIN ROW("a", "<int>1</int>", "1", "create", "1") END,
        BEGIN ROW("a", "<nil/>", "1", "create", "") END,
        BEGIN ROW("a", "<nil/>", "1", "create", "1x") END,
        BEGIN ROW("a", "<nil/>", "1", "create", " 1") END,
        BEGIN ROW("a", "<nil/>", "1", "create", "99999999999999999999") END,
        BEGIN ROW("a", "<nil/>x", "1", "create", "1") END,
        BEGIN ROW("a", "x<nil/>", "1", "create", "1") END,
        BEGIN ROW("a", "<nil>x</nil>", "1", "create", "1") END,
        BEGIN ROW("a", "<string><b>1</b></string>", "1", "create", "1") END,
        BEGIN ROW("a", "<string type='x'>1</string>", "1", "create", "1") END,
        BEGIN ROW("a", "<string>&unknown;</string>", "1", "create", "1") END,
        BEGIN ROW("a", "<string>\xff\xfe</string>", "1", "create", "1") END,
        FAULT("many", "words"),
        ("<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>"
            "</struct></value></fault></methodResponse>"),
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        expect_refusal(texts[i]);
}

static void nothing_is_hoarded_whatever_comes_in(void **state)
{
    static const char *const beginnings[] = {"<", "<?xml ", BEGIN "<value", BEGIN "<value><array><data><value>&"};
    char piece[1000];
    struct reading r;

    memset(piece, 'a', sizeof piece);
    for (size_t i = 0; i < COUNT_OF(beginnings); i++) {
        begin(&r);
        feed(&r, beginnings[i], strlen(beginnings[i]), 100);
        assert_int_equal(r.error, 0);
        feed(&r, piece, sizeof piece, 100);
        assert_int_equal(r.error, -EPROTO);
        release(&r);
    }
}

static void a_text_longer_than_is_kept_is_cut_and_told_so(void **state)
{
    char action[3 * CHANGELOG_TEXT_MAX];
    struct reading r;

    memset(action, 'a', sizeof action - 1);
    action[sizeof action - 1] = '\0';
    char *text = mem_format(BEGIN ROW("a", "<nil/>", "1", "%s", "1") END, action);
    read_pieces(&r, text, 500);
    assert_int_equal(r.error, 0);
    assert_true(r.cut);
    assert_int_equal(r.rows.len, strlen("a|-|1||1\n") + CHANGELOG_TEXT_MAX);
    release(&r);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_as_they_are_written),
        cmocka_unit_test(no_rows_are_an_answer_too),
        cmocka_unit_test(the_size_of_the_pieces_makes_no_difference),
        cmocka_unit_test(a_value_without_a_type_is_a_text),
        cmocka_unit_test(characters_that_xml_forbids_spoil_only_the_text_they_are_in),
        cmocka_unit_test(a_number_is_an_answer_to_another_question),
        cmocka_unit_test(a_fault_is_told_with_its_words),
        cmocka_unit_test(a_row_that_wants_no_more_ends_it),
        cmocka_unit_test(an_answer_cut_off_anywhere_is_refused),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(nothing_is_hoarded_whatever_comes_in),
        cmocka_unit_test(a_text_longer_than_is_kept_is_cut_and_told_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
