/*
 * What the commands share that order something of the running master.
 */
#include "order.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "python.h"

const char *order_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

long long order_number(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

/* ---- words ---- */

const char *order_exact_version(const char *specifiers)
{
    const char *version = specifiers;

    if (!text_starts(version, "==") || strchr(version, ',') != NULL)
        return NULL;
    version += 2;
    if (*version == '=')
        version++;
    else if (strchr(version, '*') != NULL)
        return NULL;
    while (*version == ' ')
        version++;
    return *version != '\0' ? version : NULL;
}

int order_subject(const struct command *c, const struct options *o, struct order_subject *to)
{
    const char *word = o->words[0], *version;
    struct requirement r;
    char why[256];

    *to = (struct order_subject){.release = ""};
    if (python_name_valid(word)) {
        text_copy(to->name, sizeof to->name, word);
        if (o->word_count == 2 && !text_copy(to->release, sizeof to->release, o->words[1]))
            return command_usage_error(c, "\"%.40s…\" is too long for a version", o->words[1]);
        return EXIT_OK;
    }
    if (python_requirement_parse(word, &r, why, sizeof why) != 1)
        return command_usage_error(c, "\"%s\" is no package's name", word);
    version = order_exact_version(r.specifiers);
    if (version != NULL && o->word_count == 2)
        return command_usage_error(c, "\"%s\" names a version already; leave \"%s\" out", word, o->words[1]);
    if (version == NULL)
        return command_usage_error(c, "\"%s\" does not name one version; right is %s==1.0", word, r.name);
    text_copy(to->name, sizeof to->name, r.name);
    if (!text_copy(to->release, sizeof to->release, version))
        return command_usage_error(c, "\"%.40s…\" is too long for a version", version);
    return EXIT_OK;
}

int order_check_skip(const struct command *c, const struct options *o)
{
    if (!option_given(o, OPT_argv_skip))
        return EXIT_OK;
    size_t len = strlen(option_text(o, OPT_argv_skip));
    if (len == 0)
        return command_usage_error(c, "give --skip a reason: whoever finds no wheel will read it");
    if (len > 255)
        return command_usage_error(c, "the reason is longer than 255 bytes");
    return EXIT_OK;
}

/* ---- asking ---- */

static void on_data(void *owner, const char *json)
{
    json_array_append_new(owner, json_loads(json, 0, NULL));
}

int order_ask(const struct command *c, const struct options *o, const struct message *m, json_t **answer)
{
    struct control_answer told;
    json_t *all = json_array();

    control_ask(option_text(o, OPT_master_control_socket), m, on_data, all, &told);
    if (told.good) {
        *answer = all;
        return EXIT_OK;
    }
    *answer = NULL;
    json_decref(all);
    return command_trouble(c, "%s", told.text);
}

/* A person who keeps the output in a file is to see what is asked. */
__attribute__((returns_nonnull)) static FILE *place_to_ask(void)
{
    return isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO) ? stderr : stdout;
}

int order_confirm(const struct command *c, const struct options *o, const char *format, ...)
{
    char answer[16] = "";
    va_list args;

    if (option_flag(o, OPT_argv_yes))
        return EXIT_OK;
    FILE *to = place_to_ask();
    va_start(args, format);
    vfprintf(to, format, args);
    va_end(args);
    fputc('\n', to);
    fflush(to);
    if (!isatty(STDIN_FILENO))
        return command_trouble(c, "there is nobody to ask; give -y to go on without");
    fputs("Go on? [y/N] ", to);
    fflush(to);
    if (fgets(answer, sizeof answer, stdin) == NULL || tolower((unsigned char)answer[0]) != 'y')
        return command_trouble(c, "nothing has been changed");
    return EXIT_OK;
}

void order_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
}

int order_tell(const struct options *o, json_t *pieces, void (*write)(const void *owner, const json_t *told), const void *owner)
{
    const json_t *told = json_array_get(pieces, 0);

    if (option_flag(o, OPT_argv_json))
        order_print_json(told);
    else
        write(owner, told);
    json_decref(pieces);
    return EXIT_OK;
}
