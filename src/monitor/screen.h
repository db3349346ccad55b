/*
 * The terminal: shows the model and turns keys into presses. The only part that knows curses.
 */
#ifndef MONITOR_SCREEN_H
#define MONITOR_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "menu.h"
#include "model.h"

struct screen;

/* Takes the terminal over. 0, or -errno with `why`. */
int screen_open(struct screen **screen, char *why, size_t why_size);
/* Gives it back as it was. */
void screen_close(struct screen *s);

void screen_draw(struct screen *s, const struct model *m, const struct menu *menu, const char *note);
/* The terminal has another size now; draw again. */
void screen_resize(struct screen *s);
/* Rows of the list that are seen at once. */
long screen_page(const struct screen *s);
/* A descriptor that is readable when keys wait: one of its own, for the loop makes it non-blocking, which what the
 * shell has given us must never become. */
int screen_keys_fd(const struct screen *s);
/* The next key that was pressed, and what it writes (0: nothing). False: there is none (any more). */
bool screen_press(struct screen *s, enum press *press, char *letter);

#endif
