/*
 * What is asked of dpkg-query, and how its answer is read. needs.c runs it for the files of a wheel, means.c for
 * what the machine has.
 *
 * Since Debian merged /usr, /lib is a link to /usr/lib, and the database has either spelling (bookworm: mostly
 * the old one). A library that update-alternatives(1) provides is known by what it is a link to.
 */
#include "dpkg.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/debian.h"
#include "core/buf.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/child.h"

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

/* ---- what is installed ---- */

#define ANSWER_SIZE (2 * 1024 * 1024)
#define TOLD_MAX_BYTES (256 * 1024)    /* of HELLO */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of several architectures a package may come more than once. */
static char *join(char **names, size_t count, size_t max_bytes)
{
    struct buf lines;

    buf_init(&lines, max_bytes);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
            buf_addf(&lines, "%s\n", names[i]);
    char *text = buf_take(&lines);
    buf_release(&lines);
    return text;
}

char *dpkg_read_installed(char *answer, size_t max_bytes)
{
    static const char installed[] = "installed ";
    char **names = NULL, *rest = answer, *line;
    size_t count = 0;

    while ((line = strsep(&rest, "\n")) != NULL) {
        if (!text_starts(line, installed) || !debian_name_valid(line + strlen(installed)))
            continue;
        if (count % 1024 == 0)
            names = mem_resize(names, count + 1024, sizeof *names);
        names[count++] = line + strlen(installed);
    }
    char *text = count > 0 ? join(names, count, max_bytes) : mem_text("");
    free(names);
    return text;
}

char *dpkg_installed(void)
{
    static const char *const argv[] = {"/usr/bin/dpkg-query", "-W", "-f=${db:Status-Status} ${Package}\n", NULL};
    char *answer = mem_new(1, ANSWER_SIZE);

    if (child_read(argv, answer, ANSWER_SIZE) != 0)
        answer[0] = '\0';
    char *text = dpkg_read_installed(answer, TOLD_MAX_BYTES);
    free(answer);
    return text;
}
