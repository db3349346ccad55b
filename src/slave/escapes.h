/*
 * Ways out of a sandbox, each to be tried outside, where it leads somewhere, and inside, where it must not.
 */
#ifndef SLAVE_ESCAPES_H
#define SLAVE_ESCAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sandbox.h"

/* What the slave has laid out for them. */
struct bait {
    const char *here;             /* the directory of the "build" as it is seen from where the escape is tried */
    const char *secret;           /* a file of the slave's, which holds BAIT_WORDS */
    const char *beside;           /* a file that is not there, in the slave's directory */
    const char *name;             /* of a file that is not in /tmp and /var/tmp, and of an abstract socket */
    pid_t pid;                    /* a process of the slave's, */
    unsigned long long born;      /* and when it began */
    int port;                     /* that the slave listens at on the loopback */
    int memory;                   /* key of a System V segment */
};

#define BAIT_WORDS "only the slave may read this"

struct escape {
    const char *name;             /* "read the slave's files": what a build cannot do */
    enum sandbox_level level;     /* from which on that is promised */
    bool network;                 /* but not where builds reach the whole network */
    bool effect;                  /* whether it led anywhere only the slave can tell, afterwards */
    bool (*attempt)(const struct bait *b);
};

extern const struct escape escapes[];
extern const size_t escape_count;

/* The words that make our program try all of them: then it prints "yes" or "no" for each, on a line. */
void escapes_add_words(struct words *w, const char *program, const struct bait *b);

#define ESCAPE_LOCK "outlives" /* in `here`: locked as long as the process that is to outlive the build lives */

#endif
