/*
 * What a build that pip calls good has really made.
 */
#ifndef SLAVE_COLLECT_H
#define SLAVE_COLLECT_H

#include <stdint.h>

#include "core/hash.h"
#include "verdict.h"

#define BUILD_MAX_FILES 16 /* of the message BUILT */

struct build_file {
    char name[256];
    uint64_t size_bytes;
    uint8_t sha256[SHA256_SIZE];
};

/* Reads and hashes every wheel in `dir`, in the order of their names. The verdict is "success" if there is at
 * least one and each is a sound wheel of that package and version. Blocks. */
void collect_wheels(const char *dir, const char *package, const char *version,
                    struct build_file files[BUILD_MAX_FILES], unsigned *count, struct verdict *v);

#endif
