/*
 * An answer of PyPI's changelog as it goes to the database: batches of rows, each stored by one request (changelog.c). What
 * the database refuses for what is in it is halved, until a single event stands alone and can be named.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "changelog.h"
#include "core/memory.h"
#include "core/text.h"

#define MAX_BATCH_BYTES ((size_t)8 << 20)
#define MAX_BATCH_EVENTS 50000u
#define NAME_COLUMN 3 /* of a row as db_event_add writes it; the serial is the first */

void changelog_drop_first(struct changelog_answer *a)
{
    struct changelog_batch *b = a->first;

    a->first = b->next;
    if (a->first == NULL)
        a->last = NULL;
    buf_release(&b->rows);
    free(b);
}

void changelog_drop(struct changelog_answer *a)
{
    while (a->first != NULL)
        changelog_drop_first(a);
    *a = (struct changelog_answer){.first = NULL};
}

static struct changelog_batch *batch_new(int64_t from, int64_t to)
{
    struct changelog_batch *b = mem_new(1, sizeof *b);

    buf_init(&b->rows, 2 * MAX_BATCH_BYTES);
    b->from = from;
    b->to = to;
    return b;
}

static struct changelog_batch *batch_with_room(struct changelog_answer *a)
{
    struct changelog_batch *last = a->last;

    if (last != NULL && last->events < MAX_BATCH_EVENTS && last->rows.len < MAX_BATCH_BYTES)
        return last;
    struct changelog_batch *b = batch_new(last != NULL ? last->to : a->from, 0);
    if (last != NULL)
        last->next = b;
    else
        a->first = b;
    return a->last = b;
}

void changelog_add(struct changelog_answer *a, const struct db_event *e)
{
    struct changelog_batch *b = batch_with_room(a);
    size_t before = b->rows.len;

    (void)db_event_add(&b->rows, e); /* there is room for the largest */
    a->bytes += b->rows.len - before;
    b->events++;
    b->to = e->serial;
}

void changelog_copy_rows(const struct changelog_batch *b, struct buf *rows)
{
    buf_init(rows, 2 * MAX_BATCH_BYTES);
    buf_add(rows, b->rows.data, b->rows.len);
}

/* ---- what is refused ------------------------------------------------------------------------------ */

/* Where the row at `at` ends, behind its newline. */
static size_t row_end(const struct buf *rows, size_t at)
{
    const char *end = memchr(rows->data + at, '\n', rows->len - at);
    return (size_t)(end - rows->data) + 1;
}

void changelog_halve(struct changelog_answer *a)
{
    struct changelog_batch *b = a->first;
    unsigned half = b->events / 2;
    size_t at = 0, last = 0;

    for (unsigned i = 0; i < half; i++) {
        last = at;
        at = row_end(&b->rows, at);
    }
    struct changelog_batch *rest = batch_new(strtoll(b->rows.data + last, NULL, 10), b->to);
    struct buf whole = b->rows;
    buf_init(&b->rows, 2 * MAX_BATCH_BYTES);
    buf_add(&b->rows, whole.data, at);
    buf_add(&rest->rows, whole.data + at, whole.len - at);
    buf_release(&whole);
    rest->events = b->events - half;
    rest->next = b->next;
    b->events = half;
    b->to = rest->from;
    b->next = rest;
    if (a->last == b)
        a->last = rest;
}

void changelog_pass_over(struct changelog_answer *a, char *name, size_t size, int64_t *serial)
{
    struct changelog_batch *b = a->first;
    const char *at = b->rows.data;

    *serial = strtoll(at, NULL, 10);
    for (int column = 0; column < NAME_COLUMN; column++)
        at = strchr(at, '\t') + 1;
    char *text = mem_textn(at, strcspn(at, "\t"));
    text_copy(name, size, text);
    free(text);
    buf_clear(&b->rows);
    b->events = 0;
}
