/*
 * Wheels as archives: sound ones are read, and each kind of unsound one is refused with its reason.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zip.h>

#include "core/memory.h"
#include "io/fs.h"
#include "make_wheel.h"
#include "wheel.h"

#define FILE_NAME "demo-1.0-py3-none-any.whl"

/* Each test has a folder of its own with one wheel in it. */
struct world {
    char folder[64], path[80];
    struct made_wheel made;
    struct wheel_limits limits;
    struct wheel read;
    char why[512];
};

static int set_up(void **state)
{
    struct world *w = mem_new(1, sizeof *w);

    snprintf(w->folder, sizeof w->folder, "/tmp/test-wheel-XXXXXX");
    if (!mkdtemp(w->folder))
        return -1;
    snprintf(w->path, sizeof w->path, "%s/file.part", w->folder);
    make_sound(&w->made);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    wheel_release(&w->read);
    unlink(w->path);
    rmdir(w->folder);
    free(w);
    return 0;
}

/* What is in memory is judged as the file is, in the same words. */
static void assert_judged_alike_in_memory(struct world *w, const char *file_name, int rc)
{
    struct wheel_limits defaults = {0};
    struct wheel read;
    char *bytes, why[sizeof w->why] = "";
    size_t len;

    if (memcmp(&w->limits, &defaults, sizeof defaults) != 0 || fs_read(w->path, SIZE_MAX / 2, &bytes, &len) != 0)
        return;
    assert_int_equal(wheel_read_bytes(bytes, len, file_name, NULL, NULL, &read, why, sizeof why), rc);
    assert_string_equal(why, w->why);
    assert_int_equal(read.inflated_bytes, w->read.inflated_bytes);
    assert_int_equal(read.members, w->read.members);
    assert_memory_equal(read.metadata_sha256, w->read.metadata_sha256, SHA256_SIZE);
    wheel_release(&read);
    free(bytes);
}

static int judge(struct world *w, const char *file_name, bool whole)
{
    wheel_release(&w->read);
    w->why[0] = '\0';
    int rc = wheel_read(w->path, file_name, NULL, NULL, whole, &w->limits, &w->read, w->why, sizeof w->why);
    if (whole)
        assert_judged_alike_in_memory(w, file_name, rc);
    return rc;
}

static void assert_accepted(struct world *w, const char *file_name)
{
    make_wheel(&w->made, w->path);
    if (judge(w, file_name, true) != 0)
        fail_msg("refused: %s", w->why);
}

static void assert_refused(struct world *w, const char *file_name, const char *why)
{
    int rc;

    make_wheel(&w->made, w->path);
    rc = judge(w, file_name, true);
    if (rc != -EBADMSG || !strstr(w->why, why))
        fail_msg("%d, \"%s\" instead of \"%s\"", rc, w->why, why);
}

/* ---- sound wheels ---- */

static void a_sound_wheel_is_read(void **state)
{
    struct world *w = *state;
    uint8_t digest[SHA256_SIZE];

    assert_accepted(w, FILE_NAME);
    assert_string_equal(w->read.metadata.name, "demo");
    assert_string_equal(w->read.metadata.version, "1.0");
    assert_string_equal(w->read.metadata.requires_python, ">=3.7");
    assert_string_equal(w->read.metadata_bytes, w->made.members[MADE_METADATA].data);
    assert_int_equal(w->read.metadata_len, strlen(w->read.metadata_bytes));
    hash_bytes(w->read.metadata_bytes, w->read.metadata_len, digest);
    assert_memory_equal(w->read.metadata_sha256, digest, sizeof digest);
    assert_int_equal(w->read.members, 4);
    assert_string_equal(w->read.name.platform, "any");
    assert_true(w->read.inflated_bytes > 100);
}

static void the_wheel_must_be_of_the_package_and_version_asked_for(void **state)
{
    struct world *w = *state;
    struct wheel *r = &w->read;

    make_wheel(&w->made, w->path);
    assert_int_equal(wheel_read(w->path, FILE_NAME, "demo", "1.0.0", true, NULL, r, w->why, sizeof w->why),
                     0);
    wheel_release(r);
    assert_int_equal(wheel_read(w->path, FILE_NAME, "other", "1.0", true, NULL, r, w->why, sizeof w->why),
                     -EBADMSG);
    assert_string_equal(w->why, "its file name is of \"demo\", not of other");
    wheel_release(r);
    assert_int_equal(wheel_read(w->path, FILE_NAME, "demo", "1.1", true, NULL, r, w->why, sizeof w->why),
                     -EBADMSG);
    assert_string_equal(w->why, "its file name is of version \"1.0\", not 1.1");
}

static void the_wheels_of_the_distribution_are_sound(void **state)
{
    static const char *const names[] = {"pip-23.0.1-py3-none-any.whl", "setuptools-66.1.1-py3-none-any.whl",
                                        "wheel-0.38.4-py3-none-any.whl"};
    struct world *w = *state;
    char path[128];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "/usr/share/python-wheels/%s", names[i]);
        if (access(path, R_OK) < 0)
            continue; /* another release of the distribution has others */
        if (wheel_read(path, names[i], NULL, NULL, true, NULL, &w->read, w->why, sizeof w->why) != 0)
            fail_msg("%s: %s", names[i], w->why);
        wheel_release(&w->read);
    }
}

static void a_wheel_written_by_libzip_is_sound(void **state)
{
    static const char metadata[] = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    static const char wheel[] = "Wheel-Version: 1.0\nTag: py3-none-any\n";
    static const char record[] =
        "demo-1.0.dist-info/METADATA,sha256=NKonpgZPlYtBt4GiF_KQ_Qq1-WUeK25Kzas0G3uTwwU,46\n"
        "demo-1.0.dist-info/WHEEL,sha256=c2sCN4vvlZhk3BchbhFJEfhyDSOwBajfTYQ5XgvNqOA,37\n"
        "demo-1.0.dist-info/RECORD,,\n";
    static const char *const files[][2] = {{"METADATA", metadata}, {"WHEEL", wheel}, {"RECORD", record}};
    struct world *w = *state;
    zip_t *zip = zip_open(w->path, ZIP_CREATE, NULL);

    zip_dir_add(zip, "demo-1.0.dist-info/", 0);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char name[64];

        snprintf(name, sizeof name, "demo-1.0.dist-info/%s", files[i][0]);
        zip_file_add(zip, name, zip_source_buffer(zip, files[i][1], strlen(files[i][1]), 0), 0);
    }
    assert_int_equal(zip_close(zip), 0);
    if (judge(w, FILE_NAME, true) != 0)
        fail_msg("refused: %s", w->why);
}

static void the_folder_may_have_the_name_raw_or_normalised(void **state)
{
    static const char *const folders[] = {"My.Demo_pkg-1.0", "my_demo_pkg-1.0", "my-demo-pkg-1.0.0",
                                          "My.Demo-pkg-v1"};
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char paths[3][96];
        static const char *const files[] = {"METADATA", "WHEEL", "RECORD"};

        make_sound(&w->made);
        w->made.members[MADE_METADATA].data = "Name: My.Demo-PKG\nVersion: 1.0\n";
        for (size_t j = 0; j < 3; j++) {
            snprintf(paths[j], sizeof paths[j], "%s.dist-info/%s", folders[i], files[j]);
            w->made.members[MADE_METADATA + j].name = paths[j];
        }
        assert_accepted(w, "my_demo_pkg-1.0-py3-none-any.whl");
    }
}

static void folders_data_descriptors_and_zip64_are_sound(void **state)
{
    struct world *w = *state;

    *make_add(&w->made, "demo/data/", "") =
        (struct made_member){.name = "demo/data/", .data = "", .mode = 040755};
    w->made.members[MADE_CODE].streamed = true;
    make_add(&w->made, "demo/large", "x")->zip64 = true;
    make_add(&w->made, "demo/streamed", "y")->zip64 = true;
    w->made.members[w->made.count - 2].streamed = true;
    w->made.zip64 = true;
    assert_accepted(w, FILE_NAME);
    assert_int_equal(w->read.members, 7);
}

static void names_in_utf8_are_sound_when_marked_as_such(void **state)
{
    struct world *w = *state;
    struct made_member *m = make_add(&w->made, "demo/\xc3\xa9.txt", "x");

    assert_refused(w, FILE_NAME, "not marked as UTF-8");
    m->flags = 0x0800;
    assert_accepted(w, FILE_NAME);
    m->name = "demo/\xff.txt";
    assert_refused(w, FILE_NAME, "not marked as UTF-8");
}

static void without_whole_only_structure_and_metadata_are_read(void **state)
{
    struct world *w = *state;

    w->made.members[MADE_RECORD].data = "nonsense";
    make_wheel(&w->made, w->path);
    assert_int_equal(judge(w, FILE_NAME, false), 0);
    assert_int_equal(judge(w, FILE_NAME, true), -EBADMSG);
}

/* ---- files that are no archives ---- */

static void a_missing_file_is_the_machines_fault(void **state)
{
    struct world *w = *state;

    assert_int_equal(judge(w, FILE_NAME, true), -ENOENT);
    assert_string_equal(w->why, "opening it failed: No such file or directory");
}

static void a_folder_is_refused(void **state)
{
    struct world *w = *state;

    mkdir(w->path, 0700);
    assert_int_equal(judge(w, FILE_NAME, true), -EBADMSG);
    assert_string_equal(w->why, "it is not a plain file");
    rmdir(w->path);
}

static void a_file_of_0_bytes_is_refused_in_those_words(void **state)
{
    struct world *w = *state;

    fclose(fopen(w->path, "w"));
    assert_int_equal(judge(w, FILE_NAME, true), -EBADMSG);
    assert_string_equal(w->why, "the file is empty (0 bytes)");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct world *w = *state;
    struct stat st;

    make_wheel(&w->made, w->path);
    assert_int_equal(stat(w->path, &st), 0);
    for (size_t left = (size_t)st.st_size - 1; left > 0; left--) {
        assert_int_equal(truncate(w->path, (off_t)left), 0);
        assert_int_equal(judge(w, FILE_NAME, true), -EBADMSG);
    }
}

static void a_file_with_any_byte_changed_is_refused_or_means_the_same(void **state)
{
    struct world *w = *state;
    struct stat st;
    FILE *f;

    make_wheel(&w->made, w->path);
    assert_int_equal(stat(w->path, &st), 0);
    f = fopen(w->path, "r+b");
    for (long at = 0; at < st.st_size; at++) {
        int byte;

        fseek(f, at, SEEK_SET);
        byte = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(byte ^ 0x55, f);
        fflush(f);
        if (judge(w, FILE_NAME, true) == 0)
            assert_string_equal(w->read.metadata_bytes, w->made.members[MADE_METADATA].data);
        fseek(f, at, SEEK_SET);
        fputc(byte, f);
    }
    fclose(f);
    assert_int_equal(judge(w, FILE_NAME, true), 0);
}

static void a_name_that_is_no_wheels_is_refused(void **state)
{
    assert_refused(*state, "demo-1.0.zip", "\"demo-1.0.zip\" is no wheel's file name");
}

static void an_empty_archive_is_refused(void **state)
{
    struct world *w = *state;

    w->made.count = 0;
    assert_refused(w, FILE_NAME, "empty zip archive");
}

/* ---- archives that different readers would read differently ---- */

static void bytes_before_after_and_between_members_are_refused(void **state)
{
    struct world *w = *state;

    w->made.junk_before = "#!/bin/sh\n";
    assert_refused(w, FILE_NAME, "bytes before its first member");
    make_sound(&w->made);
    w->made.junk_after = "junk";
    assert_refused(w, FILE_NAME, "has bytes after its end");
    make_sound(&w->made);
    w->made.comment = "junk";
    assert_refused(w, FILE_NAME, "has bytes after its end");
    make_sound(&w->made);
    w->made.members[MADE_CODE].junk = "junk";
    assert_refused(w, FILE_NAME, "\"demo/__init__.py\" is followed by bytes that belong to no member");
    make_sound(&w->made);
    w->made.members[MADE_RECORD].junk = "junk";
    assert_refused(w, FILE_NAME, "followed by bytes that belong to no member");
    make_sound(&w->made);
    w->made.members[MADE_CODE].streamed = true;
    w->made.members[MADE_CODE].junk = "junk";
    assert_refused(w, FILE_NAME, "data descriptor of \"demo/__init__.py\" differs");
    w->made.members[MADE_CODE].junk = "junk!";
    assert_refused(w, FILE_NAME, "followed by bytes that belong to no member");
}

static void two_members_of_one_name_are_refused(void **state)
{
    struct world *w = *state;

    make_add(&w->made, "demo/__init__.py", "evil = True\n");
    assert_refused(w, FILE_NAME, "two members named \"demo/__init__.py\"");
}

static void a_file_that_is_a_folder_too_is_refused(void **state)
{
    static const char *const pairs[][2] = {
        {"data", "data/x"}, {"data", "data/"}, {"data", "data/deep/x"}, {"data/deep", "data/deep/down/x"},
    };

    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char why[64];
        struct world *w = *state;

        make_sound(&w->made);
        make_add(&w->made, pairs[i][0], "x");
        make_add(&w->made, "data-more", "x"); /* sorts between "data" and "data/x" */
        make_add(&w->made, pairs[i][1], "");
        snprintf(why, sizeof why, "\"%s\" lies in a folder that is a file, too", pairs[i][1]);
        assert_refused(w, FILE_NAME, why);
    }
}

static void names_that_differ_in_case_are_two_files(void **state)
{
    struct world *w = *state;

    make_add(&w->made, "demo/a.py", "x");
    make_add(&w->made, "demo/A.py", "y");
    make_add(&w->made, "Demo/a/b.py", "z");
    assert_accepted(w, FILE_NAME);
}

static void local_headers_that_differ_are_refused(void **state)
{
    struct world *w = *state;
    struct made_member *code = &w->made.members[MADE_CODE];

    code->local_name = "demo/__evil__.py";
    assert_refused(w, FILE_NAME, "\"demo/__init__.py\" has another name in its local header");
    code->local_name = NULL;
    code->local_crc_lie = 1;
    assert_refused(w, FILE_NAME, "local header of \"demo/__init__.py\" differs");
    code->local_crc_lie = 0;
    code->local_size_lie = 1;
    assert_refused(w, FILE_NAME, "local header of \"demo/__init__.py\" differs");
    code->local_size_lie = 0;
    code->local_flags_lie = 0x0800;
    assert_refused(w, FILE_NAME, "local header of \"demo/__init__.py\" differs");
    code->local_flags_lie = 0;
    code->streamed = true;
    code->descriptor_lie = 1;
    assert_refused(w, FILE_NAME, "data descriptor of \"demo/__init__.py\" differs");
}

static void a_wrong_count_of_entries_is_refused(void **state)
{
    struct world *w = *state;

    w->made.count_lie = 1;
    assert_refused(w, FILE_NAME, "central directory is damaged");
    w->made.count_lie = (uint16_t)-1;
    assert_refused(w, FILE_NAME, "more entries than it counts");
    w->made.zip64 = true;
    assert_refused(w, FILE_NAME, "two end records contradict each other");
}

static void extra_fields_that_hide_something_are_refused(void **state)
{
    struct world *w = *state;
    struct made_member *code = &w->made.members[MADE_CODE];

    code->extra = "\x75\x70\x06\x00\x01" "abcd" "x";
    code->extra_len = 10;
    assert_refused(w, FILE_NAME, "has a second name in its extra field");
    code->extra = "\x99\x99\x06\x00";
    code->extra_len = 4;
    assert_refused(w, FILE_NAME, "has a damaged extra field");
    code->extra_len = 3;
    assert_refused(w, FILE_NAME, "has a damaged extra field");
    code->zip64 = true;
    code->extra = "\x01\x00\x00\x00";
    code->extra_len = 4;
    assert_refused(w, FILE_NAME, "has a damaged zip64 field");
}

static void libzip_alone_takes_dotted_paths_so_the_check_is_ours(void **state)
{
    struct world *w = *state;
    zip_t *zip;

    make_add(&w->made, "../x", "x");
    make_wheel(&w->made, w->path);
    zip = zip_open(w->path, ZIP_RDONLY | ZIP_CHECKCONS, NULL);
    assert_non_null(zip);
    zip_discard(zip);
    assert_refused(w, FILE_NAME, "no plain path");
}

/* ---- members that no wheel may have ---- */

static void paths_that_leave_the_folder_are_refused(void **state)
{
    static const struct {
        const char *name, *why;
    } cases[] = {
        {"/etc/passwd", "absolute path"}, {"C:/x", "absolute path"}, {"../x", "no plain path"},
        {"a/../../x", "no plain path"},   {"a/..", "no plain path"}, {"./x", "no plain path"},
        {"a//x", "no plain path"},        {"a\\..\\x", "backslash"}, {"a\nx", "control characters"},
        {"a\x7f", "control characters"},  {"../", "no plain path"},  {"", "without a name"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        make_sound(&w->made);
        make_add(&w->made, cases[i].name, "x");
        assert_refused(w, FILE_NAME, cases[i].why);
    }
}

static void links_and_special_files_are_refused(void **state)
{
    static const struct {
        const char *name, *why;
        uint32_t mode;
    } cases[] = {
        {"demo/x", "symbolic link", 0120777},         {"demo/x", "neither a plain file", 0020644},
        {"demo/x", "neither a plain file", 0010644},  {"demo/x", "neither a plain file", 0040755},
        {"demo/x/", "neither a plain file", 0100644}, {"demo/x/", "contents of its own", 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        make_sound(&w->made);
        make_add(&w->made, cases[i].name, "x")->mode = cases[i].mode;
        assert_refused(w, FILE_NAME, cases[i].why);
    }
}

static void encrypted_and_oddly_compressed_members_are_refused(void **state)
{
    struct world *w = *state;
    struct made_member *m = make_add(&w->made, "demo/x", "x");

    m->flags = 1;
    assert_refused(w, FILE_NAME, "\"demo/x\" is encrypted");
    m->flags = 0;
    m->method = 12;
    assert_refused(w, FILE_NAME, "\"demo/x\" is compressed by method 12");
    m->method = 0;
    m->inflated_lie = 1;
    assert_refused(w, FILE_NAME, "stored as it is, yet with another size");
}

/* What Python's zipfile refuses to read, nobody can install with pip. */
static void members_for_newer_readers_than_python_has_are_refused(void **state)
{
    struct world *w = *state;
    struct made_member *m = make_add(&w->made, "demo/x", "x");

    m->needs = 63;
    assert_accepted(w, FILE_NAME);
    m->needs = 64;
    assert_refused(w, FILE_NAME, "\"demo/x\" needs version 6.4 of the zip format; only up to 6.3 is read");
    m->needs = 0;
    m->flags = 0x20;
    assert_refused(w, FILE_NAME, "\"demo/x\" is a patch, and no file");
}

static void contents_that_differ_from_their_crc_or_size_are_refused(void **state)
{
    struct world *w = *state;
    struct made_member *code = &w->made.members[MADE_CODE];

    code->crc_lie = 1;
    assert_refused(w, FILE_NAME, "demo/__init__.py: CRC error");
    code->crc_lie = 0;
    code->inflated_lie = 1;
    assert_refused(w, FILE_NAME, "demo/__init__.py");
    code->inflated_lie = (uint32_t)-1;
    assert_refused(w, FILE_NAME, "demo/__init__.py");
}

/* ---- limits ---- */

static void an_absurd_ratio_is_refused_from_64_mib_on(void **state)
{
    struct world *w = *state;
    struct made_member *m = make_add(&w->made, "demo/zeros", "");
    char *zeros = mem_new(70U << 20, 1);

    m->data = zeros;
    m->deflated = true;
    m->len = 60U << 20;
    w->limits.max_ratio = 500;
    assert_accepted(w, FILE_NAME);
    m->len = 70U << 20;
    assert_refused(w, FILE_NAME, "absurd ratio");
    w->limits.max_ratio = 2000;
    assert_accepted(w, FILE_NAME);
    free(zeros);
}

static void more_bytes_or_members_than_allowed_are_refused(void **state)
{
    struct world *w = *state;

    w->limits.max_inflated_bytes = 100;
    assert_refused(w, FILE_NAME, "inflates to more than the 100 bytes allowed");
    w->limits = (struct wheel_limits){.max_members = 3};
    assert_refused(w, FILE_NAME, "4 members, more than the 3 allowed");
}

static void files_of_the_folder_that_are_too_long_are_refused(void **state)
{
    struct world *w = *state;
    char *spaces = mem_new((4U << 20) + 2, 1);

    memset(spaces, ' ', (4U << 20) + 1);
    w->made.members[MADE_METADATA].data = spaces;
    assert_refused(w, FILE_NAME, "METADATA\" is longer than the 4194304 bytes allowed");
    make_sound(&w->made);
    w->made.members[MADE_WHEEL].data = spaces;
    assert_refused(w, FILE_NAME, "WHEEL\" is longer than the 65536 bytes allowed");
    free(spaces);
}

/* ---- the .dist-info folder ---- */

static void exactly_one_folder_is_wanted(void **state)
{
    struct world *w = *state;

    make_add(&w->made, "evil-1.0.dist-info/METADATA", "Name: evil\n");
    assert_refused(w, FILE_NAME, "two .dist-info folders, \"demo-1.0.dist-info\" and \"evil-1.0.dist-info\"");
    make_sound(&w->made);
    w->made.count = 1;
    assert_refused(w, FILE_NAME, "no .dist-info folder");
}

static void a_folder_that_is_all_ending_counts_as_it_does_for_pip(void **state)
{
    struct world *w = *state;

    make_add(&w->made, ".dist-info/other", "x");
    assert_refused(w, FILE_NAME, "two .dist-info folders");
}

static void what_lies_in_the_data_folder_must_say_where_it_goes(void **state)
{
    static const struct {
        const char *path, *why;
    } cases[] = {
        {"demo-1.0.data/loose", "\"demo-1.0.data/loose\" is in none of the folders that say where it is installed"},
        {"demo-1.0.data/lib/a.py", "is in none of the folders"},
        {"demo-1.0.data", "is in none of the folders"},
        {"other-1.0.data/purelib/a.py", "its folder \"other-1.0.data\" is not that of demo 1.0"},
        {"demo-1.1.data/purelib/a.py", "is not that of demo 1.0"},
        {"demo-1.0-2.data/purelib/a.py", "is not that of demo 1.0"},
        {".data/purelib/a.py", "its folder \".data\" is not that of demo 1.0"},
        {"demo.data", "is not that of demo 1.0"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        make_sound(&w->made);
        make_add(&w->made, cases[i].path, "x");
        assert_refused(w, FILE_NAME, cases[i].why);
    }
}

static void a_data_folder_may_have_the_name_raw_or_normalised_and_the_build(void **state)
{
    static const char *const paths[] = {"demo-1.0.data/purelib/a.py", "Demo-1.data/scripts/a", "demo-1.0.data/data/etc/a"};
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        make_sound(&w->made);
        make_add(&w->made, paths[i], "x");
        assert_accepted(w, FILE_NAME);
    }
    make_sound(&w->made);
    make_add(&w->made, "demo-1.0-2b.data/platlib/a.py", "x");
    make_add(&w->made, "demo/some.data/a", "x");
    assert_accepted(w, "demo-1.0-2b-py3-none-any.whl");
}

static void a_folder_below_another_does_not_count(void **state)
{
    struct world *w = *state;

    make_add(&w->made, "demo/vendor-1.0.dist-info/METADATA", "Name: vendor\n");
    assert_accepted(w, FILE_NAME);
}

static void a_folder_of_another_name_or_version_is_refused(void **state)
{
    struct world *w = *state;

    assert_refused(w, "other-1.0-py3-none-any.whl",
                   "its folder \"demo-1.0.dist-info\" is not that of other 1.0");
    assert_refused(w, "demo-1.1-py3-none-any.whl", "is not that of demo 1.1");
}

static void a_missing_file_of_the_folder_is_named(void **state)
{
    static const char *const files[] = {"METADATA", "WHEEL", "RECORD"};
    struct world *w = *state;

    for (int i = 0; i < 3; i++) {
        char why[64];

        make_sound(&w->made);
        w->made.members[MADE_METADATA + i].name = "demo-1.0.dist-info/other";
        snprintf(why, sizeof why, "it has no %s (\"demo-1.0.dist-info/%s\")", files[i], files[i]);
        assert_refused(w, FILE_NAME, why);
    }
    assert_int_equal(judge(w, FILE_NAME, false), -EBADMSG);
}

static void metadata_that_differs_from_the_file_name_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"Name: other\nVersion: 1.0\n", "its METADATA is of \"other\", its file name of \"demo\""},
        {"Name: demo\nVersion: 1.1\n", "its METADATA is of version \"1.1\", its file name of \"1.0\""},
        {"Name: demo\nVersion: one\n", "its METADATA is of version \"one\""},
        {"Name: demo\n", "its METADATA has no Version"},
        {"Name: d\xff\n", "its METADATA is not UTF-8"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        w->made.members[MADE_METADATA].data = cases[i].text;
        assert_refused(w, FILE_NAME, cases[i].why);
    }
}

static void versions_are_compared_by_pep_440(void **state)
{
    struct world *w = *state;

    w->made.members[MADE_METADATA].data = "Name: Demo\nVersion: v1.0.0\n";
    assert_accepted(w, FILE_NAME);
}

static void an_underscore_in_a_file_names_version_is_a_dash(void **state)
{
    struct world *w = *state;

    w->made.members[MADE_METADATA].data = "Name: demo\nVersion: 1.0-1\n";
    w->made.members[MADE_METADATA].name = "demo-1.0_1.dist-info/METADATA";
    w->made.members[MADE_WHEEL].name = "demo-1.0_1.dist-info/WHEEL";
    w->made.members[MADE_RECORD].name = "demo-1.0_1.dist-info/RECORD";
    assert_accepted(w, "demo-1.0.post1-py3-none-any.whl");
    assert_accepted(w, "demo-1.0_1-py3-none-any.whl");
}

/* ---- WHEEL ---- */

static void wheel_tags_must_be_the_product_of_the_file_names(void **state)
{
    static const struct {
        const char *text, *file_name, *why; /* why NULL: accepted */
    } cases[] = {
        {"Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n", "demo-1.0-py2.py3-none-any.whl", NULL},
        {"Wheel-Version: 1.9\nTag: py3.py2-none-any\n", "demo-1.0-py2.py3-none-any.whl", NULL},
        {"Wheel-Version: 1.0\nTag: py3-none-any\nTag: py3-none-any\n", FILE_NAME, NULL},
        {"Wheel-Version: 1.0\nTag: py3-none-any\n", "demo-1.0-py2.py3-none-any.whl",
         "tags in its WHEEL differ"},
        {"Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n", FILE_NAME, "tags in its WHEEL differ"},
        {"Wheel-Version: 1.0\n", FILE_NAME, "tags in its WHEEL differ"},
        {"Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n", FILE_NAME, "tags in its WHEEL differ"},
        {"Wheel-Version: 1.0\nTag: py3\n", FILE_NAME, "has a Tag that is none"},
        {"Tag: py3-none-any\n", FILE_NAME, "Wheel-Version \"\""},
        {"Wheel-Version: 2.0\nTag: py3-none-any\n", FILE_NAME, "Wheel-Version \"2.0\""},
        {"Wheel-Version: 1.0\nWheel-Version: 1.0\nTag: py3-none-any\n", FILE_NAME, "has a header twice"},
        {"Wheel-Version: 1.0\xff\nTag: py3-none-any\n", FILE_NAME, "its WHEEL is not UTF-8"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        w->made.members[MADE_WHEEL].data = cases[i].text;
        if (cases[i].why)
            assert_refused(w, cases[i].file_name, cases[i].why);
        else
            assert_accepted(w, cases[i].file_name);
    }
}

static void a_build_may_be_missing_from_wheel_but_not_differ(void **state)
{
    struct world *w = *state;

    assert_accepted(w, "demo-1.0-1-py3-none-any.whl");
    w->made.members[MADE_WHEEL].data = "Wheel-Version: 1.0\nBuild: 1\nTag: py3-none-any\n";
    assert_accepted(w, "demo-1.0-1-py3-none-any.whl");
    assert_refused(w, "demo-1.0-2-py3-none-any.whl", "its WHEEL is of build \"1\", its file name of \"2\"");
    assert_refused(w, FILE_NAME, "its WHEEL is of build \"1\"");
}

/* ---- RECORD ---- */

#define REST "demo-1.0.dist-info/METADATA,sha256=ezwLT4vAfgloyuRnFtpX0fFbd9vF7ZyXVGaGYLZ0tXU,77\n" \
             "demo-1.0.dist-info/WHEEL,sha256=GOJWfGKy_s7ZRMtmrMyJFvIHxzo0gLZVhGWWyTqB6uo,75\n"
#define CODE "demo/__init__.py,sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4,12\n"
#define SELF "demo-1.0.dist-info/RECORD,,\n"

static void a_record_in_any_spelling_of_csv_is_read(void **state)
{
    static const char *const records[] = {
        CODE REST SELF,
        CODE REST,
        SELF "\r\n\n" REST
             "\"demo/__init__.py\",\"sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4\",\"12\"\r\n",
        REST SELF "demo/__init__.py,sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4,",
        REST "demo/__init__.py,sha384=lTR1QM759jYCrMD8d1YVUYTxWBQ2adFvUksessAF721RcFSAM4JMIKHQNFBlqn_g,12\n",
        REST "demo/"
             "__init__.py,sha512=26UqXBHN9K-N-eVtc_Ati__fLFRoG61iJoBecS1eM8U2qlIrOBIEK9OvnzOiTWcovLQKRRGo3_"
             "MIJbk6FgIwlw,12\n",
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(records); i++) {
        w->made.members[MADE_RECORD].data = records[i];
        assert_accepted(w, FILE_NAME);
    }
}

static void a_record_that_differs_from_the_contents_is_refused(void **state)
{
    static const struct {
        const char *record, *why;
    } cases[] = {
        {REST SELF, "\"demo/__init__.py\" is not listed in its RECORD"},
        {CODE CODE REST, "lists \"demo/__init__.py\" twice"},
        {CODE REST SELF SELF, "lists \"demo-1.0.dist-info/RECORD\" twice"},
        {CODE REST "demo/gone.py,sha256=x,1\n", "lists \"demo/gone.py\", which is not there"},
        {CODE REST "demo/,,\n", "lists \"demo/\", which is not there"},
        {CODE REST "../demo/__init__.py,,\n", "which is not there"},
        {REST "demo/__init__.py,sha256=AndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4,12\n",
         "differs from its hash"},
        {REST "demo/__init__.py,sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4=,12\n",
         "differs from its hash"},
        {REST "demo/__init__.py,sha256=,12\n", "differs from its hash"},
        {REST "demo/__init__.py,sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4,13\n",
         "differs from its size"},
        {REST "demo/__init__.py,sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4,x\n",
         "differs from its size"},
        {REST "demo/__init__.py,md5=x,12\n", "not SHA-256, 384 or 512"},
        {REST "demo/__init__.py,sha1=x,12\n", "not SHA-256, 384 or 512"},
        {REST "demo/__init__.py,4l7Gog,12\n", "not SHA-256, 384 or 512"},
        {REST "demo/__init__.py,,12\n", "no hash for \"demo/__init__.py\""},
        {REST "demo/__init__.py\n", "no \"path,hash,size\""},
        {REST "demo/__init__.py,sha256=x\n", "no \"path,hash,size\""},
        {REST "demo/__init__.py,sha256=x,12,\n", "no \"path,hash,size\""},
        {REST "\"demo/__init__.py,sha256=x,12\n", "no \"path,hash,size\""},
        {REST "\"demo\"x,sha256=x,12\n", "no \"path,hash,size\""},
        {REST "de\"mo,sha256=x,12\n", "no \"path,hash,size\""},
        {REST "demo/__init__.py\rx,sha256=x,12\n", "no \"path,hash,size\""},
        {REST "demo/\xff,sha256=x,12\n", "its RECORD is not UTF-8"},
        {CODE REST "demo-1.0.dist-info/RECORD,sha256=x,\n",
         "\"demo-1.0.dist-info/RECORD\" differs from its hash"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        w->made.members[MADE_RECORD].data = cases[i].record;
        assert_refused(w, FILE_NAME, cases[i].why);
    }
}

static void names_with_commas_and_quotes_are_listed_in_quotes(void **state)
{
    struct world *w = *state;

    make_add(&w->made, "demo/a,\"b\"", "answer = 42\n");
    w->made.members[w->made.count - 1].data =
        CODE REST SELF "\"demo/a,\"\"b\"\"\",sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4,12\n";
    assert_accepted(w, FILE_NAME);
}

static void signatures_need_not_be_listed(void **state)
{
    struct world *w = *state;

    make_add(&w->made, "demo-1.0.dist-info/RECORD.jws", "{}");
    make_add(&w->made, "demo-1.0.dist-info/RECORD.p7s", "x");
    w->made.members[w->made.count - 1].data = CODE REST SELF "demo-1.0.dist-info/RECORD.p7s,,\n";
    assert_accepted(w, FILE_NAME);
    make_add(&w->made, "demo-1.0.dist-info/RECORD.other", "x");
    assert_refused(w, FILE_NAME, "RECORD.other\" is not listed");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_wheel_is_read),
        TEST(the_wheel_must_be_of_the_package_and_version_asked_for),
        TEST(the_wheels_of_the_distribution_are_sound),
        TEST(a_wheel_written_by_libzip_is_sound),
        TEST(the_folder_may_have_the_name_raw_or_normalised),
        TEST(folders_data_descriptors_and_zip64_are_sound),
        TEST(names_in_utf8_are_sound_when_marked_as_such),
        TEST(without_whole_only_structure_and_metadata_are_read),
        TEST(a_missing_file_is_the_machines_fault),
        TEST(a_folder_is_refused),
        TEST(a_file_of_0_bytes_is_refused_in_those_words),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(a_file_with_any_byte_changed_is_refused_or_means_the_same),
        TEST(a_name_that_is_no_wheels_is_refused),
        TEST(an_empty_archive_is_refused),
        TEST(bytes_before_after_and_between_members_are_refused),
        TEST(two_members_of_one_name_are_refused),
        TEST(a_file_that_is_a_folder_too_is_refused),
        TEST(names_that_differ_in_case_are_two_files),
        TEST(local_headers_that_differ_are_refused),
        TEST(a_wrong_count_of_entries_is_refused),
        TEST(extra_fields_that_hide_something_are_refused),
        TEST(libzip_alone_takes_dotted_paths_so_the_check_is_ours),
        TEST(paths_that_leave_the_folder_are_refused),
        TEST(links_and_special_files_are_refused),
        TEST(encrypted_and_oddly_compressed_members_are_refused),
        TEST(members_for_newer_readers_than_python_has_are_refused),
        TEST(contents_that_differ_from_their_crc_or_size_are_refused),
        TEST(an_absurd_ratio_is_refused_from_64_mib_on),
        TEST(more_bytes_or_members_than_allowed_are_refused),
        TEST(files_of_the_folder_that_are_too_long_are_refused),
        TEST(exactly_one_folder_is_wanted),
        TEST(a_folder_that_is_all_ending_counts_as_it_does_for_pip),
        TEST(what_lies_in_the_data_folder_must_say_where_it_goes),
        TEST(a_data_folder_may_have_the_name_raw_or_normalised_and_the_build),
        TEST(a_folder_below_another_does_not_count),
        TEST(a_folder_of_another_name_or_version_is_refused),
        TEST(a_missing_file_of_the_folder_is_named),
        TEST(metadata_that_differs_from_the_file_name_is_refused),
        TEST(versions_are_compared_by_pep_440),
        TEST(an_underscore_in_a_file_names_version_is_a_dash),
        TEST(wheel_tags_must_be_the_product_of_the_file_names),
        TEST(a_build_may_be_missing_from_wheel_but_not_differ),
        TEST(a_record_in_any_spelling_of_csv_is_read),
        TEST(a_record_that_differs_from_the_contents_is_refused),
        TEST(names_with_commas_and_quotes_are_listed_in_quotes),
        TEST(signatures_need_not_be_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
