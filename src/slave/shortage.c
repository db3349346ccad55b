/*
 * Judges what is left of disk, files and memory. session.c looks every second.
 */
#include "shortage.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"
#include "machine.h"

#define MB 1000000
#define TOO_LOW_PARTS 4   /* less than one part in so many of what is wanted */
#define SURE_PARTS 10     /* one part in so many more than what is wanted ends a shortage */

void shortage_look(const char *dir, struct room *free)
{
    struct rec_machine m;

    if (fs_free(dir, &free->disk_bytes, &free->disk_files) != 0)
        free->disk_bytes = free->disk_files = UINT64_MAX;
    machine_read(dir, &m);
    free->memory_bytes = m.memory_free_bytes > 0 ? m.memory_free_bytes : UINT64_MAX;
}

static enum shortage_level level_of(uint64_t wanted, uint64_t free, enum shortage_level before)
{
    uint64_t sure = before == SHORTAGE_NONE ? wanted : wanted + wanted / SURE_PARTS;

    if (free >= sure)
        return SHORTAGE_NONE;
    return free < wanted / TOO_LOW_PARTS ? SHORTAGE_TOO_LOW : SHORTAGE_LOW;
}

void shortage_judge(const struct room *wanted, const struct room *free, struct shortage *s)
{
    const struct {
        const char *reason, *what, *option;
        uint64_t wanted, free, unit;
    } rows[] = {
        {"low disk", " MB of disk", "--min-free", wanted->disk_bytes, free->disk_bytes, MB},
        {"low files", " files (inodes) of the disk", "--min-free-files", wanted->disk_files, free->disk_files, 1},
        {"low memory", " MB of memory", "--min-free-memory", wanted->memory_bytes, free->memory_bytes, MB},
    };
    enum shortage_level before = s->level;

    *s = (struct shortage){SHORTAGE_NONE};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum shortage_level level = level_of(rows[i].wanted, rows[i].free, before);
        if (level <= s->level)
            continue;
        s->level = level;
        text_copy(s->reason, sizeof s->reason, rows[i].reason);
        snprintf(s->text, sizeof s->text, "%" PRIu64 "%s are free, %" PRIu64 " are wanted (%s)",
                 rows[i].free / rows[i].unit, rows[i].what, rows[i].wanted / rows[i].unit, rows[i].option);
    }
}
