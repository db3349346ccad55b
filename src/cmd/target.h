/*
 * What the files of `piwheels target` share: target.c reads the words, target_add.c adds a target and holds what is known of
 * PyPI against it.
 */
#ifndef TARGET_H
#define TARGET_H

#include "tool.h"

struct target {
    struct tool tool;
    const char *name;
    const char *abi, *platform;          /* of add */
    const char *label, *glibc;           /* of add: "Debian 12", "2.36"; NULL: as it is, or none */
    const char *reason;                  /* of skip; NULL: unskip */
    char **packages;                     /* of preinstalled */
    size_t package_count;
    bool json;                           /* of list */
    bool found;
    struct db_targets targets;
    unsigned id;                         /* of add, and when it is judged */
    const struct db_target *judged;      /* of `targets`: the first that is not judged yet */
    struct db_words tags, requires, ours; /* to judge a new target by */
    struct db_judgement judgement;       /* of `requires` and `ours` */
    int64_t next;                        /* package to go on from */
};

struct target *target_of(struct task *t);

/* Runs the steps with the database; the exit status. */
int target_run(struct target *t, const struct options *o, const struct task_step *steps);

/* Adds the target, or changes its label and libc, and judges what is to be judged then; the exit status. */
int target_add(struct target *t, const struct options *o);

/* Holds what is known of PyPI and our own files against every target that is not judged yet; the exit status. */
int target_judge(struct target *t, const struct options *o);

#endif
