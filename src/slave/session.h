/*
 * The slave's connection to its master: kept up, and answered as table.h says.
 */
#ifndef SLAVE_SESSION_H
#define SLAVE_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "attempts.h"
#include "means.h"
#include "outage.h"
#include "proof.h"
#include "pythons.h"
#include "shortage.h"

struct session {
    /* set by the owner before session_start; outlive it */
    uv_loop_t *loop;
    const char *dir;                   /* where builds happen */
    const char *master;                /* address */
    const char *label, *system, *hardware;
    struct means *means;               /* what the machine has */
    const struct key *key;             /* NULL: no TLS */
    const char *known_masters;         /* the file; with a key */
    const struct pythons *pythons;     /* whose places are filled */
    const struct sandbox *sandbox;
    const struct limits *limits;       /* of each build */
    const struct proof *proof;         /* of the sandbox */
    unsigned jobs;                     /* builds at once */
    struct room wanted;                /* that is to be left free */
    void (*ended)(struct session *s);  /* once, after session_leave or a refusal: nothing is left open */
    /* to read in `ended` */
    bool refused;                      /* the master will never take this slave; the log says why */
    /* private */
    enum session_state state;
    struct wire *wire;                 /* NULL between connections */
    struct attempts attempts;
    unsigned asked;                    /* while asking: how many BUILDs may still come */
    struct shortage shortage;          /* as the last look found it */
    struct outage outage;              /* of the index */
    bool rests;                        /* because of it, as of the last look */
    bool short_told;                   /* our last IDLE said that we take no new builds */
    char *index_url;                   /* that the last ACK told */
    int64_t lease_ms;                  /* that, too */
    char *waits_for;                   /* what the last SLEEP told that a person must do, or NULL */
    uv_timer_t retry, tick;
    uint64_t back_off_ms;
    int64_t asked_ms;                  /* steady time of our last IDLE */
    int64_t quiet_since_ms;            /* steady time of the last sign of life, or question of ours */
    unsigned open_timers;
};

void session_start(struct session *s);

/* Ends all builds, says BYE with this reason; `ended` follows. Harmless when leaving already. */
void session_leave(struct session *s, const char *reason);

/* The next pause before connecting again: doubles from 1 s to 60 s. `chance` is any number: it makes the
 * pause up to a quarter shorter or longer, so that a farm does not come back all at once. */
uint64_t session_pause_ms(uint64_t *back_off_ms, uint32_t chance);

/* Whether an ERROR in answer to HELLO means that the versions differ: it names ours. */
bool session_is_version_refusal(const char *reason);

#endif
