/*
 * Package names: which are valid, and which are the same. Every room that meets a name from outside comes
 * here first, for the normalised name is a key in the database and a directory on the web.
 */
#include "python.h"

#include <errno.h>
#include <string.h>

#include "ascii.h"

static bool is_separator(char c)
{
    return c == '-' || c == '_' || c == '.';
}

bool python_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > PYTHON_NAME_MAX || !ascii_alnum(name[0]) || !ascii_alnum(name[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!ascii_alnum(name[i]) && !is_separator(name[i]))
            return false;
    return true;
}

int python_name_normalise(const char *name, char *to, size_t size)
{
    size_t len = 0;

    for (const char *p = name; *p != '\0'; p++) {
        if (is_separator(*p) && is_separator(p[1]))
            continue;
        if (len + 1 >= size)
            return -ENOBUFS;
        to[len++] = is_separator(*p) ? '-' : ascii_lower(*p);
    }
    if (len >= size)
        return -ENOBUFS;
    to[len] = '\0';
    return 0;
}

bool python_names_equal(const char *a, const char *b)
{
    char left[PYTHON_NAME_MAX + 1], right[PYTHON_NAME_MAX + 1];

    return python_name_normalise(a, left, sizeof left) == 0 &&
           python_name_normalise(b, right, sizeof right) == 0 && strcmp(left, right) == 0;
}

int python_name_version_split(const char *text, size_t len, const char *package, char *version, size_t size)
{
    char name[PYTHON_NAME_MAX + 1];

    for (size_t i = 1; i + 1 < len && i < sizeof name; i++) {
        if (text[i] != '-')
            continue;
        memcpy(name, text, i);
        name[i] = '\0';
        if (!python_name_valid(name) || !python_names_equal(name, package))
            continue;
        if (len - i - 1 >= size)
            return -EINVAL;
        memcpy(version, text + i + 1, len - i - 1);
        version[len - i - 1] = '\0';
        return 0;
    }
    return -EINVAL;
}

int python_sdist_name_parse(const char *file_name, const char *package, char *version, size_t size)
{
    static const char *const endings[] = {".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz"};
    size_t len = strlen(file_name);

    for (const char *p = file_name; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == '/' || *p == '\\' || *p == 0x7f)
            return -EINVAL;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);

        if (len > ending && strcmp(file_name + len - ending, endings[i]) == 0)
            return python_name_version_split(file_name, len - ending, package, version, size);
    }
    return -EINVAL;
}
