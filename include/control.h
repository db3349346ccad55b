/*
 * The control socket: where tools speak with the master. The master's half answers one verb a connection; the
 * tools' half asks and prints.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "core/lag.h"
#include "db.h"
#include "farm.h"
#include "io/message.h"
#include "pypi.h"

struct control;

/* What it speaks for. */
struct control_sources {
    struct db *db;
    struct pypi *pypi;
    struct farm *farm;
    struct files *files;
    const struct lag *lag;
    const char *output;    /* directory whose file system's space is told; copied */
    const char *site_url;  /* what people reach the site by, or ""; copied */
    void (*changed)(void *owner);  /* what there is to build has changed by hand, or pages are to be written */
    void *owner;
};

/* Listens on the Unix socket `path` (0660). 0, or -errno with `why`. */
int control_open(uv_loop_t *loop, const char *path, const struct control_sources *sources, struct control **control,
                 char *why, size_t why_size);
void control_close(struct control *c, void (*closed)(void *owner), void *owner);

struct control_answer {
    bool good;             /* DONE came, and its `good` was set */
    char text[1024];       /* of DONE; or of ERROR, or why nothing could be asked */
    bool asked;            /* false: the master could not be reached or broke off */
};

/* For tools: connects, says `m`, calls `data` for each DATA, and returns when the answer is complete. Runs a loop of its
 * own. `path` NULL: the usual places (fs_control_socket). */
void control_ask(const char *path, const struct message *m, void (*data)(void *owner, const char *json), void *owner,
                 struct control_answer *answer);

#endif
