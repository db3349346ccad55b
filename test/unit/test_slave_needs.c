/*
 * What wheels need from the machine: where the dynamic linker would find it, and whose it is.
 */
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

#include "../../src/slave/dpkg.h"
#include "../../src/slave/libraries.h"
#include "core/debian.h"
#include "core/memory.h"
#include "io/fs.h"
#include "make_elf.h"

/* A system of our own, with a linker that looks there. */
struct world {
    char root[64];
    struct linker linker;
    struct wheel_object items[4];
    struct wheel_objects objects;
    struct libraries found;
};

static int set_up(void **state)
{
    struct world *w = mem_new(1, sizeof *w);

    snprintf(w->root, sizeof w->root, "/tmp/test-needs-XXXXXX");
    if (!mkdtemp(w->root))
        return -1;
    w->objects.items = w->items;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    linker_release(&w->linker);
    libraries_release(&w->found);
    fs_remove_tree(w->root);
    free(w);
    return 0;
}

static void put(struct world *w, const char *path, const void *bytes, size_t len)
{
    char *full = mem_format("%s%s", w->root, path), *dir = mem_text(full);

    *strrchr(dir, '/') = '\0';
    assert_int_equal(fs_make_dirs(dir, 0700), 0);
    assert_int_equal(fs_replace(full, bytes, len, false), 0);
    free(dir);
    free(full);
}

static void put_text(struct world *w, const char *path, const char *text)
{
    put(w, path, text, strlen(text));
}

static void put_library(struct world *w, const char *path, unsigned machine)
{
    struct made_library l;

    make_library(&l);
    l.header.e_machine = (Elf64_Half)machine;
    put(w, path, &l, MADE_LIBRARY_BYTES);
}

/* An object of the wheel that needs up to two libraries. */
static struct wheel_object *add(struct world *w, const char *path, const char *runpath, const char *const needed[])
{
    struct wheel_object *o = &w->items[w->objects.count++];
    unsigned count = 0;

    while (needed[count] != NULL)
        count++;
    *o = (struct wheel_object){.path = (char *)path, .runpath = (char *)runpath, .sound = true, .loadable = true,
                               .machine = EM_X86_64, .bits = 64, .needed = (char **)needed, .needed_count = count};
    return o;
}

static void find(struct world *w)
{
    linker_init(&w->linker, w->root);
    libraries_find(&w->objects, &w->linker, &w->found);
}

static void assert_found(const struct world *w, const char *name, const char *path)
{
    for (unsigned i = 0; i < w->found.count; i++)
        if (strcmp(w->found.items[i].name, name) == 0) {
            if (path == NULL)
                assert_null(w->found.items[i].path);
            else
                assert_string_equal(w->found.items[i].path, path);
            return;
        }
    fail_msg("%s is not among what is needed", name);
}

#define NEEDS(...) (const char *const[]){__VA_ARGS__, NULL}

/* ---- the dynamic linker -------------------------------------------------------------------------- */

static void libraries_are_found_where_ld_so_conf_says(void **state)
{
    struct world *w = *state;

    put_text(w, "/etc/ld.so.conf", "# ours\ninclude ld.so.conf.d/*.conf\n/opt/more/lib\n");
    put_text(w, "/etc/ld.so.conf.d/a.conf", "/opt/first\n");
    put_library(w, "/opt/first/libone.so.1", EM_X86_64);
    put_library(w, "/opt/more/lib/libone.so.1", EM_X86_64);
    put_library(w, "/opt/more/lib/libtwo.so.2", EM_X86_64);
    add(w, "demo/_a.so", NULL, NEEDS("libone.so.1", "libtwo.so.2"));
    find(w);
    assert_int_equal(w->found.count, 2);
    assert_found(w, "libone.so.1", "/opt/first/libone.so.1");
    assert_found(w, "libtwo.so.2", "/opt/more/lib/libtwo.so.2");
}

static void the_usual_directories_of_the_architecture_need_no_configuration(void **state)
{
    struct world *w = *state;

    put_library(w, "/lib/x86_64-linux-gnu/libc.so.6", EM_X86_64);
    put_library(w, "/usr/lib/libold.so.1", EM_X86_64);
    add(w, "demo/_a.so", NULL, NEEDS("libc.so.6", "libold.so.1"));
    find(w);
    assert_found(w, "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6");
    assert_found(w, "libold.so.1", "/usr/lib/libold.so.1");
}

static void a_library_for_another_processor_is_passed_over(void **state)
{
    struct world *w = *state;

    put_text(w, "/etc/ld.so.conf", "/opt/arm /opt/text /opt/right");
    put_library(w, "/opt/arm/libz.so.1", EM_AARCH64);
    put_text(w, "/opt/text/libz.so.1", "INPUT(libz.so)");
    put_library(w, "/opt/right/libz.so.1", EM_X86_64);
    add(w, "demo/_a.so", NULL, NEEDS("libz.so.1"));
    find(w);
    assert_found(w, "libz.so.1", "/opt/right/libz.so.1");
}

static void a_file_that_includes_itself_is_read_a_few_times_and_no_more(void **state)
{
    struct world *w = *state;

    put_text(w, "/etc/ld.so.conf", "/opt/lib\ninclude ld.so.conf\n");
    linker_init(&w->linker, w->root);
    assert_in_range(w->linker.dir_count, 1, 8);
}

/* ---- what the wheel brings ----------------------------------------------------------------------- */

static void what_the_wheel_brings_is_not_needed(void **state)
{
    struct world *w = *state;

    put_library(w, "/usr/lib/libffi.so.8", EM_X86_64);
    add(w, "demo/sub/_a.so", "/nowhere:$ORIGIN/../../demo.libs", NEEDS("libffi-1234.so.8", "libffi.so.8"));
    add(w, "demo.libs/libffi-1234.so.8", NULL, NEEDS("libc.so.6"));
    find(w);
    assert_int_equal(w->found.count, 2);
    assert_found(w, "libffi.so.8", "/usr/lib/libffi.so.8");
    assert_found(w, "libc.so.6", NULL);
}

static void rpath_counts_only_without_runpath(void **state)
{
    struct world *w = *state;
    struct wheel_object *o;

    add(w, "demo/liba.so", NULL, NEEDS("libc.so.6"));
    o = add(w, "demo/_a.so", NULL, NEEDS("liba.so"));
    o->rpath = (char *)"${ORIGIN}";
    put_library(w, "/usr/lib/liba.so", EM_X86_64);
    find(w);
    assert_int_equal(w->found.count, 1);
    libraries_release(&w->found);
    linker_release(&w->linker);
    o->runpath = (char *)"/opt";
    find(w);
    assert_found(w, "liba.so", "/usr/lib/liba.so");
}

static void an_origin_outside_of_the_wheel_leads_nowhere(void **state)
{
    struct world *w = *state;

    add(w, "demo/_a.so", "$ORIGIN/../../..", NEEDS("libx.so"));
    find(w);
    assert_found(w, "libx.so", NULL);
}

static void a_library_of_the_wheel_that_nothing_points_to_is_loaded_by_hand(void **state)
{
    struct world *w = *state;
    struct wheel_object *o = add(w, "demo/data/backend.so", NULL, NEEDS("libc.so.6"));

    o->soname = (char *)"libbackend.so.3";
    add(w, "demo/_a.so", NULL, NEEDS("libbackend.so.3"));
    find(w);
    assert_int_equal(w->found.count, 1);
    assert_found(w, "libc.so.6", NULL);
}

static void a_directory_of_the_system_may_be_named_by_the_wheel(void **state)
{
    struct world *w = *state;

    put_library(w, "/opt/vc/lib/libmmal.so", EM_X86_64);
    add(w, "demo/_a.so", "/opt/vc/lib", NEEDS("libmmal.so"));
    find(w);
    assert_found(w, "libmmal.so", "/opt/vc/lib/libmmal.so");
}

static void a_wheel_that_names_directories_without_end_is_not_followed_without_end(void **state)
{
    struct world *w = *state;
    size_t len = 300000;
    char *many = mem_new(len + 1, 1);

    memset(many, ':', len);
    add(w, "demo/_a.so", many, NEEDS("liba.so", "libb.so"));
    find(w);
    assert_true(w->found.too_many);
    free(many);
}

/* ---- dpkg ---------------------------------------------------------------------------------------- */

static void a_path_is_asked_for_with_usr_and_without(void **state)
{
    char *spellings[DPKG_SPELLINGS];

    assert_int_equal(dpkg_spellings("/lib/nowhere/libz.so.1", spellings), 2);
    assert_string_equal(spellings[0], "/lib/nowhere/libz.so.1");
    assert_string_equal(spellings[1], "/usr/lib/nowhere/libz.so.1");
    free(spellings[0]);
    free(spellings[1]);
    assert_int_equal(dpkg_spellings("/usr/lib/nowhere/libz.so.1", spellings), 2);
    assert_string_equal(spellings[1], "/lib/nowhere/libz.so.1");
    free(spellings[0]);
    free(spellings[1]);
}

static void what_dpkg_would_take_for_a_pattern_is_not_asked_for(void **state)
{
    char *spellings[DPKG_SPELLINGS];

    assert_int_equal(dpkg_spellings("/lib/nowhere/lib*.so", spellings), 0);
    assert_int_equal(dpkg_spellings("/opt/a\nb", spellings), 0);
}

static void dpkgs_answer_names_the_owner(void **state)
{
    static const char answer[] =
        "diversion by glx-diversions from: /usr/lib/x86_64-linux-gnu/libGL.so.1\n"
        "libgl1:amd64: /usr/lib/x86_64-linux-gnu/libGL.so.1\n"
        "zlib1g:amd64: /lib/x86_64-linux-gnu/libz.so.1\n"
        "libz-mingw, other: /usr/lib/two.so\n"
        "python3-all: /usr/lib/libz.so.1: odd\n"
        "Bad_Name: /usr/lib/bad.so\n"
        "last: /usr/lib/last.so";
    char name[DEBIAN_NAME_MAX + 1];

    assert_true(dpkg_owner(answer, "/usr/lib/x86_64-linux-gnu/libGL.so.1", name, sizeof name));
    assert_string_equal(name, "libgl1");
    assert_true(dpkg_owner(answer, "/lib/x86_64-linux-gnu/libz.so.1", name, sizeof name));
    assert_string_equal(name, "zlib1g");
    assert_true(dpkg_owner(answer, "/usr/lib/two.so", name, sizeof name));
    assert_string_equal(name, "libz-mingw");
    assert_true(dpkg_owner(answer, "/usr/lib/last.so", name, sizeof name));
    assert_string_equal(name, "last");
    assert_false(dpkg_owner(answer, "/usr/lib/libz.so.1", name, sizeof name));
    assert_false(dpkg_owner(answer, "/usr/lib/bad.so", name, sizeof name));
    assert_false(dpkg_owner("", "/usr/lib/bad.so", name, sizeof name));
}

static void names_of_packages_are_debians(void **state)
{
    static const char *const good[] = {"libstdc++6", "libc6", "0ad", "g++", "libopenblas0-pthread", "a.b"};
    static const char *const bad[] = {"", "a", "Lib", "-lib", "lib 6", "libä", "lib_6", "lib;rm"};

    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(debian_name_valid(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(debian_name_valid(bad[i]));
}

static void lists_of_packages_are_in_order_and_name_none_twice(void **state)
{
    assert_true(debian_names_valid(""));
    assert_true(debian_names_valid("libc6\nlibffi8\nzlib1g\n"));
    assert_false(debian_names_valid("libc6"));
    assert_false(debian_names_valid("\n"));
    assert_false(debian_names_valid("libc6\n\nzlib1g\n"));
    assert_false(debian_names_valid("libc6\nlibc6\n"));
    assert_false(debian_names_valid("zlib1g\nlibc6\n"));
    assert_false(debian_names_valid("libc6\nEvil Name\n"));
}

static void what_is_installed_is_listed_in_order_and_once(void **state)
{
    char answer[] = "installed zlib1g\nnot-installed old\ninstalled bash\nconfig-files gone\ninstalled zlib1g\n"
                    "installed Evil\ninstalled libc6\n";
    char nothing[] = "no packages found\n", many[] = "installed aa\ninstalled bb\ninstalled cc\n";
    char *list = dpkg_read_installed(answer, 1000);

    assert_string_equal(list, "bash\nlibc6\nzlib1g\n");
    assert_true(debian_names_valid(list));
    free(list);
    assert_string_equal(list = dpkg_read_installed(nothing, 1000), "");
    free(list);
    assert_string_equal(list = dpkg_read_installed(many, 7), "aa\nbb\n");
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(libraries_are_found_where_ld_so_conf_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_usual_directories_of_the_architecture_need_no_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_library_for_another_processor_is_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_includes_itself_is_read_a_few_times_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_wheel_brings_is_not_needed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rpath_counts_only_without_runpath, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_origin_outside_of_the_wheel_leads_nowhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_library_of_the_wheel_that_nothing_points_to_is_loaded_by_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_of_the_system_may_be_named_by_the_wheel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wheel_that_names_directories_without_end_is_not_followed_without_end, set_up, tear_down),
        cmocka_unit_test(a_path_is_asked_for_with_usr_and_without),
        cmocka_unit_test(what_dpkg_would_take_for_a_pattern_is_not_asked_for),
        cmocka_unit_test(dpkgs_answer_names_the_owner),
        cmocka_unit_test(what_is_installed_is_listed_in_order_and_once),
        cmocka_unit_test(names_of_packages_are_debians),
        cmocka_unit_test(lists_of_packages_are_in_order_and_name_none_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
