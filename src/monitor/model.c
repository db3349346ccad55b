/*
 * What the monitor knows. monitor.c feeds it with what the master tells, in parts; when a round is whole, it replaces
 * what was known, and each figure adds a sample to its history.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

const struct model_look model_looks[STATE_COUNT] = {
    [STATE_CONNECTING] = {"connecting", "…", "?", COLOUR_QUIET},
    [STATE_WAITING] = {"waiting", "◌", "w", COLOUR_WARNING},
    [STATE_BUILDING] = {"building", "▶", ">", COLOUR_GOOD},
    [STATE_IDLE] = {"idle", "○", "o", COLOUR_PLAIN},
    [STATE_SLEEPING] = {"sleeping", "z", "z", COLOUR_QUIET},
    [STATE_LOW] = {"low", "▽", "v", COLOUR_WARNING},
    [STATE_PAUSING] = {"pausing", "»", "}", COLOUR_WARNING},
    [STATE_PAUSED] = {"paused", "=", "=", COLOUR_WARNING},
    [STATE_STOPPING] = {"stopping", "■", "#", COLOUR_WARNING},
    [STATE_LEAVING] = {"leaving", "×", "x", COLOUR_BAD},
    [STATE_RUNNING] = {"running", "●", "*", COLOUR_GOOD},
    [STATE_LOST] = {"no answer", "!", "!", COLOUR_BAD},
    [STATE_UNKNOWN] = {"?", "?", "?", COLOUR_BAD},
};

/* ---- reading ------------------------------------------------------------------------------------- */

static int64_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* Others wrote it, and a terminal will show it. */
static void text_of(const json_t *object, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    char *clean = text_clean(text ? text : "", text ? strlen(text) : 0, size - 1);
    for (char *c = clean; *c; c++) {
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    }
    text_copy(to, size, clean);
    free(clean);
}

/* ---- machines ------------------------------------------------------------------------------------ */

static double part_of(double some, double all)
{
    return all > 0 ? some / all : 0;
}

static void read_machine(struct model_machine *m, const json_t *from)
{
    m->load = number_of(from, "load_milli") / 1000;
    m->temperature = number_of(from, "temperature_milli") / 1000;
    m->memory_bytes = number_of(from, "memory_bytes");
    m->memory_used_bytes = m->memory_bytes - number_of(from, "memory_free_bytes");
    m->disk_bytes = number_of(from, "disk_bytes");
    m->disk_used_bytes = m->disk_bytes - number_of(from, "disk_free_bytes");
    history_add(&m->loads, m->load);
    history_add(&m->memories, part_of(m->memory_used_bytes, m->memory_bytes));
    history_add(&m->disks, part_of(m->disk_used_bytes, m->disk_bytes));
    history_add(&m->temperatures, m->temperature);
}

/* ---- slaves -------------------------------------------------------------------------------------- */

static enum model_state read_state(const json_t *slave)
{
    char name[32];
    text_of(slave, "state", name, sizeof name);
    for (int i = 0; i < STATE_COUNT; i++) {
        if (strcmp(model_looks[i].name, name) == 0)
            return (enum model_state)i;
    }
    return STATE_UNKNOWN;
}

static void read_targets_of(struct model_slave *s, const json_t *names)
{
    size_t i, len = 0;
    json_t *name;
    s->targets[0] = '\0';
    json_array_foreach(names, i, name) {
        int added = snprintf(s->targets + len, sizeof s->targets - len, "%s%s", i ? "," : "", json_string_value(name));
        if (added < 0 || (size_t)added >= sizeof s->targets - len)
            return;
        len += (size_t)added;
    }
}

static const char *task_without_build(enum model_state state)
{
    switch (state) {
    case STATE_WAITING: return "waits to be accepted";
    case STATE_SLEEPING: return "waits for work";
    case STATE_IDLE: return "asks for work";
    case STATE_LOW: return "is short of room";
    case STATE_PAUSED: return "is paused by hand";
    default: return "";
    }
}

/* The build that has gone on for longest stands for all. */
static void read_task(struct model_slave *s, const json_t *slave)
{
    const json_t *builds = json_object_get(slave, "builds");
    const json_t *b = NULL;
    json_t *one;
    size_t i;
    char package[128], version[64], state[32];
    s->builds = (unsigned)integer_of(slave, "build_count");
    s->jobs = (unsigned)integer_of(slave, "jobs");
    text_of(slave, "shortage", s->shortage, sizeof s->shortage);
    text_of(slave, "warning", s->warning, sizeof s->warning);
    json_array_foreach(builds, i, one) {
        if (!b || integer_of(one, "for_ms") > integer_of(b, "for_ms"))
            b = one;
    }
    if (!b) {
        s->task_ms = integer_of(slave, "free_ms");
        text_copy(s->task, sizeof s->task, task_without_build(s->state));
        return;
    }
    s->task_ms = integer_of(b, "for_ms");
    text_of(b, "package", package, sizeof package);
    text_of(b, "version", version, sizeof version);
    text_of(b, "state", state, sizeof state);
    int len = snprintf(s->task, sizeof s->task, "%s %s", package, version);
    if (s->builds > 1)
        len += snprintf(s->task + len, sizeof s->task - (size_t)len, " +%u", s->builds - 1);
    if (strcmp(state, "building") != 0)
        snprintf(s->task + len, sizeof s->task - (size_t)len, " (%s)", state);
}

static void read_slave(struct model_slave *s, const json_t *from)
{
    s->number = integer_of(from, "slave");
    text_of(from, "label", s->label, sizeof s->label);
    text_of(from, "system", s->system, sizeof s->system);
    text_of(from, "hardware", s->hardware, sizeof s->hardware);
    text_of(from, "address", s->address, sizeof s->address);
    text_of(from, "fingerprint", s->key, sizeof s->key);
    s->state = read_state(from);
    s->up_ms = integer_of(from, "connected_ms");
    read_targets_of(s, json_object_get(from, "targets"));
    read_task(s, from);
    read_machine(&s->machine, from);
}

static struct model_slave *slave_of_number(struct model_slave *slaves, size_t count, int64_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (slaves[i].number == number)
            return &slaves[i];
    }
    return NULL;
}

static int compare_slaves(const void *a, const void *b)
{
    const struct model_slave *one = a, *other = b;
    int by_label = strcmp(one->label, other->label);
    return by_label ? by_label : (one->number > other->number) - (one->number < other->number);
}

/* A slave keeps its histories. One that is not introduced yet (number 0) is not shown, nor a connection that ends
 * while its slave is back already. */
static void read_slaves(struct model *m, const json_t *list)
{
    struct model_slave *slaves = mem_new(json_array_size(list) + 1, sizeof *slaves);
    size_t count = 0, i;
    json_t *one;
    json_array_foreach(list, i, one) {
        int64_t number = integer_of(one, "slave");
        if (number == 0 || slave_of_number(slaves, count, number))
            continue;
        const struct model_slave *before = slave_of_number(m->slaves, m->slave_count, number);
        if (before)
            slaves[count] = *before;
        read_slave(&slaves[count++], one);
    }
    qsort(slaves, count, sizeof *slaves, compare_slaves);
    free(m->slaves);
    m->slaves = slaves;
    m->slave_count = count;
}

/* ---- the master ---------------------------------------------------------------------------------- */

static void read_targets(struct model *m, const json_t *list)
{
    struct model_target *before = mem_new(MODEL_TARGETS, sizeof *before);
    unsigned count = m->target_count;
    size_t i;
    json_t *one;
    memcpy(before, m->targets, sizeof m->targets);
    memset(m->targets, 0, sizeof m->targets);
    m->target_count = 0;
    json_array_foreach(list, i, one) {
        if (i == MODEL_TARGETS)
            break;
        struct model_target *t = &m->targets[m->target_count++];
        text_of(one, "name", t->name, sizeof t->name);
        for (unsigned b = 0; b < count; b++) {
            if (strcmp(before[b].name, t->name) == 0)
                t->queue = before[b].queue;
        }
        t->skipped = json_is_string(json_object_get(one, "skip"));
        t->queued = integer_of(one, "queued");
        t->building = integer_of(one, "building");
        t->parked = integer_of(one, "parked");
        history_add(&t->queue, (double)t->queued);
    }
    free(before);
}

static void read_pypi(struct model *m, const json_t *pypi)
{
    char state[16], trouble[96], left[SPAN_SIZE];
    long long lag = (long long)integer_of(pypi, "lag");

    text_of(pypi, "state", state, sizeof state);
    text_of(pypi, "trouble", trouble, sizeof trouble);
    m->pypi_waits = strcmp(state, "waiting") == 0;
    if (m->pypi_waits)
        snprintf(m->pypi, sizeof m->pypi, "%s", trouble);
    else if (strcmp(state, "reading") == 0)
        snprintf(m->pypi, sizeof m->pypi, "%lld events behind, %s left", lag, model_span(integer_of(pypi, "left_ms"), left));
    else if (strcmp(state, "following") == 0)
        snprintf(m->pypi, sizeof m->pypi, "%lld events behind", lag);
    else
        snprintf(m->pypi, sizeof m->pypi, "%s", strcmp(state, "off") == 0 ? "not followed" : "");
}

static void read_master(struct model *m, const json_t *round)
{
    const json_t *master = json_object_get(round, "master"), *hour = json_object_get(round, "builds_hour");
    const json_t *fast = json_object_get(json_object_get(round, "database"), "fast");
    text_of(round, "version", m->version, sizeof m->version);
    text_of(round, "trouble", m->trouble, sizeof m->trouble);
    m->paused = json_is_true(json_object_get(master, "paused"));
    m->up_ms = integer_of(master, "up_ms");
    m->resident_bytes = number_of(master, "resident_bytes");
    m->good = integer_of(hour, "success");
    m->failed = integer_of(hour, "failed");
    m->farm = integer_of(hour, "farm");
    m->database_ms = number_of(fast, "last_ms");
    m->loop_ms = number_of(master, "lag_us") / 1000;
    history_add(&m->builds, (double)(m->good + m->failed + m->farm));
    history_add(&m->databases, m->database_ms);
    history_add(&m->loops, m->loop_ms);
    read_pypi(m, json_object_get(round, "pypi"));
    read_machine(&m->machine, master);
    read_targets(m, json_object_get(round, "targets"));
}

/* ---- rounds -------------------------------------------------------------------------------------- */

/* The selection follows its slave; when that has gone, it stays in its row. */
static void keep_selection(struct model *m)
{
    for (size_t i = 0; i < m->slave_count; i++) {
        if (m->selected != 0 && m->slaves[i].number == m->selected) {
            m->selected_at = i + 1;
            return;
        }
    }
    if (m->selected == 0)
        m->selected_at = 0;
    model_move(m, 0);
}

bool model_feed(struct model *m, const char *json)
{
    json_t *part = json_loads(json, 0, NULL);
    if (!part)
        return false;
    bool more = json_is_true(json_object_get(part, "more"));
    if (m->round)
        json_array_extend(json_object_get(m->round, "slaves"), json_object_get(part, "slaves"));
    else
        m->round = json_incref(part);
    json_decref(part);
    if (more)
        return false;
    m->connected = true;
    read_master(m, m->round);
    read_slaves(m, json_object_get(m->round, "slaves"));
    keep_selection(m);
    json_decref(m->round);
    m->round = NULL;
    return true;
}

void model_lose(struct model *m, const char *why)
{
    m->connected = false;
    text_copy(m->trouble, sizeof m->trouble, why);
    json_decref(m->round);
    m->round = NULL;
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
}

void model_release(struct model *m)
{
    free(m->slaves);
    json_decref(m->round);
}

/* ---- the selection ------------------------------------------------------------------------------- */

void model_move(struct model *m, long rows)
{
    long at = (long)m->selected_at + rows;
    if (at > (long)m->slave_count)
        at = (long)m->slave_count;
    if (at < 0)
        at = 0;
    m->selected_at = (size_t)at;
    m->selected = at == 0 ? 0 : m->slaves[at - 1].number;
}

void model_select(struct model *m, int64_t slave)
{
    m->selected = slave;
    m->selected_at = 0;
    keep_selection(m);
}

void model_find(struct model *m, const char *text, size_t rows)
{
    for (size_t i = 0; i <= m->slave_count; i++) {
        size_t at = (m->selected_at + rows + i) % (m->slave_count + 1);
        if (at > 0 && strcasestr(m->slaves[at - 1].label, text) != NULL) {
            m->selected_at = at;
            m->selected = m->slaves[at - 1].number;
            return;
        }
    }
}

const struct model_slave *model_selected(const struct model *m)
{
    return m->selected_at == 0 ? NULL : &m->slaves[m->selected_at - 1];
}

enum model_state model_master_state(const struct model *m)
{
    if (!m->connected)
        return STATE_LOST;
    return m->paused ? STATE_PAUSED : STATE_RUNNING;
}

unsigned model_building(const struct model *m)
{
    unsigned count = 0;
    for (size_t i = 0; i < m->slave_count; i++)
        count += m->slaves[i].builds > 0;
    return count;
}

/* ---- figures ------------------------------------------------------------------------------------- */

void history_add(struct history *h, double sample)
{
    h->samples[h->next] = sample;
    h->next = (h->next + 1) % HISTORY_SAMPLES;
    if (h->count < HISTORY_SAMPLES)
        h->count++;
}

/* The sample so many before the newest. */
static double sample_before(const struct history *h, unsigned before)
{
    return h->samples[(h->next + HISTORY_SAMPLES - 1 - before) % HISTORY_SAMPLES];
}

static double highest(const struct history *h, unsigned count)
{
    double top = 0;
    for (unsigned i = 0; i < count; i++) {
        if (sample_before(h, i) > top)
            top = sample_before(h, i);
    }
    return top;
}

const char *history_graph(const struct history *h, double top, unsigned width, bool ascii, char text[GRAPH_SIZE])
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii_bars[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    if (width > HISTORY_SAMPLES)
        width = HISTORY_SAMPLES;
    unsigned shown = h->count < width ? h->count : width;
    size_t len = width - shown;
    memset(text, ' ', len);
    text[len] = '\0';
    if (top <= 0)
        top = highest(h, shown);
    for (unsigned i = shown; i-- > 0;) {
        double part = top > 0 ? sample_before(h, i) / top : 0;
        int bar = part >= 1 ? 7 : part <= 0 ? 0 : (int)(part * 8);
        len += (size_t)snprintf(text + len, GRAPH_SIZE - len, "%s", ascii ? ascii_bars[bar] : bars[bar]);
    }
    return text;
}

const char *model_span(int64_t span_ms, char text[SPAN_SIZE])
{
    long long s = span_ms < 0 ? 0 : span_ms / 1000;
    if (s < 60)
        snprintf(text, SPAN_SIZE, "%llds", s);
    else if (s < 3600)
        snprintf(text, SPAN_SIZE, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, SPAN_SIZE, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, SPAN_SIZE, "%lldd%02lldh", s / 86400, s / 3600 % 24);
    return text;
}

const char *model_size(double bytes, char text[SPAN_SIZE])
{
    if (bytes >= 1e12)
        snprintf(text, SPAN_SIZE, "%.1fT", bytes / 1e12);
    else if (bytes >= 1e9)
        snprintf(text, SPAN_SIZE, "%.1fG", bytes / 1e9);
    else
        snprintf(text, SPAN_SIZE, "%.0fM", bytes / 1e6);
    return text;
}
