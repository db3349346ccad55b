/*
 * The machine code in a wheel: each member that begins as an ELF object does is unpacked into a file without a
 * name, and read (object.c). The slave asks, to tell what the wheel needs; the master asks again, for it believes
 * nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "core/memory.h"
#include "core/text.h"
#include "object.h"

/* ---- unpacking ---- */

struct spool {
    int fd, error;
};

static void spool(void *context, const void *data, size_t len)
{
    struct spool *s = context;

    for (const char *at = data; len > 0 && s->error == 0;) {
        ssize_t put = write(s->fd, at, len);
        if (put > 0) {
            at += put;
            len -= (size_t)put;
        } else if (errno != EINTR) {
            s->error = -errno;
        }
    }
}

/* Beside the wheel, where there is as much room as for wheels. */
static int open_nameless(const char *beside)
{
    char *path = mem_format("%s.object-XXXXXX", beside);
    int fd = mkostemp(path, O_CLOEXEC);
    int error = -errno;

    if (fd >= 0)
        unlink(path);
    free(path);
    return fd >= 0 ? fd : error;
}

/* ---- one member ---- */

/* What pip installs beside each other lies in different folders of the archive: "x-1.0.data/platlib/a.so" is
 * "a.so". Source: PEP 427, "Installing a wheel". */
static const char *installed_path(const char *name)
{
    static const char *const roots[] = {"platlib/", "purelib/"};
    const char *slash = strchr(name, '/');

    if (slash == NULL || slash - name < 5 || memcmp(slash - 5, ".data", 5) != 0)
        return name;
    for (size_t i = 0; i < COUNT_OF(roots); i++)
        if (text_starts(slash + 1, roots[i]))
            return slash + 1 + strlen(roots[i]);
    return name;
}

static int unpack_object(struct archive *a, const struct member *m, const char *wheel_path, struct wheel_object *o)
{
    struct spool s = {.fd = open_nameless(wheel_path)};

    if (s.fd < 0)
        return fail(a->why, s.fd, "making a file beside it");
    int rc = archive_inflate(a, m, spool, &s);
    if (rc == 0 && s.error != 0)
        rc = fail(a->why, s.error, "unpacking it");
    if (rc == 0) {
        o->path = mem_text(installed_path(m->name));
        object_read(s.fd, o);
    }
    close(s.fd);
    return rc;
}

static int read_members(struct archive *a, const char *wheel_path, struct wheel_objects *objects)
{
    char start[OBJECT_MAGIC_BYTES];
    unsigned room = 0;

    for (size_t i = 0; i < a->count && objects->count < WHEEL_MAX_OBJECTS; i++) {
        const struct member *m = a->by_name[i];
        if (m->directory || m->inflated_bytes < sizeof start)
            continue;
        int rc = archive_peek(a, m, start, sizeof start);
        if (rc < 0)
            return rc;
        if (!object_is_magic(start, sizeof start))
            continue;
        if (objects->count == room) {
            room = room * 2 + 8;
            objects->items = mem_resize(objects->items, room, sizeof *objects->items);
        }
        struct wheel_object *o = &objects->items[objects->count++];
        memset(o, 0, sizeof *o);
        rc = unpack_object(a, m, wheel_path, o);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- entries ---- */

int wheel_objects_read(const char *path, struct wheel_objects *objects, char *why_text, size_t why_size)
{
    struct reason why = {why_text, why_size};
    struct archive archive;

    *objects = (struct wheel_objects){0};
    int rc = archive_open(&archive, path, NULL, &why);
    if (rc == 0)
        rc = read_members(&archive, path, objects);
    archive_close(&archive);
    return rc;
}

void wheel_objects_release(struct wheel_objects *objects)
{
    for (unsigned i = 0; i < objects->count; i++)
        object_release(&objects->items[i]);
    free(objects->items);
    *objects = (struct wheel_objects){0};
}

static void keep_higher(const unsigned version[3], unsigned highest[3])
{
    for (unsigned i = 0; i < 3; i++) {
        if (version[i] == highest[i])
            continue;
        if (version[i] > highest[i])
            memcpy(highest, version, 3 * sizeof *version);
        return;
    }
}

static void write_version(const unsigned version[3], char *to, size_t size)
{
    if (version[0] == 0)
        to[0] = '\0';
    else if (version[2] == 0)
        snprintf(to, size, "%u.%u", version[0], version[1]);
    else
        snprintf(to, size, "%u.%u.%u", version[0], version[1], version[2]);
}

void wheel_objects_sum(const struct wheel_objects *objects, struct wheel_code *code)
{
    unsigned glibc[3] = {0}, glibcxx[3] = {0};

    *code = (struct wheel_code){.native = objects->count > 0, .armv6 = objects->count > 0};
    for (unsigned i = 0; i < objects->count; i++) {
        const struct wheel_object *o = &objects->items[i];
        code->armv6 = code->armv6 && o->armv6;
        keep_higher(o->glibc, glibc);
        keep_higher(o->glibcxx, glibcxx);
    }
    code->armv6 = code->armv6 && objects->count < WHEEL_MAX_OBJECTS;
    write_version(glibc, code->glibc, sizeof code->glibc);
    write_version(glibcxx, code->glibcxx, sizeof code->glibcxx);
}
