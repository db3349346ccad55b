/*
 * The filter that bwrap loads before a build's first command. sandbox.c makes it once, at the slave's start.
 *
 * Namespaces keep a build from what belongs to others; the filter keeps it from the parts of the kernel that
 * no compiler needs and in which most of the holes were found. What programs try and can do without is refused
 * with ENOSYS, so that they take the older way; the rest with EPERM. A call's number is 32 bits of a 64-bit
 * register, so flags are compared under a mask.
 */
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"

#define NUMBER_MASK 0xffffffffu
#define FILTER_MAX_BYTES (64 * 1024)

/* Watching and steering other processes; keys; mounts and namespaces; the kernel's own programs and tracing;
 * the machine itself. */
static const char *const forbidden[] = {
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp",
    "pidfd_getfd", "keyctl", "add_key", "request_key", "mount", "umount", "umount2", "pivot_root", "chroot",
    "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    "open_by_handle_at", "fanotify_init", "quotactl", "quotactl_fd", "bpf", "perf_event_open", "userfaultfd",
    "lookup_dcookie", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "syslog", "acct", "nfsservctl", "vhangup", "iopl", "ioperm", "settimeofday",
    "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname", "move_pages",
    "migrate_pages",
};

/* clone3 and openat2 take their flags in memory, where a filter cannot read them. What memfd_create and System V
 * hold is memory of no process, which the watcher would not see. */
static const char *const unknown[] = {
    "clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create", "memfd_secret",
    "shmget", "msgget",
};

static const uint32_t namespaces[] = {
    CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP,
};

/* Calls that make files, and which of their arguments is the mode. */
static const struct mode_call {
    const char *name;
    unsigned mode;
    int flags;           /* which argument has the flags of open(2), or -1 */
} mode_calls[] = {
    {"chmod", 1, -1}, {"fchmod", 1, -1}, {"fchmodat", 2, -1}, {"fchmodat2", 2, -1}, {"creat", 1, -1},
    {"mknod", 1, -1}, {"mknodat", 2, -1}, {"open", 2, 1}, {"openat", 3, 2},
};

/* Adds a rule; a call that this architecture or library does not know needs none. */
static int add(scmp_filter_ctx ctx, int error, const char *name, const struct scmp_arg_cmp *when, unsigned count)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return 0;
    int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint16_t)error), number, count, when);
    return rc == -EDOM || rc == -EEXIST ? 0 : rc;
}

static int refuse_calls(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(forbidden) && rc == 0; i++)
        rc = add(ctx, EPERM, forbidden[i], NULL, 0);
    for (size_t i = 0; i < COUNT_OF(unknown) && rc == 0; i++)
        rc = add(ctx, ENOSYS, unknown[i], NULL, 0);
    return rc;
}

static struct scmp_arg_cmp is_set(unsigned argument, uint32_t flag)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, flag, flag};
}

static struct scmp_arg_cmp is_number(unsigned argument, uint32_t number)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, NUMBER_MASK, number};
}

static int refuse_namespaces(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(namespaces) && rc == 0; i++) {
        struct scmp_arg_cmp when = is_set(0, namespaces[i]);
        rc = add(ctx, EPERM, "clone", &when, 1);
    }
    return rc;
}

/* Files that lend their owner's identity (the slave's) to whoever starts them. The group's bit is left alone:
 * on directories, which a filter cannot tell from files, it is harmless and in use. */
static int refuse_setuid(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(mode_calls) && rc == 0; i++) {
        const struct mode_call *m = &mode_calls[i];
        struct scmp_arg_cmp when[2] = {is_set(m->mode, S_ISUID)};
        if (m->flags >= 0)
            when[1] = is_set((unsigned)m->flags, O_CREAT);
        rc = add(ctx, EPERM, m->name, when, m->flags >= 0 ? 2 : 1);
    }
    return rc;
}

/* All families but Unix, IPv4, IPv6 and netlink, which lists addresses: EAFNOSUPPORT, as without the module. */
static int refuse_families(scmp_filter_ctx ctx)
{
    static const char *const calls[] = {"socket", "socketpair"};
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        struct scmp_arg_cmp beyond = {0, SCMP_CMP_GT, AF_NETLINK, 0};
        if (rc == 0)
            rc = add(ctx, EAFNOSUPPORT, calls[i], &beyond, 1);
        for (uint32_t family = AF_AX25; family < AF_NETLINK && rc == 0; family++) {
            struct scmp_arg_cmp when = is_number(0, family);
            if (family != AF_INET6)
                rc = add(ctx, EAFNOSUPPORT, calls[i], &when, 1);
        }
    }
    return rc;
}

/* Typing into the terminal of whoever started the slave. */
static int refuse_typing(scmp_filter_ctx ctx)
{
    static const uint32_t requests[] = {TIOCSTI, TIOCLINUX};
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(requests) && rc == 0; i++) {
        struct scmp_arg_cmp when = is_number(1, requests[i]);
        rc = add(ctx, EPERM, "ioctl", &when, 1);
    }
    return rc;
}

/* What is not of this machine's own architecture is refused as unknown, instead of ending its process. */
static int add_rules(scmp_filter_ctx ctx)
{
    int (*const steps[])(scmp_filter_ctx) = {
        refuse_calls, refuse_namespaces, refuse_setuid, refuse_families, refuse_typing};
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    for (size_t i = 0; i < COUNT_OF(steps) && rc == 0; i++)
        rc = steps[i](ctx);
    return rc;
}

static int memory_file(void)
{
    int fd = memfd_create("seccomp", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int read_back(struct filter *f, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || size > FILTER_MAX_BYTES)
        return -EFBIG;
    f->size_bytes = (size_t)size;
    f->program = mem_new(1, f->size_bytes);
    if (pread(fd, f->program, f->size_bytes, 0) == size)
        return 0;
    filter_release(f);
    return -EIO;
}

int filter_make(struct filter *f, char *why, size_t why_size)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int fd = memory_file(), rc = ctx == NULL ? -ENOMEM : fd < 0 ? fd : 0;
    if (rc == 0)
        rc = add_rules(ctx);
    if (rc == 0)
        rc = seccomp_export_bpf(ctx, fd);
    if (rc == 0)
        rc = read_back(f, fd);
    if (rc != 0)
        snprintf(why, why_size, "cannot make the filter of system calls: %s", strerror(-rc));
    if (ctx != NULL)
        seccomp_release(ctx);
    if (fd >= 0)
        close(fd);
    return rc;
}

void filter_release(struct filter *f)
{
    free(f->program);
    f->program = NULL;
}

int filter_open(const struct filter *f)
{
    int fd = memory_file();
    if (fd < 0)
        return fd;
    if (write(fd, f->program, f->size_bytes) == (ssize_t)f->size_bytes && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}
