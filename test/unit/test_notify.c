/* Rules of core/notify.h, heard on a socket as systemd's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/notify.h"

struct systemd {
    char folder[40];
    struct sockaddr_un address;
    int fd;
    char heard[256];
};

static int setup(void **state)
{
    struct systemd *s = calloc(1, sizeof *s);

    strcpy(s->folder, "/tmp/piwheels-notify-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    s->address.sun_family = AF_UNIX;
    snprintf(s->address.sun_path, sizeof s->address.sun_path, "%s/socket", s->folder);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&s->address, sizeof s->address), 0);
    setenv("NOTIFY_SOCKET", s->address.sun_path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct systemd *s = *state;

    unsetenv("NOTIFY_SOCKET");
    close(s->fd);
    unlink(s->address.sun_path);
    rmdir(s->folder);
    free(s);
    return 0;
}

/* The next thing said, or "". */
static const char *hear(struct systemd *s)
{
    ssize_t len = recv(s->fd, s->heard, sizeof s->heard - 1, 0);
    s->heard[len > 0 ? len : 0] = '\0';
    return s->heard;
}

static void systemd_hears_ready_status_and_stopping(void **state)
{
    notify_ready("listening");
    assert_string_equal(hear(*state), "READY=1\nSTATUS=listening");
    notify_status("7 slaves");
    assert_string_equal(hear(*state), "STATUS=7 slaves");
    notify_stopping("asked to");
    assert_string_equal(hear(*state), "STOPPING=1\nSTATUS=asked to");
}

static void without_systemd_nothing_happens(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    notify_ready("listening");
    assert_string_equal(hear(*state), "");
}

static void a_socket_may_have_no_place_in_the_file_system(void **state)
{
    struct systemd *s = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[sizeof address.sun_path];
    int name_len = snprintf(name, sizeof name, "@%s/abstract", s->folder);

    memcpy(address.sun_path + 1, name + 1, (size_t)name_len - 1);
    close(s->fd);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)name_len);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_status("7 slaves");
    assert_string_equal(hear(s), "STATUS=7 slaves");
}

static void a_socket_of_a_kind_that_is_not_known_is_not_spoken_to(void **state)
{
    char path[300];

    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    notify_ready("listening");
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    setenv("NOTIFY_SOCKET", path, 1); /* longer than an address holds */
    notify_ready("listening");
    assert_string_equal(hear(*state), "");
}

static void on_idle(uv_idle_t *idle)
{
}

static void the_watchdog_is_fed_at_half_its_time(void **state)
{
    uv_loop_t loop;
    uv_idle_t idle; /* the watchdog alone keeps no loop running */
    unsigned fed = 0;

    setenv("WATCHDOG_USEC", "20000", 1);
    uv_loop_init(&loop);
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, on_idle);
    notify_watchdog_start(&loop);
    uint64_t begin = uv_hrtime();
    while (fed < 3) {
        uv_run(&loop, UV_RUN_NOWAIT);
        fed += strcmp(hear(*state), "WATCHDOG=1") == 0;
    }
    assert_true(uv_hrtime() - begin >= 19 * 1000000);
    uv_close((uv_handle_t *)&idle, NULL);
    notify_watchdog_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_watchdog_nobody_asked_for_is_not_fed(void **state)
{
    uv_loop_t loop;

    uv_loop_init(&loop);
    notify_watchdog_start(&loop);
    uv_run(&loop, UV_RUN_DEFAULT);
    notify_watchdog_stop();
    assert_string_equal(hear(*state), "");
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_watchdog_of_another_process_is_not_fed(void **state)
{
    uv_loop_t loop;

    setenv("WATCHDOG_USEC", "20000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    uv_loop_init(&loop);
    notify_watchdog_start(&loop);
    uv_run(&loop, UV_RUN_DEFAULT);
    notify_watchdog_stop();
    assert_string_equal(hear(*state), "");
    assert_int_equal(uv_loop_close(&loop), 0);
}

#define NOTIFY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NOTIFY_TEST(systemd_hears_ready_status_and_stopping),
        NOTIFY_TEST(without_systemd_nothing_happens),
        NOTIFY_TEST(a_socket_may_have_no_place_in_the_file_system),
        NOTIFY_TEST(a_socket_of_a_kind_that_is_not_known_is_not_spoken_to),
        NOTIFY_TEST(the_watchdog_is_fed_at_half_its_time),
        NOTIFY_TEST(a_watchdog_nobody_asked_for_is_not_fed),
        NOTIFY_TEST(the_watchdog_of_another_process_is_not_fed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
