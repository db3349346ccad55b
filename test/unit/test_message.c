/*
 * The wire's messages: what is encoded comes back equal, and what is not one of ours is refused in words,
 * whatever the bytes. The cases of every verb are made from the table that schema/messages.def gives.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "../../src/io/message_table.h"
#include "core/memory.h"

#define BUF_MAX (2 * FRAME_MAX_BYTES)

/* -- messages made from the table ---------------------------------------------------------------- */

enum fill { LEAST, SOME, MOST };

static char *body(struct message *m)
{
    return (char *)&m->hello;
}

static char *text_of(size_t len)
{
    char *text = mem_new(len + 1, 1);
    memset(text, 'x', len);
    return text;
}

static void fill_fields(const struct shape *shape, char *owner, enum fill how);

static void fill_list(const struct field *f, char *owner, enum fill how)
{
    uint32_t count = how == LEAST ? 0 : how == SOME ? 2 : (uint32_t)f->max;
    *(uint32_t *)(void *)(owner + f->offset) = count;
    for (uint32_t i = 0; i < count; i++)
        fill_fields(f->record, owner + f->items_offset + i * f->record->size, how);
}

static void fill_field(const struct field *f, char *owner, enum fill how)
{
    void *value = owner + f->offset;
    size_t len = how == LEAST ? 0 : how == SOME && f->max > 5 ? 5 : (size_t)f->max;
    switch (f->kind) {
    case FIELD_UINT: *(uint64_t *)value = how == LEAST ? 0 : how == SOME ? f->max / 3 : f->max; break;
    case FIELD_INT: *(int64_t *)value = how == LEAST ? f->min : how == SOME ? -7 : (int64_t)f->max; break;
    case FIELD_BOOL: *(bool *)value = how != LEAST; break;
    case FIELD_TEXT: *(const char **)value = text_of(len); break;
    case FIELD_BYTES: *(struct bytes *)value = (struct bytes){(uint8_t *)text_of(len), (uint32_t)len}; break;
    case FIELD_PART: fill_fields(f->record, value, how); break;
    case FIELD_LIST: fill_list(f, owner, how); break;
    }
}

static void fill_fields(const struct shape *shape, char *owner, enum fill how)
{
    for (unsigned i = 0; i < shape->count; i++)
        fill_field(&shape->fields[i], owner, how);
}

static void free_fields(const struct shape *shape, char *owner)
{
    for (unsigned i = 0; i < shape->count; i++) {
        const struct field *f = &shape->fields[i];
        if (f->kind == FIELD_TEXT)
            free((void *)(uintptr_t)*(const char **)(void *)(owner + f->offset));
        else if (f->kind == FIELD_BYTES)
            free((void *)(uintptr_t)((struct bytes *)(void *)(owner + f->offset))->data);
        else if (f->kind == FIELD_PART)
            free_fields(f->record, owner + f->offset);
        else if (f->kind == FIELD_LIST)
            for (uint32_t n = 0; n < list_count(f, owner); n++)
                free_fields(f->record, owner + f->items_offset + n * f->record->size);
    }
}

static void assert_same_fields(const struct shape *shape, const char *a, const char *b)
{
    for (unsigned i = 0; i < shape->count; i++) {
        const struct field *f = &shape->fields[i];
        const void *one = a + f->offset, *other = b + f->offset;
        const struct bytes *run = one, *other_run = other;
        switch (f->kind) {
        case FIELD_UINT:
        case FIELD_INT: assert_memory_equal(one, other, 8); break;
        case FIELD_BOOL: assert_int_equal(*(const bool *)one, *(const bool *)other); break;
        case FIELD_TEXT: assert_string_equal(*(const char *const *)one, *(const char *const *)other); break;
        case FIELD_BYTES:
            assert_int_equal(run->len, other_run->len);
            assert_memory_equal(run->data, other_run->data, run->len);
            break;
        case FIELD_PART: assert_same_fields(f->record, one, other); break;
        case FIELD_LIST:
            assert_int_equal(list_count(f, a), list_count(f, b));
            for (uint32_t n = 0; n < list_count(f, a); n++)
                assert_same_fields(f->record, list_item(f, a, n), list_item(f, b, n));
            break;
        }
    }
}

/* A frame of every verb, for the tests of the decoder. */
static void make_frame(enum verb verb, enum fill how, struct buf *frame)
{
    struct message *m = mem_new(1, sizeof *m);
    m->verb = verb;
    fill_fields(&message_kinds[verb].shape, body(m), how);
    buf_init(frame, BUF_MAX);
    assert_int_equal(message_encode(m, frame), 0);
    free_fields(&message_kinds[verb].shape, body(m));
    free(m);
}

/* Decodes an exact copy on the heap, so that the sanitizer sees each step beyond its end. */
static int decode_copy(const void *bytes, size_t len, struct message *m, char **copy, char why[256])
{
    *copy = mem_resize(NULL, len + 1, 1);
    memcpy(*copy, bytes, len);
    (*copy)[len] = 'Z';
    why[0] = '\0';
    return message_decode(*copy, len, m, why, 256);
}

static void assert_refused(const char *bytes, size_t len, const char *reason)
{
    struct message m;
    char why[256], *copy;
    int rc = decode_copy(bytes, len, &m, &copy, why);
    free(copy);
    assert_int_equal(rc, -EBADMSG);
    assert_string_equal(why, reason);
}

/* A frame written by hand: its bytes, without the literal's own NUL. */
#define REFUSED(bytes, reason) assert_refused(bytes, sizeof(bytes) - 1, reason)

/* -- what is ours -------------------------------------------------------------------------------- */

static void check_round_trip(enum fill how)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        struct message *m = mem_new(1, sizeof *m), *back = mem_new(1, sizeof *back);
        struct buf frame;
        char why[256], *copy;
        m->verb = (enum verb)verb;
        fill_fields(&message_kinds[verb].shape, body(m), how);
        buf_init(&frame, BUF_MAX);

        assert_int_equal(message_encode(m, &frame), 0);
        int rc = decode_copy(frame.data + 4, frame.len - 4, back, &copy, why);

        assert_string_equal(why, "");
        assert_int_equal(rc, 0);
        assert_int_equal(back->verb, verb);
        assert_same_fields(&message_kinds[verb].shape, body(m), body(back));
        free(copy);
        buf_release(&frame);
        free_fields(&message_kinds[verb].shape, body(m));
        free(m);
        free(back);
    }
}

static void every_message_with_the_least_values_comes_back_equal(void **state)
{
    check_round_trip(LEAST);
}

static void every_message_with_usual_values_comes_back_equal(void **state)
{
    check_round_trip(SOME);
}

static void every_message_with_the_largest_values_comes_back_equal(void **state)
{
    check_round_trip(MOST);
}

static void the_largest_message_of_every_verb_fits_into_a_frame(void **state)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        struct buf frame;
        make_frame((enum verb)verb, MOST, &frame);
        assert_in_range(frame.len - 4, 1, FRAME_MAX_BYTES);
        buf_release(&frame);
    }
}

static void a_frame_begins_with_its_length_most_significant_byte_first(void **state)
{
    struct buf frame;
    buf_init(&frame, BUF_MAX);
    struct message m = {.verb = VERB_STOP, .stop = {.attempt = 300, .reason = "no"}};
    assert_int_equal(message_encode(&m, &frame), 0);
    assert_int_equal(frame.len, 16);
    assert_memory_equal(frame.data, "\0\0\0\x0c\x93\xa4STOP\xcd\x01\x2c\xa2no", 16);
    buf_release(&frame);
}

static void a_text_that_is_null_is_sent_empty(void **state)
{
    struct buf frame;
    struct message m = {.verb = VERB_BYE}, back;
    char why[256], *copy;
    buf_init(&frame, BUF_MAX);
    assert_int_equal(message_encode(&m, &frame), 0);
    assert_int_equal(decode_copy(frame.data + 4, frame.len - 4, &back, &copy, why), 0);
    assert_string_equal(back.bye.reason, "");
    free(copy);
    buf_release(&frame);
}

static void a_verb_knows_its_name_and_its_sender(void **state)
{
    assert_string_equal(message_verb_name(VERB_HELLO), "HELLO");
    assert_string_equal(message_verb_name(VERB_DATA), "DATA");
    assert_int_equal(message_sender(VERB_BUILT), FROM_SLAVE);
    assert_int_equal(message_sender(VERB_SEND), FROM_MASTER);
    assert_int_equal(message_sender(VERB_ADD), FROM_TOOL);
}

/* -- what the encoder refuses -------------------------------------------------------------------- */

static void assert_not_encoded(const struct message *m)
{
    struct buf frame;
    buf_init(&frame, BUF_MAX);
    buf_adds(&frame, "before");
    assert_int_equal(message_encode(m, &frame), -EINVAL);
    assert_int_equal(frame.len, 6);
    assert_string_equal(frame.data, "before");
    buf_release(&frame);
}

static void the_encoder_refuses_values_beyond_their_limits(void **state)
{
    char *longer = text_of(201);
    uint8_t data[33] = {0};
    assert_not_encoded(&(struct message){.verb = VERB_BYE, .bye = {.reason = longer}});
    assert_not_encoded(&(struct message){.verb = VERB_BYE, .bye = {.reason = "\xff"}});
    assert_not_encoded(&(struct message){.verb = VERB_CONT, .cont = {.attempt = (uint64_t)INT64_MAX + 1}});
    assert_not_encoded(&(struct message){.verb = VERB_BUILD, .build = {.sdist_sha256 = {data, 33}}});
    assert_not_encoded(&(struct message){.verb = VERB_IDLE, .idle = {.machine.temperature_milli = -273151}});
    assert_not_encoded(&(struct message){.verb = VERB_IDLE, .idle = {.machine.temperature_milli = 1000001}});
    assert_not_encoded(&(struct message){.verb = VERB_HELLO, .hello = {.offers = {.count = 17}}});
    free(longer);
}

static void a_full_buffer_takes_no_part_of_a_frame(void **state)
{
    struct buf frame;
    buf_init(&frame, 20);
    buf_adds(&frame, "before");
    struct message m = {.verb = VERB_BYE, .bye = {.reason = "more than fits"}};
    assert_int_equal(message_encode(&m, &frame), -ENOBUFS);
    assert_string_equal(frame.data, "before");
    assert_int_equal(frame.len, 6);
    buf_release(&frame);
}

struct literal {
    const char *bytes;
    size_t len;
};

#define FRAME(bytes) {bytes, sizeof(bytes) - 1}

/* -- what the decoder takes ---------------------------------------------------------------------- */

/* CONT with its attempt in the given spelling; -1 when refused. */
static long long attempt_in(const char *spelling, size_t len)
{
    char bytes[32] = "\x92\xa4"
                     "CONT",
         why[256], *copy;
    struct message m;
    memcpy(bytes + 6, spelling, len);
    int rc = decode_copy(bytes, 6 + len, &m, &copy, why);
    free(copy);
    return rc == 0 ? (long long)m.cont.attempt : -1;
}

#define ATTEMPT(spelling) attempt_in(spelling, sizeof(spelling) - 1)

static void every_spelling_of_an_integer_is_taken(void **state)
{
    assert_int_equal(ATTEMPT("\x05"), 5);
    assert_int_equal(ATTEMPT("\xcc\x05"), 5);
    assert_int_equal(ATTEMPT("\xcd\0\x05"), 5);
    assert_int_equal(ATTEMPT("\xce\0\0\0\x05"), 5);
    assert_int_equal(ATTEMPT("\xcf\0\0\0\0\0\0\0\x05"), 5);
    assert_int_equal(ATTEMPT("\xd0\x05"), 5);
    assert_int_equal(ATTEMPT("\xd1\0\x05"), 5);
    assert_int_equal(ATTEMPT("\xd2\0\0\0\x05"), 5);
    assert_int_equal(ATTEMPT("\xd3\0\0\0\0\0\0\0\x05"), 5);
    assert_int_equal(ATTEMPT("\xcc\xff"), 255);
    assert_true(ATTEMPT("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff") == INT64_MAX);
}

/* IDLE whose temperature has the given spelling; INT64_MIN when refused. */
static int64_t temperature_in(const char *spelling, size_t len)
{
    char bytes[32] = "\x94\xa4"
                     "IDLE\x01\x96\0\0\0\0\0",
         why[256], *copy;
    struct message m;
    memcpy(bytes + 13, spelling, len);
    bytes[13 + len] = '\xa0';
    int rc = decode_copy(bytes, 13 + len + 1, &m, &copy, why);
    free(copy);
    return rc == 0 ? m.idle.machine.temperature_milli : INT64_MIN;
}

#define TEMPERATURE(spelling) temperature_in(spelling, sizeof(spelling) - 1)

static void every_spelling_of_a_negative_integer_is_taken(void **state)
{
    assert_int_equal(TEMPERATURE("\xff"), -1);
    assert_int_equal(TEMPERATURE("\xe0"), -32);
    assert_int_equal(TEMPERATURE("\xd0\x80"), -128);
    assert_int_equal(TEMPERATURE("\xd1\xff\x00"), -256);
    assert_int_equal(TEMPERATURE("\xd2\xff\xff\xff\xfe"), -2);
    assert_int_equal(TEMPERATURE("\xd3\xff\xff\xff\xff\xff\xff\xff\xfd"), -3);
    assert_int_equal(TEMPERATURE("\xcd\xff\xff"), 65535);
}

static void every_spelling_of_texts_and_arrays_is_taken(void **state)
{
    static const struct literal frames[] = {
        FRAME("\x92\xa3" "BYE" "\xa2hi"),
        FRAME("\x92\xd9\x03" "BYE" "\xd9\x02hi"),
        FRAME("\xdc\0\x02\xda\0\x03" "BYE" "\xda\0\x02hi"),
        FRAME("\xdd\0\0\0\x02\xdb\0\0\0\x03" "BYE" "\xdb\0\0\0\x02hi"),
    };
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        struct message m;
        char why[256], *copy;
        assert_int_equal(decode_copy(frames[i].bytes, frames[i].len, &m, &copy, why), 0);
        assert_string_equal(m.bye.reason, "hi");
        free(copy);
    }
}

static void every_spelling_of_a_bin_is_taken(void **state)
{
    static const struct literal frames[] = {
        FRAME("\x94\xa6OUTPUT\x01\x00\xc4\x02" "ab"),
        FRAME("\x94\xa6OUTPUT\x01\x00\xc5\0\x02" "ab"),
        FRAME("\x94\xa6OUTPUT\x01\x00\xc6\0\0\0\x02" "ab"),
    };
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        struct message m;
        char why[256], *copy;
        assert_int_equal(decode_copy(frames[i].bytes, frames[i].len, &m, &copy, why), 0);
        assert_int_equal(m.output.data.len, 2);
        assert_memory_equal(m.output.data.data, "ab", 2);
        free(copy);
    }
}

static void a_text_before_another_field_is_ended_without_harming_it(void **state)
{
    struct message m;
    char why[256], *copy;
    static const char bytes[] = "\x94\xa3" "ACK" "\x07\xa4http\x05", done[] = "\x94\xa4" "DONE" "\x01\xc3\xa2ok";
    static const char build[] = "\x9f\xa5" "BUILD" "\x01\xa1p\xa1v\xa1" "a\xa1l\xa1s\xc4\x01x\xcd\x01\x00\x07"
                                "\x98\0\0\0\0\0\0\0\0\xa4none\x90\x90\xc4\0";

    assert_int_equal(decode_copy(bytes, sizeof bytes - 1, &m, &copy, why), 0);
    assert_int_equal(m.ack.slave, 7);
    assert_string_equal(m.ack.index_url, "http");
    free(copy);
    assert_int_equal(decode_copy(done, sizeof done - 1, &m, &copy, why), 0);
    assert_true(m.done.good);
    assert_string_equal(m.done.text, "ok");
    free(copy);
    assert_int_equal(decode_copy(build, sizeof build - 1, &m, &copy, why), 0);
    assert_string_equal(m.build.package, "p");
    assert_string_equal(m.build.sdist, "s");
    assert_memory_equal(m.build.sdist_sha256.data, "x", 1);
    assert_int_equal(m.build.timeout_ms, 256);
    assert_int_equal(m.build.uploaded_ms, 7);
    assert_string_equal(m.build.network, "none");
    free(copy);
}

/* -- what the decoder refuses -------------------------------------------------------------------- */

static void a_frame_cut_at_any_byte_is_refused(void **state)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        struct buf frame;
        make_frame((enum verb)verb, SOME, &frame);
        for (size_t len = 0; len < frame.len - 4; len++) {
            struct message m;
            char why[256], *copy;
            assert_int_equal(decode_copy(frame.data + 4, len, &m, &copy, why), -EBADMSG);
            assert_non_null(strstr(why, "cut short"));
            free(copy);
        }
        buf_release(&frame);
    }
}

static void a_byte_behind_the_last_field_is_refused(void **state)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        struct buf frame;
        char reason[256];
        make_frame((enum verb)verb, SOME, &frame);
        buf_addc(&frame, '\x01');
        snprintf(reason, sizeof reason, "%s: message has 1 bytes behind its last field",
                 message_verb_name((enum verb)verb));
        assert_refused(frame.data + 4, frame.len - 4, reason);
        buf_release(&frame);
    }
}

static void a_frame_of_another_number_of_fields_is_refused(void **state)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        struct buf frame;
        char reason[256];
        unsigned count = message_kinds[verb].shape.count;
        make_frame((enum verb)verb, SOME, &frame);
        const char head[] = {'\xdc', 0, (char)(count + 2)}; /* where the length and the short head were */
        buf_drop(&frame, 2);
        memcpy(frame.data, head, sizeof head);
        snprintf(reason, sizeof reason, "%s: message has %u fields, not %u",
                 message_verb_name((enum verb)verb), count + 1, count);
        assert_refused(frame.data, frame.len, reason);
        buf_release(&frame);
    }
}

static void what_is_no_message_is_refused(void **state)
{
    REFUSED("", "frame is cut short");
    REFUSED("\x07", "frame is an integer, not an array");
    REFUSED("\x81\xa3" "BYE" "\xa0", "frame is something else, not an array");
    REFUSED("\x90", "frame has no verb");
    REFUSED("\x91\x07", "frame is an integer, not a str");
    REFUSED("\x91\xa5" "HELLX", "frame has a verb that is not known");
    REFUSED("\x91\xa5hello", "frame has a verb that is not known");
    REFUSED("\x91\xa5" "SLEE", "frame is cut short");
    REFUSED("\x91\xa6SLEEP\0", "frame has a verb that is not known");
    REFUSED("\x91\xc0", "frame is something else, not a str");
    REFUSED("\x91\xc1", "frame is something else, not a str");
}

static void a_field_of_another_type_is_refused(void **state)
{
    REFUSED("\x92\xa4" "CONT" "\xa1" "1", "CONT: field \"attempt\" is a str, not an integer");
    REFUSED("\x92\xa4" "CONT" "\xc3", "CONT: field \"attempt\" is a boolean, not an integer");
    REFUSED("\x92\xa4" "CONT" "\xc0", "CONT: field \"attempt\" is something else, not an integer");
    REFUSED("\x92\xa4" "CONT" "\xca\0\0\0\0", "CONT: field \"attempt\" is something else, not an integer");
    REFUSED("\x92\xa4" "CONT" "\x91\x01", "CONT: field \"attempt\" is an array, not an integer");
    REFUSED("\x92\xa4" "CONT" "\xd4\0\0", "CONT: field \"attempt\" is something else, not an integer");
    REFUSED("\x92\xa3" "BYE" "\xc4\x02hi", "BYE: field \"reason\" is a bin, not a str");
    REFUSED("\x92\xa3" "BYE" "\x01", "BYE: field \"reason\" is an integer, not a str");
    REFUSED("\x94\xa4" "DONE" "\x01\x01\xa0", "DONE: field \"good\" is an integer, not a boolean");
    REFUSED("\x94\xa6OUTPUT\x01\x00\xa1x", "OUTPUT: field \"data\" is a str, not a bin");
    REFUSED("\x94\xa4" "IDLE" "\x01\x07", "IDLE: field \"machine\" is an integer, not an array");
    REFUSED("\x94\xa4" "IDLE" "\x01\x80", "IDLE: field \"machine\" is something else, not an array");
    REFUSED("\x93\xa3" "ADD" "\xa1" "1\x07", "ADD: field \"packages\" is an integer, not an array");
    REFUSED("\x93\xa3" "ADD" "\xa1" "1\x91\x07", "ADD: field \"packages[0]\" is an integer, not an array");
}

static void a_value_out_of_range_is_refused(void **state)
{
    REFUSED("\x92\xa4" "CONT" "\xff", "CONT: field \"attempt\" is negative");
    REFUSED("\x92\xa4" "CONT" "\xd3\x80\0\0\0\0\0\0\0", "CONT: field \"attempt\" is negative");
    REFUSED("\x92\xa4" "CONT" "\xcf\x80\0\0\0\0\0\0\0",
            "CONT: field \"attempt\" is greater than 9223372036854775807");
    REFUSED("\x94\xa4" "IDLE" "\xcd\x01\x01\x96\0\0\0\0\0\0", "IDLE: field \"slots\" is greater than 256");
    REFUSED("\x94\xa4" "IDLE" "\x01\x96\0\0\0\0\0\xd2\xff\xfb\xd5\x01",
            "IDLE: field \"machine.temperature_milli\" is less than -273150");
    REFUSED("\x94\xa4" "IDLE" "\x01\x96\0\0\0\0\0\xce\x00\x0f\x42\x41",
            "IDLE: field \"machine.temperature_milli\" is greater than 1000000");
    REFUSED("\x94\xa4" "IDLE" "\x01\x96\0\0\0\0\0\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            "IDLE: field \"machine.temperature_milli\" is greater than 1000000");
}

static void a_text_that_is_no_text_is_refused(void **state)
{
    REFUSED("\x92\xa3" "BYE" "\xa3" "a\0b", "BYE: field \"reason\" holds a NUL");
    REFUSED("\x92\xa3" "BYE" "\xa1\xff", "BYE: field \"reason\" is not UTF-8");
    REFUSED("\x92\xa3" "BYE" "\xa2\xc0\x80", "BYE: field \"reason\" is not UTF-8");
    REFUSED("\x92\xa3" "BYE" "\xa3\xed\xa0\x80", "BYE: field \"reason\" is not UTF-8");
    REFUSED("\x92\xa3" "BYE" "\xa2\xe2\x82", "BYE: field \"reason\" is not UTF-8");
}

static void a_claim_of_four_billion_is_refused_before_it_is_believed(void **state)
{
    REFUSED("\xdd\xff\xff\xff\xff\xa5SLEEP", "SLEEP: message has 4294967294 fields, not 1");
    REFUSED("\x91\xdb\xff\xff\xff\xff", "frame is cut short");
    REFUSED("\x92\xa3" "BYE" "\xdb\xff\xff\xff\xff", "BYE: field \"reason\" is longer than 200 bytes");
    REFUSED("\x94\xa6OUTPUT\x01\0\xc6\xff\xff\xff\xff", "OUTPUT: field \"data\" is longer than 262144 bytes");
    REFUSED("\x94\xa6OUTPUT\x01\0\xc6\0\x04\0\0x", "OUTPUT: field \"data\" is cut short");
    REFUSED("\x93\xa3" "ADD" "\xa0\xdd\xff\xff\xff\xff", "ADD: field \"packages\" has more than 256 entries");
    REFUSED("\x93\xa3" "ADD" "\xa0\xdc\x01\x00\x90", "ADD: field \"packages\" is cut short");
    REFUSED("\x94\xa4" "IDLE" "\x01\xdd\xff\xff\xff\xff",
            "IDLE: field \"machine\" has 4294967295 fields, not 6");
}

static void a_record_of_another_number_of_fields_is_refused(void **state)
{
    REFUSED("\x94\xa4" "IDLE" "\x01\x95\0\0\0\0\0", "IDLE: field \"machine\" has 5 fields, not 6");
    REFUSED("\x93\xa3" "ADD" "\xa0\x92\x93\xa1" "a\xa0\xc2\x92\xa1" "b\xa0",
            "ADD: field \"packages[1]\" has 2 fields, not 3");
    REFUSED("\x93\xa3" "ADD" "\xa0\x91\x93\xa1" "a\x05\xc2",
            "ADD: field \"packages[0].version\" is an integer, not a str");
}

static void nesting_is_not_followed(void **state)
{
    char *deep = mem_resize(NULL, 100000, 1);
    memset(deep, '\x91', 100000);
    assert_refused(deep, 100000, "frame is an array, not a str");
    memcpy(deep, "\x93\xa3" "ADD" "\xa0", 6);
    assert_refused(deep, 100000, "ADD: field \"packages[0]\" has 1 fields, not 3");
    free(deep);
}

/* -- every limit of every field, from the table -------------------------------------------------- */

static int append(void *buffer, const char *data, size_t len)
{
    return len == 0 ? 0 : buf_add(buffer, data, len);
}

static void pack_run(msgpack_packer *to, const struct field *f, size_t len)
{
    char *run = text_of(len);
    if (f->kind == FIELD_TEXT) {
        msgpack_pack_str(to, len);
        msgpack_pack_str_body(to, run, len);
    } else {
        msgpack_pack_bin(to, len);
        msgpack_pack_bin_body(to, run, len);
    }
    free(run);
}

/* The smallest value that is one too much; returns the words for it. */
static const char *pack_too_much(msgpack_packer *to, const struct field *f)
{
    switch (f->kind) {
    case FIELD_UINT:
        if (f->max == UINT64_MAX) {
            msgpack_pack_int(to, -1);
            return "is negative";
        }
        msgpack_pack_uint64(to, f->max + 1);
        return "is greater than";
    case FIELD_INT: msgpack_pack_uint64(to, f->max + 1); return "is greater than";
    case FIELD_BOOL: msgpack_pack_int(to, 1); return "is an integer, not a boolean";
    case FIELD_TEXT:
    case FIELD_BYTES: pack_run(to, f, f->max + 1); return "is longer than";
    case FIELD_PART: msgpack_pack_array(to, f->record->count + 1); return "fields, not";
    case FIELD_LIST: msgpack_pack_array(to, f->max + 1); return "has more than";
    }
    return NULL;
}

static bool has_field(const struct shape *shape, const struct field *f)
{
    return f >= shape->fields && f < shape->fields + shape->count;
}

static const char *pack_shape(msgpack_packer *to, const struct shape *shape, const struct field *target);

static const char *pack_record(msgpack_packer *to, const struct shape *shape, const struct field *target)
{
    msgpack_pack_array(to, shape->count);
    return pack_shape(to, shape, target);
}

/* The least value, or one too much if this is the target or holds it. NULL for the former. */
static const char *pack_value(msgpack_packer *to, const struct field *f, const struct field *target)
{
    if (f == target)
        return pack_too_much(to, f);
    switch (f->kind) {
    case FIELD_UINT:
    case FIELD_INT: msgpack_pack_int(to, 0); break;
    case FIELD_BOOL: msgpack_pack_false(to); break;
    case FIELD_TEXT:
    case FIELD_BYTES: pack_run(to, f, 0); break;
    case FIELD_PART: return pack_record(to, f->record, target);
    case FIELD_LIST:
        msgpack_pack_array(to, has_field(f->record, target) ? 1 : 0);
        return has_field(f->record, target) ? pack_record(to, f->record, target) : NULL;
    }
    return NULL;
}

static const char *pack_shape(msgpack_packer *to, const struct shape *shape, const struct field *target)
{
    const char *words = NULL;
    for (unsigned i = 0; i < shape->count; i++) {
        const char *found = pack_value(to, &shape->fields[i], target);
        words = found != NULL ? found : words;
    }
    return words;
}

static void assert_limit(const struct message_kind *kind, const struct field *target)
{
    struct message m;
    struct buf frame;
    msgpack_packer packer;
    char why[256], name[64], *copy;
    buf_init(&frame, BUF_MAX);
    msgpack_packer_init(&packer, &frame, append);
    msgpack_pack_array(&packer, kind->shape.count + 1);
    msgpack_pack_str(&packer, strlen(kind->verb));
    msgpack_pack_str_body(&packer, kind->verb, strlen(kind->verb));
    const char *words = pack_shape(&packer, &kind->shape, target);
    snprintf(name, sizeof name, "%s\"", target->name);

    assert_int_equal(decode_copy(frame.data, frame.len, &m, &copy, why), -EBADMSG);

    assert_int_equal(strncmp(why, kind->verb, strlen(kind->verb)), 0);
    assert_non_null(strstr(why, name));
    assert_non_null(strstr(why, words));
    free(copy);
    buf_release(&frame);
}

static void every_field_is_held_to_its_limit(void **state)
{
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        const struct message_kind *kind = &message_kinds[verb];
        for (unsigned i = 0; i < kind->shape.count; i++) {
            const struct field *f = &kind->shape.fields[i];
            assert_limit(kind, f);
            for (unsigned n = 0; f->record != NULL && n < f->record->count; n++)
                assert_limit(kind, &f->record->fields[n]);
        }
    }
}

/* -- anything at all ----------------------------------------------------------------------------- */

/* A small generator of our own, so that a failure repeats. */
static uint32_t roll(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void a_spoilt_frame_never_leads_the_decoder_astray(void **state)
{
    uint32_t seed = 1;
    for (unsigned verb = 0; verb < VERB_COUNT; verb++) {
        struct buf frame;
        make_frame((enum verb)verb, SOME, &frame);
        for (unsigned n = 0; n < 3000; n++) {
            struct message m;
            char why[256], *copy, *spoilt = mem_resize(NULL, frame.len, 1);
            size_t len = frame.len - 4;
            memcpy(spoilt, frame.data + 4, len);
            for (unsigned changes = 1 + roll(&seed) % 3; changes > 0; changes--)
                spoilt[roll(&seed) % len] = (char)roll(&seed);

            int rc = decode_copy(spoilt, len, &m, &copy, why);

            assert_true(rc == 0 ? why[0] == '\0' : rc == -EBADMSG && why[0] != '\0');
            free(copy);
            free(spoilt);
        }
        buf_release(&frame);
    }
}

/* -- the printer --------------------------------------------------------------------------------- */

static void assert_printed(const struct message *m, const char *line)
{
    struct buf text;
    buf_init(&text, BUF_MAX);
    message_print(m, &text);
    assert_string_equal(text.data, line);
    buf_release(&text);
}

static void a_message_is_printed_in_one_line(void **state)
{
    static const uint8_t data[4096];
    assert_printed(&(struct message){.verb = VERB_SLEEP}, "SLEEP reason=\"\"");
    assert_printed(&(struct message){.verb = VERB_ACK, .ack = {.slave = 3, .index_url = "a\"b", .lease_ms = 5}},
                   "ACK slave=3 index_url=\"a\\\"b\" lease_ms=5");
    assert_printed(&(struct message){.verb = VERB_CHUNK, .chunk = {7, 0, 512, {data, sizeof data}}},
                   "CHUNK attempt=7 file=0 offset=512 data=<4096 bytes>");
    assert_printed(&(struct message){.verb = VERB_IDLE, .idle = {1, {1500, 8, 4, 2, 1, -5}, "low"}},
                   "IDLE slots=1 machine={load_milli=1500 memory_bytes=8 memory_free_bytes=4 disk_bytes=2 "
                   "disk_free_bytes=1 temperature_milli=-5} shortage=\"low\"");
    assert_printed(&(struct message){.verb = VERB_ADD,
                                     .add = {"1", {2, {{"a", "", true}, {"b", "2", false}}}}},
                   "ADD version=\"1\" packages=[{name=\"a\" version=\"\" all=true} "
                   "{name=\"b\" version=\"2\" all=false}]");
}

static void a_long_text_is_printed_as_its_length(void **state)
{
    char *json = text_of(900000);
    assert_printed(&(struct message){.verb = VERB_DATA, .data = {.json = json}}, "DATA json=<900000 bytes>");
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_with_the_least_values_comes_back_equal),
        cmocka_unit_test(every_message_with_usual_values_comes_back_equal),
        cmocka_unit_test(every_message_with_the_largest_values_comes_back_equal),
        cmocka_unit_test(the_largest_message_of_every_verb_fits_into_a_frame),
        cmocka_unit_test(a_frame_begins_with_its_length_most_significant_byte_first),
        cmocka_unit_test(a_text_that_is_null_is_sent_empty),
        cmocka_unit_test(a_verb_knows_its_name_and_its_sender),
        cmocka_unit_test(the_encoder_refuses_values_beyond_their_limits),
        cmocka_unit_test(a_full_buffer_takes_no_part_of_a_frame),
        cmocka_unit_test(every_spelling_of_an_integer_is_taken),
        cmocka_unit_test(every_spelling_of_a_negative_integer_is_taken),
        cmocka_unit_test(every_spelling_of_texts_and_arrays_is_taken),
        cmocka_unit_test(every_spelling_of_a_bin_is_taken),
        cmocka_unit_test(a_text_before_another_field_is_ended_without_harming_it),
        cmocka_unit_test(a_frame_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_byte_behind_the_last_field_is_refused),
        cmocka_unit_test(a_frame_of_another_number_of_fields_is_refused),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(a_field_of_another_type_is_refused),
        cmocka_unit_test(a_value_out_of_range_is_refused),
        cmocka_unit_test(a_text_that_is_no_text_is_refused),
        cmocka_unit_test(a_claim_of_four_billion_is_refused_before_it_is_believed),
        cmocka_unit_test(a_record_of_another_number_of_fields_is_refused),
        cmocka_unit_test(nesting_is_not_followed),
        cmocka_unit_test(every_field_is_held_to_its_limit),
        cmocka_unit_test(a_spoilt_frame_never_leads_the_decoder_astray),
        cmocka_unit_test(a_message_is_printed_in_one_line),
        cmocka_unit_test(a_long_text_is_printed_as_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
