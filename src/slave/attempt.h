/*
 * An attempt: a build and what is told to the master about it, over one connection or several. It lives from
 * BUILD until the master says DONE or STOP, or the slave leaves; until then nothing of it is lost with a
 * connection.
 */
#ifndef SLAVE_ATTEMPT_H
#define SLAVE_ATTEMPT_H

#include <uv.h>

#include "build.h"
#include "io/wire.h"
#include "table.h"
#include "upload.h"

struct attempt {
    struct attempt *next;       /* attempts.c's */
    uint64_t id;
    enum attempt_state state;
    uv_loop_t *loop;
    const char *slave_dir;
    const struct rec_environment *environment;
    struct build build;
    struct upload upload;
    struct wire *wire;          /* NULL while there is none that knows of the attempt */
    int64_t lease_ms;           /* that its master gives it */
    size_t log_sent;            /* how much of the log has gone over this connection */
    bool told;                  /* BUILT has gone over this connection */
    bool file_wanted;           /* SEND came; its file is upload's as soon as the last one has ended */
    unsigned wanted;
    int64_t busy_ms;            /* steady time of the last BUSY */
    bool removing;              /* its files, whatever comes behind it */
    struct lane_work work;
    void (*gone)(struct attempt *a, void *owner); /* nothing is left of it; the struct is freed behind it */
    void *owner;
};

struct attempt_place {          /* outlives the attempt */
    uv_loop_t *loop;
    struct build_place build;
    const struct rec_environment *environment; /* what builds are made with, but for their limits; outlives the attempt */
};

/* Begins to build; nothing is said to anybody before attempt_connected. */
struct attempt *attempt_start(const struct attempt_place *place, const struct msg_build *m,
                              const char *index_url, void (*gone)(struct attempt *a, void *owner), void *owner);

/* The master has acknowledged us on `w`, and waits so long for a word: says all about the attempt from the start. */
void attempt_connected(struct attempt *a, struct wire *w, int64_t lease_ms);
void attempt_disconnected(struct attempt *a);
void attempt_drained(struct attempt *a);

/* Once a second: BUSY and OUTPUT. */
void attempt_tick(struct attempt *a);

/* SEND. False when there is no such file. */
bool attempt_send_file(struct attempt *a, unsigned file);

/* Ends the build as a failure of the farm, of this class, and removes its files; then it is told to the master as any
 * other. Only while it builds. */
void attempt_give_up(struct attempt *a, const char *reason, const char *detail);
bool attempt_given_up(const struct attempt *a);   /* that, and its files are still there */

/* Ends it, with every process and file; `gone` follows. Harmless on one that ends. */
void attempt_end(struct attempt *a);

#endif
