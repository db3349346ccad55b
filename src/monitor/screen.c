/*
 * The whole screen, from top to bottom: a title, the list, the pane of the selected one (pane.c), a line for news, the
 * keys; over it the menu or the help. monitor.c draws after every change. Written for 80 × 24; with less room columns
 * and then the pane are left out.
 */
#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <ncurses.h>

#include "core/memory.h"
#include "core/text.h"
#include "paint.h"

#define LEAST_ROWS 6
#define LEAST_COLUMNS 24
#define PANE_FROM_ROWS 18
#define ESCAPE_MS 25           /* how long a lone Esc may be the beginning of a key's sequence */

extern char *tigetstr(const char *name); /* of term.h, which makes macros of "columns" and words like it */

/* ---- the terminal -------------------------------------------------------------------------------- */

static void prepare_colours(struct screen *s)
{
    const char *no_color = getenv("NO_COLOR"); /* see no-color.org */
    s->colours = !(no_color && no_color[0]) && has_colors() && start_color() == OK;
    if (!s->colours)
        return;
    short background = use_default_colors() == OK ? -1 : COLOR_BLACK;
    init_pair(COLOUR_GOOD, COLOR_GREEN, background);
    init_pair(COLOUR_QUIET, COLOR_CYAN, background);
    init_pair(COLOUR_WARNING, COLOR_YELLOW, background);
    init_pair(COLOUR_BAD, COLOR_RED, background);
}

static void prepare_terminal(void)
{
    set_escdelay(ESCAPE_MS);
    cbreak();
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
}

int screen_open(struct screen **screen, char *why, size_t why_size)
{
    const char *term = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        snprintf(why, why_size, "this is not a terminal; piwheels status prints the same facts");
        return -ENOTTY;
    }
    int keys_fd = open(ttyname(STDIN_FILENO), O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (keys_fd < 0) {
        snprintf(why, why_size, "the terminal cannot be opened: %s", strerror(errno));
        return -errno;
    }
    SCREEN *terminal = newterm(NULL, stdout, stdin);
    if (!terminal) {
        close(keys_fd);
        snprintf(why, why_size, "the terminal \"%s\" is unknown here; set TERM, or use piwheels status",
                 term ? term : "");
        return -ENOTTY;
    }
    if (!tigetstr("cup")) { /* "dumb" has no way to place what is written */
        endwin();
        delscreen(terminal);
        close(keys_fd);
        snprintf(why, why_size, "the terminal \"%s\" cannot show a whole screen; set TERM, or use piwheels status", term ? term : "");
        return -ENOTTY;
    }
    struct screen *s = mem_new(1, sizeof *s);
    s->terminal = terminal;
    s->keys_fd = keys_fd;
    s->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    prepare_terminal();
    prepare_colours(s);
    getmaxyx(stdscr, s->rows, s->columns);
    *screen = s;
    return 0;
}

void screen_close(struct screen *s)
{
    endwin();
    delscreen(s->terminal);
    close(s->keys_fd);
    free(s);
}

void screen_resize(struct screen *s)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        return;
    resizeterm(size.ws_row, size.ws_col);
    getmaxyx(stdscr, s->rows, s->columns);
}

int screen_keys_fd(const struct screen *s)
{
    return s->keys_fd;
}

bool screen_press(struct screen *s, enum press *press, char *letter)
{
    int key = getch();
    *letter = key > ' ' && key <= '~' ? (char)key : '\0';
    switch (key) {
    case ERR: return false;
    case KEY_UP: case 'k': *press = PRESS_UP; break;
    case KEY_DOWN: case 'j': *press = PRESS_DOWN; break;
    case KEY_PPAGE: *press = PRESS_PAGE_UP; break;
    case KEY_NPAGE: case ' ': *press = PRESS_PAGE_DOWN; break;
    case KEY_HOME: case 'g': *press = PRESS_HOME; break;
    case KEY_END: case 'G': *press = PRESS_END; break;
    case KEY_ENTER: case '\r': case '\n': *press = PRESS_ENTER; break;
    case '\t': *press = PRESS_TAB; break;
    case 27: *press = PRESS_ESCAPE; break;
    case 'h': case '?': *press = PRESS_HELP; break;
    case 'q': *press = PRESS_QUIT; break;
    case '/': *press = PRESS_FIND; break;
    case 'n': *press = PRESS_NEXT; break;
    case KEY_BACKSPACE: case 127: case '\b': *press = PRESS_ERASE; break;
    default: *press = PRESS_OTHER;
    }
    return true;
}

/* ---- the list ------------------------------------------------------------------------------------ */

static int pane_rows(const struct screen *s)
{
    return s->rows < PANE_FROM_ROWS ? 0 : s->rows / 3 + 2;
}

long screen_page(const struct screen *s)
{
    long rows = s->rows - 4 - pane_rows(s);
    return rows > 0 ? rows : 1;
}

/* One line of the list. */
struct row {
    const struct model_look *look;
    const char *label, *targets, *up, *time, *task;
};

/* How wide each column is; 0: left out. */
struct columns {
    int state, label, targets, span;
};

static struct columns columns_of(int columns)
{
    int spare = columns > 80 ? (columns - 80) / 4 : 0;
    struct columns c = {.state = 11, .label = 17, .targets = 16, .span = 8};
    if (columns < 72)
        c.targets = 0;
    if (columns < 56)
        c.span = 0;
    if (columns < 40)
        c.state = 0;
    c.label += spare > 16 ? 16 : spare;
    c.targets += c.targets && spare ? (spare > 32 ? 32 : spare) : 0;
    return c;
}

static void draw_cells(const struct screen *s, int y, const struct columns *c, enum weight weight,
                       enum model_colour colour, const struct row *r)
{
    int x = 0;
    paint(s, y, x, 2, colour, weight, "%s", s->ascii ? r->look->ascii_sign : r->look->sign);
    x += 2;
    paint(s, y, x, c->state, colour, weight, "%s", r->look->name);
    x += c->state;
    paint(s, y, x, c->label - 1, COLOUR_PLAIN, weight, "%s", r->label);
    paint(s, y, x + c->label - 1, 1, COLOUR_PLAIN, weight, " ");
    x += c->label;
    if (c->targets) {
        paint(s, y, x, c->targets - 1, COLOUR_PLAIN, weight, "%s", r->targets);
        paint(s, y, x + c->targets - 1, 1, COLOUR_PLAIN, weight, " ");
    }
    x += c->targets;
    paint(s, y, x, c->span, COLOUR_PLAIN, weight, "%s", r->up);
    x += c->span;
    paint(s, y, x, c->span, COLOUR_PLAIN, weight, "%s", r->time);
    x += c->span;
    paint(s, y, x, s->columns - x, COLOUR_PLAIN, weight, "%s", r->task);
}

static void draw_head(const struct screen *s, const struct columns *c)
{
    static const struct model_look none = {"STATE", " ", " ", COLOUR_PLAIN};
    const struct row r = {&none, "LABEL", "TARGETS", "UP", "TIME", "TASK"};
    draw_cells(s, 1, c, WEIGHT_BOLD, COLOUR_PLAIN, &r);
}

static void draw_master_row(const struct screen *s, int y, const struct columns *c, const struct model *m,
                            enum weight weight)
{
    char up[SPAN_SIZE], targets[32], task[64];
    long long queued = 0;
    bool more = false;
    for (unsigned i = 0; i < m->target_count; i++) {
        queued += m->targets[i].queued;
        more = more || m->targets[i].queued >= MODEL_MOST_COUNTED;
    }
    snprintf(targets, sizeof targets, "%u in all", m->target_count);
    snprintf(task, sizeof task, "%lld%s queued", queued, more ? "+" : "");
    const struct model_look *look = &model_looks[model_master_state(m)];
    const struct row r = {look, "master", targets, model_span(m->up_ms, up), "", task};
    draw_cells(s, y, c, weight, look->colour, &r);
}

static void draw_slave_row(const struct screen *s, int y, const struct columns *c, const struct model_slave *slave,
                           enum weight weight)
{
    char up[SPAN_SIZE], time[SPAN_SIZE];
    const struct model_look *look = &model_looks[slave->state];
    const struct row r = {look, slave->label, slave->targets, model_span(slave->up_ms, up),
                          model_span(slave->task_ms, time), slave->task};
    draw_cells(s, y, c, weight, look->colour, &r);
}

static void draw_list(struct screen *s, const struct model *m)
{
    struct columns c = columns_of(s->columns);
    long page = screen_page(s), count = (long)m->slave_count + 1, at = (long)m->selected_at;
    if (at < s->top)
        s->top = at;
    if (at >= s->top + page)
        s->top = at - page + 1;
    if (s->top > 0 && s->top > count - page)
        s->top = count - page > 0 ? count - page : 0;
    draw_head(s, &c);
    for (long i = s->top; i < count && i < s->top + page; i++) {
        int y = 2 + (int)(i - s->top);
        enum weight weight = i == at ? WEIGHT_REVERSE : WEIGHT_PLAIN;
        if (i == 0)
            draw_master_row(s, y, &c, m, weight);
        else
            draw_slave_row(s, y, &c, &m->slaves[i - 1], weight);
    }
}

/* ---- above and below ----------------------------------------------------------------------------- */

static void draw_title(const struct screen *s, const struct model *m)
{
    char facts[128];
    snprintf(facts, sizeof facts, "%zu slave%s, %u building ", m->slave_count, m->slave_count == 1 ? "" : "s",
             model_building(m));
    paint(s, 0, 0, s->columns, COLOUR_PLAIN, WEIGHT_REVERSE, " piwheels %s", m->version);
    int width = (int)strlen(facts);
    if (width + 17 <= s->columns)
        paint(s, 0, s->columns - width, width, COLOUR_PLAIN, WEIGHT_REVERSE, "%s", facts);
}

/* What is written, and whether a slave has it. */
static void draw_search(const struct screen *s, const struct model *m, const struct menu *menu)
{
    const struct model_slave *slave = model_selected(m);
    bool found = !menu->sought[0] || (slave && strcasestr(slave->label, menu->sought));
    paint(s, s->rows - 2, 0, s->columns, found ? COLOUR_PLAIN : COLOUR_WARNING, WEIGHT_BOLD, "find: %s_%s", menu->sought,
          found ? "" : "  no slave's label has this");
    paint(s, s->rows - 1, 0, s->columns, COLOUR_PLAIN, WEIGHT_REVERSE, " Enter choose  Esc leave");
}

static void draw_foot(const struct screen *s, const struct model *m, const char *note)
{
    if (m->trouble[0])
        paint(s, s->rows - 2, 0, s->columns, COLOUR_BAD, WEIGHT_BOLD, "%s", m->trouble);
    else
        paint(s, s->rows - 2, 0, s->columns, COLOUR_PLAIN, WEIGHT_BOLD, "%s", note);
    paint(s, s->rows - 1, 0, s->columns, COLOUR_PLAIN, WEIGHT_REVERSE, " %s  Enter actions  / find  h help  q quit",
          s->ascii ? "Up Down" : "↑ ↓");
}

/* ---- what lies over it --------------------------------------------------------------------------- */

/* Opens a box in the middle; returns its inner left edge, *y its first inner row, *width its inside. */
static int open_box(const struct screen *s, int lines, int *y, int *width)
{
    int columns = s->columns < 70 ? s->columns : 70, height = lines + 2;
    int x = (s->columns - columns) / 2;
    *y = s->rows > height ? (s->rows - height) / 2 : 0;
    paint_box(s, *y, x, height, columns);
    *y += 1;
    *width = columns - 4;
    return x + 2;
}

/* On a low screen without empty lines, and with as many actions around the chosen one as there is room for. */
static void draw_actions(const struct screen *s, const struct menu *menu)
{
    int gap = s->rows >= MENU_ACTIONS + 6 ? 1 : 0, room = s->rows - 4 - 2 * gap;
    unsigned shown = room < MENU_ACTIONS ? (unsigned)room : MENU_ACTIONS;
    unsigned first = menu->at < shown ? 0 : menu->at - shown + 1;
    int y, width, x = open_box(s, (int)shown + 2 + 2 * gap, &y, &width);
    paint(s, y, x, width, COLOUR_PLAIN, WEIGHT_BOLD, "%s%s", menu->all ? "all slaves" : "slave ",
          menu->all ? "" : menu->label);
    y += 1 + gap;
    for (unsigned i = first; i < first + shown; i++) {
        const struct menu_action *a = &menu_actions[i];
        paint(s, y++, x, width, COLOUR_PLAIN, i == menu->at ? WEIGHT_REVERSE : WEIGHT_PLAIN, "%s %-7s %s",
              i == menu->at ? ">" : " ", a->name, menu->all ? a->all : a->one);
    }
    paint(s, y + gap, x, width, COLOUR_QUIET, WEIGHT_PLAIN, "Enter do it%s  Esc leave", !menu->slave ? "" :
          menu->all ? "  Tab only this slave" : "  Tab all slaves");
}

static void draw_question(const struct screen *s, const struct menu *menu)
{
    const struct menu_action *a = &menu_actions[menu->at];
    int gap = s->rows >= 7 ? 1 : 0;
    int y, width, x = open_box(s, 3 + 2 * gap, &y, &width);
    paint(s, y, x, width, COLOUR_WARNING, WEIGHT_BOLD, "%s %s%s?", a->name, menu->all ? "all slaves" : "slave ",
          menu->all ? "" : menu->label);
    paint(s, y + 1 + gap, x, width, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", menu->all ? a->all : a->one);
    paint(s, y + 2 + 2 * gap, x, width, COLOUR_QUIET, WEIGHT_PLAIN, "Enter do it  any other key leave it");
}

static void draw_help(const struct screen *s)
{
    static const char *const lines[] = {
        "Up, Down, k, j        choose the master or a slave",
        "PgUp, PgDn, Home, End the same in larger steps",
        "Enter                 actions; those of the master are for all",
        "/                     find a slave by its label; n the next one",
        "h, ?                  this help",
        "q                     quit",
        "",
        "Time is that of the longest build, or since the last one ended.",
        "Graphs go back a minute, the newest at the right. A pause lasts",
        "until the slave is resumed or the master starts again.",
    };
    int y, width, x = open_box(s, COUNT_OF(lines) + STATE_COUNT / 2 + 1, &y, &width);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        paint(s, y++, x, width, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", lines[i]);
    y++;
    for (int i = 0; i < STATE_UNKNOWN; i++) {
        const struct model_look *look = &model_looks[i];
        paint(s, y + i / 2, x + i % 2 * 22, 20, look->colour, WEIGHT_PLAIN, "%s %s",
              s->ascii ? look->ascii_sign : look->sign, look->name);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------- */

void screen_draw(struct screen *s, const struct model *m, const struct menu *menu, const char *note)
{
    erase();
    if (s->rows < LEAST_ROWS || s->columns < LEAST_COLUMNS) {
        paint(s, 0, 0, s->columns, COLOUR_BAD, WEIGHT_BOLD, "too small");
        refresh();
        return;
    }
    draw_title(s, m);
    draw_list(s, m);
    if (pane_rows(s) > 0)
        pane_draw(s, m, s->rows - 2 - pane_rows(s), pane_rows(s));
    if (menu->view == VIEW_FIND)
        draw_search(s, m, menu);
    else
        draw_foot(s, m, note);
    if (menu->view == VIEW_ACTIONS)
        draw_actions(s, menu);
    else if (menu->view == VIEW_ASK)
        draw_question(s, menu);
    else if (menu->view == VIEW_HELP)
        draw_help(s);
    refresh();
}
