/*
 * What the keys do: move through the list, find a slave in it, open the menu of actions, ask before what cannot be taken back, help.
 * Free of the terminal: screen.c makes presses of keys and shows where the menu stands.
 */
#ifndef MONITOR_MENU_H
#define MONITOR_MENU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

enum press {
    PRESS_NONE, PRESS_UP, PRESS_DOWN, PRESS_PAGE_UP, PRESS_PAGE_DOWN, PRESS_HOME, PRESS_END, PRESS_ENTER,
    PRESS_ESCAPE, PRESS_TAB, PRESS_HELP, PRESS_QUIT, PRESS_FIND, PRESS_NEXT, PRESS_ERASE, PRESS_OTHER
};

enum menu_view { VIEW_LIST, VIEW_FIND, VIEW_ACTIONS, VIEW_ASK, VIEW_HELP };

struct menu_action {
    const char *name;      /* as ACT says it */
    const char *one, *all; /* what it does, in words */
    bool asks;             /* is asked about before it is done */
};
#define MENU_ACTIONS 5
extern const struct menu_action menu_actions[MENU_ACTIONS];

struct menu {
    enum menu_view view;
    unsigned at;           /* the action chosen */
    bool all;              /* it is for all slaves */
    int64_t slave;         /* else for this one; fixed when the menu opens */
    char label[65];
    char sought[65];       /* what the label of the slave that is looked for has */
    int64_t before;        /* the slave that was selected when the search began */
};

enum wish { WISH_NOTHING, WISH_QUIT, WISH_ACT };

/* What the press asks for; with WISH_ACT the action, and the slave's number (0: all) are written. `letter`: what the key writes
 * where something is written; 0: nothing. `page`: rows of the list that are seen at once. */
enum wish menu_press(struct menu *menu, struct model *m, enum press press, char letter, long page, const char **action,
                     int64_t *slave);

#endif
