/*
 * What the monitor knows: the master and its slaves as last told, and how their figures went. Free of the
 * terminal and of the connection: feed.c brings the parts, screen.c shows them.
 */
#ifndef MONITOR_MODEL_H
#define MONITOR_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define MODEL_MOST_COUNTED 10000

#define HISTORY_SAMPLES 60
#define MODEL_TARGETS 64

struct history {
    double samples[HISTORY_SAMPLES];   /* a ring */
    unsigned count, next;
};

/* How a machine fares, and fared. */
struct model_machine {
    double load, temperature;          /* degrees Celsius; 0 when unknown */
    double memory_bytes, memory_used_bytes, disk_bytes, disk_used_bytes;
    struct history loads, memories, disks, temperatures; /* memory and disk in parts of the whole */
};

enum model_state {
    STATE_CONNECTING, STATE_WAITING, STATE_BUILDING, STATE_IDLE, STATE_SLEEPING, STATE_LOW, STATE_PAUSING, STATE_PAUSED,
    STATE_STOPPING, STATE_LEAVING, STATE_RUNNING, STATE_LOST, STATE_UNKNOWN, STATE_COUNT
};

enum model_colour { COLOUR_PLAIN, COLOUR_GOOD, COLOUR_QUIET, COLOUR_WARNING, COLOUR_BAD };

struct model_look {
    const char *name;                  /* "building" */
    const char *sign, *ascii_sign;
    enum model_colour colour;
};
extern const struct model_look model_looks[STATE_COUNT];

struct model_slave {
    int64_t number;
    char label[65], targets[128], system[129], hardware[129], address[64], task[256];
    char key[64];          /* its fingerprint; "" without TLS */
    enum model_state state;
    int64_t up_ms, task_ms;
    unsigned builds, jobs; /* now, and at once at most */
    char shortage[201];    /* why it takes no new build; "" */
    char warning[64];      /* why a person should look after it; "" */
    struct model_machine machine;
};

struct model_target {
    char name[64];
    bool skipped;
    int64_t queued, building, parked; /* at most MODEL_MOST_COUNTED: that or more */
    struct history queue;
};

struct model {
    bool connected;
    char trouble[320];                 /* why not, or what the master has trouble with; "" */
    /* the master */
    char version[32];
    bool paused;
    int64_t up_ms, good, failed, farm; /* builds of the last hour */
    double resident_bytes, database_ms, loop_ms;
    char pypi[128];                    /* how following PyPI fares, in a few words; "": not told */
    bool pypi_waits;                   /* because of a trouble */
    struct model_machine machine;
    struct history builds, databases, loops;
    struct model_target targets[MODEL_TARGETS];
    unsigned target_count;
    /* the slaves, by label and number */
    struct model_slave *slaves;
    size_t slave_count;
    int64_t selected;                  /* a slave's number; 0: the master */
    size_t selected_at;                /* its row: 0 is the master's */
    json_t *round;                     /* as far as it has been told */
};

void model_init(struct model *m);
void model_release(struct model *m);

/* Takes a part of a round (the JSON of a DATA). True when the round is complete and the model has changed. */
bool model_feed(struct model *m, const char *json);

/* The connection is gone or was refused. What was known stays to be seen. */
void model_lose(struct model *m, const char *why);

/* Selects the row so many further down; stops at both ends. */
void model_move(struct model *m, long rows);

/* Selects this slave; the master if it is 0 or is not there (any more). */
void model_select(struct model *m, int64_t slave);

/* Selects the next slave whose label has the text, in whatever case, from so many rows below the selected one on and round the
 * list. Is there none, nothing changes. */
void model_find(struct model *m, const char *text, size_t rows);

/* The selected slave, or NULL for the master. */
const struct model_slave *model_selected(const struct model *m);

enum model_state model_master_state(const struct model *m);
unsigned model_building(const struct model *m); /* slaves that have builds */

void history_add(struct history *h, double sample);

/* The latest samples as bars, the newest at the right, exactly `width` columns. `top` is the height of a full bar;
 * 0: the highest sample shown. */
#define GRAPH_SIZE (HISTORY_SAMPLES * 3 + 1)
const char *history_graph(const struct history *h, double top, unsigned width, bool ascii, char text[GRAPH_SIZE]);

/* A span in at most seven columns: "48s", "3m20s", "2h05m", "4d03h". */
#define SPAN_SIZE 32
const char *model_span(int64_t span_ms, char text[SPAN_SIZE]);

/* "12.5G", "640M". */
const char *model_size(double bytes, char text[SPAN_SIZE]);

#endif
