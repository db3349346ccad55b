/*
 * The master's half of the control socket: tools connect, say one verb, and are answered with DATA… and DONE, or
 * with ERROR. The master (src/cmd/master.c) opens it beside the farm.
 *
 *   asked nothing ──ADD, STATUS──▶ answering ──DONE──▶ leaving          any ──refusal, close──▶ leaving
 */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/lane.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/wire.h"
#include "python.h"

enum client_state { CLIENT_NEW, CLIENT_ANSWERING, CLIENT_LEAVING, CLIENT_STATES };

struct control {
    uv_loop_t *loop;
    struct db *db;
    struct pypi *pypi;
    struct farm *farm;
    struct wire_server *server;
    struct client *clients;
    bool closing;
    uv_idle_t end;                /* closing goes through the loop */
    void (*closed)(void *owner);
    void *closed_owner;
};

/* One package of an ADD. */
struct addition {
    struct client *client;
    struct pypi_add add;
    bool running;
};

struct client {
    struct control *control;
    struct client *prev, *next;
    struct wire *wire;            /* NULL once closed */
    enum client_state state;
    struct addition *additions;
    unsigned addition_count, running, failed;
    struct db_call call;
    bool calling;
    char *status;                 /* JSON of the database */
};

typedef void (*client_handler)(struct client *c, const struct message *m);

/* ---- saying -------------------------------------------------------------------------------------- */

static void say(struct client *c, const struct message *m)
{
    if (c->wire && c->state != CLIENT_LEAVING)
        wire_send(c->wire, m);
}

static void leave(struct client *c, const char *reason)
{
    c->state = CLIENT_LEAVING;
    if (c->wire)
        wire_finish(c->wire, reason);
}

static void refuse_with(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse_with(struct client *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *reason = text_clean(text, strlen(text), sizeof text); /* it may quote the tool, cut anywhere */
    struct message m = {.verb = VERB_ERROR, .error = {.reason = reason}};
    say(c, &m);
    leave(c, reason);
    free(reason);
}

static void say_done(struct client *c, bool good, const char *text)
{
    struct message m = {.verb = VERB_DONE, .done = {.good = good, .text = text}};
    say(c, &m);
    leave(c, "answered");
}

static void say_json(struct client *c, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    struct message m = {.verb = VERB_DATA, .data = {.json = text}};
    json_decref(object);
    say(c, &m);
    free(text);
}

static bool same_version(struct client *c, const char *version)
{
    if (strcmp(version, PIWHEELS_VERSION) == 0)
        return true;
    refuse_with(c, "the master is piwheels %s, the tool is %s; use the same version", PIWHEELS_VERSION, version);
    return false;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void on_end(uv_handle_t *handle)
{
    struct control *o = container_of(handle, struct control, end);
    void (*closed)(void *owner) = o->closed;
    void *owner = o->closed_owner;
    free(o);
    closed(owner);
}

static void check_closed(struct control *o)
{
    if (o->closing && !o->clients && !uv_is_closing((uv_handle_t *)&o->end))
        uv_close((uv_handle_t *)&o->end, on_end);
}

static void check_end(struct client *c)
{
    struct control *o = c->control;
    if (c->wire || c->running > 0 || c->calling)
        return;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        o->clients = c->next;
    free(c->additions);
    free(c->status);
    free(c);
    check_closed(o);
}

/* ---- ADD ----------------------------------------------------------------------------------------- */

static json_t *describe_asked(const struct db_asked *asked)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < asked->count; i++) {
        const struct db_asked_item *a = &asked->items[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "version", a->version, "target", a->target,
                                              "state", a->state, "reason", a->reason));
    }
    return list;
}

static void on_added(struct pypi_add *a, int error)
{
    struct addition *addition = container_of(a, struct addition, add);
    struct client *c = addition->client;
    addition->running = false;
    c->running--;
    if (error) {
        c->failed++;
        say_json(c, json_pack("{s:s, s:s}", "package", a->name, "error", a->reason));
    } else {
        say_json(c, json_pack("{s:s, s:o}", "package", a->name, "asked", describe_asked(&a->asked)));
    }
    if (c->running == 0 && c->state == CLIENT_ANSWERING) {
        char text[64];
        snprintf(text, sizeof text, "%u of %u added", c->addition_count - c->failed, c->addition_count);
        say_done(c, c->failed == 0, text);
    }
    check_end(c);
}

static void on_add(struct client *c, const struct message *m)
{
    const struct msg_add *add = &m->add;
    if (!same_version(c, add->version))
        return;
    for (unsigned i = 0; i < add->packages.count; i++) {
        if (!python_name_valid(add->packages.items[i].name)) {
            refuse_with(c, "\"%s\" is no package's name", add->packages.items[i].name);
            return;
        }
    }
    c->state = CLIENT_ANSWERING;
    c->addition_count = c->running = add->packages.count;
    c->additions = mem_new(c->addition_count + 1, sizeof *c->additions);
    for (unsigned i = 0; i < c->addition_count; i++) {
        struct addition *addition = &c->additions[i];
        const struct rec_wanted *wanted = &add->packages.items[i];
        addition->client = c;
        addition->running = true;
        text_copy(addition->add.name, sizeof addition->add.name, wanted->name);
        text_copy(addition->add.version, sizeof addition->add.version, wanted->version);
        addition->add.all = wanted->all;
        addition->add.done = on_added;
        pypi_add(c->control->pypi, &addition->add);
    }
    if (c->addition_count == 0)
        say_done(c, true, "nothing to add");
}

/* ---- STATUS -------------------------------------------------------------------------------------- */

static json_t *describe_connection(const struct pg_figures *f)
{
    return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I}", "waiting", (int)f->waiting, "in_flight", (int)f->in_flight,
                     "done", (json_int_t)f->done, "repeated", (json_int_t)f->repeated, "reconnects",
                     (json_int_t)f->reconnects, "worst_ms", (json_int_t)f->worst_ms);
}

static json_t *describe_lanes(void)
{
    json_t *lanes = json_object();
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane_figures f;
        lane_figures((enum lane_id)i, &f);
        json_object_set_new(lanes, f.name, json_pack("{s:i, s:i, s:i, s:I, s:I}", "limit", (int)f.limit, "running",
            (int)f.running, "waiting", (int)f.waiting, "done", (json_int_t)f.done, "worst_wait_ms",
            (json_int_t)f.worst_wait_ms));
    }
    return lanes;
}

static void on_status_read(struct db_call *call, int error)
{
    struct client *c = container_of(call, struct client, call);
    struct pg_figures fast, bulk, pages;
    c->calling = false;
    json_t *status = error ? NULL : json_loads(c->status, 0, NULL);
    if (!status) {
        refuse_with(c, "the database does not answer: %s", call->message[0] ? call->message : strerror(-error));
        check_end(c);
        return;
    }
    db_figures(c->control->db, &fast, &bulk, &pages);
    json_object_set_new(status, "version", json_string(PIWHEELS_VERSION));
    json_object_set_new(status, "slaves", farm_describe(c->control->farm));
    json_object_set_new(status, "lanes", describe_lanes());
    json_object_set_new(status, "database", json_pack("{s:o, s:o, s:o}", "fast", describe_connection(&fast), "bulk",
                                                      describe_connection(&bulk), "pages", describe_connection(&pages)));
    say_json(c, status);
    say_done(c, true, "");
    check_end(c);
}

static void on_status(struct client *c, const struct message *m)
{
    if (!same_version(c, m->status.version))
        return;
    if (!db_ready(c->control->db)) {
        refuse_with(c, "the master waits for its database: %s", db_why(c->control->db));
        return;
    }
    c->state = CLIENT_ANSWERING;
    c->calling = true;
    db_status(c->control->db, &c->call, &c->status, on_status_read);
}

/* ---- the table ----------------------------------------------------------------------------------- */

static void refuse(struct client *c, const struct message *m)
{
    refuse_with(c, "%s was said before the first question was answered", message_verb_name(m->verb));
}

static void ignore(struct client *c, const struct message *m)
{
}

static const struct {
    enum verb verb;
    client_handler in[CLIENT_STATES];
} rows[] = {
    /*               new        answering  leaving */
    {VERB_ADD,      {on_add,    refuse,    ignore}},
    {VERB_STATUS,   {on_status, refuse,    ignore}},
};

static void on_message(struct wire *w, const struct message *m)
{
    struct client *c = wire_owner(w);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].verb == m->verb) {
            rows[i].in[c->state](c, m);
            return;
        }
    }
    if (c->state != CLIENT_LEAVING)
        refuse_with(c, "%s is nothing that a tool says", message_verb_name(m->verb));
}

static void on_closed(struct wire *w, const char *reason)
{
    struct client *c = wire_owner(w);
    log_debug("control", "control client: closed: %s", reason);
    c->wire = NULL;
    c->state = CLIENT_LEAVING;
    for (unsigned i = 0; i < c->addition_count; i++) {
        if (c->additions[i].running)
            pypi_add_cancel(c->control->pypi, &c->additions[i].add);
    }
    if (c->calling)
        db_cancel(&c->call);
    check_end(c);
}

static const struct wire_events events = {.message = on_message, .closed = on_closed};

/* ---- opening and closing ------------------------------------------------------------------------- */

static void on_accepted(struct wire *w, void *context)
{
    struct control *o = context;
    struct client *c = mem_new(1, sizeof *c);
    c->control = o;
    c->wire = w;
    c->next = o->clients;
    if (c->next)
        c->next->prev = c;
    o->clients = c;
    wire_set_owner(w, c);
}

int control_open(uv_loop_t *loop, const char *path, struct db *db, struct pypi *pypi, struct farm *farm,
                 struct control **control, char *why, size_t why_size)
{
    struct control *o = mem_new(1, sizeof *o);
    o->loop = loop;
    o->db = db;
    o->pypi = pypi;
    o->farm = farm;
    int error = wire_listen(loop, path, &events, on_accepted, o, &o->server, why, why_size);
    if (error) {
        free(o);
        return error;
    }
    uv_idle_init(loop, &o->end);
    *control = o;
    return 0;
}

void control_close(struct control *o, void (*closed)(void *owner), void *owner)
{
    o->closing = true;
    o->closed = closed;
    o->closed_owner = owner;
    wire_server_close(o->server);
    for (struct client *c = o->clients; c; c = c->next)
        leave(c, "the master stops");
    check_closed(o);
}
