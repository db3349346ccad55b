/*
 * Names of files that cannot have their own, for a published name never changes its bytes: a rebuild goes by the next build tag
 * (PEP 427), and so does what finds another file in its place that the database does not know. Such a file was published by a
 * database that was lost: one that was restored is older than the tree. People may have noted its hash. Called by record.c.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"
#include "receipt.h"

#define MAX_TAG 100

bool receipt_tag_name(struct receipt *r, struct receipt_file *f, unsigned tag)
{
    const struct wheel_name *n = &receipt_wheel(f)->name;
    char name[1600];
    int len = snprintf(name, sizeof name, "%s-%s-%u-%s-%s-%s.whl", n->dist, n->version, tag, n->python, n->abi,
                       receipt_platform(f));
    if (len < 0 || (size_t)len >= sizeof f->name)
        return false;
    text_copy(f->name, sizeof f->name, name);
    f->tag = tag;
    return receipt_place(r, f);
}

void receipt_place_path(const struct receipt *r, const struct receipt_file *f, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", r->files->output, f->public_path);
}

/* What cannot be read is not judged: placing tells what is wrong. */
static bool has_other_bytes(const struct receipt_file *f, const char *path)
{
    uint8_t digest[SHA256_SIZE];
    return hash_file(path, digest, NULL) == 0 && memcmp(digest, f->sha256, SHA256_SIZE) != 0;
}

bool receipt_names_are_taken(struct receipt *r)
{
    char path[1100];
    r->name_taken = false;
    for (unsigned i = 0; i < r->file_count; i++) {
        struct receipt_file *f = &r->files_made[i];
        f->taken = false;
        if (!receipt_places(f))
            continue;
        receipt_place_path(r, f, path, sizeof path);
        if (access(path, F_OK) != 0 || !has_other_bytes(f, path))
            continue;
        if (f->verdict == DB_FILE_BACK) /* the name's are known, and are these: what stands there was changed */
            unlink(path);
        else
            f->taken = r->name_taken = true;
    }
    return r->name_taken;
}

bool receipt_take_other_names(struct receipt *r)
{
    char before[sizeof r->files_made->name];
    for (unsigned i = 0; i < r->file_count; i++) {
        struct receipt_file *f = &r->files_made[i];
        if (!f->taken)
            continue;
        text_copy(before, sizeof before, f->name);
        if (f->tag >= MAX_TAG || !receipt_tag_name(r, f, f->tag + 1))
            return false;
        log_warning("files", "build %lld: %s stands in the tree with other bytes, but the database does not know it (was it restored "
                    "from a backup?); this one becomes %s", (long long)r->attempt.attempt, before, f->name);
    }
    r->name_taken = false;
    return true;
}
