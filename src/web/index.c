/*
 * Renders the pages that pip, uv and browsers read. Called by tree.c on pool threads. All links are
 * relative: the tree may stand anywhere, behind any proxy.
 */
#include "index.h"

#include <inttypes.h>
#include <string.h>

#include "html.h"

/* ---- parts ---------------------------------------------------------------------------------------- */

static void begin_html(struct buf *to, const char *title, const char *name)
{
    buf_adds(to, "<!DOCTYPE html>\n"
                 "<html lang=\"en\">\n"
                 "<head>\n"
                 "<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"pypi:repository-version\" content=\"1.1\">\n"
                 "<title>");
    buf_adds(to, title);
    buf_add_html(to, name);
    buf_adds(to, "</title>\n</head>\n<body>\n<h1>");
    buf_adds(to, title);
    buf_add_html(to, name);
    buf_adds(to, "</h1>\n");
}

static void end_html(struct buf *to)
{
    buf_adds(to, "</body>\n</html>\n");
}

static void add_attribute(struct buf *to, const char *name, const char *value)
{
    buf_addf(to, " %s=\"", name);
    buf_add_html(to, value);
    buf_adds(to, "\"");
}

static void add_member(struct buf *to, const char *name, const char *text)
{
    buf_addf(to, ", \"%s\": ", name);
    buf_add_json(to, text);
}

/* ---- whose index names what ----------------------------------------------------------------------- */

static bool has_line(const char *lines, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = lines; *at != '\0'; at += strcspn(at, "\n") + 1)
        if (strncmp(at, line, len) == 0 && at[len] == '\n')
            return true;
    return false;
}

static bool is_apart(const struct db_index_file *file)
{
    return file->home != NULL && file->home[0] != '\0';
}

/* How near a file is to the target: its own, one of its distribution, one for all, or none that its index names. */
static unsigned nearness(const struct db_index_file *file, const char *target)
{
    if (!is_apart(file))
        return 1;
    if (target == NULL || !has_line(file->seen_by, target))
        return 0;
    return strcmp(file->home, target) == 0 ? 3 : 2;
}

/* Of several files of one name, which stand together, the nearest is named. */
bool index_names(const struct db_index *facts, unsigned at, const char *target)
{
    const struct db_index_file *file = &facts->files[at];
    unsigned near = nearness(file, target), first = at;

    while (first > 0 && strcmp(facts->files[first - 1].name, file->name) == 0)
        first--;
    for (unsigned i = first; i < facts->count && strcmp(facts->files[i].name, file->name) == 0; i++)
        if (nearness(&facts->files[i], target) > near || (i < at && nearness(&facts->files[i], target) == near))
            return false;
    return near > 0;
}

unsigned index_count(const struct db_index *facts, const char *target)
{
    unsigned count = 0;

    for (unsigned i = 0; i < facts->count; i++)
        count += index_names(facts, i, target);
    return count;
}

bool index_root_names(const struct db_root_item *item, const char *target)
{
    return item->shared || (target != NULL && has_line(item->seen_by, target));
}

/* What of the index a page shows. */
struct view {
    const char *package, *target;
    const struct db_index *facts;
};

/* From the page to the file: below /simple they lie side by side. */
static void add_place(struct buf *to, const struct view *v, const struct db_index_file *file)
{
    if (v->target == NULL) {
        html_add_url(to, file->name);
        return;
    }
    html_add(to, "../../../%s/", file->place);
    html_add_url(to, v->package);
    buf_adds(to, "/");
    html_add_url(to, file->name);
}

/* ---- a package ------------------------------------------------------------------------------------ */

static void add_link(struct buf *to, const struct view *v, const struct db_index_file *file)
{
    buf_adds(to, "<a href=\"");
    add_place(to, v, file);
    buf_addf(to, "#sha256=%s\"", file->sha256);
    if (file->requires_python[0] != '\0')
        add_attribute(to, "data-requires-python", file->requires_python);
    if (file->yanked)
        add_attribute(to, "data-yanked", file->yanked_reason);
    if (file->metadata_sha256[0] != '\0') {
        /* PEP 714: the first is right, the second is what pip before 23.2 looks for. */
        buf_addf(to, " data-core-metadata=\"sha256=%s\"", file->metadata_sha256);
        buf_addf(to, " data-dist-info-metadata=\"sha256=%s\"", file->metadata_sha256);
    }
    buf_adds(to, ">");
    buf_add_html(to, file->name);
    buf_adds(to, "</a><br>\n");
}

void index_package_html(struct buf *to, const char *package, const struct db_index *facts, const char *target)
{
    const struct view v = {package, target, facts};

    begin_html(to, "Links for ", facts->display != NULL ? facts->display : package);
    for (unsigned i = 0; i < facts->count; i++)
        if (index_names(facts, i, target))
            add_link(to, &v, &facts->files[i]);
    end_html(to);
}

/* The files are in order of version, so equal ones stand together. */
static void add_versions(struct buf *to, const struct view *v)
{
    const struct db_index *facts = v->facts;
    const char *last = NULL;

    buf_adds(to, ", \"versions\": [");
    for (unsigned i = 0; i < facts->count; i++) {
        const char *version = facts->files[i].version;
        if ((last != NULL && strcmp(version, last) == 0) || !index_names(facts, i, v->target))
            continue;
        buf_adds(to, last != NULL ? ", " : "");
        buf_add_json(to, version);
        last = version;
    }
    buf_adds(to, "]");
}

static void add_file(struct buf *to, const struct view *v, const struct db_index_file *file)
{
    buf_adds(to, "{\"filename\": ");
    buf_add_json(to, file->name);
    buf_adds(to, ", \"url\": \"");
    add_place(to, v, file);
    buf_addf(to, "\", \"hashes\": {\"sha256\": \"%s\"}, \"size\": %" PRIu64, file->sha256, file->size_bytes);
    if (file->uploaded[0] != '\0')
        add_member(to, "upload-time", file->uploaded);
    if (file->requires_python[0] != '\0')
        add_member(to, "requires-python", file->requires_python);
    if (file->yanked && file->yanked_reason[0] != '\0')
        add_member(to, "yanked", file->yanked_reason);
    else
        buf_addf(to, ", \"yanked\": %s", file->yanked ? "true" : "false");
    /* Not under its first name, dist-info-metadata, as well: pip before 23.2 takes that for HTML's text and
     * ends with a TypeError (the reason for PEP 714). Without it such a pip reads the wheel itself. */
    if (file->metadata_sha256[0] != '\0')
        buf_addf(to, ", \"core-metadata\": {\"sha256\": \"%s\"}", file->metadata_sha256);
    buf_adds(to, "}");
}

void index_package_json(struct buf *to, const char *package, const struct db_index *facts, const char *target)
{
    const struct view v = {package, target, facts};
    const char *before = "\n";

    buf_adds(to, "{\"meta\": {\"api-version\": \"1.1\"}");
    add_member(to, "name", package);
    add_versions(to, &v);
    buf_adds(to, ", \"files\": [");
    for (unsigned i = 0; i < facts->count; i++) {
        if (!index_names(facts, i, target))
            continue;
        buf_adds(to, before);
        add_file(to, &v, &facts->files[i]);
        before = ",\n";
    }
    buf_adds(to, "\n]}\n");
}

/* ---- all packages --------------------------------------------------------------------------------- */

void index_root_html(struct buf *to, const struct db_root *facts, const char *target)
{
    begin_html(to, "Simple index", "");
    for (unsigned i = 0; i < facts->count; i++) {
        if (!index_root_names(&facts->items[i], target))
            continue;
        buf_adds(to, "<a href=\"");
        html_add_url(to, facts->items[i].name);
        buf_adds(to, "/\">");
        buf_add_html(to, facts->items[i].display);
        buf_adds(to, "</a><br>\n");
    }
    end_html(to);
}

void index_root_json(struct buf *to, const struct db_root *facts, const char *target)
{
    const char *before = "\n";

    buf_adds(to, "{\"meta\": {\"api-version\": \"1.1\"}, \"projects\": [");
    for (unsigned i = 0; i < facts->count; i++) {
        if (!index_root_names(&facts->items[i], target))
            continue;
        buf_addf(to, "%s{\"name\": ", before);
        buf_add_json(to, facts->items[i].display);
        buf_adds(to, "}");
        before = ",\n";
    }
    buf_adds(to, "\n]}\n");
}
