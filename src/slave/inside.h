/*
 * Our own program as the first command of a build: sets the limits that a process sets for itself, and forwards
 * from the sandbox's loopback to the slave's proxy. Not for people: `piwheels inside SOCKET LIMIT… COMMAND…`.
 */
#ifndef SLAVE_INSIDE_H
#define SLAVE_INSIDE_H

#include <stdbool.h>

#include "build_limits.h"
#include "slave.h"
#include "words.h"

#define INSIDE_COMMAND SLAVE_INSIDE_COMMAND
#define INSIDE_FAILED 125 /* exit status when the command could not be begun */

/* The words between SOCKET and COMMAND; `l` NULL: no limits. RLIMIT_NPROC counts all processes of a user unless they are apart. */
void inside_add_limits(struct words *w, const struct limits *l, bool apart);

#endif
