/*
 * The option table as people read it: --help, --print-config and the OPTIONS part of a man page.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/memory.h"
#include "core/text.h"
#include "options_table.h"

#define HELP_COLUMN 26

/* Which half of the help an option stands in. */
static bool is_general(enum option_id id)
{
    return option_rows[id].commands == FOR_ALL;
}

static void help_option(FILE *to, enum option_id id)
{
    const struct option_row *row = &option_rows[id];
    char name[OPTION_NAME_SIZE], letter[5] = "    ";

    if (row->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    int column = fprintf(to, "  %s%s%s%s", letter, option_long(row->name, name),
                         row->metavar != NULL ? " " : "", row->metavar != NULL ? row->metavar : "");
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', to);
        column = 0;
    }
    char *help = row->fallback != NULL ? mem_format("%s (default: %s)", row->help, row->fallback)
                                       : mem_text(row->help);
    text_wrap(to, help, (unsigned)column, HELP_COLUMN);
    free(help);
}

static void help_options(FILE *to, uint32_t command, bool general)
{
    for (unsigned id = 0; id < OPT_COUNT; id++)
        if (option_offered(id, command) && is_general(id) == general)
            help_option(to, id);
}

void options_help(FILE *to, uint32_t command)
{
    fputs("Options:\n", to);
    help_options(to, command, false);
    fputs("\nOptions of every command:\n", to);
    help_options(to, command, true);
}

void options_print(FILE *to, const struct options *o, uint32_t command)
{
    char key[OPTION_NAME_SIZE];

    for (unsigned id = 0; id < OPT_COUNT; id++) {
        const struct option_row *row = &option_rows[id];
        const struct option_value *value = &o->values[id];

        if (!option_offered(id, command) || !option_is_setting(id))
            continue;
        const char *unset = row->kind == KIND_FLAG ? "no" : row->kind == KIND_COUNT ? "0" : "";
        fprintf(to, "[%s] %s = %s  (%s)\n", row->section, option_key(row->name, key),
                value->text != NULL ? value->text : unset, value->text != NULL ? value->origin : "default");
    }
}

/* The help as a sentence of mdoc(7): capital letter, full stop, short lines; a backslash is written \e. */
static void manual_sentence(FILE *to, const char *help)
{
    struct buf sentence;

    buf_init(&sentence, 4096);
    buf_addc(&sentence, (char)toupper((unsigned char)help[0]));
    for (const char *c = help + 1; *c != '\0'; c++)
        buf_adds(&sentence, *c == '\\' ? "\\e" : (char[]){*c, '\0'});
    buf_addc(&sentence, '.');
    text_wrap(to, sentence.data, 0, 0);
    buf_release(&sentence);
}

static void manual_setting(FILE *to, const struct option_row *row)
{
    char name[OPTION_NAME_SIZE];

    fprintf(to, "Key\n.Cm %s\nin\n.Cm \\&[%s] ,\n", option_key(row->name, name), row->section);
    fprintf(to, "variable\n.Ev %s .\n", option_variable(row->section, row->name, name));
}

static void manual_option(FILE *to, enum option_id id)
{
    const struct option_row *row = &option_rows[id];
    char name[OPTION_NAME_SIZE];

    fputs(".It", to);
    if (row->letter != 0)
        fprintf(to, " Fl %c ,", row->letter);
    fprintf(to, " Fl %s", option_long(row->name, name) + 1);
    if (row->metavar != NULL)
        fprintf(to, " Ar %s", row->metavar);
    fputc('\n', to);
    manual_sentence(to, row->help);
    if (row->fallback != NULL)
        fprintf(to, "Default:\n.Ql %s .\n", row->fallback);
    if (option_is_setting(id))
        manual_setting(to, row);
}

void options_manual(FILE *to, uint32_t command)
{
    for (int general = 0; general <= 1; general++)
        for (unsigned id = 0; id < OPT_COUNT; id++)
            if (option_offered(id, command) && is_general(id) == (general == 1))
                manual_option(to, id);
}
