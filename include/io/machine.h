/*
 * How this machine fares: load, memory, disk, temperature.
 */
#ifndef IO_MACHINE_H
#define IO_MACHINE_H

#include <stddef.h>

#include "io/message.h"

/* `dir` lies on the file system that matters. What is not to be had stays 0. */
void machine_read(const char *dir, struct rec_machine *to);

/* Reads the beginning of a file whose size is not known beforehand, as in /proc. "" when there is none. */
void machine_text(const char *path, char *to, size_t size);

#endif
