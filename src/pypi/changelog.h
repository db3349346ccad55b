/*
 * The changelog reader: follows PyPI event by event. Two tasks: one asks PyPI and understands what it says, the other
 * stores that, so that the next answer is on its way while the last is stored.
 *
 *     changelog.c          the two tasks
 *     changelog_batch.c    an answer in batches, as they are stored
 *     changelog_state.c    how it fares: troubles, pauses, progress, what people are told
 *     changelog_event.c    what a row means
 *     changelog_xml.c      what PyPI's answer says
 */
#ifndef PYPI_CHANGELOG_H
#define PYPI_CHANGELOG_H

#include <jansson.h>

#include "changelog_event.h"
#include "changelog_xml.h"
#include "core/task.h"
#include "io/http.h"
#include "pypi.h"

/* What is stored by one request. */
struct changelog_batch {
    struct buf rows;             /* as COPY has them, a line each */
    unsigned events;
    int64_t from, to;            /* serials: of the batch before, and of its own last row */
    struct changelog_batch *next;
};

/* What one answer of PyPI brought. */
struct changelog_answer {
    int64_t from;                /* the serial that was asked from */
    struct changelog_batch *first, *last; /* its events, oldest first */
    size_t bytes;
    int64_t to;                  /* the serial that is dealt with when all are stored */
    bool all_read;               /* PyPI had nothing newer */
    bool quiet;                  /* there is so much more to come that pages wait */
};

enum changelog_trouble {
    TROUBLE_NONE, TROUBLE_UNREACHABLE, TROUBLE_SLOW, TROUBLE_BUSY, TROUBLE_STATUS, TROUBLE_FAULT, TROUBLE_MALFORMED,
    TROUBLE_DISORDER, TROUBLE_DATABASE
};

#define CHANGELOG_ODD_ACTIONS 32

/* How it fares. Times are of the steady clock; 0: never. */
struct changelog_state {
    enum changelog_trouble trouble;
    char cause[200];             /* of the trouble, in words */
    unsigned failures;           /* in a row */
    int64_t trouble_since_ms, answered_ms, next_ms;
    int64_t serial, newest;      /* stored; and that PyPI has, as far as it told */
    bool known;                  /* serial and newest are */
    bool all_read;
    uint64_t events, unknown, refused;
    int64_t told_ms, told_serial;
    uint64_t told_events;
    double events_per_s, serials_per_s; /* over the last ten seconds or so */
    char odd_actions[CHANGELOG_ODD_ACTIONS][48]; /* that were logged */
    unsigned odd_action_count;
};

struct changelog {
    /* set by the owner, the rest zeroed */
    struct db *db;
    struct http *http;
    const struct pypi_settings *settings;
    void (*stored)(struct changelog *c, const struct db_applied *applied);
    void (*ended)(struct changelog *c);   /* after changelog_stop */
    /* private */
    struct changelog_state state;
    struct task fetch, keep;
    unsigned tasks;              /* that have not ended */
    /* fetch */
    bool begun;                  /* it is known where to go on */
    bool refused;                /* what was handed over could not be stored: begin again, */
    uint64_t refused_wait_ms;    /* after so long */
    bool failed;                 /* this round */
    uint64_t wait_ms;            /* of the pause at its end */
    int64_t asked_from, at;      /* serials: asked from, and of the answer's newest row */
    int64_t asked_ms;
    struct http_request request;
    bool requesting, calling;    /* request, fetch_call are under way */
    int error;                   /* of whichever was the last */
    struct changelog_xml xml;
    int parse_error;
    bool disorder;               /* serials that do not ascend */
    struct db_call fetch_call;
    struct db_targets targets;
    struct fits fits;
    struct changelog_answer fetched; /* being fetched, or waiting for the keeper */
    bool waits_for_keeper;
    /* keep */
    bool idle;                   /* it waits for an answer */
    bool stored_once;            /* since it is known where to go on */
    bool was_quiet;              /* of what was stored last */
    struct changelog_answer kept;/* being stored */
    struct db_call keep_call;
    int keep_error;
    struct db_applied applied;
};

void changelog_start(struct changelog *c, uv_loop_t *loop);
void changelog_stop(struct changelog *c);

/* How it fares, for the tools: a new reference. */
json_t *changelog_describe(const struct changelog *c);

/* How long to wait after so many failures in a row (1: the first), before jitter. */
uint64_t changelog_back_off_ms(uint64_t first_ms, uint64_t most_ms, unsigned failures);

/* "… Limit may reset in 36 seconds." tells in how many milliseconds; -1 when the text says nothing of it. */
int64_t changelog_reset_ms(const char *fault);

/* ---- changelog_batch.c, for changelog.c ---- */

void changelog_add(struct changelog_answer *a, const struct db_event *e);
void changelog_drop_first(struct changelog_answer *a);
void changelog_drop(struct changelog_answer *a);
/* A copy for db_events_store, which takes it. */
void changelog_copy_rows(const struct changelog_batch *b, struct buf *rows);
/* The first batch, of two events or more, becomes two. */
void changelog_halve(struct changelog_answer *a);
/* The first batch, of one event, becomes empty: only the cursor moves. Tells what it was. */
void changelog_pass_over(struct changelog_answer *a, char *name, size_t size, int64_t *serial);

/* ---- changelog_state.c, for changelog.c ---- */

/* Notes a failure, logs a change of state, and answers how long to pause. `least_ms`: what PyPI itself wants, or -1. */
uint64_t changelog_failed(struct changelog *c, enum changelog_trouble trouble, int64_t least_ms, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void changelog_recovered(struct changelog *c);
/* Logs how far it is, every ten seconds while there is much to read. */
void changelog_progress(struct changelog *c, bool much);
/* Log what cannot be understood or stored: actions once, names as long as they are few. */
void changelog_note_unknown(struct changelog *c, const struct changelog_row *row);
void changelog_note_refused(struct changelog *c, const struct changelog_row *row, const char *why);
void changelog_note_passed(struct changelog *c, const char *name, int64_t serial, const char *why);

#endif
