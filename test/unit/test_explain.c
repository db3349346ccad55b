/* What `piwheels explain` says of an answer: test/flow/test_explain.py has it for answers of a real master. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "../../src/cmd/explain.h"

/* What is written of an answer whose only version 1.0 has this target. Free it. */
static char *written_of(const char *head, const char *target)
{
    char *json = mem_format("{\"package\": \"x\", %s, \"versions\": [{\"version\": \"1.0\", \"targets\": [%s]}]}", head, target);
    json_t *answer = json_loads(json, 0, NULL);
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    assert_non_null(answer);
    explain_write(to, answer);
    fclose(to);
    json_decref(answer);
    free(json);
    return text;
}

static void assert_written(const char *head, const char *target, const char *expected)
{
    char *text = written_of(head, target);
    assert_string_equal(text, expected);
    free(text);
}

#define ONE "\"version_count\": 1"

static void a_slave_is_ready_or_busy_or_away_or_may_not(void **state)
{
    assert_written(ONE, "{\"target\": \"t\", \"state\": \"queued\", \"reason\": \"r\", \"place\": 17, \"slaves\": ["
                        "{\"label\": \"a\", \"may\": true, \"now\": \"sleeping\"},"
                        "{\"label\": \"b\", \"may\": true, \"now\": \"building\"},"
                        "{\"label\": \"c\", \"may\": true, \"now\": \"away\", \"seen\": \"then\"},"
                        "{\"label\": \"d\", \"may\": false, \"now\": \"idle\", \"why\": \"it failed it last\"}]}",
                   "x 1.0\n"
                   "  t: queued (r), place 17 of the queue of t\n"
                   "    a could build it now; b could build it next (it is building); "
                   "c could build it, but is not connected (last seen then); d could not: it failed it last\n");
}

static void places_are_told_up_to_ten_thousand(void **state)
{
    assert_written(ONE, "{\"target\": \"t\", \"state\": \"queued\", \"reason\": \"r\", \"place\": 10000}",
                   "x 1.0\n  t: queued (r), place 10000 of the queue of t\n");
    assert_written(ONE, "{\"target\": \"t\", \"state\": \"queued\", \"reason\": \"r\", \"place\": 10001}",
                   "x 1.0\n  t: queued (r), beyond the first 10,000 of the queue of t\n");
}

static void an_attempt_without_words_or_log_is_a_line(void **state)
{
    assert_written(ONE, "{\"target\": \"t\", \"state\": \"built\", \"reason\": \"r\", \"attempt_count\": 2, \"attempts\": ["
                        "{\"build\": 7, \"outcome\": \"success\", \"slave\": \"a\", \"started\": \"then\", \"wall_ms\": 2000}]}",
                   "x 1.0\n  t: built (r)\n    build 7 on a, then: built after 2 s\n    and 1 earlier build\n");
}

static void what_a_build_was_made_with_is_told(void **state)
{
    assert_written(ONE, "{\"target\": \"t\", \"state\": \"built\", \"reason\": \"r\", \"attempt_count\": 1, \"attempts\": ["
                        "{\"build\": 7, \"outcome\": \"success\", \"slave\": \"a\", \"started\": \"then\", \"wall_ms\": 2000,"
                        "\"record\": {\"system\": \"Debian 12\", \"python\": \"3.11.2\", \"pip\": \"23.0.1\", \"compiler\": \"\","
                        "\"libc\": \"glibc 2.36\", \"required\": [{\"name\": \"setuptools\", \"version\": \"68.0\"},"
                        "{\"name\": \"wheel\", \"version\": \"0.41\"}]}}]}",
                   "x 1.0\n  t: built (r)\n    build 7 on a, then: built after 2 s\n"
                   "      made with Python 3.11.2, pip 23.0.1, no compiler, glibc 2.36 on Debian 12; "
                   "installed for it: setuptools 68.0, wheel 0.41\n");
}

static void what_a_build_had_and_took_is_told(void **state)
{
    assert_written(ONE, "{\"target\": \"t\", \"state\": \"built\", \"reason\": \"r\", \"attempt_count\": 1, \"attempts\": ["
                        "{\"build\": 7, \"outcome\": \"success\", \"slave\": \"a\", \"started\": \"then\", \"wall_ms\": 2000,"
                        "\"cpu_ms\": 1000, \"peak_bytes\": 52400000, \"sdist_sha256\": \"0123456789abcdef\", \"record\": {"
                        "\"system\": \"Debian 12\", \"python\": \"3.11.2\", \"pip\": \"23.0.1\", \"compiler\": \"gcc 12\","
                        "\"libc\": \"glibc 2.36\", \"sandbox\": \"strict\", \"network\": \"index\","
                        "\"override\": \"fedcba9876543210\", \"source_date_epoch\": 1704067200, \"limits\": {\"timeout_ms\": 10800000,"
                        "\"silence_ms\": 3600000, \"cpu_ms\": 43200000, \"memory_bytes\": 3000000000, \"disk_bytes\": 10000000000,"
                        "\"disk_files\": 500000, \"output_bytes\": 1000000000, \"processes\": 1024, \"open_files\": 4096},"
                        "\"required\": [{\"name\": \"wheel\", \"version\": \"0.41\", \"sha256\": \"00112233445566778899\"}]}}]}",
                   "x 1.0\n  t: built (r)\n    build 7 on a, then: built after 2 s\n"
                   "      made with Python 3.11.2, pip 23.0.1, gcc 12, glibc 2.36 on Debian 12; "
                   "installed for it: wheel 0.41 (sha256 001122334455…)\n"
                   "      from an sdist with sha256 0123456789abcdef, SOURCE_DATE_EPOCH 1704067200\n"
                   "      in sandbox strict, network index, with settings of its own (sha256 fedcba987654…)\n"
                   "      within 3 h, 1 h of silence, 12 h of processor time, 3000.0 MB of memory, 10000.0 MB and 500000 files on "
                   "disk, 1000.0 MB of output, 1024 processes, 4096 open files\n"
                   "      it took 1 s of processor time and 52.4 MB of memory\n");
}

static void what_is_left_out_is_said_unless_a_version_was_named(void **state)
{
    assert_written("\"version_count\": 212", "{\"target\": \"t\", \"state\": \"built\", \"reason\": \"r\"}",
                   "x 1.0\n  t: built (r)\n"
                   "These are the newest release and what is being built, waits or failed: 1 of 212 versions. Of another:\n"
                   "piwheels explain x==VERSION\n");
    assert_written("\"version_count\": 212, \"named\": true", "{\"target\": \"t\", \"state\": \"built\", \"reason\": \"r\"}",
                   "x 1.0\n  t: built (r)\n");
}

static void each_cause_of_a_skip_has_its_own_advice(void **state)
{
#define SKIPPED(by) "{\"target\": \"t\", \"state\": \"skipped\", \"reason\": \"r\", \"skipped_by\": \"" by "\"}"
    assert_written(ONE, SKIPPED("rule"), "x 1.0\n  t: skipped (r)\n    which rules there are: piwheels skip --list x\n");
    assert_written(ONE, SKIPPED("target"),
                   "x 1.0\n  t: skipped (r)\n    to take the target up again: piwheels target unskip t\n");
    assert_written(ONE, SKIPPED("pep440"), "x 1.0\n  t: skipped (r)\n    to build it all the same: piwheels add x 1.0\n");
    assert_written(ONE, SKIPPED("version"), "x 1.0\n  t: skipped (r)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slave_is_ready_or_busy_or_away_or_may_not),
        cmocka_unit_test(places_are_told_up_to_ten_thousand),
        cmocka_unit_test(an_attempt_without_words_or_log_is_a_line),
        cmocka_unit_test(what_a_build_was_made_with_is_told),
        cmocka_unit_test(what_a_build_had_and_took_is_told),
        cmocka_unit_test(what_is_left_out_is_said_unless_a_version_was_named),
        cmocka_unit_test(each_cause_of_a_skip_has_its_own_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
