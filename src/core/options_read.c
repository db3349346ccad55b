/*
 * Reads the options of a command: argv first, because it may name a configuration file, then the
 * files, then the environment. A value yields only to one from the same or a higher source
 * (option_set), so the order in which they are read does not matter for precedence.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "options_table.h"

#define HINT_SIZE 128

static void set_fallbacks(struct options *o)
{
    for (unsigned id = 0; id < OPT_COUNT; id++) {
        const char *fallback = option_rows[id].fallback;
        if (fallback != NULL) {
            int error = option_set(o, id, fallback, OPTION_DEFAULT, "default", option_rows[id].name);
            assert(error == 0); /* a test reads every fallback */
            (void)error;
        }
    }
}

/* ---- finding an option ---- */

/* The option of this key ("slave-listen") that the command offers, or another's, or OPT_COUNT. */
static enum option_id find_key(const char *key, uint32_t command)
{
    enum option_id found = OPT_COUNT;
    char known[OPTION_NAME_SIZE];

    for (unsigned id = 0; id < OPT_COUNT; id++) {
        if (strcmp(option_key(option_rows[id].name, known), key) != 0)
            continue;
        if (option_offered(id, command))
            return id;
        if (found == OPT_COUNT)
            found = id;
    }
    return found;
}

static enum option_id find_letter(char letter, uint32_t command)
{
    enum option_id found = OPT_COUNT;

    for (unsigned id = 0; id < OPT_COUNT; id++) {
        if (option_rows[id].letter != letter)
            continue;
        if (option_offered(id, command))
            return id;
        if (found == OPT_COUNT)
            found = id;
    }
    return found;
}

static int fail_unknown(struct options *o, const char *key, uint32_t command)
{
    char spellings[OPT_COUNT][OPTION_NAME_SIZE], hint[HINT_SIZE], *typed;
    const char *known[OPT_COUNT], *advice = option_retired_advice(NULL, key);
    size_t count = 0;

    if (advice != NULL)
        return options_fail(o, "--%s is no option any more: %s", key, advice);
    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_offered(id, command))
            known[count++] = option_long(option_rows[id].name, spellings[id]);
    typed = mem_format("--%s", key);
    options_hint(hint, sizeof hint, typed, known, count);
    free(typed);
    return options_fail(o, "unknown option --%s%s", key, hint);
}

/* The option exists, but not for this command: says which have it (several options may share the name). */
static int fail_elsewhere(struct options *o, const char *typed, enum option_id like, bool by_letter)
{
    uint32_t commands = 0;
    char names[64];

    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (by_letter ? option_rows[id].letter == option_rows[like].letter
                      : strcmp(option_rows[id].name, option_rows[like].name) == 0)
            commands |= option_rows[id].commands;
    option_command_names(commands, names, sizeof names);
    return options_fail(o, "this command has no option %s; it belongs to %s", typed, names);
}

/* ---- argv ---- */

struct words {
    int count, at;          /* `at` is the argument being read */
    char *const *items;
};

static int set_from_argv(struct options *o, enum option_id id, const char *text)
{
    char name[OPTION_NAME_SIZE];

    option_long(option_rows[id].name, name);
    return option_set(o, id, text, OPTION_ARGV, name, name);
}

/* A FLAG or COUNT that was typed once more. */
static int set_typed(struct options *o, enum option_id id)
{
    const struct option_value *value = &o->values[id];
    char count[24];

    if (option_rows[id].kind == KIND_FLAG)
        return set_from_argv(o, id, "yes");
    snprintf(count, sizeof count, "%d", value->source == OPTION_ARGV ? (int)value->number + 1 : 1);
    return set_from_argv(o, id, count);
}

/* The value is `attached` ("--name=value", "-xvalue") or the next argument. */
static int set_with_value(struct options *o, enum option_id id, const char *attached, struct words *w)
{
    char name[OPTION_NAME_SIZE];

    if (attached != NULL)
        return set_from_argv(o, id, attached);
    if (w->at + 1 < w->count)
        return set_from_argv(o, id, w->items[++w->at]);
    option_long(option_rows[id].name, name);
    return options_fail(o, "%s needs a value: %s %s", name, name, option_rows[id].metavar);
}

/* --no-NAME takes back a FLAG that a file or variable may have given. */
static enum option_id find_negated(const char *key, uint32_t command)
{
    enum option_id id = text_starts(key, "no-") ? find_key(key + 3, command) : OPT_COUNT;

    if (id != OPT_COUNT && option_rows[id].kind == KIND_FLAG && option_is_setting(id))
        return id;
    return OPT_COUNT;
}

static int read_long(struct options *o, uint32_t command, struct words *w)
{
    const char *typed = w->items[w->at] + 2, *equals = strchr(typed, '=');
    char key[OPTION_NAME_SIZE], shown[OPTION_NAME_SIZE + 2];

    size_t len = equals != NULL ? (size_t)(equals - typed) : strlen(typed);
    snprintf(key, sizeof key, "%.*s", (int)len, typed);
    snprintf(shown, sizeof shown, "--%s", key);
    enum option_id id = find_key(key, command), negated = OPT_COUNT;
    if (id == OPT_COUNT)
        id = negated = find_negated(key, command);
    if (id == OPT_COUNT)
        return fail_unknown(o, key, command);
    if (!option_offered(id, command))
        return fail_elsewhere(o, shown, id, false);
    if (option_takes_value(id))
        return set_with_value(o, id, equals != NULL ? equals + 1 : NULL, w);
    if (equals != NULL)
        return options_fail(o, "%s takes no value", shown);
    return negated != OPT_COUNT ? set_from_argv(o, id, "no") : set_typed(o, id);
}

/* "-v", "-vq", "-dDSN", "-vd DSN". */
static int read_letters(struct options *o, uint32_t command, struct words *w)
{
    int error = 0;

    for (const char *letter = w->items[w->at] + 1; *letter != '\0' && error == 0; letter++) {
        char shown[3] = {'-', *letter, '\0'};
        enum option_id id = find_letter(*letter, command);

        if (id == OPT_COUNT)
            return options_fail(o, "unknown option %s", shown);
        if (!option_offered(id, command))
            return fail_elsewhere(o, shown, id, true);
        if (option_takes_value(id))
            return set_with_value(o, id, letter[1] != '\0' ? letter + 1 : NULL, w);
        error = set_typed(o, id);
    }
    return error;
}

static int add_word(struct options *o, const char *word)
{
    if (o->word_count == OPTIONS_MAX_WORDS)
        return options_fail(o, "more than %d arguments", OPTIONS_MAX_WORDS);
    o->words[o->word_count++] = word;
    return 0;
}

static int read_argv(struct options *o, uint32_t command, int argc, char *const argv[])
{
    struct words w = {.count = argc, .at = 1, .items = argv};
    bool words_only = false;
    int error = 0;

    for (; w.at < w.count && error == 0; w.at++) {
        const char *item = argv[w.at];
        if (words_only || item[0] != '-' || item[1] == '\0')
            error = add_word(o, item);
        else if (strcmp(item, "--") == 0)
            words_only = true;
        else if (item[1] == '-')
            error = read_long(o, command, &w);
        else
            error = read_letters(o, command, &w);
    }
    return error;
}

/* Help and version are given to whoever asks, whatever else is wrong. */
static bool read_questions(struct options *o, int argc, char *const argv[])
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            set_typed(o, OPT_argv_help);
        if (strcmp(argv[i], "--version") == 0)
            set_typed(o, OPT_argv_version);
    }
    return option_flag(o, OPT_argv_help) || option_flag(o, OPT_argv_version);
}

int options_read(struct options *o, uint32_t command, int argc, char *const argv[])
{
    *o = (struct options){.word_count = 0};
    set_fallbacks(o);
    if (read_questions(o, argc, argv))
        return 0;
    int error = read_argv(o, command, argc, argv);
    if (error == 0)
        error = options_read_files(o);
    if (error == 0)
        error = options_read_environment(o);
    return error;
}
