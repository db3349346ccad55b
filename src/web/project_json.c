/*
 * Renders the JSON about a package: the members of the Python original's, which people's programs read, and
 * ours beside them. Called by tree.c on pool threads.
 *
 * Addresses are absolute where the site's URL is known; otherwise they are relative to this file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "html.h"
#include "project.h"
#include "python.h"

static void add_address(struct buf *to, const char *site_url, const char *place, const char *package,
                        const char *file)
{
    struct buf address;

    buf_init(&address, 16384);
    buf_addf(&address, "%s/%s/", site_url[0] != '\0' ? site_url : "../../..", place);
    html_add_url(&address, package);
    buf_adds(&address, "/");
    html_add_url(&address, file);
    buf_add_json(to, address.data);
    buf_release(&address);
}

static void add_text(struct buf *to, const char *name, const char *text)
{
    buf_addf(to, ", \"%s\": ", name);
    buf_add_json(to, text);
}

static void add_bool(struct buf *to, const char *name, bool value)
{
    buf_addf(to, ", \"%s\": %s", name, value ? "true" : "false");
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* Names, each ended by a newline, as an array. */
static void add_names(struct buf *to, const char *name, const char *names)
{
    char one[512];
    const char *comma = "";

    buf_addf(to, ", \"%s\": [", name);
    for (size_t len; (len = strcspn(names, "\n")) > 0 && names[len] == '\n'; names += len + 1) {
        snprintf(one, sizeof one, "%.*s", (int)len, names);
        buf_adds(to, comma);
        buf_add_json(to, one);
        comma = ", ";
    }
    buf_adds(to, "]");
}

static void add_file(struct buf *to, const char *package, const struct db_project_page *p,
                     const struct db_project_file *file, const char *site_url)
{
    struct wheel_name wheel;

    if (python_wheel_name_parse(file->name, &wheel) != 0)
        memset(&wheel, 0, sizeof wheel);
    buf_add_json(to, file->name);
    buf_adds(to, ": {\"file_url\": ");
    add_address(to, site_url, file->place, package, file->name);
    add_text(to, "filehash", file->sha256);
    buf_addf(to, ", \"filesize\": %" PRIu64, file->size_bytes);
    add_text(to, "builder_abi", p->targets[file->target].abi);
    add_text(to, "target", p->targets[file->target].name);
    add_text(to, "file_abi_tag", wheel.abi);
    add_text(to, "platform", wheel.platform);
    add_text(to, "requires_python", or_null(file->requires_python));
    add_names(to, "apt_dependencies", file->apt);
    add_names(to, "pip_dependencies", file->pip);
    add_text(to, "glibc", or_null(file->glibc));
    add_text(to, "glibcxx", or_null(file->glibcxx));
    add_bool(to, "armv6", file->armv6);
    add_bool(to, "was_native", file->was_native);
    add_bool(to, "apart", file->apart);
    buf_adds(to, "}");
}

static void add_states(struct buf *to, const struct db_project_page *p, const struct db_release *r)
{
    buf_adds(to, ", \"targets\": {");
    for (unsigned i = 0; i < p->target_count; i++) {
        buf_adds(to, i > 0 ? ", " : "");
        buf_add_json(to, p->targets[i].name);
        buf_adds(to, ": {\"state\": ");
        buf_add_json(to, r->states[i].state);
        add_text(to, "reason", r->states[i].reason);
        buf_adds(to, "}");
    }
    buf_adds(to, "}");
}

/* The newest build on each target, and earlier failures: each with its whole record, which is JSON. */
static void add_builds(struct buf *to, const struct db_release *r)
{
    buf_adds(to, ", \"builds\": [");
    for (unsigned i = 0; i < r->build_count; i++)
        buf_addf(to, "%s\n%s", i > 0 ? "," : "", r->builds[i].record);
    buf_adds(to, "]");
}

static void add_release(struct buf *to, const char *package, const struct db_project_page *p,
                        const struct db_release *r,
                        const char *site_url)
{
    buf_add_json(to, r->version);
    buf_adds(to, ": {\"released\": ");
    buf_add_json(to, or_null(r->released));
    add_bool(to, "prerelease", r->prerelease);
    add_bool(to, "yanked", r->yanked);
    add_text(to, "skip_reason", or_null(r->skip));
    add_text(to, "requires_python", or_null(r->requires_python));
    add_states(to, p, r);
    buf_adds(to, ", \"files\": {");
    for (unsigned i = 0; i < r->file_count; i++) {
        buf_adds(to, i > 0 ? ",\n" : "\n");
        add_file(to, package, p, &r->files[i], site_url);
    }
    buf_adds(to, "}");
    add_builds(to, r);
    buf_adds(to, "}");
}

void project_json(struct buf *to, const char *package, const struct db_project_page *p, const char *site_url)
{
    buf_adds(to, "{\"package\": ");
    buf_add_json(to, package);
    add_text(to, "display", p->display);
    add_text(to, "summary", p->summary);
    add_text(to, "status", or_null(p->status));
    buf_adds(to, ", \"pypi_url\": ");
    add_address(to, "https://pypi.org", "project", package, "");
    buf_adds(to, ", \"piwheels_url\": ");
    add_address(to, site_url, "project", package, "");
    buf_adds(to, ", \"releases\": {");
    for (unsigned i = 0; i < p->release_count; i++) {
        buf_adds(to, i > 0 ? ",\n" : "\n");
        add_release(to, package, p, &p->releases[i], site_url);
    }
    buf_adds(to, "\n}}\n");
}
