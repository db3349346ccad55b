/*
 * What a build calls pip with: requirement, environment and words.
 */
#ifndef SLAVE_COMMAND_H
#define SLAVE_COMMAND_H

#include <stdint.h>

#include "build.h"

/* The line of requirements.txt that asks pip for exactly this: "cffi==1.15.1 --hash=sha256:…". -EINVAL when
 * the name or the version cannot stand there. */
int command_requirement(const char *package, const char *version, const uint8_t *sdist_sha256, struct buf *to);

/* From scratch: nothing of the slave's own reaches a build. */
void command_environment(const struct build *b, enum network network, struct words *env);

/* Builds the wheel, into "wheels". */
void command_build(const struct build *b, struct words *argv);

/* Only looks what the index has of a project, and says what it was answered: asks for a version that there cannot be, so
 * that nothing is downloaded. Whether the index has anything of it pip judges as it did for the build. */
void command_look(const struct build *b, const char *project, struct words *argv);

#endif
