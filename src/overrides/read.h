/*
 * One package's own settings: from their file to the struct, and to their hash.
 */
#ifndef OVERRIDES_READ_H
#define OVERRIDES_READ_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/ini_file.h"
#include "overrides.h"

#define OVERRIDE_MAX_VARIABLES 64     /* as BUILD has them */
#define OVERRIDE_MAX_CONSTRAINTS 64
#define OVERRIDE_MAX_DEBIAN 100
#define OVERRIDE_MAX_BYTES (128 * 1024)/* of the canonical form */

/* Reads the file of a package, which is named so. A new override, or NULL with `why`, which begins with the place. Blocks. */
struct override *override_read(const char *path, const char *package, char *why, size_t why_size);
void override_free(struct override *o);

/* Sorts what has no order and hashes the canonical form: a line each of "constraint …", "debian …", "limit NAME NUMBER",
 * "network …", "variable NAME=value", in the order of their bytes. What is not said is not in it. */
void override_seal(struct override *o);
void override_canonical(const struct override *o, struct buf *to);

/* What its builds want of a slave, a word a line without the last newline: Debian packages, and "network all" or what else
 * is to be reached. In slave_seen (schema/functions.sql) a slave's own words are made the same way. */
void override_wants(const struct override *o, struct buf *to);

#endif
