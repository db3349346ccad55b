/*
 * Machine code in wheels: what objects say about whom they need, and the processor they are for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/wheel/object.h"
#include "core/memory.h"
#include "make_elf.h"
#include "make_wheel.h"

static struct wheel_object read_bytes(const void *bytes, size_t len)
{
    struct wheel_object o = {0};
    int fd = memfd_create("object", MFD_CLOEXEC);

    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    object_read(fd, &o);
    close(fd);
    return o;
}

/* ---- what an object needs ------------------------------------------------------------------------ */

static void a_library_names_whom_it_needs_and_where_it_looks(void **state)
{
    struct made_library l;

    make_library(&l);
    make_entry(&l, DT_NEEDED, "libffi.so.8");
    make_entry(&l, DT_NEEDED, "libc.so.6");
    make_entry(&l, DT_SONAME, "_cffi.so");
    make_entry(&l, DT_RUNPATH, "$ORIGIN/../cffi.libs");
    struct wheel_object o = read_bytes(&l, MADE_LIBRARY_BYTES);
    assert_true(o.sound && o.loadable);
    assert_int_equal(o.machine, EM_X86_64);
    assert_int_equal(o.bits, 64);
    assert_int_equal(o.needed_count, 2);
    assert_string_equal(o.needed[0], "libffi.so.8");
    assert_string_equal(o.needed[1], "libc.so.6");
    assert_string_equal(o.soname, "_cffi.so");
    assert_string_equal(o.runpath, "$ORIGIN/../cffi.libs");
    assert_null(o.rpath);
    object_release(&o);
}

static void the_highest_version_is_found_as_numbers(void **state)
{
    struct made_library l;

    make_library(&l);
    make_version(&l, "GLIBC_2.9");
    make_version(&l, "GLIBC_2.34");
    make_version(&l, "GLIBC_2.17");
    struct wheel_object o = read_bytes(&l, MADE_LIBRARY_BYTES);
    assert_int_equal(o.glibc[0], 2);
    assert_int_equal(o.glibc[1], 34);
    assert_int_equal(o.glibcxx[0], 0);
    object_release(&o);
}

static void names_that_are_no_versions_are_passed_over(void **state)
{
    struct made_library l;

    make_library(&l);
    make_version(&l, "GLIBC_PRIVATE");
    make_version(&l, "GLIBCXX_3.4.30");
    make_version(&l, "GLIBC_99999.1");
    struct wheel_object o = read_bytes(&l, MADE_LIBRARY_BYTES);
    assert_int_equal(o.glibc[0], 0);
    assert_int_equal(o.glibcxx[2], 30);
    object_release(&o);
}

static void the_program_that_tests_needs_the_c_library(void **state)
{
    struct wheel_object o = {0};
    FILE *self = fopen("/proc/self/exe", "r");
    bool found = false;

    assert_true(object_read(fileno(self), &o) && o.loadable);
    fclose(self);
    for (unsigned i = 0; i < o.needed_count; i++)
        found = found || strcmp(o.needed[i], "libc.so.6") == 0;
    assert_true(found);
    assert_int_equal(o.glibc[0], 2);
    object_release(&o);
}

/* ---- lies ---------------------------------------------------------------------------------------- */

static void versions_that_go_in_a_circle_come_to_an_end(void **state)
{
    struct made_library l;

    make_library(&l);
    make_version(&l, "GLIBC_2.34");
    l.library.vn_cnt = 0xffff;
    l.library.vn_next = 0x10000000;
    l.versions[0].vna_next = (Elf64_Word)-(int)sizeof l.versions[0];
    struct wheel_object o = read_bytes(&l, MADE_LIBRARY_BYTES);
    assert_int_equal(o.glibc[1], 34);
    object_release(&o);
}

static void names_outside_of_the_file_are_passed_over(void **state)
{
    struct made_library l;

    make_library(&l);
    make_entry(&l, DT_NEEDED, "libz.so.1");
    l.entries[l.entry_count++] = (Elf64_Dyn){.d_tag = DT_NEEDED, .d_un.d_val = 1u << 30};
    l.entries[l.entry_count++] = (Elf64_Dyn){.d_tag = DT_SONAME, .d_un.d_val = UINT64_MAX};
    struct wheel_object o = read_bytes(&l, MADE_LIBRARY_BYTES);
    assert_int_equal(o.needed_count, 1);
    assert_null(o.soname);
    object_release(&o);
}

static void an_object_cut_anywhere_is_read_without_harm(void **state)
{
    struct made_library l;

    make_library(&l);
    make_entry(&l, DT_NEEDED, "libz.so.1");
    make_version(&l, "GLIBC_2.34");
    for (size_t len = OBJECT_MAGIC_BYTES; len < MADE_LIBRARY_BYTES; len += 3) {
        struct wheel_object o = read_bytes(&l, len);
        assert_true(o.needed_count <= 1);
        object_release(&o);
    }
}

static void addresses_at_the_edge_of_numbers_lead_nowhere(void **state)
{
    static const uint64_t edges[] = {UINT64_MAX, INT64_MAX, 1ULL << 63, UINT32_MAX, UINT64_MAX - 63};

    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        struct made_library l;
        make_library(&l);
        make_entry(&l, DT_NEEDED, "libz.so.1");
        l.load.p_offset = edges[i];
        struct wheel_object o = read_bytes(&l, MADE_LIBRARY_BYTES);
        assert_int_equal(o.needed_count, 0);
        object_release(&o);
        make_library(&l);
        l.dynamic.p_offset = edges[i];
        o = read_bytes(&l, MADE_LIBRARY_BYTES);
        assert_false(o.loadable);
        object_release(&o);
    }
}

/* ---- processors ---------------------------------------------------------------------------------- */

/* "A", the whole's length, "aeabi", scope 1 (the file), its length, then attributes. */
#define ATTRIBUTES(length, file_length, rest) \
    "A" length "\0\0\0" "aeabi\0" "\x01" file_length "\0\0\0" rest

/* The two lengths for `count` bytes of attributes are 15 and 5 more. */
static const struct {
    const char *what;
    bool runs;
    const char *bytes;
    size_t len;
} processors[] = {
#define CASE(what, runs, bytes) {what, runs, bytes, sizeof bytes - 1}
    CASE("v6 with 16-bit Thumb and VFPv2", true, ATTRIBUTES("\x15", "\x0b", "\x06\x06\x09\x01\x0a\x02")),
    CASE("v6KZ, by name", true, ATTRIBUTES("\x15", "\x0b", "\x05" "6Z\0" "\x06\x07")),
    CASE("v5TE without floating point", true, ATTRIBUTES("\x11", "\x07", "\x06\x04")),
    CASE("v7", false, ATTRIBUTES("\x11", "\x07", "\x06\x0a")),
    CASE("v6T2", false, ATTRIBUTES("\x11", "\x07", "\x06\x08")),
    CASE("v8", false, ATTRIBUTES("\x11", "\x07", "\x06\x0e")),
    CASE("v6 with Thumb-2", false, ATTRIBUTES("\x13", "\x09", "\x06\x06\x09\x02")),
    CASE("v6 with VFPv3-D16", false, ATTRIBUTES("\x13", "\x09", "\x06\x06\x0a\x04")),
    CASE("v6 with NEON", false, ATTRIBUTES("\x13", "\x09", "\x06\x06\x0c\x01")),
    CASE("v6 with division", false, ATTRIBUTES("\x13", "\x09", "\x06\x06\x2c\x02")),
    CASE("v6, compatible with a text", true, ATTRIBUTES("\x17", "\x0d", "\x20\x01" "gnu\0" "\x06" "\x06")),
    CASE("a text under an odd tag", true, ATTRIBUTES("\x17", "\x0d", "\x43" "2.09\0" "\x06\x06")),
    CASE("an architecture of 300", false, ATTRIBUTES("\x12", "\x08", "\x06\xac\x02")),
    CASE("nothing", false, ""),
    CASE("another format", false, "B\x0f\0\0\0aeabi\0\x01\x05\0\0\0"),
    CASE("another vendor alone", false, "A\x0a\0\0\0other\0"),
    CASE("a length beyond the end", false, ATTRIBUTES("\x16", "\x07", "\x06\x06")),
    CASE("a length within itself", false, ATTRIBUTES("\x03", "\x07", "\x06\x06")),
    CASE("a part longer than the whole", false, ATTRIBUTES("\x11", "\x08", "\x06\x06")),
    CASE("a tag without value", false, ATTRIBUTES("\x10", "\x06", "\x06")),
    CASE("a number without end", false, ATTRIBUTES("\x12", "\x08", "\x06\x86\x86")),
    CASE("a text without end", false, ATTRIBUTES("\x12", "\x08", "\x05" "ab")),
#undef CASE
};

static void code_for_an_armv6_is_told_by_its_attributes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(processors); i++) {
        uint8_t *copy = mem_new(processors[i].len + 1, 1);
        memcpy(copy, processors[i].bytes, processors[i].len);
        if (object_arm_runs_on_v6(copy, processors[i].len, false) != processors[i].runs)
            fail_msg("%s: expected %s", processors[i].what, processors[i].runs ? "yes" : "no");
        free(copy);
    }
}

static void attributes_cut_anywhere_allow_nothing(void **state)
{
    for (size_t len = 0; len < processors[0].len; len++) {
        uint8_t *copy = mem_new(len + 1, 1);
        memcpy(copy, processors[0].bytes, len);
        assert_false(object_arm_runs_on_v6(copy, len, false));
        free(copy);
    }
}

static void an_arm_object_is_judged_by_its_section(void **state)
{
    struct made_arm a;

    for (size_t i = 0; i < 4; i++) {
        make_arm(&a, processors[i].bytes, processors[i].len);
        struct wheel_object o = read_bytes(&a, sizeof a);
        assert_true(o.sound && !o.loadable);
        assert_int_equal(o.bits, 32);
        assert_int_equal(o.armv6, processors[i].runs);
        object_release(&o);
    }
    make_arm(&a, processors[0].bytes, processors[0].len);
    a.sections[1].sh_offset = 1u << 30;
    struct wheel_object o = read_bytes(&a, sizeof a);
    assert_false(o.armv6);
    object_release(&o);
}

/* ---- wheels -------------------------------------------------------------------------------------- */

struct world {
    char path[64];
    struct made_wheel made;
    struct wheel_objects objects;
    char why[512];
};

static int set_up(void **state)
{
    struct world *w = mem_new(1, sizeof *w);

    snprintf(w->path, sizeof w->path, "/tmp/test-objects-XXXXXX");
    close(mkstemp(w->path));
    make_sound(&w->made);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    wheel_objects_release(&w->objects);
    unlink(w->path);
    free(w);
    return 0;
}

static struct made_member *add_object(struct world *w, const char *name, const void *bytes, size_t len)
{
    struct made_member *m = make_add(&w->made, name, "");

    m->data = bytes;
    m->len = len;
    return m;
}

static int read_wheel(struct world *w)
{
    make_wheel(&w->made, w->path);
    return wheel_objects_read(w->path, &w->objects, w->why, sizeof w->why);
}

static void a_pure_wheel_has_no_objects(void **state)
{
    struct world *w = *state;
    struct wheel_code code;

    assert_int_equal(read_wheel(w), 0);
    assert_int_equal(w->objects.count, 0);
    wheel_objects_sum(&w->objects, &code);
    assert_false(code.native || code.armv6);
    assert_string_equal(code.glibc, "");
}

static void objects_are_found_by_their_bytes_and_summed_up(void **state)
{
    struct world *w = *state;
    struct made_library first, second;
    struct wheel_code code;

    make_library(&first);
    make_version(&first, "GLIBC_2.17");
    make_version(&first, "GLIBCXX_3.4.30");
    make_library(&second);
    make_version(&second, "GLIBC_2.34");
    add_object(w, "demo/_a.so", &first, MADE_LIBRARY_BYTES)->deflated = true;
    add_object(w, "demo-1.0.data/platlib/demo/_b", &second, MADE_LIBRARY_BYTES);
    make_add(&w->made, "demo/text.so", "\x7f" "EL");
    assert_int_equal(read_wheel(w), 0);
    assert_int_equal(w->objects.count, 2);
    assert_string_equal(w->objects.items[0].path, "demo/_b");
    assert_string_equal(w->objects.items[1].path, "demo/_a.so");
    wheel_objects_sum(&w->objects, &code);
    assert_true(code.native);
    assert_false(code.armv6);
    assert_string_equal(code.glibc, "2.34");
    assert_string_equal(code.glibcxx, "3.4.30");
}

static void one_object_that_is_none_spoils_the_armv6(void **state)
{
    struct world *w = *state;
    struct made_arm arm;
    struct wheel_code code;

    make_arm(&arm, processors[0].bytes, processors[0].len);
    add_object(w, "demo/_a.so", &arm, sizeof arm);
    assert_int_equal(read_wheel(w), 0);
    wheel_objects_sum(&w->objects, &code);
    assert_true(code.armv6);
    wheel_objects_release(&w->objects);
    make_add(&w->made, "demo/_b.so", ELFMAG "and nothing more");
    assert_int_equal(read_wheel(w), 0);
    wheel_objects_sum(&w->objects, &code);
    assert_false(code.armv6);
}

static void an_object_that_does_not_inflate_is_refused(void **state)
{
    struct world *w = *state;
    struct made_library l;

    make_library(&l);
    add_object(w, "demo/_a.so", &l, MADE_LIBRARY_BYTES)->crc_lie = 1;
    assert_int_equal(read_wheel(w), -EBADMSG);
    assert_string_not_equal(w->why, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_names_whom_it_needs_and_where_it_looks),
        cmocka_unit_test(the_highest_version_is_found_as_numbers),
        cmocka_unit_test(names_that_are_no_versions_are_passed_over),
        cmocka_unit_test(the_program_that_tests_needs_the_c_library),
        cmocka_unit_test(versions_that_go_in_a_circle_come_to_an_end),
        cmocka_unit_test(names_outside_of_the_file_are_passed_over),
        cmocka_unit_test(an_object_cut_anywhere_is_read_without_harm),
        cmocka_unit_test(addresses_at_the_edge_of_numbers_lead_nowhere),
        cmocka_unit_test(code_for_an_armv6_is_told_by_its_attributes),
        cmocka_unit_test(attributes_cut_anywhere_allow_nothing),
        cmocka_unit_test(an_arm_object_is_judged_by_its_section),
        cmocka_unit_test_setup_teardown(a_pure_wheel_has_no_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_are_found_by_their_bytes_and_summed_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_object_that_is_none_spoils_the_armv6, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_object_that_does_not_inflate_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
