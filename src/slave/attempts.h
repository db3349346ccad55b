/*
 * The attempts that a slave holds, at most as many as it has places: the newest first.
 */
#ifndef SLAVE_ATTEMPTS_H
#define SLAVE_ATTEMPTS_H

#include "attempt.h"

struct attempts {
    struct attempt *first;
    unsigned count;
    unsigned turn;    /* who is served first when the connection has room again */
};

void attempts_add(struct attempts *l, struct attempt *a);
void attempts_remove(struct attempts *l, struct attempt *a);
struct attempt *attempts_find(const struct attempts *l, uint64_t id);   /* NULL when it is not ours, or not any more */

/* How many are in this state. */
unsigned attempts_in(const struct attempts *l, enum attempt_state state);

/* Ends the newest that still builds as a failure of the farm, unless one is being ended so already. Returns it, or NULL. */
struct attempt *attempts_give_up_newest(struct attempts *l, const char *reason, const char *detail);

/* To all of them, as attempt.h has it for one. */
void attempts_connected(struct attempts *l, struct wire *w, int64_t lease_ms);
void attempts_disconnected(struct attempts *l);
void attempts_drained(struct attempts *l);
void attempts_tick(struct attempts *l);
void attempts_end(struct attempts *l);

#endif
