/*
 * PyPI's list of all projects (PEP 691, with _last-serial; some 43 MB), read as it arrives. A pure push parser, called by
 * sweep.c: it holds one project, whatever comes in.
 */
#ifndef PYPI_LIST_JSON_H
#define PYPI_LIST_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list_json {
    /* set by the owner before list_json_init. `name` is as PyPI spells it, but for names that are none, which are passed
     * over; valid during the call. */
    void (*project)(void *owner, const char *name, int64_t serial);
    void *owner;
    uint64_t projects;        /* how many were told */
    char reason[160];         /* what is wrong with it, after an error */
    /* private */
    void *yajl;
    int error;
    unsigned depth;           /* of open maps and arrays */
    enum { KEY_OTHER, KEY_PROJECTS, KEY_NAME, KEY_SERIAL } key; /* the last one, where it matters */
    bool in_list, seen_list;
    char name[256];
    int64_t serial;           /* -1: not told */
    bool in_string, escaped;  /* of the guard */
    size_t run;               /* bytes of the token so far */
};

/* `l` zeroed but for what the owner sets. Release in any case. */
void list_json_init(struct list_json *l);
void list_json_release(struct list_json *l);

/* 0, or -EPROTO with `reason`; after that nothing more may be fed. */
int list_json_feed(struct list_json *l, const char *data, size_t len);

/* It is over. 0, or -EPROTO with `reason` when it was cut off, or is no such list. */
int list_json_end(struct list_json *l);

#endif
