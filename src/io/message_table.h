/*
 * The wire's messages as data: what schema/messages.def declares, as tables that the encoder, the
 * decoder and the printer walk. Private to this room.
 */
#ifndef MESSAGE_TABLE_H
#define MESSAGE_TABLE_H

#include "io/message.h"

enum field_kind { FIELD_UINT, FIELD_INT, FIELD_BOOL, FIELD_TEXT, FIELD_BYTES, FIELD_PART, FIELD_LIST };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;              /* in its owner's struct; LIST: of the count */
    size_t items_offset;        /* LIST: of the first record */
    int64_t min;                /* UINT, INT: the least value */
    uint64_t max;               /* UINT, INT: the largest value; TEXT, BYTES: bytes; LIST: records */
    const struct shape *record; /* PART, LIST: what it is made of */
};

/* The fields of a record or of a message, in the order of the wire. */
struct shape {
    const struct field *fields;
    unsigned count;
    size_t size;                /* of the struct */
};

struct message_kind {
    const char *verb;           /* "HELLO" */
    enum message_sender sender;
    struct shape shape;
};

extern const struct message_kind message_kinds[VERB_COUNT];

/* The struct of the message's own verb: the union's members share one address. */
static inline const char *message_body(const struct message *m)
{
    return (const char *)&m->hello;
}

/* How many records a LIST field of `owner` holds, and the one at `index`. */
static inline uint32_t list_count(const struct field *f, const char *owner)
{
    return *(const uint32_t *)(const void *)(owner + f->offset);
}

static inline const char *list_item(const struct field *f, const char *owner, uint32_t index)
{
    return owner + f->items_offset + index * f->record->size;
}

#endif
