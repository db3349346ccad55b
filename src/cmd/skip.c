/*
 * `piwheels skip`: makes a rule by which something is built no more, or shows the rules.
 */
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "order.h"
#include "python.h"

/* ---- the list ---- */

static void write_rule(const json_t *rule)
{
    const char *package = order_text(rule, "package"), *target = order_text(rule, "target");
    long long versions = order_number(rule, "versions");

    printf("%lld  %s%s%s%s%s: %s (%lld%s version%s)\n", order_number(rule, "rule"), package[0] != '\0' ? package : "all packages",
           order_text(rule, "specifier"), json_is_true(json_object_get(rule, "prereleases")) ? ", pre-releases only" : "",
           target[0] != '\0' ? ", on " : "", target, order_text(rule, "reason"), versions, versions >= 10000 ? "+" : "",
           versions == 1 ? "" : "s");
}

static int list(const struct options *o)
{
    const char *name = o->word_count > 0 ? o->words[0] : "";
    json_t *pieces;
    const json_t *rule;
    size_t i;

    if (name[0] != '\0' && !python_name_valid(name))
        return command_usage_error(&command_skip, "\"%s\" is no package's name", name);
    struct message m = {.verb = VERB_SKIPS, .skips = {.version = PIWHEELS_VERSION, .package = name}};
    int status = order_ask(&command_skip, o, &m, &pieces);
    if (status != EXIT_OK)
        return status;
    const json_t *rules = json_object_get(json_array_get(pieces, 0), "rules");
    if (option_flag(o, OPT_argv_json))
        order_print_json(rules);
    else if (json_array_size(rules) == 0)
        puts("Nothing is skipped by a rule; targets have their own skips: piwheels target list");
    else
        json_array_foreach(rules, i, rule)
            write_rule(rule);
    json_decref(pieces);
    return EXIT_OK;
}

/* ---- a rule ---- */

/* What the word and the options say; the texts of `m` point into `r` and the options. */
static int read_rule(const struct options *o, struct requirement *r, struct msg_skip *m)
{
    char why[256];
    const char *reason = option_text(o, OPT_argv_reason), *target = option_text(o, OPT_argv_target);
    bool all = option_flag(o, OPT_argv_all), pre = option_flag(o, OPT_argv_pre);

    if (all == (o->word_count > 0))
        return command_usage_error(&command_skip, "give either a package's name or --all");
    if (all && !pre)
        return command_usage_error(&command_skip, "of all packages only the pre-releases can be skipped: --pre --all; to stop "
                                   "a target: piwheels target skip NAME REASON");
    if (reason == NULL || reason[0] == '\0')
        return command_usage_error(&command_skip, "give a --reason: whoever finds no wheel will read it");
    if (strlen(reason) > 255)
        return command_usage_error(&command_skip, "the reason is longer than 255 bytes");
    if (!all && python_requirement_parse(o->words[0], r, why, sizeof why) != 1)
        return command_usage_error(&command_skip, "\"%s\" is no package's name, with or without versions such as \"numpy<1.20\"",
                                   o->words[0]);
    if (!all && r->specifiers[0] != '\0' && python_specifiers_match(r->specifiers, "1", true) < 0)
        return command_usage_error(&command_skip, "\"%s\" does not tell which versions; right are \"<2\" and \">=1.5,!=1.6\"",
                                   r->specifiers);
    *m = (struct msg_skip){.version = PIWHEELS_VERSION, .package = all ? "" : r->name, .specifier = all ? "" : r->specifiers,
                           .target = target != NULL ? target : "", .prereleases = pre, .reason = reason};
    return EXIT_OK;
}

static int make(const struct options *o)
{
    struct requirement r = {.specifiers = ""};
    struct message m = {.verb = VERB_SKIP};
    json_t *pieces;
    int status = read_rule(o, &r, &m.skip);

    if (status == EXIT_OK)
        status = order_ask(&command_skip, o, &m, &pieces);
    if (status != EXIT_OK)
        return status;
    if (option_flag(o, OPT_argv_json)) {
        order_print_json(json_array_get(pieces, 0));
    } else {
        fputs("Skipped by rule ", stdout);
        write_rule(json_array_get(pieces, 0));
    }
    json_decref(pieces);
    return EXIT_OK;
}

static int run(const struct options *o)
{
    return option_flag(o, OPT_argv_list) ? list(o) : make(o);
}

static const char *const aliases[] = {NULL};

const struct command command_skip = {
    .name = "skip",
    .aliases = aliases,
    .usage = "NAME[SPECIFIER] --reason TEXT | --pre --all --reason TEXT | --list [NAME]",
    .summary = "build no more of a package or of some versions",
    .description = "Makes a rule by which a package, the versions that a specifier fits (\"numpy<1.20\"), one target or "
                   "pre-releases are built no more, now and when new ones come. Builds under way are stopped; what is "
                   "published stays. With --pre --all pre-releases of every package are skipped. --list shows the rules, "
                   "piwheels unskip takes them back.",
    .bit = FOR_SKIP,
    .max_words = 1,
    .run = run,
};
