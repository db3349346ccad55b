/*
 * The web stage's rhythm: look which pages are stale, write them a few at a time, pause, again. The master
 * opens it and wakes it when files were published or PyPI said something new. A round ends when all of
 * its pages have been tried, so no page is ever written twice at once.
 */
#include "web.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "page.h"

#define PAGES_AT_ONCE 2        /* one reads or tells while the other is written */
#define SPACING_MS 250         /* between the beginnings of rounds: a page is written once for all that changed meanwhile */
#define SHARE 5                /* while builds go on, rounds take a fifth of the time, */
#define SPACING_MOST_MS 5000   /* but begin at least so often */
#define POLL_MS 1000           /* while pages wait for their time */
#define IDLE_MS 5000           /* nobody may have woken us: another program can make pages stale */
#define FIRST_RETRY_MS 2000
#define MOST_RETRY_MS 300000
#define HOME_AGE_MS 600000     /* the front page tells of the last hour: it is never older than this */

/* A page that could not be written. */
struct setback {
    char kind[16], key[256];
    char reason[TASK_REASON_SIZE];
    int64_t retry_ms, retry_at_ms; /* the pause before the next try, and its end */
    struct setback *next;
};

struct web {
    uv_loop_t *loop;
    struct db *db;
    char *output, *site_url;
    uint64_t root_pause_ms;
    struct task round;
    struct db_call call;
    struct db_stale stale;
    unsigned at;               /* the next of them to be tried */
    struct page *pages[PAGES_AT_ONCE];
    unsigned written;          /* in this round */
    bool woken, spacing, cancelled;
    int64_t begun_ms;          /* the round */
    int64_t root_due_ms;       /* when the list of all packages may be written again */
    int64_t home_due_ms;       /* when the front page may be */
    int64_t home_old_ms;       /* when it must be */
    struct setback *setbacks;
    void (*closed)(void *owner);
    void *owner;
};

static struct web *of(struct task *t)
{
    return container_of(t, struct web, round);
}

/* ---- pages that could not be written -------------------------------------------------------------- */

static struct setback **find_setback(struct web *web, const char *kind, const char *key)
{
    struct setback **at = &web->setbacks;
    while (*at != NULL && (strcmp((*at)->kind, kind) != 0 || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

static void forget_setback(struct setback **at)
{
    struct setback *setback = *at;
    *at = setback->next;
    free(setback);
}

/* "/simple/cffi/": what people know the page by. */
static const char *page_place(const struct page *p, char place[300])
{
    bool for_people = strcmp(p->kind, "project") == 0 || strcmp(p->kind, "home") == 0;
    snprintf(place, 300, "%s%s%s", for_people ? (p->key[0] != '\0' ? "/project/" : "/") : "/simple/", p->key,
             p->key[0] != '\0' ? "/" : "");
    return place;
}

static void note_failure(struct web *web, const struct page *p)
{
    struct setback **at = find_setback(web, p->kind, p->key), *setback = *at;
    char place[300];

    if (setback == NULL) {
        *at = setback = mem_new(1, sizeof *setback);
        text_copy(setback->kind, sizeof setback->kind, p->kind);
        text_copy(setback->key, sizeof setback->key, p->key);
        setback->retry_ms = FIRST_RETRY_MS / 2;
    }
    setback->retry_ms = setback->retry_ms * 2 < MOST_RETRY_MS ? setback->retry_ms * 2 : MOST_RETRY_MS;
    setback->retry_at_ms = clock_steady_ms() + setback->retry_ms;
    if (strcmp(setback->reason, p->task.reason) != 0)
        log_error("web", "page %s: not written (%s); it will be tried again", page_place(p, place),
                  p->task.reason);
    text_copy(setback->reason, sizeof setback->reason, p->task.reason);
}

static void note_success(struct web *web, const struct page *p)
{
    struct setback **at = find_setback(web, p->kind, p->key);
    char place[300];

    web->written++;
    if (strcmp(p->kind, "root") == 0) {
        web->root_due_ms = clock_steady_ms() + (int64_t)web->root_pause_ms;
    } else if (strcmp(p->kind, "home") == 0) {
        web->home_due_ms = clock_steady_ms() + (int64_t)web->root_pause_ms;
        web->home_old_ms = clock_steady_ms() + HOME_AGE_MS;
    }
    if (*at == NULL) {
        log_info("web", "page %s: written", page_place(p, place));
        return;
    }
    log_info("web", "page %s: written at last", page_place(p, place));
    forget_setback(at);
}

static bool may_write(struct web *web, const char *kind, const char *key)
{
    const struct setback *setback = *find_setback(web, kind, key);
    int64_t now_ms = clock_steady_ms();

    if (setback != NULL && now_ms < setback->retry_at_ms)
        return false;
    if (strcmp(kind, "home") == 0)
        return now_ms >= web->home_due_ms;
    return strcmp(kind, "root") != 0 || now_ms >= web->root_due_ms;
}

/* ---- the steps, in order -------------------------------------------------------------------------- */

/* The front page grows old without anything happening, and is there before anything has happened:
 * generation 0 is nobody's. */
static void add_old_home(struct web *web)
{
    struct db_stale *stale = &web->stale;

    if (clock_steady_ms() < web->home_old_ms || stale->count == COUNT_OF(stale->items))
        return;
    for (unsigned i = 0; i < stale->count; i++)
        if (strcmp(stale->items[i].kind, "home") == 0)
            return;
    strcpy(stale->items[stale->count].kind, "home");
    stale->items[stale->count].key[0] = '\0';
    stale->items[stale->count++].generation = 0;
}

static void on_looked(struct db_call *c, int error)
{
    struct web *web = container_of(c, struct web, call);

    if (error == -EREMOTEIO)
        log_error("web", "pages: the database refused (%s): %s", task_step_name(&web->round), c->message);
    if (error == 0)
        add_old_home(web);
    else
        web->stale.count = 0;
    task_resume(&web->round);
}

static enum step look_for_stale(struct task *t)
{
    struct web *web = of(t);

    web->woken = web->spacing = false;
    web->begun_ms = clock_steady_ms();
    web->at = web->written = 0;
    db_stale(web->db, &web->call, &web->stale, on_looked);
    return STEP_WAIT;
}

static bool start_pages(struct web *web);

static void on_page_done(struct page *p, int error)
{
    struct web *web = p->owner;

    for (unsigned i = 0; i < PAGES_AT_ONCE; i++)
        if (web->pages[i] == p)
            web->pages[i] = NULL;
    if (error == 0)
        note_success(web, p);
    else if (error != -ECANCELED)
        note_failure(web, p);
    free(p);
    if (!start_pages(web))
        task_resume(&web->round);
}

static struct page *new_page(struct web *web, unsigned index)
{
    struct page *p = mem_new(1, sizeof *p);

    p->db = web->db;
    p->output = web->output;
    p->site_url = web->site_url;
    text_copy(p->kind, sizeof p->kind, web->stale.items[index].kind);
    text_copy(p->key, sizeof p->key, web->stale.items[index].key);
    p->generation = web->stale.items[index].generation;
    p->done = on_page_done;
    p->owner = web;
    return p;
}

/* The next page of the round that may be written now, or NULL. */
static struct page *next_page(struct web *web)
{
    while (!web->cancelled && web->at < web->stale.count) {
        unsigned index = web->at++;
        if (may_write(web, web->stale.items[index].kind, web->stale.items[index].key))
            return new_page(web, index);
    }
    return NULL;
}

/* Fills the places. False when none is taken: the round's pages have all been tried. */
static bool start_pages(struct web *web)
{
    bool busy = false;

    for (unsigned i = 0; i < PAGES_AT_ONCE; i++) {
        if (web->pages[i] == NULL && (web->pages[i] = next_page(web)) != NULL)
            page_start(web->loop, web->pages[i]);
        busy = busy || web->pages[i] != NULL;
    }
    return busy;
}

static enum step write_pages(struct task *t)
{
    return start_pages(of(t)) ? STEP_WAIT : STEP_NEXT;
}

/* From the beginning of a round that took so long to that of the next. */
static int64_t spacing_ms(int64_t took_ms)
{
    if (took_ms * SHARE < SPACING_MS)
        return SPACING_MS;
    return took_ms * SHARE < SPACING_MOST_MS ? took_ms * SHARE : SPACING_MOST_MS;
}

static enum step rest(struct task *t)
{
    struct web *web = of(t);
    int64_t took_ms = clock_steady_ms() - web->begun_ms;
    int64_t left_ms = spacing_ms(took_ms) - took_ms;

    if (web->written > 0 && web->stale.full && !web->woken)
        return STEP_AGAIN; /* it is quiet: time to catch up; else builds come first */
    if (web->written == 0 && !web->woken)
        return task_pause(t, web->stale.count > 0 ? POLL_MS : IDLE_MS);
    if (left_ms <= 0)
        return STEP_AGAIN;
    web->spacing = true;
    return task_pause(t, (uint64_t)left_ms);
}

static enum step again(struct task *t)
{
    return STEP_AGAIN;
}

static const struct task_step round_steps[] = {
    {"look for stale pages", look_for_stale},
    {"write pages", write_pages},
    {"pause", rest},
    {"again", again},
    {NULL, NULL},
};

/* ---- start and end -------------------------------------------------------------------------------- */

static void on_cancel(struct task *t)
{
    struct web *web = of(t);
    bool writing = false;

    web->cancelled = true;
    for (unsigned i = 0; i < PAGES_AT_ONCE; i++) {
        if (web->pages[i] == NULL)
            continue;
        page_cancel(web->pages[i]);
        writing = true;
    }
    if (!writing)
        db_cancel(&web->call);
}

static void on_finished(struct task *t)
{
    struct web *web = of(t);
    void (*closed)(void *owner) = web->closed;
    void *owner = web->owner;

    while (web->setbacks != NULL)
        forget_setback(&web->setbacks);
    free(web->output);
    free(web->site_url);
    free(web);
    if (closed != NULL)
        closed(owner);
}

struct web *web_open(uv_loop_t *loop, struct db *db, const struct web_settings *settings)
{
    struct web *web = mem_new(1, sizeof *web);

    web->loop = loop;
    web->db = db;
    web->output = mem_text(settings->output);
    web->site_url = mem_text(settings->site_url);
    web->root_pause_ms = settings->root_pause_ms;
    web->root_due_ms = web->home_due_ms = web->home_old_ms = clock_steady_ms();
    web->round.name = "round";
    web->round.steps = round_steps;
    web->round.cancel = on_cancel;
    web->round.finished = on_finished;
    task_start(loop, &web->round);
    return web;
}

void web_close(struct web *web, void (*closed)(void *owner), void *owner)
{
    web->closed = closed;
    web->owner = owner;
    task_cancel(&web->round);
}

void web_wake(struct web *web)
{
    web->woken = true;
    if (!web->spacing)
        task_wake(&web->round);
}
