/*
 * piwheels target add: makes a target. In a farm that knows versions already, what PyPI's wheels, our own and their
 * Requires-Python say about the new target is worked out here, for SQL cannot: until that is done nothing is built for it.
 * Called by target.c, which has checked the words; also when the machines of a target have less than before. What is changed
 * of one target may have others judged again, too: so all are judged that are not.
 */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "python.h"

static enum step add_target(struct task *t)
{
    struct target *target = target_of(t);

    db_target_add(target->tool.db, &target->tool.call, target->name, target->abi, target->platform,
                  target->label, target->glibc, &target->id, tool_on_answer);
    return STEP_WAIT;
}

static enum step tell_added(struct task *t)
{
    struct target *target = target_of(t);
    bool has_label = target->label != NULL && target->label[0] != '\0';

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    printf("Target %s: wheels for %s on %s%s%s%s.\n", target->name, target->abi, target->platform,
           has_label ? " (" : "", has_label ? target->label : "", has_label ? ")" : "");
    return STEP_NEXT;
}

static const struct task_step add_steps[] = {
    {"add target", add_target},
    {"tell added", tell_added},
    {NULL, NULL},
};

/* ---- judging: in a farm that knows versions already. If it is cut off, "target add" goes on with it. ---- */

static enum step read_what_is_there(struct task *t)
{
    struct target *target = target_of(t);

    db_targets(target->tool.db, &target->tool.call, &target->targets, tool_on_answer);
    return STEP_WAIT;
}

static const struct db_target *not_judged_yet(const struct db_targets *targets)
{
    for (unsigned i = 0; i < targets->count; i++)
        if (targets->items[i].judging)
            return &targets->items[i];
    return NULL;
}

static enum step read_tags(struct task *t)
{
    struct target *target = target_of(t);

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    target->judged = not_judged_yet(&target->targets);
    if (target->judged == NULL)
        return STEP_DONE;
    target->id = target->judged->id;
    db_tagsets(target->tool.db, &target->tool.call, &target->tags, tool_on_answer);
    return STEP_WAIT;
}

static bool tags_fit(const struct target *target, const char *tags)
{
    const struct db_target *judged = target->judged;
    struct python_target python = {.abi = judged->abi, .platform = judged->platform, .glibc_major = judged->glibc_major,
                                   .glibc_minor = judged->glibc_minor};
    struct wheel_name name;
    char file[1200];

    snprintf(file, sizeof file, "x-1-%s.whl", tags);
    return python_wheel_name_parse(file, &name) == 0 && python_wheel_fits(&name, &python);
}

static enum step judge_tags(struct task *t)
{
    struct target *target = target_of(t);
    size_t count = 0;

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    int64_t *fits = mem_new(target->tags.count + 1, sizeof *fits);
    for (unsigned i = 0; i < target->tags.count; i++)
        if (tags_fit(target, target->tags.items[i].text))
            fits[count++] = target->tags.items[i].id;
    printf("%s: PyPI's wheels have %u sets of tags, of which it can load %zu; this may take a while.\n", target->judged->name,
           target->tags.count, count);
    fflush(stdout);
    db_tagsets_judge(target->tool.db, &target->tool.call, target->id, fits, count, tool_on_answer);
    free(fits);
    return STEP_WAIT;
}

static enum step read_our_tags(struct task *t)
{
    struct target *target = target_of(t);

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    db_file_tags(target->tool.db, &target->tool.call, &target->ours, tool_on_answer);
    return STEP_WAIT;
}

static enum step judge_our_tags(struct task *t)
{
    struct target *target = target_of(t);
    struct db_judgement *j = &target->judgement;

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    j->loads = mem_new(target->ours.count + 1, sizeof *j->loads);
    for (unsigned i = 0; i < target->ours.count; i++)
        if (tags_fit(target, target->ours.items[i].text))
            j->loads[j->load_count++] = target->ours.items[i].text;
    return STEP_NEXT;
}

static enum step read_requires_python(struct task *t)
{
    struct target *target = target_of(t);

    db_requires_python(target->tool.db, &target->tool.call, &target->requires, tool_on_answer);
    return STEP_WAIT;
}

static enum step judge_requires_python(struct task *t)
{
    struct target *target = target_of(t);
    struct db_judgement *j = &target->judgement;
    unsigned major, minor;
    bool free_threaded;
    char python[32];

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    python_abi_parse(target->judged->abi, &major, &minor, &free_threaded);
    snprintf(python, sizeof python, "%u.%u", major, minor);
    j->excluded = mem_new(target->requires.count + 1, sizeof *j->excluded);
    for (unsigned i = 0; i < target->requires.count; i++)
        if (!python_requires_allows(target->requires.items[i].text, python))
            j->excluded[j->excluded_count++] = target->requires.items[i].text;
    return STEP_NEXT;
}

static const struct task_step read_steps[] = {
    {"read what is there", read_what_is_there},
    {"read tags", read_tags},
    {"judge tags", judge_tags},
    {"read our own files' tags", read_our_tags},
    {"judge our own files' tags", judge_our_tags},
    {"read Requires-Python", read_requires_python},
    {"judge Requires-Python", judge_requires_python},
    {NULL, NULL},
};

static enum step judge_versions(struct task *t)
{
    struct target *target = target_of(t);

    db_target_judge(target->tool.db, &target->tool.call, target->id, &target->judgement, &target->next, tool_on_answer);
    return STEP_WAIT;
}

static enum step make_jobs(struct task *t)
{
    struct target *target = target_of(t);

    db_target_judged(target->tool.db, &target->tool.call, target->id, &target->next, tool_on_answer);
    return STEP_WAIT;
}

static enum step check_answer(struct task *t)
{
    return target_of(t)->tool.error != 0 ? tool_refused(&target_of(t)->tool) : STEP_NEXT;
}

static const struct task_step judge_steps[] = {
    {"judge versions", judge_versions},
    {"check the answer", check_answer},
    {NULL, NULL},
};

static const struct task_step make_steps[] = {
    {"make jobs", make_jobs},
    {"check the answer", check_answer},
    {NULL, NULL},
};

/* Once for some packages, and again until all have had their turn, so that the farm can work in between. */
static int run_through(struct target *t, const struct options *o, const struct task_step *steps)
{
    int status = EXIT_OK;

    for (t->next = 0; t->next >= 0 && status == EXIT_OK;) {
        memset(&t->tool, 0, sizeof t->tool);
        status = target_run(t, o, steps);
    }
    return status;
}

/* Judges one that is not judged yet; afterwards `judged` is NULL if there was none. */
static int judge_next(struct target *t, const struct options *o)
{
    memset(&t->tool, 0, sizeof t->tool);
    memset(&t->judgement, 0, sizeof t->judgement);
    int status = target_run(t, o, read_steps);

    if (status == EXIT_OK && t->judged != NULL)
        status = run_through(t, o, judge_steps);
    if (status == EXIT_OK && t->judged != NULL)
        status = run_through(t, o, make_steps);
    db_words_release(&t->tags);
    db_words_release(&t->requires);
    db_words_release(&t->ours);
    free(t->judgement.excluded);
    free(t->judgement.loads);
    return status;
}

int target_judge(struct target *t, const struct options *o)
{
    int status;

    do
        status = judge_next(t, o);
    while (status == EXIT_OK && t->judged != NULL);
    return status;
}

int target_add(struct target *t, const struct options *o)
{
    int status = target_run(t, o, add_steps);

    return status == EXIT_OK ? target_judge(t, o) : status;
}
