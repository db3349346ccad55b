/*
 * Facts of the machine that the slave runs on, for IDLE, BUSY and HELLO.
 */
#ifndef SLAVE_MACHINE_H
#define SLAVE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/machine.h"

/* The board, else the processor, else the architecture. */
void machine_hardware(char *to, size_t size);

/* How many builds or compilers this machine should run at once: min(cores, memory / 1 GB), at least 1, as those who ran
 * such a farm found out. And another machine. */
unsigned machine_jobs(void);
unsigned machine_jobs_for(long cores, uint64_t memory_bytes);

/* What the C compiler calls itself ("cc (Debian 12.2.0-14) 12.2.0"), or ""; and the C library ("glibc 2.36"). They
 * block: at start only. */
void machine_compiler(char *to, size_t size);
void machine_libc(char *to, size_t size);

/* Whether a wall clock can be right: before 2026 it cannot. */
bool machine_clock_credible(int64_t wall_ms);

/* Makes a slave's name of any text: letters, digits, '.', '_' and '-', at most 64. Returns whether nothing
 * had to be changed. */
bool machine_label(const char *text, char label[65]);

#endif
