/* The slave's small rules: its log's bounds, what a Python answers, what pip is asked for, pauses, labels. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/slave/ask.h"
#include "../../src/slave/command.h"
#include "../../src/slave/log.h"
#include "../../src/slave/machine.h"
#include "../../src/slave/session.h"

/* ---- the log ---- */

static void add_lines(struct build_log *l, unsigned count)
{
    char line[128];
    for (unsigned i = 0; i < count; i++) {
        int len = snprintf(line, sizeof line, "line %08u %080u\n", i, i);
        build_log_add(l, 61001, line, (size_t)len);
    }
}

static void every_line_tells_when_it_began(void **state)
{
    struct build_log l;
    build_log_init(&l);
    build_log_add(&l, 0, "one\n\ntw", 7);
    build_log_add(&l, 1250, "o\n", 2);
    build_log_add(&l, 123456789, "three", 5);
    build_log_end(&l);
    assert_string_equal(l.text.data, "[    0.000] one\n[    0.000] \n[    0.000] two\n[123456.789] three");
    build_log_release(&l);
}

static void the_words_of_a_line_stand_behind_the_time(void **state)
{
    static const char *const lines[][2] = {
        {"[    0.000] error: x", "error: x"}, {"[12345.678] ", ""}, {"no time", "no time"}, {"[1/9] gcc", "[1/9] gcc"},
        {"[", "["}, {"[ 1.000]", "[ 1.000]"}, {"", ""}, {"[   12.345] [piwheels: x]", "[piwheels: x]"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_string_equal(build_log_words(lines[i][0], strlen(lines[i][0])), lines[i][1]);
}

static void a_log_just_over_the_head_loses_nothing(void **state)
{
    struct build_log l;
    build_log_init(&l);
    add_lines(&l, 40000);
    build_log_end(&l);
    assert_int_equal(l.text.len, 40000 * 107);
    assert_null(strstr(l.text.data, "left out"));
    assert_non_null(strstr(l.text.data, "line 00039999"));
    build_log_release(&l);
}

static void a_long_log_keeps_its_head_and_its_tail_and_says_what_is_missing(void **state)
{
    struct build_log l;
    unsigned long long left_out;

    build_log_init(&l);
    add_lines(&l, 200000);
    build_log_end(&l);
    const char *marker = strstr(l.text.data, "\n[piwheels: ");
    assert_non_null(marker);
    assert_int_equal(sscanf(marker, "\n[piwheels: %llu bytes were left out here]", &left_out), 1);
    const char *behind = strchr(marker + 1, '\n') + 1;
    size_t kept = (size_t)(marker - l.text.data) + strlen(behind);
    assert_int_equal(kept + left_out, 200000ULL * 107);
    assert_int_equal(strncmp(l.text.data, "[   61.001] line 00000000", 25), 0);
    assert_int_equal(strncmp(behind, "[   61.001] line ", 17), 0); /* whole lines */
    assert_non_null(strstr(behind, "line 00199999"));
    build_log_release(&l);
}

static void one_piece_larger_than_everything_is_cut_as_well(void **state)
{
    struct build_log l;
    size_t len = 20000000;
    char *data = malloc(len);

    memset(data, 'x', len);
    data[0] = 'A';
    data[len - 1] = 'Z';
    build_log_init(&l);
    build_log_add(&l, 0, data, len);
    build_log_end(&l);
    assert_int_equal(l.text.data[12], 'A');
    assert_int_equal(l.text.data[l.text.len - 1], 'Z');
    assert_true(l.text.len < 5001000);
    build_log_release(&l);
    free(data);
}

static void a_note_stands_on_a_line_of_its_own_also_behind_the_end(void **state)
{
    struct build_log l;
    build_log_init(&l);
    build_log_add(&l, 1, "half", 4);
    build_log_note(&l, 2, "note %d", 1);
    build_log_end(&l);
    build_log_note(&l, 3, "note %d", 2);
    assert_string_equal(l.text.data, "[    0.001] half\n[    0.002] [piwheels: note 1]\n[    0.003] [piwheels: note 2]\n");
    build_log_release(&l);
}

/* ---- what a Python answers ---- */

static int read_answer(const char *answer, struct slave_python *out, char why[200])
{
    char copy[300];
    snprintf(copy, sizeof copy, "%s", answer);
    return python_read_answer(copy, out, why, 200);
}

static void an_answer_gives_abi_platform_and_version(void **state)
{
    struct slave_python p;
    char why[200];
    assert_int_equal(read_answer("yes cp313t linux_armv7l 3.13.0rc1 24.3.1\n", &p, why), 0);
    assert_string_equal(p.abi, "cp313t");
    assert_string_equal(p.platform, "linux_armv7l");
    assert_string_equal(p.version, "3.13.0rc1");
    assert_string_equal(p.pip, "24.3.1");
}

static void a_refusal_is_passed_on_in_its_own_words(void **state)
{
    struct slave_python p;
    char why[200];
    assert_int_equal(read_answer("no it has no pip; on Debian: apt install python3-pip\n", &p, why), -EINVAL);
    assert_string_equal(why, "it has no pip; on Debian: apt install python3-pip");
    assert_int_equal(read_answer("no", &p, why), -EINVAL);
    assert_string_equal(why, "it cannot build");
}

static void any_other_answer_is_refused(void **state)
{
    static const char *const answers[] = {
        "", "hello", "yes", "yes cp311", "yes cp311 linux_x86_64", "yes cp311 linux_x86_64 3.11.2", "yes cp311 linux_x86_64 3.11.2 23.0.1 more",
        "yes pp310 linux_x86_64 3.10.1 23.0", "yes cp311 win_amd64 3.11.2 23.0", "maybe cp311 linux_x86_64 3.11.2 23.0",
        "yes cp311 linux_x86_64  23.0", "yes cp311 linux_x86_64 3.11.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16 23.0",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct slave_python p;
        char why[200];
        assert_int_equal(read_answer(answers[i], &p, why), -EINVAL);
        assert_string_equal(why, "it did not say what it builds for");
    }
}

static void the_python_of_this_machine_is_understood(void **state)
{
    struct slave_python p;
    char why[512];
    assert_int_equal(slave_ask_python("/usr/bin/python3", &p, why, sizeof why), 0);
    assert_int_equal(strncmp(p.abi, "cp3", 3), 0);
    assert_int_equal(strncmp(p.platform, "linux_", 6), 0);
}

static void a_python_is_given_by_its_full_path(void **state)
{
    struct slave_python p;
    char why[512];
    assert_int_equal(slave_ask_python("python3", &p, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "full path"));
}

static void a_python_that_fails_is_refused(void **state)
{
    struct slave_python p;
    char why[512];
    assert_int_equal(slave_ask_python("/bin/false", &p, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "exit status 1"));
    assert_true(slave_ask_python("/nonexistent", &p, why, sizeof why) < 0);
    assert_int_equal(slave_ask_python("/bin/true", &p, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "did not say"));
}

/* ---- what pip is asked for ---- */

static void check_requirement(const char *version, const uint8_t *sha256, const char *expected)
{
    struct buf line;
    buf_init(&line, 1024);
    assert_int_equal(command_requirement("cffi", version, sha256, &line), 0);
    assert_string_equal(line.data, expected);
    buf_release(&line);
}

static void exactly_one_version_is_asked_for(void **state)
{
    check_requirement("1.15.1", NULL, "cffi==1.15.1");
    check_requirement("1!2.0+local", NULL, "cffi==1!2.0+local");
}

static void a_version_that_is_no_pep_440_is_asked_for_by_its_bytes(void **state)
{
    check_requirement("2004d", NULL, "cffi===2004d");
}

static void the_hash_of_the_sdist_is_asked_for_when_it_is_known(void **state)
{
    const uint8_t sha256[SHA256_SIZE] = {0xab, 0x01};
    check_requirement("1.0", sha256, "cffi==1.0 --hash=sha256:"
                      "ab01000000000000000000000000000000000000000000000000000000000000");
}

static void what_pip_would_read_as_something_else_is_refused(void **state)
{
    static const char *const versions[] = {
        "", "1 2", "1\n-e .", "1;python_version>'3'", "1,<2", "-1", "1#x", "1.*", "1'",
    };
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct buf line;
        buf_init(&line, 1024);
        assert_int_equal(command_requirement("cffi", versions[i], NULL, &line), -EINVAL);
        assert_int_equal(command_requirement("-r/etc/passwd", "1.0", NULL, &line), -EINVAL);
        buf_release(&line);
    }
}

/* ---- the rest ---- */

static void pauses_double_from_a_second_to_a_minute_with_a_quarter_of_chance(void **state)
{
    static const uint64_t expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    uint64_t back_off_ms = 0;

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        uint64_t pause_ms = session_pause_ms(&back_off_ms, (uint32_t)(i * 2654435761u));
        assert_int_equal(back_off_ms, expected[i]);
        assert_in_range(pause_ms, expected[i] * 3 / 4, expected[i] * 5 / 4);
    }
}

static void a_refusal_that_names_our_version_is_about_versions(void **state)
{
    assert_true(session_is_version_refusal("the slave is " PIWHEELS_VERSION ", not version 9.9"));
    assert_false(session_is_version_refusal("no target for cp39: piwheels target add"));
    assert_false(session_is_version_refusal("the version of the moon"));
}

static void a_clock_before_2026_is_not_credible(void **state)
{
    assert_false(machine_clock_credible(0));
    assert_false(machine_clock_credible(1767225599999));
    assert_true(machine_clock_credible(1767225600000));
}

static void a_label_has_letters_digits_dots_lines_and_underscores(void **state)
{
    char label[65], long_name[101];

    assert_true(machine_label("pi4-a.farm_1", label));
    assert_string_equal(label, "pi4-a.farm_1");
    assert_false(machine_label("", label));
    assert_false(machine_label("a b/c", label));
    assert_string_equal(label, "a-b-c");
    memset(long_name, 'x', 100);
    long_name[100] = '\0';
    assert_false(machine_label(long_name, label));
    assert_int_equal(strlen(label), 64);
}

static void this_machine_has_a_name_memory_and_at_least_one_job(void **state)
{
    struct rec_machine m;
    char text[129];

    machine_read("/", &m);
    assert_true(m.memory_free_bytes > 0 && m.memory_free_bytes < m.memory_bytes);
    assert_true(m.disk_bytes > 0 && m.disk_free_bytes <= m.disk_bytes);
    assert_true(machine_jobs() >= 1);
    machine_hardware(text, sizeof text);
    assert_true(text[0] != '\0');
    slave_system_name(text, sizeof text);
    assert_true(text[0] != '\0' && strchr(text, '"') == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_tells_when_it_began),
        cmocka_unit_test(the_words_of_a_line_stand_behind_the_time),
        cmocka_unit_test(a_log_just_over_the_head_loses_nothing),
        cmocka_unit_test(a_long_log_keeps_its_head_and_its_tail_and_says_what_is_missing),
        cmocka_unit_test(one_piece_larger_than_everything_is_cut_as_well),
        cmocka_unit_test(a_note_stands_on_a_line_of_its_own_also_behind_the_end),
        cmocka_unit_test(an_answer_gives_abi_platform_and_version),
        cmocka_unit_test(a_refusal_is_passed_on_in_its_own_words),
        cmocka_unit_test(any_other_answer_is_refused),
        cmocka_unit_test(the_python_of_this_machine_is_understood),
        cmocka_unit_test(a_python_is_given_by_its_full_path),
        cmocka_unit_test(a_python_that_fails_is_refused),
        cmocka_unit_test(exactly_one_version_is_asked_for),
        cmocka_unit_test(a_version_that_is_no_pep_440_is_asked_for_by_its_bytes),
        cmocka_unit_test(the_hash_of_the_sdist_is_asked_for_when_it_is_known),
        cmocka_unit_test(what_pip_would_read_as_something_else_is_refused),
        cmocka_unit_test(pauses_double_from_a_second_to_a_minute_with_a_quarter_of_chance),
        cmocka_unit_test(a_refusal_that_names_our_version_is_about_versions),
        cmocka_unit_test(a_clock_before_2026_is_not_credible),
        cmocka_unit_test(a_label_has_letters_digits_dots_lines_and_underscores),
        cmocka_unit_test(this_machine_has_a_name_memory_and_at_least_one_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
