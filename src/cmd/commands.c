/*
 * The table of commands, and the way from argv to one of them: called by main, whose name may be
 * `piwheels` or a command's alias (piw-master).
 */
#include "cmd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "core/text.h"
#include "slave.h"

const struct command *const commands[] = {
    &command_master, &command_slave, &command_initdb, &command_target, &command_add, &command_remove,
    &command_rebuild, &command_skip, &command_unskip, &command_explain, &command_queue, &command_status,
    &command_slaves, &command_logs, &command_monitor, &command_check, NULL,
};

static const char *const overview_words[] = {"help", "--help", "--version"};

/* What --debug knows: the rooms that write to the log. */
static const char *const debug_rooms[] = {"all", "control", "db", "farm", "files", "io", "master", "overrides", "pypi", "queue",
                                          "slave", "web"};

static bool is_alias(const struct command *c, const char *name)
{
    for (const char *const *alias = c->aliases; alias != NULL && *alias != NULL; alias++)
        if (strcmp(*alias, name) == 0)
            return true;
    return false;
}

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c != NULL; c++)
        if (strcmp((*c)->name, name) == 0 || is_alias(*c, name))
            return *c;
    return NULL;
}

/* ---- complaints ---- */

int command_usage_error(const struct command *c, const char *format, ...)
{
    va_list args;

    fflush(stdout); /* where both lead to one place, what came first stands first */
    fprintf(stderr, "piwheels %s: ", c->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (see piwheels %s --help)\n", c->name);
    return EXIT_USAGE;
}

int command_trouble(const struct command *c, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "piwheels %s: ", c->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_TROUBLE;
}

static int unknown_command(const char *name)
{
    const char *known[COUNT_OF(commands) + COUNT_OF(overview_words)];
    size_t count = 0;

    for (const struct command *const *c = commands; *c != NULL; c++)
        known[count++] = (*c)->name;
    for (unsigned i = 0; i < COUNT_OF(overview_words); i++)
        known[count++] = overview_words[i];
    const char *near = nearest_name(name, known, count);
    fprintf(stderr, "piwheels: unknown %s %s", name[0] == '-' ? "option" : "command", name[0] != '\0' ? name : "\"\"");
    if (near != NULL)
        fprintf(stderr, "; did you mean %s?", near);
    fputs(" (see piwheels help)\n", stderr);
    return EXIT_USAGE;
}

/* ---- actions ---- */

static int unknown_action(const struct command *c, const struct command_action *actions, unsigned count, const char *name)
{
    const char **known = mem_new(count, sizeof *known);
    struct buf list;

    buf_init(&list, 1024);
    for (unsigned i = 0; i < count; i++) {
        known[i] = actions[i].name;
        buf_addf(&list, "%s%s", i > 0 ? ", " : "", known[i]);
    }
    const char *near = nearest_name(name, known, count);
    int status = command_usage_error(c, "\"%s\" is none of %s%s%s%s", name, list.data, near != NULL ? "; did you mean " : "",
                                     near != NULL ? near : "", near != NULL ? "?" : "");
    buf_release(&list);
    free(known);
    return status;
}

int command_act(const struct command *c, const struct command_action *actions, unsigned count, const struct options *o)
{
    for (unsigned i = 0; i < count; i++) {
        const struct command_action *a = &actions[i];
        if (strcmp(o->words[0], a->name) != 0)
            continue;
        if (o->word_count < a->min_words || o->word_count > a->max_words)
            return command_usage_error(c, "usage: piwheels %s %s", c->name, a->usage);
        return a->run(o);
    }
    return unknown_action(c, actions, count, o->words[0]);
}

/* ---- help ---- */

static int show_overview(void)
{
    puts("Usage: piwheels COMMAND [OPTION...] [ARGUMENT...]\n");
    text_wrap(stdout,
              "piwheels builds wheels for what is on PyPI, for machines that PyPI has none for, and "
              "publishes them as a static site that pip can install from.",
              0, 0);
    puts("\nCommands:");
    for (const struct command *const *c = commands; *c != NULL; c++) {
        int column = printf("  %s", (*c)->name);
        text_wrap(stdout, (*c)->summary, (unsigned)column, 12);
    }
    puts("\nSee piwheels help COMMAND for what one does, and piwheels(1) for the whole.");
    return EXIT_OK;
}

static int show_help(const struct command *c)
{
    char *usage = mem_format("piwheels %s [OPTION...] %s", c->name, c->usage);
    int column = printf("Usage: ");

    text_wrap(stdout, usage, (unsigned)column, (unsigned)column);
    free(usage);
    for (const char *const *alias = c->aliases; alias != NULL && *alias != NULL; alias++)
        printf("   or: %s ...\n", *alias);
    putchar('\n');
    text_wrap(stdout, c->description, 0, 0);
    putchar('\n');
    options_help(stdout, c->bit);
    return EXIT_OK;
}

static int show_version(void)
{
    puts("piwheels " PIWHEELS_VERSION);
    return EXIT_OK;
}

/* `piwheels help [COMMAND]`. */
static int help(int argc, char *const argv[])
{
    if (argc < 2)
        return show_overview();
    if (argc > 2) {
        fprintf(stderr, "piwheels: help tells of one command at a time (there is no place for \"%s\")\n", argv[2]);
        return EXIT_USAGE;
    }
    const struct command *c = command_find(argv[1]);
    return c != NULL ? show_help(c) : unknown_command(argv[1]);
}

/* ---- a command ---- */

struct log_settings command_log_settings(const struct options *o)
{
    int64_t verbose = option_number(o, OPT_log_verbose);
    struct log_settings settings = {
        .console = LOG_AT_WARNING,
        .file = option_text(o, OPT_log_log_file),
        .debug = option_text(o, OPT_log_debug),
    };

    if (verbose >= 2 && settings.debug == NULL)
        settings.debug = "all";
    if (option_flag(o, OPT_log_quiet))
        settings.console = LOG_AT_ERROR;
    else if (settings.debug != NULL)
        settings.console = LOG_AT_DEBUG;
    else if (verbose == 1)
        settings.console = LOG_AT_INFO;
    return settings;
}

static int check_words(const struct command *c, const struct options *o)
{
    const char *space = c->usage[0] != '\0' ? " " : "";

    if (o->word_count > c->max_words)
        return command_usage_error(c, "there is no place for \"%s\"; usage: piwheels %s%s%s",
                                   o->words[c->max_words], c->name, space, c->usage);
    if (o->word_count < c->min_words)
        return command_usage_error(c, "something is missing; usage: piwheels %s%s%s", c->name, space, c->usage);
    return EXIT_OK;
}

static int check_debug_room(const struct command *c, const char *room)
{
    const char *near = nearest_name(room, debug_rooms, COUNT_OF(debug_rooms));
    struct buf list;

    if (near != NULL && strcmp(near, room) == 0)
        return EXIT_OK;
    buf_init(&list, 1024);
    for (unsigned i = 0; i < COUNT_OF(debug_rooms); i++)
        buf_addf(&list, "%s%s", i > 0 ? ", " : "", debug_rooms[i]);
    int status = command_usage_error(c, "--debug: \"%s\" is none of %s%s%s%s", room, list.data,
                                     near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
    buf_release(&list);
    return status;
}

static int check_debug(const struct command *c, const struct options *o)
{
    char *rooms = mem_text(option_text(o, OPT_log_debug)), *at = rooms, *room;
    int status = EXIT_OK;

    while (status == EXIT_OK && (room = strsep(&at, ", ")) != NULL)
        if (room[0] != '\0')
            status = check_debug_room(c, room);
    free(rooms);
    return status;
}

static int run_command(const struct command *c, const struct options *o)
{
    if (option_flag(o, OPT_argv_help))
        return show_help(c);
    if (option_flag(o, OPT_argv_version))
        return show_version();
    if (option_flag(o, OPT_argv_print_config)) {
        options_print(stdout, o, c->bit);
        return EXIT_OK;
    }
    int status = check_words(c, o);
    if (status == EXIT_OK)
        status = check_debug(c, o);
    if (status != EXIT_OK)
        return status;
    if (c->needs_user && geteuid() == 0)
        return command_trouble(c,
                               "refusing to run as root; run it as an unprivileged user, e.g. su - piwheels");
    struct log_settings settings = command_log_settings(o);
    int error = log_open(&settings);
    if (error != 0)
        return command_trouble(c, "cannot write the log to %s: %s", settings.file, strerror(-error));
    status = c->run(o);
    log_close();
    return status;
}

/* argv[0] is passed over by the options, whatever it is. */
static int read_and_run(const struct command *c, int argc, char *const argv[])
{
    struct options *o = mem_new(1, sizeof *o);
    int status;

    if (options_read(o, c->bit, argc, argv) != 0)
        status = command_usage_error(c, "%s", o->error);
    else
        status = run_command(c, o);
    options_release(o);
    free(o);
    return status;
}

static int dispatch(int argc, char *argv[])
{
    const char *slash = strrchr(argv[0], '/'), *name = slash != NULL ? slash + 1 : argv[0];
    const struct command *c = command_find(name);

    if (c != NULL)
        return read_and_run(c, argc, argv);
    if (text_starts(name, "piw-"))
        return unknown_command(name);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return show_overview();
    if (strcmp(argv[1], "--version") == 0)
        return show_version();
    if (strcmp(argv[1], SLAVE_INSIDE_COMMAND) == 0)
        return slave_inside(argc - 2, argv + 2);
    if (strcmp(argv[1], SLAVE_ESCAPE_COMMAND) == 0)
        return slave_escape(argc - 2, argv + 2);
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    c = command_find(argv[1]);
    return c != NULL ? read_and_run(c, argc - 1, argv + 1) : unknown_command(argv[1]);
}

/* ---- the end ---- */

static bool reader_is_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

/* Whoever closed a pipe (head, less) has read enough: then it ends as programs do that do not ignore SIGPIPE. */
int command_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_OK;
    int error = errno;
    if (reader_is_gone()) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    fprintf(stderr, "piwheels: cannot write to standard output: %s\n", strerror(error));
    return EXIT_TROUBLE;
}

int commands_main(int argc, char *argv[])
{
    int status = dispatch(argc, argv);

    return status == EXIT_OK ? command_flush() : status;
}
