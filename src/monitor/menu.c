/*
 * What the keys do. monitor.c passes every press here.
 *
 *     list ──Enter──▶ actions ──Enter──▶ (ask ──Enter──▶) done, list       h ⇄ help       Esc: one back
 *          ──/──▶ find ──Enter──▶ list
 */
#include "menu.h"

#include <string.h>

#include "core/text.h"

const struct menu_action menu_actions[MENU_ACTIONS] = {
    {"pause", "takes no new build; finishes the one it has",
     "no new builds, not even for slaves that come later", false},
    {"resume", "takes builds again; a stop is called off", "all take builds again; stops are called off", false},
    {"skip", "stops its build, which is tried again later", "stops every build; all are tried again later", true},
    {"stop", "finishes its build, then ends", "each finishes its build, then ends", true},
    {"kill", "ends now; its build is given back", "all end now; their builds are given back", true},
};

static void open_actions(struct menu *menu, const struct model *m)
{
    const struct model_slave *s = model_selected(m);
    menu->view = VIEW_ACTIONS;
    menu->at = 0;
    menu->all = !s;
    menu->slave = s ? s->number : 0;
    text_copy(menu->label, sizeof menu->label, s ? s->label : "");
}

static void begin_to_find(struct menu *menu, const struct model *m)
{
    menu->view = VIEW_FIND;
    menu->before = m->selected;
    menu->sought[0] = '\0';
}

/* Every letter selects the first slave, from where the search began on, that has what is written so far. */
static void find(struct menu *menu, struct model *m, enum press press, char letter)
{
    size_t len = strlen(menu->sought);

    if (press == PRESS_ENTER || press == PRESS_ESCAPE)
        menu->view = VIEW_LIST;
    else if (press == PRESS_ERASE && len > 0)
        menu->sought[len - 1] = '\0';
    else if (letter != '\0' && len + 1 < sizeof menu->sought)
        memcpy(menu->sought + len, (char[]){letter, '\0'}, 2);
    if (press == PRESS_ENTER)
        return;
    model_select(m, menu->before);
    if (press != PRESS_ESCAPE && menu->sought[0] != '\0')
        model_find(m, menu->sought, 0);
}

static void move_in_list(struct menu *menu, struct model *m, enum press press, long page)
{
    switch (press) {
    case PRESS_UP: model_move(m, -1); break;
    case PRESS_DOWN: model_move(m, 1); break;
    case PRESS_PAGE_UP: model_move(m, -page); break;
    case PRESS_PAGE_DOWN: model_move(m, page); break;
    case PRESS_HOME: model_move(m, -(long)m->slave_count); break;
    case PRESS_END: model_move(m, (long)m->slave_count); break;
    case PRESS_ENTER: open_actions(menu, m); break;
    case PRESS_FIND: begin_to_find(menu, m); break;
    case PRESS_NEXT: model_find(m, menu->sought, 1); break;
    case PRESS_HELP: menu->view = VIEW_HELP; break;
    default: break;
    }
}

static enum wish choose(struct menu *menu, const char **action, int64_t *slave)
{
    if (menu->view == VIEW_ACTIONS && menu_actions[menu->at].asks) {
        menu->view = VIEW_ASK;
        return WISH_NOTHING;
    }
    menu->view = VIEW_LIST;
    *action = menu_actions[menu->at].name;
    *slave = menu->all ? 0 : menu->slave;
    return WISH_ACT;
}

static void move_in_actions(struct menu *menu, enum press press)
{
    if (press == PRESS_UP && menu->at > 0)
        menu->at--;
    else if (press == PRESS_DOWN && menu->at < MENU_ACTIONS - 1)
        menu->at++;
    else if (press == PRESS_TAB && menu->slave)
        menu->all = !menu->all;
    else if (press == PRESS_ESCAPE || press == PRESS_QUIT)
        menu->view = VIEW_LIST;
}

enum wish menu_press(struct menu *menu, struct model *m, enum press press, char letter, long page, const char **action,
                     int64_t *slave)
{
    switch (menu->view) {
    case VIEW_LIST:
        if (press == PRESS_QUIT)
            return WISH_QUIT;
        move_in_list(menu, m, press, page);
        return WISH_NOTHING;
    case VIEW_FIND:
        find(menu, m, press, letter);
        return WISH_NOTHING;
    case VIEW_ACTIONS:
        if (press == PRESS_ENTER)
            return choose(menu, action, slave);
        move_in_actions(menu, press);
        return WISH_NOTHING;
    case VIEW_ASK:
        if (press == PRESS_ENTER)
            return choose(menu, action, slave);
        menu->view = press == PRESS_NONE ? VIEW_ASK : VIEW_ACTIONS;
        return WISH_NOTHING;
    default:
        menu->view = VIEW_LIST;
        return WISH_NOTHING;
    }
}
