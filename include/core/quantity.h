/*
 * Numbers with units, as people write them in settings.
 */
#ifndef CORE_QUANTITY_H
#define CORE_QUANTITY_H

#include <stdint.h>

/* Each: 0, or -EINVAL when the text is none, or too large. */
int quantity_number(const char *text, int64_t *number);
int quantity_size(const char *text, int64_t *bytes);   /* 512, 64K, 20M, 4G, 1T */
int quantity_period(const char *text, int64_t *ms);    /* 90, 90s, 5min, 3h, 2d, 0 */
int quantity_span(const char *text, int64_t *ms);      /* the same, but for 0 */

/* What is to be said of a text that is none, behind the text itself. */
#define QUANTITY_NO_NUMBER "is no whole number"
#define QUANTITY_NO_SIZE "is no size; write 512, 64K, 20M or 4G"
#define QUANTITY_NO_PERIOD "is no duration; write 90s, 5min, 3h, 2d or 0"
#define QUANTITY_NO_SPAN "is no duration; write 90s, 5min, 3h or 2d"

#endif
