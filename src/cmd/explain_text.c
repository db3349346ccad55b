/*
 * From the answer to EXPLAIN to what a person reads: of each version, for each target, the state and its reason, its place in
 * the queue, who could build it, the attempts, and what to do about it.
 */
#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "explain.h"
#include "order.h"

#define MOST_PLACES 10000 /* that are counted */

/* What is written about at the moment. */
struct about {
    FILE *to;
    const char *package, *version;
    const json_t *target;
};

/* ---- the slaves ---- */

static void write_slave(FILE *to, const json_t *slave)
{
    const char *label = order_text(slave, "label"), *now = order_text(slave, "now");

    if (!json_is_true(json_object_get(slave, "may")))
        fprintf(to, "%s could not: %s", label, order_text(slave, "why"));
    else if (strcmp(now, "idle") == 0 || strcmp(now, "sleeping") == 0)
        fprintf(to, "%s could build it now", label);
    else if (strcmp(now, "away") == 0)
        fprintf(to, "%s could build it, but is not connected (last seen %s)", label, order_text(slave, "seen"));
    else
        fprintf(to, "%s could build it next (it is %s)", label, now);
}

static void write_slaves(const struct about *a)
{
    const json_t *slaves = json_object_get(a->target, "slaves"), *one;
    size_t i;

    if (!json_is_array(slaves))
        return;
    if (json_array_size(slaves) == 0) {
        fprintf(a->to, "    no slave is known that builds for %s; start one with: piwheels slave --master ADDRESS\n",
                order_text(a->target, "target"));
        return;
    }
    fputs("    ", a->to);
    json_array_foreach(slaves, i, one) {
        fputs(i > 0 ? "; " : "", a->to);
        write_slave(a->to, one);
    }
    fputc('\n', a->to);
}

/* ---- the attempts ---- */

/* "made with Python 3.11.2, pip 23.0.1, gcc 12.2.0, glibc 2.36; installed for it: setuptools 68.0 (sha256 6fe7cdb3bad2…)" */
static void write_tools(FILE *to, const json_t *record)
{
    const json_t *required = json_object_get(record, "required"), *one;
    size_t i;

    fprintf(to, "      made with Python %s, pip %s, %s, %s on %s", order_text(record, "python"), order_text(record, "pip"),
            order_text(record, "compiler")[0] != '\0' ? order_text(record, "compiler") : "no compiler",
            order_text(record, "libc"), order_text(record, "system"));
    json_array_foreach(required, i, one) {
        const char *sha256 = order_text(one, "sha256");
        fprintf(to, "%s%s %s", i > 0 ? ", " : "; installed for it: ", order_text(one, "name"), order_text(one, "version"));
        if (sha256[0] != '\0')
            fprintf(to, " (sha256 %.12s…)", sha256);
    }
    fputc('\n', to);
}

/* "from sdist sha256 0fea1ac2f0b1…, SOURCE_DATE_EPOCH 1704067200" */
static void write_source(FILE *to, const json_t *attempt, const json_t *record)
{
    const char *sha256 = order_text(attempt, "sdist_sha256");

    if (sha256[0] == '\0' && json_object_get(record, "source_date_epoch") == NULL)
        return;
    fprintf(to, "      from an sdist");
    if (sha256[0] != '\0')
        fprintf(to, " with sha256 %s", sha256);
    if (json_object_get(record, "source_date_epoch") != NULL)
        fprintf(to, ", SOURCE_DATE_EPOCH %lld", order_number(record, "source_date_epoch"));
    fputc('\n', to);
}

/* "in sandbox strict, network index, with at most 3 h, …; it took 40 s of processor time and 52.4 MB of memory" */
static void write_bounds(FILE *to, const json_t *attempt, const json_t *record)
{
    const json_t *limits = json_object_get(record, "limits");
    char time[CLOCK_TEXT_SIZE], silence[CLOCK_TEXT_SIZE], cpu[CLOCK_TEXT_SIZE], took[CLOCK_TEXT_SIZE];

    if (!json_is_object(limits))
        return;
    fprintf(to, "      in sandbox %s, network %s", order_text(record, "sandbox"), order_text(record, "network"));
    if (order_text(record, "override")[0] != '\0')
        fprintf(to, ", with settings of its own (sha256 %.12s…)", order_text(record, "override"));
    fprintf(to, "\n      within %s, %s of silence, %s of processor time, %.1f MB of memory, %.1f MB and %lld files on disk, "
                "%.1f MB of output, %lld processes, %lld open files\n",
            clock_span(order_number(limits, "timeout_ms"), time), clock_span(order_number(limits, "silence_ms"), silence),
            clock_span(order_number(limits, "cpu_ms"), cpu), (double)order_number(limits, "memory_bytes") / 1e6,
            (double)order_number(limits, "disk_bytes") / 1e6, order_number(limits, "disk_files"),
            (double)order_number(limits, "output_bytes") / 1e6, order_number(limits, "processes"),
            order_number(limits, "open_files"));
    fprintf(to, "      it took %s of processor time and %.1f MB of memory\n",
            clock_span(order_number(attempt, "cpu_ms"), took), (double)order_number(attempt, "peak_bytes") / 1e6);
}

static void write_record(FILE *to, const json_t *attempt)
{
    const json_t *record = json_object_get(attempt, "record");

    if (!json_is_object(record))
        return;
    write_tools(to, record);
    write_source(to, attempt, record);
    write_bounds(to, attempt, record);
}

static void write_attempt(FILE *to, const json_t *attempt)
{
    const char *outcome = order_text(attempt, "outcome"), *class = order_text(attempt, "class");
    const char *detail = order_text(attempt, "detail"), *log = order_text(attempt, "log");
    char span[CLOCK_TEXT_SIZE];

    fprintf(to, "    build %lld on %s, %s: %s after %s", order_number(attempt, "build"), order_text(attempt, "slave"),
            order_text(attempt, "started"), strcmp(outcome, "farm") == 0 ? "the farm failed it" :
            strcmp(outcome, "success") == 0 ? "built" : "failed", clock_span(order_number(attempt, "wall_ms"), span));
    if (class[0] != '\0' || detail[0] != '\0')
        fprintf(to, " (%s%s%s)", class, class[0] != '\0' && detail[0] != '\0' ? ": " : "", detail);
    fputc('\n', to);
    if (log[0] != '\0')
        fprintf(to, "      log: %s (piwheels logs %lld)\n", log, order_number(attempt, "build"));
    write_record(to, attempt);
}

static void write_attempts(const struct about *a)
{
    const json_t *attempts = json_object_get(a->target, "attempts"), *one;
    long long more = order_number(a->target, "attempt_count") - (long long)json_array_size(attempts);
    size_t i;

    json_array_foreach(attempts, i, one)
        write_attempt(a->to, one);
    if (more > 0)
        fprintf(a->to, "    and %lld earlier build%s\n", more, more == 1 ? "" : "s");
}

/* The one under way. */
static void write_build(const struct about *a)
{
    if (order_number(a->target, "build") > 0)
        fprintf(a->to, "    since %s; to watch it: piwheels logs %lld\n", order_text(a->target, "since"),
                order_number(a->target, "build"));
}

/* ---- what to do ---- */

static const struct {
    const char *state, *skipped_by; /* NULL: whatever it is */
    const char *advice;             /* ends where the words of `command` go on */
    enum { NOTHING, ADD, REBUILD, SKIPS, UNSKIP_TARGET } command;
} advices[] = {
    {"failed", NULL, "it is tried again when PyPI has another source of it, or now with", REBUILD},
    {"parked", NULL, "it waits for a person to see why; then try it again with", REBUILD},
    {"covered", NULL, "to build it all the same:", REBUILD},
    {"yanked", NULL, "to build it all the same:", ADD},
    {"not wanted", NULL, "to have it built:", ADD},
    {"skipped", "pep440", "to build it all the same:", ADD},
    {"skipped", "rule", "which rules there are:", SKIPS},
    {"skipped", "target", "to take the target up again:", UNSKIP_TARGET},
    {"binary only", NULL, "it is built when PyPI gets its source; nothing is to be done", NOTHING},
    {"quarantined", NULL, "it comes back by itself when PyPI clears it", NOTHING},
};

static void write_advice(const struct about *a)
{
    const char *state = order_text(a->target, "state"), *skipped_by = order_text(a->target, "skipped_by");
    const char *target = order_text(a->target, "target");

    for (size_t i = 0; i < COUNT_OF(advices); i++) {
        if (strcmp(advices[i].state, state) != 0 ||
            (advices[i].skipped_by != NULL && strcmp(advices[i].skipped_by, skipped_by) != 0))
            continue;
        fprintf(a->to, "    %s", advices[i].advice);
        switch (advices[i].command) {
        case NOTHING: break;
        case ADD: fprintf(a->to, " piwheels add %s %s", a->package, a->version); break;
        case REBUILD: fprintf(a->to, " piwheels rebuild %s==%s --target %s", a->package, a->version, target); break;
        case SKIPS: fprintf(a->to, " piwheels skip --list %s", a->package); break;
        case UNSKIP_TARGET: fprintf(a->to, " piwheels target unskip %s", target); break;
        }
        fputc('\n', a->to);
        return;
    }
}

/* ---- the whole ---- */

static void write_target(const struct about *a)
{
    const char *target = order_text(a->target, "target");
    const json_t *place = json_object_get(a->target, "place");

    fprintf(a->to, "  %s: %s (%s)", target, order_text(a->target, "state"), order_text(a->target, "reason"));
    if (json_is_integer(place) && json_integer_value(place) > MOST_PLACES)
        fprintf(a->to, ", beyond the first 10,000 of the queue of %s", target);
    else if (json_is_integer(place))
        fprintf(a->to, ", place %" JSON_INTEGER_FORMAT " of the queue of %s", json_integer_value(place), target);
    fputc('\n', a->to);
    write_build(a);
    write_slaves(a);
    write_attempts(a);
    write_advice(a);
}

static void write_version(FILE *to, const char *package, const json_t *version)
{
    struct about a = {.to = to, .package = package, .version = order_text(version, "version")};
    size_t i;

    fprintf(to, "%s %s\n", package, a.version);
    json_array_foreach(json_object_get(version, "targets"), i, a.target)
        write_target(&a);
    if (i == 0)
        fputs("  no target exists; add one with: piwheels target add NAME --native\n", to);
}

void explain_write(FILE *to, const json_t *answer)
{
    const char *package = order_text(answer, "package");
    const json_t *versions = json_object_get(answer, "versions"), *one;
    long long all = order_number(answer, "version_count"), told = (long long)json_array_size(versions);
    size_t i;

    json_array_foreach(versions, i, one)
        write_version(to, package, one);
    if (all == 0)
        fprintf(to, "%s: PyPI has no release of it that could be built\n", package);
    else if (!json_is_true(json_object_get(answer, "named")) && told < all)
        fprintf(to, "These are the newest release and what is being built, waits or failed: %lld of %lld versions. "
                    "Of another:\npiwheels explain %s==VERSION\n", told, all, package);
}
