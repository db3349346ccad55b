/*
 * The table behind the options: private to src/core/options*.c.
 */
#ifndef OPTIONS_TABLE_H
#define OPTIONS_TABLE_H

#include "core/options.h"

enum option_kind {
    KIND_FLAG, KIND_COUNT, KIND_TEXT, KIND_PATH, KIND_PATHS, KIND_NUMBER, KIND_SPAN, KIND_PERIOD, KIND_SIZE, KIND_CHOICE,
    KIND_URL, KIND_SOURCE, KIND_SOCKET
};

struct option_row {
    const char *section;   /* "master"; "argv": command line only */
    const char *name;      /* "slave_listen" */
    char letter;           /* 0: none */
    enum option_kind kind;
    const char *metavar, *fallback;
    uint32_t commands;
    const char *help;
};

struct option_retired {
    const char *section, *name, *advice;
};

extern const struct option_row option_rows[OPT_COUNT];
extern const struct option_retired option_retirees[];
extern const unsigned option_retiree_count;

#define OPTION_NAME_SIZE 64

/* The three spellings of an option; each returns `to`. */
const char *option_long(const char *name, char to[OPTION_NAME_SIZE]);  /* "--slave-listen" */
const char *option_key(const char *name, char to[OPTION_NAME_SIZE]);   /* "slave-listen" */
const char *option_variable(const char *section, const char *name,
                            char to[OPTION_NAME_SIZE]);                /* "PIW_MASTER_SLAVE_LISTEN" */

bool option_is_setting(enum option_id id);                   /* may stand in files and the environment */
bool option_offered(enum option_id id, uint32_t command);
bool option_takes_value(enum option_id id);                  /* on the command line */

/* Names of the commands in the mask: "master, initdb and target". */
void option_command_names(uint32_t mask, char *to, size_t size);

/* The advice for a retired option, or NULL. `section` NULL: of any. */
const char *option_retired_advice(const char *section, const char *key);

/* Sets a value if it comes from no lower a source than the one before. `label` begins the message when the
 * text is no value of that kind: "--timeout", "/etc/piwheels.conf:12: timeout". */
int option_set(struct options *o, enum option_id id, const char *text, enum option_source source,
               const char *origin, const char *label);

/* Sets `error`; returns -EINVAL. */
int options_fail(struct options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `; did you mean X?` of the nearest of `known`, or nothing. */
void options_hint(char *to, size_t size, const char *typed, const char *const *known, size_t count);

/* The home directory of the user, or NULL. */
const char *options_home(void);

/* The sources, lowest first. */
int options_read_files(struct options *o);
int options_read_environment(struct options *o);

#endif
