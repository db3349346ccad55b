/*
 * The way of one call: from a function of another file of this room to a statement on a connection, and back to decode and
 * the owner's done; and how texts get into a statement and out of its answer.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "private.h"

void call_init(struct db_call *c, void (*decode)(struct db_call *c, const struct pg_result *result),
               void *out, void (*done)(struct db_call *c, int error))
{
    c->done = done;
    c->decode = decode;
    c->out = out;
    c->batch = NULL;
    c->arguments = NULL;
    c->next = NULL;
    c->message[0] = '\0';
    c->sqlstate[0] = '\0';
}

void call_note(struct db_call *c, const struct pg_request *r)
{
    text_copy(c->message, sizeof c->message, r->message);
    text_copy(c->sqlstate, sizeof c->sqlstate, r->sqlstate);
}

static void on_answer(struct pg_request *r, int error, const struct pg_result *result)
{
    struct db_call *c = container_of(r, struct db_call, request);

    call_note(c, r);
    if (error == 0 && c->decode != NULL)
        c->decode(c, result);
    c->done(c, error);
}

void call_send(struct db_call *c, struct pg *pg, const char *sql, struct pg_params *params)
{
    pg_query(pg, &c->request, sql, params, on_answer);
}

void call_later(struct db *db, struct db_call *c, const char *sql, const char *name, int64_t in_ms,
                void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, name);
    pg_add_int(&params, in_ms);
    call_init(c, NULL, NULL, done);
    call_send(c, db->bulk, sql, &params);
}

void call_copy(struct db_call *c, struct pg *pg, const char *sql, struct buf *rows)
{
    pg_copy(pg, &c->request, sql, rows, on_answer);
}

void column_copy(char *to, size_t size, const struct pg_result *result, unsigned row, unsigned column)
{
    text_copy(to, size, pg_text(result, row, column));
}

void column_ended(struct db_ended *to, const struct pg_result *result, unsigned row, unsigned column)
{
    const char *text = pg_text(result, row, column);
    unsigned count = 0;

    for (const char *c = text; *c != '\0'; c++)
        count += *c == ',';
    to->attempts = mem_new(count + 1, sizeof *to->attempts);
    while (*text != '\0') {
        char *end;
        long long id = strtoll(text + 1, &end, 10);
        if (end == text + 1)
            return;
        to->attempts[to->count++] = id;
        text = end;
    }
}

char *clean_copy(const char *text, size_t max_bytes)
{
    return text != NULL ? text_clean(text, strlen(text), max_bytes) : mem_text("");
}

void add_clean(struct pg_params *params, const char *text, size_t max_bytes)
{
    char *clean = clean_copy(text, max_bytes);

    pg_add_text(params, clean);
    free(clean);
}
