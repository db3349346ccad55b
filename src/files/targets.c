/*
 * Whom a file serves, and where it lies: by the targets. A session has those of its slave's first word, which may be long ago;
 * so files are announced (record.c) with what they were judged by, and judged again when the database has others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "python.h"
#include "receipt.h"

const char *receipt_platform(const struct receipt_file *f)
{
    return f->twin ? RECEIPT_TWIN_PLATFORM : f->wheel.name.platform;
}

const struct wheel *receipt_wheel(const struct receipt_file *f)
{
    return f->twin ? &f->twin->wheel : &f->wheel;
}

const struct db_target *receipt_target(const struct receipt *r)
{
    for (unsigned i = 0; i < r->targets->count; i++) {
        if (r->targets->items[i].id == r->attempt.target)
            return &r->targets->items[i];
    }
    return NULL;
}

/* A pure wheel serves every target; another those of the same platform and distribution that its tags fit: a name does
 * not tell the distribution. */
void receipt_find_targets(const struct receipt *r, struct receipt_file *f, const struct wheel_name *name, const char *platform)
{
    const struct db_target *own = receipt_target(r);
    bool pure = python_wheel_is_pure(name);
    f->serves = f->fits = 0;
    for (unsigned i = 0; i < r->targets->count; i++) {
        const struct db_target *t = &r->targets->items[i];
        struct python_target tags = {.abi = t->abi, .platform = t->platform};
        bool near = strcmp(t->platform, platform) == 0;
        if (!(near || pure) || !python_wheel_fits(name, &tags))
            continue;
        if (pure || strcmp(t->label, own->label) == 0)
            f->serves |= (uint64_t)1 << t->id;
        if (!pure)
            f->fits |= (uint64_t)1 << t->id;
    }
}

bool receipt_place(const struct receipt *r, struct receipt_file *f)
{
    const struct db_target *own = receipt_target(r);
    if (f->apart && !db_target_has_place(own->name))
        return false;
    free(f->public_path);
    f->public_path = mem_format("%s%s/%s/%s", f->apart ? own->name : "", f->apart ? "/wheels" : "simple", r->attempt.package,
                                f->name);
    return true;
}

static void find_again(struct receipt *r, struct receipt_file *f)
{
    struct wheel_name name = receipt_wheel(f)->name;
    if (f->twin)
        text_copy(name.platform, sizeof name.platform, receipt_platform(f));
    receipt_find_targets(r, f, &name, f->twin ? receipt_platform(f) : receipt_target(r)->platform);
}

static void use(struct receipt *r, struct db_target_set *set)
{
    db_target_set_hold(set);
    db_target_set_release(r->known);
    r->known = set;
    r->targets = &set->targets;
    for (unsigned i = 0; i < r->file_count; i++)
        find_again(r, &r->files_made[i]);
}

void receipt_use_last_targets(struct receipt *r)
{
    struct db_target_set *last = r->files->known;
    for (unsigned i = 0; last && last != r->known && i < last->targets.count; i++) {
        if (last->targets.items[i].id == r->attempt.target)
            use(r, last);
    }
}

bool receipt_must_be_judged(const struct receipt *r)
{
    for (unsigned i = 0; i < r->verdicts.count; i++) {
        if (r->verdicts.items[i] == DB_FILE_JUDGE)
            return true;
    }
    return false;
}

void receipt_use_read_targets(struct receipt *r)
{
    struct files *f = r->files;
    struct db_target_set *set = db_target_set_of(f->known, r->reading);
    db_target_set_release(f->known);
    f->known = set;
    free(r->reading);
    r->reading = NULL;
    use(r, set);
}
