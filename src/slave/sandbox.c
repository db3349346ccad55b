/*
 * How bubblewrap is called. slave.c opens the sandbox once; cell.c asks for a command for each build, proof.c
 * for those that try to escape.
 *
 * What is there inside is said one by one, so that whatever else the machine has (homes, /run with its sockets,
 * /var, keys) is not: the system's programs and /etc, read-only; the directory of the build, as /build and in
 * parts as /tmp, /var/tmp and /dev/shm. Nothing else can be written, not even in memory: what bubblewrap makes
 * as tmpfs is made read-only at the end. Processes run below a first process of their own, and all die with it;
 * it dies with bwrap, which dies with the slave.
 */
#include "sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "inside.h"
#include "io/child.h"

#define ROOT "/build"
#define PROGRAM "/run/piwheels/piwheels"
#define PROXY "/run/piwheels/" SANDBOX_PROXY_SOCKET

static const char *const level_names[] = {"none", "basic", "strict"};
static const char *const network_names[] = {"none", "index", "all"};

/* ---- names ---- */

const char *sandbox_level_name(enum sandbox_level level)
{
    return level_names[level];
}

const char *network_name(enum network network)
{
    return network_names[network];
}

static int find_name(const char *const names[], size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -EINVAL;
}

int sandbox_level_read(const char *text, enum sandbox_level *level)
{
    int found = find_name(level_names, COUNT_OF(level_names), text);
    if (found >= 0)
        *level = (enum sandbox_level)found;
    return found < 0 ? found : 0;
}

int network_read(const char *text, enum network *network)
{
    int found = find_name(network_names, COUNT_OF(network_names), text);
    if (found >= 0)
        *network = (enum network)found;
    return found < 0 ? found : 0;
}

/* ---- what depends on the level ---- */

bool sandbox_cuts_network(const struct sandbox *s, enum network network)
{
    return s->level == SANDBOX_STRICT && network != NETWORK_ALL;
}

bool sandbox_needs_proxy(const struct sandbox *s, enum network network)
{
    return s->level == SANDBOX_STRICT && network == NETWORK_INDEX;
}

char *sandbox_root(const struct sandbox *s, const char *dir)
{
    return mem_text(s->level == SANDBOX_NONE ? dir : ROOT);
}

char *sandbox_tmp(const struct sandbox *s, const char *dir)
{
    return s->level == SANDBOX_NONE ? mem_format("%s/tmp", dir) : mem_text("/tmp");
}

const char *sandbox_program(const struct sandbox *s)
{
    return s->level == SANDBOX_NONE ? s->program : PROGRAM;
}

/* ---- the Python's own directories ---- */

static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0' || strcmp(dir, "/") == 0);
}

static bool is_system(const char *path)
{
    static const char *const dirs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"};
    for (size_t i = 0; i < COUNT_OF(dirs); i++)
        if (is_below(path, dirs[i]))
            return true;
    return false;
}

/* PREFIX of PREFIX/bin/python3 (free it), or NULL when the system's directories have it. */
static char *prefix_of(const char *python)
{
    if (is_system(python))
        return NULL;
    char *prefix = mem_text(python);
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(prefix, '/');
        if (slash != NULL && slash != prefix)
            *slash = '\0';
        else if (slash != NULL)
            slash[1] = '\0';
    }
    return prefix;
}

/* The slave's home, where builds would see it, as what it is (free it); else NULL: most homes lie elsewhere. */
static char *shown_home(void)
{
    static const char *const shown[] = {"/opt/", "/usr/local/", "/etc/"};
    const char *home = getenv("HOME");
    char *real = home == NULL ? NULL : realpath(home, NULL);
    bool is_shown = false;

    for (size_t i = 0; i < COUNT_OF(shown) && real != NULL; i++)
        is_shown = is_shown || text_starts(real, shown[i]);
    if (is_shown)
        return real;
    free(real);
    return NULL;
}

static int check_home(const char *python, char *why, size_t why_size)
{
    char *home = shown_home();
    bool wrong = home != NULL && is_below(python, home);

    if (wrong)
        snprintf(why, why_size, "%s lies in the slave's home %s, which builds do not see; install that Python beside it", python,
                 home);
    free(home);
    return wrong ? -EINVAL : 0;
}

static int check_prefix(const char *python, const char *slave_dir, char *why, size_t why_size)
{
    const char *home = getenv("HOME");
    char *prefix = prefix_of(python);
    bool wrong = prefix != NULL && ((home != NULL && is_below(home, prefix)) || is_below(slave_dir, prefix));

    if (wrong)
        snprintf(why, why_size, "a build with %s would see all of %s, and so the slave's own files; install that "
                 "Python below /opt or /usr/local", python, prefix);
    free(prefix);
    return wrong ? -EINVAL : 0;
}

int sandbox_check_python(const struct sandbox *s, const char *python, const char *slave_dir, char *why,
                         size_t why_size)
{
    char real[PATH_MAX];

    if (s->level == SANDBOX_NONE)
        return 0;
    int error = check_home(python, why, why_size);
    if (error == 0)
        error = check_prefix(python, slave_dir, why, why_size);
    return error == 0 && realpath(python, real) != NULL ? check_prefix(real, slave_dir, why, why_size) : error;
}

static void add_python(struct words *w, const char *python)
{
    char real[PATH_MAX];
    char *prefixes[] = {prefix_of(python), realpath(python, real) == NULL ? NULL : prefix_of(real)};

    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        if (prefixes[i] != NULL) {
            words_add(w, "--ro-bind");
            words_add(w, prefixes[i]);
            words_add(w, prefixes[i]);
        }
        free(prefixes[i]);
    }
}

/* ---- the command ---- */

static void add_three(struct words *w, const char *option, const char *from, const char *to)
{
    words_add(w, option);
    words_add(w, from);
    words_add(w, to);
}

static void add_namespaces(const struct sandbox *s, enum network network, struct words *w)
{
    static const char *const words[] = {
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--hostname", "piwheels-build", NULL};

    words_add_all(w, words);
    if (sandbox_cuts_network(s, network))
        words_add(w, "--unshare-net");
}

/* /bin and its like are links into /usr on most systems, directories on others. */
static void add_system(struct words *w)
{
    static const char *const others[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    char path[16], target[PATH_MAX];
    struct stat st;

    add_three(w, "--ro-bind", "/usr", "/usr");
    add_three(w, "--ro-bind", "/etc", "/etc");
    add_three(w, "--ro-bind-try", "/opt", "/opt");
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        snprintf(path, sizeof path, "/%s", others[i]);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = '\0';
        if (len > 0)
            add_three(w, "--symlink", target, path);
        else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            add_three(w, "--ro-bind", path, path);
    }
    add_three(w, "--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu");
}

/* Puts an empty device, which cannot even be opened there, over a file. */
static void hide_file(struct words *w, const char *path)
{
    char real[PATH_MAX];
    struct stat st;

    if (path != NULL && realpath(path, real) != NULL && stat(real, &st) == 0 && S_ISREG(st.st_mode))
        add_three(w, "--ro-bind", "/dev/null", real);
}

static void hide_directory(struct words *w, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return;
    words_add(w, "--tmpfs");
    words_add(w, path);
    words_add(w, "--remount-ro");
    words_add(w, path);
}

/* Our own settings, keys and home, last of all: they may lie beside the Python too. */
static void hide_ours(const struct sandbox *s, struct words *w)
{
    static const char *const files[] = {"/etc/piwheels.conf", "/usr/local/etc/piwheels.conf"};
    char *home = shown_home();

    for (size_t i = 0; i < COUNT_OF(files); i++)
        hide_file(w, files[i]);
    for (size_t i = 0; i < COUNT_OF(s->hidden); i++)
        hide_file(w, s->hidden[i]);
    hide_directory(w, "/etc/piwheels");
    if (home != NULL)
        hide_directory(w, home);
    free(home);
}

static void add_private(struct words *w, const char *dir)
{
    static const char *const parts[][2] = {{"tmp", "/tmp"}, {"tmp", "/var/tmp"}, {"shm", "/dev/shm"}};
    static const char *const fresh[] = {"--proc", "/proc", "--dev", "/dev", NULL};

    words_add_all(w, fresh);
    add_three(w, "--bind", dir, ROOT);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        words_add(w, "--bind");
        words_addf(w, "%s/%s", dir, parts[i][0]);
        words_add(w, parts[i][1]);
    }
    add_three(w, "--symlink", "/run", "/var/run");
}

/* The names of hosts are looked up by what lies in /run on many systems. */
static void add_resolver(struct words *w)
{
    char real[PATH_MAX];
    if (realpath("/etc/resolv.conf", real) != NULL && !is_below(real, "/etc") && !is_system(real))
        add_three(w, "--ro-bind", real, real);
}

static void add_ours(const struct sandbox *s, const struct sandboxed *what, struct words *w)
{
    static const char *const closed[] = {"--remount-ro", "/dev", "--remount-ro", "/", "--chdir", ROOT, NULL};

    add_three(w, "--ro-bind", s->program, PROGRAM);
    if (sandbox_needs_proxy(s, what->network)) {
        words_add(w, "--ro-bind");
        words_addf(w, "%s/%s", what->dir, SANDBOX_PROXY_SOCKET);
        words_add(w, PROXY);
    }
    words_add_all(w, closed);
}

static int add_filter(const struct sandbox *s, struct words *w, int *pass_fd)
{
    if (s->level != SANDBOX_STRICT)
        return 0;
    int fd = filter_open(&s->filter);
    if (fd < 0)
        return fd;
    *pass_fd = fd;
    words_add(w, "--seccomp");
    words_addf(w, "%d", CHILD_PASSED_FD);
    return 0;
}

/* Our program as the first inside: limits, and the way to the proxy. */
static void add_inside(const struct sandbox *s, const struct sandboxed *what, struct words *w)
{
    bool boxed = s->level != SANDBOX_NONE;

    words_add(w, sandbox_program(s));
    words_add(w, INSIDE_COMMAND);
    words_add(w, sandbox_needs_proxy(s, what->network) ? PROXY : "-");
    inside_add_limits(w, what->limits, boxed);
    words_add_all(w, what->argv);
}

int sandbox_command(const struct sandbox *s, const struct sandboxed *what, struct words *w, int *pass_fd)
{
    int error = 0;

    *pass_fd = 0;
    if (s->level != SANDBOX_NONE) {
        words_add(w, s->bwrap);
        add_namespaces(s, what->network, w);
        add_system(w);
        if (!sandbox_cuts_network(s, what->network))
            add_resolver(w);
        add_private(w, what->dir);
        add_python(w, what->python);
        hide_ours(s, w);
        add_ours(s, what, w);
        error = add_filter(s, w, pass_fd);
        words_add(w, "--");
    }
    add_inside(s, what, w);
    return error;
}

/* ---- opening ---- */

/* Looks for a program in our PATH; free it. NULL when there is none. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    char *rest = mem_text(path == NULL ? "/usr/bin:/bin" : path), *at = rest, *found = NULL;

    for (char *dir; found == NULL && (dir = strsep(&at, ":")) != NULL;) {
        char *candidate = mem_format("%s/%s", dir, name);
        if (dir[0] == '/' && access(candidate, X_OK) == 0)
            found = candidate;
        else
            free(candidate);
    }
    free(rest);
    return found;
}

static int find_bwrap(struct sandbox *s, char *why, size_t why_size)
{
    s->bwrap = find_program("bwrap");
    if (s->bwrap != NULL)
        return 0;
    snprintf(why, why_size, "builds run in a sandbox made by bubblewrap, which is not installed: on Debian, apt "
             "install bubblewrap (or --sandbox none, which lets every package do what the slave's user can)");
    return -ENOENT;
}

int sandbox_open(struct sandbox *s, enum sandbox_level level, enum network network, char *why, size_t why_size)
{
    int error = 0;

    if (level != SANDBOX_STRICT)
        network = NETWORK_ALL;
    *s = (struct sandbox){.level = level, .network = network, .network_most = network, .program = realpath("/proc/self/exe", NULL)};
    if (s->program == NULL) {
        snprintf(why, why_size, "cannot tell where this program is: %s; is /proc mounted?", strerror(errno));
        return -ENOENT;
    }
    if (level != SANDBOX_NONE)
        error = find_bwrap(s, why, why_size);
    if (error == 0 && level == SANDBOX_STRICT)
        error = filter_make(&s->filter, why, why_size);
    if (error != 0)
        sandbox_close(s);
    return error;
}

void sandbox_close(struct sandbox *s)
{
    filter_release(&s->filter);
    free(s->program);
    free(s->bwrap);
    *s = (struct sandbox){0};
}
