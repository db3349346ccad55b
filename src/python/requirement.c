/*
 * Lines of a requirements file, as much of pip's format as `piwheels add -r` needs: a name and which
 * versions. What cannot be added by name is refused with the reason.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "python.h"
#include "span.h"

static int refuse(char *why, size_t why_size, const char *text)
{
    snprintf(why, why_size, "%s", text);
    return -EINVAL;
}

/* A comment begins at a '#' at the line's start or after a space. */
static struct span without_comment(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.at[i] == '#' && (i == 0 || ascii_space(line.at[i - 1])))
            line.len = i;
    return span_trim(line);
}

/* pip allows options of one requirement after it, such as its hashes. */
static struct span without_options(struct span line)
{
    for (size_t i = 1; i + 2 < line.len; i++)
        if (ascii_space(line.at[i - 1]) && line.at[i] == '-' && line.at[i + 1] == '-')
            line.len = i;
    return span_trim(line);
}

static bool contains(struct span text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

/* "./here", "../there", "there/package", "C:\x", "package.whl", "package-1.0.tar.gz" */
static bool is_file(struct span text)
{
    char name[PYTHON_NAME_MAX + 64];

    if (memchr(text.at, '/', text.len) || memchr(text.at, '\\', text.len) || text.at[0] == '.')
        return true;
    if (text.len >= sizeof name)
        return false;
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    return text_ends(name, ".whl") || text_ends(name, ".zip") || text_ends(name, ".tar.gz");
}

static bool take_name(struct span *line, char *name, size_t size)
{
    size_t len = 0;

    while (len < line->len && (ascii_alnum(line->at[len]) || memchr("-_.", line->at[len], 3)))
        len++;
    if (len >= size)
        return false;
    memcpy(name, line->at, len);
    name[len] = '\0';
    *line = span_trim((struct span){line->at + len, line->len - len});
    return python_name_valid(name);
}

/* "[a,b]" says what else to install, nothing of what to build. */
static bool skip_extras(struct span *line)
{
    const char *end;

    if (line->len == 0 || line->at[0] != '[')
        return true;
    end = memchr(line->at, ']', line->len);
    if (!end)
        return false;
    *line = span_trim((struct span){end + 1, line->len - (size_t)(end + 1 - line->at)});
    return true;
}

/* "(>=1.0)" is an old spelling of ">=1.0" (PEP 508). */
static struct span without_brackets(struct span text)
{
    if (text.len >= 2 && text.at[0] == '(' && text.at[text.len - 1] == ')')
        text = span_trim((struct span){text.at + 1, text.len - 2});
    return text;
}

/* Spaces go only after the check: "==1 2" is not "==12". */
static bool copy_specifiers(struct span text, char *to, size_t size)
{
    char *end = to;

    if (text.len >= size)
        return false;
    memcpy(to, text.at, text.len);
    to[text.len] = '\0';
    if (python_specifiers_match(to, "0", true) < 0)
        return false;
    for (const char *p = to; *p != '\0'; p++)
        if (!ascii_space(*p))
            *end++ = *p;
    *end = '\0';
    return true;
}

int python_requirement_parse(const char *line, struct requirement *to, char *why, size_t why_size)
{
    struct span rest = without_comment(span_of(line));

    memset(to, 0, sizeof *to);
    if (rest.len == 0)
        return 0;
    if (rest.at[0] == '-')
        return refuse(why, why_size, "an option: list the packages themselves, one a line");
    rest = without_options(rest);
    rest = span_trim(span_cut(&rest, ';'));
    if (contains(rest, "://") || contains(rest, "@"))
        return refuse(why, why_size, "a URL: only packages of the index can be added, by name");
    if (rest.len == 0 || is_file(rest))
        return refuse(why, why_size, "a file: only packages of the index can be added, by name");
    if (!take_name(&rest, to->name, sizeof to->name))
        return refuse(why, why_size, "no package name: letters, digits, '.', '_' and '-' make one");
    if (!skip_extras(&rest))
        return refuse(why, why_size, "extras that are not closed: a ']' is missing");
    if (!copy_specifiers(without_brackets(rest), to->specifiers, sizeof to->specifiers))
        return refuse(why, why_size, "no valid versions: write them like \"==1.2\" or \">=2,<3\"");
    return 1;
}
