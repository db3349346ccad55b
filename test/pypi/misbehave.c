/*
 * Misbehaviour: routes.c makes every answer a good one, then comes here. Tests write rows into the table
 * `behaviour`; each kind is one line of the table below.
 */
#include "misbehave.h"

#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/memory.h"
#include "xmlrpc.h"

#define DRIP_DEFAULT_BYTES 10
#define RESET_DEFAULT_S "1"

typedef void spoil(struct exchange *x, const char *argument);

static void spoil_status(struct exchange *x, const char *argument)
{
    const char *retry_after = argument ? strchr(argument, ' ') : NULL;

    response_plain(x->response, argument ? atoi(argument) : 500, "as the test wishes");
    if (retry_after)
        response_header(x->response, "Retry-After", "%s", retry_after + 1);
}

static void spoil_cut(struct exchange *x, const char *argument)
{
    x->response->manner = MANNER_CUT;
    x->response->manner_argument = argument ? strtoull(argument, NULL, 10) : x->response->length / 2;
}

static void spoil_html(struct exchange *x, const char *argument)
{
    struct response *r = x->response;

    response_reset(r, 200);
    response_header(r, "Content-Type", "text/html; charset=utf-8");
    buf_adds(&r->body, "<!DOCTYPE html>\n<html><body>The servers are being polished.</body></html>\n");
    r->length = r->body.len;
}

static void spoil_stall(struct exchange *x, const char *argument)
{
    x->response->manner = MANNER_STALL;
}

static void spoil_drip(struct exchange *x, const char *argument)
{
    x->response->manner = MANNER_DRIP;
    x->response->manner_argument = argument ? strtoull(argument, NULL, 10) : DRIP_DEFAULT_BYTES;
}

static void spoil_redirect(struct exchange *x, const char *argument)
{
    struct buf location;

    buf_init(&location, HTTP_HEAD_MAX_BYTES);
    if (argument)
        buf_adds(&location, argument);
    else
        http_add_encoded(&location, x->request->path);
    response_redirect(x->response, 302, location.data);
    buf_release(&location);
}

/* The words are PyPI's own. */
static void spoil_fault(struct exchange *x, const char *argument)
{
    const char *seconds = argument ? argument : RESET_DEFAULT_S;

    if (seconds[strspn(seconds, "0123456789")] != '\0')
        xmlrpc_fault(x->response, XMLRPC_APPLICATION, "%s", argument);
    else
        xmlrpc_fault(x->response, XMLRPC_APPLICATION,
                     "HTTPTooManyRequests: The action could not be performed because there were too many requests"
                     " by the client. Limit may reset in %s seconds.", seconds);
}

#define ANSWER(value) \
    "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n" value "</param>\n</params>\n</methodResponse>\n"
#define ARRAY(values) "<value><array><data>\n" values "</data></array></value>\n"
#define STRING(text) "<value><string>" text "</string></value>\n"
#define INT(digits) "<value><int>" digits "</int></value>\n"
#define ROW(name, serial) ARRAY(STRING(name) "<value><nil/></value>\n" INT("1700000000") STRING("create") serial)

static const struct {
    const char *name, *body;
} shapes[] = {
    {"string", ANSWER(STRING("no rows today"))},
    {"number", ANSWER(INT("7"))},
    {"flat", ANSWER(ARRAY(STRING("spam") INT("7")))},
    {"short", ANSWER(ARRAY(ARRAY(STRING("spam") "<value><nil/></value>\n" INT("1700000000") STRING("create"))))},
    {"long", ANSWER(ARRAY(ARRAY(STRING("spam") STRING("1") INT("1700000000") STRING("create") INT("9000000000")
                                INT("9000000000"))))},
    {"types", ANSWER(ARRAY(ROW("spam", STRING("soon"))))},
    {"huge", ANSWER(ARRAY(ROW("spam", INT("99999999999999999999"))))},
    {"negative", ANSWER(ARRAY(ROW("spam", INT("-1"))))},
    {"references", ANSWER(ARRAY(ROW("sp&#0;&#1;am", INT("9000000000"))))},
    {"entity", ANSWER(ARRAY(ROW("&spam;", INT("9000000000"))))},
    {"bytes", ANSWER(ARRAY(ROW("sp\xff\xfe" "am", INT("9000000000"))))},
    {"nothing", ""},
    {"other", "<?xml version='1.0'?>\n<rss version='2.0'><channel><title>news</title></channel></rss>\n"},
};

static void spoil_shape(struct exchange *x, const char *argument)
{
    struct response *r = x->response;

    response_reset(r, 200);
    response_header(r, "Content-Type", "text/xml; charset=utf-8");
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        if (strcmp(shapes[i].name, argument) == 0)
            buf_adds(&r->body, shapes[i].body);
    r->length = r->body.len;
}

static void spoil_reversed(struct exchange *x, const char *argument)
{
    changelog_reverse(x);
}

static void spoil_repeated(struct exchange *x, const char *argument)
{
    changelog_repeat(x);
}

static const struct {
    const char *kind;
    spoil *run;
} kinds[] = {
    {"status", spoil_status},
    {"cut", spoil_cut},
    {"html", spoil_html},
    {"stall", spoil_stall},
    {"drip", spoil_drip},
    {"redirect", spoil_redirect},
    {"fault", spoil_fault},
    {"shape", spoil_shape},
    {"reversed", spoil_reversed},
    {"repeated", spoil_repeated},
};

static void run_kind(struct exchange *x, const char *kind, const char *argument)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            kinds[i].run(x, argument);
}

void misbehave(struct exchange *x)
{
    struct store *s = x->store;
    sqlite3_stmt *query = store_query(s, "SELECT id, kind, argument FROM behaviour"
                                         " WHERE substr(?1, 1, length(path_prefix)) = path_prefix"
                                         " AND coalesce(method, ?2) = ?2 AND (times IS NULL OR times > 0)"
                                         " ORDER BY length(path_prefix) DESC, id LIMIT 1",
                                      x->request->path, x->request->method);

    if (store_next(s, query)) {
        run_kind(x, store_text(query, 1), store_text(query, 2));
        store_run(s, store_query(s, "UPDATE behaviour SET times = times - 1"
                                    " WHERE id = ? AND times IS NOT NULL", store_text(query, 0)));
    }
    store_done(query);
}
