/*
 * What the parts of `piwheels check` share.
 *
 *   check.c        the command: facts of the database
 *   check_files.c  --files: the files in the tree
 */
#ifndef CHECK_H
#define CHECK_H

#include <jansson.h>

#include "tool.h"

struct check {
    struct tool tool;
    bool repair;
    int64_t next;           /* the package to go on from */
    bool facts_seen;        /* of all packages */
    long long packages;
    size_t wrong, left;     /* facts that disagreed; of these not mended */
    json_t *all;            /* for JSON, {"wrong": [...], "left": [...]}; else NULL */
    char *answer;

    const char *output;     /* the served directory; NULL: files are not read */
    struct db_public_files some, still; /* that are being looked at; of these, asked again */
    char damages[DB_PUBLIC_FILES_MAX][160]; /* what is wrong with each; "": nothing */
    int64_t after;          /* the last file that was looked at */
    long long files;
    size_t damaged;
};

struct check *check_of(struct task *t);

/* Steps, behind those for the facts: some files at a time, until all have been read. */
enum step check_ask_for_files(struct task *t);
enum step check_read_files(struct task *t);
enum step check_tell_damage(struct task *t);

/* Whether --files can begin: EXIT_OK, or the exit status after a complaint. */
int check_files_begin(struct check *c, const struct options *o);

/* What the files came to, and the exit status. */
int check_files_conclude(const struct check *c);

#endif
