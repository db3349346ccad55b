/*
 * Reads NAME.conf. Every key is a row of the table; overrides.c calls this on a pool thread.
 */
#include "read.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/debian.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "core/quantity.h"
#include "core/text.h"
#include "python.h"

#define BLANKS " \t,"
#define VARIABLE_NAME_MAX 64 /* as BUILD takes it: schema/messages.def */

static bool set_amount(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);
static bool set_size(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);
static bool set_span(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);
static bool set_network(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);
static bool add_constraint(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);
static bool add_debian(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);

/* The limits have the names that they have among the slave's options. */
static const struct key {
    const char *section, *name;
    bool (*set)(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE]);
    size_t offset;                /* of a limit */
} keys[] = {
    {"build", "network", set_network, 0},
    {"build", "constraint", add_constraint, 0},
    {"build", "debian", add_debian, 0},
    {"limits", "timeout", set_span, offsetof(struct override, timeout_ms)},
    {"limits", "silence", set_span, offsetof(struct override, limits.silence_ms)},
    {"limits", "cpu", set_span, offsetof(struct override, limits.cpu_ms)},
    {"limits", "memory", set_size, offsetof(struct override, limits.memory_bytes)},
    {"limits", "disk", set_size, offsetof(struct override, limits.disk_bytes)},
    {"limits", "disk-files", set_amount, offsetof(struct override, limits.disk_files)},
    {"limits", "output", set_size, offsetof(struct override, limits.output_bytes)},
    {"limits", "processes", set_amount, offsetof(struct override, limits.processes)},
    {"limits", "open-files", set_amount, offsetof(struct override, limits.open_files)},
};

static const char *const sections[] = {"build", "limits", "environment"};

/* ---- values ---- */

static bool set_limit(struct override *o, size_t offset, const char *text, int error, int64_t value, const char *refusal,
                      char why[INI_WHY_SIZE])
{
    if (error == 0 && value > 0) {
        *(uint64_t *)(void *)((char *)o + offset) = (uint64_t)value;
        return true;
    }
    snprintf(why, INI_WHY_SIZE, "\"%.100s\" %s", text, error != 0 ? refusal : "must be more than nothing");
    return false;
}

static bool set_amount(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE])
{
    int64_t value = 0;
    int error = quantity_number(text, &value);
    return set_limit(o, offset, text, error, value, QUANTITY_NO_NUMBER, why);
}

static bool set_size(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE])
{
    int64_t value = 0;
    int error = quantity_size(text, &value);
    return set_limit(o, offset, text, error, value, QUANTITY_NO_SIZE, why);
}

static bool set_span(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE])
{
    int64_t value = 0;
    int error = quantity_span(text, &value);
    return set_limit(o, offset, text, error, value, QUANTITY_NO_SPAN, why);
}

static bool set_network(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE])
{
    static const char *const known[] = {"index", "none", "all"};

    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(known[i], text) == 0) {
            free(o->network);
            o->network = mem_text(text);
            return true;
        }
    snprintf(why, INI_WHY_SIZE, "\"%.100s\" is no network; write index, none or all", text);
    return false;
}

static bool add_text(char ***texts, unsigned *count, unsigned most, char *text, char why[INI_WHY_SIZE])
{
    if (*count == most) {
        free(text);
        snprintf(why, INI_WHY_SIZE, "there are more than %u", most);
        return false;
    }
    *texts = mem_resize(*texts, *count + 1, sizeof **texts);
    (*texts)[(*count)++] = text;
    return true;
}

/* A name and versions, and nothing else: pip would read files and addresses, too. */
static bool add_constraint(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE])
{
    struct requirement r;
    char fault[200] = "";

    int found = strpbrk(text, ";[@#") == NULL ? python_requirement_parse(text, &r, fault, sizeof fault) : 0;
    if (found == 1 && r.specifiers[0] != '\0' && strlen(r.name) + strlen(r.specifiers) <= 255 &&
        python_specifiers_match(r.specifiers, "1", true) >= 0)
        return add_text(&o->constraints, &o->constraint_count, OVERRIDE_MAX_CONSTRAINTS,
                        mem_format("%s%s", r.name, r.specifiers), why);
    snprintf(why, INI_WHY_SIZE, "\"%.200s\" is no name with versions, such as setuptools<60", text);
    return false;
}

static bool add_debian(struct override *o, size_t offset, const char *text, char why[INI_WHY_SIZE])
{
    for (text += strspn(text, BLANKS); text[0] != '\0'; text += strspn(text, BLANKS)) {
        size_t len = strcspn(text, BLANKS);
        char *name = mem_textn(text, len);
        if (!debian_name_valid(name)) {
            snprintf(why, INI_WHY_SIZE, "\"%.100s\" is no name of a Debian package", name);
            free(name);
            return false;
        }
        if (!add_text(&o->debian, &o->debian_count, OVERRIDE_MAX_DEBIAN, name, why))
            return false;
        text += len;
    }
    return true;
}

/* ---- the environment ---- */

/* Whether the slave sets it itself, in src/slave/build.c, to hold the build together. */
static bool is_the_slaves(const char *name)
{
    static const char *const names[] = {"HOME", "TMPDIR", "SOURCE_DATE_EPOCH", "PIWHEELS_BUILD", "http_proxy", "https_proxy",
                                        "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"};

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return text_starts(name, "PIP_");
}

static bool add_variable(struct override *o, const char *name, const char *value, char why[INI_WHY_SIZE])
{
    if (!text_is_identifier(name) || strlen(name) > VARIABLE_NAME_MAX)
        snprintf(why, INI_WHY_SIZE, "\"%.100s\" is no name of a variable", name);
    else if (is_the_slaves(name))
        snprintf(why, INI_WHY_SIZE, "%s is set by the slave itself%s", name,
                 text_starts(name, "PIP_") ? "; what may be installed for the build is said by constraint in [build]" : "");
    else if (!text_is_utf8(value, strlen(value)))
        snprintf(why, INI_WHY_SIZE, "the value of %s is no UTF-8", name);
    else if (o->variable_count == OVERRIDE_MAX_VARIABLES)
        snprintf(why, INI_WHY_SIZE, "there are more than %u variables", OVERRIDE_MAX_VARIABLES);
    else {
        for (unsigned i = 0; i < o->variable_count; i++)
            if (strcmp(o->variables[i].name, name) == 0) {
                snprintf(why, INI_WHY_SIZE, "%s is given twice", name);
                return false;
            }
        o->variables = mem_resize(o->variables, o->variable_count + 1, sizeof *o->variables);
        o->variables[o->variable_count++] = (struct override_variable){mem_text(name), mem_text(value)};
        return true;
    }
    return false;
}

/* ---- the file ---- */

static void add_hint(char why[INI_WHY_SIZE], const char *near, const char *before, const char *behind)
{
    size_t len = strlen(why);
    if (near != NULL)
        snprintf(why + len, INI_WHY_SIZE - len, "; did you mean %s%s%s?", before, near, behind);
}

static bool on_section(void *owner, const char *section, char why[INI_WHY_SIZE])
{
    for (size_t i = 0; i < COUNT_OF(sections); i++)
        if (strcmp(sections[i], section) == 0)
            return true;
    snprintf(why, INI_WHY_SIZE, "unknown section [%.100s]", section);
    add_hint(why, nearest_name(section, sections, COUNT_OF(sections)), "[", "]");
    return false;
}

/* '-' and '_' are alike, as they are in piwheels.conf. */
static bool same_key(const char *known, const char *typed)
{
    for (; *known != '\0' && (*known == *typed || (*known == '-' && *typed == '_')); known++)
        typed++;
    return *known == '\0' && *typed == '\0';
}

static bool explain_unknown(const char *section, const char *name, char why[INI_WHY_SIZE])
{
    const char *known[COUNT_OF(keys)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (same_key(keys[i].name, name)) {
            snprintf(why, INI_WHY_SIZE, "%.100s belongs into [%s], not into [%s]", name, keys[i].section, section);
            return false;
        }
        if (strcmp(keys[i].section, section) == 0)
            known[count++] = keys[i].name;
    }
    snprintf(why, INI_WHY_SIZE, "unknown key %.100s in [%s]", name, section);
    add_hint(why, nearest_name(name, known, count), "", "");
    return false;
}

static bool on_setting(void *owner, const char *place, const char *section, const char *name, const char *text,
                       char why[INI_WHY_SIZE])
{
    struct override *o = owner;
    char fault[INI_WHY_SIZE];

    if (section[0] == '\0') {
        snprintf(why, INI_WHY_SIZE, "%.100s stands before any [section]", name);
        return false;
    }
    if (strcmp(section, "environment") == 0)
        return add_variable(o, name, text, why);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(keys[i].section, section) == 0 && same_key(keys[i].name, name)) {
            if (keys[i].set(o, keys[i].offset, text, fault))
                return true;
            snprintf(why, INI_WHY_SIZE, "%s: %.400s", keys[i].name, fault);
            return false;
        }
    return explain_unknown(section, name, why);
}

struct override *override_read(const char *path, const char *package, char *why, size_t why_size)
{
    static const struct ini_events events = {on_section, on_setting};
    struct override *o = mem_new(1, sizeof *o);

    text_copy(o->package, sizeof o->package, package);
    if (ini_file_read(path, &events, o, why, why_size) != 0) {
        override_free(o);
        return NULL;
    }
    override_seal(o);
    return o;
}
