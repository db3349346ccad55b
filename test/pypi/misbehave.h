/*
 * What the behaviour table asks for instead of a good answer.
 */
#ifndef PYPI_MISBEHAVE_H
#define PYPI_MISBEHAVE_H

#include "exchange.h"

/* Spoils the good answer that the exchange has, where a row of the table says so. */
void misbehave(struct exchange *x);

#endif
