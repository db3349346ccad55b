/*
 * The monitor's connections with the master: one on which it watches, made again when it is lost, and one for each
 * action.
 */
#ifndef MONITOR_FEED_H
#define MONITOR_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct feed;

struct feed_events {
    void (*part)(void *owner, const char *json);     /* of a round, as the DATA has it */
    void (*lost)(void *owner, const char *why);      /* no connection; it is tried again by itself */
    void (*told)(void *owner, const char *text);     /* what became of an action */
};

/* `path` NULL: the usual places. Both outlive the feed. */
struct feed *feed_open(uv_loop_t *loop, const char *path, const struct feed_events *events, void *owner);
void feed_act(struct feed *f, const char *action, int64_t slave);
/* Says nothing any more; freed through the loop. */
void feed_close(struct feed *f);

#endif
