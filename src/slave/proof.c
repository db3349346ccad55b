/*
 * Lays out the bait, calls our own program outside and inside (escapes.c), and compares. slave.c does this
 * before the loop runs, so all of it may block.
 */
#include "proof.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "escapes.h"
#include "io/child.h"
#include "io/fs.h"

#define WAIT_MS 2000   /* for what dies with its sandbox */
#define POLL_MS 5

static const char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};

/* What is laid out, and its pieces to be taken away. */
struct trap {
    struct bait bait;
    char *dir, *secret, *beside, name[64];
    int listener, abstract, segment;
};

/* ---- laying it out ---- */

/* A process that lives until it is signalled, and no longer than we do. */
static pid_t start_process(unsigned long long *born)
{
    char path[64], text[1024];
    pid_t pid = fork();

    if (pid == 0) {
        struct sigaction once = {.sa_handler = SIG_DFL};
        sigaction(SIGUSR1, &once, NULL);
        alarm(60);
        for (;;)
            pause();
    }
    *born = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[len < 0 ? 0 : len] = '\0';
    const char *at = strrchr(text, ')');
    for (int i = 0; at != NULL && i < 20; i++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        *born = strtoull(at, NULL, 10);
    return pid;
}

static int listen_on_loopback(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 4) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        *port = ntohs(address.sin_port);
    return fd;
}

static int listen_on_abstract(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(address.sun_path + 1, name, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) == 0)
        listen(fd, 4);
    return fd;
}

static int write_secret(const char *path)
{
    const ssize_t len = (ssize_t)strlen(BAIT_WORDS);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = write(fd, BAIT_WORDS, (size_t)len) == len ? 0 : -EIO;
    close(fd);
    return error;
}

static int make_files(const struct trap *t)
{
    static const char *const parts[] = {"", "/home", "/tmp", "/shm"};
    int error = fs_remove_tree(t->dir);
    for (size_t i = 0; i < COUNT_OF(parts) && error == 0; i++) {
        char *path = mem_format("%s%s", t->dir, parts[i]);
        error = mkdir(path, 0700) == 0 ? 0 : -errno;
        free(path);
    }
    return error != 0 ? error : write_secret(t->secret);
}

static int lay_out(struct trap *t, const char *dir)
{
    *t = (struct trap){.dir = mem_format("%s/proof", dir), .secret = mem_format("%s/secret", dir),
                       .beside = mem_format("%s/escaped", dir)};
    snprintf(t->name, sizeof t->name, "piwheels-escaped-%u-%ld", (unsigned)getuid(), (long)getpid());
    t->bait = (struct bait){.secret = t->secret, .beside = t->beside, .name = t->name,
                            .memory = (int)(0x50690000u + (unsigned)getpid() % 0xffffu)};
    t->listener = listen_on_loopback(&t->bait.port);
    t->abstract = listen_on_abstract(t->name);
    t->segment = shmget(t->bait.memory, 4096, IPC_CREAT | IPC_EXCL | 0600);
    return make_files(t);
}

static void take_away(struct trap *t)
{
    fs_remove_tree(t->dir);
    unlink(t->secret);
    if (t->listener >= 0)
        close(t->listener);
    if (t->abstract >= 0)
        close(t->abstract);
    if (t->segment >= 0)
        shmctl(t->segment, IPC_RMID, NULL);
    free(t->dir);
    free(t->secret);
    free(t->beside);
}

/* ---- what only we can tell ---- */

static bool was_made(const char *path)
{
    return unlink(path) == 0;
}

static bool was_left(const struct trap *t)
{
    static const char *const places[] = {"/tmp", "/var/tmp"};
    bool left = false;
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char *path = mem_format("%s/%s", places[i], t->name);
        left = was_made(path) || left;
        free(path);
    }
    return left;
}

/* Whether the process fell to the signal, dead already or not: the first deadly one is what its status tells. It ends either way. */
static bool was_signalled(pid_t pid)
{
    int status = 0;
    if (pid <= 0)
        return false;
    kill(pid, SIGKILL);
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1;
}

static pid_t lock_holder(const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool held = fd >= 0 && fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return held ? whole.l_pid : 0;
}

/* Whether the daemon is still there when all of the sandbox should be gone; it ends either way. */
static bool has_outlived(const struct trap *t, bool inside)
{
    const struct timespec pause = {0, POLL_MS * 1000000};
    char *path = mem_format("%s/" ESCAPE_LOCK, t->dir);
    pid_t holder = lock_holder(path);

    for (int waited = 0; inside && holder != 0 && waited < WAIT_MS; waited += POLL_MS) {
        nanosleep(&pause, NULL);
        holder = lock_holder(path);
    }
    if (holder > 1)
        kill(holder, SIGKILL);
    free(path);
    return holder != 0;
}

/* ---- trying ---- */

static int read_answers(char *answers, bool led[])
{
    char *at = answers;
    for (size_t i = 0; i < escape_count; i++) {
        const char *line = strsep(&at, "\n");
        if (line == NULL || (strcmp(line, "yes") != 0 && strcmp(line, "no") != 0))
            return -EPROTO;
        led[i] = strcmp(line, "yes") == 0;
    }
    return 0;
}

/* Runs our program, in the sandbox or as it is: its exit status, or -errno, and in `said` what it printed. */
static int run(const struct trial *t, struct trap *trap, bool inside, char *said, size_t size)
{
    struct words attempt = {0}, command = {0};
    int pass_fd = 0, status = 0;

    escapes_add_words(&attempt, inside ? sandbox_program(t->sandbox) : t->sandbox->program, &trap->bait);
    const struct sandboxed what = {
        .dir = trap->dir, .python = t->python, .argv = words_argv(&attempt),
        .network = t->sandbox->network == NETWORK_ALL ? NETWORK_ALL : NETWORK_NONE};
    if (inside)
        status = sandbox_command(t->sandbox, &what, &command, &pass_fd);
    if (status == 0)
        status = child_read_with(words_argv(inside ? &command : &attempt), environment, pass_fd, said, size);
    if (pass_fd > 0)
        close(pass_fd);
    words_release(&attempt);
    words_release(&command);
    return status;
}

/* Every way out once; `led` tells which led anywhere. */
static int try_all(const struct trial *t, struct trap *trap, bool inside, bool led[], char *said, size_t size)
{
    char *root = sandbox_root(t->sandbox, trap->dir);

    trap->bait.here = inside ? root : trap->dir;
    trap->bait.pid = start_process(&trap->bait.born);
    int status = run(t, trap, inside, said, size);
    const bool effects[] = {was_made(trap->beside), was_left(trap), was_signalled(trap->bait.pid),
                            has_outlived(trap, inside)};
    free(root);
    if (status < 0)
        snprintf(said, size, "%s", strerror(-status));
    if (status != 0 || read_answers(said, led) != 0)
        return -EIO;
    for (size_t i = 0, at = 0; i < escape_count; i++) /* in the order of the table */
        if (escapes[i].effect)
            led[i] = effects[at++];
    return 0;
}

static bool is_claimed(const struct escape *e, const struct sandbox *s)
{
    return e->level <= s->level && !(e->network && s->network == NETWORK_ALL);
}

static enum proof_result judge_row(bool claimed, bool outside, bool inside)
{
    if (!claimed)
        return PROOF_UNCLAIMED;
    if (inside)
        return PROOF_OPEN;
    return outside ? PROOF_STOPPED : PROOF_UNPROVEN;
}

static void say_no_sandbox(const char *said, char *why, size_t why_size)
{
    snprintf(why, why_size,
             "the sandbox cannot be made on this machine (%.*s). Bubblewrap needs user namespaces: see SANDBOX in "
             "piwheels-slave(1) for how systems let an unprivileged user have them. Without them builds run only "
             "with --sandbox none, which lets every package do what the slave's user can",
             (int)strcspn(said, "\n"), said);
}

static int compare(const struct trial *t, struct trap *trap, struct proof *p, char *why, size_t why_size)
{
    bool outside[PROOF_MAX_ROWS] = {false}, inside[PROOF_MAX_ROWS] = {false};
    char said[4096];

    if (try_all(t, trap, false, outside, said, sizeof said) != 0) {
        snprintf(why, why_size, "the sandbox cannot be tried: %.*s", (int)strcspn(said, "\n"), said);
        return -EIO;
    }
    if (try_all(t, trap, true, inside, said, sizeof said) != 0) {
        say_no_sandbox(said, why, why_size);
        return -ENOSYS;
    }
    p->count = escape_count;
    for (size_t i = 0; i < escape_count; i++)
        p->rows[i] = (struct proof_row){
            escapes[i].name, judge_row(is_claimed(&escapes[i], t->sandbox), outside[i], inside[i]), outside[i],
            inside[i]};
    return 0;
}

int proof_make(const struct trial *t, struct proof *p, char *why, size_t why_size)
{
    struct trap trap;

    *p = (struct proof){0};
    if (t->sandbox->level == SANDBOX_NONE)
        return 0;
    assert(escape_count <= PROOF_MAX_ROWS);
    int error = lay_out(&trap, t->dir);
    if (error != 0)
        snprintf(why, why_size, "cannot write in %s: %s", t->dir, strerror(-error));
    else
        error = compare(t, &trap, p, why, why_size);
    take_away(&trap);
    return error;
}

/* ---- the result ---- */

const char *proof_result_name(enum proof_result result)
{
    static const char *const names[] = {"stopped", "unproven", "not claimed", "open"};
    return names[result];
}

size_t proof_number(const struct proof *p, enum proof_result result)
{
    size_t number = 0;
    for (size_t i = 0; i < p->count; i++)
        number += p->rows[i].result == result;
    return number;
}

int proof_judge(const struct proof *p, char *why, size_t why_size)
{
    size_t len = 0;

    for (size_t i = 0; i < p->count; i++)
        if (p->rows[i].result == PROOF_OPEN && len < why_size)
            len += (size_t)snprintf(why + len, why_size - len, "%s%s",
                                    len == 0 ? "the sandbox is not tight: a build could " : ", ", p->rows[i].name);
    if (len > 0 && len < why_size)
        snprintf(why + len, why_size - len, " (piwheels slave --check-sandbox shows all rows)");
    return len > 0 ? -EPERM : 0;
}

void proof_print(const struct proof *p, const struct sandbox *s, FILE *to)
{
    fprintf(to, "sandbox %s, network %s\n", sandbox_level_name(s->level), network_name(s->network));
    if (p->count > 0)
        fprintf(to, "%-32s %-8s %-8s %s\n", "a build could", "outside", "inside", "");
    for (size_t i = 0; i < p->count; i++)
        fprintf(to, "%-32s %-8s %-8s %s\n", p->rows[i].name, p->rows[i].outside ? "yes" : "no",
                p->rows[i].inside ? "yes" : "no", proof_result_name(p->rows[i].result));
}
