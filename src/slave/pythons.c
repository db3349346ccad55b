/*
 * Asks every Python once, at start (ask.c). slave.c opens them, session.c offers them to the master and finds the one that
 * a build wants.
 */
#include "pythons.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

const struct python *pythons_find(const struct pythons *p, const char *abi, const char *platform)
{
    for (unsigned i = 0; i < p->count; i++)
        if (strcmp(p->items[i].facts.abi, abi) == 0 && strcmp(p->items[i].facts.platform, platform) == 0)
            return &p->items[i];
    return NULL;
}

static int add(struct pythons *p, const char *path, char *why, size_t why_size)
{
    struct slave_python facts;

    if (p->count == PYTHONS_MAX) {
        snprintf(why, why_size, "a slave builds with at most %d Pythons; %s is one too many", PYTHONS_MAX, path);
        return -E2BIG;
    }
    int error = slave_ask_python(path, &facts, why, why_size);
    if (error != 0)
        return error;
    const struct python *like = pythons_find(p, facts.abi, facts.platform);
    if (like != NULL) {
        snprintf(why, why_size, "%s and %s both build for %s on %s; name one of them", like->path, path, facts.abi,
                 facts.platform);
        return -EEXIST;
    }
    p->items[p->count++] = (struct python){.path = mem_text(path), .facts = facts};
    return 0;
}

int pythons_open(struct pythons *p, const char *paths, char *why, size_t why_size)
{
    char *rest = mem_text(paths), *at = rest;
    int error = 0;

    p->count = 0;
    for (char *path; error == 0 && (path = strsep(&at, ",")) != NULL;)
        error = add(p, path, why, why_size);
    free(rest);
    return error;
}

void pythons_close(struct pythons *p)
{
    for (unsigned i = 0; i < p->count; i++)
        free(p->items[i].path);
    p->count = 0;
}

const char *pythons_tell(const struct pythons *p, char *to, size_t size)
{
    size_t len = 0;

    to[0] = '\0';
    for (unsigned i = 0; i < p->count && len < size; i++) {
        const struct slave_python *one = &p->items[i].facts;
        const char *join = i == 0 ? "" : i + 1 < p->count ? ", " : " and ";
        len += (size_t)snprintf(to + len, size - len, "%s%s on %s", join, one->abi, one->platform);
    }
    return to;
}
