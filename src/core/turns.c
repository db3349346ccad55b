/*
 * Turns: see core/turns.h. Those that run and those that wait stand in two lines, each in the order in which they came.
 */
#include "core/turns.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/memory.h"

#define TICK_MS 20      /* while somebody waits for the slow */
#define GO_AT_ONCE 4    /* in one turn of the loop, which has other things to do */

struct line {
    struct turn *first, *last;
    unsigned count;
};

struct turns {
    struct turn_limits limits;
    struct line waiting, running;
    uv_timer_t timer;            /* runs while somebody waits */
    unsigned holders;
};

static void append(struct line *line, struct turn *t)
{
    t->before = line->last;
    t->after = NULL;
    *(line->last != NULL ? &line->last->after : &line->first) = t;
    line->last = t;
    line->count++;
}

static void take_out(struct line *line, struct turn *t)
{
    *(t->before != NULL ? &t->before->after : &line->first) = t->after;
    *(t->after != NULL ? &t->after->before : &line->last) = t->before;
    line->count--;
}

static bool is_older(const struct turn *t, uint64_t than_ms)
{
    return clock_steady_ms() - t->begun_ms >= (int64_t)than_ms;
}

static bool has_room(const struct turns *all)
{
    unsigned quick = 0;
    for (const struct turn *t = all->running.last; t != NULL && quick < all->limits.at_once; t = t->before) {
        if (is_older(t, all->limits.slow_ms))
            break;
        quick++;
    }
    return quick < all->limits.at_once && all->running.count < all->limits.most;
}

static void begin(struct turn *t)
{
    t->state = TURN_RUNNING;
    t->begun_ms = clock_steady_ms();
    append(&t->turns->running, t);
}

static void on_timer(uv_timer_t *timer);

static void look_again(struct turns *all)
{
    bool asleep = !uv_is_active((uv_handle_t *)&all->timer);
    if (all->waiting.count > 0 && (asleep || has_room(all)))
        uv_timer_start(&all->timer, on_timer, has_room(all) ? 0 : TICK_MS, 0);
}

/* The oldest makes room if it has had its time. */
static void make_room(struct turns *all)
{
    struct turn *oldest = all->running.first;
    if (all->running.count >= all->limits.most && is_older(oldest, all->limits.patience_ms))
        oldest->late(oldest);
}

static void on_timer(uv_timer_t *timer)
{
    struct turns *all = container_of(timer, struct turns, timer);
    for (unsigned i = 0; i < GO_AT_ONCE && all->waiting.count > 0; i++) {
        make_room(all);
        struct turn *t = all->waiting.first;
        if (t == NULL || !has_room(all))
            break;
        take_out(&all->waiting, t);
        begin(t);
        t->go(t);
    }
    look_again(all);
}

bool turn_ask(struct turn *t, struct turns *turns)
{
    if (t->state != TURN_IDLE)
        return t->state == TURN_RUNNING;
    t->turns = turns;
    if (turns->waiting.count == 0 && has_room(turns)) {
        begin(t);
        return true;
    }
    t->state = TURN_WAITING;
    append(&turns->waiting, t);
    look_again(turns);
    return false;
}

void turn_end(struct turn *t)
{
    if (t->state == TURN_IDLE)
        return;
    take_out(t->state == TURN_WAITING ? &t->turns->waiting : &t->turns->running, t);
    t->state = TURN_IDLE;
    look_again(t->turns);
}

bool turn_waits(const struct turn *t)
{
    return t->state == TURN_WAITING;
}

/* ---- life ---------------------------------------------------------------------------------------- */

struct turns *turns_new(uv_loop_t *loop, const struct turn_limits *limits)
{
    struct turns *t = mem_new(1, sizeof *t);
    t->limits = *limits;
    t->holders = 1;
    uv_timer_init(loop, &t->timer);
    return t;
}

void turns_hold(struct turns *t)
{
    t->holders++;
}

static void on_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct turns, timer));
}

void turns_let_go(struct turns *t)
{
    if (t != NULL && --t->holders == 0)
        uv_close((uv_handle_t *)&t->timer, on_closed);
}

void turns_set_limits(struct turns *t, const struct turn_limits *limits)
{
    t->limits = *limits;
}
