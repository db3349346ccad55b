/*
 * From a message to the bytes of its frame. wire.c calls this for everything that is sent; the packing is
 * msgpack-c's, straight into the buffer of the connection.
 */
#include <errno.h>
#include <msgpack.h>
#include <string.h>

#include "core/text.h"
#include "message_table.h"

/* Errors need no look at each step: the buffer remembers that it was full. */
static int append(void *buffer, const char *data, size_t len)
{
    return len == 0 ? 0 : buf_add(buffer, data, len);
}

static int pack_text(msgpack_packer *to, const struct field *f, const char *text)
{
    if (text == NULL)
        text = "";
    size_t len = strlen(text);
    if (len > f->max || !text_is_utf8(text, len))
        return -EINVAL;
    msgpack_pack_str(to, len);
    msgpack_pack_str_body(to, text, len);
    return 0;
}

static int pack_bytes(msgpack_packer *to, const struct field *f, const struct bytes *bytes)
{
    if (bytes->len > f->max)
        return -EINVAL;
    msgpack_pack_bin(to, bytes->len);
    msgpack_pack_bin_body(to, bytes->data, bytes->len);
    return 0;
}

static int pack_uint(msgpack_packer *to, const struct field *f, uint64_t value)
{
    if (value > f->max)
        return -EINVAL;
    msgpack_pack_uint64(to, value);
    return 0;
}

static int pack_int(msgpack_packer *to, const struct field *f, int64_t value)
{
    if (value < f->min || (value > 0 && (uint64_t)value > f->max))
        return -EINVAL;
    msgpack_pack_int64(to, value);
    return 0;
}

static int pack_fields(msgpack_packer *to, const struct shape *shape, const char *owner);

static int pack_record(msgpack_packer *to, const struct shape *shape, const char *record)
{
    msgpack_pack_array(to, shape->count);
    return pack_fields(to, shape, record);
}

static int pack_list(msgpack_packer *to, const struct field *f, const char *owner)
{
    uint32_t count = list_count(f, owner);
    if (count > f->max)
        return -EINVAL;
    msgpack_pack_array(to, count);
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = pack_record(to, f->record, list_item(f, owner, i));
    return rc;
}

static int pack_field(msgpack_packer *to, const struct field *f, const char *owner)
{
    const void *value = owner + f->offset;
    switch (f->kind) {
    case FIELD_UINT: return pack_uint(to, f, *(const uint64_t *)value);
    case FIELD_INT: return pack_int(to, f, *(const int64_t *)value);
    case FIELD_BOOL: *(const bool *)value ? msgpack_pack_true(to) : msgpack_pack_false(to); return 0;
    case FIELD_TEXT: return pack_text(to, f, *(const char *const *)value);
    case FIELD_BYTES: return pack_bytes(to, f, value);
    case FIELD_PART: return pack_record(to, f->record, value);
    case FIELD_LIST: return pack_list(to, f, owner);
    }
    return -EINVAL;
}

static int pack_fields(msgpack_packer *to, const struct shape *shape, const char *owner)
{
    int rc = 0;
    for (unsigned i = 0; i < shape->count && rc == 0; i++)
        rc = pack_field(to, &shape->fields[i], owner);
    return rc;
}

static void put_length(char *at, size_t len)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(len >> (24 - 8 * i));
}

int message_encode(const struct message *m, struct buf *to)
{
    const struct message_kind *kind = &message_kinds[m->verb];
    size_t start = to->len;
    msgpack_packer packer;
    msgpack_packer_init(&packer, to, append);

    buf_add(to, "\0\0\0\0", 4);
    msgpack_pack_array(&packer, kind->shape.count + 1);
    msgpack_pack_str(&packer, strlen(kind->verb));
    msgpack_pack_str_body(&packer, kind->verb, strlen(kind->verb));
    int rc = pack_fields(&packer, &kind->shape, message_body(m));
    if (rc == 0 && to->full)
        rc = -ENOBUFS;
    if (rc < 0) {
        to->len = start; /* half a frame would be worse than none */
        to->data[start] = '\0';
        return rc;
    }
    put_length(to->data + start, to->len - start - 4);
    return 0;
}
