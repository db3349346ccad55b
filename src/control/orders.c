/*
 * What people ask and order beyond how things stand: EXPLAIN, QUEUE, REBUILD, REWRITE, SKIP, SKIPS, UNSKIP, REMOVE. The
 * database decides (schema/people.sql) and answers JSON, which goes on to the tool as DATA; DONE tells in words what was
 * done. control.c's table leads here. An order goes on when its tool leaves.
 *
 *     EXPLAIN, QUEUE, REBUILD, REWRITE, SKIPS, REMOVE    ask → answer
 *     SKIP     (read versions → hold the specifier against them →) make the rule (→ again when more have come meanwhile)
 *              → (spread a rule for all over the packages, some at a time) → answer
 *     UNSKIP   word by word: take some back → … → answer
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/log.h"
#include "core/nearest.h"
#include "core/text.h"
#include "private.h"
#include "python.h"

#define MAX_KEY_BYTES 1024
#define MAX_WORDS (sizeof ((struct msg_unskip *)0)->words.items / sizeof (struct rec_skipped))
#define MAX_KNOWN 2000            /* names among which the one that was meant is looked for */

struct order {
    struct client *client;
    struct db_call call;
    void (*done)(struct order *o, const json_t *answer);
    char *json;                   /* what the call answers */
    char package[256], release[256], target[64], specifier[256], reason[256];
    struct buf key;               /* of the release */
    bool prereleases, sure, builds;
    struct db_words versions;     /* of SKIP */
    int64_t rule, stopped;
    char words[MAX_WORDS][256];   /* of UNSKIP */
    unsigned word, word_count;
    int64_t removed;
};

/* ---- the life of an order ------------------------------------------------------------------------ */

static void end(struct order *o)
{
    struct client *c = o->client;
    db_words_release(&o->versions);
    buf_release(&o->key);
    free(o->json);
    free(o);
    c->order = NULL;
    c->running--;
    client_check_end(c);
}

static void refuse(struct order *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct order *o, const char *format, ...)
{
    char text[480];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (o->client->state == CLIENT_ANSWERING)
        client_refuse(o->client, "%s", text);
    end(o);
}

/* Tells the tool, and the log if something was changed. */
static void finish(struct order *o, bool changed, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void finish(struct order *o, bool changed, const char *format, ...)
{
    struct client *c = o->client;
    char text[480];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (changed) {
        log_info("control", "by hand: %s", text);
        c->control->sources.changed(c->control->sources.owner);
    }
    if (c->state == CLIENT_ANSWERING)
        client_say_done(c, true, text);
    end(o);
}

static void say(struct order *o, const json_t *object)
{
    if (o->client->state == CLIENT_ANSWERING)
        client_say_json(o->client, json_deep_copy(object));
}

/* What is not done at once does not go on when the master stops. */
static bool is_cut_off(struct order *o)
{
    if (!o->client->control->closing)
        return false;
    refuse(o, "the master stops; give the same order again when it runs, for this is not done in full");
    return true;
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void orders_cancel(struct client *c)
{
    if (c->order)
        db_cancel(&c->order->call);
}

/* ---- what is not known --------------------------------------------------------------------------- */

static void refuse_unknown(struct order *o, const char *what, const char *name, const json_t *known)
{
    const char *names[MAX_KNOWN], *near;
    char listed[200] = "", hint[300] = "";
    size_t count = 0, i;
    json_t *one;
    json_array_foreach(known, i, one) {
        if (count < MAX_KNOWN)
            names[count++] = json_string_value(one);
    }
    near = nearest_name(name, names, count);
    if (near)
        snprintf(hint, sizeof hint, "; did you mean %s?", near);
    for (i = 0; i < count && i < 3; i++)
        snprintf(listed + strlen(listed), sizeof listed - strlen(listed), "%s%.50s", i ? ", " : "", names[i]);
    if (strcmp(what, "package") == 0)
        refuse(o, "no package %.100s is known here%s%s to have it: piwheels add %.100s", name, hint, near ? " Else," : ";", name);
    else if (strcmp(what, "version") == 0)
        refuse(o, "%.100s has no version %.100s here%s%s; if PyPI has it: piwheels add %.100s %.100s", name, o->release,
               count > 1 ? ", its newest are " : count ? ", only " : "", listed, name, o->release);
    else if (strcmp(what, "target") == 0)
        refuse(o, "there is no target %.100s%s (see piwheels target list)", name, hint);
    else
        refuse(o, "there is no rule %.100s, and no package of that name is skipped (see piwheels skip --list)", name);
}

static void on_answer(struct db_call *call, int error)
{
    struct order *o = container_of(call, struct order, call);
    json_t *answer = error ? NULL : json_loads(o->json, 0, NULL);
    const char *unknown = json_string_value(json_object_get(answer, "unknown"));
    free(o->json);
    o->json = NULL;
    if (error)
        refuse(o, "the database refused: %.400s", call->message[0] ? call->message : strerror(-error));
    else if (unknown)
        refuse_unknown(o, unknown, json_string_value(json_object_get(answer, "name")), json_object_get(answer, "known"));
    else
        o->done(o, answer);
    json_decref(answer);
}

/* ---- the beginning ------------------------------------------------------------------------------- */

/* NULL: refused. `package` may be "" where all are meant. */
static struct order *begin(struct client *c, const char *version, const char *package, const char *release,
                           const char *target, void (*done)(struct order *o, const json_t *answer))
{
    struct db *db = c->control->sources.db;
    if (!client_same_version(c, version))
        return NULL;
    if (!db_ready(db)) {
        client_refuse(c, "the master waits for its database: %s", db_why(db));
        return NULL;
    }
    if (package[0] && !python_name_valid(package)) {
        client_refuse(c, "\"%s\" is no package's name", package);
        return NULL;
    }
    struct order *o = mem_new(1, sizeof *o);
    o->client = c;
    o->done = done;
    buf_init(&o->key, MAX_KEY_BYTES);
    python_name_normalise(package, o->package, sizeof o->package); /* no longer than the name, so it fits */
    text_copy(o->release, sizeof o->release, release);
    text_copy(o->target, sizeof o->target, target);
    if (release[0] && python_version_sort_key(release, &o->key) != 0)
        buf_adds(&o->key, "?"); /* no version has such a key */
    c->order = o;
    c->running++;
    c->state = CLIENT_ANSWERING;
    return o;
}

static struct db_subject subject(const struct order *o)
{
    return (struct db_subject){o->package, o->release[0] ? &o->key : NULL, o->target};
}

/* ---- EXPLAIN ------------------------------------------------------------------------------------- */

/* What the slaves that the database knows are doing now, and where logs can be read. */
static void complete_target(const struct control *control, json_t *target)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(target, "slaves"), i, one) {
        const char *state = farm_slave_state(control->sources.farm, number_of(one, "slave"));
        json_object_set_new(one, "now", json_string(state ? state : "away"));
    }
    json_array_foreach(json_object_get(target, "attempts"), i, one) {
        const char *log = json_string_value(json_object_get(one, "log"));
        char *url = control->site_url[0] && log[0] ? mem_format("%s%s", control->site_url, log) : mem_text(log);
        json_object_set_new(one, "log", json_string(url));
        free(url);
    }
}

static void on_explained(struct order *o, const json_t *answer)
{
    json_t *head = json_copy((json_t *)answer), *versions = json_incref(json_object_get(head, "versions")), *v, *t;
    size_t i, j;
    json_object_del(head, "versions");
    say(o, head);
    json_array_foreach(versions, i, v) {
        json_array_foreach(json_object_get(v, "targets"), j, t)
            complete_target(o->client->control, t);
        say(o, v);
    }
    json_decref(versions);
    json_decref(head);
    finish(o, false, "%s", "");
}

void orders_on_explain(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->explain.version, m->explain.package, m->explain.release, m->explain.target, on_explained);
    if (!o)
        return;
    struct db_subject s = subject(o);
    db_explain(c->control->sources.db, &o->call, &s, &o->json, on_answer);
}

/* ---- QUEUE, SKIPS -------------------------------------------------------------------------------- */

static void on_told(struct order *o, const json_t *answer)
{
    say(o, answer);
    finish(o, false, "%s", "");
}

void orders_on_queue(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->queue.version, "", "", m->queue.target, on_told);
    if (o)
        db_queue(c->control->sources.db, &o->call, o->target, &o->json, on_answer);
}

void orders_on_skips(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->skips.version, m->skips.package, "", "", on_told);
    if (o)
        db_skips(c->control->sources.db, &o->call, o->package, &o->json, on_answer);
}

/* ---- REBUILD, REWRITE, REMOVE -------------------------------------------------------------------- */

static void on_rebuilt(struct order *o, const json_t *answer)
{
    bool changed = json_object_get(answer, "asked") != NULL;
    say(o, answer);
    finish(o, changed, "%s%s%s: %lld version%s to be built again", o->package, o->release[0] ? " " : "", o->release,
           (long long)number_of(answer, "versions"), number_of(answer, "versions") == 1 ? "" : "s");
}

void orders_on_rebuild(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->rebuild.version, m->rebuild.package, m->rebuild.release, m->rebuild.target, on_rebuilt);
    if (!o)
        return;
    struct db_subject s = subject(o);
    db_rebuild(c->control->sources.db, &o->call, &s, m->rebuild.sure, &o->json, on_answer);
}

static void on_rewritten(struct order *o, const json_t *answer)
{
    say(o, answer);
    finish(o, true, "%lld page%s to be written again", (long long)number_of(answer, "pages"),
           number_of(answer, "pages") == 1 ? " is" : "s are");
}

void orders_on_rewrite(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->rewrite.version, m->rewrite.package, "", "", on_rewritten);
    if (o)
        db_rebuild_pages(c->control->sources.db, &o->call, m->rewrite.kind, o->package, &o->json, on_answer);
}

static void on_removed(struct order *o, const json_t *answer)
{
    say(o, answer);
    finish(o, o->sure, "%s%s%s: %s, %lld file%s withdrawn", o->package, o->release[0] ? " " : "", o->release,
           o->builds ? "its builds are removed" : "removed", (long long)number_of(answer, "files"),
           number_of(answer, "files") == 1 ? "" : "s");
}

void orders_on_remove(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->remove.version, m->remove.package, m->remove.release, "", on_removed);
    if (!o)
        return;
    struct db_subject s = subject(o);
    o->builds = m->remove.builds;
    o->sure = m->remove.sure;
    db_remove(c->control->sources.db, &o->call, &s, o->builds, o->sure, &o->json, on_answer);
}

/* ---- SKIP ---------------------------------------------------------------------------------------- */

static void on_versions(struct db_call *call, int error);

static void make_rule(struct order *o)
{
    if (is_cut_off(o))
        return;
    struct db *db = o->client->control->sources.db;
    int64_t *judged = mem_new(o->versions.count + 1, sizeof *judged), *struck = mem_new(o->versions.count + 1, sizeof *struck);
    struct db_skip skip = {.package = o->package, .specifier = o->specifier, .target = o->target, .reason = o->reason,
                           .prereleases = o->prereleases, .judged = judged, .struck = struck};
    for (unsigned i = 0; i < o->versions.count; i++) {
        judged[skip.judged_count++] = o->versions.items[i].id;
        if (python_specifiers_match(o->specifier, o->versions.items[i].text, true) == 1)
            struck[skip.struck_count++] = o->versions.items[i].id;
    }
    db_skip(db, &o->call, &skip, &o->json, on_answer);
    free(judged);
    free(struck);
}

static void read_versions(struct order *o)
{
    if (is_cut_off(o))
        return;
    db_words_release(&o->versions);
    db_versions(o->client->control->sources.db, &o->call, o->package, &o->versions, on_versions);
}

static void on_versions(struct db_call *call, int error)
{
    struct order *o = container_of(call, struct order, call);
    if (error)
        refuse(o, "the database refused: %.400s", call->message[0] ? call->message : strerror(-error));
    else
        make_rule(o);
}

static void on_spread(struct order *o, const json_t *answer);

static void tell_rule(struct order *o, const json_t *answer)
{
    const json_t *rule = json_object_get(answer, "rule");
    int64_t versions = number_of(rule, "versions");
    char stopped[64] = "";
    if (o->stopped > 0)
        snprintf(stopped, sizeof stopped, "; %lld running build%s stopped", (long long)o->stopped, o->stopped == 1 ? " is" : "s are");
    say(o, rule);
    finish(o, true, "rule %lld skips %s%s%s%s%s%s: %lld%s version%s%s", (long long)number_of(rule, "rule"),
           o->package[0] ? o->package : "all packages", o->specifier[0] ? " " : "", o->specifier,
           o->prereleases ? ", pre-releases only" : "", o->target[0] ? ", on " : "", o->target, (long long)versions,
           versions == 10000 ? " or more" : "", versions == 1 ? "" : "s", stopped);
}

/* To the next packages. */
static void spread(struct order *o, int64_t from)
{
    if (is_cut_off(o))
        return;
    o->done = on_spread;
    db_skip_spread(o->client->control->sources.db, &o->call, o->rule, from, &o->json, on_answer);
}

static void on_spread(struct order *o, const json_t *answer)
{
    const json_t *next = json_object_get(answer, "next");
    o->stopped += (int64_t)json_array_size(json_object_get(answer, "ended"));
    if (json_is_integer(next))
        spread(o, json_integer_value(next));
    else
        tell_rule(o, answer);
}

static void on_skipped(struct order *o, const json_t *answer)
{
    if (json_is_true(json_object_get(answer, "again"))) {
        read_versions(o);
        return;
    }
    o->rule = number_of(json_object_get(answer, "rule"), "rule");
    o->stopped = (int64_t)json_array_size(json_object_get(answer, "ended"));
    if (json_is_true(json_object_get(answer, "spread")))
        spread(o, 0);
    else
        tell_rule(o, answer);
}

void orders_on_skip(struct client *c, const struct message *m)
{
    const struct msg_skip *skip = &m->skip;
    if (!client_same_version(c, skip->version))
        return;
    if (skip->specifier[0] && python_specifiers_match(skip->specifier, "1", true) < 0) {
        client_refuse(c, "\"%s\" does not tell which versions; right are <2 and >=1.5,!=1.6", skip->specifier);
        return;
    }
    if (!skip->reason[0]) {
        client_refuse(c, "the reason is empty: whoever finds no wheel will read it");
        return;
    }
    struct order *o = begin(c, skip->version, skip->package, "", skip->target, on_skipped);
    if (!o)
        return;
    o->prereleases = skip->prereleases;
    text_copy(o->specifier, sizeof o->specifier, skip->specifier);
    text_copy(o->reason, sizeof o->reason, skip->reason);
    if (o->specifier[0])
        read_versions(o);
    else
        make_rule(o);
}

/* ---- UNSKIP -------------------------------------------------------------------------------------- */

static void take_back(struct order *o)
{
    if (is_cut_off(o))
        return;
    db_unskip(o->client->control->sources.db, &o->call, o->words[o->word], &o->json, on_answer);
}

static void on_taken_back(struct order *o, const json_t *answer)
{
    bool more = json_is_true(json_object_get(answer, "more"));
    if (!more) {
        json_t *told = json_pack("{s:s, s:I}", "word", o->words[o->word], "removed", (json_int_t)number_of(answer, "removed"));
        say(o, told);
        json_decref(told);
        o->removed += number_of(answer, "removed");
        o->word++;
    }
    if (o->word == o->word_count)
        finish(o, true, "%lld rule%s taken back", (long long)o->removed, o->removed == 1 ? " is" : "s are");
    else
        take_back(o);
}

void orders_on_unskip(struct client *c, const struct message *m)
{
    struct order *o = begin(c, m->unskip.version, "", "", "", on_taken_back);
    if (!o)
        return;
    for (unsigned i = 0; i < m->unskip.words.count; i++) {
        const char *word = m->unskip.words.items[i].word;
        if (python_name_valid(word))
            python_name_normalise(word, o->words[o->word_count++], sizeof o->words[0]);
        else
            text_copy(o->words[o->word_count++], sizeof o->words[0], word);
    }
    if (o->word_count == 0)
        finish(o, false, "nothing to take back");
    else
        take_back(o);
}
