/*
 * What one build may use.
 */
#ifndef SLAVE_BUILD_LIMITS_H
#define SLAVE_BUILD_LIMITS_H

#include <stdint.h>

struct limits {
    uint64_t memory_bytes;   /* of all its processes together, and of each */
    uint64_t processes;      /* and threads */
    uint64_t open_files;     /* of each process */
    uint64_t disk_bytes;     /* of its directory, and of each file */
    uint64_t disk_files;     /* files and directories in it */
    uint64_t output_bytes;   /* that it prints */
    uint64_t cpu_ms;         /* processor time of all its processes */
    uint64_t timeout_ms;     /* from its start */
    uint64_t silence_ms;     /* since it last printed something */
};

#endif
