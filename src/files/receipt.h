/*
 * A receipt and its files: what the parts share that take in what a build brings, and publish it. Each calls those below it:
 *
 *   receipt.c   takes in: the log, then file after file, each verified as it is complete
 *   record.c    ends: publishes or notes the failure, in the order that a crash cannot spoil
 *   bundle.c    puts the disk work of many receipts together
 *   made_with.c the record of the build, from what its slave tells
 *   judge.c     verifies one file, on a pool thread
 *   names.c     other names for what cannot have its own
 *   twin.c      what an ARMv6 can run goes by a name for it, too
 *   targets.c   whom a file serves, and where it lies
 *   life.c      a receipt begins and is freed, and what may become of it
 *   crowd.c     tells the farm when too many logs wait to be compressed
 *   stream.c    bytes to the disk
 *
 * The rest of the room knows no receipt: see room.h.
 */
#ifndef FILES_RECEIPT_H
#define FILES_RECEIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/task.h"
#include "room.h"
#include "stream.h"
#include "wheel.h"

#define FILES_MAX_LOG_BYTES (16 * 1024 * 1024) /* as BUILT.log_bytes in schema/messages.def */
#define FILES_DETAIL_BYTES 1000      /* as DONE.text there */
#define FILES_MAX_TRIES 2            /* a file is asked for again once */
#define RECEIPT_TWIN_PLATFORM "linux_armv6l"

struct receipt_file {
    char name[256];
    uint64_t size_bytes;             /* as announced, and as counted before it is judged */
    uint8_t sha256[SHA256_SIZE];     /* as announced */
    char *path;                      /* in staging; a twin's is its file's */
    char *public_path;               /* below the output directory */
    char *apt;                       /* Debian packages with the libraries it needs, as announced: names, each ended by a newline */
    const struct receipt_file *twin; /* the same bytes go by another name, too: then the next is the twin's */
    struct wheel wheel;              /* what we read ourselves, as the next */
    struct wheel_code code;
    bool judged;
    unsigned tries;
    uint64_t serves;                 /* targets of its distribution that can use it, or all if it is pure */
    uint64_t fits;                   /* of other distributions, too, those whose Python takes it by its name; 0: it is pure */
    bool apart;                      /* it is for its own target's index */
    enum db_verdict verdict;
    unsigned tag;                    /* the build tag that we gave it; 0: none */
    bool taken;                      /* a file that the database does not know stands under its name */
    int placing;                     /* the error of placing it, on a pool thread */
    bool placed;                     /* brought into the tree by us */
};

struct receipt_attempt {             /* what is kept of a struct db_attempt: there may be a thousand */
    int64_t attempt;
    unsigned target;
    char *package, *version;
    int64_t uploaded_ms;
    bool handed_out, has_override;
    uint8_t override_sha256[SHA256_SIZE];
};

struct receipt {
    struct files *files;
    struct receipt *prev, *next;
    struct receipt_attempt attempt;
    uint64_t number;                 /* of the receipt: an attempt may have had one on an earlier connection */
    struct db_target_set *known;
    const struct db_targets *targets; /* of `known` */
    struct db_targets *reading;      /* those that take their place, or NULL */
    const struct files_events *events; /* NULL once abandoned */
    void *owner;
    char slave[80];                  /* for the log */
    struct stream log;
    char *packed_log;                /* gzipped, when it is whole and until it is in the tree */
    size_t packed_bytes;
    size_t crowd_bytes;              /* of the log, while it waits for that */
    bool log_kept;                   /* in the tree */

    struct task task;                /* first receive_steps, then one table of record.c */
    struct lane_work work;           /* one piece of disk work at a time */
    struct receipt *next_in_bundle;  /* which does it */
    struct db_call call;
    bool reported;                   /* BUILT has come */
    bool admitted;                   /* there is room for its files beside those of its slave's other builds */
    bool waited;                     /* for that */
    bool recording;                  /* past the point of no return: the end will be recorded */
    bool refused;                    /* the database says that the attempt is not the job's any more */
    bool doomed;                     /* is freed as soon as no thread uses it */

    struct db_build_end end;         /* its strings point below */
    char *record;                    /* of the build, as JSON */
    char outcome[16], reason[65];
    char *detail;                    /* NULL before BUILT */
    unsigned file_count, at;         /* at: the file that is wanted now */
    struct receipt_file *files_made;
    struct stream stream;            /* of the file at `at` */
    struct turn transfer;            /* from when it is asked for until it is stored */
    bool streaming, sent;
    struct db_verdicts verdicts;
    bool name_leaving;               /* a file of this name is just leaving the tree */
    bool name_taken;                 /* a file's name is taken: nothing was placed */
    unsigned waits;                  /* how often that was waited for */
    bool recorded;
    int work_error;                  /* of the last piece of work on a thread */
    char why[512];                   /* its reason in words */
};

/* life.c */
void receipt_free(struct receipt *r);
/* Whether the receipt puts the file into the tree. */
bool receipt_places(const struct receipt_file *f);

void receipt_start(struct receipt *r, const char *name, const struct task_step *steps,
                   void (*cancel)(struct task *t), void (*finished)(struct task *t));

/* Makes the attempt's end a failure: outcome "failed" (the package's) or "farm". */
void receipt_fail(struct receipt *r, const char *outcome, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What the build's record and DONE say: `text` without what may not be stored or sent. */
void receipt_describe(struct receipt *r, const char *text);

/* made_with.c: what BUILT tells of how the build was made. */
bool receipt_requirements_valid(const struct msg_built *b);
bool receipt_override_right(const struct receipt *r, const struct msg_built *b); /* as far as it is known what is */
char *receipt_compose_record(const struct receipt *r, const struct msg_built *b); /* JSON; free it */

/* judge.c: reads and judges files_made[at] on a pool thread, from `bytes`, or from its path where they are NULL; sets
 * work_error (0, -EBADMSG the wheel's own fault, else the machine's) and why. */
void receipt_judge(struct receipt *r, const void *bytes);

/* targets.c. As the file is called: the twin's own platform, else the name's. */
const char *receipt_platform(const struct receipt_file *f);
/* What was read of it. */
const struct wheel *receipt_wheel(const struct receipt_file *f);
/* The target that it is built for, or NULL. */
const struct db_target *receipt_target(const struct receipt *r);
/* Finds the targets that the file serves and fits, when its tags are these and it is named for this platform. */
void receipt_find_targets(const struct receipt *r, struct receipt_file *f, const struct wheel_name *name, const char *platform);

/* Names the file's place in the tree by its name; false when it is to be apart and its target has no place there. */
bool receipt_place(const struct receipt *r, struct receipt_file *f);

/* Before files are announced: judges them by the targets that were last read, if there is this one among them. */
void receipt_use_last_targets(struct receipt *r);
/* Whether the database has others than they were judged by; judges them by those in `reading`. */
bool receipt_must_be_judged(const struct receipt *r);
void receipt_use_read_targets(struct receipt *r);

/* names.c. False when such a name is too long. */
bool receipt_tag_name(struct receipt *r, struct receipt_file *f, unsigned tag);
void receipt_place_path(const struct receipt *r, const struct receipt_file *f, char *path, size_t size);
bool receipt_names_are_taken(struct receipt *r);   /* on a pool thread, before files are placed: whether none must be */
bool receipt_take_other_names(struct receipt *r);  /* then; false when there are none */

/* twin.c: before they are announced, adds to the files those that are another's twin, once. */
void receipt_add_twins(struct receipt *r);

/* crowd.c: the log waits to be compressed; it does not any more (harmless on one that did not wait). */
void crowd_join(struct receipt *r);
void crowd_leave(struct receipt *r);

/* record.c: prepares its bundles; drives the receipt to its end and frees it. */
void files_init_bundles(struct files *f);
void receipt_record(struct receipt *r);

#endif
