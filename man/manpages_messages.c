/*
 * The messages of schema/messages.def as mdoc(7): a subsection for every record and message, in it a list
 * of the fields with type, limits and meaning.
 */
#include "manpages.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TEXT_COLUMNS 76

/* One word. `upper`: with a capital. */
static void print_word(const char *word, size_t len, bool upper)
{
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '\\')
            fputs("\\e", stdout);
        else
            putchar(upper && i == 0 ? toupper((unsigned char)word[i]) : word[i]);
    }
}

/* Prints a text in lines of usual length, none of which roff can take for a request. */
static void print_text(const char *text, bool upper, const char *end)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > TEXT_COLUMNS) {
            putchar('\n');
            column = 0;
        } else if (column > 0) {
            putchar(' ');
            column++;
        }
        if (column == 0 && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        print_word(text, len, upper);
        upper = false;
        column += len;
        text += len + (text[len] == ' ');
    }
    puts(end);
}

static void begin(const char *kind, const char *name, const char *said_by, const char *help)
{
    printf(".Ss %s%s\n", kind, name);
    if (said_by[0] != '\0')
        printf("From the %s.\n", said_by);
    print_text(help, true, ".");
}

/* The list is opened by the first field: some messages have none. */
static void print_field(bool *listing, const char *name, const char *type, const char *help)
{
    if (!*listing)
        puts(".Pp\n.Bl -tag -width Ds -compact");
    *listing = true;
    printf(".It Fa %s Pq %s\n", name, type);
    print_text(help, false, ""); /* no capital: some begin with a literal value */
}

static void end_fields(bool *listing)
{
    puts(*listing ? ".El" : ".Pp\nIt has no fields.");
    *listing = false;
}

static const char *number_text(uint64_t value, char text[32])
{
    if (value == UINT64_MAX)
        return "2\\(ha64\\-1";
    if (value == INT64_MAX)
        return "2\\(ha63\\-1";
    snprintf(text, 32, "%" PRIu64, value);
    return text;
}

static void print_number(bool *listing, const char *name, int64_t min, uint64_t max, const char *help)
{
    char type[80], number[32];
    const char *sign = min < 0 ? "\\-" : "";
    uint64_t least = min < 0 ? (uint64_t)-min : (uint64_t)min;
    snprintf(type, sizeof type, "integer, %s%" PRIu64 " to %s", sign, least, number_text(max, number));
    print_field(listing, name, type, help);
}

static void print_bounded(bool *listing, const char *name, const char *kind, unsigned max, const char *of,
                          const char *help)
{
    char type[80];
    snprintf(type, sizeof type, "%s of at most %u %s", kind, max, of);
    print_field(listing, name, type, help);
}

void print_messages(void)
{
    bool listing = false;
#define SLAVE "slave"
#define MASTER "master"
#define TOOL "tool"
#define RECORD(name, help) begin("The record ", #name, "", help);
#define RECORD_END(name) end_fields(&listing);
#define MESSAGE(name, verb, sender, help) begin("", #verb, sender, help);
#define MESSAGE_END(name) end_fields(&listing);
#define UINT(owner, name, max, help) print_number(&listing, #name, 0, max, help);
#define INT(owner, name, min, max, help) print_number(&listing, #name, min, max, help);
#define BOOL(owner, name, help) print_field(&listing, #name, "boolean", help);
#define TEXT(owner, name, max, help) print_bounded(&listing, #name, "str", max, "bytes", help);
#define BYTES(owner, name, max, help) print_bounded(&listing, #name, "bin", max, "bytes", help);
#define PART(owner, name, record, help) print_field(&listing, #name, "array, the record " #record, help);
#define LIST(owner, name, record, max, help) \
    print_bounded(&listing, #name, "array", max, "arrays, each the record " #record, help);
#include "messages.def"
}
