/*
 * The terminal's half of the monitor: the master and its slaves in a list, one of them in detail, and what can be
 * done to them.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <stddef.h>

/* Runs until the person quits or a signal ends it. `path` of the control socket; NULL: the usual places, looked at again
 * for every connection. The terminal is as it was when it returns. 0, or -errno with `why` when there is no terminal
 * that it could use. */
int monitor_run(const char *path, char *why, size_t why_size);

#endif
