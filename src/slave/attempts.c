/*
 * The list of attempts, and what is done to all of them. session.c keeps it.
 */
#include "attempts.h"

void attempts_add(struct attempts *l, struct attempt *a)
{
    a->next = l->first;
    l->first = a;
    l->count++;
}

void attempts_remove(struct attempts *l, struct attempt *a)
{
    struct attempt **link = &l->first;
    while (*link != a)
        link = &(*link)->next;
    *link = a->next;
    l->count--;
}

struct attempt *attempts_find(const struct attempts *l, uint64_t id)
{
    struct attempt *a = l->first;
    while (a != NULL && a->id != id)
        a = a->next;
    return a;
}

unsigned attempts_in(const struct attempts *l, enum attempt_state state)
{
    unsigned count = 0;
    for (const struct attempt *a = l->first; a != NULL; a = a->next)
        count += a->state == state;
    return count;
}

struct attempt *attempts_give_up_newest(struct attempts *l, const char *reason, const char *detail)
{
    struct attempt *newest = NULL;

    for (struct attempt *a = l->first; a != NULL; a = a->next) {
        if (a->state == ATTEMPT_ENDING || attempt_given_up(a))
            return NULL; /* it will make room */
        if (newest == NULL && a->state == ATTEMPT_BUILDING)
            newest = a;
    }
    if (newest != NULL)
        attempt_give_up(newest, reason, detail);
    return newest;
}

void attempts_connected(struct attempts *l, struct wire *w, int64_t lease_ms)
{
    for (struct attempt *a = l->first; a != NULL; a = a->next)
        attempt_connected(a, w, lease_ms);
}

void attempts_disconnected(struct attempts *l)
{
    for (struct attempt *a = l->first; a != NULL; a = a->next)
        attempt_disconnected(a);
}

/* Each in turn is the first: one large file must not keep all else waiting. */
void attempts_drained(struct attempts *l)
{
    unsigned at = 0, turn = l->count > 0 ? l->turn++ % l->count : 0;

    for (struct attempt *a = l->first; a != NULL; a = a->next)
        if (at++ >= turn)
            attempt_drained(a);
    at = 0;
    for (struct attempt *a = l->first; a != NULL && at++ < turn; a = a->next)
        attempt_drained(a);
}

void attempts_tick(struct attempts *l)
{
    for (struct attempt *a = l->first; a != NULL; a = a->next)
        attempt_tick(a);
}

void attempts_end(struct attempts *l)
{
    for (struct attempt *a = l->first; a != NULL; a = a->next)
        attempt_end(a);
}
