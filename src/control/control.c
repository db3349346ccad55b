/*
 * The master's half of the control socket: tools connect, say one verb, and are answered with DATA… and DONE, or
 * with ERROR. The master (src/cmd/master.c) opens it beside the farm.
 *
 *   asked nothing ──ADD, ACT, STATUS, …──▶ answering ──DONE──▶ leaving          any ──refusal, close──▶ leaving
 *        ├─────────WATCH──▶ watching (until it leaves)
 *        └─────────LOGS──▶ reading ──DONE──▶ leaving
 */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "private.h"
#include "python.h"

/* One package of an ADD. */
struct addition {
    struct client *client;
    struct pypi_add add;
    bool running;
};

typedef void (*client_handler)(struct client *c, const struct message *m);

/* ---- saying -------------------------------------------------------------------------------------- */

void client_say(struct client *c, const struct message *m)
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

void client_refuse(struct client *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *reason = text_clean(text, strlen(text), sizeof text); /* it may quote the tool, cut anywhere */
    struct message m = {.verb = VERB_ERROR, .error = {.reason = reason}};
    client_say(c, &m);
    leave(c, reason);
    free(reason);
}

void client_say_done(struct client *c, bool good, const char *text)
{
    struct message m = {.verb = VERB_DONE, .done = {.good = good, .text = text}};
    client_say(c, &m);
    c->answered = true;
    leave(c, "answered");
}

void client_say_json(struct client *c, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    struct message m = {.verb = VERB_DATA, .data = {.json = text}};
    json_decref(object);
    client_say(c, &m);
    free(text);
}

bool client_same_version(struct client *c, const char *version)
{
    if (strcmp(version, PIWHEELS_VERSION) == 0)
        return true;
    client_refuse(c, "the master is piwheels %s, the tool is %s; use the same version", PIWHEELS_VERSION, version);
    return false;
}

/* ---- life ---------------------------------------------------------------------------------------- */

void control_on_handle_closed(uv_handle_t *handle)
{
    struct control *o = handle->data;
    o->open_handles--;
    control_check_closed(o);
}

void control_check_closed(struct control *o)
{
    if (!o->closing || o->clients || o->open_handles > 0 || o->watch.calling)
        return;
    void (*closed)(void *owner) = o->closed;
    void *owner = o->closed_owner;
    watch_release(o);
    free(o);
    closed(owner);
}

void client_check_end(struct client *c)
{
    struct control *o = c->control;
    if (c->wire || c->running > 0 || c->reading.busy)
        return;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        o->clients = c->next;
    free(c->additions);
    free(c->reading.piece);
    free(c);
    control_check_closed(o);
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
        client_say_json(c, json_pack("{s:s, s:s}", "package", a->name, "error", a->reason));
    } else {
        client_say_json(c, json_pack("{s:s, s:o}", "package", a->name, "asked", describe_asked(&a->asked)));
    }
    if (c->running == 0 && c->state == CLIENT_ANSWERING) {
        char text[64];
        snprintf(text, sizeof text, "%u of %u added", c->addition_count - c->failed, c->addition_count);
        client_say_done(c, c->failed == 0, text);
    }
    client_check_end(c);
}

static bool check_wishes(struct client *c, const struct msg_add *add)
{
    for (unsigned i = 0; i < add->packages.count; i++) {
        const struct rec_wanted *wanted = &add->packages.items[i];
        if (!python_name_valid(wanted->name))
            client_refuse(c, "\"%s\" is no package's name", wanted->name);
        else if (wanted->all && wanted->version[0])
            client_refuse(c, "%s: either one version or the whole history can be added", wanted->name);
        else
            continue;
        return false;
    }
    return true;
}

static void on_add(struct client *c, const struct message *m)
{
    const struct msg_add *add = &m->add;
    if (!client_same_version(c, add->version) || !check_wishes(c, add))
        return;
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
        pypi_add(c->control->sources.pypi, &addition->add);
    }
    if (c->addition_count == 0)
        client_say_done(c, true, "nothing to add");
}

/* ---- ACT ----------------------------------------------------------------------------------------- */

static void on_act(struct client *c, const struct message *m)
{
    char told[400];
    if (!client_same_version(c, m->act.version))
        return;
    c->state = CLIENT_ANSWERING;
    if (farm_act(c->control->sources.farm, m->act.action, (int64_t)m->act.slave, told, sizeof told) == 0)
        client_say_done(c, true, told);
    else
        client_refuse(c, "%s", told);
}

/* ---- the table ----------------------------------------------------------------------------------- */

static void refuse(struct client *c, const struct message *m)
{
    client_refuse(c, "%s was said before the first question was answered", message_verb_name(m->verb));
}

static void ignore(struct client *c, const struct message *m)
{
}

static const struct {
    enum verb verb;
    client_handler in[CLIENT_STATES];
} rows[] = {
    /*               new              answering  watching  reading   leaving */
    {VERB_ADD,      {on_add,          refuse,    refuse,   refuse,   ignore}},
    {VERB_ACT,      {on_act,          refuse,    refuse,   refuse,   ignore}},
    {VERB_SLAVES,   {slaves_on_slaves, refuse,   refuse,   refuse,  ignore}},
    {VERB_ACCEPT,   {slaves_on_accept, refuse,   refuse,   refuse,  ignore}},
    {VERB_REVOKE,   {slaves_on_revoke, refuse,   refuse,   refuse,  ignore}},
    {VERB_EXPLAIN,  {orders_on_explain,  refuse,  refuse,   refuse,   ignore}},
    {VERB_QUEUE,    {orders_on_queue,    refuse,  refuse,   refuse,   ignore}},
    {VERB_REBUILD,  {orders_on_rebuild,  refuse,  refuse,   refuse,   ignore}},
    {VERB_REWRITE,  {orders_on_rewrite,  refuse,  refuse,   refuse,   ignore}},
    {VERB_SKIP,     {orders_on_skip,     refuse,  refuse,   refuse,   ignore}},
    {VERB_SKIPS,    {orders_on_skips,    refuse,  refuse,   refuse,   ignore}},
    {VERB_UNSKIP,   {orders_on_unskip,   refuse,  refuse,   refuse,   ignore}},
    {VERB_REMOVE,   {orders_on_remove,   refuse,  refuse,   refuse,   ignore}},
    {VERB_STATUS,   {watch_on_status, refuse,    refuse,   refuse,   ignore}},
    {VERB_WATCH,    {watch_on_watch,  refuse,    refuse,   refuse,   ignore}},
    {VERB_LOGS,     {logs_on_logs,    refuse,    refuse,   refuse,   ignore}},
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
        client_refuse(c, "%s is nothing that a tool says", message_verb_name(m->verb));
}

static void on_closed(struct wire *w, const char *reason)
{
    struct client *c = wire_owner(w);
    if (c->answered)
        log_debug("control", "control client: connection closed: %s", reason);
    else
        log_info("control", "control client: connection closed: %s", reason);
    c->wire = NULL;
    c->state = CLIENT_LEAVING;
    for (unsigned i = 0; i < c->addition_count; i++) {
        if (c->additions[i].running)
            pypi_add_cancel(c->control->sources.pypi, &c->additions[i].add);
    }
    if (c->control->closing)
        orders_cancel(c);
    c->asks = c->listens = false;
    client_check_end(c);
}

static void on_drained(struct wire *w)
{
    struct client *c = wire_owner(w);
    if (c->state == CLIENT_READING)
        logs_go_on(c);
}

static const struct wire_events events = {.message = on_message, .drained = on_drained, .closed = on_closed};

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

int control_open(uv_loop_t *loop, const char *path, const struct control_sources *sources, struct control **control,
                 char *why, size_t why_size)
{
    struct control *o = mem_new(1, sizeof *o);
    o->loop = loop;
    o->sources = *sources;
    o->opened_ms = clock_steady_ms();
    text_copy(o->output, sizeof o->output, sources->output);
    text_copy(o->site_url, sizeof o->site_url, sources->site_url);
    int error = wire_listen(loop, path, NULL, &events, on_accepted, o, &o->server, why, why_size);
    if (error) {
        free(o);
        return error;
    }
    watch_open(o);
    logs_open(o);
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
    watch_close(o);
    logs_close(o);
}
