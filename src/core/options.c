/*
 * The option table, made from schema/options.def, the spellings of an option, and what the commands
 * ask of the settings once they are read.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/nearest.h"
#include "core/text.h"
#include "options_table.h"

const struct option_row option_rows[OPT_COUNT] = {
#define OPTION(section, name, letter, kind, metavar, fallback, commands, help) \
    {#section, #name, letter, KIND_##kind, metavar, fallback, commands, help},
#define RETIRED(section, name, advice)
#include "options.def"
#undef OPTION
#undef RETIRED
};

const struct option_retired option_retirees[] = {
#define OPTION(section, name, letter, kind, metavar, fallback, commands, help)
#define RETIRED(section, name, advice) {#section, #name, advice},
#include "options.def"
#undef OPTION
#undef RETIRED
};
const unsigned option_retiree_count = COUNT_OF(option_retirees);

static const struct {
    uint32_t bit;
    const char *name;
} command_names[] = {
    {FOR_MASTER, "master"}, {FOR_SLAVE, "slave"}, {FOR_INITDB, "initdb"},
    {FOR_TARGET, "target"}, {FOR_ADD, "add"},     {FOR_STATUS, "status"},
    {FOR_MONITOR, "monitor"}, {FOR_LOGS, "logs"},
    {FOR_EXPLAIN, "explain"}, {FOR_QUEUE, "queue"}, {FOR_REBUILD, "rebuild"},
    {FOR_SKIP, "skip"},       {FOR_UNSKIP, "unskip"}, {FOR_REMOVE, "remove"},
    {FOR_CHECK, "check"},
};

/* Writes prefix and name with dashes. */
static const char *dashed(const char *prefix, const char *name, char to[OPTION_NAME_SIZE])
{
    snprintf(to, OPTION_NAME_SIZE, "%s%s", prefix, name);
    for (char *c = to; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
    return to;
}

const char *option_key(const char *name, char to[OPTION_NAME_SIZE])
{
    return dashed("", name, to);
}

const char *option_long(const char *name, char to[OPTION_NAME_SIZE])
{
    return dashed("--", name, to);
}

const char *option_variable(const char *section, const char *name, char to[OPTION_NAME_SIZE])
{
    snprintf(to, OPTION_NAME_SIZE, "PIW_%s_%s", section, name);
    for (char *c = to; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return to;
}

bool option_is_setting(enum option_id id)
{
    return strcmp(option_rows[id].section, "argv") != 0;
}

bool option_offered(enum option_id id, uint32_t command)
{
    return (option_rows[id].commands & command) != 0;
}

bool option_takes_value(enum option_id id)
{
    return option_rows[id].kind != KIND_FLAG && option_rows[id].kind != KIND_COUNT;
}

void option_command_names(uint32_t mask, char *to, size_t size)
{
    const char *names[COUNT_OF(command_names)];
    size_t count = 0, len = 0;

    for (unsigned i = 0; i < COUNT_OF(command_names); i++)
        if ((mask & command_names[i].bit) != 0)
            names[count++] = command_names[i].name;
    to[0] = '\0';
    for (size_t i = 0; i < count && len < size; i++) {
        const char *join = i == 0 ? "" : i + 1 < count ? ", " : " and ";
        len += (size_t)snprintf(to + len, size - len, "%s%s", join, names[i]);
    }
}

const char *option_retired_advice(const char *section, const char *key)
{
    char retired[OPTION_NAME_SIZE];

    for (unsigned i = 0; i < option_retiree_count; i++)
        if ((section == NULL || strcmp(option_retirees[i].section, section) == 0) &&
            strcmp(option_key(option_retirees[i].name, retired), key) == 0)
            return option_retirees[i].advice;
    return NULL;
}

int options_fail(struct options *o, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(o->error, sizeof o->error, format, args);
    va_end(args);
    return -EINVAL;
}

void options_hint(char *to, size_t size, const char *typed, const char *const *known, size_t count)
{
    const char *near = nearest_name(typed, known, count);

    to[0] = '\0';
    if (near != NULL)
        snprintf(to, size, "; did you mean %s?", near);
}

const char *options_home(void)
{
    const char *home = getenv("HOME");

    if (home != NULL && home[0] == '/')
        return home;
    const struct passwd *user = getpwuid(getuid());
    return user != NULL ? user->pw_dir : NULL;
}

void options_release(struct options *o)
{
    for (unsigned id = 0; id < OPT_COUNT; id++) {
        free(o->values[id].text);
        free(o->values[id].origin);
        o->values[id] = (struct option_value){.text = NULL};
    }
}

const char *option_text(const struct options *o, enum option_id id)
{
    return o->values[id].text;
}

bool option_given(const struct options *o, enum option_id id)
{
    return o->values[id].source != OPTION_DEFAULT;
}

bool option_flag(const struct options *o, enum option_id id)
{
    return o->values[id].number != 0;
}

int64_t option_number(const struct options *o, enum option_id id)
{
    return o->values[id].number;
}
