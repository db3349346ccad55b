/*
 * The greeting: what a new connection to PostgreSQL does before anybody may use it. pg.c calls this between connecting
 * and being ready; the script comes from whoever opened the connection. It runs by the simple query protocol, before a
 * pipelined connection becomes one.
 */
#include <stdlib.h>
#include <string.h>

#include "pg_private.h"

#define SQLSTATE_TAKEN "55P03" /* lock_not_available */

void pg_greet(struct pg *pg, char *(*compose)(long earlier))
{
    pg->compose_greeting = compose;
}

bool pg_turned_away(const struct pg *pg)
{
    return pg->turned_away;
}

bool pg_send_greeting(struct pg *pg)
{
    char *script = pg->compose_greeting(pg->backend);
    bool sent = PQsendQuery(pg->conn, script) == 1;

    pg->refused[0] = '\0';
    free(script);
    return sent;
}

static void keep_refusal(struct pg *pg, const PGresult *result)
{
    if (!pg_is_error(result) || pg->refused[0] != '\0')
        return;
    pg_one_line(pg->refused, sizeof pg->refused, pg_words(result));
    pg->turned_away = strcmp(pg_field(result, PG_DIAG_SQLSTATE), SQLSTATE_TAKEN) == 0;
}

enum pg_greeting pg_hear_greeting(struct pg *pg, const char **why)
{
    PGresult *result;
    bool alive = PQconsumeInput(pg->conn) == 1;
    int unsent = alive ? PQflush(pg->conn) : -1;

    while (unsent >= 0 && !PQisBusy(pg->conn) && (result = PQgetResult(pg->conn)) != NULL) {
        keep_refusal(pg, result);
        PQclear(result);
    }
    if (pg->refused[0] != '\0' || unsent < 0) {
        *why = pg->refused[0] != '\0' ? pg->refused : PQerrorMessage(pg->conn);
        return GREETING_FAILED;
    }
    if (!PQisBusy(pg->conn))
        return GREETING_DONE;
    pg_watch(pg, UV_READABLE | (unsent > 0 ? UV_WRITABLE : 0));
    return GREETING_WAITS;
}
