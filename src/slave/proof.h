/*
 * The proof of the sandbox: at its start the slave tries each way out that it claims to stop.
 */
#ifndef SLAVE_PROOF_H
#define SLAVE_PROOF_H

#include <stdbool.h>
#include <stdio.h>

#include "sandbox.h"

#define PROOF_MAX_ROWS 32 /* of the message HELLO */

enum proof_result {
    PROOF_STOPPED,    /* leads somewhere outside, and nowhere inside */
    PROOF_UNPROVEN,   /* leads nowhere outside either */
    PROOF_UNCLAIMED,  /* not promised at this level, or with this network */
    PROOF_OPEN,       /* promised, but it leads out */
};

struct proof {
    size_t count;
    struct proof_row {
        const char *name;
        enum proof_result result;
        bool outside, inside;     /* whether it led anywhere */
    } rows[PROOF_MAX_ROWS];
};

struct trial {
    const struct sandbox *sandbox;
    const char *dir;          /* the slave's, in which it is made */
    const char *python;       /* that will build */
};

/* 0, or -errno with `why`: there is no such sandbox on this machine, and what to do about it. No rows without a
 * sandbox. Blocks, for less than a second. */
int proof_make(const struct trial *t, struct proof *p, char *why, size_t why_size);

/* -EPERM with `why` when a row is open. */
int proof_judge(const struct proof *p, char *why, size_t why_size);

void proof_print(const struct proof *p, const struct sandbox *s, FILE *to);
size_t proof_number(const struct proof *p, enum proof_result result);
const char *proof_result_name(enum proof_result result);

#endif
