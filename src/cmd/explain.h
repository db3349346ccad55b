/*
 * What `piwheels explain` says of the master's answer. Pure, for tests.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <jansson.h>
#include <stdio.h>

/* `answer`: the object that explain() in schema/people.sql makes, with what the slaves are doing now. */
void explain_write(FILE *to, const json_t *answer);

#endif
