/*
 * `piwheels logs`: what a build prints, while it goes on, or what it has printed. The running master tells the one; the
 * other is read where it is kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <zlib.h>

#include "cmd.h"
#include "control.h"
#include "core/text.h"

#define PIECE_BYTES 65536

struct logs {
    char path[512];        /* of the log that is kept; "" while the build goes on */
    uint64_t offset;       /* from where on to read it */
};

static void on_data(void *owner, const char *json)
{
    struct logs *l = owner;
    json_t *piece = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(piece, "text"));
    const char *path = json_string_value(json_object_get(piece, "path"));

    if (text != NULL) {
        fputs(text, stdout);
        if (command_flush() != EXIT_OK)
            exit(EXIT_TROUBLE); /* nobody would see the rest, which may come for hours */
    }
    if (path != NULL) {
        text_copy(l->path, sizeof l->path, path);
        l->offset = (uint64_t)json_integer_value(json_object_get(piece, "offset"));
    }
    json_decref(piece);
}

/* Without what would change the terminal. */
static void print_clean(const char *data, size_t len)
{
    char *text = text_clean(data, len, 4 * PIECE_BYTES);
    fputs(text, stdout);
    free(text);
}

static void print_from(gzFile file, uint64_t offset)
{
    static char piece[PIECE_BYTES];
    size_t held = 0;                   /* of a line that goes on in the next piece */

    if (gzseek(file, (z_off_t)offset, SEEK_SET) < 0)
        return;
    for (int got; (got = gzread(file, piece + held, (unsigned)(sizeof piece - held))) > 0;) {
        size_t len = held + (size_t)got;
        const char *newline = memrchr(piece, '\n', len);
        size_t lines = newline != NULL ? (size_t)(newline - piece) + 1 : len == sizeof piece ? len : 0;
        print_clean(piece, lines);
        held = len - lines;
        memmove(piece, piece + lines, held);
    }
    print_clean(piece, held);
}

static int print_kept(const struct logs *l, const char *build)
{
    int error;
    gzFile file = gzopen(l->path, "rbe");

    if (file == NULL && errno == ENOENT)
        return command_trouble(&command_logs, "there is no log of build %s: it waits to be built, or is none of this "
                               "master's", build);
    if (file == NULL)
        return command_trouble(&command_logs, "cannot read %s: %s", l->path, strerror(errno));
    print_from(file, l->offset);
    gzerror(file, &error);
    gzclose(file);
    return error == Z_OK || error == Z_STREAM_END ? EXIT_OK
                                                  : command_trouble(&command_logs, "%s is damaged", l->path);
}

static int run(const struct options *o)
{
    struct message m = {.verb = VERB_LOGS, .logs = {.version = PIWHEELS_VERSION, .slave = "",
                                                    .follow = option_flag(o, OPT_argv_follow)}};
    struct control_answer answer;
    struct logs logs = {.path = ""};
    unsigned long long build;

    if (text_to_u64(o->words[0], &build) == 0 && build > 0 && build <= INT64_MAX)
        m.logs.build = build;
    else if (strlen(o->words[0]) <= 64)
        m.logs.slave = o->words[0];
    else
        return command_usage_error(&command_logs, "\"%s\" is neither a build's number nor a slave's label", o->words[0]);
    control_ask(option_text(o, OPT_master_control_socket), &m, on_data, &logs, &answer);
    if (!answer.good)
        return command_trouble(&command_logs, "%s", answer.text);
    return logs.path[0] != '\0' ? print_kept(&logs, o->words[0]) : EXIT_OK;
}

static const char *const aliases[] = {NULL};

const struct command command_logs = {
    .name = "logs",
    .aliases = aliases,
    .usage = "BUILD | SLAVE",
    .summary = "show what a build prints, or has printed",
    .description = "Shows the log of a build, by the build's number or by the label of the slave that works on it. Of a "
                   "build that goes on it shows what there is; with --follow it goes on until the build has ended. Every "
                   "line begins with the seconds since the build's start. What would change the terminal is left out.",
    .bit = FOR_LOGS,
    .min_words = 1,
    .max_words = 1,
    .run = run,
};
