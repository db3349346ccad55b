/*
 * From the objects of a wheel to the libraries of the system that they need. needs.c calls it on a pool thread.
 *
 * What a wheel says is hostile: the places looked at are counted, and there is an end to it.
 */
#include "libraries.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define PLACES_MAX 50000
#define PATH_PARTS_MAX 128

struct search {
    const struct wheel_objects *objects;
    const struct linker *linker;
    struct libraries *out;
    const char **paths;      /* of the objects, sorted */
    const char **names;      /* file names and sonames of the objects, sorted */
    size_t name_count;
    unsigned places;         /* looked at so far */
};

/* ---- what the wheel brings ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void sort_objects(struct search *s)
{
    unsigned count = s->objects->count;

    s->paths = mem_new(count + 1, sizeof *s->paths);
    s->names = mem_new(count * 2 + 1, sizeof *s->names);
    for (unsigned i = 0; i < count; i++) {
        const struct wheel_object *o = &s->objects->items[i];
        s->paths[i] = o->path;
        s->names[s->name_count++] = file_name(o->path);
        if (o->soname != NULL)
            s->names[s->name_count++] = o->soname;
    }
    qsort(s->paths, count, sizeof *s->paths, compare);
    qsort(s->names, s->name_count, sizeof *s->names, compare);
}

static bool is_object(const struct search *s, const char *path)
{
    return bsearch(&path, s->paths, s->objects->count, sizeof *s->paths, compare) != NULL;
}

static bool is_brought(const struct search *s, const char *name)
{
    return bsearch(&name, s->names, s->name_count, sizeof *s->names, compare) != NULL;
}

/* Without "." and "..": whether it stays below where it began. */
static bool flatten(char *path)
{
    char *parts[PATH_PARTS_MAX], *rest = path, *part, *to = path;
    size_t count = 0;

    while ((part = strsep(&rest, "/")) != NULL) {
        if (strcmp(part, "..") == 0 && count-- == 0)
            return false;
        if (part[0] == '\0' || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
            continue;
        if (count == PATH_PARTS_MAX)
            return false;
        parts[count++] = part;
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(parts[i]);
        if (i > 0)
            *to++ = '/';
        memmove(to, parts[i], len);
        to += len;
    }
    *to = '\0';
    return true;
}

/* ---- the directories that an object names ---- */

/* What follows "$ORIGIN" or "${ORIGIN}", or NULL. */
static const char *behind_origin(const char *dir)
{
    static const char *const spellings[] = {"$ORIGIN", "${ORIGIN}"};

    for (size_t i = 0; i < COUNT_OF(spellings); i++)
        if (text_starts(dir, spellings[i]))
            return dir + strlen(spellings[i]);
    return NULL;
}

/* Looks in one directory of the list. True when the wheel brings it; *found is set when the system has it. */
static bool look_in(struct search *s, const struct wheel_object *o, const char *dir, const char *name, char **found)
{
    const char *rest = behind_origin(dir);

    s->places++;
    if (rest == NULL) {
        if (dir[0] == '/')
            *found = linker_find_in(s->linker, dir, name, o);
        return false;
    }
    char *path = mem_format("%.*s%s/%s", (int)(file_name(o->path) - o->path), o->path, rest, name);
    bool brought = flatten(path) && is_object(s, path);
    free(path);
    return brought;
}

static bool look_where_it_says(struct search *s, const struct wheel_object *o, const char *name, char **found)
{
    const char *said = o->runpath != NULL ? o->runpath : o->rpath;
    char *list = mem_text(said != NULL ? said : ""), *rest = list, *dir;
    bool brought = false;

    while (!brought && *found == NULL && s->places < PLACES_MAX && (dir = strsep(&rest, ":")) != NULL)
        brought = look_in(s, o, dir, name, found);
    free(list);
    return brought;
}

/* ---- one library ---- */

static bool is_known(const struct libraries *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++)
        if (strcmp(l->items[i].name, name) == 0)
            return true;
    return false;
}

/* A library without a place that the wheel brings elsewhere is loaded by hand before it is asked for. */
static void find_one(struct search *s, const struct wheel_object *o, const char *name)
{
    char *path = NULL;

    if (look_where_it_says(s, o, name, &path) || is_known(s->out, name)) {
        free(path);
        return;
    }
    if (path == NULL && name[0] == '/')
        path = linker_find_in(s->linker, "", name + 1, o);
    else if (path == NULL && strchr(name, '/') == NULL)
        path = linker_find(s->linker, name, o);
    s->places += s->linker->dir_count + 1;
    if (path == NULL && is_brought(s, file_name(name)))
        return;
    s->out->items[s->out->count++] = (struct library){mem_text(name), path};
}

void libraries_find(const struct wheel_objects *objects, const struct linker *linker, struct libraries *out)
{
    struct search s = {.objects = objects, .linker = linker, .out = out};

    *out = (struct libraries){.items = mem_new(LIBRARIES_MAX, sizeof *out->items)};
    sort_objects(&s);
    for (unsigned i = 0; i < objects->count; i++)
        for (unsigned j = 0; j < objects->items[i].needed_count && !out->too_many; j++) {
            find_one(&s, &objects->items[i], objects->items[i].needed[j]);
            out->too_many = out->count == LIBRARIES_MAX || s.places >= PLACES_MAX;
        }
    free(s.paths);
    free(s.names);
}

void libraries_release(struct libraries *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        free(l->items[i].name);
        free(l->items[i].path);
    }
    free(l->items);
    *l = (struct libraries){0};
}
