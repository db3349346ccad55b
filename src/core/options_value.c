/*
 * The values of options: what each kind accepts, and what it tells one who typed something else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "options_table.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* A whole number and one of the units. 0, or -EINVAL (too large as well). */
static int parse_quantity(const char *text, const struct unit *units, int64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    char *count_text = mem_textn(text, digits);
    unsigned long long count;

    int error = text_to_u64(count_text, &count);
    free(count_text);
    if (error != 0)
        return -EINVAL;
    for (; units->name != NULL; units++)
        if (strcmp(text + digits, units->name) == 0)
            return count > INT64_MAX || __builtin_mul_overflow((int64_t)count, units->factor, number)
                       ? -EINVAL
                       : 0;
    return -EINVAL;
}

static int parse_flag(const char *text, int64_t *number)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1", "off", "on"};

    for (unsigned i = 0; i < COUNT_OF(words); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *number = i % 2;
            return 0;
        }
    return -EINVAL;
}

/* A span, or 0. */
static int parse_period(const char *text, int64_t *number)
{
    static const struct unit units[] = {{"", 1000},        {"s", 1000},       {"min", 60000},
                                        {"h", 60 * 60000}, {"d", 24 * 60 * 60000}, {NULL, 0}};

    return parse_quantity(text, units, number);
}

static int parse_span(const char *text, int64_t *number)
{
    int error = parse_period(text, number);
    return error == 0 && *number == 0 ? -EINVAL : error;
}

static int parse_size(const char *text, int64_t *number)
{
    static const struct unit units[] = {{"", 1},        {"K", 1LL << 10}, {"M", 1LL << 20},
                                        {"G", 1LL << 30}, {"T", 1LL << 40}, {NULL, 0}};

    return parse_quantity(text, units, number);
}

static int parse_number(const char *text, int64_t *number)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};

    return parse_quantity(text, units, number);
}

/* A path with its leading ~ replaced; NULL when there is nothing to replace it with, or no path. */
static char *expand_path(const char *text)
{
    if (text[0] == '\0')
        return NULL;
    if (strcmp(text, "~") != 0 && !text_starts(text, "~/"))
        return mem_text(text);
    const char *home = options_home();
    return home != NULL ? mem_format("%s%s", home, text + 1) : NULL;
}

/* The same with each of several, between commas. */
static char *expand_paths(const char *text)
{
    char *rest = mem_text(text), *at = rest, *expanded = NULL;

    for (char *one; (one = strsep(&at, ",")) != NULL;) {
        char *path = expand_path(one), *before = expanded;
        expanded = path == NULL ? NULL : before == NULL ? mem_text(path) : mem_format("%s,%s", before, path);
        free(before);
        free(path);
        if (expanded == NULL)
            break;
    }
    free(rest);
    return expanded;
}

static char *keep_text(enum option_kind kind, const char *text)
{
    switch (kind) {
    case KIND_PATH: return expand_path(text);
    case KIND_PATHS: return expand_paths(text);
    default: return mem_text(text);
    }
}

/* What is typed again on the command line is added to what was typed before. */
static char *join_typed(const struct option_value *before, char *kept)
{
    char *joined = mem_format("%s,%s", before->text, kept);
    free(kept);
    return joined;
}

/* What is said of a text that is no value of the kind, behind the text itself. */
static const char *const refusals[] = {
    [KIND_FLAG] = "is neither yes nor no",
    [KIND_COUNT] = "is no whole number",
    [KIND_TEXT] = "is no text",
    [KIND_PATH] = "is no path",
    [KIND_PATHS] = "is no path, or several with commas",
    [KIND_NUMBER] = "is no whole number",
    [KIND_SPAN] = "is no duration; write 90s, 5min, 3h or 2d",
    [KIND_PERIOD] = "is no duration; write 90s, 5min, 3h, 2d or 0",
    [KIND_SIZE] = "is no size; write 512, 64K, 20M or 4G",
};

static int parse_value(enum option_kind kind, const char *text, int64_t *number)
{
    switch (kind) {
    case KIND_FLAG: return parse_flag(text, number);
    case KIND_SPAN: return parse_span(text, number);
    case KIND_PERIOD: return parse_period(text, number);
    case KIND_SIZE: return parse_size(text, number);
    case KIND_COUNT:
    case KIND_NUMBER: return parse_number(text, number);
    case KIND_TEXT:
    case KIND_PATH:
    case KIND_PATHS: break;
    }
    return 0;
}

int option_set(struct options *o, enum option_id id, const char *text, enum option_source source,
               const char *origin, const char *label)
{
    enum option_kind kind = option_rows[id].kind;
    struct option_value *value = &o->values[id];
    int64_t number = 0;

    char *kept = keep_text(kind, text);
    if (kept == NULL || parse_value(kind, text, &number) != 0) {
        free(kept);
        return options_fail(o, "%s: \"%s\" %s", label, text, refusals[kind]);
    }
    if (source < value->source) {
        free(kept);
        return 0;
    }
    if (kind == KIND_PATHS && source == OPTION_ARGV && value->source == OPTION_ARGV)
        kept = join_typed(value, kept);
    free(value->text);
    free(value->origin);
    *value =
        (struct option_value){.text = kept, .number = number, .origin = mem_text(origin), .source = source};
    return 0;
}
