/*
 * From the bytes of a frame, which nobody vouches for, to a message. wire.c calls this for everything that
 * arrives. The cursor never leaves the frame, allocates nothing, and believes no count before
 * having compared it with the bytes that remain: records do not nest, so neither does the reader.
 *
 * Every msgpack spelling of a value is taken (5 may come as int64), since encoders differ in that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "message_table.h"

struct cursor {
    char *at, *end;             /* what is left of the frame */
    char *unterminated;         /* where the last text's NUL goes: on the next head, once that was read */
    const char *verb;           /* from here on: where we are, for the fault */
    const struct field *outer;  /* the PART or LIST that the field is in */
    const struct field *field;
    uint32_t index;             /* of the record in a LIST */
    char *why;
    size_t why_size;
};

enum head_kind { HEAD_OTHER, HEAD_INTEGER, HEAD_BOOLEAN, HEAD_STR, HEAD_BIN, HEAD_ARRAY };

static const char *const head_names[] = {
    "something else", "an integer", "a boolean", "a str", "a bin", "an array",
};

/* What precedes a value. `value`: the integer itself, the boolean, or the length that is claimed. */
struct head {
    enum head_kind kind;
    bool negative;              /* an integer below 0, `value` being its two's complement */
    uint64_t value;
};

/* The forms of the first bytes 0xc0 to 0xdf: their kind, and how many bytes of value follow. nil, ext and
 * floats are in no message of ours; nor are maps (0xde, 0xdf). */
static const struct form {
    enum head_kind kind;
    uint8_t size;
    bool is_signed;
} forms[32] = {
    [0x02] = {HEAD_BOOLEAN, 0, false}, [0x03] = {HEAD_BOOLEAN, 0, false},
    [0x04] = {HEAD_BIN, 1, false},     [0x05] = {HEAD_BIN, 2, false},     [0x06] = {HEAD_BIN, 4, false},
    [0x0c] = {HEAD_INTEGER, 1, false}, [0x0d] = {HEAD_INTEGER, 2, false},
    [0x0e] = {HEAD_INTEGER, 4, false}, [0x0f] = {HEAD_INTEGER, 8, false},
    [0x10] = {HEAD_INTEGER, 1, true},  [0x11] = {HEAD_INTEGER, 2, true},
    [0x12] = {HEAD_INTEGER, 4, true},  [0x13] = {HEAD_INTEGER, 8, true},
    [0x19] = {HEAD_STR, 1, false},     [0x1a] = {HEAD_STR, 2, false},     [0x1b] = {HEAD_STR, 4, false},
    [0x1c] = {HEAD_ARRAY, 2, false},   [0x1d] = {HEAD_ARRAY, 4, false},
};

/* -- faults -------------------------------------------------------------------------------------- */

static int fault(struct cursor *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `HELLO: field "offers[2].abi" is longer than 32 bytes` */
static int fault(struct cursor *c, const char *format, ...)
{
    char place[128] = "", what[128];
    if (c->outer != NULL && c->outer->kind == FIELD_LIST)
        snprintf(place, sizeof place, "%s[%" PRIu32 "]", c->outer->name, c->index);
    else if (c->outer != NULL)
        snprintf(place, sizeof place, "%s", c->outer->name);
    if (c->field != NULL) {
        size_t used = strlen(place);
        snprintf(place + used, sizeof place - used, "%s%s", used > 0 ? "." : "", c->field->name);
    }
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);

    if (c->verb == NULL)
        snprintf(c->why, c->why_size, "frame %s", what);
    else if (place[0] == '\0')
        snprintf(c->why, c->why_size, "%s: message %s", c->verb, what);
    else
        snprintf(c->why, c->why_size, "%s: field \"%s\" %s", c->verb, place, what);
    return -EBADMSG;
}

static int cut_short(struct cursor *c)
{
    return fault(c, "is cut short");
}

/* -- heads --------------------------------------------------------------------------------------- */

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The form and the value of a first byte outside 0xc0 to 0xdf, which holds its value within itself. */
static struct head short_head(uint8_t first)
{
    if (first < 0x80)
        return (struct head){HEAD_INTEGER, false, first};
    if (first < 0x90)
        return (struct head){HEAD_OTHER, false, 0}; /* a map */
    if (first < 0xa0)
        return (struct head){HEAD_ARRAY, false, first & 0x0f};
    if (first < 0xc0)
        return (struct head){HEAD_STR, false, first & 0x1f};
    return (struct head){HEAD_INTEGER, true, UINT64_MAX - (0xff - first)};
}

static struct head long_head(struct cursor *c, const struct form *form)
{
    struct head head = {form->kind, false, 0};
    for (unsigned i = 0; i < form->size; i++)
        head.value = head.value << 8 | (uint8_t)c->at[i];
    if (form->is_signed && ((uint8_t)c->at[0] & 0x80) != 0) {
        head.negative = true;
        if (form->size < 8)
            head.value |= UINT64_MAX << (8 * form->size);
    }
    c->at += form->size;
    return head;
}

static int read_head(struct cursor *c, struct head *head)
{
    if (left(c) == 0)
        return cut_short(c);
    uint8_t first = (uint8_t)*c->at++;
    if (first < 0xc0 || first > 0xdf) {
        *head = short_head(first);
    } else if (left(c) < forms[first - 0xc0].size) {
        return cut_short(c);
    } else {
        *head = long_head(c, &forms[first - 0xc0]);
        if (head->kind == HEAD_BOOLEAN)
            head->value = first & 1;
    }
    if (c->unterminated != NULL)
        *c->unterminated = '\0';
    c->unterminated = NULL;
    return 0;
}

static int expect(struct cursor *c, enum head_kind kind, struct head *head)
{
    int rc = read_head(c, head);
    if (rc < 0)
        return rc;
    if (head->kind != kind)
        return fault(c, "is %s, not %s", head_names[head->kind], head_names[kind]);
    return 0;
}

/* -- values -------------------------------------------------------------------------------------- */

static int read_uint(struct cursor *c, uint64_t *value)
{
    struct head head;
    int rc = expect(c, HEAD_INTEGER, &head);
    if (rc < 0)
        return rc;
    if (head.negative)
        return fault(c, "is negative");
    if (head.value > c->field->max)
        return fault(c, "is greater than %" PRIu64, c->field->max);
    *value = head.value;
    return 0;
}

static int read_int(struct cursor *c, int64_t *value)
{
    struct head head;
    int rc = expect(c, HEAD_INTEGER, &head);
    if (rc < 0)
        return rc;
    if (!head.negative && head.value > c->field->max)
        return fault(c, "is greater than %" PRIu64, c->field->max);
    *value = (int64_t)head.value;
    if (*value < c->field->min)
        return fault(c, "is less than %" PRId64, c->field->min);
    return 0;
}

static int read_bool(struct cursor *c, bool *value)
{
    struct head head;
    int rc = expect(c, HEAD_BOOLEAN, &head);
    if (rc == 0)
        *value = head.value != 0;
    return rc;
}

/* The bytes of a str or a bin, which stay where they are. */
static int read_run(struct cursor *c, enum head_kind kind, struct bytes *run)
{
    struct head head;
    int rc = expect(c, kind, &head);
    if (rc < 0)
        return rc;
    if (head.value > c->field->max)
        return fault(c, "is longer than %" PRIu64 " bytes", c->field->max);
    if (head.value > left(c))
        return cut_short(c);
    *run = (struct bytes){(const uint8_t *)c->at, (uint32_t)head.value};
    c->at += head.value;
    return 0;
}

static int read_text(struct cursor *c, const char **text)
{
    struct bytes run = {0};
    int rc = read_run(c, HEAD_STR, &run);
    if (rc < 0)
        return rc;
    *text = (const char *)run.data;
    if (memchr(*text, '\0', run.len) != NULL)
        return fault(c, "holds a NUL");
    if (!text_is_utf8(*text, run.len))
        return fault(c, "is not UTF-8");
    c->unterminated = c->at;
    return 0;
}

/* -- records ------------------------------------------------------------------------------------- */

static int read_fields(struct cursor *c, const struct shape *shape, char *owner);

static int read_record(struct cursor *c, const struct shape *shape, char *record)
{
    struct head head;
    c->field = NULL;
    int rc = expect(c, HEAD_ARRAY, &head);
    if (rc < 0)
        return rc;
    if (head.value != shape->count)
        return fault(c, "has %" PRIu64 " fields, not %u", head.value, shape->count);
    return read_fields(c, shape, record);
}

static int read_part(struct cursor *c, const struct field *f, char *record)
{
    c->outer = f;
    int rc = read_record(c, f->record, record);
    c->outer = NULL;
    return rc;
}

static int read_list(struct cursor *c, const struct field *f, char *owner)
{
    struct head head;
    int rc = expect(c, HEAD_ARRAY, &head);
    if (rc < 0)
        return rc;
    if (head.value > f->max)
        return fault(c, "has more than %" PRIu64 " entries", f->max);
    if (head.value > left(c)) /* an entry takes a byte at least */
        return cut_short(c);
    c->outer = f;
    for (c->index = 0; c->index < head.value && rc == 0; c->index++)
        rc = read_record(c, f->record, owner + f->items_offset + c->index * f->record->size);
    c->outer = NULL;
    *(uint32_t *)(void *)(owner + f->offset) = (uint32_t)head.value;
    return rc;
}

static int read_field(struct cursor *c, const struct field *f, char *owner)
{
    void *value = owner + f->offset;
    c->field = f;
    switch (f->kind) {
    case FIELD_UINT: return read_uint(c, value);
    case FIELD_INT: return read_int(c, value);
    case FIELD_BOOL: return read_bool(c, value);
    case FIELD_TEXT: return read_text(c, value);
    case FIELD_BYTES: return read_run(c, HEAD_BIN, value);
    case FIELD_PART: return read_part(c, f, value);
    case FIELD_LIST: return read_list(c, f, owner);
    }
    return -EBADMSG;
}

static int read_fields(struct cursor *c, const struct shape *shape, char *owner)
{
    int rc = 0;
    for (unsigned i = 0; i < shape->count && rc == 0; i++)
        rc = read_field(c, &shape->fields[i], owner);
    return rc;
}

/* -- the message --------------------------------------------------------------------------------- */

static int read_verb(struct cursor *c, enum verb *verb)
{
    struct head head;
    int rc = expect(c, HEAD_STR, &head);
    if (rc < 0)
        return rc;
    if (head.value > left(c))
        return cut_short(c);
    for (unsigned i = 0; i < VERB_COUNT; i++) {
        const char *name = message_kinds[i].verb;
        if (head.value == strlen(name) && memcmp(c->at, name, head.value) == 0) {
            c->at += head.value;
            *verb = (enum verb)i;
            c->verb = name;
            return 0;
        }
    }
    return fault(c, "has a verb that is not known");
}

int message_decode(char *frame, size_t len, struct message *m, char *why, size_t why_size)
{
    struct cursor c = {.at = frame, .end = frame + len, .why = why, .why_size = why_size};
    struct head head;
    memset(m, 0, sizeof *m);

    int rc = expect(&c, HEAD_ARRAY, &head);
    if (rc < 0)
        return rc;
    if (head.value == 0)
        return fault(&c, "has no verb");
    rc = read_verb(&c, &m->verb);
    if (rc < 0)
        return rc;
    const struct shape *shape = &message_kinds[m->verb].shape;
    if (head.value != shape->count + 1)
        return fault(&c, "has %" PRIu64 " fields, not %u", head.value - 1, shape->count);
    rc = read_fields(&c, shape, (char *)&m->hello); /* the union's members share one address */
    if (rc < 0)
        return rc;
    c.field = NULL;
    if (left(&c) > 0)
        return fault(&c, "has %zu bytes behind its last field", left(&c));
    if (c.unterminated != NULL)
        *c.unterminated = '\0';
    return 0;
}
