/*
 * Version specifiers (PEP 440): which versions "~=1.4,!=1.4.3" means, and which Pythons a Requires-Python
 * leaves. The pypi stage asks: which releases a request names, and which targets can build them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python.h"
#include "version.h"

enum operator { ARBITRARY, COMPATIBLE, EQUAL, UNEQUAL, AT_MOST, AT_LEAST, LESS, GREATER };

/* An operator that begins with another stands before it. */
static const struct {
    const char *text;
    enum operator operator;
} operators[] = {
    {"===", ARBITRARY}, {"~=", COMPATIBLE}, {"==", EQUAL}, {"!=", UNEQUAL},
    {"<=", AT_MOST}, {">=", AT_LEAST}, {"<", LESS}, {">", GREATER},
};

/* Longer lists do not parse: judging Requires-Python takes the square of their length. */
#define SPECIFIERS_MAX 4096

struct specifier {
    enum operator operator;
    struct span text;       /* the version as spelled, without ".*" */
    bool prefix;            /* it ended in ".*" */
    struct version version; /* not of ARBITRARY, whose text may be anything */
};

/* A version to judge, with what the judging needs of it. */
struct candidate {
    const char *text;
    bool parsed;
    struct version version;
};

/* ---- parsing ---- */

static bool take_operator(struct span *text, enum operator *operator)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (!span_skip_word(text, operators[i].text))
            continue;
        *operator = operators[i].operator;
        *text = span_trim(*text);
        return true;
    }
    return false;
}

static bool is_single_word(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (ascii_space(text.at[i]) || text.at[i] == ';' || text.at[i] == ')')
            return false;
    return text.len > 0;
}

static bool is_release_only(const struct version *v)
{
    return v->pre == PRE_NONE && !v->has_post && !v->has_dev && v->local.len == 0;
}

static bool version_suits_operator(const struct specifier *s)
{
    if (s->prefix && !is_release_only(&s->version))
        return false;
    if (s->operator == COMPATIBLE && !memchr(s->version.release.at, '.', s->version.release.len))
        return false; /* ~=1 would mean any version at all */
    return s->version.local.len == 0 || s->operator == EQUAL || s->operator == UNEQUAL;
}

static int parse_specifier(struct span text, struct specifier *to)
{
    *to = (struct specifier){0};
    if (!take_operator(&text, &to->operator))
        return -EINVAL;
    if (to->operator == ARBITRARY) {
        to->text = text;
        return is_single_word(text) ? 0 : -EINVAL;
    }
    if ((to->operator == EQUAL || to->operator == UNEQUAL) && text.len > 2 &&
        memcmp(text.at + text.len - 2, ".*", 2) == 0) {
        to->prefix = true;
        text.len -= 2;
    }
    to->text = text;
    if (version_parse(text, &to->version) < 0 || !version_suits_operator(to))
        return -EINVAL;
    return 0;
}

/* The next of a comma-separated list; empty ones are passed over. 1, 0 at the end, or -EINVAL. */
static int next_specifier(struct span *list, struct specifier *to)
{
    while (list->len > 0) {
        struct span one = span_trim(span_cut(list, ','));

        if (one.len > 0)
            return parse_specifier(one, to) < 0 ? -EINVAL : 1;
    }
    return 0;
}

/* ---- matching ---- */

#define NORMALISED_MAX (3 * PYTHON_VERSION_MAX) /* "r" becomes ".post0" */

/* Whether the candidate is of the epoch and begins with the numbers; what it lacks is nought: 1 is 1.0.*. */
static bool has_prefix(const struct version *candidate, struct span epoch, struct span prefix)
{
    struct span release = candidate->release, wanted, number;

    if (!span_same(candidate->epoch, epoch))
        return false;
    while (version_next_number(&prefix, &wanted)) {
        if (!version_next_number(&release, &number))
            number.len = 0;
        if (!span_same(number, wanted))
            return false;
    }
    return true;
}

static bool same_base(const struct version *a, const struct version *b)
{
    struct version left = version_base(a), right = version_base(b);

    return version_compare(&left, &right) == 0;
}

/* A local part counts only where the specifier has one: 1.0+x is "==1.0". */
static bool equals(const struct version *candidate, const struct specifier *s)
{
    struct version public = version_public(candidate);

    if (s->prefix)
        return has_prefix(candidate, s->version.epoch, s->version.release);
    return version_compare(s->version.local.len > 0 ? candidate : &public, &s->version) == 0;
}

/* ~=1.4.2 is ">=1.4.2,==1.4.*" */
static bool compatible(const struct version *candidate, const struct version *wanted)
{
    struct version public = version_public(candidate);
    struct span prefix = wanted->release;

    while (prefix.at[prefix.len - 1] != '.')
        prefix.len--;
    prefix.len--;
    return version_compare(&public, wanted) >= 0 && has_prefix(candidate, wanted->epoch, prefix);
}

/* "<1.0" does not mean 1.0rc1, unless it names a pre-release itself. */
static bool less(const struct version *candidate, const struct version *limit)
{
    if (version_compare(candidate, limit) >= 0)
        return false;
    return version_is_prerelease(limit) || !version_is_prerelease(candidate) || !same_base(candidate, limit);
}

/* ">1.0" means neither 1.0.post1, unless it names a post-release itself, nor 1.0+local. */
static bool greater(const struct version *candidate, const struct version *limit)
{
    if (version_compare(candidate, limit) <= 0)
        return false;
    if (candidate->has_post && !limit->has_post && same_base(candidate, limit))
        return false;
    return candidate->local.len == 0 || !same_base(candidate, limit);
}

/* As text, in the spelling given or in the normalised one. */
static bool arbitrarily_equal(const char *candidate, struct span wanted)
{
    struct span given = span_trim(span_of(candidate));
    struct buf normal;
    bool equal;

    if (span_same(given, wanted))
        return true;
    buf_init(&normal, NORMALISED_MAX);
    equal = python_version_normalise(candidate, &normal) == 0 && span_is(wanted, normal.data);
    buf_release(&normal);
    return equal;
}

static bool matches(const struct specifier *s, const struct candidate *c)
{
    struct version public;

    if (s->operator == ARBITRARY)
        return arbitrarily_equal(c->text, s->text);
    if (!c->parsed)
        return false;
    public = version_public(&c->version);
    switch (s->operator) {
    case ARBITRARY:
        break;
    case COMPATIBLE:
        return compatible(&c->version, &s->version);
    case EQUAL:
        return equals(&c->version, s);
    case UNEQUAL:
        return !equals(&c->version, s);
    case AT_MOST:
        return version_compare(&public, &s->version) <= 0;
    case AT_LEAST:
        return version_compare(&public, &s->version) >= 0;
    case LESS:
        return less(&c->version, &s->version);
    case GREATER:
        return greater(&c->version, &s->version);
    }
    return false;
}

static bool names_prerelease(const struct specifier *s)
{
    struct version v;

    if (s->operator == ARBITRARY)
        return version_parse(s->text, &v) == 0 && version_is_prerelease(&v);
    return s->operator != UNEQUAL && version_is_prerelease(&s->version);
}

int python_specifiers_match(const char *specifiers, const char *version, bool prereleases)
{
    struct span list = span_of(specifiers);
    struct candidate candidate = {.text = version};
    struct specifier s;
    bool all = true;
    int rc;

    if (list.len > SPECIFIERS_MAX)
        return -EINVAL;
    candidate.parsed = version_parse(span_trim(span_of(version)), &candidate.version) == 0;
    while ((rc = next_specifier(&list, &s)) > 0) {
        all = matches(&s, &candidate) && all;
        prereleases = names_prerelease(&s) || prereleases;
    }
    if (rc < 0)
        return rc;
    if (candidate.parsed && version_is_prerelease(&candidate.version) && !prereleases)
        return 0;
    return all;
}

/* ---- Requires-Python ---- */

/* No Python has a patch number of more digits; a specifier that names one fits none. */
#define PATCH_DIGITS_MAX 9

static bool patch_fits(const char *requires_python, const char *python, unsigned long patch)
{
    char version[PYTHON_VERSION_MAX + 1];
    int len = snprintf(version, sizeof version, "%s.%lu", python, patch);

    return len > 0 && (size_t)len < sizeof version &&
           python_specifiers_match(requires_python, version, true) != 0;
}

/* The third number of the specifier's release: nought when it has none. */
static bool named_patch(const struct specifier *s, unsigned long *patch)
{
    struct span release = s->version.release, number = {0};
    char digits[PATCH_DIGITS_MAX + 1] = "";

    for (int i = 0; i < 3; i++)
        if (!version_next_number(&release, &number))
            number.len = 0;
    if (number.len > PATCH_DIGITS_MAX)
        return false;
    if (number.len > 0)
        memcpy(digits, number.at, number.len);
    *patch = strtoul(digits, NULL, 10);
    return true;
}

/* What the specifiers leave of X.Y.0, X.Y.1, … are runs, and each run begins at nought, at a patch number
 * that one of them names, or right after it: so only those need to be tried. */
bool python_requires_allows(const char *requires_python, const char *python)
{
    struct span list = span_of(requires_python);
    struct specifier s;
    unsigned long patch;
    int rc;

    if (patch_fits(requires_python, python, 0))
        return true;
    while ((rc = next_specifier(&list, &s)) > 0) {
        if (s.operator == ARBITRARY && version_parse(s.text, &s.version) < 0)
            continue;
        if (named_patch(&s, &patch) &&
            (patch_fits(requires_python, python, patch) || patch_fits(requires_python, python, patch + 1)))
            return true;
    }
    return rc < 0;
}
