/*
 * What the slave does with each message of the master, in each state: two tables, the connection's and the
 * attempt's, with an answer for every message in every state.
 *
 *     connection                                    attempt
 *
 *     away ──connected, HELLO──▶ greeting           BUILD ──▶ building ──▶ built ◀──▶ sending
 *      ▲                            │ ACK                        │           │            │
 *      │ closed          ┌─ IDLE ───┴─ an attempt ─┐             └── STOP, DONE ──────────┘
 *      │                 ▼             is held     ▼                         ▼
 *      ├────────────── asking ─────BUILD─────▶ working                    ending ──▶ gone
 *      │              │  ▲                        │
 *      │        SLEEP ▼  │ WAKE, a minute         │ attempt gone, IDLE: asking
 *      ├───────────── sleeping                    │
 *      └──────────────────────────────────────────┘          leaving: from any, by DIE or a signal
 */
#ifndef SLAVE_TABLE_H
#define SLAVE_TABLE_H

#include "io/message.h"

enum session_state {
    SESSION_AWAY,      /* no connection, or not yet */
    SESSION_GREETING,  /* HELLO is sent */
    SESSION_ASKING,    /* IDLE is sent */
    SESSION_SLEEPING,
    SESSION_WORKING,   /* on an attempt */
    SESSION_LEAVING,   /* BYE is sent */
    SESSION_STATE_COUNT
};

enum attempt_state {
    ATTEMPT_UNKNOWN,   /* the message names one that is not, or no longer, ours */
    ATTEMPT_BUILDING,
    ATTEMPT_BUILT,     /* BUILT is sent or about to be */
    ATTEMPT_SENDING,   /* a file */
    ATTEMPT_ENDING,    /* its processes and files are being removed */
    ATTEMPT_STATE_COUNT
};

enum deed {
    DEED_REFUSE,       /* close the connection and say why */
    DEED_IGNORE,       /* crossed with something of ours, or needs no answer */
    DEED_WELCOME,      /* go on with the attempt that is held, or ask for work */
    DEED_BUILD,
    DEED_SLEEP,
    DEED_ASK,
    DEED_ATTEMPT,      /* what the attempt's table says */
    DEED_SEND_FILE,
    DEED_FORGET,       /* end the attempt and remove its files */
    DEED_LEAVE,
    DEED_GIVE_UP,      /* the master refused us: log it; it closes */
};

enum deed table_session(enum session_state state, enum verb verb);
enum deed table_attempt(enum attempt_state state, enum verb verb);

const char *table_session_name(enum session_state state); /* "asking" */
const char *table_attempt_name(enum attempt_state state);

#endif
