/*
 * PyPI's list of projects as it is, as it should not be, and cut anywhere.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/pypi/list_json.h"
#include "core/buf.h"
#include "core/memory.h"

#define LIST                                                                                                           \
    "{\"meta\": {\"_last-serial\": 9, \"api-version\": \"1.1\", \"projects\": [1]},\n \"projects\": ["                   \
    "{\"_last-serial\": 7, \"name\": \"Ab_C\", \"more\": {\"name\": \"x\", \"list\": [{\"name\": \"y\"}]}},"             \
    " {\"name\": \"-none-\", \"_last-serial\": 8}, {\"name\": \"d\\u0065\", \"_last-serial\": 9}],"                      \
    " \"more\": [{\"name\": \"z\"}]}"

struct reading {
    struct list_json list;
    struct buf told;
    int error;
};

static void on_project(void *owner, const char *name, int64_t serial)
{
    struct reading *r = owner;
    buf_addf(&r->told, "%s %lld\n", name, (long long)serial);
}

static void read_pieces(struct reading *r, const char *text, size_t len, size_t piece)
{
    *r = (struct reading){.list = {.project = on_project, .owner = r}};
    buf_init(&r->told, 1 << 20);
    list_json_init(&r->list);
    for (size_t at = 0; at < len && r->error == 0; at += piece)
        r->error = list_json_feed(&r->list, text + at, len - at < piece ? len - at : piece);
    if (r->error == 0)
        r->error = list_json_end(&r->list);
}

static void release(struct reading *r)
{
    list_json_release(&r->list);
    buf_release(&r->told);
}

static void projects_are_told_with_their_serials_whatever_the_pieces(void **state)
{
    struct reading r;

    for (size_t piece = 1; piece < sizeof LIST; piece++) {
        read_pieces(&r, LIST, strlen(LIST), piece);
        assert_string_equal(r.list.reason, "");
        assert_int_equal(r.error, 0);
        assert_string_equal(r.told.data, "Ab_C 7\nde 9\n");
        assert_int_equal(r.list.projects, 2);
        release(&r);
    }
}

static void a_list_cut_off_anywhere_is_refused(void **state)
{
    struct reading r;

    for (size_t len = 0; len < strlen(LIST); len++) {
        read_pieces(&r, LIST, len, 1000);
        assert_int_equal(r.error, -EPROTO);
        assert_string_not_equal(r.list.reason, "");
        release(&r);
    }
}

static void what_is_no_list_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "<!DOCTYPE html>",
        "[]",
        "{}",
        "{\"projects\": {}}",
        "{\"projects\": []} more",
        "{\"projects\": [], \"projects\": []}",
        "{\"projects\": [\"a\"]}",
        "{\"projects\": [{\"name\": \"a\"}]}",
        "{\"projects\": [{\"name\": \"a\", \"_last-serial\": -1}]}",
        "{\"projects\": [{\"name\": \"a\", \"_last-serial\": 1.5}]}",
        "{\"projects\": [{\"name\": \"a\", \"_last-serial\": 99999999999999999999}]}",
        "{\"projects\": [{\"name\": \"a\", \"_last-serial\": 1}",
        "{\"projects\": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}",
        "{\"projects\": [{\"name\": \"\xff\", \"_last-serial\": 1}]}",
    };
    struct reading r;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        read_pieces(&r, texts[i], strlen(texts[i]), 7);
        assert_int_equal(r.error, -EPROTO);
        release(&r);
    }
}

static void nothing_is_hoarded_whatever_comes_in(void **state)
{
    static const char *const beginnings[] = {"{\"", "{\"a\": \"\\\"", "{\"a\": 1"};
    char piece[5000];
    struct reading r;

    memset(piece, '1', sizeof piece);
    for (size_t i = 0; i < COUNT_OF(beginnings); i++) {
        r = (struct reading){.list = {.project = on_project, .owner = &r}};
        list_json_init(&r.list);
        assert_int_equal(list_json_feed(&r.list, beginnings[i], strlen(beginnings[i])), 0);
        assert_int_equal(list_json_feed(&r.list, piece, sizeof piece), -EPROTO);
        list_json_release(&r.list);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(projects_are_told_with_their_serials_whatever_the_pieces),
        cmocka_unit_test(a_list_cut_off_anywhere_is_refused),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(nothing_is_hoarded_whatever_comes_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
