/*
 * Judging a wheel on the master: nothing that the slave said about it counts. Called by receipt.c on a pool
 * thread for each file that has arrived whole: for a small one as soon as its last byte is written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "receipt.h"

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
    const struct db_target *own = receipt_target(r);
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
