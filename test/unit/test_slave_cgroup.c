/* Control groups of builds, over a directory that looks like theirs; and what a cell makes of them. */
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
#include <uv.h>

#include <cmocka.h>

#include "../../src/slave/cell.h"
#include "../../src/slave/cgroup.h"
#include "core/lane.h"
#include "core/memory.h"
#include "io/fs.h"

#define OWN "0::/system.slice/slave.service\n"
#define HERE "system.slice/slave.service"

static const struct limits limits = {.memory_bytes = 1000000000, .processes = 70, .open_files = 100, .disk_bytes = 1000000000,
                                     .disk_files = 1000, .output_bytes = 1000000, .cpu_ms = 60000, .timeout_ms = 60000,
                                     .silence_ms = 60000};

static char *path_of(void **state, const char *name)
{
    return mem_format("%s/%s", (const char *)*state, name);
}

static void write_text(void **state, const char *name, const char *text)
{
    char *path = path_of(state, name);
    assert_int_equal(fs_replace(path, text, strlen(text), false), 0);
    free(path);
}

static void assert_text(void **state, const char *name, const char *expected)
{
    char *path = path_of(state, name), *text;
    size_t len;
    assert_int_equal(fs_read(path, 1000, &text, &len), 0);
    assert_string_equal(text, expected);
    free(text);
    free(path);
}

/* What the kernel would show of a group that was delegated to us, and of a build's below it. */
static int setup(void **state)
{
    static const char *const files[] = {
        "slave/cgroup.procs", "cgroup.subtree_control", "attempt-7/cgroup.procs", "attempt-7/memory.max", "attempt-7/pids.max",
        "attempt-7/memory.oom.group", "attempt-7/memory.swap.max", "attempt-7/cgroup.kill"};
    static char dir[64];
    snprintf(dir, sizeof dir, "/tmp/piwheels-unit-XXXXXX");
    *state = mkdtemp(dir);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *name = mem_format(HERE "/%s", files[i]);
        write_text(state, name, "");
        free(name);
    }
    write_text(state, HERE "/cgroup.controllers", "cpu io memory pids\n");
    return 0;
}

static int teardown(void **state)
{
    return fs_remove_tree(*state);
}

static void a_delegated_group_is_taken_and_we_make_way_in_it(void **state)
{
    struct cgroup g;
    char pid[32];

    cgroup_open(&g, *state, OWN);
    assert_non_null(g.dir);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_text(state, HERE "/slave/cgroup.procs", pid);
    assert_text(state, HERE "/cgroup.subtree_control", "+memory +pids");
    cgroup_close(&g);
}

static void a_group_without_the_controllers_or_of_version_1_is_left_alone(void **state)
{
    struct cgroup g;

    write_text(state, HERE "/cgroup.controllers", "cpu memory rapids\n");
    cgroup_open(&g, *state, OWN);
    assert_null(g.dir);
    cgroup_open(&g, *state, "4:memory:/system.slice/slave.service\n");
    assert_null(g.dir);
    cgroup_open(&g, *state, "");
    assert_null(g.dir);
    assert_text(state, HERE "/slave/cgroup.procs", "");
}

static void a_build_gets_a_group_with_its_limits(void **state)
{
    struct cgroup g;

    cgroup_open(&g, *state, OWN);
    char *path = cgroup_make(&g, "attempt-7", &limits);
    assert_non_null(path);
    assert_text(state, HERE "/attempt-7/memory.max", "1000000000");
    assert_text(state, HERE "/attempt-7/memory.swap.max", "0");
    assert_text(state, HERE "/attempt-7/memory.oom.group", "1");
    assert_text(state, HERE "/attempt-7/pids.max", "70");
    free(path);
    assert_null(cgroup_make(&g, "attempt-8", &limits)); /* has no such files: it could not be limited */
    cgroup_close(&g);
}

static void what_a_group_used_is_read(void **state)
{
    struct cgroup_use u;
    char *path = path_of(state, HERE "/attempt-7");

    cgroup_read(path, &u);
    assert_true(u.peak_bytes == 0 && u.cpu_ms == 0 && !u.memory_passed && !u.processes_passed);
    write_text(state, HERE "/attempt-7/memory.peak", "123456\n");
    write_text(state, HERE "/attempt-7/cpu.stat", "nr_usage_usec 5\nusage_usec 7000\nuser_usec 1\n");
    write_text(state, HERE "/attempt-7/memory.events", "low 0\nmax 3\noom 1\noom_kill 2\n");
    write_text(state, HERE "/attempt-7/pids.events", "max 4\n");
    cgroup_read(path, &u);
    assert_int_equal(u.peak_bytes, 123456);
    assert_int_equal(u.cpu_ms, 7);
    assert_true(u.memory_passed && u.processes_passed);
    free(path);
}

/* ---- a cell in a group ---- */

struct run {
    struct cell cell;
    uv_loop_t loop;
    unsigned ended;
};

static void on_output(struct cell *c, const char *data, size_t len)
{
}

static void on_ended(struct cell *c)
{
    container_of(c, struct run, cell)->ended++;
}

/* Runs `script`, without a sandbox; in place of our program stands one that only drops its words. */
static void run_in_group(void **state, struct run *r, const char *script)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    char *program = path_of(state, "program"), *dir = path_of(state, "attempt-7");
    struct sandbox sandbox = {.level = SANDBOX_NONE, .network = NETWORK_ALL, .program = program};
    struct cgroup g;

    write_text(state, "program", "#!/bin/sh\nshift 7\nexec \"$@\"\n");
    assert_int_equal(chmod(program, 0755), 0);
    assert_int_equal(fs_make_dirs(dir, 0755), 0);
    cgroup_open(&g, *state, OWN);
    uv_loop_init(&r->loop);
    lane_setup(&r->loop, LANES_FEW);
    r->cell = (struct cell){.sandbox = &sandbox, .limits = &limits, .cgroup = &g, .env = env,
                            .what = {.dir = dir, .python = "/usr/bin/python3", .network = NETWORK_ALL, .argv = argv},
                            .output = on_output, .ended = on_ended};
    cell_run(&r->loop, &r->cell);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    assert_int_equal(r->ended, 1);
    cgroup_close(&g);
    free(dir);
    free(program);
}

static void a_command_begins_in_its_group(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    write_text(state, HERE "/attempt-7/memory.peak", "123456\n");
    run_in_group(state, r, "exit 0");
    assert_text(state, HERE "/attempt-7/cgroup.procs", "0\n");
    assert_text(state, HERE "/attempt-7/cgroup.kill", "1");
    assert_int_equal(r->cell.child.status, 0);
    assert_string_equal(r->cell.breach, "");
    assert_int_equal(r->cell.peak_bytes, 123456);
    free(r);
}

static void what_the_kernel_ended_for_its_memory_has_passed_that_limit(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    write_text(state, HERE "/attempt-7/memory.events", "oom 1\noom_kill 1\n");
    run_in_group(state, r, "kill -9 $$");
    assert_string_equal(r->cell.breach, "memory");
    assert_string_equal(r->cell.breach_text, "its processes held 1000 MB of memory, the limit");
    free(r);
}

/* The kernel (cgroup-v2.rst) counts in oom_kill whoever any OOM killer ended, and in oom only who met the group's own limit. */
static void what_the_kernel_ended_for_want_of_memory_elsewhere_has_passed_no_limit(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    write_text(state, HERE "/attempt-7/memory.events", "oom 0\noom_kill 1\noom_group_kill 0\n");
    run_in_group(state, r, "kill -9 $$");
    assert_string_equal(r->cell.breach, "");
    free(r);
}

static void a_command_that_cannot_enter_its_group_is_not_begun(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    char *in_the_way = path_of(state, HERE "/attempt-7/cgroup.procs");
    unlink(in_the_way);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    run_in_group(state, r, "exit 0");
    assert_true(r->cell.unboxed && r->cell.child.status != 0);
    assert_memory_equal(r->cell.breach_text, "cannot enter the control group /", 32);
    free(in_the_way);
    free(r);
}

static void who_fails_after_a_refused_fork_has_passed_that_limit(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    write_text(state, HERE "/attempt-7/pids.events", "max 1\n");
    run_in_group(state, r, "exit 1");
    assert_string_equal(r->cell.breach, "processes");
    free(r);
}

static void who_succeeds_has_passed_no_limit(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    write_text(state, HERE "/attempt-7/pids.events", "max 1\n");
    run_in_group(state, r, "exit 0");
    assert_string_equal(r->cell.breach, "");
    free(r);
}

#define WITH_GROUPS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GROUPS(a_delegated_group_is_taken_and_we_make_way_in_it),
        WITH_GROUPS(a_group_without_the_controllers_or_of_version_1_is_left_alone),
        WITH_GROUPS(a_build_gets_a_group_with_its_limits),
        WITH_GROUPS(what_a_group_used_is_read),
        WITH_GROUPS(a_command_begins_in_its_group),
        WITH_GROUPS(what_the_kernel_ended_for_its_memory_has_passed_that_limit),
        WITH_GROUPS(what_the_kernel_ended_for_want_of_memory_elsewhere_has_passed_no_limit),
        WITH_GROUPS(a_command_that_cannot_enter_its_group_is_not_begun),
        WITH_GROUPS(who_fails_after_a_refused_fork_has_passed_that_limit),
        WITH_GROUPS(who_succeeds_has_passed_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
