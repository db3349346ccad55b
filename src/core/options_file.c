/*
 * Settings from configuration files (INI, read by inih) and from the environment. All of them are
 * checked, whatever command runs, so that a mistake shows before it matters.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

struct reading {
    struct options *o;
    const char *path;
    FILE *file;
    unsigned line;
    bool failed;
};

/* Begins the message with where the fault is. */
static void fail_at(struct reading *r, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail_at(struct reading *r, unsigned line, const char *format, ...)
{
    char fault[sizeof r->o->error];
    va_list args;

    va_start(args, format);
    vsnprintf(fault, sizeof fault, format, args);
    va_end(args);
    options_fail(r->o, "%s:%u: %s", r->path, line, fault);
    r->failed = true;
}

static void fail_unknown_section(struct reading *r, const char *section)
{
    char spellings[OPT_COUNT][OPTION_NAME_SIZE], hint[HINT_SIZE];
    const char *known[OPT_COUNT];
    size_t count = 0;

    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id)) {
            snprintf(spellings[id], sizeof spellings[id], "[%s]", option_rows[id].section);
            known[count++] = spellings[id];
        }
    char *typed = mem_format("[%s]", section);
    options_hint(hint, sizeof hint, typed, known, count);
    fail_at(r, r->line, "unknown section %s%s", typed, hint);
    free(typed);
}

static void fail_unknown_key(struct reading *r, const char *section, const char *key)
{
    char spellings[OPT_COUNT][OPTION_NAME_SIZE], hint[HINT_SIZE];
    const char *known[OPT_COUNT];
    size_t count = 0;

    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_is_setting(id) && strcmp(option_rows[id].section, section) == 0)
            known[count++] = option_key(option_rows[id].name, spellings[id]);
    options_hint(hint, sizeof hint, key, known, count);
    fail_at(r, r->line, "unknown key %s in [%s]%s", key, section, hint);
}

/* inih's handler: one `key = value`. Non-zero is success. */
static int on_setting(void *user, const char *section, const char *name, const char *text)
{
    struct reading *r = user;
    char key[OPTION_NAME_SIZE], origin[sizeof r->o->error / 2];

    if (r->failed)
        return 1;
    option_key(name, key);
    const char *advice = option_retired_advice(section, key);
    enum option_id id = find_setting(section, key);
    if (section[0] == '\0')
        fail_at(r, r->line, "%s stands before any [section]", key);
    else if (advice != NULL)
        fail_at(r, r->line, "%s is no option any more: %s", key, advice);
    else if (id == OPT_COUNT)
        fail_unknown_key(r, section, key);
    else {
        snprintf(origin, sizeof origin, "%s:%u", r->path, r->line);
        char *label = mem_format("%s: %s", origin, key);
        r->failed = option_set(r->o, id, text, OPTION_FILE, origin, label) != 0;
        free(label);
    }
    return 1;
}

/* Checks "[section]", which inih tells only with its first key. */
static void check_section(struct reading *r, const char *line)
{
    size_t len = strcspn(line + 1, "]");
    char *section = mem_textn(line + 1, len);

    if (line[1 + len] == ']' && !section_known(section))
        fail_unknown_section(r, section);
    free(section);
}

/* inih's reader: fgets that counts lines, stops at the first fault, refuses what inih would cut, and takes
 * away the indentation that inih would take for a continued value. */
static char *read_line(char *to, int size, void *stream)
{
    struct reading *r = stream;

    if (r->failed || fgets(to, size, r->file) == NULL)
        return NULL;
    r->line++;
    size_t len = strlen(to), blanks = strspn(to, " \t");
    if (len + 1 == (size_t)size && to[len - 1] != '\n') {
        fail_at(r, r->line, "this line is longer than %d characters", size - 2);
        return NULL;
    }
    memmove(to, to + blanks, len - blanks + 1);
    if (to[0] == '[')
        check_section(r, to);
    return r->failed ? NULL : to;
}

static int read_file(struct options *o, const char *path, bool must_exist)
{
    struct reading r = {.o = o, .path = path, .file = fopen(path, "re")};

    if (r.file == NULL && !must_exist && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (r.file == NULL)
        return options_fail(o, "%s: cannot be read: %s", path, strerror(errno));
    int bad_line = ini_parse_stream(read_line, &r, on_setting, &r);
    if (ferror(r.file)) {
        options_fail(o, "%s: cannot be read: %s", path, strerror(errno));
        r.failed = true;
    } else if (bad_line > 0 && (!r.failed || (unsigned)bad_line < r.line))
        fail_at(&r, (unsigned)bad_line, "this is neither a [section] nor a key = value");
    fclose(r.file);
    return r.failed ? -EINVAL : 0;
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
