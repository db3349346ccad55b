/*
 * The pypi stage as the others see it: what people ask for (piwheels add, through the master) waits here for
 * one of a few places, so that a long list of requirements does not fall upon PyPI at once; and the
 * follower (follow.c) runs beside it from open to close.
 */
#include "pypi.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "follow.h"
#include "project.h"
#include "python.h"
#include "summaries.h"
#include "sweep.h"

#define PLACES 4 /* projects asked for at once */

struct errand {              /* one pypi_add on its way */
    struct project project;
    struct pypi *pypi;
    struct pypi_add *add;
    struct errand *next;     /* in the order they came */
};

struct pypi {
    uv_loop_t *loop;
    struct db *db;
    struct http *http;
    struct pypi_settings settings;
    char *simple_url, *json_url, *xmlrpc_url; /* the settings' */
    struct pypi_events events;
    void *owner;
    struct errand *errands;
    struct follower follower;
    struct changelog changelog;
    struct sweep sweep;
    struct summaries summaries;
    bool following, reading, sweeping, summarising, closing;
    void (*closed)(void *owner);
};

static void end_if_idle(struct pypi *pypi)
{
    if (!pypi->closing || pypi->following || pypi->reading || pypi->sweeping || pypi->summarising || pypi->errands != NULL)
        return;
    void (*closed)(void *owner) = pypi->closed;
    void *owner = pypi->owner;
    free(pypi->simple_url);
    free(pypi->json_url);
    free(pypi->xmlrpc_url);
    free(pypi);
    if (closed != NULL)
        closed(owner);
}

/* The first PLACES errands may go. */
static void give_places(struct pypi *pypi)
{
    unsigned places = PLACES;

    for (struct errand *e = pypi->errands; e != NULL && places > 0; e = e->next, places--)
        if (!e->project.has_place)
            project_go(&e->project);
}

static void unlink_errand(struct errand *e)
{
    struct errand **at = &e->pypi->errands;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
}

static void on_asked(struct project *p, int error)
{
    struct errand *e = container_of(p, struct errand, project);
    struct pypi *pypi = e->pypi;
    struct pypi_add *add = e->add;

    if (error == 0 && !pypi->closing) {
        pypi->events.jobs_made(pypi->owner);
        summaries_wake(&pypi->summaries);
        follower_wake(&pypi->follower); /* it stops what is built of a project that was found quarantined */
    } else if (error != 0 && error != -ECANCELED) {
        log_info("pypi", "%s: not added (%s)", p->spelling, p->task.reason);
    }
    add->errand = NULL;
    add->asked = p->asked;
    text_copy(add->reason, sizeof add->reason, error != 0 ? p->task.reason : "");
    add->done(add, error);
    unlink_errand(e);
    free(e);
    give_places(pypi);
    end_if_idle(pypi);
}

void pypi_add(struct pypi *pypi, struct pypi_add *add)
{
    struct errand *e = mem_new(1, sizeof *e), **at = &pypi->errands;
    struct project *p = &e->project;

    assert(!pypi->closing && python_name_valid(add->name));
    e->pypi = pypi;
    e->add = add;
    add->errand = e;
    p->db = pypi->db;
    p->http = pypi->http;
    p->settings = &pypi->settings;
    p->all = add->all;
    p->done = on_asked;
    text_copy(p->spelling, sizeof p->spelling, add->name);
    text_copy(p->version, sizeof p->version, add->version);
    python_name_normalise(add->name, p->name, sizeof p->name); /* no longer than the name, so it fits */
    while (*at != NULL)
        at = &(*at)->next;
    *at = e;
    project_start(pypi->loop, p);
    give_places(pypi);
}

void pypi_add_cancel(struct pypi *pypi, struct pypi_add *add)
{
    if (add->errand != NULL)
        project_cancel(&add->errand->project);
}

static void on_followed(struct follower *f)
{
    struct pypi *pypi = container_of(f, struct pypi, follower);

    pypi->events.jobs_made(pypi->owner);
    summaries_wake(&pypi->summaries);
}

static void on_withdrawn(struct follower *f, const struct db_ended *attempts)
{
    struct pypi *pypi = container_of(f, struct pypi, follower);

    if (!pypi->closing && attempts->count > 0)
        pypi->events.withdrawn(pypi->owner, attempts->attempts, attempts->count);
}

static void on_following_ended(struct follower *f)
{
    struct pypi *pypi = container_of(f, struct pypi, follower);
    pypi->following = false;
    end_if_idle(pypi);
}

static void on_events_stored(struct changelog *c, const struct db_applied *applied)
{
    struct pypi *pypi = container_of(c, struct pypi, changelog);

    if (pypi->closing || applied->applied == 0)
        return;
    follower_wake(&pypi->follower); /* what events do not tell is asked for at once */
    if (applied->ended.count > 0)
        pypi->events.withdrawn(pypi->owner, applied->ended.attempts, applied->ended.count);
    pypi->events.jobs_made(pypi->owner);
}

static void on_reading_ended(struct changelog *c)
{
    struct pypi *pypi = container_of(c, struct pypi, changelog);
    pypi->reading = false;
    end_if_idle(pypi);
}

/* Events that are still to come would make everything differ. */
static bool may_sweep(struct sweep *s)
{
    const struct pypi *pypi = container_of(s, struct pypi, sweep);
    return pypi->changelog.state.all_read;
}

static void on_swept(struct sweep *s)
{
    follower_wake(&container_of(s, struct pypi, sweep)->follower);
}

static void on_sweeping_ended(struct sweep *s)
{
    struct pypi *pypi = container_of(s, struct pypi, sweep);
    pypi->sweeping = false;
    end_if_idle(pypi);
}

/* Pages are written when jobs may have changed, too. */
static void on_summary(struct summaries *s)
{
    struct pypi *pypi = container_of(s, struct pypi, summaries);

    if (!pypi->closing)
        pypi->events.jobs_made(pypi->owner);
}

static void on_summaries_ended(struct summaries *s)
{
    struct pypi *pypi = container_of(s, struct pypi, summaries);
    pypi->summarising = false;
    end_if_idle(pypi);
}

static void start_reading(struct pypi *pypi)
{
    pypi->changelog = (struct changelog){.db = pypi->db, .http = pypi->http, .settings = &pypi->settings,
                                         .stored = on_events_stored, .ended = on_reading_ended};
    pypi->reading = pypi->xmlrpc_url[0] != '\0';
    if (!pypi->reading)
        return;
    changelog_start(&pypi->changelog, pypi->loop);
    pypi->sweep = (struct sweep){.db = pypi->db, .http = pypi->http, .settings = &pypi->settings, .may_begin = may_sweep,
                                 .swept = on_swept, .ended = on_sweeping_ended};
    pypi->sweeping = pypi->settings.sweep_ms > 0;
    if (pypi->sweeping)
        sweep_start(&pypi->sweep, pypi->loop);
}

struct pypi *pypi_open(uv_loop_t *loop, struct db *db, struct http *http,
                       const struct pypi_settings *settings, const struct pypi_events *events, void *owner)
{
    struct pypi *pypi = mem_new(1, sizeof *pypi);

    pypi->loop = loop;
    pypi->db = db;
    pypi->http = http;
    pypi->simple_url = mem_text(settings->simple_url);
    pypi->json_url = mem_text(settings->json_url);
    pypi->xmlrpc_url = mem_text(settings->xmlrpc_url);
    pypi->settings = *settings;
    pypi->settings.simple_url = pypi->simple_url;
    pypi->settings.json_url = pypi->json_url;
    pypi->settings.xmlrpc_url = pypi->xmlrpc_url;
    pypi->events = *events;
    pypi->owner = owner;
    pypi->following = true;
    pypi->follower = (struct follower){.db = db, .http = http, .settings = &pypi->settings,
                                       .stored = on_followed, .withdrawn = on_withdrawn, .ended = on_following_ended};
    follower_start(&pypi->follower, loop);
    pypi->summarising = true;
    pypi->summaries = (struct summaries){.db = db, .http = http, .settings = &pypi->settings, .stored = on_summary,
                                         .ended = on_summaries_ended};
    summaries_start(&pypi->summaries, loop);
    start_reading(pypi);
    return pypi;
}

void pypi_close(struct pypi *pypi, void (*closed)(void *owner))
{
    pypi->closing = true;
    pypi->closed = closed;
    for (struct errand *e = pypi->errands; e != NULL; e = e->next)
        project_cancel(&e->project);
    follower_stop(&pypi->follower);
    summaries_stop(&pypi->summaries);
    if (pypi->reading)
        changelog_stop(&pypi->changelog);
    if (pypi->sweeping)
        sweep_stop(&pypi->sweep);
}

json_t *pypi_describe(const struct pypi *pypi)
{
    return changelog_describe(&pypi->changelog);
}
