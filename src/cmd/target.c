/*
 * piwheels target: names the kinds of machine that the farm builds for. An operator's tool; it changes the
 * database, where the stages of the master find it.
 */
#include <errno.h>
#include <gnu/libc-version.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/debian.h"
#include "core/memory.h"
#include "core/text.h"
#include "order.h"
#include "python.h"
#include "slave.h"
#include "target.h"

#define NAME_MAX_BYTES 63
#define REASON_MAX_BYTES 255
#define LABEL_MAX_BYTES 128

struct target *target_of(struct task *t)
{
    return container_of(tool_of(t), struct target, tool);
}

int target_run(struct target *t, const struct options *o, const struct task_step *steps)
{
    t->tool.command = &command_target;
    t->tool.dsn = option_text(o, OPT_master_dsn);
    t->tool.steps = steps;
    return tool_run(&t->tool);
}

/* ---- add ---- */

/* The name becomes a directory of the site, beside these. */
static bool name_taken(const char *name)
{
    static const char *const ours[] = {"simple", "project", "logs"};

    for (unsigned i = 0; i < COUNT_OF(ours); i++)
        if (strcmp(name, ours[i]) == 0)
            return true;
    return text_ends(name, ".html") || text_ends(name, ".json") || text_ends(name, ".xml");
}

static bool name_valid(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789", more[] = "._-";
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_BYTES || strchr(more, name[0]) != NULL)
        return false;
    for (size_t i = 0; i < len; i++)
        if (strchr(first, name[i]) == NULL && strchr(more, name[i]) == NULL)
            return false;
    return true;
}

/* Refuses what the words say wrongly: EXIT_OK, or the exit status. */
static int check_target(const struct target *t)
{
    unsigned major, minor;
    bool free_threaded;

    if (!name_valid(t->name))
        return command_usage_error(&command_target,
                                   "\"%s\" is no name for a target: lower-case letters, digits, and "
                                   "\".\", \"_\", \"-\" inside, at most %d of them, such as bookworm-armv7l",
                                   t->name, NAME_MAX_BYTES);
    if (name_taken(t->name))
        return command_usage_error(&command_target,
                                   "\"%s\" is no name for a target, for the site has a page or "
                                   "directory of that name", t->name);
    if (python_abi_parse(t->abi, &major, &minor, &free_threaded) != 0)
        return command_usage_error(&command_target,
                                   "\"%s\" is no ABI tag of CPython; right are cp311, cp313t",
                                   t->abi);
    if (!python_platform_valid(t->platform))
        return command_usage_error(&command_target,
                                   "\"%s\" is no platform tag of Linux; right are linux_x86_64, "
                                   "linux_armv7l, linux_aarch64, linux_riscv64", t->platform);
    return EXIT_OK;
}

/* Of this machine, as "2.36"; NULL where the platform says all that is to be said. */
static const char *native_glibc(const char *platform)
{
    return text_starts(platform, "linux_") ? gnu_get_libc_version() : NULL;
}

static bool glibc_valid(const char *glibc)
{
    unsigned major, minor;
    int end = 0;

    return sscanf(glibc, "%3u.%3u%n", &major, &minor, &end) == 2 && glibc[end] == '\0' && major > 0 && glibc[0] >= '0'
           && glibc[0] <= '9' && strpbrk(glibc, " +-") == NULL;
}

static int add(const struct options *o)
{
    struct target t = {
        .name = o->words[1],
        .abi = option_text(o, OPT_argv_abi),
        .platform = option_text(o, OPT_argv_platform),
        .label = option_text(o, OPT_argv_label),
        .glibc = option_text(o, OPT_argv_glibc),
    };
    struct slave_python python;
    char system[128], why[256];

    if (option_flag(o, OPT_argv_native)) {
        if (t.abi != NULL || t.platform != NULL)
            return command_usage_error(&command_target,
                                       "--native takes ABI and platform from this machine; leave "
                                                        "--abi and --platform out");
        if (slave_ask_python(option_text(o, OPT_argv_python), &python, why, sizeof why) != 0)
            return command_trouble(&command_target, "%s", why);
        slave_system_name(system, sizeof system);
        t.abi = python.abi;
        t.platform = python.platform;
        t.label = t.label != NULL ? t.label : system;
        t.glibc = t.glibc != NULL ? t.glibc : native_glibc(t.platform);
    } else if (option_given(o, OPT_argv_python)) {
        return command_usage_error(&command_target, "--python belongs to --native");
    }
    if (t.abi == NULL || t.platform == NULL)
        return command_usage_error(&command_target,
                                   "what does it build for? give --abi and --platform, or --native");
    if (t.label != NULL && strlen(t.label) > LABEL_MAX_BYTES)
        return command_usage_error(&command_target, "the label is longer than %d bytes; pages have it in the head of a column",
                                   LABEL_MAX_BYTES);
    if (t.glibc != NULL && !glibc_valid(t.glibc))
        return command_usage_error(&command_target, "--glibc is a version such as 2.36, not %.40s", t.glibc);
    int status = check_target(&t);
    return status == EXIT_OK ? target_add(&t, o) : status;
}

/* ---- list ---- */

static enum step read_targets(struct task *t)
{
    struct target *target = target_of(t);

    db_targets(target->tool.db, &target->tool.call, &target->targets, tool_on_answer);
    return STEP_WAIT;
}

static void print_json(const struct db_targets *targets)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < targets->count; i++) {
        const struct db_target *t = &targets->items[i];
        char glibc[32];
        snprintf(glibc, sizeof glibc, "%u.%u", t->glibc_major, t->glibc_minor);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?}", "name", t->name, "abi", t->abi,
                                              "platform", t->platform, "label", t->label,
                                              "glibc", t->glibc_major > 0 ? glibc : NULL,
                                              "skip", t->skipped ? t->skip : NULL));
    }
    order_print_json(list);
    json_decref(list);
}

static void widen(int *width, const char *text)
{
    int len = (int)strlen(text);

    if (len > *width)
        *width = len;
}

static void print_table(const struct db_targets *targets)
{
    int name = (int)strlen("NAME"), abi = (int)strlen("ABI"), platform = (int)strlen("PLATFORM");

    if (targets->count == 0) {
        puts("There is no target yet; add one: piwheels target add NAME --native");
        return;
    }
    for (unsigned i = 0; i < targets->count; i++) {
        widen(&name, targets->items[i].name);
        widen(&abi, targets->items[i].abi);
        widen(&platform, targets->items[i].platform);
    }
    printf("%-*s  %-*s  %-*s  %s\n", name, "NAME", abi, "ABI", platform, "PLATFORM", "LABEL");
    for (unsigned i = 0; i < targets->count; i++) {
        const struct db_target *t = &targets->items[i];
        printf("%-*s  %-*s  %-*s  %s", name, t->name, abi, t->abi, platform, t->platform, t->label);
        if (t->skipped)
            printf("%s[skipped: %s]", t->label[0] != '\0' ? " " : "", t->skip);
        if (t->judging)
            printf("%s[not judged yet: say target add again]", t->label[0] != '\0' ? " " : "");
        putchar('\n');
    }
}

static enum step print_targets(struct task *t)
{
    struct target *target = target_of(t);

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    if (target->json)
        print_json(&target->targets);
    else
        print_table(&target->targets);
    return STEP_NEXT;
}

static const struct task_step list_steps[] = {
    {"read targets", read_targets},
    {"print targets", print_targets},
    {NULL, NULL},
};

static int list(const struct options *o)
{
    struct target t = {.json = option_flag(o, OPT_argv_json)};

    return target_run(&t, o, list_steps);
}

/* ---- skip, unskip ---- */

static enum step skip_target(struct task *t)
{
    struct target *target = target_of(t);

    db_target_skip(target->tool.db, &target->tool.call, target->name, target->reason, &target->found,
                   tool_on_answer);
    return STEP_WAIT;
}

static enum step tell_skipped(struct task *t)
{
    struct target *target = target_of(t);

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    if (!target->found)
        return task_fail(t, -ENOENT, "there is no target %s; see: piwheels target list", target->name);
    if (target->reason != NULL)
        printf("Target %s is skipped: nothing more is built for it.\n", target->name);
    else
        printf("Target %s is taken up again.\n", target->name);
    return STEP_NEXT;
}

static const struct task_step skip_steps[] = {
    {"skip target", skip_target},
    {"tell skipped", tell_skipped},
    {NULL, NULL},
};

static int skip(const struct options *o)
{
    struct target t = {.name = o->words[1]};
    struct buf reason;
    int status;

    buf_init(&reason, REASON_MAX_BYTES);
    for (unsigned i = 2; i < o->word_count; i++)
        buf_addf(&reason, "%s%s", i > 2 ? " " : "", o->words[i]);
    t.reason = reason.data;
    if (reason.full)
        status = command_usage_error(&command_target, "the reason is longer than %d bytes", REASON_MAX_BYTES);
    else if (reason.len == 0)
        status = command_usage_error(&command_target, "the reason is empty; people will read it");
    else
        status = target_run(&t, o, skip_steps);
    buf_release(&reason);
    return status;
}

static int unskip(const struct options *o)
{
    struct target t = {.name = o->words[1]};

    return target_run(&t, o, skip_steps);
}

/* ---- preinstalled ---- */

static enum step store_preinstalled(struct task *t)
{
    struct target *target = target_of(t);

    db_target_preinstalled(target->tool.db, &target->tool.call, target->name,
                           (const char *const *)target->packages, target->package_count, &target->found,
                           tool_on_answer);
    return STEP_WAIT;
}

static enum step tell_preinstalled(struct task *t)
{
    struct target *target = target_of(t);

    if (target->tool.error != 0)
        return tool_refused(&target->tool);
    if (!target->found)
        return task_fail(t, -ENOENT, "there is no target %s; see: piwheels target list", target->name);
    printf("Target %s: its machines have %zu packages; pages do not name these as needed.\n", target->name,
           target->package_count);
    return STEP_NEXT;
}

static const struct task_step preinstalled_steps[] = {
    {"store preinstalled", store_preinstalled},
    {"tell preinstalled", tell_preinstalled},
    {NULL, NULL},
};

/* The first word of a line, as dpkg-query -W prints it: "libc6:armhf\t2.36-9". */
static int read_packages(struct target *t, const char *path, FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    int status = EXIT_OK;

    for (unsigned number = 1; status == EXIT_OK && getline(&line, &size, file) >= 0; number++) {
        line[strcspn(line, "#\n")] = '\0';
        char *name = line + strspn(line, " \t");
        name[strcspn(name, ": \t\r")] = '\0';
        if (name[0] == '\0')
            continue;
        if (debian_name_valid(name)) {
            t->packages = mem_resize(t->packages, t->package_count + 1, sizeof *t->packages);
            t->packages[t->package_count++] = mem_text(name);
        } else {
            status = command_usage_error(&command_target, "%s:%u: \"%s\" is no name of a Debian package; the list is "
                                         "what dpkg-query -W prints on a machine of the target", path, number, name);
        }
    }
    free(line);
    return status;
}

static int preinstalled(const struct options *o)
{
    struct target t = {.name = o->words[1]};
    const char *path = o->words[2];
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return command_trouble(&command_target, "cannot read %s: %s", path, strerror(errno));
    int status = read_packages(&t, path, file);
    fclose(file);
    if (status == EXIT_OK)
        status = target_run(&t, o, preinstalled_steps);
    if (status == EXIT_OK)
        status = target_judge(&t, o);
    for (size_t i = 0; i < t.package_count; i++)
        free(t.packages[i]);
    free(t.packages);
    return status;
}

/* ---- the command ---- */

static const struct command_action actions[] = {
    {"add", "add NAME (--native | --abi ABI --platform TAG)", 2, 2, add},
    {"list", "list", 1, 1, list},
    {"preinstalled", "preinstalled NAME FILE", 3, 3, preinstalled},
    {"skip", "skip NAME REASON", 3, OPTIONS_MAX_WORDS, skip},
    {"unskip", "unskip NAME", 2, 2, unskip},
};

static int run(const struct options *o)
{
    return command_act(&command_target, actions, COUNT_OF(actions), o);
}

static const char *const aliases[] = {NULL};

const struct command command_target = {
    .name = "target",
    .aliases = aliases,
    .usage = "add NAME | list | preinstalled NAME FILE | skip NAME REASON | unskip NAME",
    .summary = "name the kinds of machine that the farm builds for",
    .description =
        "A target is a kind of machine that wheels are built for: a Python's ABI tag and a platform tag. "
        "\"add\" names one, with --abi and --platform, or with --native for the machine and the Python that "
        "it runs on. \"list\" shows them all, in the order in which a package is tried. \"skip\" ends building "
        "for one and keeps what is published; \"unskip\" takes it up again. \"preinstalled\" tells which Debian packages "
        "every machine of the target has, so that pages name only what is needed beyond: FILE has a name a line, as "
        "dpkg-query -W prints them.\n\n"
        "It speaks to the database, as the user whom piwheels initdb has given the rights (su - piwheels), "
        "and the master finds out by itself.",
    .bit = FOR_TARGET,
    .min_words = 1,
    .max_words = OPTIONS_MAX_WORDS,
    .needs_user = false,
    .run = run,
};
