/*
 * Writes into the served directory what index.c renders. Called by page.c, one call a page. Every file is
 * replaced atomically (io/fs.h); a crash or an error in between leaves pages that are each whole, and the
 * page stays stale in the database, so that all of them are written again.
 */
#include "tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/memory.h"
#include "core/text.h"
#include "home.h"
#include "index.h"
#include "io/fs.h"
#include "project.h"
#include "python.h"

#define MAX_PAGE_BYTES (1u << 30)

static const char *const page_names[] = {"index.html", "index.v1_json"};

/* Writes `rest` below the output directory into the trouble's path, which is where it is used from. */
static const char *path_in(struct tree_trouble *t, const char *output, const char *directory,
                           const char *rest)
{
    snprintf(t->path, sizeof t->path, "%s/%s/%s", output, directory, rest);
    return t->path;
}

/* The page, and its compressed sibling for servers that look for one. */
static int write_page(struct tree_trouble *t, const char *output, const char *directory, const char *name,
                      struct buf *page)
{
    char packed[64];

    path_in(t, output, directory, name);
    int error = page->full ? -EFBIG : fs_replace(t->path, page->data, page->len, true);
    snprintf(packed, sizeof packed, "%s.gz", name);
    if (error == 0)
        error = fs_replace_gzip(path_in(t, output, directory, packed), page->data, page->len);
    buf_clear(page);
    return error;
}

static int remove_file(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

/* A page and its compressed sibling. */
static int remove_page(struct tree_trouble *t, const char *output, const char *directory, const char *name)
{
    char packed[64];

    snprintf(packed, sizeof packed, "%s.gz", name);
    int error = remove_file(path_in(t, output, directory, name));
    return error == 0 ? remove_file(path_in(t, output, directory, packed)) : error;
}

/* Unless something else is in it. */
static int remove_directory(struct tree_trouble *t, const char *output, const char *directory)
{
    path_in(t, output, directory, "");
    return rmdir(t->path) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
}

static int remove_pages(struct tree_trouble *t, const char *output, const char *directory)
{
    for (unsigned i = 0; i < COUNT_OF(page_names); i++) {
        int error = remove_page(t, output, directory, page_names[i]);
        if (error != 0)
            return error;
    }
    return remove_directory(t, output, directory);
}

/* ---- other spellings ------------------------------------------------------------------------------ */

/* Whether /simple/ALIAS may lead to the package: no other package's place, no page of ours. */
static bool alias_fits(const char *alias, const char *package)
{
    return python_name_valid(alias) && strcmp(alias, package) != 0 && python_names_equal(alias, package) &&
           !text_starts(alias, "index.");
}

static int write_link(const char *path, const char *to)
{
    int error = fs_replace_link(path, to);
    return error == -EEXIST ? 0 : error; /* what somebody put there himself stays */
}

static int remove_link(const char *path, const char *to)
{
    char target[PYTHON_NAME_MAX + 1];
    ssize_t len = readlink(path, target, sizeof target);

    if (len != (ssize_t)strlen(to) || memcmp(target, to, (size_t)len) != 0)
        return 0;
    return remove_file(path);
}

/* Below `place`, while the package has pages there. */
static int link_aliases(struct tree_trouble *t, const char *output, const char *place, const char *package,
                        char *const *aliases, unsigned count, bool present)
{
    int error = 0;

    for (unsigned i = 0; i < count && error == 0; i++) {
        if (!alias_fits(aliases[i], package))
            continue;
        path_in(t, output, place, aliases[i]);
        error = present ? write_link(t->path, package) : remove_link(t->path, package);
    }
    return error;
}

/* ---- entry ---------------------------------------------------------------------------------------- */

int tree_write_package(const char *output, const char *package, const struct db_index *facts,
                       struct tree_trouble *trouble)
{
    char directory[PYTHON_NAME_MAX + sizeof "simple/"];
    struct buf page;
    int error;

    snprintf(directory, sizeof directory, "simple/%s", package);
    buf_init(&page, MAX_PAGE_BYTES);
    if (facts->count == 0) {
        error = remove_pages(trouble, output, directory);
    } else {
        index_package_html(&page, package, facts);
        error = write_page(trouble, output, directory, page_names[0], &page);
        if (error == 0) {
            index_package_json(&page, package, facts);
            error = write_page(trouble, output, directory, page_names[1], &page);
        }
    }
    if (error == 0)
        error = link_aliases(trouble, output, "simple", package, facts->aliases, facts->alias_count,
                             facts->count > 0);
    buf_release(&page);
    return error;
}

/* A target's name must not take one of the tree's own places. */
static bool target_fits(const char *name)
{
    static const char *const taken[] = {"simple", "project", "logs"};

    for (unsigned i = 0; i < COUNT_OF(taken); i++)
        if (strcmp(name, taken[i]) == 0)
            return false;
    return python_name_valid(name);
}

static int link_targets(struct tree_trouble *t, const char *output, const struct db_targets *targets)
{
    int error = 0;

    for (unsigned i = 0; i < targets->count && error == 0; i++) {
        const char *name = targets->items[i].name;
        if (!target_fits(name))
            continue;
        path_in(t, output, name, "");
        error = fs_make_dirs(t->path, 0755);
        if (error == 0)
            error = write_link(path_in(t, output, name, "simple"), "../simple");
    }
    return error;
}

int tree_write_root(const char *output, const struct db_root *facts, const struct db_targets *targets,
                    struct tree_trouble *trouble)
{
    struct buf page;

    buf_init(&page, MAX_PAGE_BYTES);
    index_root_html(&page, facts);
    int error = write_page(trouble, output, "simple", page_names[0], &page);
    if (error == 0) {
        index_root_json(&page, facts);
        error = write_page(trouble, output, "simple", page_names[1], &page);
    }
    if (error == 0)
        error = link_targets(trouble, output, targets);
    buf_release(&page);
    return error;
}

static int remove_project(struct tree_trouble *t, const char *output, const char *directory, const char *json)
{
    int error = remove_page(t, output, json, "index.json");

    if (error == 0)
        error = remove_directory(t, output, json);
    if (error == 0)
        error = remove_page(t, output, directory, "index.html");
    return error == 0 ? remove_directory(t, output, directory) : error;
}

int tree_write_project(const char *output, const char *package, const struct db_project_page *facts,
                       const char *site_url,
                       struct tree_trouble *trouble)
{
    char directory[PYTHON_NAME_MAX + sizeof "project/"], json[sizeof directory + sizeof "/json"];
    struct buf page;

    snprintf(directory, sizeof directory, "project/%s", package);
    snprintf(json, sizeof json, "%s/json", directory);
    if (facts->display == NULL)
        return remove_project(trouble, output, directory, json);
    buf_init(&page, MAX_PAGE_BYTES);
    project_html(&page, package, facts, site_url);
    int error = write_page(trouble, output, directory, "index.html", &page);
    if (error == 0) {
        project_json(&page, package, facts, site_url);
        error = write_page(trouble, output, json, "index.json", &page);
    }
    if (error == 0)
        error = link_aliases(trouble, output, "project", package, facts->aliases, facts->alias_count, true);
    buf_release(&page);
    return error;
}

int tree_write_home(const char *output, const struct db_home *facts, const char *site_url,
                    struct tree_trouble *trouble)
{
    struct buf page;

    buf_init(&page, MAX_PAGE_BYTES);
    buf_adds(&page, style_css);
    int error = write_page(trouble, output, ".", "style.css", &page);
    if (error == 0) {
        home_missing_html(&page);
        error = write_page(trouble, output, ".", "404.html", &page);
    }
    if (error == 0) {
        home_html(&page, facts, site_url);
        error = write_page(trouble, output, ".", "index.html", &page);
    }
    buf_release(&page);
    return error;
}
