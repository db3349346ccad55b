/*
 * The changelog over XML-RPC: what was changed, in order.
 */
#ifndef PYPI_CHANGELOG_H
#define PYPI_CHANGELOG_H

#include "exchange.h"

#define CHANGELOG_ROWS_MAX 50000     /* of one answer */

/* Route: POST /pypi. */
void changelog_call(struct exchange *x, const char *word);

/* Answers the call again, with its rows the wrong way round. */
void changelog_reverse(struct exchange *x);

/* The same, with rows that the client has already: those up to the serial it names. */
void changelog_repeat(struct exchange *x);

#endif
