/*
 * `piwheels unskip`: takes rules of skips back.
 */
#include <stdio.h>
#include <string.h>

#include "order.h"

#define MOST_WORDS (sizeof ((struct msg_unskip *)0)->words.items / sizeof (struct rec_skipped))

static void write_answer(const json_t *one)
{
    long long removed = order_number(one, "removed");

    printf("%s: %lld rule%s taken back\n", order_text(one, "word"), removed, removed == 1 ? "" : "s");
}

static int run(const struct options *o)
{
    struct message m = {.verb = VERB_UNSKIP, .unskip = {.version = PIWHEELS_VERSION}};
    json_t *pieces;
    const json_t *one;
    size_t i;

    if (o->word_count > MOST_WORDS)
        return command_usage_error(&command_unskip, "at most %zu at a time", (size_t)MOST_WORDS);
    m.unskip.words.count = o->word_count;
    for (i = 0; i < o->word_count; i++) {
        if (strlen(o->words[i]) > 255)
            return command_usage_error(&command_unskip, "\"%.40s…\" is neither a rule's number nor a package's name", o->words[i]);
        m.unskip.words.items[i].word = o->words[i];
    }
    int status = order_ask(&command_unskip, o, &m, &pieces);
    if (status != EXIT_OK)
        return status;
    if (option_flag(o, OPT_argv_json))
        order_print_json(pieces);
    else
        json_array_foreach(pieces, i, one)
            write_answer(one);
    json_decref(pieces);
    return EXIT_OK;
}

static const char *const aliases[] = {NULL};

const struct command command_unskip = {
    .name = "unskip",
    .aliases = aliases,
    .usage = "NUMBER|NAME...",
    .summary = "build again what was skipped",
    .description = "Takes back rules that piwheels skip made: one by its number (piwheels skip --list tells them), or all of a "
                   "package by its name. What is not built yet joins the queue.",
    .bit = FOR_UNSKIP,
    .min_words = 1,
    .max_words = OPTIONS_MAX_WORDS,
    .run = run,
};
