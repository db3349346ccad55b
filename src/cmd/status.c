/*
 * `piwheels status`: how the master, its slaves and its queue fare, for people or as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "control.h"
#include "core/clock.h"
#include "core/memory.h"
#include "order.h"

#define MEGA 1000000
#define GIGA 1e9
#define MOST_COUNTED 10000
#define INDENT "                                   "   /* to the column of builds */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* A count that goes no further than 10,000 (piwheels queue counts exactly). */
static void print_count(const json_t *target, const char *key, int width)
{
    long long count = number_of(target, key);
    char text[24];
    snprintf(text, sizeof text, "%lld%s", count, count >= MOST_COUNTED ? "+" : "");
    printf(" %*s", width, text);
}

static void print_targets(const json_t *targets)
{
    static const struct { const char *key; int width; } counts[] = {
        {"queued", 7}, {"building", 8}, {"info", 7}, {"later", 7}, {"parked", 7}};
    size_t i;
    json_t *t;
    printf("%-15s %-7s %-14s %7s %8s %7s %7s %7s\n", "TARGET", "ABI", "PLATFORM", "QUEUED", "BUILDING", "UNREAD", "LATER",
           "PARKED");
    json_array_foreach(targets, i, t) {
        const char *skip = text_of(t, "skip");
        printf("%-15s %-7s %-14s", text_of(t, "name"), text_of(t, "abi"), text_of(t, "platform"));
        for (unsigned k = 0; k < COUNT_OF(counts); k++)
            print_count(t, counts[k].key, counts[k].width);
        printf("%s%s\n", *skip ? "  skipped: " : "", skip);
    }
}

/* Of a slave that may have several, each has a line, down to what is not told one by one. */
static void print_builds(const json_t *s)
{
    const json_t *builds = json_object_get(s, "builds");
    bool several = number_of(s, "jobs") > 1;
    long long count = number_of(s, "build_count"), told = (long long)json_array_size(builds);
    size_t i;
    json_t *b;
    char span[CLOCK_TEXT_SIZE];
    if (several)
        printf("%lld of %lld", count, number_of(s, "jobs"));
    json_array_foreach(builds, i, b) {
        printf("%s%s %s, ", several ? "\n" INDENT : i ? "; " : "", text_of(b, "package"), text_of(b, "version"));
        if (several)
            printf("build %lld, ", number_of(b, "build")); /* as `piwheels logs` wants it */
        fputs(clock_span(number_of(b, "for_ms"), span), stdout);
    }
    if (count > told)
        printf("%s%lld more", several ? "\n" INDENT : "; ", count - told);
    if (text_of(s, "shortage")[0])
        printf("%stakes no new builds:\n" INDENT "%s", count || several ? "\n" INDENT : "", text_of(s, "shortage"));
    if (text_of(s, "warning")[0])
        printf("\n" INDENT "%s", text_of(s, "warning"));
}

static void print_slaves(const json_t *slaves)
{
    size_t i;
    json_t *s;
    printf("\n%-6s %-16s %-10s %s\n", "SLAVE", "LABEL", "STATE", "BUILDS");
    json_array_foreach(slaves, i, s) {
        printf("%-6lld %-16s %-10s ", number_of(s, "slave"), text_of(s, "label"), text_of(s, "state"));
        if (strcmp(text_of(s, "state"), "waiting") == 0)
            printf("key %s; to accept it: piwheels slaves accept %s", text_of(s, "fingerprint"), text_of(s, "label"));
        print_builds(s);
        putchar('\n');
    }
    if (json_array_size(slaves) == 0)
        puts("none is connected; start one with: piwheels slave --master ADDRESS");
}

static void print_master(const json_t *status)
{
    const json_t *master = json_object_get(status, "master"), *hour = json_object_get(status, "builds_hour");
    const json_t *fast = json_object_get(json_object_get(status, "database"), "fast");
    char span[CLOCK_TEXT_SIZE];
    printf("Master       %s, %s for %s, has %lld MB of memory\n", text_of(status, "version"),
           json_is_true(json_object_get(master, "paused")) ? "paused; up" : "up",
           clock_span(number_of(master, "up_ms"), span), number_of(master, "resident_bytes") / MEGA);
    printf("Its machine  load %.2f, memory %.1f GB free, disk %.1f GB free\n",
           (double)number_of(master, "load_milli") / 1000, (double)number_of(master, "memory_free_bytes") / GIGA,
           (double)number_of(master, "disk_free_bytes") / GIGA);
    printf("Last hour    %lld built, %lld failed, %lld lost by the farm; pages to write: %lld%s\n",
           number_of(hour, "success"), number_of(hour, "failed"), number_of(hour, "farm"), number_of(status, "stale_pages"),
           number_of(status, "stale_pages") >= MOST_COUNTED ? "+" : "");
    printf("Last minute  slowest answer of the database %lld ms, of the loop %.1f ms\n", number_of(fast, "worst_ms"),
           (double)number_of(master, "lag_worst_us") / 1000);
}

/* "PyPI         follows all packages, 12 serials behind, answered 3 s ago" */
static void print_pypi(const json_t *pypi)
{
    const char *state = text_of(pypi, "state");
    char span[CLOCK_TEXT_SIZE];

    printf("PyPI         ");
    if (strcmp(state, "off") == 0) {
        puts("its changelog is not read; packages are compared one by one\n");
        return;
    }
    printf("%s packages, at serial %lld, %lld behind", text_of(pypi, "follow"), number_of(pypi, "serial"), number_of(pypi, "lag"));
    if (number_of(pypi, "answered_ms") >= 0)
        printf(", last answer %s ago", clock_span(number_of(pypi, "answered_ms"), span));
    if (strcmp(state, "reading") == 0)
        printf("\n             reads its history at %lld events/s", number_of(pypi, "events_per_s"));
    if (strcmp(state, "reading") == 0 && number_of(pypi, "left_ms") >= 0)
        printf(", %s left", clock_span(number_of(pypi, "left_ms"), span));
    if (strcmp(state, "waiting") == 0)
        printf("\n             stands still: %s; asked again in %s", text_of(pypi, "trouble"),
               clock_span(number_of(pypi, "next_ms"), span));
    puts("\n");
}

static void print_status(const json_t *status)
{
    print_master(status);
    print_pypi(json_object_get(status, "pypi"));
    print_targets(json_object_get(status, "targets"));
    print_slaves(json_object_get(status, "slaves"));
}

/* The parts of a round make one object: the first has everything, the others have more slaves. */
static void on_data(void *owner, const char *json)
{
    json_t **status = owner;
    json_t *part = json_loads(json, 0, NULL);
    json_object_del(part, "more");
    if (*status) {
        json_array_extend(json_object_get(*status, "slaves"), json_object_get(part, "slaves"));
        json_decref(part);
    } else {
        *status = part;
    }
}

static int run(const struct options *o)
{
    struct message m = {.verb = VERB_STATUS, .status = {.version = PIWHEELS_VERSION}};
    struct control_answer answer;
    json_t *status = NULL;
    control_ask(option_text(o, OPT_master_control_socket), &m, on_data, &status, &answer);
    if (answer.good && option_flag(o, OPT_argv_json)) {
        order_print_json(status);
    } else if (answer.good) {
        print_status(status);
    }
    json_decref(status);
    return answer.good ? EXIT_OK : command_trouble(&command_status, "%s", answer.text);
}

static const char *const aliases[] = {NULL};

const struct command command_status = {
    .name = "status",
    .aliases = aliases,
    .usage = "",
    .summary = "show the slaves, their builds and the queue",
    .description = "Asks the running master how things stand.",
    .bit = FOR_STATUS,
    .max_words = 0,
    .run = run,
};
