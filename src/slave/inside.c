/*
 * What our own program does inside a sandbox, before the command of the build takes its place. sandbox.c puts
 * it there; src/cmd hands its words on. Without a sandbox it sets the limits all the same.
 *
 * The forwarder is a child that stays: it listens where http_proxy says and passes each connection on to the
 * Unix socket, behind which the slave's proxy decides.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "core/memory.h"
#include "core/text.h"
#include "relay.h"
#include "sandbox.h"

#define MAX_WAITING 64   /* connections that nobody has accepted yet */

/* In the order of the words. */
static const struct {
    int resource;
    const char *name;
} resources[] = {
    {RLIMIT_DATA, "memory"},
    {RLIMIT_FSIZE, "file size"},
    {RLIMIT_CPU, "processor time"},
    {RLIMIT_NOFILE, "open files"},
    {RLIMIT_NPROC, "processes"},
};

void inside_add_limits(struct words *w, const struct limits *l, bool apart)
{
    if (l == NULL) {
        for (size_t i = 0; i < COUNT_OF(resources); i++)
            words_add(w, "-");
        return;
    }
    words_addf(w, "%llu", (unsigned long long)l->memory_bytes);
    words_addf(w, "%llu", (unsigned long long)l->disk_bytes);
    words_addf(w, "%llu", (unsigned long long)l->cpu_ms / 1000 + 1);
    words_addf(w, "%llu", (unsigned long long)l->open_files);
    if (apart)
        words_addf(w, "%llu", (unsigned long long)l->processes);
    else
        words_add(w, "-");
}

/* ---- the forwarder ---- */

struct passage {
    struct relay relay;
    uv_connect_t connect;
    const char *socket;
};

static void on_passage_closed(struct relay *r)
{
    free(container_of(r, struct passage, relay));
}

static void on_connected(uv_connect_t *request, int status)
{
    struct passage *p = container_of(request, struct passage, connect);
    if (status != 0)
        relay_close(&p->relay);
    else
        relay_start(&p->relay);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct passage *p = mem_new(1, sizeof *p);

    relay_init(server->loop, &p->relay, false, true);
    p->relay.closed = on_passage_closed;
    if (status != 0 || uv_accept(server, &p->relay.ends[0].is.stream) != 0)
        relay_close(&p->relay);
    else
        uv_pipe_connect(&p->connect, &p->relay.ends[1].is.pipe, server->data, on_connected);
}

static void silence(void)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
        dup2(null, fd);
}

/* In a process of its own, which dies with the sandbox. */
static void forward(char *socket, int ready)
{
    uv_loop_t loop;
    uv_tcp_t server;
    struct sockaddr_in address;

    uv_loop_init(&loop);
    uv_tcp_init(&loop, &server);
    uv_ip4_addr("127.0.0.1", SANDBOX_PROXY_PORT, &address);
    server.data = socket;
    if (uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, MAX_WAITING, on_connection) != 0)
        _exit(INSIDE_FAILED);
    silence();
    if (write(ready, "", 1) == 1) {
        close(ready);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    _exit(0);
}

/* Returns once it listens. 0 or -errno. */
static int start_forwarder(char *socket)
{
    int ready[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        close(ready[0]);
        forward(socket, ready[1]);
    }
    close(ready[1]);
    ssize_t got = read(ready[0], &byte, 1);
    close(ready[0]);
    return got == 1 ? 0 : -EADDRNOTAVAIL;
}

/* ---- limits ---- */

static bool set_limit(size_t which, const char *text)
{
    unsigned long long most;
    struct rlimit limit;

    if (strcmp(text, "-") == 0)
        return true;
    if (text_to_u64(text, &most) != 0 || getrlimit(resources[which].resource, &limit) != 0)
        return false;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most)
        limit.rlim_max = most;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resources[which].resource, &limit) == 0;
}

/* When memory runs out on the whole machine, builds are to go first. */
static void offer_to_die(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) < 0)
        fputs("piwheels: the kernel may choose others than this build when memory runs out\n", stderr);
    close(fd);
}

static bool set_limits(char *const words[])
{
    const struct rlimit none = {0, 0};

    offer_to_die();
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < COUNT_OF(resources); i++)
        if (!set_limit(i, words[i])) {
            fprintf(stderr, "piwheels inside: cannot limit %s to %s: %s\n", resources[i].name, words[i],
                    strerror(errno));
            return false;
        }
    return true;
}

/* ---- the entry ---- */

int slave_inside(int argc, char *argv[])
{
    const int before_command = 1 + (int)COUNT_OF(resources);

    if (argc <= before_command) {
        fputs("piwheels inside: is for the slave only, which runs it in the sandbox of a build\n", stderr);
        return INSIDE_FAILED;
    }
    int error = strcmp(argv[0], "-") == 0 ? 0 : start_forwarder(argv[0]);
    if (error != 0) {
        fprintf(stderr, "piwheels inside: cannot forward to the proxy: %s\n", strerror(-error));
        return INSIDE_FAILED;
    }
    signal(SIGPIPE, SIG_DFL);
    if (!set_limits(argv + 1))
        return INSIDE_FAILED;
    execv(argv[before_command], argv + before_command);
    fprintf(stderr, "piwheels inside: cannot run %s: %s\n", argv[before_command], strerror(errno));
    return INSIDE_FAILED;
}
