/*
 * Two clocks. The wall clock stamps records and may jump; the steady clock measures and never
 * goes back. Deadlines use the steady clock only.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void);   /* milliseconds since 1970-01-01 UTC */
int64_t clock_steady_ms(void); /* milliseconds since some fixed moment */

#define CLOCK_TEXT_SIZE 32

/* "2026-01-31 14:05:09" in UTC; returns `text`. */
const char *clock_text(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/* "48 s", "3 min 20 s", "2 h 5 min", "4 d 3 h": a span for people; returns `text`. */
const char *clock_span(int64_t span_ms, char text[CLOCK_TEXT_SIZE]);

/* Reads an ISO 8601 / RFC 3339 UTC time ("2023-04-05T06:07:08.123456Z", 'T' or ' ') into
 * milliseconds. 0, or -EINVAL. */
int clock_parse(const char *text, int64_t *wall_ms);

#endif
