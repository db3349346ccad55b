/*
 * The system calls that a build may not make, as a program for the kernel (seccomp(2)).
 */
#ifndef SLAVE_FILTER_H
#define SLAVE_FILTER_H

#include <stddef.h>

struct filter {
    void *program;   /* BPF, as bwrap's --seccomp reads it */
    size_t size_bytes;
};

/* 0, or -errno with `why`. Release only after success. Blocks. */
int filter_make(struct filter *f, char *why, size_t why_size);
void filter_release(struct filter *f);

/* A new descriptor from which the program can be read once. -errno on failure. */
int filter_open(const struct filter *f);

#endif
