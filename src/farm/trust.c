/*
 * Who is let in. A slave is known by its name and its key; what a person has decided about it is in the database
 * (db_slave_seen), and changes while it is connected: the control room calls farm_heed.
 *
 * Without TLS there are no keys: then everybody who connects is on this machine, and taken at its word.
 */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "session.h"

bool session_is_in(const struct session *s)
{
    return s->state == SESSION_WAITING || s->state == SESSION_READY;
}

static void keep_to_targets(struct session *s, uint64_t targets)
{
    s->targets = s->offered & targets;
}

void trust_keep_to_targets(struct session *s)
{
    static const char reason[] = "the slave is not accepted for this target any more";
    for (struct attempt *a = s->attempts; a; a = a->next) {
        if ((a->state != ATTEMPT_BUILDING && a->state != ATTEMPT_RECEIVING) || s->targets >> a->target & 1)
            continue;
        session_give_back(s, a, "not accepted", reason);
        attempt_stop(s, a->id, reason);
    }
}

bool trust_judge(struct session *s, const struct db_standing *standing, char *why, size_t size)
{
    s->trust = standing->trust;
    switch (standing->trust) {
    case DB_ACCEPTED:
        keep_to_targets(s, standing->targets);
        return true;
    case DB_WAITING:
        return true;
    case DB_REVOKED:
        snprintf(why, size, "slave %s was revoked; to let it in again: piwheels slaves accept %s", s->label, s->label);
        return false;
    case DB_OTHER_KEY:
        snprintf(why, size, "a slave named %s is known by another key than the %s that this one shows; choose another name "
                 "with --label, or, if it is the same machine with a new key, on the master: piwheels slaves revoke %s",
                 s->label, wire_key(s->wire), s->label);
        return false;
    default:
        snprintf(why, size, "too many slaves wait to be accepted; accept or revoke some: piwheels slaves list");
        return false;
    }
}

void trust_explain(const struct session *s, char *why, size_t size)
{
    why[0] = '\0';
    if (s->state == SESSION_WAITING)
        snprintf(why, size, "slave %s waits to be accepted; on the master type: piwheels slaves accept %s", s->label,
                 s->label);
    else if (s->targets == 0)
        snprintf(why, size, "slave %s was accepted for other targets than it offers; on the master type: piwheels slaves "
                 "accept %s", s->label, s->label);
    else if (session_resting(s) && !s->stopping)
        snprintf(why, size, "paused by hand");
}

/* ---- what a person decides while it is connected ------------------------------------------------- */

static void let_in(struct session *s, const struct db_standing *standing)
{
    struct message wake = {.verb = VERB_WAKE};
    s->trust = DB_ACCEPTED;
    keep_to_targets(s, standing->targets);
    s->told = false;
    if (!session_is_in(s)) /* it is being greeted, and will find itself accepted */
        return;
    s->state = SESSION_READY;
    wire_set_stranger(s->wire, false);
    log_info("farm", "%s: accepted for %s", s->name, standing->names);
    trust_keep_to_targets(s);
    if (!s->sleeping || session_resting(s))
        return;
    session_say(s, &wake);
    session_set_sleeping(s, false);
}

static void shut_out(struct session *s)
{
    session_give_back_all(s, "slave revoked", "a person revoked the slave; it is tried again on another");
    session_refuse(s, "slave %s was revoked", s->label);
}

void farm_heed(struct farm *f, const struct db_standing *standing)
{
    struct session *next;
    for (struct session *s = f->sessions; s; s = next) {
        next = s->next;
        if (s->slave != standing->slave || s->state == SESSION_LEAVING)
            continue;
        if (standing->trust == DB_ACCEPTED)
            let_in(s, standing);
        else
            shut_out(s);
    }
}

const char *farm_whereabouts(const struct farm *f, int64_t slave)
{
    for (const struct session *s = f->sessions; s; s = s->next) {
        if (s->slave == slave && session_is_in(s) && s->wire)
            return wire_peer(s->wire);
    }
    return "";
}
