/*
 * Child processes: what a command prints, how it ends, and that nothing it started outlives it.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/io/proc.h"
#include "core/buf.h"
#include "core/memory.h"
#include "io/child.h"

#define OUTPUT_MAX (4 * 1024 * 1024)

struct run {
    struct child child;
    struct buf output;
    const char *kill_at;     /* child_kill as soon as the output holds this */
    unsigned ended;          /* how often `ended` was called */
    bool starting;           /* child_run has not returned yet */
    bool late;               /* output came after `ended` */
};

static struct run *run_of(struct child *c)
{
    return container_of(c, struct run, child);
}

static void on_output(struct child *c, const char *data, size_t len)
{
    struct run *r = run_of(c);
    r->late |= r->ended > 0;
    buf_add(&r->output, data, len);
    if (r->kill_at != NULL && strstr(r->output.data, r->kill_at) != NULL)
        child_kill(c);
}

static void on_ended(struct child *c)
{
    assert_false(run_of(c)->starting);
    run_of(c)->ended++;
}

static const char *const environment[] = {"PATH=/usr/bin:/bin", "GREETING=hello there", NULL};

static int setup(void **state)
{
    struct run *r = mem_new(1, sizeof *r);
    r->child.env = environment;
    r->child.cwd = "/";
    r->child.output = on_output;
    r->child.ended = on_ended;
    buf_init(&r->output, OUTPUT_MAX);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct run *r = *state;
    buf_release(&r->output);
    free(r);
    return 0;
}

/* Runs the command to its end and checks what is true of every end. */
static void run_command(struct run *r, const char *const argv[])
{
    uv_loop_t loop;
    struct proc *tree;
    uv_loop_init(&loop);
    r->child.argv = argv;
    r->starting = true;
    child_run(&loop, &r->child);
    r->starting = false;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(r->ended, 1);
    assert_false(r->late);
    assert_int_equal(proc_tree(&(struct proc_root){.parent = getpid()}, &tree), 0);
    free(tree);
}

static void run_shell(struct run *r, const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    run_command(r, argv);
}

/* -- what is heard ------------------------------------------------------------------------------- */

static void both_streams_arrive_in_the_order_of_writing(void **state)
{
    struct run *r = *state;
    run_shell(r, "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done");
    assert_string_equal(r->output.data, "out1\nerr1\nout2\nerr2\nout3\nerr3\nout4\nerr4\nout5\nerr5\n");
    assert_int_equal(r->child.status, 0);
    assert_int_equal(r->child.signal, 0);
    assert_int_equal(r->child.error, 0);
}

static void all_of_a_large_output_arrives(void **state)
{
    struct run *r = *state;
    run_shell(r, "head -c 3000000 /dev/zero | tr '\\0' x; exit 3");
    assert_int_equal(r->output.len, 3000000);
    assert_int_equal(r->child.status, 3);
}

static void stdin_is_at_its_end(void **state)
{
    struct run *r = *state;
    r->child.timeout_ms = 20000;
    run_shell(r, "read line; echo \"read gave $?\"");
    assert_string_equal(r->output.data, "read gave 1\n");
    assert_false(r->child.timed_out);
}

static void environment_and_directory_are_what_was_asked_for(void **state)
{
    struct run *r = *state;
    r->child.cwd = "/usr";
    setenv("SECRET_OF_OURS", "1", 1);
    run_shell(r, "pwd; echo \"$GREETING $SECRET_OF_OURS\"");
    assert_string_equal(r->output.data, "/usr\nhello there \n");
}

static void no_descriptor_of_ours_leaks(void **state)
{
    struct run *r = *state;
    int leak = dup(STDERR_FILENO);
    run_shell(r, "ls /proc/self/fd");
    close(leak);
    assert_string_equal(r->output.data, "0\n1\n2\n3\n"); /* 3 is ls reading the directory */
}

static void the_command_has_a_session_of_its_own(void **state)
{
    struct run *r = *state;
    run_shell(r, "cut -d' ' -f1,6 /proc/$$/stat | (read pid session; test $pid = $session)");
    assert_int_equal(r->child.status, 0);
}

static void an_ignored_signal_of_ours_is_not_ignored_by_the_command(void **state)
{
    struct run *r = *state;
    signal(SIGPIPE, SIG_IGN);
    run_shell(r, "kill -PIPE $$");
    assert_int_equal(r->child.signal, SIGPIPE);
    assert_int_equal(r->child.status, -1);
}

static void output_may_end_before_the_command(void **state)
{
    struct run *r = *state;
    run_shell(r, "echo before; exec >/dev/null 2>&1; sleep 0.2; exit 4");
    assert_string_equal(r->output.data, "before\n");
    assert_int_equal(r->child.status, 4);
}

/* -- how it ends --------------------------------------------------------------------------------- */

static void a_command_that_does_not_exist_is_an_error(void **state)
{
    struct run *r = *state;
    const char *const argv[] = {"/nowhere/command", NULL};
    run_command(r, argv);
    assert_int_equal(r->child.error, -ENOENT);
    assert_int_equal(r->child.status, -1);
    child_kill(&r->child);
}

static void a_directory_that_does_not_exist_is_an_error(void **state)
{
    struct run *r = *state;
    r->child.cwd = "/nowhere";
    run_shell(r, "true");
    assert_int_equal(r->child.error, -ENOENT);
}

static void a_file_that_is_no_program_is_an_error(void **state)
{
    struct run *r = *state;
    const char *const argv[] = {"/etc/passwd", NULL};
    run_command(r, argv);
    assert_int_equal(r->child.error, -EACCES);
}

static void the_signal_that_ended_it_is_told(void **state)
{
    struct run *r = *state;
    run_shell(r, "kill -SEGV $$");
    assert_int_equal(r->child.signal, SIGSEGV);
    assert_int_equal(r->child.status, -1);
    assert_false(r->child.killed || r->child.timed_out);
}

static void the_time_limit_ends_it(void **state)
{
    struct run *r = *state;
    r->child.timeout_ms = 100;
    run_shell(r, "sleep 1000");
    assert_true(r->child.timed_out);
    assert_false(r->child.killed);
    assert_int_equal(r->child.signal, SIGTERM);
    assert_in_range(r->child.wall_ms, 1, 999999);
}

static void a_command_that_is_in_time_is_not_timed_out(void **state)
{
    struct run *r = *state;
    r->child.timeout_ms = 1000000;
    run_shell(r, "true");
    assert_false(r->child.timed_out);
}

static void what_ignores_sigterm_is_killed_two_seconds_later(void **state)
{
    struct run *r = *state;
    r->kill_at = "ready\n";
    run_shell(r, "trap '' TERM; echo ready; while :; do sleep 0.1; done");
    assert_true(r->child.killed);
    assert_false(r->child.timed_out);
    assert_int_equal(r->child.signal, SIGKILL);
    assert_true(r->child.wall_ms >= 1900);
}

static void output_after_the_kill_still_arrives(void **state)
{
    struct run *r = *state;
    r->kill_at = "ready\n";
    run_shell(r, "trap 'echo last words; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    assert_non_null(strstr(r->output.data, "last words\n"));
    assert_int_equal(r->child.status, 7);
    assert_true(r->child.killed);
}

static void killing_twice_or_after_the_end_is_harmless(void **state)
{
    struct run *r = *state;
    r->kill_at = "y\n"; /* from then on with every piece of output */
    run_shell(r, "trap 'echo y; exit 0' TERM; echo y; while :; do sleep 0.05; done");
    child_kill(&r->child);
    assert_int_equal(r->child.status, 0);
    assert_int_equal(r->ended, 1);
}

static void a_second_command_may_follow_in_the_same_struct(void **state)
{
    struct run *r = *state;
    run_shell(r, "exit 3");
    r->ended = 0;
    run_shell(r, "echo again");
    assert_string_equal(r->output.data, "again\n");
    assert_int_equal(r->child.status, 0);
}

/* -- the tree ------------------------------------------------------------------------------------ */

static void what_the_command_left_in_the_background_is_killed(void **state)
{
    struct run *r = *state;
    run_shell(r, "sleep 1000 & sleep 1000 & echo done");
    assert_string_equal(r->output.data, "done\n");
    assert_int_equal(r->child.status, 0);
    assert_false(r->child.killed);
}

static void a_daemon_that_ignores_sigterm_dies_with_the_command(void **state)
{
    struct run *r = *state;
    run_shell(r, "trap 'exit 0' USR1; "
                 "(setsid sh -c 'trap \"\" TERM HUP; echo daemon; kill -USR1 '$$'; while :; do sleep 0.1; done' &); "
                 "while :; do sleep 0.05; done");
    assert_string_equal(r->output.data, "daemon\n");
    assert_int_equal(r->child.status, 0);
}

static void the_time_limit_reaches_daemons_too(void **state)
{
    struct run *r = *state;
    r->child.timeout_ms = 1000;
    run_shell(r, "trap '' TERM; (setsid sh -c '(setsid sleep 1000 &); sleep 1000' &); while :; do sleep 0.1; done");
    assert_true(r->child.timed_out);
    assert_int_equal(r->child.signal, SIGKILL);
}

static void a_tree_that_keeps_forking_dies(void **state)
{
    struct run *r = *state;
    run_shell(r, "sh -c 'f() { sleep 0.01; f & }; trap \"\" TERM; f & f & f & f & wait' & sleep 0.3; exit 0");
    assert_int_equal(r->child.status, 0);
}

static void orphans_are_reaped_while_the_command_runs(void **state)
{
    struct run *r = *state;
    r->child.timeout_ms = 20000;
    run_shell(r, "for i in 1 2 3 4 5 6 7 8; do (sleep 0.01 &); done; "
                 "until test $(cat /proc/[0-9]*/stat 2>/dev/null | grep -c \") [A-Z] $PPID \") = 1; do sleep 0.05; done; "
                 "echo alone");
    assert_false(r->child.timed_out);
    assert_string_equal(r->output.data, "alone\n");
}

static void older_children_of_ours_are_left_alone(void **state)
{
    struct run *r = *state;
    pid_t other = fork();
    if (other == 0) {
        pause();
        _exit(0);
    }
    usleep(30000); /* the age of processes is known to a hundredth of a second */
    uv_loop_t loop;
    uv_loop_init(&loop);
    const char *const argv[] = {"/bin/sh", "-c", "sleep 1000 & exit 0", NULL};
    r->child.argv = argv;
    child_run(&loop, &r->child);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);

    assert_int_equal(r->ended, 1);
    assert_int_equal(kill(other, 0), 0);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
}

static void killing_the_keeper_ends_the_tree(void **state)
{
    struct run *r = *state;
    run_shell(r, "(setsid sh -c 'trap \"\" TERM; sleep 1000' &); sleep 0.1; echo now; kill -KILL $PPID; sleep 1000");
    assert_string_equal(r->output.data, "now\n");
    assert_int_equal(r->child.signal, SIGKILL);
    assert_int_equal(r->child.status, -1);
}

/* -- several at once ----------------------------------------------------------------------------- */

#define TWO 2

/* Starts two commands on one loop; the caller runs it. */
static void start_two(struct run *runs, uv_loop_t *loop, const char *first, const char *second)
{
    static const char *argv[TWO][4];
    const char *const scripts[TWO] = {first, second};
    uv_loop_init(loop);
    for (unsigned i = 0; i < TWO; i++) {
        memcpy(argv[i], (const char *[]){"/bin/sh", "-c", scripts[i], NULL}, sizeof argv[i]);
        runs[i].child = (struct child){.argv = argv[i], .env = environment, .cwd = "/", .output = on_output, .ended = on_ended};
        buf_init(&runs[i].output, OUTPUT_MAX);
        child_run(loop, &runs[i].child);
    }
}

static void end_two(struct run *runs, uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
    for (unsigned i = 0; i < TWO; i++) {
        assert_int_equal(runs[i].ended, 1);
        buf_release(&runs[i].output);
    }
}

static void the_end_of_one_leaves_the_daemons_of_another_alone(void **state)
{
    struct run runs[TWO] = {0};
    uv_loop_t loop;
    char gate[] = "/tmp/piwheels-child-XXXXXX";
    close(mkstemp(gate)); /* it opens when the file is gone */
    char *second = mem_format("trap 'exit 4' USR1; (setsid sh -c 'while test -e %s; do sleep 0.05; done; echo alive; "
                              "kill -USR1 '$$ &); while :; do sleep 0.05; done", gate);
    start_two(runs, &loop, "(setsid sleep 1000 &); sleep 0.1; exit 3", second);
    while (runs[0].ended == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(runs[1].ended, 0);
    unlink(gate);
    while (runs[1].ended == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_string_equal(runs[1].output.data, "alive\n");
    assert_int_equal(runs[0].child.status, 3);
    assert_int_equal(runs[1].child.status, 4);
    end_two(runs, &loop);
    free(second);
}

static void one_is_killed_while_another_goes_on(void **state)
{
    struct run runs[TWO] = {0};
    uv_loop_t loop;
    start_two(runs, &loop, "trap '' TERM; echo ready; while :; do sleep 0.1; done", "sleep 3; exit 5");
    runs[0].kill_at = "ready\n";
    end_two(runs, &loop);
    assert_int_equal(runs[0].child.signal, SIGKILL);
    assert_true(runs[0].child.killed);
    assert_int_equal(runs[1].child.status, 5);
    assert_false(runs[1].child.killed);
}

static void both_may_leave_what_nobody_waits_for(void **state)
{
    struct run runs[TWO] = {0};
    struct proc *tree;
    uv_loop_t loop;
    start_two(runs, &loop, "(setsid sleep 1000 &); (setsid sleep 1000 &); exit 6", "(setsid sleep 1000 &); exit 7");
    end_two(runs, &loop);
    assert_int_equal(runs[0].child.status, 6);
    assert_int_equal(runs[1].child.status, 7);
    assert_int_equal(proc_tree(&(struct proc_root){.parent = getpid()}, &tree), 0);
    free(tree);
}

static void each_is_measured_for_itself(void **state)
{
    struct run runs[TWO] = {0};
    struct child_usage used[TWO];
    uv_loop_t loop;
    start_two(runs, &loop, "sleep 1000 & sleep 1000 & sleep 1000 & echo ready; wait", "(setsid sleep 1000 &); echo ready; sleep 1000");
    while (runs[0].output.len == 0 || runs[1].output.len == 0)
        uv_run(&loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < TWO; i++)
        child_measure(&runs[i].child, INT64_MAX, &used[i]);
    assert_int_equal(used[0].processes, 4);
    assert_in_range(used[1].processes, 2, 4); /* its shells may not have become sleeps yet */
    for (size_t i = 0; i < used[0].pid_count; i++)
        for (size_t j = 0; j < used[1].pid_count; j++)
            assert_int_not_equal(used[0].pids[i], used[1].pids[j]);
    for (unsigned i = 0; i < TWO; i++) {
        child_usage_release(&used[i]);
        child_kill(&runs[i].child);
    }
    end_two(runs, &loop);
}

/* -- figures ------------------------------------------------------------------------------------- */

static void processor_time_of_the_whole_tree_is_counted(void **state)
{
    struct run *r = *state;
    run_shell(r, "(i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done) & wait");
    assert_in_range(r->child.cpu_ms, 20, 20000);
}

static void the_peak_is_of_this_command_only(void **state)
{
    struct run *r = *state;
    run_shell(r, "head -c 160000000 /dev/zero | tail -c 150000000 >/dev/null");
    int64_t large = r->child.peak_bytes;
    r->ended = 0;
    run_shell(r, "true"); /* what its keeper, a fork of ours, holds is counted, too */
    assert_in_range(large, 140000000, 500000000);
    assert_in_range(r->child.peak_bytes, 1, large / 2);
}

/* -- child_read ---------------------------------------------------------------------------------- */

static int read_shell(const char *script, char *out, size_t size)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    return child_read(argv, out, size);
}

static void a_short_command_gives_its_output_and_status(void **state)
{
    char out[32];
    assert_int_equal(read_shell("echo hello; exit 5", out, sizeof out), 5);
    assert_string_equal(out, "hello\n");
    assert_int_equal(read_shell("true", out, sizeof out), 0);
    assert_string_equal(out, "");
}

static void output_beyond_the_room_is_cut(void **state)
{
    char out[6];
    assert_int_equal(read_shell("head -c 500000 /dev/zero | tr '\\0' x", out, sizeof out), 0);
    assert_string_equal(out, "xxxxx");
}

static void a_short_command_reads_nothing(void **state)
{
    char out[32];
    assert_int_equal(read_shell("cat; echo end", out, sizeof out), 0);
    assert_string_equal(out, "end\n");
}

static void a_short_command_that_cannot_start_is_an_error(void **state)
{
    char out[32] = "old";
    const char *const argv[] = {"/nowhere/command", NULL};
    assert_int_equal(child_read(argv, out, sizeof out), -ENOENT);
    assert_string_equal(out, "");
}

static void a_short_command_that_is_killed_has_the_shells_status(void **state)
{
    char out[32];
    assert_int_equal(read_shell("kill -TERM $$", out, sizeof out), 128 + SIGTERM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_streams_arrive_in_the_order_of_writing),
        TEST(all_of_a_large_output_arrives),
        TEST(stdin_is_at_its_end),
        TEST(environment_and_directory_are_what_was_asked_for),
        TEST(no_descriptor_of_ours_leaks),
        TEST(the_command_has_a_session_of_its_own),
        TEST(an_ignored_signal_of_ours_is_not_ignored_by_the_command),
        TEST(output_may_end_before_the_command),
        TEST(a_command_that_does_not_exist_is_an_error),
        TEST(a_directory_that_does_not_exist_is_an_error),
        TEST(a_file_that_is_no_program_is_an_error),
        TEST(the_signal_that_ended_it_is_told),
        TEST(the_time_limit_ends_it),
        TEST(a_command_that_is_in_time_is_not_timed_out),
        TEST(what_ignores_sigterm_is_killed_two_seconds_later),
        TEST(output_after_the_kill_still_arrives),
        TEST(killing_twice_or_after_the_end_is_harmless),
        TEST(a_second_command_may_follow_in_the_same_struct),
        TEST(what_the_command_left_in_the_background_is_killed),
        TEST(a_daemon_that_ignores_sigterm_dies_with_the_command),
        TEST(the_time_limit_reaches_daemons_too),
        TEST(a_tree_that_keeps_forking_dies),
        TEST(orphans_are_reaped_while_the_command_runs),
        TEST(older_children_of_ours_are_left_alone),
        TEST(killing_the_keeper_ends_the_tree),
        cmocka_unit_test(the_end_of_one_leaves_the_daemons_of_another_alone),
        cmocka_unit_test(one_is_killed_while_another_goes_on),
        cmocka_unit_test(both_may_leave_what_nobody_waits_for),
        cmocka_unit_test(each_is_measured_for_itself),
        TEST(processor_time_of_the_whole_tree_is_counted),
        TEST(the_peak_is_of_this_command_only),
        cmocka_unit_test(a_short_command_gives_its_output_and_status),
        cmocka_unit_test(output_beyond_the_room_is_cut),
        cmocka_unit_test(a_short_command_reads_nothing),
        cmocka_unit_test(a_short_command_that_cannot_start_is_an_error),
        cmocka_unit_test(a_short_command_that_is_killed_has_the_shells_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
