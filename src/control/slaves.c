/*
 * What `piwheels slaves` asks of the master: which slaves it knows, and to accept or to revoke one. The database decides
 * (db_slave_accept, …), the farm is told, the tool is answered in words. control.c's table leads here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "private.h"

static void begin(struct client *c)
{
    c->state = CLIENT_ANSWERING;
    c->running++;
}

/* Whether the answer can be used; a refusal is told. */
static bool end(struct client *c, int error)
{
    c->running--;
    if (error && c->state == CLIENT_ANSWERING)
        client_refuse(c, "%s", c->call.message);
    return !error;
}

/* ---- SLAVES -------------------------------------------------------------------------------------- */

static void say_slave(struct client *c, const char *json)
{
    const struct farm *farm = c->control->sources.farm;
    json_t *slave = json_loads(json, 0, NULL);
    const char *address = farm_whereabouts(farm, json_integer_value(json_object_get(slave, "slave")));
    json_object_set_new(slave, "connected", json_boolean(address[0] != '\0'));
    json_object_set_new(slave, "address", json_string(address));
    client_say_json(c, slave);
}

static void on_slaves(struct db_call *call, int error)
{
    struct client *c = container_of(call, struct client, call);
    const struct farm *farm = c->control->sources.farm;
    if (end(c, error) && c->state == CLIENT_ANSWERING) {
        client_say_json(c, json_pack("{s:{s:s, s:s}}", "master", "address", farm_address(farm), "fingerprint",
                                     farm_key(farm)));
        for (unsigned i = 0; i < c->slaves.count && c->state == CLIENT_ANSWERING; i++)
            say_slave(c, c->slaves.json[i]);
        if (c->state == CLIENT_ANSWERING)
            client_say_done(c, true, "");
    }
    db_slaves_release(&c->slaves);
    client_check_end(c);
}

void slaves_on_slaves(struct client *c, const struct message *m)
{
    if (!client_same_version(c, m->slaves.version))
        return;
    begin(c);
    db_slaves(c->control->sources.db, &c->call, &c->slaves, on_slaves);
}

/* ---- ACCEPT -------------------------------------------------------------------------------------- */

static void on_accepted(struct db_call *call, int error)
{
    struct client *c = container_of(call, struct client, call);
    const struct db_standing *s = &c->standing;
    char told[sizeof s->names / 2 + 300];
    if (end(c, error)) {
        snprintf(told, sizeof told, "slave %s (key %s) is accepted for %.500s", s->label, s->fingerprint, s->names);
        log_info("control", "%s", told);
        farm_heed(c->control->sources.farm, s);
        if (c->state == CLIENT_ANSWERING)
            client_say_done(c, true, told);
    }
    client_check_end(c);
}

void slaves_on_accept(struct client *c, const struct message *m)
{
    const struct msg_accept *accept = &m->accept;
    const char *names[COUNT_OF(accept->targets.items)];
    if (!client_same_version(c, accept->version))
        return;
    for (unsigned i = 0; i < accept->targets.count; i++)
        names[i] = accept->targets.items[i].name;
    begin(c);
    db_slave_accept(c->control->sources.db, &c->call, accept->label, names, accept->targets.count, &c->standing,
                    on_accepted);
}

/* ---- REVOKE -------------------------------------------------------------------------------------- */

static void on_revoked(struct db_call *call, int error)
{
    struct client *c = container_of(call, struct client, call);
    const struct db_standing *s = &c->standing;
    char told[300];
    if (end(c, error)) {
        bool connected = farm_whereabouts(c->control->sources.farm, s->slave)[0] != '\0';
        snprintf(told, sizeof told, "slave %s (key %s) is revoked%s", s->label, s->fingerprint[0] ? s->fingerprint : "none",
                 connected ? "; its connection is cut" : "");
        log_info("control", "%s", told);
        farm_heed(c->control->sources.farm, s);
        if (c->state == CLIENT_ANSWERING)
            client_say_done(c, true, told);
    }
    client_check_end(c);
}

void slaves_on_revoke(struct client *c, const struct message *m)
{
    if (!client_same_version(c, m->revoke.version))
        return;
    begin(c);
    db_slave_revoke(c->control->sources.db, &c->call, m->revoke.label, &c->standing, on_revoked);
}
