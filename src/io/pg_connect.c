/*
 * One attempt to connect to PostgreSQL, step by step driven by pg.c: which addresses to try, libpq's
 * options, and what its words mean when nothing came of it.
 *
 * Names are resolved with uv_getaddrinfo, for libpq would block the loop: each address found is given to
 * libpq as `hostaddr`, beside the name it came from (certificates and .pgpass go by the name). Socket
 * directories and numeric addresses pass as they are, and so does a host that only a service file
 * tells. (PostgreSQL manual, 34.1.2.)
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "pg_private.h"

#define MAX_ADDRESSES_A_NAME 8
#define MAX_OPTIONS 96

/* ---- options ---- */

/* libpq may end its words with the whole DSN, and there may be a password in it. */
static void hide_dsn(char *words, const char *dsn)
{
    char *end = strstr(words, dsn);

    if (dsn[0] == '\0' || end == NULL)
        return;
    while (end > words && strchr(": \"", end[-1]) != NULL)
        end--;
    *end = '\0';
    if (text_ends(words, " after")) /* what is hidden */
        end[-(int)strlen(" after")] = '\0';
}

int pg_read_dsn(struct pg *pg, const char *dsn)
{
    char *words = NULL;

    pg->options = PQconninfoParse(dsn, &words);
    if (pg->options != NULL)
        return 0;
    if (words != NULL)
        hide_dsn(words, dsn);
    char line[PG_MAX_WHY / 2];
    pg_one_line(line, sizeof line, words != NULL ? words : "libpq gave no reason");
    snprintf(pg->why, sizeof pg->why, "the DSN is malformed: %s; right is postgresql://USER@HOST/DATABASE or dbname=DATABASE", line);
    PQfreemem(words);
    return -EINVAL;
}

/* An option of the DSN, else of the environment, else "". */
static const char *option(const struct pg *pg, const char *keyword, const char *variable)
{
    for (const PQconninfoOption *o = pg->options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0 && o->val != NULL)
            return o->val;
    }
    const char *value = getenv(variable);
    return value != NULL ? value : "";
}

struct pairs {
    const char *keywords[MAX_OPTIONS], *values[MAX_OPTIONS];
    unsigned count;
};

static void add_pair(struct pairs *p, const char *keyword, const char *value)
{
    assert(p->count < MAX_OPTIONS - 1); /* the last is the NULL at the end */
    p->keywords[p->count] = keyword;
    p->values[p->count++] = value;
}

PGconn *pg_start_connection(struct pg *pg)
{
    struct pairs pairs = {.count = 0};
    char application[64];

    /* Of two values libpq takes the later one: what the DSN says wins over ours. */
    snprintf(application, sizeof application, "piwheels %s", pg->name);
    add_pair(&pairs, "fallback_application_name", application);
    add_pair(&pairs, "keepalives_idle", "30"); /* a server that lost its power says nothing */
    add_pair(&pairs, "keepalives_interval", "10");
    add_pair(&pairs, "keepalives_count", "3");
    add_pair(&pairs, "tcp_user_timeout", "60000");
    for (const PQconninfoOption *o = pg->options; o->keyword != NULL; o++) {
        if (o->val != NULL)
            add_pair(&pairs, o->keyword, o->val);
    }
    add_pair(&pairs, "client_encoding", "UTF8");
    if (pg->addresses.count > 0) {
        add_pair(&pairs, "host", pg->addresses.hosts.data);
        add_pair(&pairs, "hostaddr", pg->addresses.hostaddrs.data);
        add_pair(&pairs, "port", pg->addresses.ports.data);
    }
    PGconn *conn = PQconnectStartParams(pairs.keywords, pairs.values, 0);
    if (conn != NULL)
        PQsetErrorVerbosity(conn, PQERRORS_VERBOSE); /* shows SQLSTATEs, see pg_read_refusal */
    return conn;
}

/* ---- addresses ---- */

/* The nth item of a comma-separated list into `item`; false when there are fewer. */
static bool list_item(const char *list, unsigned n, char *item, size_t size)
{
    for (; n > 0; n--) {
        list = strchr(list, ',');
        if (list == NULL)
            return false;
        list++;
    }
    snprintf(item, size, "%.*s", (int)strcspn(list, ","), list);
    return true;
}

static unsigned list_length(const char *list)
{
    unsigned length = 1;
    for (; *list != '\0'; list++)
        length += *list == ',';
    return length;
}

static bool is_name(const char *host)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    return host[0] != '\0' && host[0] != '/' && host[0] != '@' &&
           uv_ip4_addr(host, 0, &v4) != 0 && uv_ip6_addr(host, 0, &v6) != 0;
}

static void add_address(struct pg *pg, const char *host, const char *hostaddr)
{
    struct pg_addresses *a = &pg->addresses;
    const char *ports = option(pg, "port", "PGPORT");
    const char *comma = a->count++ > 0 ? "," : "";
    char port[32];

    if (!list_item(ports, a->next, port, sizeof port))
        list_item(ports, 0, port, sizeof port); /* one port for all */
    buf_addf(&a->hosts, "%s%s", comma, host);
    buf_addf(&a->hostaddrs, "%s%s", comma, hostaddr);
    buf_addf(&a->ports, "%s%s", comma, port);
}

static void note_unresolved(struct pg *pg, const char *host, const char *reason)
{
    snprintf(pg->why, sizeof pg->why, "the host name \"%.200s\" was not resolved: %s", host, reason);
}

static void resolve_rest(struct pg *pg);

static void add_found(struct pg *pg, int status, const struct addrinfo *found)
{
    char host[NI_MAXHOST], address[NI_MAXHOST];
    unsigned added = 0;

    list_item(option(pg, "host", "PGHOST"), pg->addresses.next, host, sizeof host);
    for (const struct addrinfo *i = found; i != NULL && added < MAX_ADDRESSES_A_NAME; i = i->ai_next) {
        if (getnameinfo(i->ai_addr, i->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        add_address(pg, host, address);
        added++;
    }
    if (added == 0)
        note_unresolved(pg, host, status != 0 ? uv_strerror(status) : "it has no address");
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct pg_lookup *lookup = container_of(request, struct pg_lookup, request);
    struct pg *pg = lookup->pg;

    free(lookup);
    if (pg != NULL) {
        pg->lookup = NULL;
        add_found(pg, status, found);
        pg->addresses.next++;
        resolve_rest(pg);
    }
    uv_freeaddrinfo(found);
}

static int look_up(struct pg *pg, const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct pg_lookup *lookup = mem_new(1, sizeof *lookup);

    int error = uv_getaddrinfo(pg->loop, &lookup->request, on_looked_up, host, NULL, &hints);
    if (error != 0) {
        free(lookup);
        return error;
    }
    lookup->pg = pg;
    pg->lookup = lookup;
    return 0;
}

/* A look-up that a thread is busy with cannot be ended, only forgotten. */
void pg_drop_lookup(struct pg *pg)
{
    if (pg->lookup == NULL)
        return;
    pg->lookup->pg = NULL;
    uv_cancel((uv_req_t *)&pg->lookup->request);
    pg->lookup = NULL;
}

/* Goes on with the next host asked for. One that cannot be resolved is left out while there are others. */
static void resolve_rest(struct pg *pg)
{
    struct pg_addresses *a = &pg->addresses;
    const char *hosts = option(pg, "host", "PGHOST");
    char host[NI_MAXHOST];

    for (; list_item(hosts, a->next, host, sizeof host); a->next++) {
        if (!is_name(host)) {
            add_address(pg, host, "");
            continue;
        }
        int error = look_up(pg, host);
        if (error == 0)
            return;
        note_unresolved(pg, host, uv_strerror(error));
    }
    if (a->hosts.full || a->hostaddrs.full || a->ports.full)
        pg_resolved(pg, "the DSN names too many hosts");
    else
        pg_resolved(pg, a->count > 0 ? NULL : pg->why);
}

void pg_resolve(struct pg *pg)
{
    struct pg_addresses *a = &pg->addresses;
    const char *hosts = option(pg, "host", "PGHOST");
    const char *ports = option(pg, "port", "PGPORT");

    buf_clear(&a->hosts);
    buf_clear(&a->hostaddrs);
    buf_clear(&a->ports);
    a->count = a->next = 0;
    bool mismatch = list_length(ports) > 1 && list_length(ports) != list_length(hosts);
    if (hosts[0] == '\0' || option(pg, "hostaddr", "PGHOSTADDR")[0] != '\0' || mismatch)
        pg_resolved(pg, NULL); /* nothing to resolve, or for libpq to refuse */
    else
        resolve_rest(pg);
}

/* ---- refusals ---- */

#define SQLSTATE_LENGTH 5

/* Whether " 3D000:" stands here, as in libpq's verbose form "FATAL:  3D000: database …". */
static bool is_sqlstate(const char *text, const char *at)
{
    return at - text >= 2 && strncmp(at - 2, ":  ", 3) == 0 &&
           strspn(at + 1, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == SQLSTATE_LENGTH &&
           at[1 + SQLSTATE_LENGTH] == ':' && at[2 + SQLSTATE_LENGTH] == ' ';
}

/*
 * Reasons that will be the same next time. After a failed connect libpq 15 keeps no PGresult, but in its
 * verbose form the words hold the server's SQLSTATE, whatever the language of the rest; with
 * several hosts the last one counts. What libpq refuses by itself (an impossible value in the DSN) has
 * no SQLSTATE: it comes without a socket having been tried and begins with one of these words.
 */
static bool is_final_sqlstate(const char *sqlstate)
{
    static const char *const finals[] = {
        "28000", /* no such role, no line in pg_hba.conf, wrong system user */
        "28P01", /* wrong password */
        "3D000", /* no such database */
        "42501", /* the role may not connect to the database */
    };

    for (size_t i = 0; i < COUNT_OF(finals); i++) {
        if (strncmp(sqlstate, finals[i], SQLSTATE_LENGTH) == 0)
            return true;
    }
    return false;
}

static bool is_bad_option(const char *words)
{
    return text_starts(words, "invalid ") || text_starts(words, "could not match ") ||
           text_starts(words, "definition of service ") || text_starts(words, "service file ");
}

void pg_read_refusal(struct pg *pg, char *why)
{
    const char *words = PQerrorMessage(pg->conn);
    const char *sqlstate = NULL;
    struct buf plain;

    buf_init(&plain, PG_MAX_WHY);
    for (const char *at = words; *at != '\0'; at++) {
        if (is_sqlstate(words, at)) {
            sqlstate = at + 1;
            at += SQLSTATE_LENGTH + 2; /* to the space behind its colon */
        } else if (at > words && at[-1] == '\n' && text_starts(at, "LOCATION:")) {
            at += strcspn(at, "\n") - 1;
        } else {
            buf_addc(&plain, *at);
        }
    }
    pg_one_line(why, PG_MAX_WHY, plain.len > 0 ? plain.data : "libpq gave no reason");
    buf_release(&plain);
    pg->hopeless = !pg->connected_once &&
        (is_bad_option(words) || PQconnectionNeedsPassword(pg->conn) ||
         (sqlstate != NULL && is_final_sqlstate(sqlstate)));
}

/* Lines become sentences on one line; the tabs that libpq indents its hints with go too. */
void pg_one_line(char *to, size_t size, const char *text)
{
    struct buf line;

    buf_init(&line, 2 * strlen(text));
    for (text += strspn(text, " \t\n"); *text != '\0';) {
        size_t len = strcspn(text, "\t\n");
        buf_add(&line, text, len);
        text += len;
        text += strspn(text, " \t\n");
        if (*text != '\0')
            buf_adds(&line, isupper((unsigned char)*text) ? "; " : " "); /* a new sentence, or the same */
    }
    text_copy(to, size, line.data);
    buf_release(&line);
}
