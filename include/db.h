/*
 * The database: every SQL call of the program, one C function each. SQL itself lives in schema/.
 *
 * `struct db` holds three connections (DESIGN: fast is pipelined and serves the farm, bulk takes long
 * statements of pypi, pages serves the page writers) that reconnect by themselves. A call is embedded in
 * its owner and gets exactly one completion, never from inside the function that started it. While
 * the database is away calls wait; every one is idempotent and simply repeated. Results are decoded
 * into the `out` that the owner gave, which it frees with the matching _release where there is one.
 */
#ifndef DB_H
#define DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"
#include "core/hash.h"
#include "io/pg.h"

#define DB_MAX_TARGETS 64

struct db;

struct db_call {
    /* error: 0; -EREMOTEIO with `message` (the server's words) and `sqlstate`; -ECANCELED */
    void (*done)(struct db_call *c, int error);
    char message[256];
    char sqlstate[6];
    /* private */
    struct pg_request request;
    void (*decode)(struct db_call *c, const struct pg_result *result);
    void *out;
    struct db_batch *batch; /* of a call that waits for others, or is under way with them */
    void *arguments;        /* in a batch */
    struct db_call *next;   /* in a batch */
};

/* Opens the connections. `on_change` (may be NULL) hears when the database goes away or cannot be had (ready
 * false, `why`) and when it is there or back, all three connections counted as one. Never from inside db_open
 * or db_close. */
struct db *db_open(uv_loop_t *loop, const char *dsn,
                   void (*on_change)(void *owner, bool ready, const char *why), void *owner);
/* As db_open, for a tool that asks one thing after the other: one connection does for all. */
struct db *db_open_as_tool(uv_loop_t *loop, const char *dsn,
                           void (*on_change)(void *owner, bool ready, const char *why), void *owner);
/* As db_open, for the one master that a database has. It must be alone: before anything else, and again whenever that
 * connection is a new one, `fast` takes a lock that the server keeps for it. db_taken: another master has it, for
 * some seconds already; db_why tells which. */
struct db *db_open_as_master(uv_loop_t *loop, const char *dsn,
                             void (*on_change)(void *owner, bool ready, const char *why), void *owner);
bool db_taken(const struct db *db);
/* Calls still under way complete with -ECANCELED before `closed` (may be NULL). */
void db_close(struct db *db, void (*closed)(void *owner), void *owner);
bool db_ready(const struct db *db);
/* The server refuses for a reason that waiting will not mend; `db_why` tells. */
bool db_hopeless(const struct db *db);
const char *db_why(const struct db *db);

void db_cancel(struct db_call *c);

/* ---- configuration ---- */

struct db_configuration {
    char version[32];  /* "" when the database has no schema of ours */
    int level;
    char database[64]; /* its name; "" when there is no schema */
};
/* Never an error where only the schema is missing. */
void db_configuration(struct db *db, struct db_call *c, struct db_configuration *out,
                      void (*done)(struct db_call *c, int error));
#define DB_LEVEL 9 /* of the schema that this program needs */

/* Whether the database is of a later piwheels than this one. */
bool db_configuration_newer(const struct db_configuration *found);
/* Whether this program can work with the database: 0, or -EPROTO with `why`, which says what to do. */
int db_configuration_check(const struct db_configuration *found, char *why, size_t why_size);

/* What the master wants: whether versions are built of which PyPI itself has wheels that fit, and how long an upload
 * must have settled; and how long events are kept (0: not at all). */
void db_policy(struct db *db, struct db_call *c, bool build_all, int64_t settle_ms, int64_t event_retention_ms,
               void (*done)(struct db_call *c, int error));

/* ---- targets ---- */

struct db_target {
    unsigned id;         /* the bit in masks */
    char name[64], abi[32], platform[65], label[128];
    bool skipped;
    char skip[256];
    unsigned glibc_major, glibc_minor; /* of the distribution; 0: unknown, or another libc */
    bool judging;        /* nothing is built for it yet */
};
struct db_targets {
    char digest[33];     /* of what files are judged by, to be compared (targets_digest) */
    unsigned count;      /* in the targets' order */
    struct db_target items[DB_MAX_TARGETS];
};
void db_targets(struct db *db, struct db_call *c, struct db_targets *out,
                void (*done)(struct db_call *c, int error));

/* An unchanging copy of the targets that many owners share: a session and its attempts judge by the same. */
struct db_target_set {
    unsigned holders;
    struct db_targets targets;
};
/* The set itself when `old` (may be NULL) has just these targets, else a new one; held once more either way. */
struct db_target_set *db_target_set_of(struct db_target_set *old, const struct db_targets *targets);
struct db_target_set *db_target_set_hold(struct db_target_set *set);
void db_target_set_release(struct db_target_set *set); /* NULL is fine; the last one frees it */

/* Whether a target of this name has a place of its own in the tree: it must not be one of the tree's. */
bool db_target_has_place(const char *name);

/* `label`, `glibc`: of the distribution, as "Debian 12", "2.36"; NULL: unknown, or as it is where the target is there already.
 * `id`: of the target. */
void db_target_add(struct db *db, struct db_call *c, const char *name, const char *abi, const char *platform,
                   const char *label, const char *glibc, unsigned *id, void (*done)(struct db_call *c, int error));

/* A target that was added to a database with versions is built for only when it has been judged (judging above): every set
 * of wheel tags, of PyPI's and of our own files, and every Requires-Python, must be held against it by whoever added it. */
struct db_words {
    unsigned count;
    struct db_word { int64_t id; char *text; } *items;
};
void db_tagsets(struct db *db, struct db_call *c, struct db_words *out, void (*done)(struct db_call *c, int error));
void db_requires_python(struct db *db, struct db_call *c, struct db_words *out,
                        void (*done)(struct db_call *c, int error));
void db_file_tags(struct db *db, struct db_call *c, struct db_words *out, void (*done)(struct db_call *c, int error));
void db_words_release(struct db_words *out);
/* Notes which sets of tags the target can load. */
void db_tagsets_judge(struct db *db, struct db_call *c, unsigned target, const int64_t *fits, size_t count,
                      void (*done)(struct db_call *c, int error));
/* What there is to a target: texts that the caller keeps. */
struct db_judgement {
    const char **excluded;    /* every Requires-Python that excludes it */
    size_t excluded_count;
    const char **loads;       /* of the tags of our own files those that its Python takes */
    size_t load_count;
};
/* Holds some packages' versions and files against the target, from the package *next on; *next is then where to go on, or
 * -1. */
void db_target_judge(struct db *db, struct db_call *c, unsigned target, const struct db_judgement *judgement, int64_t *next,
                     void (*done)(struct db_call *c, int error));
/* It is judged: makes its jobs, package by package in the same way. */
void db_target_judged(struct db *db, struct db_call *c, unsigned target, int64_t *next,
                      void (*done)(struct db_call *c, int error));

/* `found` tells whether there is such a target; a NULL reason takes it up again. */
void db_target_skip(struct db *db, struct db_call *c, const char *name, const char *reason, bool *found,
                    void (*done)(struct db_call *c, int error));

/* Debian packages that every machine of the target has, instead of those named before. The names are copied. */
void db_target_preinstalled(struct db *db, struct db_call *c, const char *name, const char *const *packages,
                            size_t count, bool *found, void (*done)(struct db_call *c, int error));

/* ---- projects ---- */

struct db_asked {             /* what became of what was asked for */
    unsigned count;
    struct db_asked_item {
        char version[256];
        char target[64];
        char state[32];       /* "queued", "built", "binary only", … */
        char reason[256];
    } *items;
};
/* `json` as project_store in schema/functions.sql wants it; `out`: what became of what was asked for. */
void db_project_store(struct db *db, struct db_call *c, const char *json, struct db_asked *out,
                      void (*done)(struct db_call *c, int error));
void db_asked_release(struct db_asked *out);

struct db_ended {             /* attempts under way that are wanted no more */
    unsigned count;
    int64_t *attempts;
};
#define DB_NAMED_RELEASES 3   /* so many are named */
struct db_compared {          /* what a page took back, or gave back: page_outcome in schema/pypi.sql */
    bool behind;              /* it is older than what is known: nothing else is told */
    char turned[16];          /* "quarantined", "cleared" or "" */
    unsigned missed, removed, waiting, doubted;
    char missed_names[256], removed_names[256];
    struct db_ended ended;
};
/* The same for the follower, who asks for nothing. Release out->ended. */
void db_project_compare(struct db *db, struct db_call *c, const char *json, struct db_compared *out,
                        void (*done)(struct db_call *c, int error));
void db_ended_release(struct db_ended *ended);

struct db_project {           /* a followed package that is due */
    char name[256];
    char etag[256];
    int64_t serial;
};
struct db_projects {
    unsigned count;
    struct db_project items[32];
    int64_t next_ms;          /* until the next is due when count is 0; -1: none is followed */
};
void db_projects_due(struct db *db, struct db_call *c, struct db_projects *out,
                     void (*done)(struct db_call *c, int error));
void db_project_later(struct db *db, struct db_call *c, const char *name, int64_t in_ms,
                      void (*done)(struct db_call *c, int error));

/* ---- summaries ---- */

struct db_names {
    unsigned count;
    char names[16][256];
};
/* The packages whose summaries are to be asked for now, at most so many. */
void db_summaries_due(struct db *db, struct db_call *c, unsigned most, struct db_names *out,
                      void (*done)(struct db_call *c, int error));
/* summary "": there is none; display "": as it is. */
void db_summary_store(struct db *db, struct db_call *c, const char *name, const char *summary, const char *display,
                      void (*done)(struct db_call *c, int error));
/* It could not be had. */
void db_summary_later(struct db *db, struct db_call *c, const char *name, int64_t in_ms,
                      void (*done)(struct db_call *c, int error));

/* ---- PyPI's events ---- */

struct db_event {             /* a row of the changelog, understood */
    int64_t serial, happened; /* happened: Unix seconds */
    char kind;                /* see event_staging in schema/tables.sql */
    const char *name;         /* normalised */
    const char *display;      /* as PyPI spells it */
    const char *version;      /* normalised; NULL: the event is of the project. With it: */
    const void *sort_key;
    size_t sort_key_len;
    bool prerelease;
    bool legacy;              /* is no version by PEP 440 */
    const char *file;         /* that came or went, or NULL */
    const char *tags;         /* of a wheel, or NULL; with it: */
    uint64_t fits;            /* the targets whose Python may load it */
};
/* Appends the event as a row for db_events_store. The texts must be clean: no control characters. -ENOBUFS, or 0. */
int db_event_add(struct buf *rows, const struct db_event *e);

struct db_events {            /* what is said of a batch of them */
    int64_t from, to;         /* serials: where the changelog was asked from, and the last that is dealt with */
    bool follow_all;          /* packages that nobody asked for, too */
    bool quiet;               /* there is so much that people's pages wait for the first batch that is not */
};
struct db_applied {
    int64_t applied;          /* events that were new */
    struct db_ended ended;
    bool jobs;                /* there may be more to build */
};
/* Takes `rows` (db_event_add) and moves the cursor to events->to, in one transaction. Events up to the cursor are
 * passed over: a repetition changes nothing. Release out->ended. */
void db_events_store(struct db *db, struct db_call *c, struct buf *rows, const struct db_events *events,
                     struct db_applied *out, void (*done)(struct db_call *c, int error));

/* PyPI has no such project any more: everything of it goes. Release `out`. */
void db_project_gone(struct db *db, struct db_call *c, const char *name, struct db_ended *out,
                     void (*done)(struct db_call *c, int error));

/* The serial to go on from. `mode`: "all" or "listed"; `newest`: PyPI's newest serial. */
void db_follow_begin(struct db *db, struct db_call *c, const char *mode, int64_t newest, int64_t *serial,
                     void (*done)(struct db_call *c, int error));

/* ---- the sweep ---- */

/* Appends a project of PyPI's list as a row for db_sweep_store; `name` is normalised. -ENOBUFS, or 0. */
int db_sweep_add(struct buf *rows, const char *name, int64_t serial);
/* Forgets what an earlier sweep left. */
void db_sweep_begin(struct db *db, struct db_call *c, void (*done)(struct db_call *c, int error));
/* Takes a piece of the list. */
void db_sweep_store(struct db *db, struct db_call *c, struct buf *rows, void (*done)(struct db_call *c, int error));
/* The list is whole: schedules the comparison of those that differ, over the period. `differ`: how many do. */
void db_sweep_apply(struct db *db, struct db_call *c, int64_t period_ms, int64_t *differ,
                    void (*done)(struct db_call *c, int error));

/* ---- slaves, leases ---- */

/* How a slave stands with us. */
enum db_trust {
    DB_WAITING,               /* for a person to accept its key */
    DB_ACCEPTED,
    DB_REVOKED,
    DB_OTHER_KEY,             /* one of this name is known by another key */
    DB_CROWDED                /* too many wait already; this one is not kept */
};
struct db_standing {
    int64_t slave;            /* its number; 0: not kept */
    enum db_trust trust;
    uint64_t targets;         /* mask of what it was accepted for */
    char label[65];
    char fingerprint[64];     /* of its key */
    char names[1024];         /* of the targets: "bookworm, trixie" */
};

/* A slave has said HELLO: it is kept, and how it stands is told. `fingerprint` "": it came without TLS, and is taken at
 * its word. `offers`: mask of targets. `has`: what overrides may want of it, a word a line. */
void db_slave_seen(struct db *db, struct db_call *c, const char *label, const char *system, const char *hardware,
                   const char *fingerprint, uint64_t offers, const char *has, struct db_standing *out,
                   void (*done)(struct db_call *c, int error));

/* The same words, of a slave that is known. */
void db_slave_has(struct db *db, struct db_call *c, int64_t slave, const char *has, void (*done)(struct db_call *c, int error));

/* The packages that have settings of their own, all there are: for each what its builds want of a slave, a word a line, and
 * the settings' SHA-256 in hexadecimal ("": they cannot be read). `again`: how many versions are tried again, for they failed
 * with other settings. */
void db_overrides_store(struct db *db, struct db_call *c, const char *const *packages, const char *const *wants,
                        const char *const *settings, size_t count, int64_t *again,
                        void (*done)(struct db_call *c, int error));

/* A person accepts the slave of this name for these targets (`count` 0: for all that it offered last), or revokes it.
 * -EREMOTEIO: it cannot be done; the call's message says why. */
void db_slave_accept(struct db *db, struct db_call *c, const char *label, const char *const targets[], size_t count,
                     struct db_standing *out, void (*done)(struct db_call *c, int error));
void db_slave_revoke(struct db *db, struct db_call *c, const char *label, struct db_standing *out,
                     void (*done)(struct db_call *c, int error));

/* All slaves that are known, at most DB_MAX_SLAVES, those who wait first; a JSON object each. Release it. */
#define DB_MAX_SLAVES 5000
struct db_slaves {
    unsigned count;
    char **json;
};
void db_slaves(struct db *db, struct db_call *c, struct db_slaves *out, void (*done)(struct db_call *c, int error));
void db_slaves_release(struct db_slaves *slaves);

/* What it can do: `targets` is a mask; 0 bytes or ms: it did not tell. */
struct db_claimant {
    int64_t slave;
    uint64_t targets;
    uint64_t memory_bytes, timeout_ms;
};
/* Noted for builds that want more than other slaves have. */
void db_slave_told(struct db *db, struct db_call *c, const struct db_claimant *slave,
                   void (*done)(struct db_call *c, int error));

struct db_attempt {           /* all zero: none */
    int64_t attempt, version_id;
    unsigned target;
    char package[256], version[256], sdist[256];
    uint8_t sdist_sha256[SHA256_SIZE];
    bool has_sha256;
    int64_t started_ms;       /* wall clock */
    int64_t front;            /* the rank up to which its target's queue has been handed out; 0: it does not tell */
    int64_t uploaded_ms;      /* when the sdist came to PyPI, since 1970; 0: unknown */
    /* set by the farm, not known of those that a slave has come back with */
    bool handed_out, has_override; /* by this very process; with settings of the package's own */
    uint8_t override_sha256[SHA256_SIZE];
};
/* Claims a job that the slave may have; attempt 0 when there is none. Batched: what arrives while
 * a claim is in flight goes together in the next statement. Cancelled in flight it may still take a job,
 * whose lease then runs out: rather wait for it and db_release. */
void db_claim(struct db *db, struct db_call *c, const struct db_claimant *slave, int64_t lease_ms,
              struct db_attempt *out, void (*done)(struct db_call *c, int error));
/* Claims look for jobs behind the last one that was claimed of each target: what has come before it meanwhile is seen
 * after this. */
void db_claims_look_again(struct db *db);
/* Attempt 0 when the job is not the slave's under this attempt any more. */
void db_adopt(struct db *db, struct db_call *c, int64_t attempt, int64_t slave, int64_t lease_ms,
              struct db_attempt *out, void (*done)(struct db_call *c, int error));
/* Jobs whose time has come become ready; then the targets (as a mask) for which a job could be claimed. */
void db_ready_targets(struct db *db, struct db_call *c, uint64_t *targets,
                      void (*done)(struct db_call *c, int error));
/* Gives a claimed job back unbuilt and unrecorded: its slave left before it heard of it. */
void db_release(struct db *db, struct db_call *c, int64_t attempt,
                void (*done)(struct db_call *c, int error));
void db_leases_extend(struct db *db, struct db_call *c, const int64_t *attempts, size_t count,
                      int64_t lease_ms, void (*done)(struct db_call *c, int error));

struct db_expired {
    unsigned count;
    int64_t attempts[1000];
};
void db_leases_expire(struct db *db, struct db_call *c, int64_t retry_ms, struct db_expired *out,
                      void (*done)(struct db_call *c, int error));
/* Those of the attempts, at most 1000, that are under way no more: given to others, or not wanted. */
void db_attempts_gone(struct db *db, struct db_call *c, const int64_t *attempts, size_t count, struct db_expired *out,
                      void (*done)(struct db_call *c, int error));

/* ---- ends of attempts, files ---- */

struct db_build_end {
    int64_t attempt;
    const char *outcome;      /* "success", "failed", "farm" */
    const char *reason;       /* class */
    const char *detail;
    uint64_t wall_ms, cpu_ms, peak_bytes, log_bytes;
    const char *record;       /* what it was made with, as JSON (build_record in schema/functions.sql), or NULL */
};
/* For "failed" and "farm". Batched like db_claim. `recorded` is false when the attempt is no longer the
 * job's. The strings are cleaned, cut to what can be stored, and copied. */
void db_build_end(struct db *db, struct db_call *c, const struct db_build_end *end, int64_t retry_ms,
                  bool *recorded, void (*done)(struct db_call *c, int error));

#define DB_FILES_MAX 32       /* of a build */
enum db_verdict { DB_FILE_NEW, DB_FILE_BACK, DB_FILE_LEAVING, DB_FILE_SAME, DB_FILE_OTHER, DB_FILE_AGAIN,
                  DB_FILE_APART, DB_FILE_JUDGE }; /* see files_begin */
struct db_verdicts {
    unsigned count;           /* 0: the attempt is no longer the job's */
    enum db_verdict items[DB_FILES_MAX];
    unsigned tags[DB_FILES_MAX];      /* with DB_FILE_AGAIN: the build tag that its name may have */
};
/* `targets`: the digest of those that the files were judged by; `json` as files_begin in schema/functions.sql wants it.
 * Batched, as is db_build_publish. */
void db_files_begin(struct db *db, struct db_call *c, int64_t attempt, const char *targets, const char *json,
                    struct db_verdicts *out, void (*done)(struct db_call *c, int error));
void db_build_publish(struct db *db, struct db_call *c, const struct db_build_end *end, uint64_t serves,
                      bool *recorded, void (*done)(struct db_call *c, int error));
void db_files_forget(struct db *db, struct db_call *c, int64_t attempt,
                     void (*done)(struct db_call *c, int error));

struct db_publishing {        /* files that a crash left half-way */
    unsigned count;
    /* back: it had been withdrawn; its bytes leave when their time has come */
    struct { int64_t attempt; char path[768]; bool back; } *items;
};
void db_publishing(struct db *db, struct db_call *c, struct db_publishing *out,
                   void (*done)(struct db_call *c, int error));
void db_publishing_release(struct db_publishing *out);

/* ---- what is public ---- */

#define DB_PUBLIC_FILES_MAX 100
struct db_public_files {
    unsigned count;
    struct db_public_file {
        int64_t id, size_bytes;
        char package[256], version[256], path[768];
        char sha256[65], metadata_sha256[65];
    } items[DB_PUBLIC_FILES_MAX];
};
/* The first of those whose id is above `after`, by id. */
void db_public_files(struct db *db, struct db_call *c, int64_t after, struct db_public_files *out,
                     void (*done)(struct db_call *c, int error));

/* ---- withdrawing ---- */

#define DB_MOVES_MAX 100
struct db_moves {             /* files that PyPI has quarantined or cleared */
    unsigned count;
    struct db_move { int64_t file; char path[768]; bool back; } items[DB_MOVES_MAX]; /* back: into the tree */
};
/* The first of those whose id is above `after`, by id. */
void db_moves(struct db *db, struct db_call *c, int64_t after, struct db_moves *out,
              void (*done)(struct db_call *c, int error));
/* The files are out of the tree. */
void db_files_hidden(struct db *db, struct db_call *c, const int64_t *files, size_t count,
                     void (*done)(struct db_call *c, int error));
/* They are in it again and become public; `count_out`: how many. */
void db_files_returned(struct db *db, struct db_call *c, const int64_t *files, size_t count, int64_t *count_out,
                       void (*done)(struct db_call *c, int error));

#define DB_LEAVING_MAX 100
struct db_leaving {           /* withdrawn files whose time has come */
    unsigned count;
    char paths[DB_LEAVING_MAX][768];
    int64_t again_ms;         /* when the next may leave; -1: none is withdrawn */
    char after_at[64], after[768]; /* the last of them, if more may follow it, to go on from; else both are empty */
};
/* `wait_ms`: how long a file stays when the last index that named it is gone. `all`: at the beginning of a round, also of those
 * it is asked whose index was still to be written. `out`: what the last call answered, or zeros. */
void db_files_leaving(struct db *db, struct db_call *c, int64_t wait_ms, bool all, struct db_leaving *out,
                      void (*done)(struct db_call *c, int error));
/* The bytes of these have left. */
void db_files_gone(struct db *db, struct db_call *c, const char *const *paths, size_t count,
                   void (*done)(struct db_call *c, int error));

/* ---- pages ---- */

struct db_stale {
    unsigned count;
    bool full;                /* there may be more */
    struct { char kind[16]; char key[256]; int64_t generation; } items[64];
};
/* The oldest stale pages. */
void db_stale(struct db *db, struct db_call *c, struct db_stale *out,
              void (*done)(struct db_call *c, int error));
void db_page_written(struct db *db, struct db_call *c, const char *kind, const char *key, int64_t generation,
                     void (*done)(struct db_call *c, int error));

struct db_index_file {
    char *name, *version, *requires_python, *yanked_reason;
    bool yanked;
    uint64_t size_bytes;
    char sha256[SHA256_HEX_SIZE], metadata_sha256[SHA256_HEX_SIZE];
    char uploaded[32];        /* "2026-01-31T14:05:09.123456Z" */
    char *place;              /* where it lies: "simple", or "TARGET/wheels" */
    char *home;               /* the target that it is apart for; "": it is in the index of all */
    char *seen_by;            /* the targets whose indexes name it then, each ended by a newline */
};
struct db_index {             /* a package's page: its live files in order of version, then name */
    char *display;
    unsigned count;
    struct db_index_file *files;
    unsigned alias_count;
    char **aliases;           /* other spellings */
};
void db_index(struct db *db, struct db_call *c, const char *package, struct db_index *out,
              void (*done)(struct db_call *c, int error));
void db_index_release(struct db_index *out);

struct db_root {              /* every package with a live file, in order of name */
    unsigned count;
    struct db_root_item {
        char *name, *display;
        bool shared;          /* it has a file in the index of all */
        char *seen_by;        /* the targets in whose indexes it has others, each ended by a newline */
    } *items;
};
void db_root(struct db *db, struct db_call *c, struct db_root *out,
             void (*done)(struct db_call *c, int error));
void db_root_release(struct db_root *out);

/* What the page for people tells of a package. Lists are in the order in which they are shown. */
struct db_project_target {
    char *name, *abi, *platform, *label;
};
struct db_project_state {     /* of a release on a target, as version_state in schema/functions.sql has it */
    char *state, *reason;
};
struct db_project_file {
    char *name, *requires_python;
    char *apt, *pip;          /* what it needs at run time: names, each ended by a newline */
    uint64_t size_bytes;
    char sha256[SHA256_HEX_SIZE];
    char glibc[16], glibcxx[16]; /* least versions that it needs: "2.34", or "" */
    bool was_native;          /* it has no compiled code, though earlier files of the package had */
    bool armv6;               /* its code is for Arm, and an ARMv6 can run it */
    unsigned target;          /* that it was built on: its place in the list */
    bool apart;               /* only that target's index names it, and those of its distribution */
    char *place;              /* where it lies: "simple", or "TARGET/wheels" */
};
struct db_project_build {     /* the newest on each target, and failed ones */
    int64_t id;
    unsigned target;
    char outcome[16];
    bool logged;              /* there is a log of it */
    char *record;             /* build_record() as JSON */
};
struct db_release {
    char *version, *yanked_reason, *requires_python;
    char *skip;               /* why a person does not want it built for any target; "" when somebody does */
    char released[20];        /* "2026-01-31 14:05:09", or "" */
    bool prerelease, yanked;
    struct db_project_state *states; /* one a target */
    unsigned file_count, build_count;
    struct db_project_file *files;
    struct db_project_build *builds; /* by target, the newest first */
};
struct db_project_page {
    char *display;            /* NULL: there is no such package */
    char *summary;
    char *status;             /* as PyPI's page told it last, see package.status in schema/tables.sql; "" */
    unsigned target_count, release_count, alias_count;
    struct db_project_target *targets;
    struct db_release *releases; /* the newest first */
    char **aliases;
    /* what the lists above point into */
    struct db_project_state *states;
    struct db_project_file *files;
    struct db_project_build *builds;
    unsigned file_count, build_count;
};
void db_project_page(struct db *db, struct db_call *c, const char *package, struct db_project_page *out,
                void (*done)(struct db_call *c, int error));
void db_project_page_release(struct db_project_page *out);

/* What the front page tells. */
struct db_home_builds {
    uint64_t succeeded, failed, farm;
};
struct db_home_target {
    char *name, *abi, *platform, *label;
    bool skipped;
    unsigned queued, building; /* counted up to DB_HOME_COUNT_MAX */
};
struct db_home_build {
    int64_t id;
    char *package, *version, *target;
    char finished[20], outcome[16];
    uint64_t wall_ms;
    bool logged;
};
#define DB_HOME_COUNT_MAX 10000
#define DB_HOME_BUILDS 20     /* newest builds that are told */
struct db_home {
    uint64_t packages, versions, files, size_bytes;
    struct db_home_builds hour, day, ever;
    char now[20];
    unsigned target_count, build_count;
    struct db_home_target *targets;
    struct db_home_build *builds; /* the newest first */
};
/* Before db_home: what makes the front page stale from now on gives it another generation. */
void db_home_take(struct db *db, struct db_call *c, void (*done)(struct db_call *c, int error));
void db_home(struct db *db, struct db_call *c, struct db_home *out,
             void (*done)(struct db_call *c, int error));
void db_home_release(struct db_home *out);

/* ---- people ---- */

/* status_facts() as JSON text; free *json with free(). */
void db_status(struct db *db, struct db_call *c, char **json, void (*done)(struct db_call *c, int error));

/* Each of these answers the JSON text of the function of the same name in schema/people.sql; free *json with free(). A NULL
 * `key` (a version's sort key) means all versions, "" as a target all targets. */
struct db_subject {
    const char *package;       /* normalised */
    const struct buf *key;
    const char *target;
};
void db_explain(struct db *db, struct db_call *c, const struct db_subject *s, char **json,
                void (*done)(struct db_call *c, int error));
void db_queue(struct db *db, struct db_call *c, const char *target, char **json,
              void (*done)(struct db_call *c, int error));
/* Holds what is kept up about some packages, from the id `from` on, against what it follows from, and mends it if told so:
 * see facts_go_through in schema/check.sql, whose answer tells where to go on. */
void db_facts(struct db *db, struct db_call *c, int64_t from, bool repair, char **json,
              void (*done)(struct db_call *c, int error));
/* Until `sure` this and db_remove only tell what they would do. */
void db_rebuild(struct db *db, struct db_call *c, const struct db_subject *s, bool sure, char **json,
                void (*done)(struct db_call *c, int error));
void db_rebuild_pages(struct db *db, struct db_call *c, const char *kind, const char *package, char **json,
                      void (*done)(struct db_call *c, int error));
void db_remove(struct db *db, struct db_call *c, const struct db_subject *s, bool builds_only, bool sure, char **json,
               void (*done)(struct db_call *c, int error));

/* A rule to be made. `judged`: all versions of the package, `struck` those that the specifier fits; both none without one. */
struct db_skip {
    const char *package, *specifier, *target, *reason;
    bool prereleases;
    const int64_t *judged, *struck;
    size_t judged_count, struck_count;
};
void db_skip(struct db *db, struct db_call *c, const struct db_skip *skip, char **json,
             void (*done)(struct db_call *c, int error));
void db_skip_spread(struct db *db, struct db_call *c, int64_t rule, int64_t from, char **json,
                    void (*done)(struct db_call *c, int error));
void db_skips(struct db *db, struct db_call *c, const char *package, char **json,
              void (*done)(struct db_call *c, int error));
void db_unskip(struct db *db, struct db_call *c, const char *word, char **json,
               void (*done)(struct db_call *c, int error));

/* What a specifier is held against: a package's versions; and the package's rules that have one. */
void db_versions(struct db *db, struct db_call *c, const char *package, struct db_words *out,
                 void (*done)(struct db_call *c, int error));
void db_skip_specifiers(struct db *db, struct db_call *c, const char *package, struct db_words *out,
                        void (*done)(struct db_call *c, int error));

/* ---- initdb ---- */

struct db_setup {              /* what initdb finds on the server */
    char database[64], user[64], encoding[32], server[64];
    int server_number;         /* 150012 for 15.12 */
    bool superuser;            /* whether `user` is one */
    bool service_exists, service_superuser;
    bool schema_exists;        /* one called piwheels, whoseever it is */
    unsigned masters;          /* connections of a master that runs */
};
/* `service`: the database user that the master will be. */
void db_setup_look(struct db *db, struct db_call *c, const char *service, struct db_setup *out,
                   void (*done)(struct db_call *c, int error));

/* Creates (when `found` has no version) or upgrades the schema and grants the service its rights, all in one
 * transaction; `progress` hears what begins. Not repeated: a lost connection is -ECONNRESET. `found` is what
 * db_configuration answered; if that is no longer so, the server refuses. */
void db_setup_run(struct db *db, struct db_call *c, const struct db_configuration *found, const char *service,
                  void (*progress)(void *owner, const char *text), void *owner,
                  void (*done)(struct db_call *c, int error));

/* Figures of the three connections, for status. */
void db_figures(const struct db *db, struct pg_figures *fast, struct pg_figures *bulk,
                struct pg_figures *pages);

#endif
