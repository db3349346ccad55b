/*
 * The tables of message_table.h, generated from schema/messages.def: first an array of fields for every
 * record and message, then the array of verbs. An array ends with a nameless field, for C knows no
 * array without members and some messages have no fields.
 */
#include "message_table.h"

#include "core/memory.h"

/* A field knows its owner's name but not whether that is a record or a message: this knows it. */
#define RECORD(name, help) union owner_##name { struct rec_##name it; };
#define MESSAGE(name, verb, sender, help) union owner_##name { struct msg_##name it; };
#define RECORD_END(name)
#define MESSAGE_END(name)
#define UINT(...)
#define INT(...)
#define BOOL(...)
#define TEXT(...)
#define BYTES(...)
#define PART(...)
#define LIST(...)
#include "messages.def"
#undef RECORD
#undef MESSAGE
#undef RECORD_END
#undef MESSAGE_END
#undef UINT
#undef INT
#undef BOOL
#undef TEXT
#undef BYTES
#undef PART
#undef LIST

#define PLACE(owner, name) #name, .offset = offsetof(union owner_##owner, it.name)
#define SHAPE(name) {fields_of_##name, COUNT_OF(fields_of_##name) - 1, sizeof(union owner_##name)}

#define RECORD(name, help) static const struct field fields_of_##name[] = {
#define RECORD_END(name) {NULL}}; static const struct shape shape_of_##name = SHAPE(name);
#define MESSAGE(name, verb, sender, help) static const struct field fields_of_##name[] = {
#define MESSAGE_END(name) {NULL}};
#define UINT(owner, name, most, help) {PLACE(owner, name), .kind = FIELD_UINT, .max = most},
#define INT(owner, name, least, most, help) {PLACE(owner, name), .kind = FIELD_INT, \
    .min = least, .max = most},
#define BOOL(owner, name, help) {PLACE(owner, name), .kind = FIELD_BOOL},
#define TEXT(owner, name, most, help) {PLACE(owner, name), .kind = FIELD_TEXT, .max = most},
#define BYTES(owner, name, most, help) {PLACE(owner, name), .kind = FIELD_BYTES, .max = most},
#define PART(owner, name, of, help) {PLACE(owner, name), .kind = FIELD_PART, .record = &shape_of_##of},
#define LIST(owner, name, of, most, help) {PLACE(owner, name), .kind = FIELD_LIST, .max = most, \
    .items_offset = offsetof(union owner_##owner, it.name.items), .record = &shape_of_##of},
#include "messages.def"
#undef RECORD
#undef MESSAGE
#undef RECORD_END
#undef MESSAGE_END
#undef UINT
#undef INT
#undef BOOL
#undef TEXT
#undef BYTES
#undef PART
#undef LIST

#define RECORD(name, help)
#define MESSAGE(name, verb, sender, help) [VERB_##verb] = {#verb, FROM_##sender, SHAPE(name)},
#define RECORD_END(name)
#define MESSAGE_END(name)
#define UINT(...)
#define INT(...)
#define BOOL(...)
#define TEXT(...)
#define BYTES(...)
#define PART(...)
#define LIST(...)
const struct message_kind message_kinds[VERB_COUNT] = {
#include "messages.def"
};

const char *message_verb_name(enum verb verb)
{
    return message_kinds[verb].verb;
}

enum message_sender message_sender(enum verb verb)
{
    return message_kinds[verb].sender;
}
