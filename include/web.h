/*
 * The web stage: writes the pages that the database says are stale, as files that any web server can serve.
 * Last stage of the pipeline. Pages are rendered and written on pool threads (LANE_PAGES), replaced
 * atomically, with an mtime that moves forward.
 */
#ifndef WEB_H
#define WEB_H

#include <stdint.h>
#include <uv.h>

#include "db.h"

struct web;

struct web_settings {
    const char *output;       /* the directory that is served; copied */
    const char *site_url;     /* what people reach it by, without a slash at the end; "": unknown; copied */
    uint64_t root_pause_ms;   /* the list of all packages, and the front page, are written at most this often */
};

struct web *web_open(uv_loop_t *loop, struct db *db, const struct web_settings *settings);
void web_close(struct web *web, void (*closed)(void *owner), void *owner);

/* Pages may have become stale: look now rather than at the next round. */
void web_wake(struct web *web);

#endif
