/* Rules of cmd.h: what `piwheels …` says and with which status it exits. Output goes to files of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd.h"
#include "core/memory.h"
#include "core/text.h"

struct answer {
    int status;
    char out[32768], err[8192];
};

static void swap_descriptor(int fd, FILE *file, int *saved)
{
    *saved = dup(fd);
    dup2(fileno(file), fd);
}

static void restore_descriptor(int fd, FILE *file, int saved, char *text, size_t size)
{
    dup2(saved, fd);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* What the program says to argv, ended by NULL. Free with free(). */
static struct answer *run(const char *argv0, ...)
{
    struct answer *a = mem_new(1, sizeof *a);
    char *argv[16] = {(char *)argv0};
    int argc = 1, saved_out, saved_err;
    FILE *out = tmpfile(), *err = tmpfile();
    va_list args;

    va_start(args, argv0);
    while ((argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    fflush(stdout);
    swap_descriptor(STDOUT_FILENO, out, &saved_out);
    swap_descriptor(STDERR_FILENO, err, &saved_err);
    a->status = commands_main(argc, argv);
    restore_descriptor(STDERR_FILENO, err, saved_err, a->err, sizeof a->err);
    restore_descriptor(STDOUT_FILENO, out, saved_out, a->out, sizeof a->out);
    return a;
}

static void assert_refused(struct answer *a, const char *words)
{
    assert_int_equal(a->status, EXIT_USAGE);
    assert_string_equal(a->err, words);
    assert_string_equal(a->out, "");
    free(a);
}

static void assert_narrow(const char *text)
{
    unsigned column = 0;

    for (; *text != '\0'; text++) {
        column = *text == '\n' ? 0 : column + (((unsigned char)*text & 0xc0) != 0x80);
        assert_true(column <= 80);
    }
}

static int setup(void **state)
{
    setenv("HOME", "/nonexistent", 1);
    unsetenv("PIW_MASTER_DSN");
    return 0;
}

static void every_command_is_complete(void **state)
{
    for (const struct command *const *c = commands; *c != NULL; c++) {
        assert_non_null((*c)->name);
        assert_non_null((*c)->usage);
        assert_non_null((*c)->description);
        assert_true((*c)->summary[0] != '\0' && !text_ends((*c)->summary, "."));
        assert_non_null((*c)->run);
        assert_true((*c)->max_words >= (*c)->min_words && (*c)->max_words <= OPTIONS_MAX_WORDS);
        assert_true((*c)->bit != 0 && ((*c)->bit & ((*c)->bit - 1)) == 0);
    }
}

static void a_command_is_found_by_name_and_by_alias(void **state)
{
    assert_ptr_equal(command_find("master"), &command_master);
    assert_ptr_equal(command_find("piw-master"), &command_master);
    assert_ptr_equal(command_find("piw-slave"), &command_slave);
    assert_ptr_equal(command_find("piw-initdb"), &command_initdb);
    assert_ptr_equal(command_find("piw-init-db"), &command_initdb);
    assert_ptr_equal(command_find("piw-add"), &command_add);
    assert_null(command_find("maser"));
    assert_null(command_find(""));
}

static void alone_and_with_help_the_program_shows_the_overview(void **state)
{
    struct answer *answers[] = {run("piwheels", NULL), run("/usr/bin/piwheels", "help", NULL),
                                run("piwheels", "--help", NULL), run("piwheels", "-h", NULL)};

    for (unsigned i = 0; i < COUNT_OF(answers); i++) {
        assert_int_equal(answers[i]->status, EXIT_OK);
        assert_string_equal(answers[i]->out, answers[0]->out);
    }
    for (const struct command *const *c = commands; *c != NULL; c++)
        assert_non_null(strstr(answers[0]->out, (*c)->name));
    assert_narrow(answers[0]->out);
    for (unsigned i = 0; i < COUNT_OF(answers); i++)
        free(answers[i]);
}

static void every_command_has_help_that_fits_the_screen(void **state)
{
    for (const struct command *const *c = commands; *c != NULL; c++) {
        const char *name = (*c)->name;
        char *usage = mem_format("Usage: piwheels %s [OPTION...]", name);
        struct answer *first = run("piwheels", name, "--help", NULL),
                      *second = run("piwheels", "help", name, NULL);

        assert_int_equal(first->status, EXIT_OK);
        assert_true(text_starts(first->out, usage));
        assert_string_equal(first->out, second->out);
        assert_string_equal(first->err, "");
        assert_narrow(first->out);
        free(first);
        free(second);
        free(usage);
    }
}

static void the_version_is_told_with_and_without_a_command(void **state)
{
    struct answer *first = run("piwheels", "--version", NULL),
                  *second = run("piwheels", "slave", "--version", NULL),
                  *third = run("piw-slave", "--version", NULL);

    assert_string_equal(first->out, "piwheels " PIWHEELS_VERSION "\n");
    assert_string_equal(second->out, first->out);
    assert_string_equal(third->out, first->out);
    assert_int_equal(first->status, EXIT_OK);
    free(first);
    free(second);
    free(third);
}

static void an_unknown_command_or_option_names_the_nearest(void **state)
{
    assert_refused(run("piwheels", "maser", NULL),
                   "piwheels: unknown command maser; did you mean master? (see piwheels help)\n");
    assert_refused(run("piwheels", "frobnicate", NULL),
                   "piwheels: unknown command frobnicate (see piwheels help)\n");
    assert_refused(run("piwheels", "--verison", NULL),
                   "piwheels: unknown option --verison; did you mean --version? (see piwheels help)\n");
    assert_refused(run("piwheels", "help", "statsu", NULL),
                   "piwheels: unknown command statsu; did you mean status? (see piwheels help)\n");
    assert_refused(run("piwheels", "", NULL), "piwheels: unknown command \"\" (see piwheels help)\n");
    assert_refused(run("/usr/bin/piw-logger", "x", NULL),
                   "piwheels: unknown command piw-logger (see piwheels help)\n");
}

static void an_option_that_is_wrong_is_told_with_the_command(void **state)
{
    assert_refused(run("piwheels", "master", "--slave-lisen", "x", NULL),
                   "piwheels master: unknown option --slave-lisen; did you mean --slave-listen? "
                   "(see piwheels master --help)\n");
}

static void words_too_many_or_too_few_are_told_with_the_usage(void **state)
{
    struct answer *a = run("piw-init-db", "one", "two", NULL);

    assert_int_equal(a->status, EXIT_USAGE);
    assert_true(
        text_starts(a->err, "piwheels initdb: there is no place for \"two\"; usage: piwheels initdb "));
    free(a);
    a = run("piwheels", "target", NULL);
    assert_int_equal(a->status, EXIT_USAGE);
    assert_true(text_starts(a->err, "piwheels target: something is missing; usage: piwheels target "));
    free(a);
    assert_refused(run("piwheels", "status", "now", NULL), "piwheels status: there is no place for \"now\"; usage: "
                   "piwheels status (see piwheels status --help)\n");
    assert_refused(run("piwheels", "help", "add", "remove", NULL),
                   "piwheels: help tells of one command at a time (there is no place for \"remove\")\n");
}

static void an_unknown_room_is_told_the_known_ones(void **state)
{
    assert_refused(run("piwheels", "status", "--debug", "web,famr", NULL),
                   "piwheels status: --debug: \"famr\" is none of all, control, db, farm, files, io, master, overrides, pypi, "
                   "queue, slave, web; did you mean farm? (see piwheels status --help)\n");
}

static void an_alias_runs_its_command(void **state)
{
    struct answer *a = run("/usr/local/bin/piw-master", "--print-config", NULL);

    assert_int_equal(a->status, EXIT_OK);
    assert_non_null(strstr(a->out, "[master] dsn = postgres:///piwheels  (default)\n"));
    free(a);
}

static void a_log_that_cannot_be_opened_is_told(void **state)
{
    struct answer *a = run("piwheels", "status", "-l", "/nonexistent/log", NULL);

    assert_int_equal(a->status, EXIT_TROUBLE);
    assert_string_equal(a->err, "piwheels status: cannot write the log to /nonexistent/log: "
                                "No such file or directory\n");
    free(a);
}

/* The settings that these arguments of a slave ask for. The file and rooms are those of `o`. */
static struct log_settings settings_of(struct options *o, const char *first, const char *second)
{
    char *argv[] = {(char *)"slave", (char *)first, (char *)second};

    assert_int_equal(options_read(o, FOR_SLAVE, second != NULL ? 3 : 2, argv), 0);
    return command_log_settings(o);
}

static void the_log_shows_what_q_v_and_debug_ask_for(void **state)
{
    static const struct {
        const char *first, *second;
        enum log_level console;
        const char *debug;
    } cases[] = {
        {"x", NULL, LOG_AT_WARNING, NULL},
        {"-v", NULL, LOG_AT_INFO, NULL},
        {"-vv", NULL, LOG_AT_DEBUG, "all"},
        {"--debug=farm", NULL, LOG_AT_DEBUG, "farm"},
        {"-vv", "--debug=farm", LOG_AT_DEBUG, "farm"},
        {"-q", NULL, LOG_AT_ERROR, NULL},
        {"-q", "-v", LOG_AT_ERROR, NULL},
    };
    struct options *o = mem_new(1, sizeof *o);

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct log_settings settings = settings_of(o, cases[i].first, cases[i].second);
        assert_int_equal(settings.console, cases[i].console);
        if (cases[i].debug == NULL)
            assert_null(settings.debug);
        else
            assert_string_equal(settings.debug, cases[i].debug);
        assert_null(settings.file);
        options_release(o);
    }
    struct log_settings settings = settings_of(o, "-l", "/tmp/x");
    assert_string_equal(settings.file, "/tmp/x");
    options_release(o);
    free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_complete),
        cmocka_unit_test(an_unknown_room_is_told_the_known_ones),
        cmocka_unit_test(a_command_is_found_by_name_and_by_alias),
        cmocka_unit_test(alone_and_with_help_the_program_shows_the_overview),
        cmocka_unit_test(every_command_has_help_that_fits_the_screen),
        cmocka_unit_test(the_version_is_told_with_and_without_a_command),
        cmocka_unit_test(an_unknown_command_or_option_names_the_nearest),
        cmocka_unit_test(an_option_that_is_wrong_is_told_with_the_command),
        cmocka_unit_test(words_too_many_or_too_few_are_told_with_the_usage),
        cmocka_unit_test(an_alias_runs_its_command),
        cmocka_unit_test(a_log_that_cannot_be_opened_is_told),
        cmocka_unit_test(the_log_shows_what_q_v_and_debug_ask_for),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
