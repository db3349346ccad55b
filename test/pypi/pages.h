/*
 * The pages of the loopback PyPI, each made anew from the store for every request.
 */
#ifndef PYPI_PAGES_H
#define PYPI_PAGES_H

#include "exchange.h"

void pages_front(struct exchange *x);                      /* for a person who looks in */
void pages_index(struct exchange *x);                      /* /simple/ */
void pages_project(struct exchange *x, const char *name);  /* /simple/NAME/ */
void pages_facts(struct exchange *x, const char *name);    /* /pypi/NAME/json */

#endif
