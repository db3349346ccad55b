/*
 * The wire's messages: structs, encoder, validating decoder and printer, all from
 * schema/messages.def. The form is described in piwheels-protocol(7).
 *
 * Encoding uses msgpack-c; decoding is a bounded cursor of our own that allocates nothing: it checks
 * every count against the bytes that remain and every value against the field's limits. Texts
 * of a decoded message point into the frame (made NUL-terminated there), bytes too: they live as
 * long as the frame does.
 */
#ifndef IO_MESSAGE_H
#define IO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define FRAME_MAX_BYTES (1024 * 1024) /* of the msgpack array, without the length before it */
#define CHUNK_MAX_BYTES (256 * 1024)

struct bytes {
    const uint8_t *data;
    uint32_t len;
};

/* struct msg_hello { const char *version; …; struct { uint32_t count; struct rec_offer items[16]; } offers; }
 * The member end_of_… gives a message without fields something to be made of, as C demands. */
#define RECORD(name, help) struct rec_##name {
#define RECORD_END(name) };
#define MESSAGE(name, verb, sender, help) struct msg_##name {
#define MESSAGE_END(name) char end_of_##name; };
#define UINT(owner, name, max, help) uint64_t name;
#define INT(owner, name, min, max, help) int64_t name;
#define BOOL(owner, name, help) bool name;
#define TEXT(owner, name, max, help) const char *name;
#define BYTES(owner, name, max, help) struct bytes name;
#define PART(owner, name, record, help) struct rec_##record name;
#define LIST(owner, name, record, max, help) struct { uint32_t count; struct rec_##record items[max]; } name;
#include "messages.def"
#undef RECORD
#undef RECORD_END
#undef MESSAGE
#undef MESSAGE_END

#define RECORD(name, help)
#define RECORD_END(name)
#define MESSAGE_END(name)
#undef UINT
#undef INT
#undef BOOL
#undef TEXT
#undef BYTES
#undef PART
#undef LIST
#define UINT(...)
#define INT(...)
#define BOOL(...)
#define TEXT(...)
#define BYTES(...)
#define PART(...)
#define LIST(...)

enum verb {
#define MESSAGE(name, verb, sender, help) VERB_##verb,
#include "messages.def"
#undef MESSAGE
    VERB_COUNT
};

struct message {
    enum verb verb;
    union {
#define MESSAGE(name, verb, sender, help) struct msg_##name name;
#include "messages.def"
#undef MESSAGE
    };
};

#undef RECORD
#undef RECORD_END
#undef MESSAGE_END
#undef UINT
#undef INT
#undef BOOL
#undef TEXT
#undef BYTES
#undef PART
#undef LIST

enum message_sender { FROM_SLAVE, FROM_MASTER, FROM_TOOL };

const char *message_verb_name(enum verb verb);           /* "HELLO" */
enum message_sender message_sender(enum verb verb);

/* Appends the frame, length first. NULL texts are sent empty. -EINVAL when a value breaks its field's
 * limits (a mistake of ours; nothing is appended), -ENOBUFS when `to` is full. */
int message_encode(const struct message *m, struct buf *to);

/* Reads one frame's msgpack array of `len` bytes. `frame` must have one writable byte behind it.
 * 0, or -EBADMSG with `why` naming verb, field and fault. */
int message_decode(char *frame, size_t len, struct message *m, char *why, size_t why_size);

/* "BUILD attempt=7 package=\"cffi\" …": for debug lines; bulk data only as its length. */
void message_print(const struct message *m, struct buf *to);

#endif
