/*
 * RECORD: the list of a wheel's files with their hashes.
 */
#ifndef WHEEL_RECORD_H
#define WHEEL_RECORD_H

#include "archive.h"

/* Holds every member's bytes against RECORD. 0, or the error with its reason. */
int record_check(struct archive *a, const char *folder);

#endif
