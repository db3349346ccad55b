/*
 * Parameters of a statement: gathered by the db room one after the other, taken by pg_query, and kept
 * until the answer has come, for the statement may have to be repeated. All travel as text.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/memory.h"
#include "io/pg.h"

void pg_params_init(struct pg_params *p)
{
    p->count = 0;
    buf_init(&p->bytes, PG_MAX_PARAM_BYTES);
}

void pg_params_release(struct pg_params *p)
{
    p->count = 0;
    buf_release(&p->bytes);
}

static void begin_value(struct pg_params *p)
{
    assert(p->count < PG_MAX_PARAMS);
    p->offset[p->count++] = p->bytes.len;
}

static void end_value(struct pg_params *p)
{
    buf_addc(&p->bytes, '\0');
}

void pg_add_null(struct pg_params *p)
{
    assert(p->count < PG_MAX_PARAMS);
    p->offset[p->count++] = SIZE_MAX;
}

void pg_add_text(struct pg_params *p, const char *text)
{
    if (text == NULL) {
        pg_add_null(p);
        return;
    }
    begin_value(p);
    buf_adds(&p->bytes, text);
    end_value(p);
}

void pg_add_int(struct pg_params *p, int64_t value)
{
    begin_value(p);
    buf_addf(&p->bytes, "%" PRId64, value);
    end_value(p);
}

void pg_add_bool(struct pg_params *p, bool value)
{
    pg_add_text(p, value ? "t" : "f");
}

/* bytea in its hex format (PostgreSQL manual, 8.4.1). */
void pg_add_bytes(struct pg_params *p, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    begin_value(p);
    buf_adds(&p->bytes, "\\x");
    for (size_t i = 0; i < len; i++) {
        buf_addc(&p->bytes, "0123456789abcdef"[bytes[i] >> 4]);
        buf_addc(&p->bytes, "0123456789abcdef"[bytes[i] & 15]);
    }
    end_value(p);
}

void pg_add_ints(struct pg_params *p, const int64_t *values, size_t count)
{
    begin_value(p);
    buf_addc(&p->bytes, '{');
    for (size_t i = 0; i < count; i++)
        buf_addf(&p->bytes, "%s%" PRId64, i == 0 ? "" : ",", values[i]);
    buf_addc(&p->bytes, '}');
    end_value(p);
}

/* An array's element is always quoted: no text needs to be told from NULL then (manual, 8.15.6). */
static void add_element(struct buf *b, const char *text)
{
    buf_addc(b, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_addc(b, '\\');
        buf_addc(b, *text);
    }
    buf_addc(b, '"');
}

void pg_add_texts(struct pg_params *p, const char *const *values, size_t count)
{
    begin_value(p);
    buf_addc(&p->bytes, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_addc(&p->bytes, ',');
        if (values[i] == NULL)
            buf_adds(&p->bytes, "NULL");
        else
            add_element(&p->bytes, values[i]);
    }
    buf_addc(&p->bytes, '}');
    end_value(p);
}
