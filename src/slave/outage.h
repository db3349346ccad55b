/*
 * Whether the index is worth another try: while it does not answer as it should, each build would only cost its package one
 * of its tries.
 */
#ifndef SLAVE_OUTAGE_H
#define SLAVE_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "verdict.h"

struct outage {           /* zeroed at first */
    int64_t rest_ms;      /* the present rest, or the last one; 0: the last build got what it wanted */
    int64_t until_ms;     /* steady clock */
};

/* A build has ended so. The first that failed for want of the index begins a rest of five seconds, each further one that began
 * after the last rest doubles it, up to ten minutes; one that got what it wanted ends all. */
void outage_note(struct outage *o, const struct verdict *v, int64_t began_ms, int64_t now_ms);

bool outage_rests(const struct outage *o, int64_t now_ms);

#endif
