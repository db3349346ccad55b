/* Rules of core/hash.h. The digest of "abc" is FIPS 180-4's example. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/hash.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void bytes_are_hashed_at_once(void **state)
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];

    hash_bytes("abc", 3, digest);
    assert_string_equal(hash_hex(digest, hex), ABC);
}

static void bytes_are_hashed_as_they_arrive(void **state)
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    struct hash h;

    hash_init(&h);
    hash_add(&h, "a", 1);
    hash_add(&h, "", 0);
    hash_add(&h, "bc", 2);
    hash_end(&h, digest);
    assert_string_equal(hash_hex(digest, hex), ABC);
}

static void releasing_is_safe_on_zeroes_after_the_end_and_half_way(void **state)
{
    uint8_t digest[SHA256_SIZE];
    struct hash h = {0};

    hash_release(&h);
    hash_init(&h);
    hash_end(&h, digest);
    hash_release(&h);
    hash_init(&h);
    hash_add(&h, "abc", 3);
    hash_release(&h);
}

static void a_file_is_hashed_and_measured(void **state)
{
    char path[] = "/tmp/piwheels-hash-XXXXXX", hex[SHA256_HEX_SIZE];
    uint8_t digest[SHA256_SIZE], expected[SHA256_SIZE];
    uint64_t size = 0;
    size_t len = 600 * 1024;
    char *data = calloc(1, len);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
    hash_bytes(data, len, expected);
    assert_int_equal(hash_file(path, digest, &size), 0);
    assert_int_equal(size, len);
    assert_memory_equal(digest, expected, SHA256_SIZE);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(hash_file(path, digest, NULL), 0);
    assert_string_equal(hash_hex(digest, hex),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    unlink(path);
    free(data);
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
    uint8_t digest[SHA256_SIZE];

    assert_int_equal(hash_file("/nonexistent/file", digest, NULL), -ENOENT);
    assert_int_equal(hash_file("/", digest, NULL), -EISDIR);
}

static void hex_is_read_in_either_case(void **state)
{
    uint8_t digest[SHA256_SIZE], expected[SHA256_SIZE];
    char upper[] = ABC;

    for (char *c = upper; *c != '\0'; c++)
        if (*c >= 'a')
            *c = (char)(*c - 'a' + 'A');
    hash_bytes("abc", 3, expected);
    assert_int_equal(hash_from_hex(ABC, digest), 0);
    assert_memory_equal(digest, expected, SHA256_SIZE);
    assert_int_equal(hash_from_hex(upper, digest), 0);
    assert_memory_equal(digest, expected, SHA256_SIZE);
}

static void what_is_no_digest_in_hex_is_refused(void **state)
{
    uint8_t digest[SHA256_SIZE];
    char bad[] = ABC;

    assert_int_equal(hash_from_hex("", digest), -EINVAL);
    assert_int_equal(hash_from_hex(ABC "0", digest), -EINVAL);
    assert_int_equal(hash_from_hex(&ABC[1], digest), -EINVAL);
    bad[63] = 'g';
    assert_int_equal(hash_from_hex(bad, digest), -EINVAL);
    bad[62] = ' ';
    assert_int_equal(hash_from_hex(bad, digest), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_hashed_at_once),
        cmocka_unit_test(bytes_are_hashed_as_they_arrive),
        cmocka_unit_test(releasing_is_safe_on_zeroes_after_the_end_and_half_way),
        cmocka_unit_test(a_file_is_hashed_and_measured),
        cmocka_unit_test(a_file_that_cannot_be_read_says_why),
        cmocka_unit_test(hex_is_read_in_either_case),
        cmocka_unit_test(what_is_no_digest_in_hex_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
