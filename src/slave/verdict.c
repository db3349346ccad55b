/*
 * Why a build failed: a table of what compilers, Python and pip say, the most certain first. build.c asks
 * when pip's exit status is not 0.
 *
 * What is the farm's is tried again, what is the package's is not, so only words that a package cannot
 * honestly cause count as the farm's. A setup.py that tries to download something fails with network errors
 * as well: hence pip's own words only.
 */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define DETAIL_MAX_BYTES 1000
#define RAW_MAX_BYTES 4000 /* before it is cleaned and cut */

struct line {
    const char *start;
    size_t len;
};

struct rule {
    const char *words;     /* the line that holds them is the detail */
    const char *besides;   /* must stand somewhere in the log too, or NULL */
    bool own;              /* the line must name the requirement itself, not one of its build requirements */
    const char *outcome, *reason;
};

#define NOT_FOUND "No matching distribution found for"
/* pip's last attempt at a request: behind it there is nothing but failure. */
#define RETRIES_USED_UP "WARNING: Retrying (Retry(total=0"

static const struct rule rules[] = {
    {"No space left on device", NULL, false, "farm", "disk"},
    {"Disk quota exceeded", NULL, false, "farm", "disk"},
    {"Killed signal terminated program", NULL, false, "farm", "killed"},
    {"THESE PACKAGES DO NOT MATCH THE HASHES", NULL, false, "farm", "wrong hash"},
    {"require a different python version", NOT_FOUND, false, "failed", "requires python"},
    {"requires a different Python", NULL, false, "failed", "requires python"},
    {NOT_FOUND, RETRIES_USED_UP, false, "farm", "network"},
    {"Could not install packages due to an OSError: HTTP", NULL, false, "farm", "network"},
    {"ERROR: HTTP error 5", NULL, false, "farm", "network"},
    {"ERROR: HTTP error 429", NULL, false, "farm", "network"},
    {"pip._vendor.urllib3.exceptions.", NULL, false, "farm", "network"},
    {"pip._vendor.requests.exceptions.", NULL, false, "farm", "network"},
    {NOT_FOUND, NULL, true, "failed", "no sdist"},
    {"ERROR: HTTP error 404", NULL, false, "failed", "no sdist"},
    {NOT_FOUND, NULL, false, "failed", "build requirement"},
    {"Python.h: No such file or directory", NULL, false, "farm", "no python3-dev"},
    {"is invalid: ", "Built wheel for ", false, "failed", "bad wheel"},
    {"failed: [Errno 2] No such file", "WARNING: Building wheel for ", false, "failed", "no wheel"},
    {"fatal error:", NULL, false, "failed", "compile"},
    {": error:", NULL, false, "failed", "compile"},
    {"error[E", NULL, false, "failed", "compile"},
    {"CMake Error", NULL, false, "failed", "compile"},
    {"undefined reference to", NULL, false, "failed", "compile"},
    {"MemoryError", NULL, false, "failed", "memory"},
    {"Error: ", NULL, false, "failed", "setup"},
    {"error: command '", NULL, false, "failed", "compile"},
    {"ERROR: ", NULL, false, "failed", "setup"},
    {"error: ", NULL, false, "failed", "setup"},
};

/* What pip says around every failure, which tells nothing. */
static const char *const noise[] = {
    "subprocess-exited-with-error", "metadata-generation-failed", "legacy-install-failure",
    "This error originates from a subprocess", "ERROR: Failed building wheel for", "ERROR: Failed to build",
};

void verdict_set(struct verdict *v, const char *outcome, const char *reason, const char *format, ...)
{
    char raw[RAW_MAX_BYTES + 1];
    va_list args;

    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    char *clean = text_clean(raw, strlen(raw), DETAIL_MAX_BYTES);
    v->outcome = outcome;
    text_copy(v->reason, sizeof v->reason, reason);
    text_copy(v->detail, sizeof v->detail, clean);
    free(clean);
}

/* The line around `at`, without the blanks at its ends. */
static struct line line_around(const char *log, size_t log_len, const char *at)
{
    const char *before = memrchr(log, '\n', (size_t)(at - log));
    const char *start = before == NULL ? log : before + 1;
    const char *end = memchr(at, '\n', (size_t)(log + log_len - at));
    if (end == NULL)
        end = log + log_len;
    while (start < end && strchr(" \t\r", *start) != NULL)
        start++;
    while (end > start && strchr(" \t\r", end[-1]) != NULL)
        end--;
    return (struct line){start, (size_t)(end - start)};
}

static bool line_has(struct line line, const char *words)
{
    return memmem(line.start, line.len, words, strlen(words)) != NULL;
}

static bool is_noise(struct line line)
{
    for (size_t i = 0; i < COUNT_OF(noise); i++)
        if (line_has(line, noise[i]))
            return true;
    return false;
}

/* Whether the rule holds; then `line` is the first line that shows it. */
static bool rule_holds(const struct rule *r, const char *log, size_t len, const char *requirement,
                       struct line *line)
{
    const char *at = log;

    if (r->besides != NULL && memmem(log, len, r->besides, strlen(r->besides)) == NULL)
        return false;
    while ((at = memmem(at, (size_t)(log + len - at), r->words, strlen(r->words))) != NULL) {
        *line = line_around(log, len, at);
        if (!is_noise(*line) && (!r->own || line_has(*line, requirement)))
            return true;
        at += strlen(r->words);
    }
    return false;
}

static struct line last_line(const char *log, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", log[len - 1]) != NULL)
        len--;
    return line_around(log, len, log + len);
}

void verdict_from_log(struct verdict *v, const char *log, size_t len, const char *requirement)
{
    const char *outcome = "failed", *reason = "setup";
    struct line line = last_line(log, len);

    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rule_holds(&rules[i], log, len, requirement, &line)) {
            outcome = rules[i].outcome;
            reason = rules[i].reason;
            break;
        }
    if (line.len == 0)
        verdict_set(v, outcome, reason, "pip failed and said nothing");
    else
        verdict_set(v, outcome, reason, "%.*s", line.len < RAW_MAX_BYTES ? (int)line.len : RAW_MAX_BYTES,
                    line.start);
}
