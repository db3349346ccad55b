/*
 * Misbehaviour: routes.c makes every answer a good one, then comes here. Tests write rows into the table
 * `behaviour`; each kind is one line of the table below.
 */
#include "misbehave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define DRIP_DEFAULT_BYTES 10

typedef void spoil(struct exchange *x, const char *argument);

static void spoil_status(struct exchange *x, const char *argument)
{
    int status = 500, retry_after_s = -1;

    sscanf(argument ? argument : "", "%d %d", &status, &retry_after_s);
    response_plain(x->response, status, "as the test wishes");
    if (retry_after_s >= 0)
        response_header(x->response, "Retry-After", "%d", retry_after_s);
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
                                         " AND (times IS NULL OR times > 0)"
                                         " ORDER BY length(path_prefix) DESC, id LIMIT 1",
                                      x->request->path);

    if (store_next(s, query)) {
        run_kind(x, store_text(query, 1), store_text(query, 2));
        store_run(s, store_query(s, "UPDATE behaviour SET times = times - 1"
                                    " WHERE id = ? AND times IS NOT NULL", store_text(query, 0)));
    }
    store_done(query);
}
