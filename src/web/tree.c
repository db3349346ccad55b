/*
 * Writes into the served directory what index.c renders. Called by page.c, one call a page. Every file is
 * replaced atomically (io/fs.h); a crash or an error in between leaves pages that are each whole, and the
 * page stays stale in the database, so that all of them are written again.
 */
#include "tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
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

/* The files of one page are replaced together. */
struct writing {
    const char *output;
    struct tree_trouble *trouble;
    struct fs_batch changes;
    struct buf page;           /* what the renderers fill */
    int error;                 /* the first */
};

static void begin(struct writing *w, const char *output, struct tree_trouble *trouble)
{
    w->output = output;
    w->trouble = trouble;
    w->error = 0;
    fs_batch_init(&w->changes);
    buf_init(&w->page, MAX_PAGE_BYTES);
}

/* The page, and its compressed sibling for servers that look for one. */
static void write_page(struct writing *w, const char *directory, const char *name)
{
    struct tree_trouble *t = w->trouble;
    char packed[64];

    if (w->error == 0) {
        path_in(t, w->output, directory, name);
        w->error = w->page.full ? -EFBIG : 0;
        fs_batch_replace(&w->changes, t->path, w->page.data, w->page.len, true, &w->error);
    }
    if (w->error == 0) {
        snprintf(packed, sizeof packed, "%s.gz", name);
        fs_batch_gzip(&w->changes, path_in(t, w->output, directory, packed), w->page.data, w->page.len, &w->error);
    }
    buf_clear(&w->page);
}

static int end(struct writing *w)
{
    fs_batch_end(&w->changes);
    buf_release(&w->page);
    return w->error;
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

static int write_package_pages(struct tree_trouble *t, const char *output, const char *directory, const char *package,
                               const struct db_index *facts, const char *target)
{
    struct writing w;

    begin(&w, output, t);
    index_package_html(&w.page, package, facts, target);
    write_page(&w, directory, page_names[0]);
    index_package_json(&w.page, package, facts, target);
    write_page(&w, directory, page_names[1]);
    return end(&w);
}

/* The pages are whole before they take the place of the link to those in /simple. */
static int write_first_pages(struct tree_trouble *t, const char *output, const char *target, const char *package,
                             const struct db_index *facts)
{
    char new[TREE_PATH_SIZE / 2];
    int len = snprintf(new, sizeof new, "%s/simple/.new-%s", target, package);

    int error = len < 0 || (size_t)len >= sizeof new ? -ENAMETOOLONG : fs_remove_tree(path_in(t, output, new, ""));
    if (error == 0)
        error = write_package_pages(t, output, new, package, facts, target);
    if (error == 0)
        error = apart_link_files(output, package, path_in(t, output, new, ""));
    if (error != 0)
        return error;
    char *from = mem_format("%s/%s", output, new), *to = mem_format("%s/%s/simple/%s", output, target, package);
    error = apart_put(from, to);
    free(from);
    free(to);
    return error;
}

static int rewrite_pages(struct tree_trouble *t, const char *output, const char *directory, const char *package,
                         const struct db_index *facts, const char *target)
{
    bool empty = index_count(facts, target) == 0;
    int error = apart_unlink_files(path_in(t, output, directory, ""), empty);

    if (error != 0)
        return error;
    return empty ? remove_pages(t, output, directory) : write_package_pages(t, output, directory, package, facts, target);
}

/* In the index of a target that differs from that of all: a page of its own, or a link to the other. */
static int write_apart(struct tree_trouble *t, const char *output, const char *target, const char *package,
                       const struct db_index *facts, bool differs)
{
    char place[TREE_PATH_SIZE / 4], directory[TREE_PATH_SIZE / 2], link[TREE_PATH_SIZE / 2];
    unsigned count = index_count(facts, target);
    int error;

    snprintf(place, sizeof place, "%s/simple", target);
    snprintf(directory, sizeof directory, "%s/%s", place, package);
    snprintf(link, sizeof link, "../../simple/%s", package);
    if (apart_has_page(output, target, package))
        error = rewrite_pages(t, output, directory, package, facts, target);
    else if (differs)
        error = write_first_pages(t, output, target, package, facts);
    else
        error = count > 0 ? write_link(path_in(t, output, place, package), link)
                          : remove_link(path_in(t, output, place, package), link);
    if (error == 0)
        error = link_aliases(t, output, place, package, facts->aliases, facts->alias_count, count > 0);
    return error;
}

/* Whether the target's index names a file that is not in that of all. */
static bool has_apart(const struct db_index *facts, const char *target)
{
    for (unsigned i = 0; i < facts->count; i++)
        if (index_names(facts, i, target) && !index_names(facts, i, NULL))
            return true;
    return false;
}

static int write_all_apart(struct tree_trouble *t, const char *output, const char *package, const struct db_index *facts,
                           const struct db_targets *targets)
{
    int error = 0;

    for (unsigned i = 0; i < targets->count && error == 0; i++) {
        const char *target = targets->items[i].name;
        bool differs = has_apart(facts, target), open = apart_is_open(output, target);
        if (!db_target_has_place(target) || !(open || differs))
            continue;
        path_in(t, output, target, "simple");
        if (!open)
            error = apart_open(output, target);
        if (error == 0)
            error = write_apart(t, output, target, package, facts, differs);
    }
    return error;
}

int tree_write_package(const char *output, const char *package, const struct db_index *facts,
                       const struct db_targets *targets, struct tree_trouble *trouble)
{
    char directory[PYTHON_NAME_MAX + sizeof "simple/"];
    unsigned count = index_count(facts, NULL);

    snprintf(directory, sizeof directory, "simple/%s", package);
    int error = count == 0 ? remove_pages(trouble, output, directory)
                           : write_package_pages(trouble, output, directory, package, facts, NULL);
    if (error == 0)
        error = link_aliases(trouble, output, "simple", package, facts->aliases, facts->alias_count, count > 0);
    if (error == 0)
        error = write_all_apart(trouble, output, package, facts, targets);
    return error;
}

static int link_targets(struct tree_trouble *t, const char *output, const struct db_targets *targets)
{
    int error = 0;

    for (unsigned i = 0; i < targets->count && error == 0; i++) {
        const char *name = targets->items[i].name;
        if (!db_target_has_place(name))
            continue;
        path_in(t, output, name, "");
        error = fs_make_dirs(t->path, 0755);
        if (error == 0)
            error = write_link(path_in(t, output, name, "simple"), "../simple");
    }
    return error;
}

static int write_root_pages(struct tree_trouble *t, const char *output, const char *directory, const struct db_root *facts,
                            const char *target)
{
    struct writing w;

    begin(&w, output, t);
    index_root_html(&w.page, facts, target);
    write_page(&w, directory, page_names[0]);
    index_root_json(&w.page, facts, target);
    write_page(&w, directory, page_names[1]);
    return end(&w);
}

/* A package may have come while the target's index was made a directory. */
static int link_packages(struct tree_trouble *t, const char *output, const char *place, const struct db_root *facts)
{
    char link[PYTHON_NAME_MAX + sizeof "../../simple/"];
    int error = 0;

    for (unsigned i = 0; i < facts->count && error == 0; i++) {
        const char *package = facts->items[i].name;
        path_in(t, output, place, package);
        snprintf(link, sizeof link, "../../simple/%s", package);
        if (facts->items[i].shared && access(t->path, F_OK) != 0)
            error = write_link(t->path, link);
    }
    return error;
}

/* Whether the target's list names a package that is not in that of all. */
static bool root_differs(const struct db_root *facts, const char *target)
{
    for (unsigned i = 0; i < facts->count; i++)
        if (index_root_names(&facts->items[i], target) && !index_root_names(&facts->items[i], NULL))
            return true;
    return false;
}

/* It does not wait for the page of that package to make the target's index a directory: the list would lack it, and be stale
 * no more. */
static int write_apart_roots(struct tree_trouble *t, const char *output, const struct db_root *facts,
                             const struct db_targets *targets)
{
    char place[TREE_PATH_SIZE / 4];
    int error = 0;

    for (unsigned i = 0; i < targets->count && error == 0; i++) {
        const char *target = targets->items[i].name;
        if (!db_target_has_place(target) || !(apart_is_open(output, target) || root_differs(facts, target)))
            continue;
        path_in(t, output, target, "simple");
        error = apart_open(output, target);
        snprintf(place, sizeof place, "%s/simple", target);
        if (error == 0)
            error = write_root_pages(t, output, place, facts, target);
        if (error == 0)
            error = link_packages(t, output, place, facts);
    }
    return error;
}

int tree_write_root(const char *output, const struct db_root *facts, const struct db_targets *targets,
                    struct tree_trouble *trouble)
{
    int error = write_root_pages(trouble, output, "simple", facts, NULL);
    if (error == 0)
        error = link_targets(trouble, output, targets);
    return error == 0 ? write_apart_roots(trouble, output, facts, targets) : error;
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
    struct writing w;

    snprintf(directory, sizeof directory, "project/%s", package);
    snprintf(json, sizeof json, "%s/json", directory);
    if (facts->display == NULL) {
        int error = link_aliases(trouble, output, "project", package, facts->aliases, facts->alias_count, false);
        return error == 0 ? remove_project(trouble, output, directory, json) : error;
    }
    begin(&w, output, trouble);
    project_html(&w.page, package, facts, site_url);
    write_page(&w, directory, "index.html");
    project_json(&w.page, package, facts, site_url);
    write_page(&w, json, "index.json");
    int error = end(&w);
    if (error == 0)
        error = link_aliases(trouble, output, "project", package, facts->aliases, facts->alias_count, true);
    return error;
}

int tree_write_home(const char *output, const struct db_home *facts, const char *site_url,
                    struct tree_trouble *trouble)
{
    struct writing w;

    begin(&w, output, trouble);
    buf_adds(&w.page, style_css);
    write_page(&w, ".", "style.css");
    home_missing_html(&w.page);
    write_page(&w, ".", "404.html");
    home_html(&w.page, facts, site_url);
    write_page(&w, ".", "index.html");
    return end(&w);
}
