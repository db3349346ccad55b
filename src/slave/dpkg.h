/*
 * Which Debian package a file of the system belongs to, by dpkg's own database.
 */
#ifndef SLAVE_DPKG_H
#define SLAVE_DPKG_H

#include <stdbool.h>
#include <stddef.h>

#define DPKG_SPELLINGS 4

/* The names that dpkg may know a file by: its path, with /usr before it or without, and the same for what it is
 * a link to. Those that apply, each once; free them. Blocks. */
unsigned dpkg_spellings(const char *path, char *spellings[DPKG_SPELLINGS]);

/* Finds in the output of `dpkg-query -S` (NUL-terminated; it is changed) whose `path` is: the package's name in
 * `name`, or false. */
bool dpkg_owner(const char *output, const char *path, char *name, size_t size);

/* The names of all packages that are installed, in order, each ended by a newline; "" where there is no dpkg. Free it. Blocks,
 * for some 50 ms. */
char *dpkg_installed(void);

/* Sorts what dpkg-query answers (it is changed): lines of "installed NAME", and others, which are passed over. Of names that
 * do not fit into max_bytes the last are left out. Free it. */
char *dpkg_read_installed(char *answer, size_t max_bytes);

#endif
