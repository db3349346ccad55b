/*
 * Turns for handshakes: see handshakes.h. wire_listen.c makes them for a listener, transport_tls.c asks for a turn when a
 * ClientHello is there.
 */
#include "handshakes.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/memory.h"

#define TICK_MS 20      /* while somebody waits for the slow */
#define GO_AT_ONCE 4    /* in one turn of the loop, which has other things to do */

/* Sixty-four keep two processors busy. A round trip around the world, and the arithmetic of a small machine, is a third of a
 * second: of such slaves, too, a thousand are in within three. */
const struct handshake_limits handshake_default_limits = {.at_once = 64, .most = 320, .slow_ms = 200, .patience_ms = 1000};

struct line {
    struct handshake *first, *last;
    unsigned count;
};

struct handshakes {
    struct handshake_limits limits;
    struct line waiting, running; /* each in the order in which they came */
    uv_timer_t timer;            /* runs while somebody waits */
    unsigned holders;
};

static void append(struct line *line, struct handshake *h)
{
    h->before = line->last;
    h->after = NULL;
    *(line->last != NULL ? &line->last->after : &line->first) = h;
    line->last = h;
    line->count++;
}

static void take_out(struct line *line, struct handshake *h)
{
    *(h->before != NULL ? &h->before->after : &line->first) = h->after;
    *(h->after != NULL ? &h->after->before : &line->last) = h->before;
    line->count--;
}

static bool is_older(const struct handshake *h, uint64_t than_ms)
{
    return clock_steady_ms() - h->begun_ms >= (int64_t)than_ms;
}

static bool has_room(const struct handshakes *all)
{
    unsigned quick = 0;
    for (const struct handshake *h = all->running.last; h != NULL && quick < all->limits.at_once; h = h->before) {
        if (is_older(h, all->limits.slow_ms))
            break;
        quick++;
    }
    return quick < all->limits.at_once && all->running.count < all->limits.most;
}

static void begin(struct handshake *h)
{
    h->state = HANDSHAKE_RUNNING;
    h->begun_ms = clock_steady_ms();
    append(&h->all->running, h);
}

static void on_timer(uv_timer_t *timer);

static void look_again(struct handshakes *all)
{
    if (all->waiting.count > 0)
        uv_timer_start(&all->timer, on_timer, has_room(all) ? 0 : TICK_MS, 0);
}

/* The oldest makes room if it has had its time. */
static void make_room(struct handshakes *all)
{
    struct handshake *oldest = all->running.first;
    if (all->running.count >= all->limits.most && is_older(oldest, all->limits.patience_ms))
        oldest->late(oldest);
}

static void on_timer(uv_timer_t *timer)
{
    struct handshakes *all = container_of(timer, struct handshakes, timer);
    for (unsigned i = 0; i < GO_AT_ONCE && all->waiting.count > 0; i++) {
        make_room(all);
        struct handshake *h = all->waiting.first;
        if (h == NULL || !has_room(all))
            break;
        take_out(&all->waiting, h);
        begin(h);
        h->go(h);
    }
    look_again(all);
}

bool handshake_ask(struct handshake *h)
{
    struct handshakes *all = h->all;
    if (all == NULL || h->state == HANDSHAKE_RUNNING)
        return true;
    if (h->state == HANDSHAKE_WAITING)
        return false;
    if (all->waiting.count == 0 && has_room(all)) {
        begin(h);
        return true;
    }
    h->state = HANDSHAKE_WAITING;
    append(&all->waiting, h);
    if (all->waiting.count == 1)
        look_again(all);
    return false;
}

void handshake_end(struct handshake *h)
{
    if (h->state == HANDSHAKE_SILENT)
        return;
    take_out(h->state == HANDSHAKE_WAITING ? &h->all->waiting : &h->all->running, h);
    h->state = HANDSHAKE_SILENT;
    look_again(h->all);
}

/* ---- life ---------------------------------------------------------------------------------------- */

struct handshakes *handshakes_new(uv_loop_t *loop)
{
    struct handshakes *all = mem_new(1, sizeof *all);
    all->limits = handshake_default_limits;
    all->holders = 1;
    uv_timer_init(loop, &all->timer);
    return all;
}

void handshakes_hold(struct handshakes *all)
{
    all->holders++;
}

static void on_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct handshakes, timer));
}

void handshakes_let_go(struct handshakes *all)
{
    if (all != NULL && --all->holders == 0)
        uv_close((uv_handle_t *)&all->timer, on_closed);
}

void handshakes_set_limits(struct handshakes *all, const struct handshake_limits *limits)
{
    all->limits = *limits;
}
