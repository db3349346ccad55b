/*
 * What the parts of the farm share.
 *
 *   farm.c      the room: listening, the list of sessions, waking, sweeping
 *   session.c   one slave's connection: its state × message table, claiming jobs for it
 *   greeting.c  from HELLO to ACK
 *   attempt.c   one build on a connection: its state × message table
 *   hand_out.c  BUILD, with the package's own settings
 *   trust.c     who is let in: waiting, accepted, revoked
 *   act.c       what a person does to slaves: pause, resume, skip, stop, kill
 *   describe.c  slaves and builds as JSON, for the tools
 *   tell.c      how much the log says of each
 */
#ifndef FARM_SESSION_H
#define FARM_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/ration.h"
#include "core/task.h"
#include "db.h"
#include "farm.h"
#include "files.h"
#include "io/wire.h"
#include "overrides.h"
#include "queue.h"

#define SESSION_MAX_SLOTS 64        /* what a slave may build at once; HELLO takes back as many */
#define SESSION_MANY_FAILURES 20    /* one after the other, and a person should look at the slave rather than the packages */
#define SESSION_MAX_ATTEMPTS 256    /* with those that it spoke of and that nobody knows */
#define SESSION_REASON_SIZE 400

enum session_state {
    SESSION_NEW,        /* connected; HELLO is expected */
    SESSION_GREETING,   /* HELLO is being looked at; the slave waits for ACK */
    SESSION_WAITING,    /* greeted, but no person has accepted its key yet: it gets no work */
    SESSION_READY,      /* at work */
    SESSION_LEAVING,    /* refused, gone or being closed: what still arrives is ignored */
    SESSION_STATES
};

enum attempt_state {
    ATTEMPT_BUILDING,   /* the slave builds */
    ATTEMPT_RECEIVING,  /* BUILT was said; a file is asked for */
    ATTEMPT_RECORDING,  /* it is our turn: the slave waits for SEND or DONE */
    ATTEMPT_STOPPED,    /* STOP was said; what is still on its way is ignored */
    ATTEMPT_STATES
};

struct attempt {
    struct session *session;
    struct attempt *next;
    enum attempt_state state;
    int64_t id;
    unsigned target;
    char *package, *version;      /* "" where it was not we who handed it out */
    int64_t started_ms;           /* wall clock */
    int64_t due_ms;               /* steady clock: no slave that keeps to the time limit takes longer */
    struct receipt *receipt;      /* NULL when stopped */
    bool held;                    /* it has the queue extend its lease; never of what another slave builds */
    uint64_t stopped_at;          /* how many IDLEs had been answered when STOP was said */
    int64_t heard_ms;             /* steady clock */
};

struct farm {
    uv_loop_t *loop;
    struct db *db;
    struct queue *queue;
    struct files *files;
    const struct overrides *overrides;
    struct farm_settings settings;
    char listen[128], index_url[512];
    struct wire_server *server;
    struct session *sessions;
    unsigned sleepers;            /* how many of them are told to wait */
    struct db_target_set *known;  /* as last read; NULL before */
    struct db_targets reading;    /* the answer that just came: thousands greet at once */
    bool resting;                 /* paused by hand: nobody is given a build */
    bool crowded;                 /* no slave is read until the files room has caught up */
    int64_t *resters;             /* slaves paused by hand, by their numbers: they stay so when they come back */
    size_t rester_count;
    struct ration strangers;      /* of lines about those who are not accepted */
    struct ration strangers_means; /* of MEANS of those */
    struct talker *talkers;       /* of lines about each of the others: see tell.c */
    size_t talker_count;
    uint64_t accepted;            /* connections so far */
    uv_timer_t sweep;
    bool closing, sweep_closed;
    void (*closed)(void *owner);
    void *closed_owner;
};

struct session {
    struct farm *farm;
    struct session *prev, *next;
    struct wire *wire;            /* NULL once closed */
    enum session_state state;
    char name[96];                /* "slave 12 (pi4-a)", or "slave at 127.0.0.1:5555" */
    char label[65], system[129], hardware[129], sandbox[17];
    int64_t slave;                /* its number, 0 until known */
    enum db_trust trust;          /* whether it is let in */
    uint64_t offered;             /* mask of what it can build for */
    uint64_t targets;             /* and was accepted for */
    struct db_target_set *known;  /* as of HELLO; NULL before */
    uint64_t timeout_ms;
    unsigned jobs;                /* how many builds it says it runs at once */
    uint64_t memory_bytes;        /* that each of them may hold; 0: its machine's */
    char shortage[201];           /* why it takes no new build, as its last IDLE told; "" */
    unsigned failures;            /* builds that failed, one after the other, up to the last */
    char networks[64];            /* what its builds may reach, as words: see slave_seen in schema/functions.sql */
    struct rec_machine machine;   /* as last told */
    uint64_t serial;              /* which connection of the farm's: later ones have higher numbers */
    int64_t connected_ms, heard_ms;
    int64_t free_ms;              /* since when it has had no build; steady clock */
    bool sleeping;                /* SLEEP was said, and WAKE not since */
    bool told;                    /* its means are noted in the database */
    bool stopping;                /* told by hand to end: DIE follows its last build */
    unsigned claims;              /* in flight */
    uint64_t answers;             /* IDLEs that have had all their answers */
    bool unserved;                /* one of them found nothing: SLEEP follows */
    bool paused;                  /* reading is stopped until the disk catches up */
    struct attempt *attempts;

    struct greeting *greeting;    /* while that is under way, else NULL */
    struct means *means;          /* while they are stored, else NULL */
};

/* farm.c */
void farm_forget_session(struct session *s);
void farm_wake_some(struct farm *f, uint64_t targets, unsigned count);
struct session *farm_session_like(const struct farm *f, const struct session *s); /* another of its name and key */
bool farm_knows_attempt(const struct farm *f, int64_t attempt);

/* session.c */
extern const struct wire_events session_wire_events;
void session_accept(struct farm *f, struct wire *w);
void session_say(struct session *s, const struct message *m);
void session_set_sleeping(struct session *s, bool sleeping);
void session_refuse(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_end(struct session *s, const char *reason);
/* Stops reading, or goes on, as its own builds and the farm's crowd want it. */
void session_read(struct session *s);
/* Frees it once nothing is under way for it. */
void session_check_end(struct session *s);
/* The attempt is recorded as a failure of the farm and its job goes back to the queue, with back-off. */
void session_give_back(struct session *s, const struct attempt *a, const char *reason, const char *detail);
/* The same for all that are not being recorded yet. */
void session_give_back_all(struct session *s, const char *reason, const char *detail);
/* Sends DIE if it was told to stop and builds nothing any more. */
void session_check_stop(struct session *s);

/* greeting.c */
void greeting_hello(struct session *s, const struct message *m); /* HELLO: refuses it, or greets */
void greeting_cancel(struct session *s);                         /* if it is under way: session_check_end follows */

/* hand_out.c */
bool hand_out_networks_right(const struct msg_hello *h);
void hand_out_read_networks(const struct msg_hello *h, char *words, size_t size);
void hand_out_note_means(struct session *s, const struct message *m);
/* The time limit of a build of the package by this slave. */
uint64_t hand_out_timeout_ms(const struct session *s, const char *package);
/* The claimed attempt begins: says BUILD. */
void hand_out(struct session *s, struct db_attempt *a);

/* trust.c */
/* Takes `standing` in: whether it may work, and for what. False when it is refused, with `why`. */
bool trust_judge(struct session *s, const struct db_standing *standing, char *why, size_t size);
/* It may have to wait for a person: why it gets no work, in words; "" when there is just none. */
void trust_explain(const struct session *s, char *why, size_t size);
/* Greeted: waiting or ready. */
bool session_is_in(const struct session *s);

/* Stops what it builds for targets that it is not accepted for, and gives that back. */
void trust_keep_to_targets(struct session *s);

/* tell.c */
bool session_may_tell(struct session *s); /* whether the log may have another line that it causes */

/* act.c */
bool session_resting(const struct session *s);  /* paused by hand, itself or with all others, or stopping */

/* attempt.c */
struct attempt *attempt_find(const struct session *s, int64_t id);
void attempt_begin(struct session *s, const struct db_attempt *facts);   /* takes it in; says nothing */
void attempt_message(struct session *s, const struct message *m);        /* BUSY, OUTPUT, BUILT, CHUNK, SENT */
void attempt_stop(struct session *s, int64_t id, const char *reason);    /* says STOP; makes an entry if there is none */
void attempt_forget_stopped(struct session *s);
void attempts_end_overdue(struct session *s);                            /* gives back what goes on long after its time limit */
unsigned attempts_count(const struct session *s);
unsigned attempts_alive(const struct session *s);                        /* without those that are stopped */
void attempts_abandon(struct session *s);                                /* the connection is gone */
const char *attempt_state_name(enum attempt_state state);

#endif
