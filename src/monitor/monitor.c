/*
 * The monitor: `piwheels monitor` (src/cmd/monitor.c) runs it. Three parts and the loop between them:
 *
 *     feed (the master tells) → model (what is known) → screen        keys → menu → feed
 */
#include "monitor.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "core/memory.h"
#include "core/text.h"
#include "feed.h"
#include "menu.h"
#include "model.h"
#include "screen.h"

#define ENDS 3           /* signals that end it */
#define MAX_EMPTY 100    /* the terminal says so often that there is a key, and there is none: it is gone */

struct monitor {
    uv_loop_t loop;
    uv_poll_t keys;
    uv_signal_t ends[ENDS], resized;
    struct feed *feed;
    struct model model;
    struct menu menu;
    struct screen *screen;
    char note[300];
    unsigned empty;
    bool ending;
};

static void draw(struct monitor *mon)
{
    if (!mon->ending)
        screen_draw(mon->screen, &mon->model, &mon->menu, mon->note);
}

static void end(struct monitor *mon)
{
    if (mon->ending)
        return;
    mon->ending = true;
    feed_close(mon->feed);
    uv_close((uv_handle_t *)&mon->keys, NULL);
    for (int i = 0; i < ENDS; i++)
        uv_close((uv_handle_t *)&mon->ends[i], NULL);
    uv_close((uv_handle_t *)&mon->resized, NULL);
}

/* ---- the master tells ---------------------------------------------------------------------------- */

static void on_part(void *owner, const char *json)
{
    struct monitor *mon = owner;
    if (model_feed(&mon->model, json))
        draw(mon);
}

static void on_lost(void *owner, const char *why)
{
    struct monitor *mon = owner;
    model_lose(&mon->model, why);
    draw(mon);
}

static void on_told(void *owner, const char *text)
{
    struct monitor *mon = owner;
    text_copy(mon->note, sizeof mon->note, text);
    draw(mon);
}

static const struct feed_events feed_events = {on_part, on_lost, on_told};

/* ---- the person tells ---------------------------------------------------------------------------- */

static void take_press(struct monitor *mon, enum press press, char letter)
{
    const char *action;
    int64_t slave;
    mon->note[0] = '\0';
    switch (menu_press(&mon->menu, &mon->model, press, letter, screen_page(mon->screen), &action, &slave)) {
    case WISH_QUIT: end(mon); break;
    case WISH_ACT: feed_act(mon->feed, action, slave); break;
    default: break;
    }
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
    struct monitor *mon = container_of(poll, struct monitor, keys);
    enum press press;
    unsigned count = 0;
    char letter;
    while (status == 0 && !mon->ending && screen_press(mon->screen, &press, &letter)) {
        take_press(mon, press, letter);
        count++;
    }
    mon->empty = count ? 0 : mon->empty + 1;
    if (status < 0 || mon->empty > MAX_EMPTY)
        end(mon);
    draw(mon);
}

static void on_end_signal(uv_signal_t *signal, int number)
{
    end(signal->data);
}

static void on_resized(uv_signal_t *signal, int number)
{
    struct monitor *mon = signal->data;
    screen_resize(mon->screen);
    draw(mon);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static void watch_signal(struct monitor *mon, uv_signal_t *signal, int number, uv_signal_cb heard)
{
    uv_signal_init(&mon->loop, signal);
    signal->data = mon;
    uv_signal_start(signal, heard, number);
}

int monitor_run(const char *path, char *why, size_t why_size)
{
    static const int end_signals[ENDS] = {SIGTERM, SIGINT, SIGHUP};
    struct monitor mon = {.ending = false};
    setlocale(LC_CTYPE, "");
    int error = screen_open(&mon.screen, why, why_size);
    if (error)
        return error;
    model_init(&mon.model);
    text_copy(mon.model.trouble, sizeof mon.model.trouble, "connecting with the master");
    uv_loop_init(&mon.loop);
    for (int i = 0; i < ENDS; i++)
        watch_signal(&mon, &mon.ends[i], end_signals[i], on_end_signal);
    watch_signal(&mon, &mon.resized, SIGWINCH, on_resized);
    uv_poll_init(&mon.loop, &mon.keys, screen_keys_fd(mon.screen));
    uv_poll_start(&mon.keys, UV_READABLE, on_keys);
    mon.feed = feed_open(&mon.loop, path, &feed_events, &mon);
    draw(&mon);
    uv_run(&mon.loop, UV_RUN_DEFAULT);
    uv_loop_close(&mon.loop);
    screen_close(mon.screen);
    model_release(&mon.model);
    return 0;
}
