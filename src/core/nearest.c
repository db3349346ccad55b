/*
 * "Did you mean …?", for options, keys, variables and commands.
 *
 * The distance is that of optimal string alignment: a table of which three rows are kept, the last
 * two because a swap of neighbours looks back two.
 */
#include "core/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define LONGEST_NAME 100 /* nothing of ours is longer */

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][LONGEST_NAME + 1];

    for (unsigned j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *second_above = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            row[j] = min(above[j], row[j - 1]) + 1;
            row[j] = min(row[j], above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = min(row[j], second_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *nearest_name(const char *typed, const char *const *known, size_t count)
{
    size_t typed_len = strlen(typed);
    const char *best = NULL;
    unsigned best_distance = 0;

    if (typed_len > LONGEST_NAME)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(known[i]);
        if (len > LONGEST_NAME)
            continue;
        unsigned longer = (unsigned)(len > typed_len ? len : typed_len);
        unsigned allowed = longer / 3 > 2 ? longer / 3 : 2;
        unsigned found = distance(typed, typed_len, known[i], len);
        if (found <= allowed && (best == NULL || found < best_distance)) {
            best = known[i];
            best_distance = found;
        }
    }
    return best;
}
