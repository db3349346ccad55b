/*
 * Text on the terminal, cut to its place: what screen.c and pane.c draw with.
 */
#ifndef MONITOR_PAINT_H
#define MONITOR_PAINT_H

#include <stdbool.h>

#include "model.h"

struct screen {
    void *terminal;        /* curses' SCREEN */
    int keys_fd;           /* the terminal, opened once more */
    bool ascii;            /* the locale has no UTF-8 */
    bool colours;
    int rows, columns;
    long top;              /* first row of the list that is shown */
};

enum weight { WEIGHT_PLAIN, WEIGHT_BOLD, WEIGHT_REVERSE };

/* Writes into `width` columns from y, x; what is longer is cut, what is shorter filled with blanks. */
void paint(const struct screen *s, int y, int x, int width, enum model_colour colour, enum weight weight,
           const char *format, ...) __attribute__((format(printf, 7, 8)));

/* A horizontal line with a title in it. */
void paint_line(const struct screen *s, int y, const char *title);

/* An empty box; its inside is (y + 1, x + 2) to (y + height - 2, x + width - 3). */
void paint_box(const struct screen *s, int y, int x, int height, int width);

/* pane.c: the selected one in detail, in `height` rows from y. */
void pane_draw(const struct screen *s, const struct model *m, int y, int height);

#endif
