/*
 * `piwheels rebuild`: has built again what failed, was parked or is built; or, with --pages, pages written again.
 */
#include <stdio.h>
#include <string.h>

#include "core/memory.h" /* COUNT_OF */
#include "order.h"
#include "python.h"

/* ---- pages ---- */

static void write_pages(const void *owner, const json_t *told)
{
    printf("Pages to be written again: %lld\n", order_number(told, "pages"));
}

static int rewrite_pages(const struct options *o)
{
    const char *kind = option_text(o, OPT_argv_pages);
    const char *name = o->word_count > 0 ? o->words[0] : "";
    json_t *pieces;

    if (o->word_count > 1 || option_given(o, OPT_argv_target) || (name[0] != '\0' && !python_name_valid(name)))
        return command_usage_error(&command_rebuild, "--pages takes the name of one package, or none for all");
    struct message m = {.verb = VERB_REWRITE, .rewrite = {.version = PIWHEELS_VERSION, .kind = kind, .package = name}};
    int status = order_ask(&command_rebuild, o, &m, &pieces);
    return status == EXIT_OK ? order_tell(o, pieces, write_pages, NULL) : status;
}

/* ---- builds ---- */

static void write_asked(const void *owner, const json_t *answer)
{
    const struct order_subject *s = owner;
    const json_t *asked = json_object_get(answer, "asked"), *a;
    size_t i;

    json_array_foreach(asked, i, a)
        printf("%s %s for %s: %s (%s)\n", s->name, order_text(a, "version"), order_text(a, "target"), order_text(a, "state"),
               order_text(a, "reason"));
    if (order_number(answer, "versions") > 0 && i == 200)
        puts("… and others; piwheels queue tells how much there is.");
}

static int ask(const struct options *o, const struct order_subject *s, bool sure, json_t **pieces)
{
    const char *target = option_text(o, OPT_argv_target);
    struct message m = {.verb = VERB_REBUILD, .rebuild = {
        .version = PIWHEELS_VERSION, .package = s->name, .release = s->release,
        .target = target != NULL ? target : "", .sure = sure}};

    return order_ask(&command_rebuild, o, &m, pieces);
}

/* First how much it is. */
static int consider(const struct options *o, const struct order_subject *s)
{
    json_t *pieces;
    int status = ask(o, s, false, &pieces);

    if (status != EXIT_OK)
        return status;
    const json_t *told = json_array_get(pieces, 0);
    if (order_number(told, "versions") == 0)
        status = command_trouble(&command_rebuild, "nothing of %s failed, was parked or is built there; piwheels explain %s "
                                 "tells how it stands", s->name, s->name);
    else
        status = order_confirm(&command_rebuild, o, "Versions of %s to be built again: %lld (built %lld, failed %lld, parked "
                               "%lld). They go before all that nobody asked for by hand.", s->name,
                               order_number(told, "versions"), order_number(told, "built"), order_number(told, "failed"),
                               order_number(told, "parked"));
    json_decref(pieces);
    return status;
}

static int rebuild(const struct options *o)
{
    struct order_subject s;
    json_t *pieces;
    int status = order_subject(&command_rebuild, o, &s);

    if (status == EXIT_OK)
        status = consider(o, &s);
    if (status == EXIT_OK)
        status = ask(o, &s, true, &pieces);
    return status == EXIT_OK ? order_tell(o, pieces, write_asked, &s) : status;
}

static bool was_a_page(const char *word)
{
    static const char *const pages[] = {"simple", "index", "project", "home", "root", "search", "logs"};

    for (unsigned i = 0; i < COUNT_OF(pages); i++)
        if (strcmp(word, pages[i]) == 0)
            return true;
    return false;
}

static int run(const struct options *o)
{
    if (option_given(o, OPT_argv_pages))
        return rewrite_pages(o);
    if (o->word_count == 0)
        return command_usage_error(&command_rebuild, "name the package whose builds are to be done again, or give --pages");
    if (o->word_count == 2 && was_a_page(o->words[0]))
        return command_usage_error(&command_rebuild, "pages are written again with: piwheels rebuild --pages %s %s",
                                   strcmp(o->words[0], "simple") == 0 ? "index" : "project", o->words[1]);
    return rebuild(o);
}

static const char *const aliases[] = {"piw-rebuild", NULL};

const struct command command_rebuild = {
    .name = "rebuild",
    .aliases = aliases,
    .usage = "NAME[==VERSION] | --pages WHAT [NAME]",
    .summary = "build again what failed or is built, or write pages again",
    .description = "Has built again what failed, was parked or is built of a package, of one version, on one target. With "
                   "both VERSION and --target it is built there whatever PyPI has, unless Requires-Python excludes it. "
                   "A published file never changes its bytes: what comes out otherwise is published beside it, under the "
                   "next build tag.\n\n"
                   "piw-rebuild of the Python original wrote pages: \"piw-rebuild simple NAME\" is now \"piwheels rebuild "
                   "--pages index NAME\", \"project\" is --pages project, \"home\" --pages home; without NAME the pages of all "
                   "packages are written.",
    .bit = FOR_REBUILD,
    .max_words = 2,
    .run = run,
};
