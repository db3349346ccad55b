/*
 * `piwheels add`: asks the master to follow packages or to build single versions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd.h"
#include "control.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "order.h"
#include "python.h"

#define MAX_REQUIREMENTS_BYTES (1024 * 1024)
#define VERSION_MAX_BYTES 255
#define BATCH (sizeof ((struct msg_add *)0)->packages.items / sizeof (struct rec_wanted))

/* What is to be added, in the order given. */
struct wishes {
    struct rec_wanted *items;
    unsigned count;
};

static void wish(struct wishes *w, const char *name, const char *version, bool all)
{
    w->items = mem_resize(w->items, w->count + 1, sizeof *w->items);
    w->items[w->count++] = (struct rec_wanted){.name = mem_text(name), .version = mem_text(version), .all = all};
}

static void wishes_release(struct wishes *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        free((char *)w->items[i].name);
        free((char *)w->items[i].version);
    }
    free(w->items);
}

/* A backslash at the end of a line continues it: joined in place. */
static void join_lines(char *text)
{
    for (char *at = text; (at = strchr(at, '\\')); at++) {
        if (at[1] == '\n')
            at[0] = at[1] = ' ';
    }
}

/* What the message has room for; no version that PyPI has is longer. EXIT_OK, or the exit status. */
static int check_length(const char *version)
{
    if (strlen(version) <= VERSION_MAX_BYTES)
        return EXIT_OK;
    return command_usage_error(&command_add, "\"%.40s…\" is too long for a version", version);
}

/* "==1.2" asks for that version; anything else, or nothing, for the newest. EXIT_OK, or the exit status. */
static int wish_requirement(struct wishes *w, const struct requirement *r, bool all)
{
    const char *version = order_exact_version(r->specifiers);
    version = version ? version : "";
    int status = check_length(version);
    if (status == EXIT_OK)
        wish(w, r->name, version, all && !*version);
    return status;
}

static int read_requirements(const struct options *o, struct wishes *w)
{
    const char *path = option_text(o, OPT_argv_requirements);
    char *text, *rest, *line, why[256];
    unsigned number = 0;
    size_t len;
    int error = fs_read(path, MAX_REQUIREMENTS_BYTES, &text, &len);
    if (error)
        return command_trouble(&command_add, "%s cannot be read: %s", path, strerror(-error));
    join_lines(text);
    rest = text;
    while (!error && (line = strsep(&rest, "\n"))) {
        struct requirement r;
        int found = python_requirement_parse(line, &r, why, sizeof why);
        number++;
        if (found < 0)
            error = command_trouble(&command_add, "%s, line %u: %s", path, number, why);
        else if (found > 0)
            error = wish_requirement(w, &r, option_flag(o, OPT_argv_all));
    }
    free(text);
    if (!error && w->count == 0)
        fprintf(stderr, "piwheels add: %s lists no package; nothing is added\n", path);
    return error;
}

static int read_words(const struct options *o, struct wishes *w)
{
    const char *name = o->words[0];
    const char *version = o->word_count == 2 ? o->words[1] : "";
    struct requirement r;
    char why[256];
    if (option_flag(o, OPT_argv_all) && *version)
        return command_usage_error(&command_add, "--all asks for the whole history and VERSION for one; give only one");
    bool requirement = !python_name_valid(name) && python_requirement_parse(name, &r, why, sizeof why) == 1;
    if (requirement && o->word_count == 2)
        return command_usage_error(&command_add, "\"%s\" has a version already, and \"%s\" is another; give only one", name, version);
    if (requirement)
        return wish_requirement(w, &r, option_flag(o, OPT_argv_all));
    if (!python_name_valid(name))
        return command_usage_error(&command_add, "\"%s\" is no package's name", name);
    int status = check_length(version);
    if (status == EXIT_OK)
        wish(w, name, version, option_flag(o, OPT_argv_all));
    return status;
}

static void print_answer(const json_t *answer)
{
    const char *package = json_string_value(json_object_get(answer, "package"));
    const char *error = json_string_value(json_object_get(answer, "error"));
    const char *version, *target, *state, *reason;
    size_t i;
    json_t *a;
    fflush(stdout);
    if (error)
        fprintf(stderr, "%s: %s\n", package, error);
    else if (json_array_size(json_object_get(answer, "asked")) == 0)
        printf("%s: followed; PyPI has no release of it that could be built yet\n", package);
    json_array_foreach(json_object_get(answer, "asked"), i, a) {
        json_unpack(a, "{s:s, s:s, s:s, s:s}", "version", &version, "target", &target, "state", &state, "reason", &reason);
        printf("%s %s%s%s: %s (%s)\n", package, version, *target ? " for " : "", target, state, reason);
    }
}

static void on_data(void *owner, const char *json)
{
    const struct options *o = owner;
    json_t *answer = json_loads(json, 0, NULL);
    if (option_flag(o, OPT_argv_json))
        puts(json);
    else
        print_answer(answer);
    json_decref(answer);
}

static int ask(const struct options *o, const struct wishes *w)
{
    struct control_answer answer;
    bool good = true;
    for (unsigned at = 0; at < w->count; at += BATCH) {
        struct message m = {.verb = VERB_ADD, .add = {.version = PIWHEELS_VERSION}};
        m.add.packages.count = w->count - at < BATCH ? w->count - at : BATCH;
        memcpy(m.add.packages.items, w->items + at, m.add.packages.count * sizeof *w->items);
        control_ask(option_text(o, OPT_master_control_socket), &m, on_data, (void *)o, &answer);
        good = good && answer.good;
        if (!answer.good)
            command_trouble(&command_add, "%s", answer.text);
        if (!answer.asked)
            break;
    }
    return good ? EXIT_OK : EXIT_TROUBLE;
}

/* ---- skips: of the one package that is named ---- */

/* The rules that were made for just this: for the version if one is named, else all of the package. */
static void choose_rules(const json_t *rules, const struct rec_wanted *wanted, char numbers[][24], struct msg_unskip *to)
{
    const json_t *rule;
    size_t i;
    json_array_foreach(rules, i, rule) {
        const char *version = order_exact_version(order_text(rule, "specifier"));
        if (to->words.count == COUNT_OF(to->words.items) ||
            (*wanted->version && (!version || python_version_compare(version, wanted->version) != 0)))
            continue;
        snprintf(numbers[to->words.count], sizeof numbers[0], "%lld", order_number(rule, "rule"));
        to->words.items[to->words.count].word = numbers[to->words.count];
        to->words.count++;
    }
}

static int unskip(const struct options *o, const struct rec_wanted *wanted)
{
    char numbers[sizeof ((struct msg_unskip *)0)->words.items / sizeof (struct rec_skipped)][24];
    struct message list = {.verb = VERB_SKIPS, .skips = {.version = PIWHEELS_VERSION, .package = wanted->name}};
    struct message m = {.verb = VERB_UNSKIP, .unskip = {.version = PIWHEELS_VERSION}};
    json_t *pieces;
    int status = order_ask(&command_add, o, &list, &pieces);
    if (status != EXIT_OK)
        return status;
    const json_t *rules = json_object_get(json_array_get(pieces, 0), "rules");
    choose_rules(rules, wanted, numbers, &m.unskip);
    if (m.unskip.words.count > 0 && isatty(STDIN_FILENO)) /* a script means what it says */
        status = order_confirm(&command_add, o, "%s: %u of %zu rules that skip it are taken back (piwheels skip --list tells them).",
                               wanted->name, (unsigned)m.unskip.words.count, json_array_size(rules));
    json_decref(pieces);
    if (status != EXIT_OK)
        return status;
    status = order_ask(&command_add, o, &m, &pieces);
    json_decref(pieces);
    return status;
}

static int skip(const struct options *o, const struct rec_wanted *wanted)
{
    char *specifier = *wanted->version ? mem_format("===%s", wanted->version) : mem_text("");
    struct message m = {.verb = VERB_SKIP, .skip = {
        .version = PIWHEELS_VERSION, .package = wanted->name, .specifier = specifier, .target = "",
        .reason = option_text(o, OPT_argv_skip)}};
    json_t *pieces;
    int status = order_ask(&command_add, o, &m, &pieces);
    if (status == EXIT_OK && !option_flag(o, OPT_argv_json))
        printf("%s%s%s: skipped from now on by rule %lld (%s)\n", wanted->name, *wanted->version ? " " : "", wanted->version,
               order_number(json_array_get(pieces, 0), "rule"), m.skip.reason);
    free(specifier);
    json_decref(pieces);
    return status;
}

static int check_skips(const struct options *o)
{
    bool skips = option_given(o, OPT_argv_skip), unskips = option_flag(o, OPT_argv_unskip);
    if ((skips || unskips) && option_given(o, OPT_argv_requirements))
        return command_usage_error(&command_add, "--skip and --unskip are for one NAME, not for -r FILE");
    if (skips && unskips)
        return command_usage_error(&command_add, "give either --skip or --unskip");
    return order_check_skip(&command_add, o);
}

/* ---- the command ---- */

static int run(const struct options *o)
{
    struct wishes w = {0};
    bool file = option_given(o, OPT_argv_requirements);
    int status = check_skips(o);
    if (status != EXIT_OK)
        return status;
    if (file == (o->word_count > 0))
        return command_usage_error(&command_add, "give either NAME [VERSION] or -r FILE");
    status = file ? read_requirements(o, &w) : read_words(o, &w);
    if (status == EXIT_OK && option_flag(o, OPT_argv_unskip))
        status = unskip(o, &w.items[0]);
    if (status == EXIT_OK)
        status = ask(o, &w);
    if (status == EXIT_OK && option_given(o, OPT_argv_skip))
        status = skip(o, &w.items[0]);
    wishes_release(&w);
    return status;
}

static const char *const aliases[] = {"piw-add", NULL};

const struct command command_add = {
    .name = "add",
    .aliases = aliases,
    .usage = "NAME [VERSION]",
    .summary = "follow a package, or build one version of it",
    .description = "With NAME alone the master follows the package: it builds its newest release now and later ones as they "
                   "come; with --all also every older one. With VERSION just that version is built. With -r FILE "
                   "whatever a requirements file lists is added: name==version builds that version, anything else "
                   "follows the package. With --skip REASON the package, or the version, is made known but not built; "
                   "--unskip takes that back; on a terminal it asks before.",
    .bit = FOR_ADD,
    .max_words = 2,
    .run = run,
};
