/*
 * The overrides stage: packages' own settings, which people write on the master (piwheels.conf(5), "Packages"). It keeps
 * them as read, tells the database what their builds want of a slave, and answers the farm when it hands one out. Files are
 * looked at again and again: a change counts from the next build on, and what failed with other settings is tried again. A
 * file that is wrong changes nothing: what it said when it was right goes on; if it never was, nothing of the package is built.
 */
#ifndef OVERRIDES_H
#define OVERRIDES_H

#include <stdint.h>
#include <uv.h>

#include "core/hash.h"
#include "db.h"
#include "io/message.h"

struct override_variable {
    char *name, *value;
};

struct override {
    char package[256];            /* normalised */
    char *network;                /* "index", "none", "all"; NULL: not said */
    uint64_t timeout_ms;          /* here and in `limits` 0: not said */
    struct rec_limits limits;
    struct override_variable *variables;  /* by name */
    unsigned variable_count;
    char **constraints;           /* sorted, as the next */
    unsigned constraint_count;
    char **debian;                /* packages that must be installed */
    unsigned debian_count;
    uint8_t sha256[SHA256_SIZE];  /* of the canonical form: see override_seal in src/overrides/read.h */
};

struct overrides;

struct overrides_settings {
    const char *dir;              /* outlives the room */
    uint64_t look_ms;             /* how often it is looked at */
};

/* Reads the directory, which may be missing, and tells the database what builds want; `changed` when it knows, the first time and
 * after every change. Blocks. */
struct overrides *overrides_open(uv_loop_t *loop, struct db *db, const struct overrides_settings *settings,
                                 void (*changed)(void *owner), void *owner);
void overrides_close(struct overrides *o, void (*closed)(void *owner), void *owner);

/* Looks at once. */
void overrides_wake(struct overrides *o);

/* The package's own settings or NULL; valid until the loop goes on. */
const struct override *overrides_find(const struct overrides *o, const char *package);

#endif
