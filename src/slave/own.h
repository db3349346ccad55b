/*
 * A package's own settings, as BUILD brings them from the master, within what this slave allows.
 */
#ifndef SLAVE_OWN_H
#define SLAVE_OWN_H

#include "build_limits.h"
#include "core/buf.h"
#include "core/hash.h"
#include "io/message.h"
#include "sandbox.h"
#include "words.h"

struct own {
    enum network network;
    struct words variables;       /* "NAME=value" */
    struct words constraints;     /* lines of a constraints file */
    uint8_t override[SHA256_SIZE];
    bool overridden;              /* there are some, and the hash of them */
    struct buf told;              /* lines for the build's log: what they are, and what is not allowed */
};

/* Reads them; `limits`, which are the slave's, become lower where they say so, never higher. */
void own_init(struct own *o, const struct msg_build *m, const struct sandbox *s, struct limits *limits);
void own_release(struct own *o);

#define OWN_CONSTRAINTS "constraints.txt"  /* in the directory of the build */

/* Writes the file, if there are constraints. 0 or -errno. Blocks. */
int own_write_constraints(const struct own *o, const char *dir);

/* What stands before the command of a build so that it has the variables: inside the sandbox, for what makes the sandbox
 * must not be led astray by them. */
void own_add_words(const struct own *o, struct words *argv);

#endif
