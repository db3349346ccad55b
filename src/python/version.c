/*
 * PEP 440 versions: parsed, ordered, spelled anew. The order is defined once, by a key whose bytes compare as
 * the versions do; the database stores that key, and version_compare() compares two of them.
 */
#include "version.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "python.h"

/* ---- parsing: one function for each part, in the order in which they stand in a version ---- */

struct phase {
    const char *word;
    enum version_pre pre; /* what it means as a pre-release */
};

/* A word that begins with another stands before it. */
static const struct phase pre_words[] = {
    {"alpha", PRE_ALPHA}, {"a", PRE_ALPHA}, {"beta", PRE_BETA}, {"b", PRE_BETA},
    {"preview", PRE_CANDIDATE}, {"pre", PRE_CANDIDATE}, {"rc", PRE_CANDIDATE}, {"c", PRE_CANDIDATE},
    {NULL, PRE_NONE},
};
static const struct phase post_words[] = {
    {"post", PRE_NONE}, {"rev", PRE_NONE}, {"r", PRE_NONE}, {NULL, PRE_NONE},
};
static const struct phase dev_words[] = {{"dev", PRE_NONE}, {NULL, PRE_NONE}};

static bool take_char(struct span *text, char c)
{
    if (text->len == 0 || ascii_lower(text->at[0]) != c)
        return false;
    span_skip(text, 1);
    return true;
}

static void take_separator(struct span *text)
{
    if (!take_char(text, '.') && !take_char(text, '-'))
        take_char(text, '_');
}

static struct span without_zeros(struct span digits)
{
    while (digits.len > 0 && digits.at[0] == '0')
        span_skip(&digits, 1);
    return digits;
}

/* The digits that come next, without leading zeros. False when there are none. */
static bool take_number(struct span *text, struct span *digits)
{
    size_t len = 0;

    while (len < text->len && ascii_digit(text->at[len]))
        len++;
    *digits = without_zeros((struct span){text->at, len});
    span_skip(text, len);
    return len > 0;
}

/* ".rc-1": an optional separator, one of the words, and perhaps a number. NULL when no word is there. */
static const struct phase *take_phase(struct span *text, const struct phase *words, struct span *number)
{
    struct span rest = *text;

    take_separator(&rest);
    for (; words->word; words++) {
        if (!span_skip_word(&rest, words->word))
            continue;
        take_separator(&rest);
        take_number(&rest, number);
        *text = rest;
        return words;
    }
    return NULL;
}

/* "1!1.2.3" */
static bool take_epoch_and_release(struct span *text, struct version *to)
{
    struct span number, rest;

    rest = *text;
    if (take_number(&rest, &number) && take_char(&rest, '!')) {
        to->epoch = number;
        *text = rest;
    }
    to->release = *text;
    if (!take_number(text, &number))
        return false;
    for (rest = *text; take_char(&rest, '.') && take_number(&rest, &number);)
        *text = rest;
    to->release.len = (size_t)(text->at - to->release.at);
    return true;
}

/* "-1" is a post-release without its word. */
static bool take_post(struct span *text, struct version *to)
{
    struct span rest = *text;

    if (take_char(&rest, '-') && take_number(&rest, &to->post_number)) {
        *text = rest;
        return true;
    }
    return take_phase(text, post_words, &to->post_number) != NULL;
}

/* The local part must be all that is left: letters and digits, with single separators between them. */
static bool local_valid(struct span local)
{
    bool between = false;

    for (size_t i = 0; i < local.len; i++) {
        if (ascii_alnum(local.at[i]))
            between = true;
        else if (between && strchr("-_.", local.at[i]))
            between = false;
        else
            return false;
    }
    return between;
}

int version_parse(struct span text, struct version *to)
{
    const struct phase *pre;

    *to = (struct version){0};
    if (text.len > PYTHON_VERSION_MAX)
        return -EINVAL;
    take_char(&text, 'v');
    if (!take_epoch_and_release(&text, to))
        return -EINVAL;
    pre = take_phase(&text, pre_words, &to->pre_number);
    to->pre = pre ? pre->pre : PRE_NONE;
    to->has_post = take_post(&text, to);
    to->has_dev = take_phase(&text, dev_words, &to->dev_number) != NULL;
    if (text.len == 0)
        return 0;
    if (!take_char(&text, '+') || !local_valid(text))
        return -EINVAL;
    to->local = text;
    return 0;
}

static int parse_text(const char *version, struct version *to)
{
    return version_parse(span_trim(span_of(version)), to);
}

/* ---- parts of a parsed version ---- */

bool version_is_prerelease(const struct version *v)
{
    return v->pre != PRE_NONE || v->has_dev;
}

struct version version_public(const struct version *v)
{
    struct version public = *v;

    public.local = (struct span){0};
    return public;
}

struct version version_base(const struct version *v)
{
    return (struct version){.epoch = v->epoch, .release = v->release};
}

bool version_next_number(struct span *release, struct span *digits)
{
    if (!take_number(release, digits))
        return false;
    take_char(release, '.');
    return true;
}

/* The next segment of a local part: its text, or its digits when it is a number. False when none is left. */
static bool next_local(struct span *local, struct span *segment, bool *is_number)
{
    size_t len = 0;

    *is_number = true;
    while (len < local->len && ascii_alnum(local->at[len]))
        *is_number = ascii_digit(local->at[len++]) && *is_number;
    if (len == 0)
        return false;
    *segment = (struct span){local->at, len};
    if (*is_number)
        *segment = without_zeros(*segment);
    span_skip(local, len);
    take_separator(local);
    return true;
}

/* ---- the order ---- */

/* No part of a version makes more than two bytes of key from one of text; the marks below come on top. */
#define KEY_MAX (2 * PYTHON_VERSION_MAX + 16)

struct key {
    uint8_t bytes[KEY_MAX];
    size_t len;
};

/* Marks, in the order in which what they stand for sorts. */
enum { KEY_END, KEY_TEXT, KEY_NUMBER };                /* of a list's next element */
enum { KEY_PRE_DEV, KEY_PRE_ALPHA, KEY_PRE_BETA, KEY_PRE_CANDIDATE, KEY_PRE_NONE };
enum { KEY_POST_NONE, KEY_POST };
enum { KEY_DEV, KEY_DEV_NONE };
enum { KEY_UNPARSABLE, KEY_PARSED };                   /* the first byte of a stored key */

static void key_byte(struct key *k, unsigned byte)
{
    assert(k->len < sizeof k->bytes && byte <= UINT8_MAX);
    k->bytes[k->len++] = (uint8_t)byte;
}

static void key_text(struct key *k, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        key_byte(k, (uint8_t)ascii_lower(text.at[i]));
}

/* The longer of two numbers is the greater. One more than the length, so that KEY_END sorts below nought. */
static void key_number(struct key *k, struct span digits)
{
    key_byte(k, (unsigned)digits.len + 1);
    key_text(k, digits);
}

static void key_release(struct key *k, struct span release)
{
    struct span number;
    size_t used = k->len;

    while (version_next_number(&release, &number)) {
        key_number(k, number);
        if (number.len > 0)
            used = k->len;
    }
    k->len = used; /* trailing zeros do not count: 1.0 is 1 */
    key_byte(k, KEY_END);
}

static void key_pre(struct key *k, const struct version *v)
{
    static const uint8_t marks[] = {
        [PRE_NONE] = KEY_PRE_NONE, [PRE_ALPHA] = KEY_PRE_ALPHA,
        [PRE_BETA] = KEY_PRE_BETA, [PRE_CANDIDATE] = KEY_PRE_CANDIDATE,
    };

    if (v->pre == PRE_NONE && !v->has_post && v->has_dev) {
        key_byte(k, KEY_PRE_DEV); /* 1.0.dev1 comes before 1.0a1, though 1.0a1.dev1 does too */
        return;
    }
    key_byte(k, marks[v->pre]);
    if (v->pre != PRE_NONE)
        key_number(k, v->pre_number);
}

static void key_local(struct key *k, struct span local)
{
    struct span segment;
    bool is_number;

    while (next_local(&local, &segment, &is_number)) {
        key_byte(k, is_number ? KEY_NUMBER : KEY_TEXT);
        if (is_number) {
            key_number(k, segment);
        } else {
            key_text(k, segment);
            key_byte(k, KEY_END);
        }
    }
    key_byte(k, KEY_END);
}

static void key_make(struct key *k, const struct version *v)
{
    k->len = 0;
    key_number(k, v->epoch);
    key_release(k, v->release);
    key_pre(k, v);
    key_byte(k, v->has_post ? KEY_POST : KEY_POST_NONE);
    if (v->has_post)
        key_number(k, v->post_number);
    key_byte(k, v->has_dev ? KEY_DEV : KEY_DEV_NONE);
    if (v->has_dev)
        key_number(k, v->dev_number);
    key_local(k, v->local);
}

/* No key is the beginning of another, so the shorter length decides before it ends. */
int version_compare(const struct version *a, const struct version *b)
{
    struct key left, right;

    key_make(&left, a);
    key_make(&right, b);
    return memcmp(left.bytes, right.bytes, left.len < right.len ? left.len : right.len);
}

/* ---- the public face ---- */

bool python_version_valid(const char *version)
{
    struct version v;

    return parse_text(version, &v) == 0;
}

bool python_version_prerelease(const char *version)
{
    struct version v;

    return parse_text(version, &v) == 0 && version_is_prerelease(&v);
}

int python_version_compare(const char *a, const char *b)
{
    struct version left, right;
    bool left_valid = parse_text(a, &left) == 0, right_valid = parse_text(b, &right) == 0;

    if (left_valid && right_valid)
        return version_compare(&left, &right);
    if (left_valid != right_valid)
        return left_valid ? 1 : -1;
    return strcmp(a, b);
}

int python_version_sort_key(const char *version, struct buf *to)
{
    struct version v;
    struct key key;

    if (parse_text(version, &v) == 0) {
        key_make(&key, &v);
        buf_addc(to, KEY_PARSED);
        return buf_add(to, key.bytes, key.len);
    }
    buf_addc(to, KEY_UNPARSABLE);
    return buf_add(to, version, strlen(version) + 1); /* its NUL ends it: no key begins another */
}

static void add_number(struct buf *to, struct span digits)
{
    if (digits.len == 0)
        buf_addc(to, '0');
    else
        buf_add(to, digits.at, digits.len);
}

static void add_part(struct buf *to, const char *word, struct span digits)
{
    buf_adds(to, word);
    add_number(to, digits);
}

static void add_local(struct buf *to, struct span local)
{
    struct span segment;
    bool is_number;

    for (char before = '+'; next_local(&local, &segment, &is_number); before = '.') {
        buf_addc(to, before);
        if (is_number)
            add_number(to, segment);
        else
            for (size_t i = 0; i < segment.len; i++)
                buf_addc(to, ascii_lower(segment.at[i]));
    }
}

int python_version_normalise(const char *version, struct buf *to)
{
    static const char *const pre_letters[] = {
        [PRE_NONE] = "", [PRE_ALPHA] = "a", [PRE_BETA] = "b", [PRE_CANDIDATE] = "rc",
    };
    struct version v;
    struct span number;

    if (parse_text(version, &v) < 0)
        return buf_adds(to, version);
    if (v.epoch.len > 0) {
        buf_add(to, v.epoch.at, v.epoch.len);
        buf_addc(to, '!');
    }
    for (const char *before = ""; version_next_number(&v.release, &number); before = ".")
        add_part(to, before, number);
    if (v.pre != PRE_NONE)
        add_part(to, pre_letters[v.pre], v.pre_number);
    if (v.has_post)
        add_part(to, ".post", v.post_number);
    if (v.has_dev)
        add_part(to, ".dev", v.dev_number);
    add_local(to, v.local);
    return to->full ? -ENOBUFS : 0;
}
