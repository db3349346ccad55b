/*
 * The place of a target's own index in the tree, /TARGET/simple: a link to /simple as long as both are the same, else a
 * directory with a page of its own for each package that differs, and links for all others. Blocks: for pool threads.
 */
#ifndef WEB_APART_H
#define WEB_APART_H

#include <stdbool.h>

/* Whether it is a directory. */
bool apart_is_open(const char *output, const char *target);

/* Makes a directory of the link, with links to all that is in /simple, unless it is one: two pages may ask for it at once. 0 or
 * -errno. */
int apart_open(const char *output, const char *target);

/* Whether /TARGET/simple/PACKAGE is a directory. */
bool apart_has_page(const char *output, const char *target, const char *package);

/* Makes links in the directory, which is to be /TARGET/simple/PACKAGE, to all files of /simple/PACKAGE: while that was a
 * link they had addresses below it, and whoever has noted one finds the file. 0 or -errno. */
int apart_link_files(const char *output, const char *package, const char *directory);

/* Removes from the directory the links that lead nowhere, or all of them. 0 or -errno. */
int apart_unlink_files(const char *directory, bool all);

/* Puts the directory `from` in place of whatever stands at `to`, a link or nothing, at once. 0 or -errno. */
int apart_put(const char *from, const char *to);

#endif
