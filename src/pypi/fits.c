/*
 * Judges the tags of PyPI's wheels by the targets. A pure function of both, and so worth remembering: of the millions of
 * wheels in the changelog most have one of a few hundred sets of tags.
 */
#include "fits.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "python.h"

#define SLOTS 16384u /* all is forgotten when three quarters are used */

struct fit {
    char *tags;
    uint64_t mask;
};

bool fits_tags(const char *file, char *tags, size_t size)
{
    struct wheel_name wheel;

    if (python_wheel_name_parse(file, &wheel) != 0)
        return false;
    snprintf(tags, size, "%s-%s-%s", wheel.python, wheel.abi, wheel.platform);
    for (char *c = tags; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return true;
}

uint64_t fits_judge(const struct db_targets *targets, const char *tags)
{
    struct wheel_name wheel;
    char name[FITS_TAGS_SIZE + 16];
    uint64_t mask = 0;

    snprintf(name, sizeof name, "x-1-%s.whl", tags);
    if (python_wheel_name_parse(name, &wheel) != 0)
        return 0;
    for (unsigned i = 0; i < targets->count; i++) {
        const struct db_target *t = &targets->items[i];
        struct python_target target = {.abi = t->abi, .platform = t->platform, .glibc_major = t->glibc_major,
                                       .glibc_minor = t->glibc_minor};
        if (python_wheel_fits(&wheel, &target))
            mask |= UINT64_C(1) << t->id;
    }
    return mask;
}

static void forget(struct fits *fits)
{
    for (size_t i = 0; fits->slots != NULL && i < SLOTS; i++) {
        free(fits->slots[i].tags);
        fits->slots[i].tags = NULL;
    }
    fits->used = 0;
}

void fits_set(struct fits *fits, const struct db_targets *targets)
{
    if (memcmp(&fits->targets, targets, sizeof *targets) == 0)
        return;
    forget(fits);
    fits->targets = *targets;
}

void fits_release(struct fits *fits)
{
    forget(fits);
    free(fits->slots);
    fits->slots = NULL;
}

/* FNV-1a */
static size_t hash(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

uint64_t fits_mask(struct fits *fits, const char *tags)
{
    if (fits->slots == NULL)
        fits->slots = mem_new(SLOTS, sizeof *fits->slots);
    if (fits->used >= SLOTS / 4 * 3)
        forget(fits);
    size_t at = hash(tags) % SLOTS;
    for (; fits->slots[at].tags != NULL; at = (at + 1) % SLOTS)
        if (strcmp(fits->slots[at].tags, tags) == 0)
            return fits->slots[at].mask;
    fits->used++;
    fits->slots[at] = (struct fit){mem_text(tags), fits_judge(&fits->targets, tags)};
    return fits->slots[at].mask;
}
