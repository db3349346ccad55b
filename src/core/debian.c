/*
 * Names of Debian packages: slaves tell them (src/slave), the master believes only what could be one (src/files).
 */
#include "core/debian.h"

#include <stdio.h>
#include <string.h>

bool debian_name_valid(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = strlen(name);

    return len >= 2 && len <= DEBIAN_NAME_MAX && strchr(first, name[0]) != NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == len;
}

bool debian_names_valid(const char *lines)
{
    char before[DEBIAN_NAME_MAX + 1] = "", name[DEBIAN_NAME_MAX + 1];

    while (lines[0] != '\0') {
        size_t len = strcspn(lines, "\n");
        if (len >= sizeof name || lines[len] != '\n')
            return false;
        snprintf(name, sizeof name, "%.*s", (int)len, lines);
        if (!debian_name_valid(name) || strcmp(before, name) >= 0)
            return false;
        memcpy(before, name, sizeof before);
        lines += len + 1;
    }
    return true;
}
