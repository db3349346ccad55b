/*
 * What became of a build, in the words of the message BUILT: outcome, failure class, and the line that tells
 * a person what went wrong.
 */
#ifndef SLAVE_VERDICT_H
#define SLAVE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

struct verdict {
    const char *outcome;   /* "success", "failed", "farm"; NULL while undecided */
    char reason[65];       /* "compile"; "" on success */
    char detail[1001];     /* UTF-8 without control characters; "" on success */
    char unfound[257];     /* the verdict rests on the index having nothing that fits of this project; else "" */
};

void verdict_set(struct verdict *v, const char *outcome, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Judges a pip that failed by what it printed (NUL-terminated). `requirement` is what pip was asked for,
 * "cffi==1.15.1". Scans all of it several times: for worker threads. */
void verdict_from_log(struct verdict *v, const char *log, size_t len, const char *requirement);

/* Whether what was printed last is pip's own, and about what it wants from the index: it waits for that. */
bool verdict_waits_for_index(const char *log, size_t len);

/* Corrects a verdict about what is `unfound` by what pip printed, with -vv, when it looked for it again: `log` is that of the
 * build, `look` that of the second look. */
void verdict_after_look(struct verdict *v, const char *log, size_t len, const char *look, size_t look_len);

/* A failure that nothing better explains, of a build that was refused connections, is blamed on that. `places`
 * begins with the first, on a line. */
void verdict_blame_refusal(struct verdict *v, const char *places);

#endif
