/*
 * The tables themselves. session.c looks up every message here before it does anything.
 */
#include "table.h"

#define REFUSE DEED_REFUSE
#define IGNORE DEED_IGNORE

/* Verbs without a row are not the master's to say to a slave: refused. WAKE crosses with an IDLE of ours that
 * was sent because the minute was over; CONT and STOP cross with the end of what they are about. */
static const enum deed session[VERB_COUNT][SESSION_STATE_COUNT] = {
    /*               away    greeting       asking        sleeping      working       leaving */
    [VERB_ACK]    = {REFUSE, DEED_WELCOME,  REFUSE,       REFUSE,       REFUSE,       IGNORE},
    [VERB_BUILD]  = {REFUSE, REFUSE,        DEED_BUILD,   REFUSE,       REFUSE,       IGNORE},
    [VERB_SLEEP]  = {REFUSE, REFUSE,        DEED_SLEEP,   REFUSE,       REFUSE,       IGNORE},
    [VERB_WAKE]   = {REFUSE, REFUSE,        IGNORE,       DEED_ASK,     IGNORE,       IGNORE},
    [VERB_CONT]   = {REFUSE, REFUSE,        DEED_ATTEMPT, DEED_ATTEMPT, DEED_ATTEMPT, IGNORE},
    [VERB_SEND]   = {REFUSE, REFUSE,        DEED_ATTEMPT, DEED_ATTEMPT, DEED_ATTEMPT, IGNORE},
    [VERB_DONE]   = {REFUSE, REFUSE,        DEED_ATTEMPT, DEED_ATTEMPT, DEED_ATTEMPT, IGNORE},
    [VERB_STOP]   = {REFUSE, REFUSE,        DEED_ATTEMPT, DEED_ATTEMPT, DEED_ATTEMPT, IGNORE},
    [VERB_DIE]    = {REFUSE, DEED_LEAVE,    DEED_LEAVE,   DEED_LEAVE,   DEED_LEAVE,   IGNORE},
    [VERB_ERROR]  = {REFUSE, DEED_GIVE_UP,  DEED_GIVE_UP, DEED_GIVE_UP, DEED_GIVE_UP, IGNORE},
};

static const enum deed attempt[VERB_COUNT][ATTEMPT_STATE_COUNT] = {
    /*               unknown  building      built           sending       ending */
    [VERB_CONT]   = {IGNORE,  IGNORE,       IGNORE,         IGNORE,       IGNORE},
    [VERB_SEND]   = {REFUSE,  REFUSE,       DEED_SEND_FILE, REFUSE,       REFUSE},
    [VERB_DONE]   = {REFUSE,  REFUSE,       DEED_FORGET,    DEED_FORGET,  REFUSE},
    [VERB_STOP]   = {IGNORE,  DEED_FORGET,  DEED_FORGET,    DEED_FORGET,  IGNORE},
};

enum deed table_session(enum session_state state, enum verb verb)
{
    return session[verb][state];
}

enum deed table_attempt(enum attempt_state state, enum verb verb)
{
    return attempt[verb][state];
}

const char *table_session_name(enum session_state state)
{
    static const char *const names[] = {"away", "greeting", "asking", "sleeping", "working", "leaving"};
    return names[state];
}

const char *table_attempt_name(enum attempt_state state)
{
    static const char *const names[] = {"unknown", "building", "built", "sending", "ending"};
    return names[state];
}
