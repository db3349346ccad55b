/* Rules of core/log.h. stderr is a file of the test while a line is written. */
#include <errno.h>
#include <fcntl.h>
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

#include "core/log.h"
#include "core/text.h"

#define STAMP_LEN strlen("2026-01-31 14:05:09 ")

struct console {
    char path[64];
    int saved;
    char text[65536];
};

static void capture(struct console *c)
{
    strcpy(c->path, "/tmp/piwheels-log-XXXXXX");
    int fd = mkstemp(c->path);
    c->saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static const char *read_whole(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t len = fread(to, 1, size - 1, file);
    to[len] = '\0';
    fclose(file);
    return to;
}

static const char *captured(struct console *c)
{
    log_close();
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    read_whole(c->path, c->text, sizeof c->text);
    unlink(c->path);
    return c->text;
}

static void log_one_of_each(void)
{
    log_debug("farm", "slave 12: details");
    log_info("farm", "slave 12 (%s): built", "pi4-a");
    log_warning("farm", "slave 12: slow");
    log_error("farm", "slave 12: lost");
}

static int setup(void **state)
{
    unsetenv("JOURNAL_STREAM");
    *state = calloc(1, sizeof(struct console));
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void a_line_begins_with_the_time_and_names_what_is_wrong(void **state)
{
    struct console *c = *state;

    capture(c);
    log_open(&(struct log_settings){.console = LOG_AT_INFO});
    log_one_of_each();
    const char *text = captured(c);
    int year, month, day, hour, minute, second;
    assert_int_equal(sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d ", &year, &month, &day, &hour, &minute, &second),
                     6);
    assert_true(text_starts(text + STAMP_LEN, "slave 12 (pi4-a): built\n"));
    assert_non_null(strstr(text, " warning: slave 12: slow\n"));
    assert_non_null(strstr(text, " error: slave 12: lost\n"));
    assert_null(strstr(text, "details"));
}

static void the_console_shows_nothing_below_its_level(void **state)
{
    struct console *c = *state;

    capture(c);
    log_open(&(struct log_settings){.console = LOG_AT_ERROR});
    log_one_of_each();
    const char *text = captured(c);
    assert_true(text_starts(text + STAMP_LEN, "error: slave 12: lost\n"));
}

static void warnings_show_before_the_log_is_opened(void **state)
{
    struct console *c = *state;

    capture(c);
    log_info("farm", "quiet");
    log_warning("farm", "early");
    const char *text = captured(c);
    assert_true(text_starts(text + STAMP_LEN, "warning: early\n"));
}

static void debug_lines_show_for_the_rooms_named(void **state)
{
    struct console *c = *state;

    capture(c);
    log_open(&(struct log_settings){.console = LOG_AT_DEBUG, .debug = "web, farm"});
    assert_true(log_debugging("farm"));
    assert_true(log_debugging("web"));
    assert_false(log_debugging("far"));
    assert_false(log_debugging("files"));
    log_debug("farm", "shown");
    log_debug("files", "hidden");
    const char *text = captured(c);
    assert_true(text_starts(text + STAMP_LEN, "debug farm: shown\n"));
    assert_null(strstr(text, "hidden"));
}

static void all_names_every_room(void **state)
{
    log_open(&(struct log_settings){.console = LOG_AT_DEBUG, .debug = "all"});
    assert_true(log_debugging("files"));
    log_close();
    assert_false(log_debugging("files"));
}

static void debug_lines_nobody_would_see_are_not_wanted(void **state)
{
    log_open(&(struct log_settings){.console = LOG_AT_INFO, .debug = "all"});
    assert_false(log_debugging("farm"));
    log_close();
}

static void what_could_break_a_line_or_drive_a_terminal_is_spelled_out(void **state)
{
    struct console *c = *state;

    capture(c);
    log_open(&(struct log_settings){.console = LOG_AT_INFO});
    log_info("farm", "a\nb\rc\x1b[31m\x7f \xff \xc2\x9b \xc3\xa4");
    const char *text = captured(c);
    assert_string_equal(text + STAMP_LEN, "a\\x0ab\\x0dc\\x1b[31m\\x7f \\xff \\xc2\\x9b \xc3\xa4\n");
}

static void an_endless_line_is_cut_and_says_so(void **state)
{
    struct console *c = *state;
    char *endless = calloc(1, 40001);

    memset(endless, 'x', 40000);
    capture(c);
    log_open(&(struct log_settings){.console = LOG_AT_INFO});
    log_info("farm", "%s", endless);
    log_info("farm", "next");
    const char *text = captured(c);
    assert_in_range(strcspn(text, "\n"), 16000, 16500);
    assert_non_null(strstr(text, "xxx [cut]\n"));
    assert_true(text_ends(text, " next\n"));
    free(endless);
}

static void a_file_gets_everything_from_info_up_and_wanted_details(void **state)
{
    struct console *c = *state;
    char path[] = "/tmp/piwheels-logfile-XXXXXX", text[4096];

    close(mkstemp(path));
    capture(c);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            log_open(&(struct log_settings){.console = LOG_AT_ERROR, .file = path, .debug = "farm"}), 0);
        log_one_of_each();
    }
    captured(c);
    read_whole(path, text, sizeof text);
    unlink(path);
    assert_non_null(strstr(text, " debug farm: slave 12: details\n"));
    assert_non_null(strstr(text, " slave 12 (pi4-a): built\n"));
    char *first_error = strstr(text, " error: slave 12: lost\n");
    assert_non_null(first_error);
    assert_non_null(strstr(first_error + 1, " error: slave 12: lost\n")); /* appended, not replaced */
}

static void a_file_that_cannot_be_opened_says_why(void **state)
{
    assert_int_equal(log_open(&(struct log_settings){.file = "/nonexistent/log"}), -ENOENT);
}

static void the_journal_gets_no_time(void **state)
{
    struct console *c = *state;
    char stream[64];
    struct stat facts;

    capture(c);
    fstat(STDERR_FILENO, &facts);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)facts.st_dev, (uintmax_t)facts.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open(&(struct log_settings){.console = LOG_AT_INFO});
    log_info("farm", "slave 12: built");
    assert_string_equal(captured(c), "slave 12: built\n");
}

static void a_stderr_led_away_from_the_journal_gets_the_time(void **state)
{
    struct console *c = *state;

    capture(c);
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_open(&(struct log_settings){.console = LOG_AT_INFO});
    log_info("farm", "slave 12: built");
    assert_string_equal(captured(c) + STAMP_LEN, "slave 12: built\n");
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_begins_with_the_time_and_names_what_is_wrong),
        LOG_TEST(the_console_shows_nothing_below_its_level),
        LOG_TEST(warnings_show_before_the_log_is_opened),
        LOG_TEST(debug_lines_show_for_the_rooms_named),
        LOG_TEST(all_names_every_room),
        LOG_TEST(debug_lines_nobody_would_see_are_not_wanted),
        LOG_TEST(what_could_break_a_line_or_drive_a_terminal_is_spelled_out),
        LOG_TEST(an_endless_line_is_cut_and_says_so),
        LOG_TEST(a_file_gets_everything_from_info_up_and_wanted_details),
        LOG_TEST(a_file_that_cannot_be_opened_says_why),
        LOG_TEST(the_journal_gets_no_time),
        LOG_TEST(a_stderr_led_away_from_the_journal_gets_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
