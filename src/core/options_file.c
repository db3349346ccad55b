/*
 * Settings from configuration files (INI, read by inih) and from the environment. All of them are
 * checked, whatever command runs, so that a mistake shows before it matters.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ini_file.h"
#include "core/memory.h"
#include "core/text.h"
#include "options_table.h"

#define HINT_SIZE 128

extern char **environ;

/* ---- what is known ---- */

static enum option_id find_setting(const char *section, const char *key)
{
    char known[OPTION_NAME_SIZE];
    unsigned id = 0;

    while (id < OPT_COUNT && !(option_is_setting(id) && strcmp(option_rows[id].section, section) == 0 &&
                               strcmp(option_key(option_rows[id].name, known), key) == 0))
        id++;
    return id;
}

static bool section_known(const char *section)
{
    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id) && strcmp(option_rows[id].section, section) == 0)
            return true;
    return false;
}

/* ---- files ---- */

/* Whose settings are read, and whether the fault is in a value: then the options' own error says all. */
struct reading {
    struct options *o;
    bool value_fault;
};

static bool on_section(void *owner, const char *section, char why[INI_WHY_SIZE])
{
    char spellings[OPT_COUNT][OPTION_NAME_SIZE], hint[HINT_SIZE];
    const char *known[OPT_COUNT];
    size_t count = 0;

    if (section_known(section))
        return true;
    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id)) {
            snprintf(spellings[id], sizeof spellings[id], "[%s]", option_rows[id].section);
            known[count++] = spellings[id];
        }
    char *typed = mem_format("[%s]", section);
    options_hint(hint, sizeof hint, typed, known, count);
    snprintf(why, INI_WHY_SIZE, "unknown section %s%s", typed, hint);
    free(typed);
    return false;
}

static void explain_unknown_key(const char *section, const char *key, char why[INI_WHY_SIZE])
{
    char spellings[OPT_COUNT][OPTION_NAME_SIZE], hint[HINT_SIZE];
    const char *known[OPT_COUNT];
    size_t count = 0;

    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id) && strcmp(option_rows[id].section, section) == 0)
            known[count++] = option_key(option_rows[id].name, spellings[id]);
    options_hint(hint, sizeof hint, key, known, count);
    snprintf(why, INI_WHY_SIZE, "unknown key %s in [%s]%s", key, section, hint);
}

static bool set_value(struct reading *r, enum option_id id, const char *place, const char *key, const char *text)
{
    char origin[sizeof r->o->error / 2];

    snprintf(origin, sizeof origin, "%s", place);
    char *label = mem_format("%s: %s", origin, key);
    r->value_fault = option_set(r->o, id, text, OPTION_FILE, origin, label) != 0;
    free(label);
    return !r->value_fault;
}

static bool on_setting(void *owner, const char *place, const char *section, const char *name, const char *text,
                       char why[INI_WHY_SIZE])
{
    struct reading *r = owner;
    char key[OPTION_NAME_SIZE];

    option_key(name, key);
    const char *advice = option_retired_advice(section, key);
    enum option_id id = find_setting(section, key);
    if (section[0] == '\0')
        snprintf(why, INI_WHY_SIZE, "%s stands before any [section]", key);
    else if (advice != NULL)
        snprintf(why, INI_WHY_SIZE, "%s is no option any more: %s", key, advice);
    else if (id == OPT_COUNT)
        explain_unknown_key(section, key, why);
    else
        return set_value(r, id, place, key, text);
    return false;
}

static int read_file(struct options *o, const char *path, bool must_exist)
{
    static const struct ini_events events = {on_section, on_setting};
    struct reading r = {.o = o};
    char why[sizeof o->error];

    int error = ini_file_read(path, &events, &r, why, sizeof why);
    if (error == 0 || (!must_exist && (error == -ENOENT || error == -ENOTDIR)))
        return 0;
    if (!r.value_fault)
        options_fail(o, "%s", why);
    return -EINVAL;
}

int options_read_files(struct options *o)
{
    const char *home = options_home(), *named = option_text(o, OPT_argv_config);
    int error = read_file(o, "/etc/piwheels.conf", false);

    if (error == 0)
        error = read_file(o, "/usr/local/etc/piwheels.conf", false);
    if (error == 0 && home != NULL) {
        char *path = mem_format("%s/.config/piwheels/piwheels.conf", home);
        /* Under sudo and su the home may be another user's, whose files are not ours to read. */
        if (access(path, R_OK) == 0)
            error = read_file(o, path, false);
        free(path);
    }
    if (error == 0 && named != NULL)
        error = read_file(o, named, true);
    return error;
}

/* ---- the environment ---- */

static int fail_unknown_variable(struct options *o, const char *name)
{
    char spellings[OPT_COUNT][OPTION_NAME_SIZE], hint[HINT_SIZE];
    const char *known[OPT_COUNT];
    size_t count = 0;

    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id))
            known[count++] = option_variable(option_rows[id].section, option_rows[id].name, spellings[id]);
    options_hint(hint, sizeof hint, name, known, count);
    return options_fail(o, "unknown environment variable %s%s", name, hint);
}

static int read_variable(struct options *o, const char *name, const char *text)
{
    char known[OPTION_NAME_SIZE];

    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id) &&
            strcmp(option_variable(option_rows[id].section, option_rows[id].name, known), name) == 0)
            return option_set(o, id, text, OPTION_VARIABLE, name, name);
    for (unsigned i = 0; i < option_retiree_count; i++)
        if (strcmp(option_variable(option_retirees[i].section, option_retirees[i].name, known), name) == 0)
            return options_fail(o, "%s is no option any more: %s", name, option_retirees[i].advice);
    return fail_unknown_variable(o, name);
}

int options_read_environment(struct options *o)
{
    int error = 0;

    for (char **entry = environ; *entry != NULL && error == 0; entry++) {
        const char *equals = strchr(*entry, '=');
        if (equals == NULL || !text_starts(*entry, "PIW_") || text_starts(*entry, "PIW_TEST_"))
            continue;
        char *name = mem_textn(*entry, (size_t)(equals - *entry));
        error = read_variable(o, name, equals + 1);
        free(name);
    }
    return error;
}
