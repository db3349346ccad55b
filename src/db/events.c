/*
 * PyPI's events on their way into the database: the changelog reader (src/pypi) gathers rows here and stores many of
 * them with one request, which moves the cursor in the same transaction. On the bulk connection, which may COPY; the few
 * of most answers go along with the statement that applies them, for COPY would cost a tenth of all that.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "private.h"

#define FEW_BYTES 8192u /* of rows: some forty events */

/* ---- rows, in COPY's text format (PostgreSQL manual, COPY) ----------------------------------------- */

static void add_escaped(struct buf *rows, const char *text)
{
    for (size_t plain; *text != '\0'; text += plain) {
        plain = strcspn(text, "\\\t\n\r");
        buf_add(rows, text, plain);
        if (text[plain] == '\0')
            return;
        const char *as = text[plain] == '\\' ? "\\\\" : text[plain] == '\t' ? "\\t" : text[plain] == '\n' ? "\\n" : "\\r";
        buf_adds(rows, as);
        plain++;
    }
}

static void add_text(struct buf *rows, const char *text)
{
    buf_addc(rows, '\t');
    if (text != NULL)
        add_escaped(rows, text);
    else
        buf_adds(rows, "\\N");
}

static void add_flag(struct buf *rows, const struct db_event *e, bool flag)
{
    buf_adds(rows, e->version == NULL ? "\t\\N" : flag ? "\tt" : "\tf");
}

static void add_key(struct buf *rows, const struct db_event *e)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *key = e->sort_key;

    if (e->version == NULL) {
        buf_adds(rows, "\t\\N");
        return;
    }
    buf_adds(rows, "\t\\\\x");
    for (size_t i = 0; i < e->sort_key_len; i++) {
        const char pair[2] = {digits[key[i] >> 4], digits[key[i] & 15]};
        buf_add(rows, pair, sizeof pair);
    }
}

int db_event_add(struct buf *rows, const struct db_event *e)
{
    buf_addf(rows, "%" PRId64 "\t%" PRId64 "\t%c", e->serial, e->happened, e->kind);
    add_text(rows, e->name);
    add_text(rows, e->display);
    add_text(rows, e->version);
    add_key(rows, e);
    add_flag(rows, e, e->prerelease);
    add_flag(rows, e, e->legacy);
    add_text(rows, e->file);
    add_text(rows, e->tags);
    if (e->tags != NULL)
        buf_addf(rows, "\t%" PRId64, (int64_t)e->fits);
    else
        buf_adds(rows, "\t\\N");
    return buf_addc(rows, '\n');
}

/* ---- storing them --------------------------------------------------------------------------------- */

static void decode_applied(struct db_call *c, const struct pg_result *result)
{
    struct db_applied *applied = c->out;

    if (pg_rows(result) == 0)
        return;
    applied->applied = pg_int(result, 0, 0);
    column_ended(&applied->ended, result, 0, 1);
    applied->jobs = pg_bool(result, 0, 2);
}

static void store_few(struct db *db, struct db_call *c, struct buf *rows, const struct db_events *events)
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_int(&params, events->from);
    pg_add_int(&params, events->to);
    pg_add_bool(&params, events->follow_all);
    pg_add_bool(&params, events->quiet);
    pg_add_text(&params, rows->data);
    buf_release(rows);
    call_send(c, db->bulk, "SELECT * FROM piwheels.events_apply($1, $2, $3, $4, $5)", &params);
}

static void store_many(struct db *db, struct db_call *c, struct buf *rows, const struct db_events *events)
{
    char *sql = mem_format("SELECT piwheels.events_open(); COPY pg_temp.event_staging FROM STDIN; "
                           "SELECT * FROM piwheels.events_apply(%" PRId64 ", %" PRId64 ", %s, %s)",
                           events->from, events->to, events->follow_all ? "true" : "false", events->quiet ? "true" : "false");

    call_copy(c, db->bulk, sql, rows);
    free(sql);
}

void db_events_store(struct db *db, struct db_call *c, struct buf *rows, const struct db_events *events,
                     struct db_applied *out, void (*done)(struct db_call *c, int error))
{
    memset(out, 0, sizeof *out);
    call_init(c, decode_applied, out, done);
    if (rows->len <= FEW_BYTES)
        store_few(db, c, rows, events);
    else
        store_many(db, c, rows, events);
}

static void decode_ended(struct db_call *c, const struct pg_result *result)
{
    struct db_ended *ended = c->out;

    ended->attempts = mem_new(pg_rows(result) + 1, sizeof *ended->attempts);
    for (unsigned row = 0; row < pg_rows(result); row++)
        ended->attempts[ended->count++] = pg_int(result, row, 0);
}

void db_project_gone(struct db *db, struct db_call *c, const char *name, struct db_ended *out,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    memset(out, 0, sizeof *out);
    pg_params_init(&params);
    pg_add_text(&params, name);
    call_init(c, decode_ended, out, done);
    call_send(c, db->bulk, "SELECT piwheels.project_gone($1)", &params);
}

/* ---- beginning ------------------------------------------------------------------------------------ */

static void decode_serial(struct db_call *c, const struct pg_result *result)
{
    *(int64_t *)c->out = pg_int(result, 0, 0);
}

void db_follow_begin(struct db *db, struct db_call *c, const char *mode, int64_t newest, int64_t *serial,
                     void (*done)(struct db_call *c, int error))
{
    struct pg_params params;

    pg_params_init(&params);
    pg_add_text(&params, mode);
    pg_add_int(&params, newest);
    call_init(c, decode_serial, serial, done);
    call_send(c, db->bulk, "SELECT piwheels.follow_begin($1, $2)", &params);
}
