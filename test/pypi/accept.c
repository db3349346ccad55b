/*
 * Which representation of a page a client wants: asked by pages.c with the Accept header.
 */
#include "accept.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* How well a range fits: exactly 3, by its type alone 2, as the range of everything 1; 0: not at all. */
static int specificity(const char *range, size_t len, const char *offer)
{
    if (strlen(offer) == len && strncasecmp(range, offer, len) == 0)
        return 3;
    if (len == 3 && memcmp(range, "*/*", 3) == 0)
        return 1;
    size_t type_len = strcspn(offer, "/") + 1;
    bool any_subtype = len == type_len + 1 && range[len - 1] == '*';
    return any_subtype && strncasecmp(range, offer, type_len) == 0 ? 2 : 0;
}

/* The weight in ";q=0.5"; 1 where none is given. */
static double weight(const char *parameters, const char *end)
{
    for (const char *p = parameters; p < end; p += strcspn(p, ";,")) {
        p += strspn(p, "; \t");
        if (strncasecmp(p, "q=", 2) == 0)
            return strtod(p + 2, NULL);
    }
    return 1;
}

/* What the most specific range that matches says of the offer; 0: not acceptable. */
static double quality(const char *accept, const char *offer)
{
    double q = 0;
    int best = 0;

    for (const char *range = accept; *range; range += *range == ',') {
        range += strspn(range, " \t");
        const char *end = range + strcspn(range, ",");
        size_t len = strcspn(range, "; \t,");
        int match = specificity(range, len, offer);
        if (match > best) {
            best = match;
            q = weight(range + len, end);
        }
        range = end;
    }
    return q;
}

int accept_choose(const char *accept, const char *const *offers, int count)
{
    double best_quality = 0;
    int best = -1;

    for (int i = 0; i < count; i++) {
        double q = quality(accept ? accept : "*/*", offers[i]);
        if (q > best_quality) {
            best_quality = q;
            best = i;
        }
    }
    return best;
}
