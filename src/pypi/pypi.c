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

#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "follow.h"
#include "project.h"
#include "python.h"

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
    char *simple_url, *json_url; /* the settings' */
    void (*jobs_made)(void *owner);
    void *owner;
    struct errand *errands;
    struct follower follower;
    bool following, closing;
    void (*closed)(void *owner);
};

static void end_if_idle(struct pypi *pypi)
{
    if (!pypi->closing || pypi->following || pypi->errands != NULL)
        return;
    void (*closed)(void *owner) = pypi->closed;
    void *owner = pypi->owner;
    free(pypi->simple_url);
    free(pypi->json_url);
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

    if (error == 0 && !pypi->closing)
        pypi->jobs_made(pypi->owner);
    else if (error != 0 && error != -ECANCELED)
        log_info("pypi", "%s: not added (%s)", p->spelling, p->task.reason);
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
    pypi->jobs_made(pypi->owner);
}

static void on_following_ended(struct follower *f)
{
    struct pypi *pypi = container_of(f, struct pypi, follower);
    pypi->following = false;
    end_if_idle(pypi);
}

struct pypi *pypi_open(uv_loop_t *loop, struct db *db, struct http *http,
                       const struct pypi_settings *settings, void (*jobs_made)(void *owner), void *owner)
{
    struct pypi *pypi = mem_new(1, sizeof *pypi);

    pypi->loop = loop;
    pypi->db = db;
    pypi->http = http;
    pypi->simple_url = mem_text(settings->simple_url);
    pypi->json_url = mem_text(settings->json_url);
    pypi->settings = (struct pypi_settings){pypi->simple_url, pypi->json_url, settings->poll_ms};
    pypi->jobs_made = jobs_made;
    pypi->owner = owner;
    pypi->following = true;
    pypi->follower = (struct follower){.db = db, .http = http, .settings = &pypi->settings,
                                       .stored = on_followed, .ended = on_following_ended};
    follower_start(&pypi->follower, loop);
    return pypi;
}

void pypi_close(struct pypi *pypi, void (*closed)(void *owner))
{
    pypi->closing = true;
    pypi->closed = closed;
    for (struct errand *e = pypi->errands; e != NULL; e = e->next)
        project_cancel(&e->project);
    follower_stop(&pypi->follower);
}
