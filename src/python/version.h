/*
 * A version taken apart (PEP 440). The parts point into the text, so nothing is allocated and numbers may
 * have any length: they stay digits, without their leading zeros, and the empty one is nought.
 */
#ifndef PYTHON_VERSION_H
#define PYTHON_VERSION_H

#include <stdbool.h>

#include "span.h"

enum version_pre { PRE_NONE, PRE_ALPHA, PRE_BETA, PRE_CANDIDATE };

struct version {
    struct span epoch;       /* digits */
    struct span release;     /* "1.02.0" as spelled: at least one number */
    enum version_pre pre;
    struct span pre_number;  /* digits */
    bool has_post;
    struct span post_number; /* digits */
    bool has_dev;
    struct span dev_number;  /* digits */
    struct span local;       /* as spelled, without its '+'; empty when there is none */
};

/* `text` must have no space around it. 0, or -EINVAL. */
int version_parse(struct span text, struct version *to);

int version_compare(const struct version *a, const struct version *b);
bool version_is_prerelease(const struct version *v);

struct version version_public(const struct version *v); /* without its local part */
struct version version_base(const struct version *v);   /* epoch and release alone */

/* Cuts the next number off the release: its digits. False when none is left. */
bool version_next_number(struct span *release, struct span *digits);

#endif
