/*
 * Wheels for an ARMv7 whose code an ARMv6 can run, too (the Pi Zero), by the attributes of every object in them: they are
 * published once more, under the name that pip looks for there. The bytes are the same; the tags in WHEEL, which nobody
 * reads when he installs, stay those of the build. Called by record.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "python.h"
#include "receipt.h"

#define FROM "linux_armv7l"

static bool has_twin(const struct receipt *r, const struct receipt_file *f)
{
    for (unsigned i = 0; i < r->file_count; i++) {
        if (r->files_made[i].twin == f)
            return true;
    }
    return false;
}

static void add_twin(struct receipt *r, const struct receipt_file *f)
{
    struct receipt_file *twin = &r->files_made[r->file_count];
    struct wheel_name name = f->wheel.name;
    size_t head = strlen(f->name) - strlen(FROM ".whl");

    *twin = *f;
    twin->twin = f;
    twin->public_path = mem_text(f->public_path);
    memset(&twin->wheel, 0, sizeof twin->wheel);
    text_copy(name.platform, sizeof name.platform, RECEIPT_TWIN_PLATFORM);
    memcpy(twin->name + head, RECEIPT_TWIN_PLATFORM, strlen(RECEIPT_TWIN_PLATFORM));
    receipt_place(r, twin);
    receipt_find_targets(r, twin, &name, RECEIPT_TWIN_PLATFORM);
    r->file_count++;
}

static bool wants_twin(const struct receipt *r, const struct receipt_file *f)
{
    return f->code.armv6 && strcmp(f->wheel.name.platform, FROM) == 0 && !has_twin(r, f);
}

static void make_room(struct receipt *r, unsigned more)
{
    struct receipt_file *made = mem_new(r->file_count + more, sizeof *made);
    for (unsigned i = 0; i < r->file_count; i++) {
        made[i] = r->files_made[i];
        if (made[i].twin)
            made[i].twin = made + (made[i].twin - r->files_made);
    }
    free(r->files_made);
    r->files_made = made;
}

void receipt_add_twins(struct receipt *r)
{
    unsigned made = r->file_count, wanted = 0;
    for (unsigned i = 0; i < made; i++)
        wanted += wants_twin(r, &r->files_made[i]);
    if (wanted == 0)
        return;
    make_room(r, wanted);
    for (unsigned i = 0; i < made; i++) {
        if (wants_twin(r, &r->files_made[i]))
            add_twin(r, &r->files_made[i]);
    }
}
