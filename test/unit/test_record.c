/*
 * Records of TLS 1.3, against the example of RFC 8448, 3, and against each other. That they are those of others, too, is shown
 * in test_tls.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/io/record.h"

static const uint8_t client_secret[RECORD_SECRET_BYTES] = {
    0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52,
    0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf, 0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5,
};
static const uint8_t client_key[16] = {
    0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51,
};
static const uint8_t client_iv[12] = {0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9};

/* The client's first record, of the bytes 0 to 49, and its second, which says that it closes. */
static const uint8_t client_data[] = {
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28,
    0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8,
    0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62,
    0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4,
};
static const uint8_t client_end[] = {
    0x17, 0x03, 0x03, 0x00, 0x13, 0xc9, 0x87, 0x27, 0x60, 0x65, 0x56, 0x66, 0xb7, 0x4d, 0x7f, 0xf1, 0x15, 0x3e, 0xfd, 0x6d, 0xb6,
    0xd0, 0xb0, 0xe3,
};

static struct record_engine *engine;
static struct record_key here, there; /* the same key, at both ends */
static struct buf sealed;
static char opened[RECORD_INNER_BYTES];
static size_t len;
static enum record_type type;

static void agree_on(enum record_suite suite)
{
    record_key_set(engine, &here, suite, client_secret);
    record_key_set(engine, &there, suite, client_secret);
}

static int setup(void **state)
{
    engine = record_engine_new();
    buf_init(&sealed, 4 * RECORD_CIPHER_BYTES);
    agree_on(RECORD_AES_128_GCM);
    return 0;
}

static int teardown(void **state)
{
    buf_release(&sealed);
    record_engine_free(engine);
    return 0;
}

static enum record_fault open_bytes(const void *record, size_t record_len)
{
    return record_open(engine, &there, record, record_len, opened, &len, &type);
}

static enum record_fault open_sealed(void)
{
    return open_bytes(sealed.data, sealed.len);
}

static void seal(enum record_type of_type, const char *text)
{
    buf_clear(&sealed);
    record_seal(engine, &here, of_type, text, strlen(text), &sealed);
}

static void assert_reads(const char *text)
{
    assert_int_equal(open_sealed(), RECORD_GOOD);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(opened, text, len);
}

/* ---- as the RFC has it --------------------------------------------------------------------------- */

static void keys_follow_from_secrets_as_in_rfc_8448(void **state)
{
    assert_memory_equal(here.key, client_key, sizeof client_key);
    assert_memory_equal(here.iv, client_iv, sizeof client_iv);
}

static void records_are_sealed_as_in_rfc_8448(void **state)
{
    char data[50];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (char)i;
    record_seal(engine, &here, RECORD_DATA, data, sizeof data, &sealed);
    record_seal(engine, &here, RECORD_ALERT, "\1\0", 2, &sealed);
    assert_int_equal(sealed.len, sizeof client_data + sizeof client_end);
    assert_memory_equal(sealed.data, client_data, sizeof client_data);
    assert_memory_equal(sealed.data + sizeof client_data, client_end, sizeof client_end);
}

static void records_are_opened_as_in_rfc_8448(void **state)
{
    assert_int_equal(open_bytes(client_data, sizeof client_data), RECORD_GOOD);
    assert_int_equal(type, RECORD_DATA);
    assert_int_equal(len, 50);
    for (unsigned i = 0; i < len; i++)
        assert_int_equal(opened[i], i);
    assert_int_equal(open_bytes(client_end, sizeof client_end), RECORD_GOOD);
    assert_int_equal(type, RECORD_ALERT);
    assert_int_equal(len, 2);
    assert_memory_equal(opened, "\1\0", 2);
}

static void both_suites_carry_what_they_are_given(void **state)
{
    static const enum record_suite suites[] = {RECORD_AES_128_GCM, RECORD_CHACHA20_POLY1305, RECORD_AES_128_GCM};
    for (unsigned i = 0; i < 3; i++) {
        agree_on(suites[i]);
        for (unsigned n = 0; n < 300; n++) { /* past one byte of number */
            seal(RECORD_DATA, n % 2 == 0 ? "a wheel" : "");
            assert_reads(n % 2 == 0 ? "a wheel" : "");
        }
    }
}

static void a_record_holds_as_much_as_it_may(void **state)
{
    static char most[RECORD_BYTES];
    record_seal(engine, &here, RECORD_DATA, most, sizeof most, &sealed);
    assert_int_equal(sealed.len, RECORD_BYTES + RECORD_MORE_BYTES);
    assert_int_equal(record_length(sealed.data), sealed.len);
    assert_int_equal(record_room(sealed.len), RECORD_INNER_BYTES);
    assert_int_equal(open_sealed(), RECORD_GOOD);
    assert_int_equal(len, sizeof most);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static void a_record_of_which_a_bit_was_changed_is_refused(void **state)
{
    seal(RECORD_DATA, "a wheel");
    for (unsigned bit = 8; bit < sealed.len * 8; bit++) {
        there.count = 0;
        sealed.data[bit / 8] = (char)(sealed.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(open_sealed(), RECORD_FORGED);
        sealed.data[bit / 8] = (char)(sealed.data[bit / 8] ^ 1 << bit % 8);
    }
    there.count = 0;
    assert_reads("a wheel");
}

static void a_record_that_comes_twice_is_refused(void **state)
{
    seal(RECORD_DATA, "a wheel");
    assert_reads("a wheel");
    assert_int_equal(open_sealed(), RECORD_FORGED);
}

static void a_record_in_the_clear_is_refused(void **state)
{
    static const char in_the_clear[] = "\x15\x03\x03\x00\x02\x01\x00";
    assert_int_equal(open_bytes(in_the_clear, sizeof in_the_clear - 1), RECORD_UNEXPECTED);
}

static void a_record_of_no_type_is_refused(void **state)
{
    seal((enum record_type)0, "");
    assert_int_equal(open_sealed(), RECORD_UNEXPECTED);
}

static void a_record_too_short_for_its_tag_is_refused(void **state)
{
    char record[RECORD_HEADER_BYTES + 16] = "\x17\x03\x03\x00\x10";
    for (size_t n = 0; n <= 16; n++)
        assert_int_equal(open_bytes(record, RECORD_HEADER_BYTES + n), RECORD_FORGED);
}

static void a_record_longer_than_may_be_is_refused(void **state)
{
    static char record[RECORD_HEADER_BYTES + RECORD_CIPHER_BYTES] = "\x17\x03\x03";
    assert_int_equal(record_length("\x17\x03\x03\x41\x00"), sizeof record);
    assert_int_equal(record_length("\x17\x03\x03\x41\x01"), 0);
    assert_int_equal(record_length("\x17\x03\x03\xff\xff"), 0);
    assert_int_equal(open_bytes(record, sizeof record), RECORD_TOO_LONG);
}

/* ---- keys ---------------------------------------------------------------------------------------- */

static void another_key_opens_nothing_of_the_one_before(void **state)
{
    seal(RECORD_DATA, "before");
    record_key_renew(engine, &there);
    assert_int_equal(open_sealed(), RECORD_FORGED);
}

static void both_ends_come_to_the_same_next_key(void **state)
{
    for (unsigned i = 0; i < 5; i++) {
        seal(RECORD_DATA, "a wheel");
        assert_reads("a wheel");
        record_key_renew(engine, &here);
        record_key_renew(engine, &there);
        assert_int_equal(here.count, 0);
        assert_memory_not_equal(here.secret, client_secret, sizeof client_secret);
    }
}

static void a_key_is_worn_after_so_many_records(void **state)
{
    record_engine_set_wear(engine, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(record_key_worn(engine, &here));
        seal(RECORD_DATA, "a wheel");
    }
    assert_true(record_key_worn(engine, &here));
    record_key_renew(engine, &here);
    assert_false(record_key_worn(engine, &here));
}

/* A key at the place of one that is gone is not taken for it. */
static void many_connections_use_one_engine(void **state)
{
    struct record_key ours[4], theirs[4];
    uint8_t secret[RECORD_SECRET_BYTES] = {0};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 4; i++) {
            secret[0] = (uint8_t)(4 * round + i);
            enum record_suite suite = i % 2 == 0 ? RECORD_AES_128_GCM : RECORD_CHACHA20_POLY1305;
            record_key_set(engine, &ours[i], suite, secret);
            record_key_set(engine, &theirs[i], suite, secret);
        }
        for (unsigned n = 0; n < 12; n++) {
            buf_clear(&sealed);
            record_seal(engine, &ours[n % 4], RECORD_DATA, "a wheel", 7, &sealed);
            assert_int_equal(record_open(engine, &theirs[n % 4], sealed.data, sealed.len, opened, &len, &type), RECORD_GOOD);
            assert_memory_equal(opened, "a wheel", 7);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_follow_from_secrets_as_in_rfc_8448),
        TEST(records_are_sealed_as_in_rfc_8448),
        TEST(records_are_opened_as_in_rfc_8448),
        TEST(both_suites_carry_what_they_are_given),
        TEST(a_record_holds_as_much_as_it_may),
        TEST(a_record_of_which_a_bit_was_changed_is_refused),
        TEST(a_record_that_comes_twice_is_refused),
        TEST(a_record_in_the_clear_is_refused),
        TEST(a_record_of_no_type_is_refused),
        TEST(a_record_too_short_for_its_tag_is_refused),
        TEST(a_record_longer_than_may_be_is_refused),
        TEST(another_key_opens_nothing_of_the_one_before),
        TEST(both_ends_come_to_the_same_next_key),
        TEST(a_key_is_worn_after_so_many_records),
        TEST(many_connections_use_one_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
