/*
 * The exchange with the server on a connection that is ready: sends what pg_request.c has queued and
 * hands it the answers, in order. pg.c calls pg_serve whenever the socket is ready.
 *
 * A COPY is fed piece by piece as the socket takes it, so that libpq never holds more than a few pieces.
 *
 * In a pipeline an answer counts only when its sync is answered, for that is when the transaction
 * commits: a deferred constraint may still refuse it. After each completion the phase is looked at
 * again before libpq is touched, for the owner may have closed the connection.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/text.h"
#include "pg_private.h"

#define PIECE_BYTES ((size_t)64 << 10)

/* ---- what the server says ---- */

const char *pg_field(const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);
    return text != NULL ? text : "";
}

const char *pg_words(const PGresult *result)
{
    const char *primary = pg_field(result, PG_DIAG_MESSAGE_PRIMARY);
    return primary[0] != '\0' ? primary : PQresultErrorMessage(result);
}

bool pg_is_error(const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        return false;
    default:
        return true;
    }
}

static bool ends_the_session(const PGresult *result)
{
    const char *severity = pg_field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
}

/* An error that says nothing about the statement: the server stops (57P01 to 57P05), the connection broke
 * (class 08), or libpq itself found it broken, which has no SQLSTATE. */
static bool is_loss(const struct pg *pg, const PGresult *result)
{
    const char *sqlstate = pg_field(result, PG_DIAG_SQLSTATE);

    if (!pg_is_error(result) || PQresultStatus(result) == PGRES_PIPELINE_ABORTED)
        return false;
    if (sqlstate[0] == '\0')
        return PQstatus(pg->conn) == CONNECTION_BAD;
    return ends_the_session(result) || text_starts(sqlstate, "57P") || text_starts(sqlstate, "08");
}

static void lose(struct pg *pg, const char *words)
{
    char why[PG_MAX_WHY];

    pg_one_line(why, sizeof why, pg->farewell[0] != '\0' ? pg->farewell : words);
    pg_lose(pg, why);
}

void pg_hear_notice(void *arg, const PGresult *notice)
{
    struct pg *pg = arg;
    const char *words = pg_field(notice, PG_DIAG_MESSAGE_PRIMARY);

    if (ends_the_session(notice))
        text_copy(pg->farewell, sizeof pg->farewell, words);
    else if (pg->on_notice != NULL)
        pg->on_notice(pg->notice_owner, words);
    else
        log_debug("db", "database %s: %s", pg->name, words);
}

struct pg_flight *pg_nth_flight(struct pg *pg, unsigned n)
{
    return &pg->flights[(pg->first_flight + n) % PG_MAX_IN_FLIGHT];
}

/* ---- answers ---- */

/* The oldest flight has been answered in full. */
static void land(struct pg *pg)
{
    struct pg_flight landed = *pg_nth_flight(pg, 0);

    *pg_nth_flight(pg, 0) = (struct pg_flight){.request = NULL};
    pg->first_flight = (pg->first_flight + 1) % PG_MAX_IN_FLIGHT;
    pg->in_flight--;
    if (landed.request != NULL)
        pg_answer(pg, landed.request, landed.result);
    PQclear(landed.result);
}

/* A part of the oldest flight's answer; takes `result`. */
static void keep(struct pg_flight *f, PGresult *result)
{
    bool refused = pg_is_error(result);

    if (f->preparing != NULL) {
        f->preparing->state = refused ? STATEMENT_NEW : STATEMENT_PREPARED;
        f->preparing = NULL;
        if (!refused) {
            PQclear(result);
            return;
        }
    }
    if (f->result != NULL && pg_is_error(f->result)) {
        PQclear(result);
        return;
    }
    PQclear(f->result);
    f->result = result;
}

/* Only pg_copy feeds one, only once, and there is no other way out of a COPY. */
static void refuse_copy(struct pg *pg, struct pg_flight *f)
{
    if (f->request != NULL) {
        snprintf(f->request->message, sizeof f->request->message, 
                 "COPY to or from the client is not supported");
        pg_end(pg, f->request, -EREMOTEIO);
        f->request = NULL;
    }
    lose(pg, "a statement began a COPY that cannot be served");
}

/* One whose owner has cancelled meanwhile is given no rows: flush ends it. */
static void begin_feeding(struct pg *pg, struct pg_flight *f)
{
    if (pg->kind != PG_PLAIN || f->fed || (f->request != NULL && !f->request->feeds)) {
        refuse_copy(pg, f);
        return;
    }
    pg->feeding = f->fed = true;
    if (f->request != NULL)
        f->request->rows_sent = 0;
}

static void take_result(struct pg *pg, PGresult *result)
{
    struct pg_flight *f = pg_nth_flight(pg, 0);

    if (is_loss(pg, result)) {
        lose(pg, pg_words(result));
        PQclear(result);
        return;
    }
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        land(pg);
        break;
    case PGRES_COPY_IN:
        PQclear(result);
        begin_feeding(pg, f);
        break;
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        PQclear(result);
        refuse_copy(pg, f);
        break;
    default:
        keep(f, result);
    }
}

static void take_answers(struct pg *pg)
{
    unsigned ends = 0;

    while (pg->phase == PHASE_READY && !pg->feeding && !PQisBusy(pg->conn) && pg->in_flight > 0) {
        PGresult *result = PQgetResult(pg->conn);
        if (result != NULL) {
            ends = 0;
            take_result(pg, result);
        } else if (pg->kind == PG_PLAIN) {
            land(pg);
        } else if (++ends > 2) {
            /* One end follows each statement; a row of them: libpq knows of no more questions. */
            lose(pg, "answers and questions do not match");
        }
    }
}

/* ---- sending ---- */

/* The statement of this text, made known if there is room; else NULL. */
static struct pg_statement *find_statement(struct pg *pg, const char *sql)
{
    for (unsigned i = 0; i < pg->statement_count; i++) {
        if (pg->statements[i].sql == sql)
            return &pg->statements[i];
    }
    if (pg->statement_count == PG_MAX_STATEMENTS)
        return NULL;
    struct pg_statement *statement = &pg->statements[pg->statement_count++];
    *statement = (struct pg_statement){.sql = sql};
    return statement;
}

/* The first use prepares. Until that is answered others send their text: were it refused, they would
 * otherwise be told of a missing statement instead of the reason. */
static bool send_pipelined(struct pg *pg, struct pg_flight *f, const char *const *values)
{
    int count = (int)f->request->params.count;
    const char *sql = f->request->sql;
    char name[16];

    struct pg_statement *statement = find_statement(pg, sql);
    if (statement == NULL || statement->state == STATEMENT_SENT)
        return PQsendQueryParams(pg->conn, sql, count, NULL, values, NULL, NULL, 0) == 1;
    snprintf(name, sizeof name, "s%u", (unsigned)(statement - pg->statements));
    if (statement->state == STATEMENT_NEW) {
        if (PQsendPrepare(pg->conn, name, sql, 0, NULL) != 1)
            return false;
        statement->state = STATEMENT_SENT;
        f->preparing = statement;
    }
    return PQsendQueryPrepared(pg->conn, name, count, values, NULL, NULL, 0) == 1;
}

static bool send_flight(struct pg *pg, struct pg_flight *f, const char *const *values)
{
    const struct pg_request *r = f->request;

    if (pg->kind == PG_PIPELINED)
        return send_pipelined(pg, f, values) && PQpipelineSync(pg->conn) == 1;
    if (r->script)
        return PQsendQuery(pg->conn, r->sql) == 1;
    return PQsendQueryParams(pg->conn, r->sql, (int)r->params.count, NULL, values, NULL, NULL, 0) == 1;
}

static bool send_first(struct pg *pg)
{
    struct pg_request *r = pg->waiting.first;
    const char *values[PG_MAX_PARAMS];

    r->flight = (pg->first_flight + pg->in_flight) % PG_MAX_IN_FLIGHT;
    struct pg_flight *f = &pg->flights[r->flight];
    pg_take_out(&pg->waiting, r);
    r->place = PG_SENT;
    *f = (struct pg_flight){.request = r};
    pg->in_flight++;
    for (unsigned i = 0; i < r->params.count; i++)
        values[i] = r->params.offset[i] == SIZE_MAX ? NULL : r->params.bytes.data + r->params.offset[i];
    bool sent = send_flight(pg, f, values);
    (void)FAULT_STATEMENT("pg_sent", r->sql);
    return sent;
}

/* Hands libpq the next piece, or the end, of what the server waits for. False: the connection is broken. */
static bool send_piece(struct pg *pg)
{
    struct pg_request *r = pg_nth_flight(pg, 0)->request;
    size_t left = r != NULL ? r->rows.len - r->rows_sent : 0;
    size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
    int taken;

    if (r == NULL) {
        taken = PQputCopyEnd(pg->conn, "nobody wants this any more");
        pg->feeding = taken == 0;
    } else if (left == 0) {
        taken = PQputCopyEnd(pg->conn, NULL);
        pg->feeding = taken == 0;
    } else {
        taken = PQputCopyData(pg->conn, r->rows.data + r->rows_sent, (int)piece);
        r->rows_sent += taken == 1 ? piece : 0;
    }
    return taken >= 0;
}

/* As much as the socket takes now, of rows too: 0 when nothing is left to send, 1 when it must become writable first, -1 when
 * the connection is broken. A second look at the socket after a 1 could find it free, and nobody would come for the rest. */
static int flush(struct pg *pg)
{
    int unsent = PQflush(pg->conn);

    while (pg->feeding && unsent == 0) {
        if (!send_piece(pg))
            return -1;
        unsent = PQflush(pg->conn);
    }
    return unsent;
}

static void send_what_waits(struct pg *pg)
{
    unsigned limit = pg->kind == PG_PIPELINED ? PG_MAX_IN_FLIGHT : 1;

    while (pg->waiting.first != NULL && pg->in_flight < limit) {
        if (!send_first(pg)) {
            lose(pg, PQerrorMessage(pg->conn));
            return;
        }
    }
    int unsent = flush(pg);
    if (unsent < 0)
        lose(pg, PQerrorMessage(pg->conn));
    else
        pg_watch(pg, UV_READABLE | (unsent > 0 ? UV_WRITABLE : 0));
}

/* An answer that came while rows were sent (a refusal) is with libpq already: the socket does not tell of it again. */
void pg_send(struct pg *pg)
{
    bool fed = pg->feeding;

    send_what_waits(pg);
    if (!fed || pg->feeding || pg->phase != PHASE_READY)
        return;
    take_answers(pg);
    if (pg->phase == PHASE_READY)
        send_what_waits(pg);
}

void pg_serve(struct pg *pg)
{
    bool alive = PQconsumeInput(pg->conn) == 1;

    take_answers(pg);
    if (pg->phase != PHASE_READY)
        return;
    if (alive)
        pg_send(pg);
    else
        lose(pg, PQerrorMessage(pg->conn));
}
