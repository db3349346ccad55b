/*
 * Wheel file names and the tags in them (PEPs 425, 427, 600, 656): what a wheel says it is, and on which
 * target it runs. The pypi stage judges PyPI's wheels with it, files and wheel judge ours.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ascii.h"
#include "core/memory.h"
#include "core/text.h"
#include "python.h"
#include "span.h"

/* ---- file names ---- */

/* Dotted tags, none empty, of letters, digits and '_'. */
static bool tag_set_valid(const char *set)
{
    unsigned tags = 1;
    size_t len = 0;

    for (; *set != '\0'; set++, len++) {
        if (*set == '.') {
            if (len == 0)
                return false;
            tags++;
            len = (size_t)-1;
        } else if (!ascii_alnum(*set) && *set != '_') {
            return false;
        }
    }
    return len > 0 && tags <= PYTHON_TAG_SET_MAX;
}

static bool has_only(const char *text, const char *others)
{
    for (; *text != '\0'; text++)
        if (!ascii_alnum(*text) && !strchr(others, *text))
            return false;
    return true;
}

static bool copy_part(struct span part, char *to, size_t size)
{
    if (part.len == 0 || part.len >= size)
        return false;
    memcpy(to, part.at, part.len);
    to[part.len] = '\0';
    return true;
}

/* Splits at each '-'. The number of parts, or 0 when there are more than `max`. */
static size_t split(struct span text, struct span *parts, size_t max)
{
    for (size_t count = 0; count < max; count++) {
        size_t before = text.len;

        parts[count] = span_cut(&text, '-');
        if (parts[count].len == before)
            return count + 1; /* no mark was left to cut at */
    }
    return 0;
}

int python_wheel_name_parse(const char *file_name, struct wheel_name *to)
{
    struct span text = span_of(file_name), parts[6];
    size_t count, at = 2;

    memset(to, 0, sizeof *to);
    if (!text_ends(file_name, ".whl"))
        return -EINVAL;
    text.len -= strlen(".whl");
    count = split(text, parts, COUNT_OF(parts));
    if (count < 5)
        return -EINVAL;
    if (!copy_part(parts[0], to->dist, sizeof to->dist) || !python_name_valid(to->dist) ||
        !copy_part(parts[1], to->version, sizeof to->version) || !has_only(to->version, "._+!"))
        return -EINVAL;
    if (count == 6 && (!copy_part(parts[at++], to->build, sizeof to->build) || !ascii_digit(to->build[0]) ||
                       !has_only(to->build, "._")))
        return -EINVAL;
    if (!copy_part(parts[at], to->python, sizeof to->python) || !tag_set_valid(to->python) ||
        !copy_part(parts[at + 1], to->abi, sizeof to->abi) || !tag_set_valid(to->abi) ||
        !copy_part(parts[at + 2], to->platform, sizeof to->platform) || !tag_set_valid(to->platform))
        return -EINVAL;
    return 0;
}

bool python_wheel_is_pure(const struct wheel_name *wheel)
{
    return span_is(span_of(wheel->abi), "none") && span_is(span_of(wheel->platform), "any");
}

/* ---- the product of tag sets ---- */

struct tag {
    struct span python, abi, platform;
};

typedef bool tag_visit(void *context, const struct tag *tag); /* true: enough */

static bool each_tag(struct span python, struct span abi, struct span platform, tag_visit *visit,
                     void *context)
{
    struct tag tag;

    while (python.len > 0) {
        tag.python = span_cut(&python, '.');
        for (struct span abis = abi; abis.len > 0;) {
            tag.abi = span_cut(&abis, '.');
            for (struct span platforms = platform; platforms.len > 0;) {
                tag.platform = span_cut(&platforms, '.');
                if (visit(context, &tag))
                    return true;
            }
        }
    }
    return false;
}

static bool add_tag(void *context, const struct tag *tag)
{
    struct python_tags *tags = context;
    char *text;

    if (tags->count == PYTHON_TAGS_MAX)
        return true;
    text = mem_format("%.*s-%.*s-%.*s", (int)tag->python.len, tag->python.at, (int)tag->abi.len,
                      tag->abi.at, (int)tag->platform.len, tag->platform.at);
    for (char *p = text; *p != '\0'; p++)
        *p = ascii_lower(*p);
    tags->items = mem_resize(tags->items, tags->count + 1, sizeof *tags->items);
    tags->items[tags->count++] = text;
    return false;
}

int python_tags_add(struct python_tags *tags, const char *sets)
{
    struct span parts[3];
    char set[sizeof(((struct wheel_name *)NULL)->platform)];

    if (split(span_of(sets), parts, COUNT_OF(parts)) != COUNT_OF(parts))
        return -EINVAL;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (!copy_part(parts[i], set, sizeof set) || !tag_set_valid(set))
            return -EINVAL;
    return each_tag(parts[0], parts[1], parts[2], add_tag, tags) ? -EINVAL : 0;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_once(struct python_tags *tags)
{
    size_t kept = 0;

    if (tags->count > 0)
        qsort(tags->items, tags->count, sizeof *tags->items, compare_items);
    for (size_t i = 0; i < tags->count; i++) {
        if (kept > 0 && strcmp(tags->items[kept - 1], tags->items[i]) == 0)
            free(tags->items[i]);
        else
            tags->items[kept++] = tags->items[i];
    }
    tags->count = kept;
}

bool python_tags_equal(struct python_tags *a, struct python_tags *b)
{
    sort_once(a);
    sort_once(b);
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

void python_tags_release(struct python_tags *tags)
{
    for (size_t i = 0; i < tags->count; i++)
        free(tags->items[i]);
    free(tags->items);
    *tags = (struct python_tags){0};
}

/* ---- Python versions and ABIs ---- */

/* At most three digits: no Python has more, and none overflows. */
static bool take_small(struct span *text, unsigned *value)
{
    size_t len = 0;

    for (*value = 0; len < text->len && len < 3 && ascii_digit(text->at[len]); len++)
        *value = *value * 10 + (unsigned)(text->at[len] - '0');
    span_skip(text, len);
    return len > 0 && (text->len == 0 || !ascii_digit(text->at[0]));
}

/* "cp311": the major version is one digit, the minor all that follow. */
static bool take_python(struct span *text, const char *implementation, unsigned *major, unsigned *minor)
{
    if (!span_skip_word(text, implementation) || text->len < 2 || !ascii_digit(text->at[0]))
        return false;
    *major = (unsigned)(text->at[0] - '0');
    span_skip(text, 1);
    return take_small(text, minor);
}

int python_abi_parse(const char *abi, unsigned *major, unsigned *minor, bool *free_threaded)
{
    struct span rest = span_of(abi);

    if (!take_python(&rest, "cp", major, minor))
        return -EINVAL;
    *free_threaded = *major == 3 && *minor >= 13 && span_skip_word(&rest, "t");
    if (*major == 3 && *minor < 8)
        span_skip_word(&rest, "m"); /* pymalloc: part of the name up to Python 3.7 */
    return rest.len == 0 ? 0 : -EINVAL;
}

/* ---- platforms ---- */

enum libc { LIBC_ANY, LIBC_GLIBC, LIBC_MUSL };

struct platform {
    enum libc libc;        /* LIBC_ANY: linux_ARCH says nothing of it */
    unsigned major, minor; /* the libc's least version */
    struct span arch;
};

static bool arch_valid(struct span arch)
{
    for (size_t i = 0; i < arch.len; i++)
        if (!ascii_alnum(arch.at[i]) && arch.at[i] != '_')
            return false;
    return arch.len > 0 && ascii_alnum(arch.at[0]);
}

/* "_2_17_" (PEP 600, PEP 656) */
static bool take_libc_version(struct span *text, struct platform *to)
{
    return span_skip_word(text, "_") && take_small(text, &to->major) && span_skip_word(text, "_") &&
           take_small(text, &to->minor) && span_skip_word(text, "_");
}

static bool parse_platform(struct span text, struct platform *to)
{
    static const struct {
        const char *prefix;
        unsigned glibc_minor;
    } legacy[] = {{"manylinux1_", 5}, {"manylinux2010_", 12}, {"manylinux2014_", 17}};

    *to = (struct platform){0};
    if (span_skip_word(&text, "linux_"))
        goto arch;
    if (span_skip_word(&text, "musllinux")) {
        to->libc = LIBC_MUSL;
        if (!take_libc_version(&text, to))
            return false;
        goto arch;
    }
    to->libc = LIBC_GLIBC;
    for (size_t i = 0; i < COUNT_OF(legacy); i++) {
        if (span_skip_word(&text, legacy[i].prefix)) {
            to->major = 2;
            to->minor = legacy[i].glibc_minor;
            goto arch;
        }
    }
    if (!span_skip_word(&text, "manylinux") || !take_libc_version(&text, to))
        return false;
arch:
    to->arch = text;
    return arch_valid(text);
}

bool python_platform_valid(const char *platform)
{
    struct platform parsed;

    for (const char *p = platform; *p != '\0'; p++)
        if (ascii_lower(*p) != *p)
            return false;
    return parse_platform(span_of(platform), &parsed);
}

/* manylinux began with glibc 2.5 on x86 (PEP 513), with 2.17 elsewhere (PEP 599): pip asks for nothing older. */
static bool too_old_for_pip(const struct platform *wheel)
{
    unsigned first = span_is(wheel->arch, "x86_64") || span_is(wheel->arch, "i686") ? 5 : 17;

    return wheel->libc == LIBC_GLIBC && wheel->major == 2 && wheel->minor < first;
}

/* A linux_ARCH target has the glibc of its distribution. */
static bool glibc_fits(const struct platform *wheel, const struct python_target *target)
{
    if (wheel->libc != LIBC_GLIBC)
        return false;
    return target->glibc_major == 0 || (wheel->major == target->glibc_major && wheel->minor <= target->glibc_minor);
}

static bool platform_fits(struct span tag, const struct python_target *target)
{
    struct platform wheel, machine;

    if (span_is(tag, target->platform))
        return true;
    if (!parse_platform(tag, &wheel) || !parse_platform(span_of(target->platform), &machine))
        return false;
    if (!span_same(wheel.arch, machine.arch) || too_old_for_pip(&wheel))
        return false;
    if (wheel.libc == LIBC_ANY)
        return true;
    if (machine.libc == LIBC_ANY)
        return glibc_fits(&wheel, target);
    if (wheel.libc != machine.libc || wheel.major != machine.major)
        return false;
    return wheel.minor <= machine.minor;
}

/* ---- does it run there ---- */

struct machine {
    const struct python_target *target;
    unsigned major, minor;
    bool free_threaded;
};

/* "py3" and "py37" mean any Python from there on, within the major version. */
static bool is_generic_python(struct span tag, const struct machine *m)
{
    unsigned major, minor = 0;

    if (tag.len == 3 && span_skip_word(&tag, "py"))
        return (unsigned)(tag.at[0] - '0') == m->major;
    return take_python(&tag, "py", &major, &minor) && tag.len == 0 && major == m->major && minor <= m->minor;
}

static bool tag_fits(void *context, const struct tag *tag)
{
    const struct machine *m = context;
    struct span python = tag->python;
    unsigned major, minor;
    bool pure_abi = span_is(tag->abi, "none");

    if (!(pure_abi && span_is(tag->platform, "any")) && !platform_fits(tag->platform, m->target))
        return false;
    if (is_generic_python(python, m))
        return pure_abi;
    if (!take_python(&python, "cp", &major, &minor) || python.len > 0 || major != m->major)
        return false;
    if (span_is(tag->abi, "abi3")) /* came with Python 3.2 (PEP 384); free-threaded ones lack it */
        return major == 3 && minor >= 2 && minor <= m->minor && !m->free_threaded;
    return minor == m->minor && (pure_abi || span_is(tag->abi, m->target->abi));
}

bool python_wheel_fits(const struct wheel_name *wheel, const struct python_target *target)
{
    struct machine m = {.target = target};

    if (python_abi_parse(target->abi, &m.major, &m.minor, &m.free_threaded) < 0)
        return false;
    return each_tag(span_of(wheel->python), span_of(wheel->abi), span_of(wheel->platform), tag_fits, &m);
}
