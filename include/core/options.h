/*
 * Options: declared in schema/options.def, given by configuration files, PIW_* variables and
 * argv in rising precedence, and asked for by id.
 *
 * Files, in order: /etc/piwheels.conf, /usr/local/etc/piwheels.conf,
 * ~/.config/piwheels/piwheels.conf, then -c FILE. All sections of a file are checked, whatever
 * command runs: an unknown section, key or variable is an error that names the nearest known one.
 */
#ifndef CORE_OPTIONS_H
#define CORE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum option_commands { /* which commands offer an option */
    FOR_MASTER = 1 << 0,
    FOR_SLAVE = 1 << 1,
    FOR_INITDB = 1 << 2,
    FOR_TARGET = 1 << 3,
    FOR_ADD = 1 << 4,
    FOR_STATUS = 1 << 5,
    FOR_MONITOR = 1 << 6,
    FOR_LOGS = 1 << 7,
    FOR_SLAVES = 1 << 8,
    FOR_CHECK = 1 << 9,
    FOR_EXPLAIN = 1 << 10,
    FOR_QUEUE = 1 << 11,
    FOR_REBUILD = 1 << 12,
    FOR_SKIP = 1 << 13,
    FOR_UNSKIP = 1 << 14,
    FOR_REMOVE = 1 << 15,
    FOR_ALL = 0x7fffffff
};

enum option_id {
#define OPTION(section, name, letter, kind, metavar, fallback, commands, help) OPT_##section##_##name,
#define RETIRED(section, name, advice)
#include "options.def"
#undef OPTION
#undef RETIRED
    OPT_COUNT
};

#define OPTIONS_MAX_WORDS 256 /* positional arguments of one command */

enum option_source { OPTION_DEFAULT, OPTION_FILE, OPTION_VARIABLE, OPTION_ARGV }; /* in rising precedence */

struct option_value {
    char *text;       /* as given (a PATH with its ~/ replaced; PATHS with commas), or NULL */
    int64_t number;   /* FLAG 0/1, COUNT, NUMBER, SPAN (ms), SIZE (bytes) */
    char *origin;     /* "default", "/etc/piwheels.conf:12", "PIW_MASTER_DSN", "--dsn" */
    enum option_source source;
};

struct options {
    struct option_value values[OPT_COUNT];
    const char *words[OPTIONS_MAX_WORDS]; /* the positional arguments; borrowed from argv */
    unsigned word_count;
    char error[512];  /* why options_read failed: a whole sentence for the user */
};

/* Reads everything for the command whose bit is `command`; argv[0] is skipped. Options and words may
 * be mixed; "--" ends the options. 0, or -EINVAL with `error` set. Release in either case.
 * With --help or --version on the command line nothing else is read or checked. */
int options_read(struct options *o, uint32_t command, int argc, char *const argv[]);
void options_release(struct options *o);

/* NULL when not given and without a fallback. Owned by `o`. */
const char *option_text(const struct options *o, enum option_id id);
bool option_given(const struct options *o, enum option_id id); /* by other than the fallback */
bool option_flag(const struct options *o, enum option_id id);
int64_t option_number(const struct options *o, enum option_id id);

/* The options of a command, for --help: at most 80 columns. */
void options_help(FILE *to, uint32_t command);

/* `[section] name = value  (origin)` of every setting that the command offers. */
void options_print(FILE *to, const struct options *o, uint32_t command);

/* The same list as mdoc(7) items, for the man pages. */
void options_manual(FILE *to, uint32_t command);

#endif
