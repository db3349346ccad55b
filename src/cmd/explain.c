/*
 * `piwheels explain`: why a package is built or not, and what was tried.
 */
#include "explain.h"

#include "order.h"

/* The master's pieces as one object: the first is about the package, each of the others a version. */
static json_t *join(const json_t *pieces)
{
    json_t *answer = json_copy(json_array_get(pieces, 0)), *versions = json_array();

    for (size_t i = 1; i < json_array_size(pieces); i++)
        json_array_append(versions, json_array_get(pieces, i));
    json_object_set_new(answer, "versions", versions);
    return answer;
}

static int run(const struct options *o)
{
    struct order_subject subject;
    json_t *pieces;
    int status = order_subject(&command_explain, o, &subject);

    if (status != EXIT_OK)
        return status;
    const char *target = option_text(o, OPT_argv_target);
    struct message m = {.verb = VERB_EXPLAIN, .explain = {
        .version = PIWHEELS_VERSION, .package = subject.name, .release = subject.release,
        .target = target != NULL ? target : ""}};
    status = order_ask(&command_explain, o, &m, &pieces);
    if (status != EXIT_OK)
        return status;
    json_t *answer = join(pieces);
    json_object_set_new(answer, "named", json_boolean(subject.release[0] != '\0'));
    if (option_flag(o, OPT_argv_json))
        order_print_json(answer);
    else
        explain_write(stdout, answer);
    json_decref(answer);
    json_decref(pieces);
    return EXIT_OK;
}

static const char *const aliases[] = {NULL};

const struct command command_explain = {
    .name = "explain",
    .aliases = aliases,
    .usage = "NAME[==VERSION]",
    .summary = "say why a package is built or not",
    .description = "Says for each target in which state a version is and for what reason, its place in the queue, which "
                   "slaves could build it, what was tried with which outcome and where the logs are. Without VERSION "
                   "it does so for the newest release and for versions that are being built, wait or have failed.",
    .bit = FOR_EXPLAIN,
    .min_words = 1,
    .max_words = 2,
    .run = run,
};
