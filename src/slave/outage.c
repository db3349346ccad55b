/*
 * Rests while the index does not answer as it should: see outage.h. session.c tells of every build's end.
 */
#include "outage.h"

#include <string.h>

#define FIRST_REST_MS 5000
#define LONGEST_REST_MS 600000

void outage_note(struct outage *o, const struct verdict *v, int64_t began_ms, int64_t now_ms)
{
    if (v->outcome == NULL)
        return; /* it was ended from outside */
    if (strcmp(v->outcome, "farm") != 0) {
        *o = (struct outage){0};
        return;
    }
    if (strcmp(v->reason, "network") != 0 || began_ms < o->until_ms)
        return; /* of several that ran at once one tells enough */
    o->rest_ms = o->rest_ms == 0 ? FIRST_REST_MS : o->rest_ms * 2;
    if (o->rest_ms > LONGEST_REST_MS)
        o->rest_ms = LONGEST_REST_MS;
    o->until_ms = now_ms + o->rest_ms;
}

bool outage_rests(const struct outage *o, int64_t now_ms)
{
    return now_ms < o->until_ms;
}
