/*
 * Reads what the probe of slave_ask_python (slave.h) prints; apart, so that it can be tested.
 */
#ifndef SLAVE_ASK_H
#define SLAVE_ASK_H

#include "slave.h"

/* "yes cp311 linux_x86_64 3.11.2", or "no REASON". 0, or -EINVAL with `why`. Cuts `answer` up. */
int python_read_answer(char *answer, struct slave_python *out, char *why, size_t why_size);

#endif
