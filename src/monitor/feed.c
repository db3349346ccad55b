/*
 * The monitor's connections with the master. monitor.c opens the feed and hears what the master tells.
 *
 *     connect → WATCH → DATA …      lost, or silent for too long → pause (longer each time) → connect
 */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/fs.h"
#include "io/wire.h"

#define FIRST_PAUSE_MS 500
#define LAST_PAUSE_MS 8000
#define SILENCE_MS 20000

struct feed {
    uv_loop_t *loop;
    const char *path;
    char usual[108];
    const struct feed_events *events;
    void *owner;
    struct wire *watching;     /* NULL between connections */
    uv_timer_t timer;          /* the pause, or the patience with a silent master */
    uint64_t pause_ms;
    struct deed *deeds;
    bool closing, timer_closed;
};

/* An action under way. */
struct deed {
    struct feed *feed;
    struct deed *next;
    struct wire *wire;
    const char *action;
    int64_t slave;
    bool told;
};

static void check_closed(struct feed *f)
{
    if (f->closing && f->timer_closed && !f->watching && !f->deeds)
        free(f);
}

static const char *path_of(struct feed *f)
{
    if (f->path)
        return f->path;
    fs_control_socket(f->usual, sizeof f->usual, false);
    return f->usual;
}

/* ---- watching ------------------------------------------------------------------------------------ */

static void on_silence(uv_timer_t *timer)
{
    struct feed *f = container_of(timer, struct feed, timer);
    wire_drop(f->watching, "the master says nothing");
}

static void on_opened(struct wire *w)
{
    struct feed *f = wire_owner(w);
    struct message m = {.verb = VERB_WATCH, .watch = {.version = PIWHEELS_VERSION}};
    wire_send(w, &m);
    uv_timer_start(&f->timer, on_silence, SILENCE_MS, 0);
}

static void on_message(struct wire *w, const struct message *m)
{
    struct feed *f = wire_owner(w);
    if (f->closing)
        return;
    if (m->verb == VERB_DATA) {
        f->pause_ms = FIRST_PAUSE_MS;
        uv_timer_start(&f->timer, on_silence, SILENCE_MS, 0);
        f->events->part(f->owner, m->data.json);
    } else {
        wire_drop(w, m->verb == VERB_ERROR ? m->error.reason : "the master answered with something else");
    }
}

static void connect_again(uv_timer_t *timer);

static void on_closed(struct wire *w, const char *reason)
{
    struct feed *f = wire_owner(w);
    char why[300];
    f->watching = NULL;
    if (f->closing) {
        check_closed(f);
        return;
    }
    snprintf(why, sizeof why, "no connection with the master at %s (%s); trying again", path_of(f), reason);
    f->events->lost(f->owner, why);
    uv_timer_start(&f->timer, connect_again, f->pause_ms, 0);
    f->pause_ms = f->pause_ms * 2 < LAST_PAUSE_MS ? f->pause_ms * 2 : LAST_PAUSE_MS;
}

static const struct wire_events watch_events = {.opened = on_opened, .message = on_message, .closed = on_closed};

static void connect_again(uv_timer_t *timer)
{
    struct feed *f = container_of(timer, struct feed, timer);
    f->watching = wire_connect(f->loop, path_of(f), NULL, &watch_events, f);
}

/* ---- acting -------------------------------------------------------------------------------------- */

static void tell(struct deed *d, const char *text)
{
    d->told = true;
    if (!d->feed->closing)
        d->feed->events->told(d->feed->owner, text);
}

static void on_deed_opened(struct wire *w)
{
    struct deed *d = wire_owner(w);
    struct message m = {.verb = VERB_ACT, .act = {
        .version = PIWHEELS_VERSION, .action = d->action, .slave = (uint64_t)d->slave}};
    wire_send(w, &m);
}

static void on_deed_answered(struct wire *w, const struct message *m)
{
    struct deed *d = wire_owner(w);
    const char *text = m->verb == VERB_DONE ? m->done.text : "the master answered with something else";
    if (m->verb == VERB_ERROR)
        text = m->error.reason;
    if (!d->told)
        tell(d, text);
    wire_finish(w, "answered");
}

static void on_deed_closed(struct wire *w, const char *reason)
{
    struct deed *d = wire_owner(w);
    struct feed *f = d->feed;
    if (!d->told)
        tell(d, "nothing was done: no connection with the master");
    struct deed **link = &f->deeds;
    while (*link != d)
        link = &(*link)->next;
    *link = d->next;
    free(d);
    check_closed(f);
}

static const struct wire_events deed_events = {on_deed_opened, on_deed_answered, NULL, on_deed_closed};

void feed_act(struct feed *f, const char *action, int64_t slave)
{
    struct deed *d = mem_new(1, sizeof *d);
    d->feed = f;
    d->action = action;
    d->slave = slave;
    d->next = f->deeds;
    f->deeds = d;
    d->wire = wire_connect(f->loop, path_of(f), NULL, &deed_events, d);
}

/* ---- life ---------------------------------------------------------------------------------------- */

struct feed *feed_open(uv_loop_t *loop, const char *path, const struct feed_events *events, void *owner)
{
    struct feed *f = mem_new(1, sizeof *f);
    f->loop = loop;
    f->path = path;
    f->events = events;
    f->owner = owner;
    f->pause_ms = FIRST_PAUSE_MS;
    uv_timer_init(loop, &f->timer);
    connect_again(&f->timer);
    return f;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct feed *f = container_of(handle, struct feed, timer);
    f->timer_closed = true;
    check_closed(f);
}

void feed_close(struct feed *f)
{
    f->closing = true;
    if (f->watching)
        wire_drop(f->watching, "the monitor ends");
    for (struct deed *d = f->deeds; d; d = d->next)
        wire_drop(d->wire, "the monitor ends");
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
}
