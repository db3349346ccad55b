/* Rules of core/options.h, over the options that schema/options.def declares. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/options.h"

#define MAX_ARGS 300

extern char **environ;

static struct options o;
static char home[64];          /* a home directory of the test's own */
static char *file;             /* the configuration file of the test */

static int setup(void **state)
{
    for (char **entry = environ; *entry != NULL;) {
        if (strncmp(*entry, "PIW_", 4) != 0) {
            entry++;
            continue;
        }
        char *name = mem_textn(*entry, strcspn(*entry, "="));
        unsetenv(name);
        free(name);
    }
    strcpy(home, "/tmp/piwheels-home-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("HOME", home, 1);
    file = mem_format("%s/test.conf", home);
    return 0;
}

static int teardown(void **state)
{
    char *remove_home = mem_format("rm -rf %s", home);

    assert_int_equal(system(remove_home), 0);
    free(remove_home);
    free(file);
    options_release(&o);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

/* Reads the options given as separate arguments, ended by NULL. */
static int read_options(uint32_t command, ...)
{
    char *argv[MAX_ARGS] = {(char *)"command"};
    int argc = 1;
    va_list args;

    va_start(args, command);
    while ((argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    options_release(&o);
    return options_read(&o, command, argc, argv);
}

#define READS(...) assert_int_equal(read_options(__VA_ARGS__, NULL), 0)

#define REFUSES(words, ...) \
    do { \
        assert_int_equal(read_options(__VA_ARGS__, NULL), -EINVAL); \
        assert_string_equal(o.error, words); \
    } while (0)

/* ---- where values come from ---- */

static void a_setting_not_given_has_its_fallback(void **state)
{
    READS(FOR_MASTER);
    assert_string_equal(option_text(&o, OPT_master_dsn), "postgres:///piwheels");
    assert_int_equal(option_number(&o, OPT_master_build_timeout), 3 * 3600 * 1000);
    assert_int_equal(option_number(&o, OPT_master_max_wheel), INT64_C(4) << 30);
    assert_false(option_given(&o, OPT_master_dsn));
    assert_null(option_text(&o, OPT_slave_label));
    assert_false(option_flag(&o, OPT_master_dev_mode));
    assert_string_equal(o.values[OPT_master_dsn].origin, "default");
}

static void a_file_overrides_the_fallback(void **state)
{
    write_file(file, "[master]\ndsn = from-file\n");
    READS(FOR_MASTER, "-c", file);
    assert_string_equal(option_text(&o, OPT_master_dsn), "from-file");
    assert_true(option_given(&o, OPT_master_dsn));
    char *origin = mem_format("%s:2", file);
    assert_string_equal(o.values[OPT_master_dsn].origin, origin);
    free(origin);
}

static void a_variable_overrides_a_file(void **state)
{
    write_file(file, "[master]\ndsn = from-file\n");
    setenv("PIW_MASTER_DSN", "from-variable", 1);
    READS(FOR_MASTER, "-c", file);
    assert_string_equal(option_text(&o, OPT_master_dsn), "from-variable");
    assert_string_equal(o.values[OPT_master_dsn].origin, "PIW_MASTER_DSN");
}

static void argv_overrides_a_variable(void **state)
{
    write_file(file, "[master]\ndsn = from-file\n");
    setenv("PIW_MASTER_DSN", "from-variable", 1);
    READS(FOR_MASTER, "-c", file, "-d", "from-argv");
    assert_string_equal(option_text(&o, OPT_master_dsn), "from-argv");
    assert_string_equal(o.values[OPT_master_dsn].origin, "--dsn");
}

static void the_named_file_overrides_the_personal_one(void **state)
{
    char *folder = mem_format("mkdir -p %s/.config/piwheels", home);
    char *personal = mem_format("%s/.config/piwheels/piwheels.conf", home);

    assert_int_equal(system(folder), 0);
    write_file(personal, "[slave]\nlabel = personal\nmaster = personal\n");
    write_file(file, "[slave]\nlabel = named\n");
    READS(FOR_SLAVE, "-c", file);
    assert_string_equal(option_text(&o, OPT_slave_label), "named");
    assert_string_equal(option_text(&o, OPT_slave_master), "personal");
    free(personal);
    free(folder);
}

static void of_an_option_given_twice_the_last_wins(void **state)
{
    write_file(file, "[slave]\nlabel = one\nlabel = two\n");
    READS(FOR_SLAVE, "-c", file);
    assert_string_equal(option_text(&o, OPT_slave_label), "two");
    READS(FOR_SLAVE, "-L", "three", "--label=four");
    assert_string_equal(option_text(&o, OPT_slave_label), "four");
}

static void the_settings_of_other_commands_are_read_too(void **state)
{
    write_file(file, "[master]\noutput = /srv\n");
    READS(FOR_SLAVE, "-c", file);
    assert_string_equal(option_text(&o, OPT_master_output), "/srv");
}

/* ---- files ---- */

static void keys_may_be_written_with_either_dash(void **state)
{
    write_file(file, "[master]\nslave_listen = a:1\npypi-json = http://b\n");
    READS(FOR_MASTER, "-c", file);
    assert_string_equal(option_text(&o, OPT_master_slave_listen), "a:1");
    assert_string_equal(option_text(&o, OPT_master_pypi_json), "http://b");
}

static void indentation_and_comments_mean_nothing(void **state)
{
    write_file(file, "# comment\n; comment\n\n[master]\n  dsn = x\n\toutput = /y\n");
    READS(FOR_MASTER, "-c", file);
    assert_string_equal(option_text(&o, OPT_master_dsn), "x");
    assert_string_equal(option_text(&o, OPT_master_output), "/y");
}

static void assert_file_refused(const char *text, const char *words)
{
    char *expected = mem_format("%s%s", file, words);

    write_file(file, text);
    REFUSES(expected, FOR_MASTER, "-c", file);
    free(expected);
}

static void faults_of_a_file_name_the_line_and_the_nearest_known(void **state)
{
    assert_file_refused("[master]\nslave_lisen = x\n",
                        ":2: unknown key slave-lisen in [master]; did you mean slave-listen?");
    assert_file_refused("[master]\nzzzzzzzz = x\n", ":2: unknown key zzzzzzzz in [master]");
    assert_file_refused("\n[mastr]\ndsn = x\n", ":2: unknown section [mastr]; did you mean [master]?");
    assert_file_refused("[mastr]\n", ":1: unknown section [mastr]; did you mean [master]?");
    assert_file_refused("[argv]\nhelp = yes\n", ":1: unknown section [argv]");
    assert_file_refused("[slave]\nlabl = x\n", ":2: unknown key labl in [slave]; did you mean label?");
}

static void faults_of_a_file_name_what_is_wrong(void **state)
{
    char long_line[400] = "[master]\ndsn = ";

    assert_file_refused("dsn = x\n", ":1: dsn stands before any [section]");
    assert_file_refused("[master]\n\njust words\n", ":3: this is neither a [section] nor a key = value");
    assert_file_refused("[master\n", ":1: this is neither a [section] nor a key = value");
    assert_file_refused("[master]\nnonsense\n[oops]\n", ":2: this is neither a [section] nor a key = value");
    assert_file_refused("[slave]\ntimeout = 3 parsecs\n",
                        ":2: timeout: \"3 parsecs\" is no duration; write 90s, 5min, 3h or 2d");
    assert_file_refused("[master]\nslave-queue = x\n",
                        ":2: slave-queue is no option any more: use --slave-listen ADDR:PORT");
    memset(long_line + strlen(long_line), 'x', 300);
    assert_file_refused(long_line, ":2: this line is longer than 198 characters");
}

static void a_named_file_must_be_there_and_be_a_file(void **state)
{
    REFUSES("/nonexistent/conf: cannot be read: No such file or directory", FOR_MASTER, "-c",
            "/nonexistent/conf");
    REFUSES("/: cannot be read: Is a directory", FOR_MASTER, "-c", "/");
}

/* ---- the environment ---- */

static void an_unknown_variable_names_the_nearest_known(void **state)
{
    setenv("PIW_MASTR_DSN", "x", 1);
    REFUSES("unknown environment variable PIW_MASTR_DSN; did you mean PIW_MASTER_DSN?", FOR_MASTER);
    unsetenv("PIW_MASTR_DSN");
    setenv("PIW_XYZ", "x", 1);
    REFUSES("unknown environment variable PIW_XYZ", FOR_MASTER);
}

static void a_retired_variable_gives_advice(void **state)
{
    setenv("PIW_MASTER_STATUS_QUEUE", "x", 1);
    REFUSES("PIW_MASTER_STATUS_QUEUE is no option any more: use --control-socket PATH", FOR_SLAVE);
}

static void a_variable_with_a_bad_value_is_named(void **state)
{
    setenv("PIW_SLAVE_TIMEOUT", "soon", 1);
    REFUSES("PIW_SLAVE_TIMEOUT: \"soon\" is no duration; write 90s, 5min, 3h or 2d", FOR_MASTER);
}

static void variables_of_the_tests_and_of_others_are_passed_over(void **state)
{
    setenv("PIW_TEST_ANYTHING", "x", 1);
    setenv("PIWHEELS_BUILD", "1", 1);
    READS(FOR_MASTER);
}

/* ---- argv ---- */

static void values_are_given_in_every_gnu_way(void **state)
{
    READS(FOR_MASTER, "--dsn", "a");
    assert_string_equal(option_text(&o, OPT_master_dsn), "a");
    READS(FOR_MASTER, "--dsn=a=b");
    assert_string_equal(option_text(&o, OPT_master_dsn), "a=b");
    READS(FOR_MASTER, "-d", "a");
    assert_string_equal(option_text(&o, OPT_master_dsn), "a");
    READS(FOR_MASTER, "-da");
    assert_string_equal(option_text(&o, OPT_master_dsn), "a");
    READS(FOR_MASTER, "-vqd", "a");
    assert_string_equal(option_text(&o, OPT_master_dsn), "a");
    assert_true(option_flag(&o, OPT_log_quiet));
    READS(FOR_MASTER, "--dsn=");
    assert_string_equal(option_text(&o, OPT_master_dsn), "");
    READS(FOR_MASTER, "--dsn", "--output");
    assert_string_equal(option_text(&o, OPT_master_dsn), "--output");
}

static void counts_add_up_and_start_afresh_on_argv(void **state)
{
    READS(FOR_MASTER, "-vv", "--verbose");
    assert_int_equal(option_number(&o, OPT_log_verbose), 3);
    write_file(file, "[log]\nverbose = 2\n");
    READS(FOR_MASTER, "-c", file);
    assert_int_equal(option_number(&o, OPT_log_verbose), 2);
    READS(FOR_MASTER, "-c", file, "-v");
    assert_int_equal(option_number(&o, OPT_log_verbose), 1);
}

static void no_takes_a_flag_back(void **state)
{
    setenv("PIW_MASTER_DEV_MODE", "yes", 1);
    READS(FOR_MASTER, "--no-dev-mode");
    assert_false(option_flag(&o, OPT_master_dev_mode));
    assert_true(option_given(&o, OPT_master_dev_mode));
    REFUSES("unknown option --no-dsn", FOR_MASTER, "--no-dsn");
    REFUSES("unknown option --no-print-config; did you mean --print-config?", FOR_MASTER,
            "--no-print-config");
}

static void words_and_options_may_be_mixed(void **state)
{
    READS(FOR_ADD, "numpy", "-v", "2.0", "-", "--", "-x", "--help");
    assert_int_equal(o.word_count, 5);
    assert_string_equal(o.words[0], "numpy");
    assert_string_equal(o.words[1], "2.0");
    assert_string_equal(o.words[2], "-");
    assert_string_equal(o.words[3], "-x");
    assert_string_equal(o.words[4], "--help");
}

static void more_words_than_can_be_kept_are_refused(void **state)
{
    char *argv[OPTIONS_MAX_WORDS + 2];

    for (unsigned i = 0; i < COUNT_OF(argv); i++)
        argv[i] = (char *)"word";
    assert_int_equal(options_read(&o, FOR_ADD, COUNT_OF(argv), argv), -EINVAL);
    assert_string_equal(o.error, "more than 256 arguments");
    options_release(&o);
    assert_int_equal(options_read(&o, FOR_ADD, COUNT_OF(argv) - 1, argv), 0);
}

static void an_unknown_option_names_the_nearest_known(void **state)
{
    REFUSES("unknown option --slave-lisen; did you mean --slave-listen?", FOR_MASTER, "--slave-lisen", "x");
    REFUSES("unknown option --xyzzyxyzzy", FOR_MASTER, "--xyzzyxyzzy=1");
    REFUSES("unknown option -Z", FOR_MASTER, "-Z");
    REFUSES("unknown option --slave_listen; did you mean --slave-listen?", FOR_MASTER, "--slave_listen", "x");
}

static void an_abbreviation_is_unknown(void **state)
{
    REFUSES("unknown option --verb; did you mean --verbose?", FOR_MASTER, "--verb");
}

static void an_option_of_other_commands_says_whose_it_is(void **state)
{
    REFUSES("this command has no option --output; it belongs to master, slave and check", FOR_ADD, "--output", "x");
    REFUSES("this command has no option --no-dev-mode; it belongs to master", FOR_SLAVE, "--no-dev-mode");
    REFUSES("this command has no option -d; it belongs to master, slave, initdb, target and check", FOR_ADD, "-dx");
    REFUSES("this command has no option --label; it belongs to slave and target", FOR_MASTER, "--label", "x");
}

static void an_option_of_the_original_that_is_gone_gives_advice(void **state)
{
    REFUSES("--slave-queue is no option any more: use --slave-listen ADDR:PORT", FOR_MASTER,
            "--slave-queue=x");
    REFUSES("--status-queue is no option any more: use --control-socket PATH", FOR_STATUS, "--status-queue",
            "x");
}

static void a_value_too_few_or_too_many_is_told(void **state)
{
    REFUSES("--timeout needs a value: --timeout SPAN", FOR_SLAVE, "--timeout");
    REFUSES("--timeout needs a value: --timeout SPAN", FOR_SLAVE, "-vt");
    REFUSES("--quiet takes no value", FOR_SLAVE, "--quiet=1");
    REFUSES("--no-quiet takes no value", FOR_SLAVE, "--no-quiet=1");
}

static void options_of_one_name_are_told_apart_by_the_command(void **state)
{
    READS(FOR_SLAVE, "--label", "x", "--python", "/a", "-d", "/b");
    assert_string_equal(option_text(&o, OPT_slave_label), "x");
    assert_string_equal(option_text(&o, OPT_slave_python), "/a");
    assert_string_equal(option_text(&o, OPT_slave_dir), "/b");
    assert_null(option_text(&o, OPT_argv_label));
    READS(FOR_TARGET, "--label", "y", "--python", "/c", "-d", "z");
    assert_string_equal(option_text(&o, OPT_argv_label), "y");
    assert_string_equal(option_text(&o, OPT_argv_python), "/c");
    assert_string_equal(option_text(&o, OPT_master_dsn), "z");
    assert_null(option_text(&o, OPT_slave_label));
}

static void help_and_version_ask_for_nothing_else(void **state)
{
    setenv("PIW_NONSENSE", "x", 1);
    READS(FOR_MASTER, "--nonsense", "--help");
    assert_true(option_flag(&o, OPT_argv_help));
    READS(FOR_MASTER, "-c", "/nonexistent", "--version");
    assert_true(option_flag(&o, OPT_argv_version));
    READS(FOR_MASTER, "-h");
    assert_true(option_flag(&o, OPT_argv_help));
}

/* ---- kinds ---- */

static void spans_are_milliseconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"90", 90000}, {"90s", 90000}, {"5min", 300000}, {"3h", 10800000}, {"2d", 172800000},
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        READS(FOR_SLAVE, "-t", cases[i].text);
        assert_int_equal(option_number(&o, OPT_slave_timeout), cases[i].ms);
    }
}

static void what_is_no_span_is_refused(void **state)
{
    static const char *const cases[] = {
        "", "s", "-1s", "1.5h", "3 h", "3H", "0", "0s", "5m", "99999999999999999999", "9223372036854775807d"};

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        char *words = mem_format("--timeout: \"%s\" is no duration; write 90s, 5min, 3h or 2d", cases[i]);
        REFUSES(words, FOR_SLAVE, "-t", cases[i]);
        free(words);
    }
}

static void a_period_may_be_none(void **state)
{
    READS(FOR_MASTER, "--sweep", "0", "--event-retention", "2d");
    assert_int_equal(option_number(&o, OPT_master_sweep), 0);
    assert_int_equal(option_number(&o, OPT_master_event_retention), 172800000);
}

static void what_is_no_period_is_refused(void **state)
{
    REFUSES("--sweep: \"never\" is no duration; write 90s, 5min, 3h, 2d or 0", FOR_MASTER, "--sweep", "never");
}

static void paths_of_several_uses_come_together(void **state)
{
    setenv("HOME", "/home/pi", 1);
    READS(FOR_SLAVE, "--python", "/usr/bin/python3", "--python=~/py/bin/python3", "--python", "/opt/a,~/b");
    assert_string_equal(option_text(&o, OPT_slave_python), "/usr/bin/python3,/home/pi/py/bin/python3,/opt/a,/home/pi/b");
}

static void paths_of_a_higher_source_replace_those_of_a_lower(void **state)
{
    setenv("PIW_SLAVE_PYTHON", "/opt/a/bin/python3,/opt/b/bin/python3", 1);
    READS(FOR_SLAVE);
    assert_string_equal(option_text(&o, OPT_slave_python), "/opt/a/bin/python3,/opt/b/bin/python3");
    READS(FOR_SLAVE, "--python", "/opt/c/bin/python3");
    assert_string_equal(option_text(&o, OPT_slave_python), "/opt/c/bin/python3");
    unsetenv("PIW_SLAVE_PYTHON");
}

static void a_path_of_nothing_among_others_is_refused(void **state)
{
    REFUSES("--python: \"/opt/a,,/opt/b\" is no path, or several with commas", FOR_SLAVE, "--python", "/opt/a,,/opt/b");
    REFUSES("--python: \"\" is no path, or several with commas", FOR_SLAVE, "--python", "");
}

static void sizes_are_bytes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        {"0", 0},
        {"512", 512},
        {"64K", 65536},
        {"20M", 20 << 20},
        {"4G", INT64_C(4) << 30},
        {"2T", INT64_C(2) << 40},
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        READS(FOR_MASTER, "--max-wheel", cases[i].text);
        assert_int_equal(option_number(&o, OPT_master_max_wheel), cases[i].bytes);
    }
    REFUSES("--max-wheel: \"4 gig\" is no size; write 512, 64K, 20M or 4G", FOR_MASTER, "--max-wheel",
            "4 gig");
    REFUSES("--max-wheel: \"9999999999G\" is no size; write 512, 64K, 20M or 4G", FOR_MASTER,
            "--max-wheel=9999999999G");
}

static void the_path_of_a_socket_is_no_hosts_name_and_not_too_long(void **state)
{
    char path[109] = "/";

    READS(FOR_MASTER, "--control-socket", "localhost");
    assert_string_equal(option_text(&o, OPT_master_control_socket), "./localhost");
    memset(path + 1, 'x', 106);
    READS(FOR_MASTER, "--control-socket", path);
    assert_string_equal(option_text(&o, OPT_master_control_socket), path);
    path[107] = 'x';
    char *words = mem_format("--control-socket: \"%s\" is no path of a socket, which has at most 107 characters", path);
    REFUSES(words, FOR_MASTER, "--control-socket", path);
    free(words);
}

static void a_choice_is_one_of_its_words(void **state)
{
    READS(FOR_MASTER, "--build", "all", "--follow=listed");
    assert_string_equal(option_text(&o, OPT_master_build), "all");
    REFUSES("--follow: \"lsited\" is none of all|listed; did you mean listed?", FOR_MASTER, "--follow", "lsited");
    REFUSES("--build: \"everything\" is none of missing|all", FOR_MASTER, "--build", "everything");
    REFUSES("--sandbox: \"strict|basic\" is none of strict|basic|none", FOR_SLAVE, "--sandbox", "strict|basic");
    REFUSES("--network: \"\" is none of index|none|all", FOR_SLAVE, "--network=");
}

static void an_address_of_the_web_is_http_or_https(void **state)
{
    static const char *const wrong[] = {"ftp://x", "pypi.org/simple", "https://", "https://x/?a", "https://x/\"y", "https://a b", ""};

    READS(FOR_MASTER, "--pypi-simple", "http://127.0.0.1:8000/simple", "--site-url", "https://x/", "--pypi-json=https://x");
    assert_string_equal(option_text(&o, OPT_master_site_url), "https://x/");
    for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
        char *words = mem_format("--pypi-simple: \"%s\" is no address such as https://example.org", wrong[i]);
        REFUSES(words, FOR_MASTER, "--pypi-simple", wrong[i]);
        free(words);
    }
    READS(FOR_MASTER, "--site-url", ""); /* as if it were not given */
    READS(FOR_MASTER, "--pypi-xmlrpc", ""); /* there is none */
    assert_string_equal(option_text(&o, OPT_master_pypi_xmlrpc), "");
}

static void flags_of_files_and_variables_are_yes_or_no(void **state)
{
    static const char *const yes[] = {"yes", "true", "1", "on", "YES"}, *const no[] = {"no", "false", "0",
                                                                                       "off"};

    for (unsigned i = 0; i < COUNT_OF(yes); i++) {
        setenv("PIW_LOG_QUIET", yes[i], 1);
        READS(FOR_MASTER);
        assert_true(option_flag(&o, OPT_log_quiet));
    }
    for (unsigned i = 0; i < COUNT_OF(no); i++) {
        setenv("PIW_LOG_QUIET", no[i], 1);
        READS(FOR_MASTER);
        assert_false(option_flag(&o, OPT_log_quiet));
    }
    setenv("PIW_LOG_QUIET", "perhaps", 1);
    REFUSES("PIW_LOG_QUIET: \"perhaps\" is neither yes nor no", FOR_MASTER);
}

static void counts_of_variables_are_whole_numbers(void **state)
{
    setenv("PIW_LOG_VERBOSE", "2", 1);
    READS(FOR_MASTER);
    assert_int_equal(option_number(&o, OPT_log_verbose), 2);
    setenv("PIW_LOG_VERBOSE", "much", 1);
    REFUSES("PIW_LOG_VERBOSE: \"much\" is no whole number", FOR_MASTER);
}

static void a_path_may_begin_at_home(void **state)
{
    char *expected = mem_format("%s/wheels", home);

    READS(FOR_MASTER, "-o", "~/wheels");
    assert_string_equal(option_text(&o, OPT_master_output), expected);
    READS(FOR_MASTER, "-o", "~");
    assert_string_equal(option_text(&o, OPT_master_output), home);
    READS(FOR_MASTER, "-o", "~other");
    assert_string_equal(option_text(&o, OPT_master_output), "~other");
    REFUSES("--output: \"\" is no path", FOR_MASTER, "-o", "");
    free(expected);
}

/* ---- what people read ---- */

static char *print(void (*printer)(FILE *to, uint32_t command), uint32_t command)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    printer(to, command);
    fclose(to);
    return text;
}

static void print_settings(FILE *to, uint32_t command)
{
    options_print(to, &o, command);
}

static void help_fits_eighty_columns_for_every_command(void **state)
{
    for (unsigned bit = 0; bit < 6; bit++) {
        char *text = print(options_help, 1u << bit);
        unsigned column = 0;
        for (const char *c = text; *c != '\0'; c++) {
            column = *c == '\n' ? 0 : column + (((unsigned char)*c & 0xc0) != 0x80);
            assert_true(column <= 80);
        }
        free(text);
    }
}

static void help_has_the_commands_options_and_no_others(void **state)
{
    char *text = print(options_help, FOR_SLAVE);

    assert_non_null(strstr(text, "  -t, --timeout SPAN      time limit of a build (default: 3h)\n"));
    assert_non_null(strstr(text, "  -h, --help              show this help and exit\n"));
    assert_null(strstr(text, "--dsn"));
    free(text);
}

static void print_config_shows_each_value_and_where_it_came_from(void **state)
{
    setenv("PIW_SLAVE_MASTER", "pi:5555", 1);
    READS(FOR_SLAVE, "-L", "pi4");
    char *text = print(print_settings, FOR_SLAVE);
    static const char first[] = "[log] quiet = no  (default)\n"
                                 "[log] verbose = 0  (default)\n"
                                 "[log] log-file =   (default)\n"
                                 "[log] debug =   (default)\n"
                                 "[slave] master = pi:5555  (PIW_SLAVE_MASTER)\n"
                                 "[slave] timeout = 3h  (default)\n"
                                 "[slave] dir =   (default)\n"
                                 "[slave] label = pi4  (--label)\n"
                                 "[slave] jobs = 1  (default)\n"
                                 "[slave] python = /usr/bin/python3  (default)\n"
                                 "[slave] key =   (default)\n"
                                 "[slave] insecure = no  (default)\n";
    assert_memory_equal(text, first, sizeof first - 1);
    assert_non_null(strstr(text, "\n[slave] disk = 10G  (default)\n"));
    free(text);
}

static void the_manual_has_key_variable_and_default(void **state)
{
    char *text = print(options_manual, FOR_SLAVE);

    assert_non_null(strstr(text,
                           ".It Fl t , Fl -timeout Ar SPAN\nTime limit of a build.\n"
                           "Default:\n.Ql 3h .\n"
                           "Key\n.Cm timeout\nin\n.Cm \\&[slave] ,\nvariable\n.Ev PIW_SLAVE_TIMEOUT .\n"));
    free(text);
}

#define OPTIONS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPTIONS_TEST(a_setting_not_given_has_its_fallback),
        OPTIONS_TEST(a_file_overrides_the_fallback),
        OPTIONS_TEST(a_variable_overrides_a_file),
        OPTIONS_TEST(argv_overrides_a_variable),
        OPTIONS_TEST(the_named_file_overrides_the_personal_one),
        OPTIONS_TEST(of_an_option_given_twice_the_last_wins),
        OPTIONS_TEST(the_settings_of_other_commands_are_read_too),
        OPTIONS_TEST(keys_may_be_written_with_either_dash),
        OPTIONS_TEST(indentation_and_comments_mean_nothing),
        OPTIONS_TEST(faults_of_a_file_name_the_line_and_the_nearest_known),
        OPTIONS_TEST(faults_of_a_file_name_what_is_wrong),
        OPTIONS_TEST(a_named_file_must_be_there_and_be_a_file),
        OPTIONS_TEST(an_unknown_variable_names_the_nearest_known),
        OPTIONS_TEST(a_retired_variable_gives_advice),
        OPTIONS_TEST(a_variable_with_a_bad_value_is_named),
        OPTIONS_TEST(variables_of_the_tests_and_of_others_are_passed_over),
        OPTIONS_TEST(values_are_given_in_every_gnu_way),
        OPTIONS_TEST(counts_add_up_and_start_afresh_on_argv),
        OPTIONS_TEST(no_takes_a_flag_back),
        OPTIONS_TEST(words_and_options_may_be_mixed),
        OPTIONS_TEST(more_words_than_can_be_kept_are_refused),
        OPTIONS_TEST(an_unknown_option_names_the_nearest_known),
        OPTIONS_TEST(an_abbreviation_is_unknown),
        OPTIONS_TEST(an_option_of_other_commands_says_whose_it_is),
        OPTIONS_TEST(an_option_of_the_original_that_is_gone_gives_advice),
        OPTIONS_TEST(a_value_too_few_or_too_many_is_told),
        OPTIONS_TEST(options_of_one_name_are_told_apart_by_the_command),
        OPTIONS_TEST(help_and_version_ask_for_nothing_else),
        OPTIONS_TEST(spans_are_milliseconds),
        OPTIONS_TEST(what_is_no_span_is_refused),
        OPTIONS_TEST(a_period_may_be_none),
        OPTIONS_TEST(what_is_no_period_is_refused),
        OPTIONS_TEST(paths_of_several_uses_come_together),
        OPTIONS_TEST(paths_of_a_higher_source_replace_those_of_a_lower),
        OPTIONS_TEST(a_path_of_nothing_among_others_is_refused),
        OPTIONS_TEST(sizes_are_bytes),
        OPTIONS_TEST(the_path_of_a_socket_is_no_hosts_name_and_not_too_long),
        OPTIONS_TEST(a_choice_is_one_of_its_words),
        OPTIONS_TEST(an_address_of_the_web_is_http_or_https),
        OPTIONS_TEST(flags_of_files_and_variables_are_yes_or_no),
        OPTIONS_TEST(counts_of_variables_are_whole_numbers),
        OPTIONS_TEST(a_path_may_begin_at_home),
        OPTIONS_TEST(help_fits_eighty_columns_for_every_command),
        OPTIONS_TEST(help_has_the_commands_options_and_no_others),
        OPTIONS_TEST(print_config_shows_each_value_and_where_it_came_from),
        OPTIONS_TEST(the_manual_has_key_variable_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
