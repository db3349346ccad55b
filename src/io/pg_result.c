/*
 * Reading a result inside a request's completion. Values come as text; rows and columns count from 0,
 * and libpq itself answers NULL for those that are not there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pg_private.h"

unsigned pg_rows(const struct pg_result *result)
{
    return (unsigned)PQntuples(result->rows);
}

const char *pg_text(const struct pg_result *result, unsigned row, unsigned column)
{
    const char *text = PQgetvalue(result->rows, (int)row, (int)column);
    return text != NULL ? text : "";
}

bool pg_is_null(const struct pg_result *result, unsigned row, unsigned column)
{
    return PQgetisnull(result->rows, (int)row, (int)column) != 0;
}

int64_t pg_int(const struct pg_result *result, unsigned row, unsigned column)
{
    return strtoll(pg_text(result, row, column), NULL, 10);
}

bool pg_bool(const struct pg_result *result, unsigned row, unsigned column)
{
    return pg_text(result, row, column)[0] == 't';
}

int pg_bytes(const struct pg_result *result, unsigned row, unsigned column, void *to, size_t size)
{
    const char *text = pg_text(result, row, column);
    size_t len = 0;

    unsigned char *bytes = PQunescapeBytea((const unsigned char *)text, &len);
    if (bytes == NULL)
        return -EINVAL;
    int length = len <= size ? (int)len : -EINVAL;
    if (length > 0)
        memcpy(to, bytes, len);
    PQfreemem(bytes);
    return length;
}
