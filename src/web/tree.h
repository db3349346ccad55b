/*
 * The pages' part of the static tree: files, their compressed siblings and the links beside them. Blocks:
 * for pool threads.
 */
#ifndef WEB_TREE_H
#define WEB_TREE_H

#include <stddef.h>

#include "db.h"

#define TREE_PATH_SIZE 1024

struct tree_trouble {
    char path[TREE_PATH_SIZE]; /* what could not be written */
};

/* The pages of a package, in the index of all and in those of targets that differ, and links from its other spellings;
 * where it has no file it has no pages, and they are removed. 0, or -errno with `trouble`. */
int tree_write_package(const char *output, const char *package, const struct db_index *facts,
                       const struct db_targets *targets, struct tree_trouble *trouble);

/* The page about a package for people, its JSON, and links from its other spellings; they are removed when
 * there is no such package. `site_url`: what people reach the site by, or "". 0, or -errno with `trouble`. */
int tree_write_project(const char *output, const char *package, const struct db_project_page *facts,
                       const char *site_url,
                       struct tree_trouble *trouble);

/* The front page, the page for what is not there, and the style sheet of all pages for people. 0, or -errno
 * with `trouble`. */
int tree_write_home(const char *output, const struct db_home *facts, const char *site_url,
                    struct tree_trouble *trouble);

/* The list of all packages, and /TARGET/simple for every target. 0, or -errno with `trouble`. */
int tree_write_root(const char *output, const struct db_root *facts, const struct db_targets *targets,
                    struct tree_trouble *trouble);

#endif
