/*
 * How this machine fares, from /proc and /sys: load, memory, disk, temperature. The slave tells it to the master,
 * the master tells its own to the monitor.
 */
#include "io/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

void machine_text(const char *path, char *to, size_t size)
{
    size_t len = 0;
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        len = fread(to, 1, size - 1, f);
        fclose(f);
    }
    to[len] = '\0';
}

static uint64_t meminfo_bytes(const char *meminfo, const char *key)
{
    const char *at = strstr(meminfo, key);
    return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10) * 1024;
}

void machine_read(const char *dir, struct rec_machine *to)
{
    char text[4096];
    struct statvfs fs;

    *to = (struct rec_machine){0};
    machine_text("/proc/loadavg", text, sizeof text);
    to->load_milli = (uint64_t)(strtod(text, NULL) * 1000);
    machine_text("/proc/meminfo", text, sizeof text);
    to->memory_bytes = meminfo_bytes(text, "MemTotal:");
    to->memory_free_bytes = meminfo_bytes(text, "MemAvailable:");
    if (statvfs(dir, &fs) == 0) {
        to->disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
        to->disk_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    }
    machine_text("/sys/class/thermal/thermal_zone0/temp", text, sizeof text);
    long milli = strtol(text, NULL, 10);
    if (milli > -273150 && milli < 1000000)
        to->temperature_milli = milli;
}
