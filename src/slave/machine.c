/*
 * What /proc and os-release say about the machine that a slave runs on; how it fares now is told by io/machine.h.
 */
#include "machine.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/text.h"
#include "io/child.h"
#include "slave.h"

#define CLOCK_EARLIEST_MS 1767225600000 /* 2026-01-01 UTC */

/* The rest of the line that begins with `key`, or NULL. Cuts `text` at that line's end. */
static char *value_of(char *text, const char *key)
{
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (text_starts(line, key)) {
            if (end != NULL)
                *end = '\0';
            return line + strlen(key);
        }
        line = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

/* Copies what is printable, without blanks at either end. */
static void copy_fact(char *to, size_t size, const char *from)
{
    while (isspace((unsigned char)*from))
        from++;
    char *clean = text_clean(from, strlen(from), size - 1);
    for (size_t len = strlen(clean); len > 0 && isspace((unsigned char)clean[len - 1]); len--)
        clean[len - 1] = '\0';
    text_copy(to, size, clean);
    free(clean);
}

void machine_hardware(char *to, size_t size)
{
    char text[16384];
    struct utsname kernel;

    machine_text("/proc/device-tree/model", text, sizeof text);
    copy_fact(to, size, text);
    if (to[0] != '\0')
        return;
    machine_text("/proc/cpuinfo", text, sizeof text);
    const char *model = value_of(text, "model name");
    if (model != NULL && (model = strchr(model, ':')) != NULL)
        copy_fact(to, size, model + 1);
    if (to[0] == '\0')
        copy_fact(to, size, uname(&kernel) == 0 ? kernel.machine : "unknown");
}

void machine_compiler(char *to, size_t size)
{
    static const char *const argv[] = {"/usr/bin/cc", "--version", NULL};
    char answer[4096];

    to[0] = '\0';
    if (child_read(argv, answer, sizeof answer) != 0)
        return;
    answer[strcspn(answer, "\n")] = '\0';
    copy_fact(to, size, answer);
}

/* Others than glibc do not know this name. */
void machine_libc(char *to, size_t size)
{
    char name[128] = "";

    confstr(_CS_GNU_LIBC_VERSION, name, sizeof name);
    copy_fact(to, size, name);
}

unsigned machine_jobs_for(long cores, uint64_t memory_bytes)
{
    uint64_t by_memory = memory_bytes / 1000000000;
    uint64_t jobs = cores < 1 ? 1 : (uint64_t)cores;
    if (by_memory < jobs)
        jobs = by_memory;
    if (jobs > SLAVE_MAX_JOBS)
        jobs = SLAVE_MAX_JOBS;
    return jobs < 1 ? 1 : (unsigned)jobs;
}

unsigned machine_jobs(void)
{
    struct rec_machine m;
    machine_read("/", &m);
    return machine_jobs_for(sysconf(_SC_NPROCESSORS_ONLN), m.memory_bytes);
}

int slave_jobs_read(const char *text, unsigned *jobs)
{
    unsigned long long number;

    if (strcmp(text, "auto") == 0) {
        *jobs = machine_jobs();
        return 0;
    }
    if (text_to_u64(text, &number) != 0 || number < 1 || number > SLAVE_MAX_JOBS)
        return -EINVAL;
    *jobs = (unsigned)number;
    return 0;
}

bool machine_clock_credible(int64_t wall_ms)
{
    return wall_ms >= CLOCK_EARLIEST_MS;
}

bool machine_label(const char *text, char label[65])
{
    bool same = text[0] != '\0';
    size_t len = 0;

    for (; text[len] != '\0' && len < 64; len++) {
        bool good = isalnum((unsigned char)text[len]) || strchr("._-", text[len]) != NULL;
        label[len] = good ? text[len] : '-';
        same = same && good;
    }
    label[len] = '\0';
    return same && text[len] == '\0';
}

void slave_system_name(char *to, size_t size)
{
    char text[8192];

    machine_text("/etc/os-release", text, sizeof text);
    if (text[0] == '\0')
        machine_text("/usr/lib/os-release", text, sizeof text);
    char *name = value_of(text, "PRETTY_NAME=");
    if (name != NULL && (name[0] == '"' || name[0] == '\'')) {
        char quote[] = {*name++, '\0'};
        name[strcspn(name, quote)] = '\0';
    }
    copy_fact(to, size, name == NULL || name[0] == '\0' ? "Linux" : name);
}
