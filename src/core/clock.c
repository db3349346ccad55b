/*
 * The two clocks, and times as people and PyPI write them.
 */
#include "core/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}

int64_t clock_steady_ms(void)
{
    return now_ms(CLOCK_MONOTONIC);
}

const char *clock_text(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms >= 0 ? wall_ms / 1000 : (wall_ms - 999) / 1000);
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(text, CLOCK_TEXT_SIZE, "%" PRId64 " ms", wall_ms);
    return text;
}

const char *clock_span(int64_t span_ms, char text[CLOCK_TEXT_SIZE])
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    int64_t seconds = span_ms > 0 ? span_ms / 1000 : 0;
    unsigned i = 0;

    while (i < 3 && seconds < units[i].seconds)
        i++;
    int64_t whole = seconds / units[i].seconds, rest = seconds % units[i].seconds;
    int len = snprintf(text, CLOCK_TEXT_SIZE, "%" PRId64 " %s", whole, units[i].unit);
    if (i < 3 && rest >= units[i + 1].seconds)
        snprintf(text + len, CLOCK_TEXT_SIZE - (size_t)len, " %" PRId64 " %s", rest / units[i + 1].seconds,
                 units[i + 1].unit);
    return text;
}

/* Reads exactly `count` digits and moves `at` behind them. */
static bool read_digits(const char **at, unsigned count, int *value)
{
    *value = 0;
    for (; count > 0; count--, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool read_character(const char **at, const char *allowed)
{
    if (**at == '\0' || strchr(allowed, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

/* ".123456": any number of digits, of which milliseconds are kept. */
static bool read_fraction(const char **at, int *ms)
{
    *ms = 0;
    if (!read_character(at, "."))
        return true;
    if (!isdigit((unsigned char)**at))
        return false;
    for (int weight = 100; isdigit((unsigned char)**at); weight /= 10, (*at)++)
        *ms += (**at - '0') * weight;
    return true;
}

/* "2026-01-31" */
static bool read_date(const char **at, struct tm *date)
{
    int year, month;

    if (!read_digits(at, 4, &year) || !read_character(at, "-") || !read_digits(at, 2, &month) ||
        !read_character(at, "-") || !read_digits(at, 2, &date->tm_mday))
        return false;
    date->tm_year = year - 1900;
    date->tm_mon = month - 1;
    return true;
}

/* "14:05:09.123"; RFC 3339 allows second 60, which counts into the next minute. */
static bool read_time(const char **at, int64_t *ms)
{
    int hour, minute, second, fraction_ms;

    if (!read_digits(at, 2, &hour) || !read_character(at, ":") || !read_digits(at, 2, &minute) ||
        !read_character(at, ":") || !read_digits(at, 2, &second) || !read_fraction(at, &fraction_ms) ||
        hour > 23 || minute > 59 || second > 60)
        return false;
    *ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + fraction_ms;
    return true;
}

int clock_parse(const char *text, int64_t *wall_ms)
{
    struct tm date = {0};
    int64_t day_ms;

    if (!read_date(&text, &date) || !read_character(&text, "Tt ") || !read_time(&text, &day_ms))
        return -EINVAL;
    if (strcmp(text, "") != 0 && strcasecmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0)
        return -EINVAL;
    int month = date.tm_mon, day = date.tm_mday;
    int64_t midnight_s = (int64_t)timegm(&date);
    if (date.tm_mon != month || date.tm_mday != day) /* timegm has mended a 31 February */
        return -EINVAL;
    *wall_ms = midnight_s * 1000 + day_ms;
    return 0;
}
