/* Rules of src/files/stream.h. What comes is made of a counted pattern, so that a byte in the wrong place shows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/memory.h"
#include "../../src/files/stream.h"

#define PIECE_BYTES ((size_t)256 * 1024)

static uv_loop_t loop;
static char directory[] = "/tmp/piwheels-stream-XXXXXX", path[sizeof directory + 8];
static unsigned writes, ends, inspections;
static bool hash_known; /* to who inspected */
static char *inspected;
static size_t inspected_len;

static char *pattern(size_t len)
{
    char *data = mem_new(len + 1, 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 + i / 251 + i / 65521);
    return data;
}

static void on_written(struct stream *s)
{
    writes++;
}

static void on_ended(struct stream *s)
{
    ends++;
}

static void inspect(struct stream *s, const void *data, size_t len)
{
    uint8_t digest[SHA256_SIZE];
    hash_bytes(data, len, digest);
    hash_known = memcmp(s->sha256, digest, SHA256_SIZE) == 0;
    inspections++;
    inspected_len = len;
    inspected = mem_new(len + 1, 1);
    memcpy(inspected, data, len);
}

static void begin(struct stream *s, uint64_t expected)
{
    writes = ends = inspections = 0;
    stream_init(s, path, on_written);
    if (expected > 0)
        stream_expect(s, expected);
}

static void end(struct stream *s)
{
    stream_end(s, on_ended);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ends, 1);
    assert_true(stream_idle(s));
}

static void assert_file(const char *data, size_t len)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    char *found = mem_new(len + 1, 1);
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    assert_int_equal(st.st_size, len);
    assert_int_equal(fread(found, 1, len, f), len);
    assert_memory_equal(found, data, len);
    free(found);
    fclose(f);
}

static void assert_all(struct stream *s, const char *data, size_t len)
{
    uint8_t digest[SHA256_SIZE];
    hash_bytes(data, len, digest);
    assert_int_equal(s->error, 0);
    assert_memory_equal(s->sha256, digest, SHA256_SIZE);
    assert_file(data, len);
}

/* As a wire does: into a buffer of an earlier piece where there is one. */
static bool give(struct stream *s, const char *data, size_t len)
{
    struct buf holder = stream_spare(s);
    holder.max = 2 * PIECE_BYTES;
    buf_adds(&holder, "header");
    buf_add(&holder, data, len);
    return stream_give(s, holder, holder.data + strlen("header"), len);
}

static void what_is_fed_and_given_is_written_and_hashed_in_order(void **state)
{
    size_t len = 20 * PIECE_BYTES + 12345, at = 0, piece;
    char *data = pattern(len);
    struct stream s;
    begin(&s, len);
    for (unsigned i = 0; at < len; i++, at += piece) {
        piece = i % 3 == 0 ? 1000 + i : PIECE_BYTES;
        piece = piece < len - at ? piece : len - at;
        bool full = piece == PIECE_BYTES ? give(&s, data + at, piece) : stream_feed(&s, data + at, piece);
        while (full) {
            uv_run(&loop, UV_RUN_ONCE);
            full = stream_full(&s);
        }
    }
    end(&s);
    assert_all(&s, data, len);
    stream_release(&s);
    free(data);
}

static void a_small_file_is_written_hashed_and_inspected_in_one_piece_of_work(void **state)
{
    size_t len = 100 * 1000;
    char *data = pattern(len);
    struct stream s;
    begin(&s, len);
    s.inspect = inspect;
    assert_false(stream_feed(&s, data, len / 2));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(stream_feed(&s, data + len / 2, len - len / 2));
    assert_true(stream_idle(&s));
    assert_true(stream_in_memory(&s));
    end(&s);
    assert_all(&s, data, len);
    assert_int_equal(writes, 0);
    assert_int_equal(inspections, 1);
    assert_true(hash_known);
    assert_int_equal(inspected_len, len);
    assert_memory_equal(inspected, data, len);
    free(inspected);
    stream_release(&s);
    free(data);
}

static void a_file_without_a_byte_has_the_hash_of_nothing(void **state)
{
    struct stream s;
    begin(&s, 1);
    end(&s);
    assert_all(&s, "", 0);
    stream_release(&s);
}

static void little_stays_in_memory(void **state)
{
    struct stream s;
    size_t len;
    begin(&s, 0);
    stream_feed(&s, "a line\n", 7);
    stream_feed(&s, "another\n", 8);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(stream_in_memory(&s));
    assert_string_equal(stream_held(&s, &len), "a line\nanother\n");
    assert_int_equal(len, 15);
    assert_int_equal(access(path, F_OK), -1);
    stream_release(&s);
}

static void what_is_in_memory_can_be_looked_at_and_what_is_not_is_in_the_file(void **state)
{
    size_t len = 6 * STREAM_BATCH_BYTES, step = 10 * 1000, seen = 0;
    char *data = pattern(len);
    struct stream s;
    begin(&s, 0);
    for (size_t at = 0; at < len; at += step) {
        stream_feed(&s, data + at, step < len - at ? step : len - at);
        const char *found;
        size_t found_len;
        uint64_t on_disk;
        stream_peek(&s, seen, &found, &found_len, &on_disk);
        assert_true(found_len > 0 || on_disk > seen);
        assert_memory_equal(found, data + seen, found_len);
        seen = found_len > 0 ? seen + found_len : (size_t)on_disk;
        if (at % 3 == 0)
            uv_run(&loop, UV_RUN_DEFAULT);
    }
    end(&s);
    assert_file(data, len);
    stream_release(&s);
    free(data);
}

/* Pieces of a size until the stream says that it is enough. */
static size_t feed_until_full(struct stream *s, const char *piece)
{
    size_t fed = 0;
    while (!give(s, piece, PIECE_BYTES))
        fed += PIECE_BYTES;
    return fed + PIECE_BYTES;
}

static void large_files_share_the_room_that_one_has_alone(void **state)
{
    char *piece = pattern(PIECE_BYTES);
    enum { MANY = 8 };
    struct stream many[MANY];
    size_t alone, shared;
    begin(&many[0], 1 << 30);
    alone = feed_until_full(&many[0], piece);
    end(&many[0]);
    stream_release(&many[0]);
    for (unsigned i = 0; i < MANY; i++)
        begin(&many[i], 1 << 30);
    shared = feed_until_full(&many[0], piece);
    assert_true(alone > STREAM_PAUSE_BYTES);
    assert_int_equal(shared, STREAM_PAUSE_BYTES);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(stream_full(&many[0]));
    for (unsigned i = 0; i < MANY; i++)
        stream_release(&many[i]);
    free(piece);
}

static void who_does_not_wait_loses_the_file_and_no_more_is_held(void **state)
{
    char *piece = pattern(PIECE_BYTES);
    struct stream s;
    begin(&s, 1 << 30);
    for (unsigned i = 0; i < 2 * STREAM_MAX_HELD_BYTES / PIECE_BYTES; i++)
        give(&s, piece, PIECE_BYTES);
    assert_true(s.held_bytes <= STREAM_MAX_HELD_BYTES);
    end(&s);
    assert_int_equal(s.error, -ENOBUFS);
    stream_release(&s);
    free(piece);
}

static void a_file_that_cannot_be_written_ends_with_the_reason(void **state)
{
    char *piece = pattern(PIECE_BYTES);
    struct stream s;
    begin(&s, 1 << 30);
    free(s.path);
    s.path = mem_text("/dev/full");
    for (unsigned i = 0; i < 8; i++) {
        give(&s, piece, PIECE_BYTES);
        uv_run(&loop, UV_RUN_DEFAULT); /* it comes to rest, too: nobody tries what is lost again and again */
    }
    assert_true(writes <= 16);
    end(&s);
    assert_int_equal(s.error, -ENOSPC);
    stream_release(&s);
    free(piece);
}

static int setup_all(void **state)
{
    uv_loop_init(&loop);
    lane_setup(&loop, LANES_MANY);
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/part", directory);
    return 0;
}

static int remove_file(void **state)
{
    unlink(path);
    return 0;
}

static int teardown_all(void **state)
{
    rmdir(directory);
    return uv_loop_close(&loop);
}

#define STREAM_TEST(name) cmocka_unit_test_teardown(name, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(what_is_fed_and_given_is_written_and_hashed_in_order),
        STREAM_TEST(a_small_file_is_written_hashed_and_inspected_in_one_piece_of_work),
        STREAM_TEST(a_file_without_a_byte_has_the_hash_of_nothing),
        STREAM_TEST(little_stays_in_memory),
        STREAM_TEST(what_is_in_memory_can_be_looked_at_and_what_is_not_is_in_the_file),
        STREAM_TEST(large_files_share_the_room_that_one_has_alone),
        STREAM_TEST(who_does_not_wait_loses_the_file_and_no_more_is_held),
        STREAM_TEST(a_file_that_cannot_be_written_ends_with_the_reason),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
