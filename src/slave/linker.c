/*
 * The dynamic linker's search, as ld.so(8) and ldconfig(8) describe it: the directories of ld.so.conf, then the
 * usual ones, and of what lies there only what is for the same kind of processor. needs.c asks for each library
 * that a wheel does not bring itself.
 *
 * ldconfig's cache is not read: it holds what these directories held when it was made.
 */
#include "linker.h"

#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"

#define INCLUDE_DEPTH_MAX 4
#define BLANKS " \t\r\n"

/* Debian's directories by architecture (https://wiki.debian.org/Multiarch/Tuples). */
static const struct {
    uint16_t machine;
    const char *tuple;
} architectures[] = {
    {EM_X86_64, "x86_64-linux-gnu"},    {EM_386, "i386-linux-gnu"},       {EM_AARCH64, "aarch64-linux-gnu"},
    {EM_ARM, "arm-linux-gnueabihf"},    {EM_RISCV, "riscv64-linux-gnu"},  {EM_S390, "s390x-linux-gnu"},
    {EM_PPC64, "powerpc64le-linux-gnu"},
};

/* ---- ld.so.conf ---- */

static void read_file(struct linker *l, const char *path, unsigned depth);

/* A pattern that is no absolute path is beside the file that includes it. */
static void include(struct linker *l, const char *pattern, const char *from, unsigned depth)
{
    const char *slash = strrchr(from, '/');
    glob_t found;
    char *full = pattern[0] == '/' ? mem_format("%s%s", l->root, pattern)
                                   : mem_format("%.*s/%s", (int)(slash - from), from, pattern);

    if (glob(full, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            read_file(l, found.gl_pathv[i], depth + 1);
        globfree(&found);
    }
    free(full);
}

static void read_line(struct linker *l, char *line, const char *path, unsigned depth)
{
    line[strcspn(line, "#")] = '\0';
    for (char *word; (word = strsep(&line, BLANKS ":,")) != NULL;) {
        if (strcmp(word, "include") == 0 && line != NULL) {
            while ((word = strsep(&line, BLANKS)) != NULL)
                if (word[0] != '\0' && depth < INCLUDE_DEPTH_MAX)
                    include(l, word, path, depth);
            return;
        }
        if (word[0] == '/' && l->dir_count < LINKER_MAX_DIRS)
            l->dirs[l->dir_count++] = mem_text(word);
    }
}

static void read_file(struct linker *l, const char *path, unsigned depth)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;

    while (file != NULL && getline(&line, &size, file) >= 0)
        read_line(l, line, path, depth);
    free(line);
    if (file != NULL)
        fclose(file);
}

void linker_init(struct linker *l, const char *root)
{
    *l = (struct linker){.root = root};
    char *path = mem_format("%s/etc/ld.so.conf", root);
    read_file(l, path, 0);
    free(path);
}

void linker_release(struct linker *l)
{
    for (unsigned i = 0; i < l->dir_count; i++)
        free(l->dirs[i]);
    l->dir_count = 0;
}

/* ---- libraries ---- */

/* Whether the file is an object of the same kind: the linker passes over others. */
static bool is_alike(const char *path, const struct wheel_object *o)
{
    unsigned char start[EI_NIDENT + 4];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    ssize_t got = read(fd, start, sizeof start);
    close(fd);
    if (got != sizeof start || memcmp(start, ELFMAG, SELFMAG) != 0)
        return false;
    bool big_endian = start[EI_DATA] == ELFDATA2MSB;
    const unsigned char *at = start + EI_NIDENT + 2;
    unsigned machine = big_endian ? at[0] * 256U + at[1] : at[1] * 256U + at[0];
    return start[EI_CLASS] == (o->bits == 64 ? ELFCLASS64 : ELFCLASS32) && big_endian == o->big_endian &&
           machine == o->machine;
}

char *linker_find_in(const struct linker *l, const char *dir, const char *name, const struct wheel_object *o)
{
    char *full = mem_format("%s%s/%s", l->root, dir, name);
    bool found = is_alike(full, o);
    free(full);
    return found ? mem_format("%s/%s", dir, name) : NULL;
}

static char *find_in_usual(const struct linker *l, const char *name, const struct wheel_object *o)
{
    static const char *const usual[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64"};
    char *found = NULL;

    for (size_t i = 0; i < COUNT_OF(architectures) && found == NULL; i++) {
        if (architectures[i].machine != o->machine)
            continue;
        for (size_t j = 0; j < 2 && found == NULL; j++) {
            char *dir = mem_format("%s/%s", usual[j], architectures[i].tuple);
            found = linker_find_in(l, dir, name, o);
            free(dir);
        }
    }
    for (size_t i = 0; i < COUNT_OF(usual) && found == NULL; i++)
        found = linker_find_in(l, usual[i], name, o);
    return found;
}

char *linker_find(const struct linker *l, const char *name, const struct wheel_object *o)
{
    char *found = NULL;

    for (unsigned i = 0; i < l->dir_count && found == NULL; i++)
        found = linker_find_in(l, l->dirs[i], name, o);
    return found != NULL ? found : find_in_usual(l, name, o);
}
