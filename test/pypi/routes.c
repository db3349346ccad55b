/*
 * Routes: server.c brings every request here. The table is the whole of what the loopback PyPI can be asked.
 */
#include "routes.h"

#include <stdio.h>
#include <string.h>

#include "changelog.h"
#include "core/memory.h"
#include "core/text.h"
#include "exchange.h"
#include "files.h"
#include "misbehave.h"
#include "pages.h"
#include "python.h"

typedef void route_run(struct exchange *x, const char *word);

static void show_front(struct exchange *x, const char *word);
static void show_index(struct exchange *x, const char *word);
static void add_slash(struct exchange *x, const char *word);
static void show_project(struct exchange *x, const char *word);
static void show_facts(struct exchange *x, const char *word);

static const struct route {
    const char *pattern;             /* '*' stands for one word: anything but '/' */
    route_run *run;
    bool posted;                     /* with POST; else it is read with GET and HEAD */
} routes[] = {
    {"/", show_front},
    {"/simple/", show_index},
    {"/simple/*/", show_project},
    {"/pypi", changelog_call, .posted = true},
    {"/pypi/*/json", show_facts},
    {"/files/*.metadata", files_send_metadata},
    {"/files/*", files_send},
    {"/simple", add_slash},
    {"/simple/*", add_slash},
};

#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

static void show_front(struct exchange *x, const char *word)
{
    pages_front(x);
}

static void show_index(struct exchange *x, const char *word)
{
    pages_index(x);
}

static void add_slash(struct exchange *x, const char *word)
{
    struct buf location;

    buf_init(&location, HTTP_HEAD_MAX_BYTES);
    http_add_encoded(&location, x->request->path);
    buf_adds(&location, "/");
    response_redirect(x->response, 301, location.data);
    buf_release(&location);
}

/* Whether the name is as it should be. Sends the client to the normalised one otherwise, or away. */
static bool check_name(struct exchange *x, const char *name, const char *before,
                       const char *after)
{
    char normal[PYTHON_NAME_MAX + 1], location[PYTHON_NAME_MAX + 32];

    if (!python_name_valid(name) || python_name_normalise(name, normal, sizeof(normal)) != 0) {
        response_plain(x->response, 404, "that is no project's name");
        return false;
    }
    if (strcmp(name, normal) == 0)
        return true;
    snprintf(location, sizeof(location), "%s%s%s", before, normal, after);
    response_redirect(x->response, 301, location);
    return false;
}

static void show_project(struct exchange *x, const char *word)
{
    if (check_name(x, word, "/simple/", "/"))
        pages_project(x, word);
}

static void show_facts(struct exchange *x, const char *word)
{
    if (check_name(x, word, "/pypi/", "/json"))
        pages_facts(x, word);
}

/* Matches and copies the word that '*' stands for. */
static bool route_matches(const char *pattern, const char *path, char *word, size_t size)
{
    size_t before = strcspn(pattern, "*"), len = strlen(path);

    if (!pattern[before])
        return strcmp(pattern, path) == 0;
    const char *after = pattern + before + 1;
    if (strncmp(path, pattern, before) != 0 || !text_ends(path, after) || len <= before + strlen(after))
        return false;
    size_t word_len = len - before - strlen(after);
    if (memchr(path + before, '/', word_len) || word_len >= size)
        return false;
    memcpy(word, path + before, word_len);
    word[word_len] = '\0';
    return true;
}

static bool method_fits(const struct request *q, bool posted)
{
    return posted ? strcmp(q->method, "POST") == 0 : strcmp(q->method, "GET") == 0 || request_is_head(q);
}

static void refuse_method(struct exchange *x, bool posted)
{
    const char *allowed = posted ? "POST" : "GET, HEAD";

    response_plain(x->response, 405, "this is asked with %s; the world is changed with SQL", allowed);
    response_header(x->response, "Allow", "%s", allowed);
}

static void run_route(struct exchange *x)
{
    char word[1024] = "";

    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (!route_matches(routes[i].pattern, x->request->path, word, sizeof(word)))
            continue;
        if (method_fits(x->request, routes[i].posted))
            routes[i].run(x, word);
        else
            refuse_method(x, routes[i].posted);
        return;
    }
    response_plain(x->response, 404, "nothing is here");
}

/* How the client calls us, as far as that can stand in a URL; else our own address. */
static void find_base_url(struct exchange *x, const char *own_url)
{
    const char *host = request_header(x->request, "Host");
    bool usable = host && host[0] && strlen(host) < 256 && host[strspn(host, HOST_BYTES)] == '\0';

    if (usable)
        snprintf(x->base_url, sizeof(x->base_url), "http://%s", host);
    else
        text_copy(x->base_url, sizeof(x->base_url), own_url);
}

void routes_answer(void *owner, const struct request *q, struct response *r)
{
    const struct site *site = owner;
    struct exchange x = {.store = site->store, .request = q, .response = r};

    find_base_url(&x, site->server->url);
    x.store->failed = false;
    store_run(x.store, store_query(x.store, "BEGIN")); /* one page shows one moment of the world */
    run_route(&x);
    store_run(x.store, store_query(x.store, "COMMIT"));
    misbehave(&x);
    if (x.store->failed || r->body.full)
        response_plain(r, 500, x.store->failed ? "the database fails; see stderr" : "the page is too long");
    notes_add(site->notes, q, r->manner == MANNER_STALL ? 0 : r->status);
}
