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

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_targets(const json_t *targets)
{
    size_t i;
    json_t *t;
    printf("%-16s %-8s %-20s %8s %8s %8s\n", "TARGET", "ABI", "PLATFORM", "QUEUED", "BUILDING", "PARKED");
    json_array_foreach(targets, i, t) {
        const char *skip = text_of(t, "skip");
        printf("%-16s %-8s %-20s %8lld %8lld %8lld%s%s\n", text_of(t, "name"), text_of(t, "abi"), text_of(t, "platform"),
               number_of(t, "queued"), number_of(t, "building"), number_of(t, "parked"), *skip ? "  skipped: " : "", skip);
    }
}

static void print_builds(const json_t *builds)
{
    size_t i;
    json_t *b;
    char span[CLOCK_TEXT_SIZE];
    json_array_foreach(builds, i, b)
        printf("%s%s %s, %s", i ? "; " : "", text_of(b, "package"), text_of(b, "version"),
               clock_span(number_of(b, "for_ms"), span));
}

static void print_slaves(const json_t *slaves)
{
    size_t i;
    json_t *s;
    printf("\n%-6s %-16s %-10s %s\n", "SLAVE", "LABEL", "STATE", "BUILDS");
    json_array_foreach(slaves, i, s) {
        printf("%-6lld %-16s %-10s ", number_of(s, "slave"), text_of(s, "label"), text_of(s, "state"));
        print_builds(json_object_get(s, "builds"));
        putchar('\n');
    }
    if (json_array_size(slaves) == 0)
        puts("none is connected; start one with: piwheels slave --master ADDRESS");
}

static void print_status(const char *json)
{
    json_t *status = json_loads(json, 0, NULL);
    print_targets(json_object_get(status, "targets"));
    print_slaves(json_object_get(status, "slaves"));
    json_decref(status);
}

static void on_data(void *owner, const char *json)
{
    const struct options *o = owner;
    if (option_flag(o, OPT_argv_json))
        puts(json);
    else
        print_status(json);
}

static int run(const struct options *o)
{
    struct message m = {.verb = VERB_STATUS, .status = {.version = PIWHEELS_VERSION}};
    struct control_answer answer;
    control_ask(option_text(o, OPT_master_control_socket), &m, on_data, (void *)o, &answer);
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
