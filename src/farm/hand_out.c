/*
 * Handing out: what a slave has that packages' own settings may want, as the database compares it, and BUILD with these
 * settings in it. session.c calls this at HELLO, at MEANS and when a job was claimed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/debian.h"
#include "core/log.h"
#include "core/memory.h"
#include "session.h"

/* ---- what a slave has ---- */

static const char *const networks[] = {"none", "index", "all"}; /* each more than the one before */

static int network_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(networks); i++)
        if (strcmp(networks[i], name) == 0)
            return (int)i;
    return -1;
}

bool hand_out_networks_right(const struct msg_hello *h)
{
    return network_of(h->network) >= 0 && network_of(h->network_most) >= network_of(h->network);
}

/* Below the strict sandbox nothing is cut: a build reaches all, so that "none" cannot be promised. */
void hand_out_read_networks(const struct msg_hello *h, char *words, size_t size)
{
    bool strict = strcmp(h->sandbox, "strict") == 0;
    int most = strict ? network_of(h->network_most) : network_of("all");
    size_t len = 0;

    words[0] = '\0';
    for (int i = strict ? 0 : 1; i <= most && len < size; i++)
        len += (size_t)snprintf(words + len, size - len, "network %s\n", networks[i]);
}

/* A quarter of a megabyte each, which the database writes: whoever can connect could have it write without end. */
static const struct ration_limits strangers_means_limits = {.most = 64, .every_ms = 5000};

struct means {
    struct session *session;
    struct db_call call;
};

static void on_means_stored(struct db_call *c, int error)
{
    struct means *means = container_of(c, struct means, call);
    struct session *s = means->session;
    s->means = NULL;
    free(means);
    session_check_end(s);
}

void hand_out_note_means(struct session *s, const struct message *m)
{
    if (!debian_names_valid(m->means.debian)) {
        session_refuse(s, "the Debian packages of slave %s are no sorted list of names", s->label);
        return;
    }
    if (s->means) {
        session_refuse(s, "MEANS was said again before IDLE");
        return;
    }
    if (s->state == SESSION_WAITING && !ration_take(&s->farm->strangers_means, &strangers_means_limits)) {
        session_refuse(s, "too many slaves that wait to be accepted have told what they have; come back later");
        return;
    }
    char *has = mem_format("%s%s", m->means.debian, s->networks);
    s->means = mem_new(1, sizeof *s->means);
    s->means->session = s;
    db_slave_has(s->farm->db, &s->means->call, s->slave, has, on_means_stored);
    free(has);
}

/* ---- BUILD ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static const struct db_target *target_of(const struct session *s, unsigned id)
{
    for (unsigned i = 0; i < s->known->targets.count; i++) {
        if (s->known->targets.items[i].id == id)
            return &s->known->targets.items[i];
    }
    return NULL;
}

uint64_t hand_out_timeout_ms(const struct session *s, const char *package)
{
    const struct override *o = overrides_find(s->farm->overrides, package);

    return least(o != NULL && o->timeout_ms > 0 ? o->timeout_ms : s->farm->settings.build_timeout_ms, s->timeout_ms);
}

static void add_override(struct msg_build *m, const struct override *o)
{
    m->limits = o->limits;
    m->network = o->network;
    m->variables.count = o->variable_count;
    for (unsigned i = 0; i < o->variable_count; i++)
        m->variables.items[i] = (struct rec_variable){o->variables[i].name, o->variables[i].value};
    m->constraints.count = o->constraint_count;
    for (unsigned i = 0; i < o->constraint_count; i++)
        m->constraints.items[i].line = o->constraints[i];
    m->override = (struct bytes){o->sha256, SHA256_SIZE};
}

void hand_out(struct session *s, struct db_attempt *a)
{
    const struct db_target *t = target_of(s, a->target);
    const struct override *o = overrides_find(s->farm->overrides, a->package);
    struct message m = {.verb = VERB_BUILD, .build = {
        .attempt = (uint64_t)a->attempt, .package = a->package, .version = a->version, .abi = t->abi,
        .platform = t->platform, .sdist = a->sdist,
        .sdist_sha256 = {a->sdist_sha256, a->has_sha256 ? SHA256_SIZE : 0},
        .timeout_ms = hand_out_timeout_ms(s, a->package),
        .uploaded_ms = a->uploaded_ms > 0 ? (uint64_t)a->uploaded_ms : 0}};

    a->handed_out = true;
    a->has_override = o != NULL;
    if (o != NULL) {
        add_override(&m.build, o);
        memcpy(a->override_sha256, o->sha256, SHA256_SIZE);
    }
    attempt_begin(s, a);
    log_info("farm", "%s: builds %s %s for %s (build %lld)%s", s->name, a->package, a->version, t->name,
             (long long)a->attempt, o != NULL ? " with settings of its own" : "");
    session_say(s, &m);
}
