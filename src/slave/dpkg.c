/*
 * What is asked of dpkg-query, and how its answer is read. needs.c runs it.
 *
 * Since Debian merged /usr, /lib is a link to /usr/lib, and the database has either spelling (bookworm: mostly
 * the old one). A library that update-alternatives(1) provides is known by what it is a link to.
 */
#include "dpkg.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/debian.h"
#include "core/memory.h"
#include "core/text.h"

/* dpkg-query takes these for patterns. */
static bool is_plain(const char *path)
{
    return strpbrk(path, "*?[\\\n") == NULL;
}

static void add(char *spellings[DPKG_SPELLINGS], unsigned *count, char *path)
{
    for (unsigned i = 0; i < *count; i++)
        if (strcmp(spellings[i], path) == 0) {
            free(path);
            return;
        }
    if (is_plain(path))
        spellings[(*count)++] = path;
    else
        free(path);
}

static void add_both(char *spellings[DPKG_SPELLINGS], unsigned *count, const char *path)
{
    add(spellings, count, mem_text(path));
    if (text_starts(path, "/usr/lib"))
        add(spellings, count, mem_text(path + strlen("/usr")));
    else if (text_starts(path, "/lib"))
        add(spellings, count, mem_format("/usr%s", path));
}

unsigned dpkg_spellings(const char *path, char *spellings[DPKG_SPELLINGS])
{
    unsigned count = 0;
    char *real = realpath(path, NULL);

    add_both(spellings, &count, path);
    if (real != NULL)
        add_both(spellings, &count, real);
    free(real);
    return count;
}

/* A line is "libffi8:amd64: /usr/lib/…"; several packages are divided by ", ", and the first will do. What begins
 * "diversion by" is no package's name. */
static bool read_name(const char *line, size_t len, char *name, size_t size)
{
    char *first = mem_textn(line, len);

    first[strcspn(first, ":,")] = '\0';
    bool valid = debian_name_valid(first) && text_copy(name, size, first);
    free(first);
    return valid;
}

bool dpkg_owner(const char *output, const char *path, char *name, size_t size)
{
    size_t path_len = strlen(path);

    for (const char *line = output, *end; *line != '\0'; line = end + (*end != '\0')) {
        end = line + strcspn(line, "\n");
        const char *colon = memmem(line, (size_t)(end - line), ": /", 3);
        if (colon == NULL || (size_t)(end - colon) - 2 != path_len || memcmp(colon + 2, path, path_len) != 0)
            continue;
        if (read_name(line, (size_t)(colon - line), name, size))
            return true;
    }
    return false;
}
