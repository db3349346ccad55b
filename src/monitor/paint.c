/*
 * Text on the terminal, for screen.c and pane.c. The program's texts are UTF-8 whatever the locale is; where it is
 * another, what is not ASCII becomes '?'.
 */
#include "paint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <ncurses.h>

#include "core/text.h"

#define MAX_COLUMNS 512

/* The character of `len` bytes (1 to 4, valid). */
static wchar_t decode(const char *bytes, size_t len)
{
    static const unsigned char first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned value = (unsigned char)bytes[0] & first_mask[len];
    for (size_t i = 1; i < len; i++)
        value = value << 6 | ((unsigned char)bytes[i] & 0x3f);
    return (wchar_t)value;
}

/* At most `width` columns of the text, and blanks up to there. */
static void lay_out(const struct screen *s, const char *text, int width, wchar_t *wide)
{
    size_t rest = strlen(text), len;
    int at = 0, used = 0;
    while (rest > 0 && (len = text_character(text, rest)) > 0) {
        wchar_t c = s->ascii && len > 1 ? L'?' : decode(text, len);
        int columns = wcwidth(c);
        if (columns < 0)
            c = L'?', columns = 1;
        if (used + columns > width)
            break;
        wide[at++] = c;
        used += columns;
        text += len;
        rest -= len;
    }
    while (used++ < width)
        wide[at++] = L' ';
    wide[at] = L'\0';
}

static attr_t look(const struct screen *s, enum model_colour colour, enum weight weight)
{
    attr_t attributes = weight == WEIGHT_BOLD ? A_BOLD : weight == WEIGHT_REVERSE ? A_REVERSE : A_NORMAL;
    if (s->colours && colour != COLOUR_PLAIN)
        attributes |= COLOR_PAIR(colour);
    return attributes;
}

void paint(const struct screen *s, int y, int x, int width, enum model_colour colour, enum weight weight,
           const char *format, ...)
{
    char text[MAX_COLUMNS * 4];
    wchar_t wide[MAX_COLUMNS * 2 + 1];
    va_list args;
    if (width > s->columns - x)
        width = s->columns - x;
    if (width > MAX_COLUMNS)
        width = MAX_COLUMNS;
    if (width <= 0 || y < 0 || y >= s->rows)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    lay_out(s, text, width, wide);
    attrset((int)look(s, colour, weight));
    mvaddwstr(y, x, wide);
    attrset(A_NORMAL);
}

void paint_line(const struct screen *s, int y, const char *title)
{
    for (int x = 0; x < s->columns; x++)
        paint(s, y, x, 1, COLOUR_QUIET, WEIGHT_PLAIN, "%s", s->ascii ? "-" : "─");
    int width = (int)strlen(title) + 2;
    paint(s, y, 2, width, COLOUR_PLAIN, WEIGHT_BOLD, " %s ", title);
}

void paint_box(const struct screen *s, int y, int x, int height, int width)
{
    static const char *const drawn[] = {"┌", "─", "┐", "│", "└", "┘"};
    static const char *const ascii[] = {"+", "-", "+", "|", "+", "+"};
    const char *const *parts = s->ascii ? ascii : drawn;
    for (int row = 0; row < height; row++) {
        const char *left = row == 0 ? parts[0] : row == height - 1 ? parts[4] : parts[3];
        const char *right = row == 0 ? parts[2] : row == height - 1 ? parts[5] : parts[3];
        bool edge = row == 0 || row == height - 1;
        for (int column = 1; column < width - 1; column++)
            paint(s, y + row, x + column, 1, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", edge ? parts[1] : " ");
        paint(s, y + row, x, 1, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", left);
        paint(s, y + row, x + width - 1, 1, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", right);
    }
}
