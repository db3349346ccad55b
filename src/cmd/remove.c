/*
 * `piwheels remove`: forgets a package or a version, or removes what was built of it; its files are withdrawn.
 */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "order.h"

static int ask(const struct options *o, const struct order_subject *s, bool sure, json_t **pieces)
{
    bool builds = option_flag(o, OPT_argv_builds) || option_given(o, OPT_argv_skip);
    struct message m = {.verb = VERB_REMOVE, .remove = {
        .version = PIWHEELS_VERSION, .package = s->name, .release = s->release, .builds = builds, .sure = sure}};

    return order_ask(&command_remove, o, &m, pieces);
}

/* First how much it is. */
static int consider(const struct options *o, const struct order_subject *s)
{
    json_t *pieces;
    int status = ask(o, s, false, &pieces);

    if (status != EXIT_OK)
        return status;
    const json_t *told = json_array_get(pieces, 0);
    const char *what = option_given(o, OPT_argv_skip) ? "What was built of it is removed, and it is skipped" :
                       option_flag(o, OPT_argv_builds) ? "What was built of it is removed, and it is built anew" : "It is forgotten";
    status = order_confirm(&command_remove, o, "%s%s%s: %lld versions, %lld files, %lld builds, %lld of them under way. %s; "
                           "its files are withdrawn.", s->name, s->release[0] != '\0' ? " " : "", s->release,
                           order_number(told, "versions"), order_number(told, "files"),
                           order_number(told, "builds") + order_number(told, "building"), order_number(told, "building"), what);
    json_decref(pieces);
    return status;
}

/* Before anything is removed, so that nothing is built again meanwhile. */
static int skip(const struct options *o, const struct order_subject *s)
{
    char *specifier = s->release[0] != '\0' ? mem_format("===%s", s->release) : mem_text("");
    struct message m = {.verb = VERB_SKIP, .skip = {
        .version = PIWHEELS_VERSION, .package = s->name, .specifier = specifier, .target = "",
        .reason = option_text(o, OPT_argv_skip)}};
    json_t *pieces;
    int status = order_ask(&command_remove, o, &m, &pieces);

    free(specifier);
    json_decref(pieces);
    return status;
}

struct removal {
    struct order_subject subject;
    bool kept;                /* what is known of it */
};

static void write_answer(const void *owner, const json_t *told)
{
    const struct removal *removal = owner;
    const struct order_subject *s = &removal->subject;
    bool comes_back = strcmp(order_text(told, "follows"), "all") == 0 ||
                      (s->release[0] != '\0' && strcmp(order_text(told, "follow"), "no") != 0);

    printf("%s%s%s: %s, %lld file%s withdrawn\n", s->name, s->release[0] != '\0' ? " " : "", s->release,
           removal->kept ? "its builds are removed" : "removed", order_number(told, "files"),
           order_number(told, "files") == 1 ? "" : "s");
    if (!removal->kept && comes_back)
        printf("It is followed: if PyPI has it still, it comes back. To keep it out: piwheels remove %s%s%s --skip REASON\n",
               s->name, s->release[0] != '\0' ? "==" : "", s->release);
}

static int run(const struct options *o)
{
    struct removal r = {.kept = option_flag(o, OPT_argv_builds) || option_given(o, OPT_argv_skip)};
    json_t *pieces;
    int status = order_subject(&command_remove, o, &r.subject);

    if (status == EXIT_OK)
        status = order_check_skip(&command_remove, o);
    if (status == EXIT_OK)
        status = consider(o, &r.subject);
    if (status == EXIT_OK && option_given(o, OPT_argv_skip))
        status = skip(o, &r.subject);
    if (status == EXIT_OK)
        status = ask(o, &r.subject, true, &pieces);
    return status == EXIT_OK ? order_tell(o, pieces, write_answer, &r) : status;
}

static const char *const aliases[] = {"piw-remove", NULL};

const struct command command_remove = {
    .name = "remove",
    .aliases = aliases,
    .usage = "NAME[==VERSION]",
    .summary = "forget a package or a version, and withdraw its files",
    .description = "Forgets a package, or one version of it: it leaves the indexes at once, its files leave the site when "
                   "nobody can hold an index any more that names them, builds under way are stopped. With -b only what was "
                   "built is removed and it is built anew; with -s REASON it is skipped instead, and stays away. It says "
                   "what it is going to do and asks.",
    .bit = FOR_REMOVE,
    .min_words = 1,
    .max_words = 2,
    .run = run,
};
