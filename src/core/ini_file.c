/*
 * Reads INI files for the options and for whoever else has settings in files of their own. inih parses; around it lines
 * are counted, sections are told as they come, and what inih would cut or join is refused.
 */
#include "core/ini_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define PLACE_SIZE 4200

struct reading {
    const struct ini_events *events;
    void *owner;
    const char *path;
    FILE *file;
    unsigned line;
    unsigned failed_line;          /* 0: nothing is wrong so far */
    char why[INI_WHY_SIZE];
};

/* inih's handler: one `key = value`. Non-zero is success. */
static int on_setting(void *user, const char *section, const char *name, const char *text)
{
    struct reading *r = user;
    char place[PLACE_SIZE];

    if (r->failed_line > 0)
        return 1;
    snprintf(place, sizeof place, "%s:%u", r->path, r->line);
    if (!r->events->setting(r->owner, place, section, name, text, r->why))
        r->failed_line = r->line;
    return 1;
}

/* Tells of "[section]", which inih does only with its first key. */
static void check_section(struct reading *r, const char *line)
{
    size_t len = strcspn(line + 1, "]");
    char *section = mem_textn(line + 1, len);

    if (line[1 + len] == ']' && !r->events->section(r->owner, section, r->why))
        r->failed_line = r->line;
    free(section);
}

/* inih's reader: fgets that counts lines, stops at the first fault, refuses what inih would cut, and takes
 * away the indentation that inih would take for a continued value. */
static char *read_line(char *to, int size, void *stream)
{
    struct reading *r = stream;

    if (r->failed_line > 0 || fgets(to, size, r->file) == NULL)
        return NULL;
    r->line++;
    size_t len = strlen(to), blanks = strspn(to, " \t");
    if (len + 1 == (size_t)size && to[len - 1] != '\n') {
        snprintf(r->why, sizeof r->why, "this line is longer than %d characters", size - 2);
        r->failed_line = r->line;
        return NULL;
    }
    memmove(to, to + blanks, len - blanks + 1);
    if (to[0] == '[')
        check_section(r, to);
    return r->failed_line > 0 ? NULL : to;
}

static int cannot_read(const char *path, int error, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: cannot be read: %s", path, strerror(-error));
    return error;
}

int ini_file_read(const char *path, const struct ini_events *events, void *owner, char *why, size_t why_size)
{
    struct reading r = {.events = events, .owner = owner, .path = path, .file = fopen(path, "re")};

    if (r.file == NULL)
        return cannot_read(path, -errno, why, why_size);
    int bad_line = ini_parse_stream(read_line, &r, on_setting, &r);
    int error = ferror(r.file) ? -errno : 0;
    fclose(r.file);
    if (error != 0)
        return cannot_read(path, error, why, why_size);
    if (bad_line > 0 && (r.failed_line == 0 || (unsigned)bad_line < r.failed_line)) {
        snprintf(r.why, sizeof r.why, "this is neither a [section] nor a key = value");
        r.failed_line = (unsigned)bad_line;
    }
    if (r.failed_line == 0)
        return 0;
    snprintf(why, why_size, "%s:%u: %s", path, r.failed_line, r.why);
    return -EINVAL;
}
