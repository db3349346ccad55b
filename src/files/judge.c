/*
 * Judging a wheel on the master: nothing that the slave said about it counts. Called by receipt.c on a pool
 * thread for each file that has arrived whole: for a small one as soon as its last byte is written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "python.h"
#include "receipt.h"

static const struct db_target *own_target(const struct receipt *r)
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
    const struct db_target *own = own_target(r);
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
    const struct db_target *own = own_target(r);
    if (f->apart && !db_target_has_place(own->name))
        return false;
    snprintf(f->public_path, sizeof f->public_path, "%s%s/%s/%s", f->apart ? own->name : "", f->apart ? "/wheels" : "simple",
             r->attempt.package, f->name);
    return true;
}

/* What is not compiled needs no library, whatever the slave says. */
static int read_code(struct receipt_file *f, char *why, size_t why_size)
{
    struct wheel_objects objects = {0};
    int error = f->wheel.has_objects ? wheel_objects_read(f->path, &objects, why, why_size) : 0;
    wheel_objects_sum(&objects, &f->code);
    wheel_objects_release(&objects);
    if (!f->code.native)
        f->apt[0] = '\0';
    return error;
}

void receipt_judge(struct receipt *r, const void *bytes)
{
    struct receipt_file *f = &r->files_made[r->at];
    const struct db_target *own = own_target(r);
    wheel_release(&f->wheel);
    r->work_error = bytes ? wheel_read_bytes(bytes, f->size_bytes, f->name, r->attempt.package, r->attempt.version, &f->wheel,
                                             r->why, sizeof r->why)
                          : wheel_read(f->path, f->name, r->attempt.package, r->attempt.version, true, NULL, &f->wheel,
                                       r->why, sizeof r->why);
    if (r->work_error)
        return;
    if (own)
        receipt_find_targets(r, f, &f->wheel.name, own->platform);
    if (!own || !(f->serves >> own->id & 1)) {
        r->work_error = -EBADMSG;
        snprintf(r->why, sizeof r->why, "its tags do not fit the target %s (%s, %s)", own ? own->name : "",
                 own ? own->abi : "", own ? own->platform : "");
        return;
    }
    r->work_error = read_code(f, r->why, sizeof r->why);
    f->judged = r->work_error == 0;
}
