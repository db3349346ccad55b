/*
 * The changelog: routes.c brings what is posted to /pypi here, and misbehave.c asks for answers whose rows are
 * not as they should be. The table `event` is the whole of it.
 */
#include "changelog.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "xmlrpc.h"

#define SELECT_ROWS "SELECT coalesce(spelled, project), version, time, action, serial FROM event"
#define TEXT_OF(number) #number
#define TEXT_OF_VALUE(macro) TEXT_OF(macro)
#define LIMIT_ROWS " LIMIT " TEXT_OF_VALUE(CHANGELOG_ROWS_MAX)
#define ROWS_SINCE SELECT_ROWS " WHERE serial > ? ORDER BY serial" LIMIT_ROWS
#define ROWS_REVERSED "SELECT * FROM (" ROWS_SINCE ") ORDER BY serial DESC"
#define ROWS_UNTIL SELECT_ROWS " WHERE serial <= ? ORDER BY serial" LIMIT_ROWS

/* ---- calls ---- */

static void add_text(struct buf *b, sqlite3_stmt *query, int column)
{
    const char *text = store_text(query, column);

    if (text)
        xmlrpc_add_string(b, text, (size_t)sqlite3_column_bytes(query, column));
    else
        xmlrpc_add_nil(b);
}

static void add_row(struct buf *b, sqlite3_stmt *query)
{
    buf_adds(b, "<value><array><data>\n");
    add_text(b, query, 0);
    add_text(b, query, 1);
    xmlrpc_add_int(b, sqlite3_column_int64(query, 2));
    add_text(b, query, 3);
    xmlrpc_add_int(b, sqlite3_column_int64(query, 4));
    buf_adds(b, "</data></array></value>\n");
}

static void answer_rows(struct exchange *x, const char *sql, int64_t serial)
{
    struct buf *b = &x->response->body;
    char *given = mem_format("%lld", (long long)serial);
    sqlite3_stmt *query = store_query(x->store, sql, given);

    xmlrpc_begin(x->response);
    buf_adds(b, "<value><array><data>\n");
    while (store_next(x->store, query))
        add_row(b, query);
    buf_adds(b, "</data></array></value>\n");
    xmlrpc_end(x->response);
    store_done(query);
    free(given);
}

static void since_serial(struct exchange *x, const struct xmlrpc_call *call)
{
    answer_rows(x, ROWS_SINCE, call->first);
}

static void last_serial(struct exchange *x, const struct xmlrpc_call *call)
{
    sqlite3_stmt *query = store_query(x->store, "SELECT coalesce(max(serial), 0) FROM event");

    store_next(x->store, query);
    xmlrpc_begin(x->response);
    xmlrpc_add_int(&x->response->body, sqlite3_column_int64(query, 0));
    xmlrpc_end(x->response);
    store_done(query);
}

static const struct {
    const char *name;
    unsigned parameter_count;
    void (*run)(struct exchange *x, const struct xmlrpc_call *call);
} methods[] = {
    {"changelog_since_serial", 1, since_serial},
    {"changelog_last_serial", 0, last_serial},
};

/* ---- the route ---- */

static void run_method(struct exchange *x, const struct xmlrpc_call *call)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (strcmp(methods[i].name, call->method) != 0)
            continue;
        if (call->parameter_count == methods[i].parameter_count && call->whole_numbers)
            methods[i].run(x, call);
        else
            xmlrpc_fault(x->response, XMLRPC_WRONG_PARAMETERS, "server error; invalid method parameters");
        return;
    }
    xmlrpc_fault(x->response, XMLRPC_NO_SUCH_METHOD, "server error; requested method not found");
}

static bool is_xml(const char *type)
{
    return type && (text_starts(type, "text/xml") || text_starts(type, "application/xml"));
}

void changelog_call(struct exchange *x, const char *word)
{
    const struct request *q = x->request;
    struct xmlrpc_call call;

    if (!is_xml(request_header(q, "Content-Type")))
        response_plain(x->response, 415, "calls are posted as text/xml");
    else if (xmlrpc_parse(q->body, q->body_len, &call) != 0)
        xmlrpc_fault(x->response, XMLRPC_NOT_WELL_FORMED, "parse error; not well formed");
    else
        run_method(x, &call);
}

/* ---- misbehaviour ---- */

static void answer_wrongly(struct exchange *x, const char *sql)
{
    struct xmlrpc_call call;

    if (x->request->body && xmlrpc_parse(x->request->body, x->request->body_len, &call) == 0)
        answer_rows(x, sql, call.first);
}

void changelog_reverse(struct exchange *x)
{
    answer_wrongly(x, ROWS_REVERSED);
}

void changelog_repeat(struct exchange *x)
{
    answer_wrongly(x, ROWS_UNTIL);
}
