/*
 * Names of Debian packages (Debian Policy 5.6.1): what slaves report, operators list and pages show.
 */
#ifndef CORE_DEBIAN_H
#define CORE_DEBIAN_H

#include <stdbool.h>

#define DEBIAN_NAME_MAX 100

/* Lower-case letters, digits, '+', '-' and '.', two at least and DEBIAN_NAME_MAX at most; the first is a letter or
 * digit. */
bool debian_name_valid(const char *name);

/* A list of such names, each ended by a newline, in the order of their bytes, none twice. */
bool debian_names_valid(const char *lines);

#endif
