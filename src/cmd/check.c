/*
 * `piwheels check`: holds what the database keeps up event by event against what it follows from (schema/check.sql), some
 * packages at a time, so that the farm can work in between; with --repair what disagrees is mended. Speaks to the database
 * itself, with or without a master. --files is in check_files.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "core/memory.h" /* container_of */
#include "order.h"

struct check *check_of(struct task *t)
{
    return container_of(tool_of(t), struct check, tool);
}

/* ---- what is found ---- */

static void write_facts(const json_t *facts, const char *fate)
{
    const json_t *fact;
    size_t i;

    json_array_foreach(facts, i, fact) {
        const char *version = order_text(fact, "version"), *target = order_text(fact, "target");
        printf("%s%s%s%s%s: %s: kept: %s; recomputed: %s%s\n", order_text(fact, "package"), version[0] != '\0' ? " " : "", version,
               target[0] != '\0' ? " on " : "", target, order_text(fact, "fact"), order_text(fact, "kept"),
               order_text(fact, "recomputed"), fate);
    }
    fflush(stdout);
}

static void note(struct check *c, const json_t *told)
{
    json_t *wrong = json_object_get(told, "wrong"), *left = json_object_get(told, "left");

    c->packages += order_number(told, "packages");
    c->wrong += json_array_size(wrong);
    c->left += json_array_size(left);
    if (c->all != NULL) {
        json_array_extend(json_object_get(c->all, "wrong"), wrong);
        json_array_extend(json_object_get(c->all, "left"), left);
        return;
    }
    write_facts(wrong, c->repair ? " (mended)" : "");
    write_facts(left, " (cannot be mended)");
}

/* ---- steps ---- */

static enum step look_at_some(struct task *t)
{
    struct check *c = check_of(t);

    if (c->facts_seen)
        return STEP_NEXT;
    db_facts(c->tool.db, &c->tool.call, c->next, c->repair, &c->answer, tool_on_answer);
    return STEP_WAIT;
}

static enum step note_what_is_wrong(struct task *t)
{
    struct check *c = check_of(t);

    if (c->facts_seen)
        return STEP_NEXT;
    if (c->tool.error != 0)
        return tool_refused(&c->tool);
    json_t *told = json_loads(c->answer, 0, NULL), *next = json_object_get(told, "next");
    free(c->answer);
    c->answer = NULL;
    note(c, told);
    bool more = json_is_integer(next);
    c->next = json_integer_value(next);
    json_decref(told);
    c->facts_seen = !more;
    return more ? STEP_AGAIN : STEP_NEXT;
}

static const struct task_step steps[] = {
    {"look at some packages", look_at_some},
    {"note what is wrong", note_what_is_wrong},
    {"ask for some files", check_ask_for_files},
    {"read the files", check_read_files},
    {"tell what is damaged", check_tell_damage},
    {NULL, NULL},
};

/* ---- the command ---- */

/* What all came to, and the exit status. */
static int conclude(const struct check *c)
{
    if (c->left > 0)
        return command_trouble(&command_check, "%zu of what disagreed could not be mended; please report it", c->left);
    if (c->wrong > 0 && !c->repair)
        return command_trouble(&command_check, "%lld packages were checked, %zu %s; mend %s: piwheels check --repair", c->packages,
                               c->wrong, c->wrong == 1 ? "fact disagrees" : "facts disagree", c->wrong == 1 ? "it" : "them");
    if (c->all != NULL)
        return EXIT_OK;
    printf("%lld packages were checked: ", c->packages);
    if (c->wrong > 0)
        printf("%zu %s mended\n", c->wrong, c->wrong == 1 ? "fact was" : "facts were");
    else
        puts("all facts agree");
    return EXIT_OK;
}

static int run(const struct options *o)
{
    struct check c = {
        .tool = {.command = &command_check, .dsn = option_text(o, OPT_master_dsn), .steps = steps},
        .repair = option_flag(o, OPT_argv_repair),
        .all = option_flag(o, OPT_argv_json) ? json_pack("{s:[], s:[]}", "wrong", "left") : NULL,
    };
    int status = check_files_begin(&c, o);

    if (status == EXIT_OK)
        status = tool_run(&c.tool);
    if (status == EXIT_OK && c.all != NULL) {
        json_object_set_new(c.all, "packages", json_integer((json_int_t)c.packages));
        json_object_set_new(c.all, "repaired", json_boolean(c.repair));
        if (c.output != NULL)
            json_object_set_new(c.all, "files", json_integer((json_int_t)c.files));
        order_print_json(c.all);
    }
    if (status == EXIT_OK) {
        status = conclude(&c);
        if (c.output != NULL && check_files_conclude(&c) != EXIT_OK)
            status = EXIT_TROUBLE;
    }
    free(c.answer);
    json_decref(c.all);
    return status;
}

static const char *const aliases[] = {NULL};

const struct command command_check = {
    .name = "check",
    .aliases = aliases,
    .usage = "",
    .summary = "hold what the database keeps up against what it follows from",
    .description =
        "What should be built where is kept up with every event, for nobody could work it out each time. This works it out "
        "again, for all packages, and tells each fact that disagrees: what is kept, and what it should be. With --repair it is "
        "mended. With --files every public file is read, too, and compared with what was published. The farm may go on meanwhile. "
        "Exits with 0 when all agrees or has been mended, with 1 when not.",
    .bit = FOR_CHECK,
    .max_words = 0,
    .run = run,
};
