/*
 * `piwheels queue`: how long the queue of each target is, how fast it moves, and what comes next.
 */
#include <stdio.h>

#include "core/clock.h"
#include "order.h"

static void write_span(const char *words, const json_t *seconds)
{
    char span[CLOCK_TEXT_SIZE];

    if (json_is_integer(seconds))
        printf("%s%s", words, clock_span((int64_t)json_integer_value(seconds) * 1000, span));
}

static void write_first(const json_t *jobs)
{
    char span[CLOCK_TEXT_SIZE];
    const json_t *job;
    size_t i;

    json_array_foreach(jobs, i, job)
        printf("  %2zu  %s %s, waits for %s%s\n", i + 1, order_text(job, "package"), order_text(job, "version"),
               clock_span(order_number(job, "waits_s") * 1000, span),
               json_is_true(json_object_get(job, "by_hand")) ? ", asked for by hand" : "");
}

static void write_target(const json_t *t)
{
    const json_t *empty = json_object_get(t, "empty_s");
    long long ended = order_number(t, "builds_hour"), farm = order_number(t, "farm_hour");

    printf("%s: %lld waiting for a slave, %lld being built", order_text(t, "name"), order_number(t, "waiting"),
           order_number(t, "building"));
    if (order_text(t, "skip")[0] != '\0')
        printf("; skipped: %s", order_text(t, "skip"));
    printf("\n  %lld to be read from PyPI first, %lld to be tried later, %lld parked for a person\n",
           order_number(t, "info"), order_number(t, "later"), order_number(t, "parked"));
    printf("  last hour: %lld built or failed, %lld lost by the farm", ended, farm);
    write_span("; the oldest waits for ", json_object_get(t, "oldest_s"));
    if (json_is_integer(empty) && json_integer_value(empty) > 0)
        write_span("; empty in ", empty);
    putchar('\n');
    write_first(json_object_get(t, "first"));
}

static void write_queue(const void *owner, const json_t *told)
{
    const json_t *t;
    size_t i;

    json_array_foreach(json_object_get(told, "targets"), i, t)
        write_target(t);
    if (i == 0)
        puts("There is no target yet; add one: piwheels target add NAME --native");
}

static int run(const struct options *o)
{
    const char *target = option_text(o, OPT_argv_target);
    struct message m = {.verb = VERB_QUEUE, .queue = {.version = PIWHEELS_VERSION, .target = target != NULL ? target : ""}};
    json_t *pieces;
    int status = order_ask(&command_queue, o, &m, &pieces);

    return status == EXIT_OK ? order_tell(o, pieces, write_queue, NULL) : status;
}

static const char *const aliases[] = {NULL};

const struct command command_queue = {
    .name = "queue",
    .aliases = aliases,
    .usage = "",
    .summary = "show how long the queues are, and what is next",
    .description = "Shows for each target how many builds wait, need something first, are parked or under way, counted "
                   "exactly; how old the oldest is, how fast the queue moves, and its first ten builds.",
    .bit = FOR_QUEUE,
    .max_words = 0,
    .run = run,
};
