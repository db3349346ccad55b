/*
 * How the changelog reader fares: troubles and how long to wait for their end, progress, and what the log and the tools are
 * told of both. A line is logged when the state changes, not whenever something fails.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define MOST_WAIT_MS (60 * 60 * 1000) /* whatever Retry-After or a fault say */
#define TOLD_EVERY_MS 10000
#define REFUSALS_LOGGED 100

/* ---- pauses --------------------------------------------------------------------------------------- */

uint64_t changelog_back_off_ms(uint64_t first_ms, uint64_t most_ms, unsigned failures)
{
    uint64_t wait_ms = first_ms;

    for (unsigned i = 1; i < failures && wait_ms < most_ms; i++)
        wait_ms *= 2;
    return wait_ms < most_ms ? wait_ms : most_ms;
}

int64_t changelog_reset_ms(const char *fault)
{
    static const char words[] = "reset in ";
    const char *at = strstr(fault, words);
    char *end;

    if (at == NULL)
        return -1;
    long long seconds = strtoll(at + strlen(words), &end, 10);
    if (end == at + strlen(words) || !text_starts(end, " second") || seconds < 0)
        return -1;
    return seconds < MOST_WAIT_MS / 1000 ? seconds * 1000 : MOST_WAIT_MS;
}

/* Many masters fail at the same moment and shall not all come back at the same one: between 0 and `most_ms`. */
static uint64_t jitter(uint64_t most_ms)
{
    uint32_t random = 0;

    uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
    return most_ms * random / UINT32_MAX;
}

static uint64_t choose_wait(const struct changelog *c, int64_t least_ms)
{
    const struct pypi_settings *s = c->settings;
    uint64_t wait_ms = changelog_back_off_ms(s->back_off_ms, s->most_back_off_ms, c->state.failures);

    if (least_ms > MOST_WAIT_MS)
        least_ms = MOST_WAIT_MS;
    if (least_ms >= 0 && wait_ms < (uint64_t)least_ms)
        return (uint64_t)least_ms + jitter(500);
    return wait_ms - jitter(wait_ms / 4);
}

/* ---- troubles ------------------------------------------------------------------------------------- */

uint64_t changelog_failed(struct changelog *c, enum changelog_trouble trouble, int64_t least_ms, const char *format, ...)
{
    struct changelog_state *s = &c->state;
    char span[CLOCK_TEXT_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(s->cause, sizeof s->cause, format, args);
    va_end(args);
    if (s->failures++ == 0)
        s->trouble_since_ms = clock_steady_ms();
    uint64_t wait_ms = choose_wait(c, least_ms);
    if (s->trouble != trouble)
        log_warning("pypi", "changelog: stands still: %s (serial %" PRId64 "; asked again in %s, and so on)", s->cause,
                    s->serial, clock_span((int64_t)wait_ms, span));
    s->trouble = trouble;
    return wait_ms;
}

void changelog_recovered(struct changelog *c)
{
    struct changelog_state *s = &c->state;
    char span[CLOCK_TEXT_SIZE];

    if (s->trouble != TROUBLE_NONE)
        log_info("pypi", "changelog: goes on (%u failures in %s)", s->failures,
                 clock_span(clock_steady_ms() - s->trouble_since_ms, span));
    s->trouble = TROUBLE_NONE;
    s->failures = 0;
    s->cause[0] = '\0';
}

/* ---- progress ------------------------------------------------------------------------------------- */

static int64_t time_left_ms(const struct changelog_state *s)
{
    return s->serials_per_s > 0 ? (int64_t)((double)(s->newest - s->serial) / s->serials_per_s * 1000) : -1;
}

void changelog_progress(struct changelog *c, bool much)
{
    struct changelog_state *s = &c->state;
    int64_t now_ms = clock_steady_ms(), span_ms = now_ms - s->told_ms;
    char span[CLOCK_TEXT_SIZE];

    if (span_ms < TOLD_EVERY_MS)
        return;
    s->events_per_s = (double)(s->events - s->told_events) * 1000 / (double)span_ms;
    s->serials_per_s = (double)(s->serial - s->told_serial) * 1000 / (double)span_ms;
    if (much && s->newest > 0)
        log_info("pypi", "changelog: serial %" PRId64 " of %" PRId64 " (%.1f %%, %.0f events/s, %s left)", s->serial, s->newest,
                 (double)s->serial * 100 / (double)s->newest, s->events_per_s, clock_span(time_left_ms(s), span));
    s->told_ms = now_ms;
    s->told_serial = s->serial;
    s->told_events = s->events;
}

/* ---- what is odd ---------------------------------------------------------------------------------- */

/* The first two words: what follows may be the name of a file. */
static void first_words(const char *action, char *to, size_t size)
{
    size_t len = strcspn(action, " ");

    if (action[len] == ' ')
        len += 1 + strcspn(action + len + 1, " ");
    char *text = mem_textn(action, len);
    text_copy(to, size, text);
    free(text);
}

void changelog_note_unknown(struct changelog *c, const struct changelog_row *row)
{
    struct changelog_state *s = &c->state;
    char words[sizeof s->odd_actions[0]];

    s->unknown++;
    first_words(row->action, words, sizeof words);
    for (unsigned i = 0; i < s->odd_action_count; i++)
        if (strcmp(s->odd_actions[i], words) == 0)
            return;
    if (s->odd_action_count == CHANGELOG_ODD_ACTIONS)
        return;
    text_copy(s->odd_actions[s->odd_action_count++], sizeof words, words);
    log_info("pypi", "changelog: \"%s\" is no action known here: whatever it strikes is compared with PyPI (first: %s, serial %"
             PRId64 ")", words, row->name, row->serial);
}

void changelog_note_refused(struct changelog *c, const struct changelog_row *row, const char *why)
{
    uint64_t count = ++c->state.refused;

    if (count <= REFUSALS_LOGGED)
        log_info("pypi", "changelog: passed over \"%.80s\" %.40s (serial %" PRId64 ": %s)%s", row->name,
                 row->version != NULL ? row->version : "", row->serial, why,
                 count == REFUSALS_LOGGED ? "; from now on such are only counted" : "");
}

void changelog_note_passed(struct changelog *c, const char *name, int64_t serial, const char *why)
{
    c->state.refused++;
    log_warning("pypi", "changelog: passed over an event of %.80s that the database refuses (serial %" PRId64 ": %.170s)", name,
                serial, why);
}

/* ---- for the tools -------------------------------------------------------------------------------- */

static const char *state_name(const struct changelog *c)
{
    if (c->settings->xmlrpc_url[0] == '\0')
        return "off";
    if (c->state.trouble != TROUBLE_NONE)
        return "waiting";
    return !c->state.known ? "starting" : c->state.all_read ? "following" : "reading";
}

/* "lag" is in serials; times in milliseconds from now, or ago; -1: never, or unknown. */
json_t *changelog_describe(const struct changelog *c)
{
    const struct changelog_state *s = &c->state;
    int64_t now_ms = clock_steady_ms();
    bool reading = s->known && !s->all_read;

    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I}",
        "follow", c->settings->follow_all ? "all" : "listed", "state", state_name(c),
        "serial", (json_int_t)s->serial, "newest", (json_int_t)s->newest,
        "lag", (json_int_t)(s->newest > s->serial ? s->newest - s->serial : 0),
        "events", (json_int_t)s->events, "events_per_s", (json_int_t)s->events_per_s,
        "left_ms", (json_int_t)(reading ? time_left_ms(s) : 0),
        "answered_ms", (json_int_t)(s->answered_ms > 0 ? now_ms - s->answered_ms : -1), "trouble", s->cause,
        "next_ms", (json_int_t)(s->next_ms > now_ms ? s->next_ms - now_ms : 0),
        "unknown", (json_int_t)s->unknown, "refused", (json_int_t)s->refused);
}
