/* What pip's installation reports tell (src/slave/report.h). */
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

#include "../../src/slave/report.h"
#include "core/memory.h"

#define HASH "d9f5ba91b3866f3845930531e0870436e2dd6e919787f627c0f1c16b97219a5f"
#define REPORT(installed) "{\"version\": \"1\", \"pip_version\": \"23.0.1\", \"install\": [" installed "]}"
#define INSTALLED(name, version, archive) \
    "{\"download_info\": {\"url\": \"file:///x\", \"archive_info\": {" archive "}}, \"is_direct\": false, " \
    "\"metadata\": {\"name\": \"" name "\", \"version\": \"" version "\", \"summary\": \"[}\"}}"

static struct report *parse(const char *text)
{
    struct report *r = mem_new(1, sizeof *r);
    char *copy = malloc(strlen(text)); /* without a NUL: a byte read too far is seen */

    memcpy(copy, text, strlen(text));
    report_parse(r, copy, strlen(text));
    free(copy);
    return r;
}

static void done(struct report *r)
{
    report_release(r);
    free(r);
}

static void a_report_tells_names_versions_and_hashes(void **state)
{
    struct report *r = parse(REPORT(INSTALLED("Wheel", "0.38.4", "\"hash\": \"sha256=" HASH "\"") ","
                                    INSTALLED("setuptools", "66.1.1", "\"hashes\": {\"sha256\": \"" HASH "\"}")));
    assert_int_equal(r->count, 2);
    assert_string_equal(r->items[0].name, "wheel");
    assert_string_equal(r->items[0].version, "0.38.4");
    assert_true(r->items[0].hashed && r->items[1].hashed);
    assert_int_equal(r->items[0].sha256[0], 0xd9);
    assert_memory_equal(r->items[0].sha256, r->items[1].sha256, SHA256_SIZE);
    done(r);
}

/* Some text around so many of a piece. */
static struct report *parse_many(const char *before, const char *piece, size_t count, const char *behind)
{
    struct buf text;

    buf_init(&text, 4 * 1024 * 1024);
    buf_adds(&text, before);
    for (size_t i = 0; i < count; i++)
        buf_adds(&text, piece);
    buf_adds(&text, behind);
    assert_false(text.full);
    struct report *r = parse(text.data);
    buf_release(&text);
    return r;
}

static void a_report_that_would_take_much_memory_is_not_read(void **state)
{
    struct report *r = parse_many(REPORT(INSTALLED("a", "1", "")) "{\"x\": [{}", ",{}", 1000000, "]}");
    assert_int_equal(r->count, 0);
    done(r);
    r = parse_many("{\"x\": \"", "a, b ", 50000, "\"}" REPORT(INSTALLED("a", "1", "")));
    assert_int_equal(r->count, 1);
    done(r);
}

static void reports_behind_each_other_add_up_and_tell_each_once(void **state)
{
    struct report *r = parse(REPORT(INSTALLED("a", "1", "")) "\n" REPORT(INSTALLED("b", "2", "") "," INSTALLED("a", "1", ""))
                             REPORT(INSTALLED("a", "2", "")));
    assert_int_equal(r->count, 3);
    assert_string_equal(r->items[1].name, "b");
    assert_string_equal(r->items[2].version, "2");
    assert_false(r->items[0].hashed);
    done(r);
}

static void what_is_no_report_is_passed_over(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "null", "hello", REPORT("1, [], {}"), "{\"install\": 5}", "{\"install\": [{\"metadata\": {\"name\": 1}}]}",
        REPORT(INSTALLED("-r x", "1", "")), REPORT(INSTALLED("a", "not a version", "")), REPORT(INSTALLED("", "1", "")),
        "\xff\xfe", REPORT(INSTALLED("a\\u0000b", "1", "")),
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct report *r = parse(texts[i]);
        assert_int_equal(r->count, 0);
        done(r);
    }
}

static void a_wrong_hash_is_none(void **state)
{
    struct report *r = parse(REPORT(INSTALLED("a", "1", "\"hash\": \"md5=0123\"") "," INSTALLED("b", "1", "\"hash\": \"sha256=xyz\"")));
    assert_int_equal(r->count, 2);
    assert_false(r->items[0].hashed || r->items[1].hashed);
    done(r);
}

static void there_is_an_end_to_what_is_told(void **state)
{
    struct report *r = mem_new(1, sizeof *r);
    char text[512];

    for (int i = 0; i < 1000; i++) {
        int len = snprintf(text, sizeof text, REPORT(INSTALLED("p%d", "1", "")), i);
        report_parse(r, text, (size_t)len);
    }
    assert_int_equal(r->count, REPORT_MAX_REQUIREMENTS);
    done(r);
}

/* ---- the FIFO ------------------------------------------------------------------------------------ */

static void on_closed(struct report *r)
{
    uv_stop(r->pipe.loop);
}

static void what_several_write_one_after_the_other_is_all_taken_in(void **state)
{
    static const char one[] = REPORT(INSTALLED("a", "1", "")), two[] = REPORT(INSTALLED("b", "1", ""));
    struct report *r = mem_new(1, sizeof *r);
    char folder[] = "/tmp/test-report-XXXXXX", path[64];
    uv_loop_t loop;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/report", folder);
    uv_loop_init(&loop);
    assert_int_equal(report_open(&loop, r, path), 0);
    FILE *writer = fopen(path, "w");
    assert_int_equal(fwrite(one, 1, sizeof one - 1, writer), sizeof one - 1);
    fclose(writer);
    uv_run(&loop, UV_RUN_ONCE);
    writer = fopen(path, "w");
    assert_int_equal(fwrite(two, 1, sizeof two - 1, writer), sizeof two - 1);
    fclose(writer);
    report_close(r, on_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    report_read(r);
    assert_int_equal(r->count, 2);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    done(r);
    unlink(path);
    rmdir(folder);
}

static void a_path_that_is_taken_is_an_error(void **state)
{
    struct report *r = mem_new(1, sizeof *r);
    uv_loop_t loop;

    uv_loop_init(&loop);
    assert_true(report_open(&loop, r, "/proc/self/exe") < 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    done(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_tells_names_versions_and_hashes),
        cmocka_unit_test(reports_behind_each_other_add_up_and_tell_each_once),
        cmocka_unit_test(a_report_that_would_take_much_memory_is_not_read),
        cmocka_unit_test(what_is_no_report_is_passed_over),
        cmocka_unit_test(a_wrong_hash_is_none),
        cmocka_unit_test(there_is_an_end_to_what_is_told),
        cmocka_unit_test(what_several_write_one_after_the_other_is_all_taken_in),
        cmocka_unit_test(a_path_that_is_taken_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
