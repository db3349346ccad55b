/*
 * What the commands share that order something of the running master: which package and version the words mean, the
 * question whether to go on, the asking itself.
 */
#ifndef ORDER_H
#define ORDER_H

#include <jansson.h>

#include "cmd.h"
#include "control.h"

/* A package and perhaps one version of it, as typed: NAME, NAME==VERSION or NAME VERSION. */
struct order_subject {
    char name[256];
    char release[256];        /* "": none was named */
};

/* The version in "==1.2" or "===1.2"; NULL when the specifiers are anything else. */
const char *order_exact_version(const char *specifiers);

/* Reads the command's one or two words. EXIT_OK, or the exit status after a complaint. */
int order_subject(const struct command *c, const struct options *o, struct order_subject *to);

/* Says `m` to the master. *answer: all DATA that came, as one array, a new reference; NULL when it was refused, which is
 * told on stderr. EXIT_OK or EXIT_TROUBLE. */
int order_ask(const struct command *c, const struct options *o, const struct message *m, json_t **answer);

/* Whether --skip, if it is given, has a reason that people can read. EXIT_OK, or the exit status. */
int order_check_skip(const struct command *c, const struct options *o);

/* Tells what is going to happen and asks whether to go on, unless -y was given. EXIT_OK: yes. */
int order_confirm(const struct command *c, const struct options *o, const char *format, ...)
    __attribute__((format(printf, 3, 4), nonnull));

/* Tells what the master answered, its first piece: as JSON if --json was given, else by `write`, which gets `owner`. Takes
 * `pieces`; EXIT_OK. */
int order_tell(const struct options *o, json_t *pieces, void (*write)(const void *owner, const json_t *told), const void *owner);

/* Prints a JSON value on a line of its own. */
void order_print_json(const json_t *value);

/* Members of an object that the master made: "" or 0 where there is none. */
const char *order_text(const json_t *object, const char *name);
long long order_number(const json_t *object, const char *name);

#endif
