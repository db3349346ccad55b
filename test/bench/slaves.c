/*
 * Scripted slaves for the benchmarks: N connections to a master that speak every verb of a failing build
 * (HELLO, IDLE, BUSY, OUTPUT, BUILT) and build nothing. Prints one JSON object: cycles, seconds and latencies.
 *
 *   bench-slaves ADDRESS:PORT SLAVES CYCLES LOG_BYTES ABI PLATFORM
 *
 * It ends when CYCLES builds have been answered with DONE. Run by test/bench/bench.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "core/clock.h"
#include "core/memory.h"
#include "io/wire.h"

#define MAX_SAMPLES 1000000

struct samples {
    uint64_t *ns;
    size_t count;
};

struct crowd {
    uv_loop_t loop;
    const char *abi, *platform;
    uint64_t wanted, done;
    uint64_t begun_ns, ended_ns;      /* first BUILD, last DONE */
    uint8_t *log;
    uint32_t log_bytes;
    struct samples idle_to_build, busy_to_cont;
    struct scripted *slaves;
    unsigned slave_count, closed;
    const char *fault;
};

struct scripted {
    struct crowd *crowd;
    struct wire *wire;
    char label[32];
    uint64_t attempt, asked_ns;
};

static void sample(struct samples *s, uint64_t since_ns)
{
    if (s->count < MAX_SAMPLES)
        s->ns[s->count++] = uv_hrtime() - since_ns;
}

static void say_idle(struct scripted *s)
{
    struct message m = {.verb = VERB_IDLE, .idle = {.slots = 1}};
    s->asked_ns = uv_hrtime();
    wire_send(s->wire, &m);
}

static void on_opened(struct wire *w)
{
    struct scripted *s = wire_owner(w);
    struct message m = {.verb = VERB_HELLO, .hello = {.version = PIWHEELS_VERSION, .label = s->label, .system = "bench",
        .hardware = "scripted", .clock_ms = (uint64_t)clock_wall_ms(), .timeout_ms = 3600000}};
    m.hello.offers.count = 1;
    m.hello.offers.items[0] = (struct rec_offer){s->crowd->abi, s->crowd->platform, "3"};
    wire_send(w, &m);
}

static void begin_build(struct scripted *s, const struct message *m)
{
    struct message busy = {.verb = VERB_BUSY, .busy = {.attempt = m->build.attempt}};
    sample(&s->crowd->idle_to_build, s->asked_ns);
    if (!s->crowd->begun_ns)
        s->crowd->begun_ns = uv_hrtime();
    s->attempt = m->build.attempt;
    s->asked_ns = uv_hrtime();
    wire_send(s->wire, &busy);
}

static void fail_build(struct scripted *s)
{
    struct crowd *c = s->crowd;
    struct message output = {.verb = VERB_OUTPUT, .output = {.attempt = s->attempt, .data = {c->log, c->log_bytes}}};
    struct message built = {.verb = VERB_BUILT, .built = {.attempt = s->attempt, .outcome = "failed", .reason = "compile",
        .detail = "error: a scripted failure", .wall_ms = 1000, .log_bytes = c->log_bytes}};
    sample(&c->busy_to_cont, s->asked_ns);
    wire_send(s->wire, &output);
    wire_send(s->wire, &built);
}

static void end_all(struct crowd *c)
{
    c->ended_ns = uv_hrtime();
    for (unsigned i = 0; i < c->slave_count; i++) {
        if (c->slaves[i].wire)
            wire_drop(c->slaves[i].wire, "enough");
    }
}

static void on_message(struct wire *w, const struct message *m)
{
    struct scripted *s = wire_owner(w);
    struct crowd *c = s->crowd;
    switch (m->verb) {
    case VERB_ACK:
    case VERB_WAKE: say_idle(s); break;
    case VERB_SLEEP: break;
    case VERB_BUILD: begin_build(s, m); break;
    case VERB_CONT: fail_build(s); break;
    case VERB_DONE:
        if (++c->done == c->wanted)
            end_all(c);
        else if (c->done < c->wanted)
            say_idle(s);
        break;
    default:
        fprintf(stderr, "bench-slaves: %s: unexpected %s\n", s->label, message_verb_name(m->verb));
        wire_drop(w, "unexpected message");
    }
}

static void on_closed(struct wire *w, const char *reason)
{
    struct scripted *s = wire_owner(w);
    s->wire = NULL;
    if (!s->crowd->ended_ns) {
        fprintf(stderr, "bench-slaves: %s: %s\n", s->label, reason);
        s->crowd->fault = "a connection was closed";
    }
}

static const struct wire_events events = {.opened = on_opened, .message = on_message, .closed = on_closed};

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(struct samples *s, double part)
{
    if (s->count == 0)
        return 0;
    qsort(s->ns, s->count, sizeof *s->ns, by_size);
    return (double)s->ns[(size_t)((double)(s->count - 1) * part)] / 1e6;
}

static void print(struct crowd *c)
{
    printf("{\"cycles\": %llu, \"seconds\": %.3f, \"idle_build_p50_ms\": %.3f, \"idle_build_p99_ms\": %.3f, "
           "\"busy_cont_p50_ms\": %.3f, \"busy_cont_p99_ms\": %.3f}\n", (unsigned long long)c->done,
           (double)(c->ended_ns - c->begun_ns) / 1e9, percentile_ms(&c->idle_to_build, 0.5),
           percentile_ms(&c->idle_to_build, 0.99), percentile_ms(&c->busy_to_cont, 0.5),
           percentile_ms(&c->busy_to_cont, 0.99));
}

static void release(struct crowd *c)
{
    free(c->idle_to_build.ns);
    free(c->busy_to_cont.ns);
    free(c->slaves);
    free(c->log);
}

static void fill_log(struct crowd *c)
{
    static const char line[] = "gcc -O2 -fPIC -Iinclude -c source.c -o build/source.o\n";
    c->log = mem_new(c->log_bytes + 1, 1);
    for (uint32_t i = 0; i < c->log_bytes; i++)
        c->log[i] = (uint8_t)line[i % (sizeof line - 1)];
}

int main(int argc, char *argv[])
{
    struct crowd c = {0};
    if (argc != 7) {
        fprintf(stderr, "usage: bench-slaves ADDRESS:PORT SLAVES CYCLES LOG_BYTES ABI PLATFORM\n");
        return 2;
    }
    uv_loop_init(&c.loop);
    c.slave_count = (unsigned)strtoul(argv[2], NULL, 10);
    c.wanted = strtoull(argv[3], NULL, 10);
    c.log_bytes = (uint32_t)strtoul(argv[4], NULL, 10);
    c.abi = argv[5];
    c.platform = argv[6];
    c.idle_to_build.ns = mem_new(MAX_SAMPLES, sizeof(uint64_t));
    c.busy_to_cont.ns = mem_new(MAX_SAMPLES, sizeof(uint64_t));
    c.slaves = mem_new(c.slave_count, sizeof *c.slaves);
    fill_log(&c);
    for (unsigned i = 0; i < c.slave_count; i++) {
        c.slaves[i].crowd = &c;
        snprintf(c.slaves[i].label, sizeof c.slaves[i].label, "bench-%u", i);
        c.slaves[i].wire = wire_connect(&c.loop, argv[1], &events, &c.slaves[i]);
    }
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_loop_close(&c.loop);
    if (c.done < c.wanted)
        fprintf(stderr, "bench-slaves: %s\n", c.fault ? c.fault : "ended too early");
    else
        print(&c);
    release(&c);
    return c.done < c.wanted;
}
