/*
 * The commands: what a person types. One command, one file in src/cmd, one entry in the table of
 * src/cmd/commands.c. `piwheels NAME …` and a symlink named after an alias (piw-master) are the same.
 */
#ifndef CMD_H
#define CMD_H

#include <stdint.h>

#include "core/log.h"
#include "core/options.h"

/* Exit statuses, documented in piwheels(1). */
enum { EXIT_OK = 0, EXIT_TROUBLE = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;             /* "master" */
    const char *const *aliases;   /* busybox-style names, NULL-terminated: "piw-master" */
    const char *usage;            /* words after the options: "[DATABASE]" */
    const char *summary;          /* one line for `piwheels help` */
    const char *description;      /* a paragraph or more for `--help` */
    uint32_t bit;                 /* of enum option_commands */
    unsigned min_words, max_words;/* how many positional arguments it takes */
    bool needs_user;              /* refuses to run as root */
    int (*run)(const struct options *o); /* returns the exit status */
};

extern const struct command command_master, command_slave, command_initdb, command_target, command_add,
    command_status, command_logs, command_monitor, command_slaves, command_explain, command_queue, command_rebuild,
    command_skip, command_unskip, command_remove, command_check;

/* All commands, NULL-terminated, in the order of `piwheels help`. */
extern const struct command *const commands[];

/* The whole program: finds the command that argv names, reads its options, answers --help, --version and
 * --print-config, refuses root where a command says so, opens the log and runs it. Returns the exit
 * status. */
int commands_main(int argc, char *argv[]);

/* What -q, -v, --debug and --log-file ask of the log. commands_main has opened it so before `run`. The
 * texts stay the options'. */
struct log_settings command_log_settings(const struct options *o);

/* What a command does that has several doings, the first word chooses: piwheels target add. */
struct command_action {
    const char *name, *usage;
    unsigned min_words, max_words;   /* the action's own name counted */
    int (*run)(const struct options *o);
};
/* Runs the one that the first word names, if it has as many words as it wants; else says which there are. The exit status. */
int command_act(const struct command *c, const struct command_action *actions, unsigned count, const struct options *o);

/* The command of this name or alias, or NULL. */
const struct command *command_find(const char *name);

/* Writes out what was printed. EXIT_OK, or EXIT_TROUBLE when it cannot be written, which has been said then; does not return when
 * it went through a pipe that nobody reads from any more. */
int command_flush(void);

/* Says "piwheels COMMAND: … (see piwheels COMMAND --help)" on stderr; returns EXIT_USAGE. */
int command_usage_error(const struct command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says "piwheels COMMAND: …" on stderr; returns EXIT_TROUBLE. */
int command_trouble(const struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
