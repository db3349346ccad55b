/*
 * A table of which element may stand in which, on top of expat; called by changelog.c for each piece of an answer.
 *
 * Before expat sees a byte it passes the sieve: what XML-RPC never has (declarations, comments, attributes, processing
 * instructions) is refused, for expat would hold on to it until it ends; and characters that XML forbids, which
 * PyPI's old rows have, become DEL, so that one odd name does not spoil the 50,000 rows around it.
 */
#include "changelog_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define MAX_TAG_BYTES 64
#define MAX_DECLARATION_BYTES 256
#define INSTEAD_OF_FORBIDDEN '\x7f'

static int refuse(struct changelog_xml *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first reason counts. */
static int refuse(struct changelog_xml *x, const char *format, ...)
{
    va_list args;

    if (x->error != 0)
        return x->error;
    va_start(args, format);
    vsnprintf(x->reason, sizeof x->reason, format, args);
    va_end(args);
    x->error = -EPROTO;
    if (x->expat != NULL)
        XML_StopParser(x->expat, XML_FALSE);
    return x->error;
}

/* ---- which element may stand in which ------------------------------------------------------------- */

enum state {
    AT_START, AT_RESPONSE, AT_PARAMS, AT_PARAM, AT_ANSWER, AT_ANSWER_NUMBER, AT_LIST, AT_ROWS, AT_ROW_VALUE, AT_ROW,
    AT_FIELDS, AT_FIELD, AT_STRING, AT_NUMBER, AT_NIL, AT_FAULT, AT_FAULT_VALUE, AT_STRUCT, AT_MEMBER, AT_MEMBER_NAME,
    AT_MEMBER_VALUE, STATES
};

static const struct {
    unsigned least, most;     /* elements inside */
    bool text;                /* text may stand inside */
} shapes[STATES] = {
    [AT_START] = {1, 1, false},      [AT_RESPONSE] = {1, 1, false},   [AT_PARAMS] = {1, 1, false},
    [AT_PARAM] = {1, 1, false},      [AT_ANSWER] = {1, 1, false},     [AT_ANSWER_NUMBER] = {0, 0, true},
    [AT_LIST] = {1, 1, false},       [AT_ROWS] = {0, UINT32_MAX, false},
    [AT_ROW_VALUE] = {1, 1, false},  [AT_ROW] = {1, 1, false},        [AT_FIELDS] = {5, 5, false},
    [AT_FIELD] = {0, 1, true},       [AT_STRING] = {0, 0, true},      [AT_NUMBER] = {0, 0, true},
    [AT_NIL] = {0, 0, false},        [AT_FAULT] = {1, 1, false},      [AT_FAULT_VALUE] = {1, 1, false},
    [AT_STRUCT] = {2, 2, false},     [AT_MEMBER] = {2, 2, false},     [AT_MEMBER_NAME] = {0, 0, true},
    [AT_MEMBER_VALUE] = {0, 1, true},
};

static const struct {
    enum state outside;
    const char *element;
    enum state inside;
} edges[] = {
    {AT_FIELDS, "value", AT_FIELD},           {AT_FIELD, "string", AT_STRING},   {AT_FIELD, "int", AT_NUMBER},
    {AT_FIELD, "i4", AT_NUMBER},              {AT_FIELD, "i8", AT_NUMBER},       {AT_FIELD, "nil", AT_NIL},
    {AT_ROWS, "value", AT_ROW_VALUE},         {AT_ROW_VALUE, "array", AT_ROW},   {AT_ROW, "data", AT_FIELDS},
    {AT_START, "methodResponse", AT_RESPONSE},{AT_RESPONSE, "params", AT_PARAMS},{AT_PARAMS, "param", AT_PARAM},
    {AT_PARAM, "value", AT_ANSWER},           {AT_ANSWER, "array", AT_LIST},     {AT_LIST, "data", AT_ROWS},
    {AT_ANSWER, "int", AT_ANSWER_NUMBER},     {AT_ANSWER, "i4", AT_ANSWER_NUMBER},
    {AT_ANSWER, "i8", AT_ANSWER_NUMBER},      {AT_RESPONSE, "fault", AT_FAULT},  {AT_FAULT, "value", AT_FAULT_VALUE},
    {AT_FAULT_VALUE, "struct", AT_STRUCT},    {AT_STRUCT, "member", AT_MEMBER},  {AT_MEMBER, "name", AT_MEMBER_NAME},
    {AT_MEMBER, "value", AT_MEMBER_VALUE},    {AT_MEMBER_VALUE, "string", AT_STRING},
    {AT_MEMBER_VALUE, "int", AT_NUMBER},      {AT_MEMBER_VALUE, "i4", AT_NUMBER},
};

/* ---- values --------------------------------------------------------------------------------------- */

static void clear_field(struct changelog_field *f)
{
    f->kind = FIELD_NONE;
    f->text[0] = '\0';
    f->len = 0;
    f->cut = false;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (strchr(" \t\r\n", text[i]) == NULL)
            return false;
    return true;
}

static void read_number(struct changelog_xml *x, struct changelog_field *f)
{
    char *end;

    errno = 0;
    f->number = strtoll(f->text, &end, 10);
    f->kind = FIELD_NUMBER;
    if (f->cut || errno != 0 || end == f->text || *end != '\0' || is_blank(f->text, 1))
        refuse(x, "a number in the answer is none: %.40s", f->text);
}

static void tell_row(struct changelog_xml *x)
{
    const struct changelog_field *name = &x->fields[0], *version = &x->fields[1], *happened = &x->fields[2],
                                 *action = &x->fields[3], *serial = &x->fields[4];

    if (name->kind != FIELD_TEXT || (version->kind != FIELD_TEXT && version->kind != FIELD_NIL) ||
        happened->kind != FIELD_NUMBER || action->kind != FIELD_TEXT || serial->kind != FIELD_NUMBER) {
        refuse(x, "a row is not made of name, version, time, action and serial");
        return;
    }
    struct changelog_row row = {
        .name = name->text, .version = version->kind == FIELD_TEXT ? version->text : NULL, .action = action->text,
        .happened = happened->number, .serial = serial->number, .cut = name->cut || version->cut || action->cut,
    };
    x->rows++;
    if (!x->row(x->owner, &row) && x->error == 0) {
        x->error = -ECANCELED;
        XML_StopParser(x->expat, XML_FALSE);
    }
}

static void take_member(struct changelog_xml *x)
{
    if (strcmp(x->member, "faultCode") == 0 && x->scratch.kind == FIELD_NUMBER)
        x->fault_code = x->scratch.number;
    else if (strcmp(x->member, "faultString") == 0 && x->scratch.kind == FIELD_TEXT)
        text_copy(x->fault, sizeof x->fault, x->scratch.text);
    else
        refuse(x, "a fault is not made of faultCode and faultString");
}

/* ---- elements ------------------------------------------------------------------------------------- */

static enum state state_of(const struct changelog_xml *x)
{
    return x->stack[x->depth].state;
}

static void enter(struct changelog_xml *x, enum state state)
{
    switch (state) {
    case AT_FIELDS:
        for (size_t i = 0; i < COUNT_OF(x->fields); i++)
            clear_field(&x->fields[i]);
        break;
    case AT_FIELD:
        x->field = &x->fields[x->stack[x->depth].children - 1];
        break;
    case AT_ANSWER_NUMBER:
    case AT_MEMBER_NAME:
    case AT_MEMBER_VALUE:
        x->field = &x->scratch;
        clear_field(x->field);
        break;
    case AT_STRING:
    case AT_NUMBER:
    case AT_NIL:
        if (!is_blank(x->field->text, x->field->len))
            refuse(x, "text stands beside a value");
        clear_field(x->field);
        break;
    default:
        break;
    }
}

static void leave(struct changelog_xml *x, enum state state)
{
    switch (state) {
    case AT_ANSWER_NUMBER:
        read_number(x, x->field);
        x->number = x->field->number;
        x->answer = ANSWER_NUMBER;
        break;
    case AT_NUMBER: read_number(x, x->field); break;
    case AT_STRING: x->field->kind = FIELD_TEXT; break;
    case AT_NIL: x->field->kind = FIELD_NIL; break;
    case AT_FIELD:
    case AT_MEMBER_VALUE:
        if (x->field->kind == FIELD_NONE)
            x->field->kind = FIELD_TEXT; /* a value without a type is a text */
        if (state == AT_MEMBER_VALUE)
            take_member(x);
        x->field = NULL;
        break;
    case AT_MEMBER_NAME:
        text_copy(x->member, sizeof x->member, x->field->text);
        x->field = NULL;
        break;
    case AT_FIELDS: tell_row(x); break;
    case AT_FAULT: x->answer = ANSWER_FAULT; break;
    default: break;
    }
}

static void on_begin(void *context, const char *element, const char **attributes)
{
    struct changelog_xml *x = context;
    enum state outside = state_of(x);

    if (x->error != 0)
        return;
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        if (edges[i].outside != outside || strcmp(edges[i].element, element) != 0)
            continue;
        if (++x->stack[x->depth].children > shapes[outside].most)
            break;
        enter(x, edges[i].inside);
        x->depth++; /* the table leads no deeper than the stack reaches */
        x->stack[x->depth].state = edges[i].inside;
        x->stack[x->depth].children = 0;
        return;
    }
    refuse(x, "<%.40s> stands where it does not belong", element);
}

static void on_end(void *context, const char *element)
{
    struct changelog_xml *x = context;
    enum state state = state_of(x);

    if (x->error != 0)
        return;
    if (x->stack[x->depth].children < shapes[state].least) {
        refuse(x, "<%.40s> lacks something", element);
        return;
    }
    x->depth--;
    leave(x, state);
}

static void on_text(void *context, const char *text, int length)
{
    struct changelog_xml *x = context;
    struct changelog_field *f = x->field;
    size_t len = (size_t)length;

    if (x->error != 0)
        return;
    /* Between a typed value and the end of its element only space may come. */
    if (f == NULL || !shapes[state_of(x)].text || f->kind != FIELD_NONE) {
        if (!is_blank(text, len))
            refuse(x, "text stands where none belongs");
        return;
    }
    if (len > CHANGELOG_TEXT_MAX - f->len) {
        len = CHANGELOG_TEXT_MAX - f->len;
        f->cut = true;
    }
    memcpy(f->text + f->len, text, len);
    f->len += len;
    f->text[f->len] = '\0';
}

/* ---- the sieve ------------------------------------------------------------------------------------ */

static bool is_forbidden(unsigned long character)
{
    return (character < 0x20 && character != '\t' && character != '\n' && character != '\r') ||
           (character >= 0xd800 && character <= 0xdfff) || character == 0xfffe || character == 0xffff ||
           character > 0x10ffff;
}

/* Of a reference that has just ended: how many bytes of `held` go on. */
static size_t judge_reference(struct changelog_xml *x)
{
    char *end;

    x->held[x->run] = '\0';
    if (x->held[1] != '#')
        return x->run;
    bool hex = x->held[2] == 'x';
    unsigned long character = strtoul(x->held + (hex ? 3 : 2), &end, hex ? 16 : 10);
    if (*end != ';' || !is_forbidden(character))
        return x->run;
    x->held[0] = INSTEAD_OF_FORBIDDEN;
    return 1;
}

static bool sieve_tag(struct changelog_xml *x, char c)
{
    if (x->run == 1 && c == '?' && x->first) {
        x->sieve = SIEVE_DECLARATION;
    } else if (c == '>') {
        x->sieve = SIEVE_TEXT;
    } else if (strchr("!?\"'=<&", c) != NULL || x->run > MAX_TAG_BYTES) {
        refuse(x, "it has markup that no XML-RPC has");
        return false;
    }
    x->run++;
    return true;
}

static bool sieve_declaration(struct changelog_xml *x, char c)
{
    if (c == '>')
        x->sieve = SIEVE_TEXT;
    else if (++x->run > MAX_DECLARATION_BYTES)
        return refuse(x, "its first line is endless"), false;
    return true;
}

static size_t sieve_text(struct changelog_xml *x, char c, char *to)
{
    if (c == '&') {
        x->sieve = SIEVE_REFERENCE;
        x->held[0] = c;
        x->run = 1;
        return 0;
    }
    if (c == '<') {
        x->sieve = SIEVE_TAG;
        x->run = 1;
        x->first = !x->begun;
    }
    x->begun = x->begun || c == '\0' || strchr(" \t\r\n", c) == NULL;
    *to = is_forbidden((unsigned char)c) ? INSTEAD_OF_FORBIDDEN : c;
    return 1;
}

/* Appends what goes on of one byte to `to`, which has room for a reference. */
static size_t sieve_byte(struct changelog_xml *x, char c, char *to)
{
    switch (x->sieve) {
    case SIEVE_TEXT:
        return sieve_text(x, c, to);
    case SIEVE_TAG:
    case SIEVE_DECLARATION:
        *to = is_forbidden((unsigned char)c) ? INSTEAD_OF_FORBIDDEN : c;
        return (x->sieve == SIEVE_TAG ? sieve_tag(x, *to) : sieve_declaration(x, *to)) ? 1 : 0;
    case SIEVE_REFERENCE:
        break;
    }
    if (x->run == sizeof x->held - 1)
        return refuse(x, "it has an endless reference"), 0;
    x->held[x->run++] = c;
    if (c != ';')
        return 0;
    x->sieve = SIEVE_TEXT;
    size_t len = judge_reference(x);
    memcpy(to, x->held, len);
    return len;
}

/* ---- entries -------------------------------------------------------------------------------------- */

void changelog_xml_init(struct changelog_xml *x)
{
    x->expat = XML_ParserCreate("UTF-8"); /* whatever it declares */
    if (x->expat == NULL)
        abort(); /* out of memory */
    XML_SetUserData(x->expat, x);
    XML_SetElementHandler(x->expat, on_begin, on_end);
    XML_SetCharacterDataHandler(x->expat, on_text);
}

void changelog_xml_release(struct changelog_xml *x)
{
    if (x->expat != NULL)
        XML_ParserFree(x->expat);
    x->expat = NULL;
}

static int parse(struct changelog_xml *x, const char *data, size_t len, bool last)
{
    if (XML_Parse(x->expat, data, (int)len, last) == XML_STATUS_OK)
        return x->error;
    return refuse(x, "it is no XML: %s", XML_ErrorString(XML_GetErrorCode(x->expat)));
}

int changelog_xml_feed(struct changelog_xml *x, const char *data, size_t len)
{
    char clean[4096];
    size_t used = 0;

    for (size_t i = 0; i < len && x->error == 0; i++) {
        used += sieve_byte(x, data[i], clean + used);
        if (used < sizeof clean - sizeof x->held)
            continue;
        parse(x, clean, used, false);
        used = 0;
    }
    return x->error != 0 || used == 0 ? x->error : parse(x, clean, used, false);
}

int changelog_xml_end(struct changelog_xml *x)
{
    if (x->error != 0)
        return x->error;
    if (x->sieve != SIEVE_TEXT || parse(x, "", 0, true) != 0) {
        snprintf(x->reason, sizeof x->reason, x->begun ? "it ends before it is complete" : "it is empty");
        x->error = -EPROTO;
    }
    return x->error;
}
