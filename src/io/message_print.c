/*
 * A message as one line for people: what `--debug io` shows of everything that crosses a wire.
 */
#include <inttypes.h>
#include <string.h>

#include "message_table.h"

#define LONGEST_TEXT_SHOWN 200

static void print_text(struct buf *to, const char *text)
{
    if (text == NULL)
        text = "";
    if (strlen(text) <= LONGEST_TEXT_SHOWN)
        buf_add_json(to, text);
    else
        buf_addf(to, "<%zu bytes>", strlen(text));
}

static void print_fields(struct buf *to, const struct shape *shape, const char *owner);

static void print_list(struct buf *to, const struct field *f, const char *owner)
{
    buf_addc(to, '[');
    for (uint32_t i = 0; i < list_count(f, owner); i++) {
        buf_adds(to, i == 0 ? "{" : " {");
        print_fields(to, f->record, list_item(f, owner, i));
        buf_addc(to, '}');
    }
    buf_addc(to, ']');
}

static void print_part(struct buf *to, const struct field *f, const char *record)
{
    buf_addc(to, '{');
    print_fields(to, f->record, record);
    buf_addc(to, '}');
}

static void print_value(struct buf *to, const struct field *f, const char *owner)
{
    const void *value = owner + f->offset;
    switch (f->kind) {
    case FIELD_UINT: buf_addf(to, "%" PRIu64, *(const uint64_t *)value); break;
    case FIELD_INT: buf_addf(to, "%" PRId64, *(const int64_t *)value); break;
    case FIELD_BOOL: buf_adds(to, *(const bool *)value ? "true" : "false"); break;
    case FIELD_TEXT: print_text(to, *(const char *const *)value); break;
    case FIELD_BYTES: buf_addf(to, "<%" PRIu32 " bytes>", ((const struct bytes *)value)->len); break;
    case FIELD_PART: print_part(to, f, value); break;
    case FIELD_LIST: print_list(to, f, owner); break;
    }
}

static void print_fields(struct buf *to, const struct shape *shape, const char *owner)
{
    for (unsigned i = 0; i < shape->count; i++) {
        buf_addf(to, "%s%s=", i == 0 ? "" : " ", shape->fields[i].name);
        print_value(to, &shape->fields[i], owner);
    }
}

void message_print(const struct message *m, struct buf *to)
{
    const struct message_kind *kind = &message_kinds[m->verb];
    buf_addf(to, "%s%s", kind->verb, kind->shape.count == 0 ? "" : " ");
    print_fields(to, &kind->shape, message_body(m));
}
