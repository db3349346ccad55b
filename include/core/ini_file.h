/*
 * Files of [section] and key = value, read by inih: what it would misread without a word is an error here.
 */
#ifndef CORE_INI_FILE_H
#define CORE_INI_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define INI_WHY_SIZE 512

/* Each answers whether it is right, or else writes into `why` what is wrong, without the place. */
struct ini_events {
    bool (*section)(void *owner, const char *section, char why[INI_WHY_SIZE]);
    /* `place`: "/etc/piwheels.conf:12"; `section` is "" before the first one. */
    bool (*setting)(void *owner, const char *place, const char *section, const char *key, const char *text,
                    char why[INI_WHY_SIZE]);
};

/* Reads the file up to the first fault. 0; -EINVAL with `why`, which begins with the place; or another -errno with `why`
 * when it cannot be read. Blocks. */
int ini_file_read(const char *path, const struct ini_events *events, void *owner, char *why, size_t why_size);

#endif
