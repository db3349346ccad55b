/*
 * Shared copies of the targets, for the farm's sessions and the receipts of the files stage: a copy each would
 * cost a farm of hundreds of slaves tens of megabytes.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "db.h"
#include "python.h"

/* Whole rows: db_targets zeroes what it does not fill of them. */
static bool is_equal(const struct db_targets *a, const struct db_targets *b)
{
    return a->count == b->count && memcmp(a->items, b->items, a->count * sizeof *a->items) == 0;
}

struct db_target_set *db_target_set_of(struct db_target_set *old, const struct db_targets *targets)
{
    if (old && is_equal(&old->targets, targets))
        return db_target_set_hold(old);
    struct db_target_set *set = mem_new(1, sizeof *set);
    set->holders = 1;
    set->targets.count = targets->count;
    memcpy(set->targets.digest, targets->digest, sizeof targets->digest);
    memcpy(set->targets.items, targets->items, targets->count * sizeof *targets->items);
    return set;
}

struct db_target_set *db_target_set_hold(struct db_target_set *set)
{
    set->holders++;
    return set;
}

void db_target_set_release(struct db_target_set *set)
{
    if (set && --set->holders == 0)
        free(set);
}

bool db_target_has_place(const char *name)
{
    static const char *const taken[] = {"simple", "project", "logs"};

    for (unsigned i = 0; i < COUNT_OF(taken); i++)
        if (strcmp(name, taken[i]) == 0)
            return false;
    return python_name_valid(name);
}
