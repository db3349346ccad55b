/*
 * piwheels check --files: every public file is read and compared with what was published. Nobody but the master writes to the
 * tree; what a disk, a backup or a hand did to it nothing else would notice. Called by check.c, when the facts are known.
 *
 * The master may take a file out of the tree meanwhile: of what seems damaged the database is asked again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "core/hash.h"

enum step check_ask_for_files(struct task *t)
{
    struct check *c = check_of(t);

    if (c->output == NULL)
        return STEP_DONE;
    db_public_files(c->tool.db, &c->tool.call, c->after, &c->some, tool_on_answer);
    return STEP_WAIT;
}

/* ---- reading ---- */

/* `what`: the file, or its metadata. */
static bool is_damaged(const char *path, const char *what, int64_t size_bytes, const char *sha256, char *damage, size_t size)
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    uint64_t there_bytes = 0;
    struct stat st;
    int error = stat(path, &st) < 0 ? -errno : 0;

    if (error == 0 && S_ISREG(st.st_mode) && (size_bytes < 0 || st.st_size == size_bytes))
        error = hash_file(path, digest, &there_bytes);
    if (error == -ENOENT)
        snprintf(damage, size, "%s is not in the tree", what);
    else if (error != 0)
        snprintf(damage, size, "%s cannot be read: %s", what, strerror(-error));
    else if (!S_ISREG(st.st_mode))
        snprintf(damage, size, "%s is no file", what);
    else if (size_bytes >= 0 && st.st_size != size_bytes)
        snprintf(damage, size, "%s has %lld bytes, not %lld", what, (long long)st.st_size, (long long)size_bytes);
    else if (strcmp(hash_hex(digest, hex), sha256) != 0)
        snprintf(damage, size, "%s has other bytes than were published", what);
    else
        return false;
    return true;
}

static bool look_at(struct check *c, unsigned i)
{
    const struct db_public_file *f = &c->some.items[i];
    char path[2048];

    c->damages[i][0] = '\0';
    snprintf(path, sizeof path, "%s/%s", c->output, f->path);
    if (is_damaged(path, "it", f->size_bytes, f->sha256, c->damages[i], sizeof c->damages[i]))
        return true;
    snprintf(path, sizeof path, "%s/%s.metadata", c->output, f->path);
    return is_damaged(path, "its metadata", -1, f->metadata_sha256, c->damages[i], sizeof c->damages[i]);
}

/* Blocks, for nobody else is on this loop. */
enum step check_read_files(struct task *t)
{
    struct check *c = check_of(t);
    unsigned damaged = 0;

    if (c->tool.error != 0)
        return tool_refused(&c->tool);
    if (c->some.count == 0)
        return STEP_DONE;
    for (unsigned i = 0; i < c->some.count; i++)
        damaged += look_at(c, i);
    c->still.count = 0;
    if (damaged == 0)
        return STEP_NEXT;
    db_public_files(c->tool.db, &c->tool.call, c->after, &c->still, tool_on_answer);
    return STEP_WAIT;
}

/* ---- telling ---- */

static bool is_still_public(const struct check *c, int64_t file)
{
    for (unsigned i = 0; i < c->still.count; i++) {
        if (c->still.items[i].id == file)
            return true;
    }
    return false;
}

static void tell(struct check *c, const struct db_public_file *f, const char *damage)
{
    c->damaged++;
    if (c->all != NULL)
        json_array_append_new(json_object_get(c->all, "damaged"),
                              json_pack("{s:s, s:s, s:s, s:s}", "package", f->package, "version", f->version, "path", f->path,
                                        "damage", damage));
    else
        printf("%s %s: %s: %s\n", f->package, f->version, f->path, damage);
}

enum step check_tell_damage(struct task *t)
{
    struct check *c = check_of(t);

    if (c->tool.error != 0)
        return tool_refused(&c->tool);
    for (unsigned i = 0; i < c->some.count; i++) {
        if (c->damages[i][0] != '\0' && is_still_public(c, c->some.items[i].id))
            tell(c, &c->some.items[i], c->damages[i]);
    }
    fflush(stdout);
    c->files += c->some.count;
    c->after = c->some.items[c->some.count - 1].id;
    return STEP_AGAIN;
}

/* ---- the beginning and the end ---- */

int check_files_begin(struct check *c, const struct options *o)
{
    struct stat st;

    if (!option_flag(o, OPT_argv_files))
        return o->values[OPT_master_output].source != OPTION_ARGV
                   ? EXIT_OK : command_usage_error(&command_check, "--output says where --files finds the tree; give both");
    c->output = option_text(o, OPT_master_output);
    if (stat(c->output, &st) < 0)
        return command_trouble(&command_check, "the output directory %s cannot be looked at: %s; name the master's with --output",
                               c->output, strerror(errno));
    if (c->all != NULL)
        json_object_set_new(c->all, "damaged", json_array());
    return EXIT_OK;
}

int check_files_conclude(const struct check *c)
{
    if (c->damaged > 0)
        return command_trouble(&command_check, "%lld files were read, %zu %s damaged; put back what a backup has, and have the "
                               "rest built anew: piwheels remove NAME VERSION --builds", c->files, c->damaged,
                               c->damaged == 1 ? "is" : "are");
    if (c->all == NULL)
        printf("%lld files were read: all are as they were published\n", c->files);
    return EXIT_OK;
}
