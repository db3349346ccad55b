/*
 * `piwheels slaves`: which slaves the master knows, and which of them it takes builds from. Asks the running master
 * (src/control/slaves.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd.h"
#include "control.h"
#include "core/buf.h"
#include "core/memory.h"
#include "core/text.h"
#include "order.h"

#define LABEL_MAX_BYTES 64
#define MAX_TARGETS (sizeof ((struct msg_accept *)0)->targets.items / sizeof (struct rec_named))

/* ---- list ---------------------------------------------------------------------------------------- */

struct known {
    json_t *master;
    json_t *slaves;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool is_waiting(const json_t *slave)
{
    return strcmp(text_of(slave, "trust"), "waiting") == 0;
}

/* "bookworm,trixie": what it is accepted for, or what it offers while it waits. */
static char *targets_of(const json_t *slave)
{
    json_t *names = json_object_get(slave, is_waiting(slave) ? "offers" : "targets"), *name;
    struct buf text;
    size_t i;

    buf_init(&text, 8192);
    json_array_foreach(names, i, name)
        buf_addf(&text, "%s%s", i > 0 ? "," : "", json_string_value(name));
    if (text.len == 0)
        buf_adds(&text, "-");
    char *all = buf_take(&text);
    buf_release(&text);
    return all;
}

static void print_slave(const json_t *slave)
{
    char *targets = targets_of(slave);
    const char *key = text_of(slave, "fingerprint"), *address = text_of(slave, "address");

    printf("%-16s %-9s %-20s %s\n", text_of(slave, "label"), text_of(slave, "trust"), targets,
           key[0] != '\0' ? key : "has shown no key");
    printf("  %s; %s; %s%s\n", text_of(slave, "system"), text_of(slave, "hardware"),
           address[0] != '\0' ? "connected from " : "last seen ", address[0] != '\0' ? address : text_of(slave, "last_seen"));
    free(targets);
}

static void print_known(const struct known *k)
{
    const char *key = text_of(k->master, "fingerprint");
    size_t i, waiting = 0;
    json_t *slave;

    printf("The master listens at %s; %s%s\n\n", text_of(k->master, "address"),
           key[0] != '\0' ? "its key is " : "it takes slaves at their word (--insecure)", key);
    printf("%-16s %-9s %-20s %s\n", "SLAVE", "TRUST", "TARGETS", "KEY");
    json_array_foreach(k->slaves, i, slave) {
        print_slave(slave);
        waiting += is_waiting(slave);
    }
    if (json_array_size(k->slaves) == 0)
        puts("none is known; start one with: piwheels slave --master ADDRESS");
    if (waiting > 0)
        printf("\n%zu %s to be accepted: compare the key with the one that the slave tells, then\n"
               "  piwheels slaves accept NAME\n", waiting, waiting == 1 ? "waits" : "wait");
}

static void on_known(void *owner, const char *json)
{
    struct known *k = owner;
    json_t *part = json_loads(json, 0, NULL), *master = json_object_get(part, "master");

    if (master != NULL)
        k->master = json_incref(master);
    else
        json_array_append(k->slaves, part);
    json_decref(part);
}

static int ask(const struct options *o, const struct message *m, struct known *k, struct control_answer *answer)
{
    control_ask(option_text(o, OPT_master_control_socket), m, on_known, k, answer);
    return answer->good ? EXIT_OK : command_trouble(&command_slaves, "%s", answer->text);
}

static int list(const struct options *o)
{
    struct message m = {.verb = VERB_SLAVES, .slaves = {.version = PIWHEELS_VERSION}};
    struct known k = {.slaves = json_array()};
    struct control_answer answer;
    int status = ask(o, &m, &k, &answer);

    if (status == EXIT_OK && option_flag(o, OPT_argv_json)) {
        json_t *all = json_pack("{s:O, s:O}", "master", k.master, "slaves", k.slaves);
        order_print_json(all);
        json_decref(all);
    } else if (status == EXIT_OK) {
        print_known(&k);
    }
    json_decref(k.master);
    json_decref(k.slaves);
    return status;
}

/* ---- accept, revoke ------------------------------------------------------------------------------ */

/* The answer of one who was asked to do something. */
static int tell(const struct options *o, const struct message *m)
{
    struct control_answer answer;
    int status = ask(o, m, NULL, &answer);

    if (status != EXIT_OK)
        return status;
    if (option_flag(o, OPT_argv_json)) {
        json_t *told = json_pack("{s:s, s:s}", "slave", o->words[1], "done", answer.text);
        order_print_json(told);
        json_decref(told);
    } else {
        printf("%s\n", answer.text);
    }
    return EXIT_OK;
}

/* Takes "a,b" apart, in place. EXIT_OK or the exit status. */
static int read_targets(char *text, struct msg_accept *accept)
{
    char *name;

    while ((name = strsep(&text, ", ")) != NULL) {
        if (name[0] == '\0')
            continue;
        if (accept->targets.count == MAX_TARGETS || strlen(name) > LABEL_MAX_BYTES - 1)
            return command_usage_error(&command_slaves, "\"%s\" is no target's name; see: piwheels target list", name);
        accept->targets.items[accept->targets.count++].name = name;
    }
    if (accept->targets.count == 0)
        return command_usage_error(&command_slaves, "--targets names none; leave it out for all that the slave offers");
    return EXIT_OK;
}

static int accept_slave(const struct options *o)
{
    struct message m = {.verb = VERB_ACCEPT, .accept = {.version = PIWHEELS_VERSION, .label = o->words[1]}};
    char *targets = option_given(o, OPT_argv_targets) ? mem_text(option_text(o, OPT_argv_targets)) : NULL;
    int status = targets != NULL ? read_targets(targets, &m.accept) : EXIT_OK;

    if (status == EXIT_OK)
        status = tell(o, &m);
    free(targets);
    return status;
}

static int revoke_slave(const struct options *o)
{
    struct message m = {.verb = VERB_REVOKE, .revoke = {.version = PIWHEELS_VERSION, .label = o->words[1]}};

    return tell(o, &m);
}

/* ---- the command --------------------------------------------------------------------------------- */

static const struct command_action actions[] = {
    {"list", "list", 1, 1, list},
    {"accept", "accept NAME [--targets TARGET,…]", 2, 2, accept_slave},
    {"revoke", "revoke NAME", 2, 2, revoke_slave},
};

static int run(const struct options *o)
{
    if (option_given(o, OPT_argv_targets) && strcmp(o->words[0], "accept") != 0)
        return command_usage_error(&command_slaves, "--targets belongs to accept");
    if (o->word_count > 1 && (o->words[1][0] == '\0' || strlen(o->words[1]) > LABEL_MAX_BYTES))
        return command_usage_error(&command_slaves, "\"%s\" is no slave's name", o->words[1]);
    return command_act(&command_slaves, actions, COUNT_OF(actions), o);
}

static const char *const aliases[] = {NULL};

const struct command command_slaves = {
    .name = "slaves",
    .aliases = aliases,
    .usage = "list | accept NAME | revoke NAME",
    .summary = "say which slaves the master takes builds from",
    .description =
        "A slave makes a key of its own and shows it to the master, which gives it no work until a person has "
        "accepted the key. \"list\" shows the slaves that the master knows, those who wait first, with the fingerprints of "
        "their keys and of the master's own. \"accept\" lets one build, for all targets that it offers now or for "
        "those given with --targets. \"revoke\" takes that back: its connection is cut, its builds go to others, and its "
        "key is refused from then on.\n\n"
        "Before you accept a slave, compare its key with the one that the slave itself tells on its machine.",
    .bit = FOR_SLAVES,
    .min_words = 1,
    .max_words = 2,
    .needs_user = false,
    .run = run,
};
