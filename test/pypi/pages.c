/*
 * Pages: routes.c calls one per request, with a name that is normalised already. The simple index
 * speaks PEP 503 HTML and PEP 691 JSON with the fields of PEPs 592, 658, 700, 714 and 792; the facts are
 * PyPI's own JSON API.
 */
#include "pages.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "accept.h"
#include "core/memory.h"
#include "core/text.h"
#include "files.h"

#define API_VERSION "1.4"
#define SERIAL_HEADER "X-PyPI-Last-Serial"

static const char *const simple_types[] = { /* what PyPI prefers where a client does not care comes first */
    "text/html",
    "application/vnd.pypi.simple.v1+html",
    "application/vnd.pypi.simple.v1+json",
};

struct project {
    char display[256];
    char summary[1024];
    bool has_summary;
    char status[64];          /* "": it tells none */
    json_int_t serial;
};

/* ---- shared by all pages ---- */

static const char *negotiate(const struct exchange *x)
{
    int chosen = accept_choose(request_header(x->request, "Accept"), simple_types, COUNT_OF(simple_types));

    return simple_types[chosen < 0 ? 0 : chosen]; /* PyPI does not answer 406 either */
}

static void end_page(struct exchange *x, const char *type, json_int_t serial)
{
    struct response *r = x->response;
    char etag[SHA256_HEX_SIZE + 2];
    char hex[SHA256_HEX_SIZE];
    uint8_t digest[SHA256_SIZE];

    hash_bytes(r->body.data, r->body.len, digest);
    snprintf(etag, sizeof(etag), "\"%s\"", hash_hex(digest, hex));
    r->length = r->body.len;
    response_header(r, "Content-Type", text_ends(type, "html") ? "%s; charset=utf-8" : "%s", type);
    response_header(r, SERIAL_HEADER, "%" JSON_INTEGER_FORMAT, serial);
    response_header(r, "Vary", "Accept");
    response_header(r, "Cache-Control", "no-cache");
    response_etag(r, x->request, etag);
}

/* Ends the page with a JSON document; takes it. Text that is no UTF-8 makes none. */
static void end_json_page(struct exchange *x, const char *type, json_int_t serial, json_t *document)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

    json_decref(document);
    if (!text) {
        response_plain(x->response, 500, "the database has text that is not UTF-8");
        return;
    }
    buf_adds(&x->response->body, text);
    free(text);
    end_page(x, type, serial);
}

/* Reads the project, or answers 404. */
static bool find_project(struct exchange *x, const char *name, struct project *p)
{
    sqlite3_stmt *query = store_query(x->store, "SELECT coalesce(display, name), summary, serial,"
                                                " coalesce(status, iif(quarantined, 'quarantined', 'active'))"
                                                " FROM project WHERE name = ?", name);
    bool found = store_next(x->store, query);

    if (found) {
        const char *summary = store_text(query, 1);
        text_copy(p->display, sizeof(p->display), store_text(query, 0));
        text_copy(p->summary, sizeof(p->summary), summary ? summary : "");
        p->has_summary = summary != NULL;
        p->serial = sqlite3_column_int64(query, 2);
        text_copy(p->status, sizeof(p->status), store_text(query, 3));
    } else {
        response_plain(x->response, 404, "no project of that name");
    }
    store_done(query);
    return found;
}

static json_int_t last_serial(struct store *s)
{
    sqlite3_stmt *query = store_query(s, "SELECT max(serial) FROM event");
    json_int_t serial = store_next(s, query) ? sqlite3_column_int64(query, 0) : 0;

    store_done(query);
    return serial;
}

static void open_html(struct buf *b, const char *title)
{
    buf_adds(b, "<!DOCTYPE html>\n<html>\n<head>\n"
                "<meta name=\"pypi:repository-version\" content=\"" API_VERSION "\">\n<title>");
    buf_add_html(b, title);
    buf_adds(b, "</title>\n</head>\n<body>\n<h1>");
    buf_add_html(b, title);
    buf_adds(b, "</h1>\n");
}

/* The serial stands in the page, so that a page with another serial has another ETag. */
static void end_html_page(struct exchange *x, const char *type, json_int_t serial)
{
    buf_addf(&x->response->body, "</body>\n</html>\n<!--SERIAL %" JSON_INTEGER_FORMAT "-->\n", serial);
    end_page(x, type, serial);
}

void pages_front(struct exchange *x)
{
    struct buf *b = &x->response->body;

    open_html(b, "A loopback PyPI");
    buf_adds(b, "<p>Its packages are listed at <a href=\"/simple/\">/simple/</a>. What it serves is what its"
                " database says.</p>\n");
    end_html_page(x, "text/html", last_serial(x->store));
}

/* ---- /simple/ ---- */

static void index_html(struct exchange *x, const char *type)
{
    sqlite3_stmt *query = store_query(x->store, "SELECT name, coalesce(display, name) FROM project"
                                                " WHERE NOT quarantined ORDER BY name");
    struct buf *b = &x->response->body;

    open_html(b, "Simple index");
    while (store_next(x->store, query)) {
        buf_addf(b, "<a href=\"/simple/%s/\">", store_text(query, 0));
        buf_add_html(b, store_text(query, 1));
        buf_adds(b, "</a><br>\n");
    }
    store_done(query);
    end_html_page(x, type, last_serial(x->store));
}

static void index_json(struct exchange *x, const char *type)
{
    sqlite3_stmt *query = store_query(x->store, "SELECT serial, coalesce(display, name) FROM project"
                                                " WHERE NOT quarantined ORDER BY name");
    json_int_t serial = last_serial(x->store);
    json_t *projects = json_array();

    while (store_next(x->store, query))
        json_array_append_new(projects, json_pack("{s:I, s:s}",
                                                  "_last-serial", (json_int_t)sqlite3_column_int64(query, 0),
                                                  "name", store_text(query, 1)));
    store_done(query);
    end_json_page(x, type, serial, json_pack("{s:{s:I, s:s}, s:o}",
                                             "meta", "_last-serial", serial, "api-version", API_VERSION,
                                             "projects", projects));
}

void pages_index(struct exchange *x)
{
    const char *type = negotiate(x);

    if (text_ends(type, "json"))
        index_json(x, type);
    else
        index_html(x, type);
}

/* ---- /simple/NAME/ ---- */

static void add_attribute(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, " %s=\"", name);
    buf_add_html(b, value);
    buf_adds(b, "\"");
}

static void project_html(struct exchange *x, const char *type, const char *name, const struct project *p)
{
    sqlite3_stmt *query = files_query(x->store, name, NULL);
    struct buf *b = &x->response->body;
    struct file f;
    char hash[SHA256_HEX_SIZE + 8];

    open_html(b, p->display);
    while (files_next(x->store, query, &f)) {
        buf_adds(b, "<a href=\"");
        files_add_url(x, &f, b);
        buf_addf(b, "#sha256=%s\"", f.sha256);
        if (f.requires_python)
            add_attribute(b, "data-requires-python", f.requires_python);
        if (f.yanked)
            add_attribute(b, "data-yanked", f.yanked_reason ? f.yanked_reason : "");
        if (f.metadata_sha256[0]) {
            snprintf(hash, sizeof(hash), "sha256=%s", f.metadata_sha256);
            add_attribute(b, "data-dist-info-metadata", hash);
            add_attribute(b, "data-core-metadata", hash);
        }
        buf_adds(b, ">");
        buf_add_html(b, f.filename);
        buf_adds(b, "</a><br>\n");
    }
    store_done(query);
    end_html_page(x, type, p->serial);
}

static json_t *yanked_json(const struct file *f)
{
    return f->yanked && f->yanked_reason ? json_string(f->yanked_reason) : json_boolean(f->yanked);
}

static json_t *metadata_json(const struct file *f)
{
    return f->metadata_sha256[0] ? json_pack("{s:s}", "sha256", f->metadata_sha256) : json_false();
}

static json_t *simple_file(const struct exchange *x, const struct file *f)
{
    struct buf url;

    buf_init(&url, 4096);
    files_add_url(x, f, &url);
    json_t *file = json_pack("{s:s, s:s, s:{s:s}, s:s?, s:I, s:s, s:o, s:o, s:o}",
                             "filename", f->filename,
                             "url", url.data,
                             "hashes", "sha256", f->sha256,
                             "requires-python", f->requires_python,
                             "size", (json_int_t)f->size_bytes,
                             "upload-time", f->upload_time,
                             "yanked", yanked_json(f),
                             "core-metadata", metadata_json(f),
                             "data-dist-info-metadata", metadata_json(f));
    buf_release(&url);
    return file;
}

static json_t *list_versions(struct store *s, const char *name)
{
    sqlite3_stmt *query = store_query(s, "SELECT version FROM release r WHERE project = ? AND NOT quarantined"
                                         " AND NOT (SELECT quarantined FROM project WHERE name = r.project)"
                                         " ORDER BY version COLLATE pep440", name);
    json_t *versions = json_array();

    while (store_next(s, query))
        json_array_append_new(versions, json_string(store_text(query, 0)));
    store_done(query);
    return versions;
}

static void project_json(struct exchange *x, const char *type, const char *name, const struct project *p)
{
    sqlite3_stmt *query = files_query(x->store, name, NULL);
    json_t *files = json_array();
    struct file f;

    while (files_next(x->store, query, &f))
        json_array_append_new(files, simple_file(x, &f));
    store_done(query);
    end_json_page(x, type, p->serial,
                  json_pack("{s:{s:I, s:s}, s:s, s:o*, s:o, s:o}",
                            "meta", "_last-serial", p->serial, "api-version", API_VERSION,
                            "name", name,
                            "project-status", p->status[0] ? json_pack("{s:s}", "status", p->status) : NULL,
                            "versions", list_versions(x->store, name),
                            "files", files));
}

void pages_project(struct exchange *x, const char *name)
{
    const char *type = negotiate(x);
    struct project p;

    if (!find_project(x, name, &p))
        return;
    if (text_ends(type, "json"))
        project_json(x, type, name, &p);
    else
        project_html(x, type, name, &p);
}

/* ---- /pypi/NAME/json ---- */

static json_t *facts_file(const struct exchange *x, const struct file *f)
{
    struct buf url;
    bool wheel = text_ends(f->filename, ".whl");

    buf_init(&url, 4096);
    files_add_url(x, f, &url);
    json_t *file = json_pack("{s:s, s:s, s:{s:s}, s:s?, s:I, s:s, s:s, s:b, s:s?}",
                             "filename", f->filename,
                             "url", url.data,
                             "digests", "sha256", f->sha256,
                             "requires_python", f->requires_python,
                             "size", (json_int_t)f->size_bytes,
                             "upload_time_iso_8601", f->upload_time,
                             "packagetype", wheel ? "bdist_wheel" : "sdist",
                             "yanked", f->yanked,
                             "yanked_reason", f->yanked_reason);
    buf_release(&url);
    return file;
}

static json_t *facts_files(const struct exchange *x, const char *name, const char *version)
{
    sqlite3_stmt *query = files_query(x->store, name, version);
    json_t *files = json_array();
    struct file f;

    while (files_next(x->store, query, &f))
        json_array_append_new(files, facts_file(x, &f));
    store_done(query);
    return files;
}

static json_t *facts_releases(const struct exchange *x, const char *name)
{
    json_t *versions = list_versions(x->store, name), *releases = json_object(), *version;
    size_t i;

    json_array_foreach(versions, i, version) {
        const char *text = json_string_value(version);
        json_object_set_new(releases, text, facts_files(x, name, text));
    }
    json_decref(versions);
    return releases;
}

/* The newest release; one that is yanked or not final only where there is no other. */
static json_t *facts_version(struct store *s, const char *name)
{
    sqlite3_stmt *query = store_query(s, "SELECT version FROM release WHERE project = ? AND NOT quarantined"
                                         " ORDER BY yanked, prerelease(version), version COLLATE pep440 DESC"
                                         " LIMIT 1", name);
    json_t *version = store_next(s, query) ? json_string(store_text(query, 0)) : json_string("");

    store_done(query);
    return version;
}

void pages_facts(struct exchange *x, const char *name)
{
    struct project p;

    if (!find_project(x, name, &p))
        return;
    json_t *version = facts_version(x->store, name);
    json_t *urls = facts_files(x, name, json_string_value(version));
    end_json_page(x, "application/json", p.serial,
                  json_pack("{s:{s:s, s:s?, s:o}, s:I, s:o, s:o}",
                            "info", "name", p.display, "summary", p.has_summary ? p.summary : NULL,
                                    "version", version,
                            "last_serial", p.serial,
                            "releases", facts_releases(x, name),
                            "urls", urls));
}
