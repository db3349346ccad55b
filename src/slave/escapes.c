/*
 * The attempts themselves, as our program makes them when it is called with SLAVE_ESCAPE_COMMAND. proof.c calls
 * it twice, and compares.
 *
 * Each attempt runs in a process of its own, harms nothing, and sends nothing anywhere.
 */
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
#include "slave.h"

/* ---- files ---- */

static bool read_secret(const struct bait *b)
{
    char text[sizeof BAIT_WORDS] = "";
    int fd = open(b->secret, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strcmp(text, BAIT_WORDS) == 0;
}

static bool make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 && close(fd) == 0;
}

static bool write_beside(const struct bait *b)
{
    return make_file(b->beside);
}

static bool leave_in_tmp(const struct bait *b)
{
    char path[128];
    snprintf(path, sizeof path, "/tmp/%s", b->name);
    bool made = make_file(path);
    snprintf(path, sizeof path, "/var/tmp/%s", b->name);
    return make_file(path) || made;
}

/* Files that lie in memory belong to no process and to no directory that is watched. */
static bool write_to_memory(const struct bait *b)
{
    static const char *const places[] = {"/", "/dev", "/dev/shm", "/run", "/etc/piwheels", "/tmp", "/var/tmp"};
    struct stat own, st;
    struct statfs fs;

    if (stat(b->here, &own) != 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(places); i++)
        if (stat(places[i], &st) == 0 && st.st_dev != own.st_dev && statfs(places[i], &fs) == 0 &&
            fs.f_type == TMPFS_MAGIC && access(places[i], W_OK) == 0)
            return true;
    return false;
}

static bool make_setuid(const struct bait *b)
{
    struct stat st;
    char path[4096];
    snprintf(path, sizeof path, "%s/setuid", b->here);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    bool made = fd >= 0 && fchmod(fd, 04700) == 0 && fstat(fd, &st) == 0 && (st.st_mode & S_ISUID) != 0;
    unlink(path);
    return made;
}

/* ---- processes ---- */

static bool see_process(const struct bait *b)
{
    char path[64], text[1024];
    unsigned long long born = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)b->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (len <= 0)
        return false;
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    for (int i = 0; at != NULL && i < 20; i++) /* field 22 of proc(5) */
        at = strchr(at + 1, ' ');
    return at != NULL && sscanf(at, "%llu", &born) == 1 && born == b->born;
}

static bool signal_process(const struct bait *b)
{
    return kill(b->pid, SIGUSR1) == 0;
}

static bool trace_child(const struct bait *b)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    bool traced = child > 0 && ptrace(PTRACE_SEIZE, child, 0, 0) == 0;
    kill(child, SIGKILL);
    return traced;
}

/* A daemon as daemons are made: of a child's child, in a session of its own. It holds a lock as long as it lives. */
static void live_on(const struct bait *b, int ready)
{
    char path[4096];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    setsid();
    if (fork() != 0)
        _exit(0);
    snprintf(path, sizeof path, "%s/" ESCAPE_LOCK, b->here);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fcntl(fd, F_SETLK, &whole) != 0 || write(ready, "", 1) != 1)
        _exit(1);
    for (int i = 0; i <= STDERR_FILENO; i++)
        close(i);
    for (;;)
        pause();
}

static bool outlive(const struct bait *b)
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        return false;
    pid_t child = fork();
    if (child == 0)
        live_on(b, ready[1]);
    close(ready[1]);
    return child > 0 && read(ready[0], &byte, 1) == 1;
}

static bool share_memory(const struct bait *b)
{
    return shmget(b->memory, 0, 0) >= 0;
}

static bool may_gain_privileges(const struct bait *b)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

/* ---- the network ---- */

static bool reach_loopback(const struct bait *b)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}

/* A datagram socket that is connected has only asked for the way: nothing is sent. */
static bool reach_others(const struct bait *b)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9),
                             .sin_addr.s_addr = htonl(0xc0000201)}; /* 192.0.2.1, of RFC 5737 */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static bool reach_abstract(const struct bait *b)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(b->name);
    memcpy(to.sun_path + 1, b->name, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 &&
           connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) == 0;
}

static bool use_rare_family(const struct bait *b)
{
    for (int family = AF_AX25; family < AF_MAX; family++)
        if (family != AF_INET6 && family != AF_NETLINK && socket(family, SOCK_STREAM, 0) >= 0)
            return true;
    return socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0;
}

/* ---- the kernel ---- */

static bool make_namespace(const struct bait *b)
{
    return unshare(CLONE_NEWUSER) == 0;
}

static bool use_keys(const struct bait *b)
{
    return syscall(SYS_add_key, "user", "piwheels", "x", 1, -2 /* KEY_SPEC_PROCESS_KEYRING */) >= 0;
}

static bool use_io_uring(const struct bait *b)
{
    char parameters[256] = ""; /* struct io_uring_params is 120 bytes */
    return syscall(SYS_io_uring_setup, 1, parameters) >= 0;
}

static bool use_userfaultfd(const struct bait *b)
{
    return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */) >= 0;
}

static bool use_perf(const struct bait *b)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1, .exclude_hv = 1};
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0) >= 0;
}

static bool hide_memory(const struct bait *b)
{
    return memfd_create("piwheels", MFD_CLOEXEC) >= 0;
}

/* ---- the table ---- */

const struct escape escapes[] = {
    {"read the slave's files", SANDBOX_BASIC, false, false, read_secret},
    {"write in the slave's directory", SANDBOX_BASIC, false, true, write_beside},
    {"leave files in /tmp", SANDBOX_BASIC, false, true, leave_in_tmp},
    {"write where it is not counted", SANDBOX_BASIC, false, false, write_to_memory},
    {"see other processes", SANDBOX_BASIC, false, false, see_process},
    {"signal other processes", SANDBOX_BASIC, false, true, signal_process},
    {"outlive its build", SANDBOX_BASIC, false, true, outlive},
    {"share memory with others", SANDBOX_BASIC, false, false, share_memory},
    {"gain privileges by exec", SANDBOX_BASIC, false, false, may_gain_privileges},
    {"reach this machine's services", SANDBOX_STRICT, true, false, reach_loopback},
    {"reach other machines", SANDBOX_STRICT, true, false, reach_others},
    {"reach abstract sockets", SANDBOX_STRICT, true, false, reach_abstract},
    {"trace processes", SANDBOX_STRICT, false, false, trace_child},
    {"make setuid files", SANDBOX_STRICT, false, false, make_setuid},
    {"make namespaces", SANDBOX_STRICT, false, false, make_namespace},
    {"use rare socket families", SANDBOX_STRICT, false, false, use_rare_family},
    {"hold memory of no process", SANDBOX_STRICT, false, false, hide_memory},
    {"use the kernel's keyring", SANDBOX_STRICT, false, false, use_keys},
    {"use io_uring", SANDBOX_STRICT, false, false, use_io_uring},
    {"use userfaultfd", SANDBOX_STRICT, false, false, use_userfaultfd},
    {"use perf events", SANDBOX_STRICT, false, false, use_perf},
};

const size_t escape_count = COUNT_OF(escapes);

/* ---- the program ---- */

void escapes_add_words(struct words *w, const char *program, const struct bait *b)
{
    words_add(w, program);
    words_add(w, SLAVE_ESCAPE_COMMAND);
    words_add(w, b->here);
    words_add(w, b->secret);
    words_add(w, b->beside);
    words_add(w, b->name);
    words_addf(w, "%d", (int)b->pid);
    words_addf(w, "%llu", b->born);
    words_addf(w, "%d", b->port);
    words_addf(w, "%d", b->memory);
}

static bool attempt(const struct escape *e, const struct bait *b)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(e->attempt(b) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int slave_escape(int argc, char *argv[])
{
    if (argc != 8) {
        fputs("piwheels escape: is for the slave only, which tries its sandbox with it\n", stderr);
        return EXIT_FAILURE;
    }
    const struct bait b = {.here = argv[0], .secret = argv[1], .beside = argv[2], .name = argv[3],
                           .pid = (pid_t)strtol(argv[4], NULL, 10), .born = strtoull(argv[5], NULL, 10),
                           .port = (int)strtol(argv[6], NULL, 10), .memory = (int)strtol(argv[7], NULL, 10)};
    for (size_t i = 0; i < escape_count; i++)
        puts(attempt(&escapes[i], &b) ? "yes" : "no");
    fflush(stdout);
    _exit(EXIT_SUCCESS); /* what a leak detector would do here is among what a sandbox stops */
}
