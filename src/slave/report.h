/*
 * What pip installs for a build, by its own reports.
 */
#ifndef SLAVE_REPORT_H
#define SLAVE_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"
#include "core/hash.h"

#define REPORT_MAX_REQUIREMENTS 64 /* of the message BUILT */

struct report_requirement {
    char name[256], version[65];
    uint8_t sha256[SHA256_SIZE];
    bool hashed;                  /* its hash is known */
};

struct report {
    unsigned count;
    struct report_requirement *items;
    /* private */
    uv_pipe_t pipe;
    bool open;
    struct buf text;
    void (*closed)(struct report *r);
    char buffer[16384];
};

/* Makes a FIFO at `path`, for PIP_REPORT, and takes in what is written there. 0 or -errno. */
int report_open(uv_loop_t *loop, struct report *r, const char *path);

/* Takes in the rest; then `closed`, never from inside. Not before report_open has succeeded. */
void report_close(struct report *r, void (*closed)(struct report *r));

/* Reads what was taken in: fills `items`. For a worker thread, after `closed`. */
void report_read(struct report *r);
void report_release(struct report *r);

/* Adds the requirements of the reports in `text`, one behind the other, each name and version once. */
void report_parse(struct report *r, const char *text, size_t len);

#endif
