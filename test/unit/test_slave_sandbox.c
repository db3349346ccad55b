/* How bubblewrap is called, and how much a build's directory holds. */
#include <errno.h>
#include <fcntl.h>
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

#include "../../src/slave/disk_use.h"
#include "../../src/slave/sandbox.h"
#include "core/memory.h"
#include "io/child.h"
#include "io/fs.h"

static const char *const command[] = {"/bin/true", NULL};
static const struct limits limits = {.memory_bytes = 1000, .processes = 7, .open_files = 20, .disk_bytes = 3000, .cpu_ms = 5000};

static int setup(void **state)
{
    static char dir[64];
    snprintf(dir, sizeof dir, "/tmp/piwheels-unit-XXXXXX");
    *state = mkdtemp(dir);
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    return fs_remove_tree(*state);
}

/* ---- the command ---- */

/* All words of the command, each behind a blank. Free it. */
static char *words_of(struct sandbox *s, enum network network, const char *python)
{
    const struct sandboxed what = {.dir = "/slave/attempt-7", .python = python, .network = network, .limits = &limits,
                                   .argv = command};
    struct words w = {0};
    char *all = mem_text("");
    int fd;

    assert_int_equal(sandbox_command(s, &what, &w, &fd), 0);
    if (fd > 0)
        close(fd);
    for (size_t i = 0; i < w.count; i++) {
        char *more = mem_format("%s %s", all, w.items[i]);
        free(all);
        all = more;
    }
    words_release(&w);
    return all;
}

static void assert_words(struct sandbox *s, enum network network, const char *words, bool there)
{
    char *all = words_of(s, network, "/usr/bin/python3");
    assert_true((strstr(all, words) != NULL) == there);
    free(all);
}

static void open_sandbox(struct sandbox *s, enum sandbox_level level, enum network network)
{
    char why[512] = "";
    if (sandbox_open(s, level, network, why, sizeof why) != 0)
        fail_msg("%s", why);
}

static void a_strict_build_has_its_own_network_a_filter_and_the_way_to_the_proxy(void **state)
{
    struct sandbox s;
    open_sandbox(&s, SANDBOX_STRICT, NETWORK_INDEX);
    assert_words(&s, NETWORK_INDEX, " --unshare-net", true);
    assert_words(&s, NETWORK_INDEX, " --seccomp 3", true);
    assert_words(&s, NETWORK_INDEX, " --ro-bind /slave/attempt-7/proxy.sock /run/piwheels/proxy.sock", true);
    assert_words(&s, NETWORK_INDEX, " inside /run/piwheels/proxy.sock 1000 3000 6 20 7 /bin/true", true);
    assert_words(&s, NETWORK_NONE, " --unshare-net", true);
    assert_words(&s, NETWORK_NONE, "proxy.sock", false);
    assert_words(&s, NETWORK_ALL, " --unshare-net", false);
    sandbox_close(&s);
}

static void a_basic_build_has_neither(void **state)
{
    struct sandbox s;
    open_sandbox(&s, SANDBOX_BASIC, NETWORK_INDEX);
    assert_int_equal(s.network, NETWORK_ALL);
    assert_words(&s, s.network, " --unshare-net", false);
    assert_words(&s, s.network, " --seccomp", false);
    assert_words(&s, s.network, " --unshare-user --unshare-pid --unshare-ipc --unshare-uts", true);
    assert_words(&s, s.network, " --die-with-parent", true);
    sandbox_close(&s);
}

static void without_a_sandbox_there_are_limits_but_for_processes(void **state)
{
    struct sandbox s;
    open_sandbox(&s, SANDBOX_NONE, NETWORK_ALL);
    char *all = words_of(&s, NETWORK_ALL, "/usr/bin/python3");
    assert_null(strstr(all, "bwrap"));
    assert_non_null(strstr(all, " inside - 1000 3000 6 20 - /bin/true"));
    free(all);
    sandbox_close(&s);
}

static void the_slaves_key_is_covered_after_everything_that_could_show_it(void **state)
{
    char key[96], python[128], *all;
    struct sandbox s;

    snprintf(key, sizeof key, "%s/slave.key", (const char *)*state);
    assert_int_equal(fs_replace(key, "secret", 6, false), 0);
    snprintf(python, sizeof python, "%s/bin/python3", (const char *)*state);
    open_sandbox(&s, SANDBOX_STRICT, NETWORK_INDEX);
    s.hidden[0] = key;
    s.hidden[1] = "/nonexistent/known_masters";
    all = words_of(&s, NETWORK_INDEX, python);
    char *shown = mem_format(" --ro-bind %s %s", (const char *)*state, (const char *)*state);
    char *covered = mem_format(" --ro-bind /dev/null %s", key);
    assert_non_null(strstr(all, shown));
    assert_non_null(strstr(strstr(all, shown), covered));
    assert_null(strstr(all, "known_masters"));
    free(covered);
    free(shown);
    free(all);
    sandbox_close(&s);
}

static void a_home_where_builds_look_is_covered(void **state)
{
    struct sandbox s;
    const char *before = getenv("HOME");
    char why[512], *home = mem_text(before != NULL ? before : "/nonexistent");

    open_sandbox(&s, SANDBOX_STRICT, NETWORK_INDEX);
    setenv("HOME", "/usr/local/share/", 1);
    assert_words(&s, NETWORK_INDEX, " --tmpfs /usr/local/share --remount-ro /usr/local/share", true);
    assert_int_equal(sandbox_check_python(&s, "/usr/local/share/bin/python3", "/srv/slave", why, sizeof why), -EINVAL);
    assert_int_equal(sandbox_check_python(&s, "/usr/local/bin/python3", "/srv/slave", why, sizeof why), 0);
    setenv("HOME", "/usr/sbin", 1); /* as users of the system have it */
    assert_words(&s, NETWORK_INDEX, " --tmpfs /usr/sbin", false);
    setenv("HOME", home, 1);
    free(home);
    sandbox_close(&s);
}

static void a_python_below_the_slaves_own_directory_is_refused(void **state)
{
    struct sandbox s;
    char why[512];

    open_sandbox(&s, SANDBOX_BASIC, NETWORK_ALL);
    assert_int_equal(sandbox_check_python(&s, "/usr/bin/python3", "/srv/slave", why, sizeof why), 0);
    assert_int_equal(sandbox_check_python(&s, "/opt/python/bin/python3", "/srv/slave", why, sizeof why), 0);
    assert_int_equal(sandbox_check_python(&s, "/srv/python/bin/python3", "/srv/slave", why, sizeof why), 0);
    assert_int_equal(sandbox_check_python(&s, "/srv/bin/python3", "/srv/slave", why, sizeof why), -EINVAL);
    assert_int_equal(sandbox_check_python(&s, "/python3", "/srv/slave", why, sizeof why), -EINVAL);
    sandbox_close(&s);
}

static void the_filter_can_be_read_by_every_build(void **state)
{
    struct sandbox s;
    open_sandbox(&s, SANDBOX_STRICT, NETWORK_INDEX);
    char *first = mem_new(1, s.filter.size_bytes + 1), *second = mem_new(1, s.filter.size_bytes + 1);
    int one = filter_open(&s.filter), two = filter_open(&s.filter);
    assert_int_equal(read(one, first, s.filter.size_bytes + 1), s.filter.size_bytes);
    assert_int_equal(read(two, second, s.filter.size_bytes + 1), s.filter.size_bytes);
    assert_memory_equal(first, second, s.filter.size_bytes);
    close(one);
    close(two);
    free(first);
    free(second);
    sandbox_close(&s);
}

/* ---- the directory ---- */

static const struct disk_use plenty = {1 << 30, 1000};

static char *below(void **state, const char *name)
{
    return mem_format("%s/%s", (const char *)*state, name);
}

static int make_file(void **state, const char *name, size_t size)
{
    char *path = below(state, name), *bytes = mem_new(size, 1);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    memset(bytes, 'x', size);
    assert_int_equal(write(fd, bytes, size), size);
    fsync(fd); /* or some file systems have given it no blocks yet */
    free(bytes);
    free(path);
    return fd;
}

static void files_are_added_up_by_what_they_take(void **state)
{
    struct disk_use found;
    char *sub = below(state, "sub"), *hole = below(state, "hole");

    assert_int_equal(mkdir(sub, 0700), 0);
    close(make_file(state, "a", 100000));
    close(make_file(state, "sub/b", 200000));
    int fd = open(hole, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 1L << 40), 0);
    close(fd);
    disk_use(*state, NULL, 0, &plenty, &found);
    assert_int_equal(found.files, 4);
    assert_in_range(found.bytes, 300000, 350000);
    free(sub);
    free(hole);
}

static void links_lead_nowhere_and_hard_ones_count_once(void **state)
{
    struct disk_use found;
    char *a = below(state, "a"), *b = below(state, "b"), *c = below(state, "c");

    close(make_file(state, "a", 100000));
    assert_int_equal(link(a, b), 0);
    assert_int_equal(symlink("/usr", c), 0);
    disk_use(*state, NULL, 0, &plenty, &found);
    assert_int_equal(found.files, 3);
    assert_in_range(found.bytes, 100000, 120000);
    free(a);
    free(b);
    free(c);
}

static void what_is_removed_but_open_counts(void **state)
{
    struct disk_use found;
    const pid_t us = getpid();
    int fd = make_file(state, "a", 100000);
    char *a = below(state, "a");

    assert_int_equal(unlink(a), 0);
    disk_use(*state, &us, 1, &plenty, &found);
    assert_in_range(found.bytes, 100000, 120000);
    close(fd);
    disk_use(*state, &us, 1, &plenty, &found);
    assert_int_equal(found.bytes, 0);
    free(a);
}

static void directories_that_are_closed_to_all_are_counted_and_closed_again(void **state)
{
    static const mode_t modes[] = {0, 0400, 0100, 0711};
    struct disk_use found;
    struct stat st;
    char *sub = below(state, "sub");

    assert_int_equal(mkdir(sub, 0700), 0);
    close(make_file(state, "sub/a", 100000));
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(sub, modes[i]), 0);
        assert_int_equal(chmod(*state, modes[i]), 0);
        disk_use(*state, NULL, 0, &plenty, &found);
        assert_int_equal(stat(*state, &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
        assert_int_equal(chmod(*state, 0700), 0);
        assert_int_equal(stat(sub, &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
        assert_int_equal(found.files, 2);
        assert_in_range(found.bytes, 100000, 120000);
    }
    free(sub);
}

static void it_stops_at_enough(void **state)
{
    const struct disk_use enough = {1 << 30, 5};
    struct disk_use found;
    char name[16];

    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "f%d", i);
        close(make_file(state, name, 1));
    }
    disk_use(*state, NULL, 0, &enough, &found);
    assert_int_equal(found.files, 6);
}

static void a_link_in_place_of_the_directory_holds_nothing(void **state)
{
    struct disk_use found;
    char *link = below(state, "link");
    assert_int_equal(symlink("/usr", link), 0);
    disk_use(link, NULL, 0, &plenty, &found);
    assert_int_equal(found.files, 0);
    free(link);
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strict_build_has_its_own_network_a_filter_and_the_way_to_the_proxy),
        cmocka_unit_test(a_basic_build_has_neither),
        cmocka_unit_test(without_a_sandbox_there_are_limits_but_for_processes),
        IN_A_DIRECTORY(the_slaves_key_is_covered_after_everything_that_could_show_it),
        cmocka_unit_test(a_home_where_builds_look_is_covered),
        cmocka_unit_test(a_python_below_the_slaves_own_directory_is_refused),
        cmocka_unit_test(the_filter_can_be_read_by_every_build),
        IN_A_DIRECTORY(files_are_added_up_by_what_they_take),
        IN_A_DIRECTORY(links_lead_nowhere_and_hard_ones_count_once),
        IN_A_DIRECTORY(what_is_removed_but_open_counts),
        IN_A_DIRECTORY(directories_that_are_closed_to_all_are_counted_and_closed_again),
        IN_A_DIRECTORY(it_stops_at_enough),
        IN_A_DIRECTORY(a_link_in_place_of_the_directory_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
