/*
 * Numbers with units: the options' values, and the limits of packages' own settings.
 */
#include "core/quantity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* A whole number and one of the units. */
static int parse(const char *text, const struct unit *units, int64_t *number)
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

int quantity_number(const char *text, int64_t *number)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};

    return parse(text, units, number);
}

int quantity_size(const char *text, int64_t *bytes)
{
    static const struct unit units[] = {{"", 1},        {"K", 1LL << 10}, {"M", 1LL << 20},
                                        {"G", 1LL << 30}, {"T", 1LL << 40}, {NULL, 0}};

    return parse(text, units, bytes);
}

int quantity_period(const char *text, int64_t *ms)
{
    static const struct unit units[] = {{"", 1000},        {"s", 1000},       {"min", 60000},
                                        {"h", 60 * 60000}, {"d", 24 * 60 * 60000}, {NULL, 0}};

    return parse(text, units, ms);
}

int quantity_span(const char *text, int64_t *ms)
{
    int error = quantity_period(text, ms);
    return error == 0 && *ms == 0 ? -EINVAL : error;
}
