/*
 * The files stage: takes in what a build brings (its log and its wheels), judges every wheel itself,
 * puts the good ones into the served tree and records the build's end in the database.
 *
 * One attempt is one `struct receipt`, from BUILD until its end is recorded. The farm feeds it what
 * arrives; it answers with events. Nothing that a slave said is believed: sizes, hashes, names, tags and
 * contents are read again here.
 */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "db.h"
#include "io/message.h"

struct files;
struct receipt;
struct wire;

struct files_settings {
    const char *output;          /* the served directory; staging is its subdirectory .staging; copied */
    uint64_t max_wheel_bytes;
    uint64_t min_free_bytes;     /* below this much free space nothing is taken in */
    int64_t retry_ms;            /* first pause after a failure of the farm */
    int64_t page_lifetime_ms;    /* how long others may keep a page: a withdrawn file stays for twice as long */
    uint64_t look_ms;            /* how often is looked for what is withdrawn, when nobody tells */
};

struct files_events {
    /* The slave shall send this file from its first byte. */
    void (*want)(void *owner, unsigned file);
    /* The end is in the database: `good` when its files are published. Last event; the receipt is dead. */
    void (*settled)(void *owner, bool good, const char *text);
    /* What was fed has been written: after receipt_chunk or receipt_log returned 1. */
    void (*relieved)(void *owner);
};

/* Makes the directories and checks that they can be written. 0, or -errno with `why`. Blocks: at start only. */
int files_open(uv_loop_t *loop, struct db *db, const struct files_settings *settings,
               void (*published)(void *owner), void *owner, struct files **files, char *why, size_t why_size);

/* Undoes what a crash left half-way (rows in state 'publishing', staging), and then begins to take withdrawn files out.
 * `done` once, with 0 or -errno. */
void files_recover(struct files *f, void (*done)(void *owner, int error), void *owner);
/* Only while that is under way: `done` comes soon, with -ECANCELED. */
void files_recover_cancel(struct files *f);

/* PyPI, or a person, may have withdrawn something: look now. Cheap, may be called often. */
void files_wake(struct files *f);

/* Lets receipts that are recording come to their end, drops the others; then `closed`. */
void files_close(struct files *f, void (*closed)(void *owner), void *owner);

/* Hears that logs come faster than they can be kept (nothing should be fed for a moment), and when that is over. */
void files_on_crowd(struct files *f, void (*crowded)(void *owner, bool crowded), void *owner);

/* Begins to take in an attempt, to be judged by `targets`, which it holds. */
struct receipt *receipt_new(struct files *f, const struct db_attempt *attempt, struct db_target_set *targets,
                            const struct files_events *events, void *owner);

/* A piece of the log: 0; 1: taken, but stop reading until `relieved`; -EPROTO for a gap, -EFBIG for too much. */
int receipt_log(struct receipt *r, uint64_t offset, const struct bytes *data);

/* BUILT: takes over and drives the rest through events. 0, or -EPROTO with `why` when the message itself is
 * a lie that no slave of ours tells (names with '/', a hash of another size, success without files, …). */
int receipt_built(struct receipt *r, const struct msg_built *built, const char *slave, char *why, size_t why_size);

/* A piece of the file last wanted, in order, as `from` has just told it: 0, 1 (see receipt_log), -EPROTO with `why`. */
int receipt_chunk(struct receipt *r, const struct msg_chunk *chunk, struct wire *from, char *why, size_t why_size);

/* The file last wanted is complete; 0 or -EPROTO with `why`. */
int receipt_sent(struct receipt *r, unsigned file, char *why, size_t why_size);

/* The log of an attempt that is being taken in, from `offset` on: 0, or -ENOENT when there is no such attempt or its log is
 * whole and kept. */
struct files_log {
    const char *data;            /* what is in memory, valid until the loop goes on */
    size_t len;                  /* 0: look into the file, if it has more than `offset` bytes; else nothing is new */
    uint64_t on_disk;            /* bytes of the file that may be read */
    const char *path;            /* valid as `data` */
    bool complete;               /* no more will come */
};
int files_log(const struct files *f, int64_t attempt, uint64_t offset, struct files_log *out);

/* Where the log of a build that has ended is kept, gzipped: "…/logs/0000/1601/1502.txt.gz" for build 16011502. */
void files_log_path(const struct files *f, int64_t attempt, char *path, size_t size);

/* Whether an attempt's end is on its way into the database, though its slave may be gone. */
bool files_recording(const struct files *f, int64_t attempt);

/* The slave is gone or the build is stopped: no more events. What is being recorded is still recorded; anything
 * else is forgotten and its bytes removed. */
void receipt_abandon(struct receipt *r);

#endif
