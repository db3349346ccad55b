/*
 * The build attributes of 32-bit Arm code: which processor it was made for. object.c asks for each object.
 *
 *     'A' { length vendor NUL { tag length { attribute value }… }… }…
 *
 * The first length and the second are 32-bit words that count themselves; tags and values are ULEB128 numbers, or
 * texts. Only the vendor "aeabi" says something about processors.
 */
#include <string.h>

#include "object.h"

#define FORMAT_VERSION 'A'
#define WORD_BYTES 4

enum { SCOPE_FILE = 1, SCOPE_SECTION = 2, SCOPE_SYMBOL = 3 };

enum {
    TAG_CPU_RAW_NAME = 4, TAG_CPU_NAME = 5, TAG_CPU_ARCH = 6, TAG_THUMB_ISA_USE = 9, TAG_FP_ARCH = 10,
    TAG_WMMX_ARCH = 11, TAG_ADVANCED_SIMD_ARCH = 12, TAG_COMPATIBILITY = 32, TAG_FP_HP_EXTENSION = 36,
    TAG_MP_EXTENSION_USE = 42, TAG_DIV_USE = 44, TAG_T2EE_USE = 66, TAG_VIRTUALIZATION_USE = 68,
};

/* What an ARMv6 can do: bit n stands for the attribute's value n. */
static const struct {
    uint64_t tag;
    uint32_t allowed;
} rules[] = {
    {TAG_CPU_ARCH, 0x2ff},          /* up to v6 (6), v6KZ (7) and v6K (9); not v6T2 (8), which has Thumb-2 */
    {TAG_THUMB_ISA_USE, 0xb},       /* none, 16-bit, or what the architecture has; not Thumb-2 (2) */
    {TAG_FP_ARCH, 0x7},             /* up to VFPv2 (2) */
    {TAG_WMMX_ARCH, 0x1},
    {TAG_ADVANCED_SIMD_ARCH, 0x1},  /* NEON */
    {TAG_FP_HP_EXTENSION, 0x1},     /* half precision */
    {TAG_MP_EXTENSION_USE, 0x1},
    {TAG_DIV_USE, 0x3},             /* none, or as the architecture has it, which is none */
    {TAG_T2EE_USE, 0x1},
    {TAG_VIRTUALIZATION_USE, 0x3},  /* TrustZone is v6KZ's */
};

struct bytes_left {
    const uint8_t *at, *end;
    bool big_endian;
};

static size_t left(const struct bytes_left *b)
{
    return (size_t)(b->end - b->at);
}

/* A number in ULEB128. What does not fit 64 bits is no number that an attribute has. */
static bool take_number(struct bytes_left *b, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; b->at < b->end && shift < 63; shift += 7) {
        uint8_t byte = *b->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

static bool take_text(struct bytes_left *b, const char **text)
{
    const uint8_t *nul = memchr(b->at, '\0', left(b));

    if (nul == NULL)
        return false;
    *text = (const char *)b->at;
    b->at = nul + 1;
    return true;
}

/* A part that begins at `start` and whose length, which stands at `b->at`, counts from there: what of it follows
 * the length. `b` goes on behind it. */
static bool take_part(struct bytes_left *b, const uint8_t *start, struct bytes_left *part)
{
    uint32_t length = 0;

    if (left(b) < WORD_BYTES)
        return false;
    for (unsigned i = 0; i < WORD_BYTES; i++)
        length |= (uint32_t)b->at[i] << 8 * (b->big_endian ? WORD_BYTES - 1 - i : i);
    b->at += WORD_BYTES;
    if (length < (size_t)(b->at - start) || length > (size_t)(b->end - start))
        return false;
    *part = (struct bytes_left){b->at, start + length, b->big_endian};
    b->at = part->end;
    return true;
}

static bool is_text(uint64_t tag)
{
    return tag == TAG_CPU_RAW_NAME || tag == TAG_CPU_NAME || (tag > TAG_COMPATIBILITY && tag % 2 == 1);
}

static bool value_allowed(uint64_t tag, uint64_t value)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].tag == tag)
            return value < 32 && (rules[i].allowed >> value & 1) != 0;
    return true;
}

static bool attributes_allow_v6(struct bytes_left *b)
{
    const char *text;
    uint64_t tag, value;

    while (left(b) > 0) {
        if (!take_number(b, &tag))
            return false;
        if (!is_text(tag) && (!take_number(b, &value) || !value_allowed(tag, value)))
            return false;
        if ((is_text(tag) || tag == TAG_COMPATIBILITY) && !take_text(b, &text))
            return false;
    }
    return true;
}

/* What is said of single sections or symbols follows a list of their numbers, ended by 0. */
static bool skip_numbers(struct bytes_left *b)
{
    uint64_t number;

    do {
        if (!take_number(b, &number))
            return false;
    } while (number != 0);
    return true;
}

/* One vendor's; `told` is set when something is said of the whole file. */
static bool vendor_allows_v6(struct bytes_left *b, bool *told)
{
    struct bytes_left part;
    uint64_t scope;

    while (left(b) > 0) {
        const uint8_t *start = b->at;
        if (!take_number(b, &scope) || !take_part(b, start, &part))
            return false;
        if ((scope == SCOPE_SECTION || scope == SCOPE_SYMBOL) && !skip_numbers(&part))
            return false;
        if (scope < SCOPE_FILE || scope > SCOPE_SYMBOL || !attributes_allow_v6(&part))
            return false;
        *told = *told || scope == SCOPE_FILE;
    }
    return true;
}

bool object_arm_runs_on_v6(const uint8_t *section, size_t len, bool big_endian)
{
    struct bytes_left b = {section, section + len, big_endian}, part;
    const char *vendor;
    bool told = false;

    if (len == 0 || *b.at++ != FORMAT_VERSION)
        return false;
    while (left(&b) > 0) {
        if (!take_part(&b, b.at, &part) || !take_text(&part, &vendor))
            return false;
        if (strcmp(vendor, "aeabi") == 0 && !vendor_allows_v6(&part, &told))
            return false;
    }
    return told;
}
