/*
 * The lower part of the screen: the master or the slave that is selected, in detail, with the graphs of its figures.
 * screen.c calls it.
 */
#include "paint.h"

#include <stdio.h>

#define NAME_COLUMNS 10
#define TARGET_COLUMNS 20
#define HALF_FROM 72       /* columns from which on two graphs stand side by side */

/* Where the lines go: rows of one column, or of the left and the right half. */
struct pane {
    const struct screen *s;
    int y, end;
    int x, width;
    int names;             /* columns for the names */
};

static void text_line(struct pane *p, const char *name, const char *text)
{
    if (p->y >= p->end)
        return;
    paint(p->s, p->y, p->x, p->names, COLOUR_QUIET, WEIGHT_PLAIN, " %s", name);
    paint(p->s, p->y++, p->x + p->names, p->width - p->names, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", text);
}

static void graph_line(struct pane *p, const char *name, const struct history *h, double top, const char *value)
{
    char graph[GRAPH_SIZE];
    int width = (p->width - p->names) * 2 / 5;
    if (width > HISTORY_SAMPLES)
        width = HISTORY_SAMPLES;
    if (p->y >= p->end || width <= 0)
        return;
    int x = p->x + p->names;
    paint(p->s, p->y, p->x, p->names, COLOUR_QUIET, WEIGHT_PLAIN, " %s", name);
    paint(p->s, p->y, x, width, COLOUR_GOOD, WEIGHT_PLAIN, "%s",
          history_graph(h, top, (unsigned)width, p->s->ascii, graph));
    paint(p->s, p->y++, x + width + 1, p->width - p->names - width - 1, COLOUR_PLAIN, WEIGHT_PLAIN, "%s", value);
}

static void part_line(struct pane *p, const char *name, const struct history *h, double used, double all)
{
    char value[2 * SPAN_SIZE + 8], some[SPAN_SIZE], whole[SPAN_SIZE];
    snprintf(value, sizeof value, "%s of %s", model_size(used, some), model_size(all, whole));
    graph_line(p, name, h, 1, all > 0 ? value : "unknown");
}

static void machine_lines(struct pane *p, const struct model_machine *m)
{
    char value[32];
    snprintf(value, sizeof value, "%.2f", m->load);
    graph_line(p, "load", &m->loads, 0, value);
    part_line(p, "memory", &m->memories, m->memory_used_bytes, m->memory_bytes);
    part_line(p, "disk", &m->disks, m->disk_used_bytes, m->disk_bytes);
    snprintf(value, sizeof value, p->s->ascii ? "%.1f C" : "%.1f °C", m->temperature);
    graph_line(p, "heat", &m->temperatures, 100, m->temperature != 0 ? value : "unknown");
}

/* What a person needs to know who accepts it. */
static void waiting_lines(struct pane *p, const struct model_slave *s)
{
    char text[128];
    text_line(p, "key", s->key);
    snprintf(text, sizeof text, "piwheels slaves accept %s", s->label);
    text_line(p, "to accept", text);
}

static void draw_slave(struct pane *p, const struct model_slave *s)
{
    char text[600], span[SPAN_SIZE];
    snprintf(text, sizeof text, "slave %lld (%s)", (long long)s->number, s->label);
    paint_line(p->s, p->y++, text);
    snprintf(text, sizeof text, "%s %s", model_looks[s->state].sign, model_looks[s->state].name);
    text_line(p, "state", p->s->ascii ? model_looks[s->state].name : text);
    snprintf(text, sizeof text, "%s for %s%s", s->task, model_span(s->task_ms, span),
             s->builds > 1 ? ", the longest" : "");
    text_line(p, "task", s->task[0] ? text : "none");
    if (s->jobs > 1) {
        snprintf(text, sizeof text, "%u of %u at once", s->builds, s->jobs);
        text_line(p, "builds", text);
    }
    if (s->shortage[0])
        text_line(p, "low", s->shortage);
    if (s->warning[0])
        text_line(p, "warning", s->warning);
    text_line(p, "targets", s->targets);
    if (s->state == STATE_WAITING)
        waiting_lines(p, s);
    snprintf(text, sizeof text, "%s; %s; from %s", s->system, s->hardware, s->address);
    text_line(p, "machine", text);
    machine_lines(p, &s->machine);
}

/* As many as there is room for, and how many are left out. */
static void target_lines(struct pane *p, const struct model *m)
{
    char text[96], name[TARGET_COLUMNS];
    unsigned rows = p->end > p->y ? (unsigned)(p->end - p->y) : 0;
    unsigned shown = m->target_count <= rows ? m->target_count : rows > 0 ? rows - 1 : 0;
    for (unsigned i = 0; i < shown; i++) {
        const struct model_target *t = &m->targets[i];
        snprintf(name, sizeof name - 1, "%s", t->name);
        snprintf(text, sizeof text, "%lld%s queued, %lld building, %lld parked%s", (long long)t->queued,
                 t->queued >= MODEL_MOST_COUNTED ? "+" : "", (long long)t->building, (long long)t->parked, t->skipped ? "; skipped" : "");
        graph_line(p, name, &t->queue, 0, text);
    }
    snprintf(text, sizeof text, "%u more target%s: piwheels status", m->target_count - shown, m->target_count - shown == 1 ? "" : "s");
    if (shown < m->target_count && p->y < p->end)
        paint(p->s, p->y++, 0, p->width, COLOUR_QUIET, WEIGHT_PLAIN, " %s", text);
}

static void own_lines(struct pane *p, const struct model *m)
{
    char value[96], size[SPAN_SIZE];
    snprintf(value, sizeof value, "%lld, %lld failed", (long long)(m->good + m->failed + m->farm),
             (long long)(m->failed + m->farm));
    graph_line(p, "builds/h", &m->builds, 0, value);
    snprintf(value, sizeof value, "%.0f ms", m->database_ms);
    graph_line(p, "database", &m->databases, 0, value);
    snprintf(value, sizeof value, "%.1f ms", m->loop_ms);
    graph_line(p, "loop", &m->loops, 0, value);
    snprintf(value, sizeof value, "process has %s", model_size(m->resident_bytes, size));
    text_line(p, "master", value);
}

/* The whole width: a trouble is a sentence. */
static void pypi_line(struct pane *p, const struct model *m)
{
    if (p->y >= p->end || m->pypi[0] == '\0')
        return;
    paint(p->s, p->y, p->x, p->names, COLOUR_QUIET, WEIGHT_PLAIN, " PyPI");
    paint(p->s, p->y++, p->x + p->names, p->width - p->names, m->pypi_waits ? COLOUR_BAD : COLOUR_PLAIN, WEIGHT_PLAIN, "%s%s",
          m->pypi_waits ? "stands still: " : "", m->pypi);
}

static void draw_master(struct pane *p, const struct model *m)
{
    char title[64];
    bool halves = p->s->columns >= HALF_FROM;
    snprintf(title, sizeof title, "master%s%s", m->paused ? ": paused" : "", m->connected ? "" : ": as last known");
    paint_line(p->s, p->y++, title);
    struct pane right = *p;
    if (halves) {
        p->width = right.width = p->s->columns / 2;
        right.x = p->width;
    }
    own_lines(p, m);
    machine_lines(halves ? &right : p, &m->machine);
    p->width = p->s->columns;
    pypi_line(p, m);
    p->names = TARGET_COLUMNS;
    target_lines(p, m);
}

void pane_draw(const struct screen *s, const struct model *m, int y, int height)
{
    struct pane p = {.s = s, .y = y, .end = y + height, .width = s->columns, .names = NAME_COLUMNS};
    const struct model_slave *slave = model_selected(m);
    if (slave)
        draw_slave(&p, slave);
    else
        draw_master(&p, m);
}
