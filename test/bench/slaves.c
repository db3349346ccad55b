/*
 * Scripted slaves for the benchmarks: N connections to a master that speak every verb of a build and build
 * nothing. Prints one JSON object: cycles, seconds, cycles in each minute, and latencies.
 *
 *   bench-slaves -a ADDRESS:PORT -n SLAVES -A ABI -P PLATFORM [-c CYCLES] [-s SECONDS] [-l LOG_BYTES]
 *                [-w WHEEL_BYTES] [-t BUILD_MS] [-b] [-d] [-r] [-k KEY]
 *
 * A build fails, with a log; with -w it makes a wheel of about that size. It takes no time, or BUILD_MS (the first of
 * each slave a random part of that, and latencies count from twice that time on: no herd). The program ends when CYCLES builds have been
 * answered with DONE, or after SECONDS. With -b only the first slave's build ever ends: the others say BUSY every
 * 10 ms until then, and latencies count from its first SEND on. With -d the first slave's wheel is damaged when it is sent first: the master asks for it again as soon as
 * it has all of it on its disk and has compared the hash, which tells how long that takes. With -r nothing is built: it ends when all have been answered ACK. With -k they speak TLS and show this
 * key. Run by test/bench/bench.py.
 */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "core/clock.h"
#include "core/memory.h"
#include "io/wire.h"
#include "wheel.h"

#define MAX_SAMPLES 1000000
#define MAX_MINUTES 1440
#define CHUNK_BYTES 262144
#define ENOUGH_UNSENT_BYTES (1024 * 1024)
#define PULSE_MS 10
#define KEEP_BYTES (16 * 1024 * 1024)

struct samples {
    uint64_t *ns;
    size_t count;
};

struct crowd {
    uv_loop_t loop;
    const char *address, *abi, *platform;
    uint64_t wanted, done, limit_ms;  /* no limit: 0 */
    uv_timer_t limit;                 /* from the first BUILD on */
    uint64_t minutes[MAX_MINUTES];    /* cycles done in each */
    uint64_t begun_ns, ended_ns;      /* first BUILD, last DONE */
    uint64_t begun_send_ns, send_ns;  /* when SEND was heard first, and last: the wheel has been made before, which held us up */
    uint64_t taken_ns;                /* -d: from the first SEND to the second */
    struct payload payload;
    size_t wheel_bytes;
    bool pulse;                       /* -b */
    bool damage;                      /* -d */
    bool reconnect;                   /* -r */
    unsigned greeted;
    struct key *key;                  /* NULL: no TLS */
    unsigned build_ms;
    uint8_t *log;
    uint32_t log_bytes;
    struct samples idle_to_build, busy_to_cont;
    struct scripted *slaves;
    unsigned slave_count;
    const char *fault;
};

struct scripted {
    struct crowd *crowd;
    struct wire *wire;
    char label[32];
    char package[256], version[256];
    uint64_t attempt, asked_ns;
    struct made_wheel wheel;
    uint64_t offset;                  /* of the next CHUNK */
    bool sending, warm, damaged;
    uv_timer_t timer;
};

static void sample(const struct crowd *c, struct samples *s, uint64_t since_ns)
{
    bool counts = since_ns >= c->begun_ns + 2000000ULL * c->build_ms && (!c->pulse || (c->begun_send_ns && since_ns > c->begun_send_ns));
    if (counts && s->count < MAX_SAMPLES)
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
        .hardware = "scripted", .clock_ms = (uint64_t)clock_wall_ms(), .timeout_ms = 3600000,
        .sandbox = "strict", .network = "index", .jobs = 1, .network_most = "index"}};
    m.hello.offers.count = 1;
    m.hello.offers.items[0] = (struct rec_offer){s->crowd->abi, s->crowd->platform, "3"};
    wire_send(w, &m);
}

static void say_busy(struct scripted *s)
{
    struct message busy = {.verb = VERB_BUSY, .busy = {.attempt = s->attempt}};
    s->asked_ns = uv_hrtime();
    wire_send(s->wire, &busy);
}

static void end_all(struct crowd *c)
{
    c->ended_ns = uv_hrtime();
    uv_close((uv_handle_t *)&c->limit, NULL);
    for (unsigned i = 0; i < c->slave_count; i++) {
        if (c->slaves[i].wire)
            wire_drop(c->slaves[i].wire, "enough");
        if (!uv_is_closing((uv_handle_t *)&c->slaves[i].timer))
            uv_close((uv_handle_t *)&c->slaves[i].timer, NULL);
    }
}

static void on_limit(uv_timer_t *timer)
{
    struct crowd *c = container_of(timer, struct crowd, limit);
    if (!c->ended_ns)
        end_all(c);
}

static void note_beginning(struct crowd *c)
{
    c->begun_ns = uv_hrtime();
    if (c->limit_ms > 0)
        uv_timer_start(&c->limit, on_limit, c->limit_ms, 0);
}

static void begin_build(struct scripted *s, const struct message *m)
{
    sample(s->crowd, &s->crowd->idle_to_build, s->asked_ns);
    if (!s->crowd->begun_ns)
        note_beginning(s->crowd);
    s->attempt = m->build.attempt;
    snprintf(s->package, sizeof s->package, "%s", m->build.package);
    snprintf(s->version, sizeof s->version, "%s", m->build.version);
    say_busy(s);
}

static void say_output(struct scripted *s)
{
    struct crowd *c = s->crowd;
    struct message output = {.verb = VERB_OUTPUT, .output = {.attempt = s->attempt, .data = {c->log, c->log_bytes}}};
    if (c->log_bytes > 0)
        wire_send(s->wire, &output);
}

static void fail_build(struct scripted *s)
{
    struct message built = {.verb = VERB_BUILT, .built = {.attempt = s->attempt, .outcome = "failed", .reason = "compile",
        .detail = "error: a scripted failure", .wall_ms = 1000, .log_bytes = s->crowd->log_bytes}};
    say_output(s);
    wire_send(s->wire, &built);
}

static void finish_build(struct scripted *s)
{
    wheel_make(&s->wheel, s->package, s->version, &s->crowd->payload);
    struct message built = {.verb = VERB_BUILT, .built = {.attempt = s->attempt, .outcome = "success", .reason = "",
        .detail = "", .wall_ms = 1000, .log_bytes = s->crowd->log_bytes}};
    built.built.files.count = 1;
    built.built.files.items[0] = (struct rec_wheel){s->wheel.name, s->wheel.len, {s->wheel.sha256, SHA256_SIZE}, ""};
    built.built.environment = (struct rec_environment){.system = ""};
    say_output(s);
    wire_send(s->wire, &built);
}

/* As much as the wire takes; on_drained goes on. */
static void send_file(struct scripted *s)
{
    while (s->offset < s->wheel.len && wire_unsent(s->wire) < ENOUGH_UNSENT_BYTES) {
        size_t left = s->wheel.len - s->offset, len = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        struct message chunk = {.verb = VERB_CHUNK, .chunk = {.attempt = s->attempt, .offset = s->offset,
            .data = {s->wheel.data + s->offset, (uint32_t)len}}};
        wire_send(s->wire, &chunk);
        s->offset += len;
    }
    if (s->offset < s->wheel.len)
        return;
    struct message sent = {.verb = VERB_SENT, .sent = {.attempt = s->attempt}};
    s->sending = false;
    wire_send(s->wire, &sent);
}

/* Bit by bit the wheel is as it should be again when this is done twice. */
static void damage(struct scripted *s)
{
    s->wheel.data[s->wheel.len / 2] ^= 1;
    s->damaged = !s->damaged;
}

static void begin_file(struct scripted *s)
{
    struct crowd *c = s->crowd;
    if (s->damaged)
        c->taken_ns = uv_hrtime() - c->send_ns;
    if (s->damaged || (c->damage && c->taken_ns == 0 && s == c->slaves))
        damage(s);
    c->send_ns = uv_hrtime();
    if (!c->begun_send_ns)
        c->begun_send_ns = c->send_ns;
    s->offset = 0;
    s->sending = true;
    send_file(s);
}

static void on_drained(struct wire *w)
{
    struct scripted *s = wire_owner(w);
    if (s->sending)
        send_file(s);
}

static void on_pulse(uv_timer_t *timer)
{
    struct scripted *s = timer->data;
    if (s->wire)
        say_busy(s);
}

static void report_build(struct scripted *s)
{
    if (s->crowd->wheel_bytes > 0)
        finish_build(s);
    else
        fail_build(s);
}

static void on_built(uv_timer_t *timer)
{
    struct scripted *s = timer->data;
    if (s->wire)
        report_build(s);
}

static uint64_t build_time_ms(struct scripted *s)
{
    uint64_t ms = s->warm ? s->crowd->build_ms : (uint64_t)rand() % s->crowd->build_ms;
    s->warm = true;
    return ms;
}

/* BUSY was answered: the build ends, or goes on. */
static void go_on(struct scripted *s)
{
    struct crowd *c = s->crowd;
    sample(c, &c->busy_to_cont, s->asked_ns);
    if (c->pulse && s != c->slaves)
        uv_timer_start(&s->timer, on_pulse, PULSE_MS, 0);
    else if (c->build_ms > 0)
        uv_timer_start(&s->timer, on_built, build_time_ms(s), 0);
    else
        report_build(s);
}

static void end_build(struct scripted *s)
{
    struct crowd *c = s->crowd;
    uint64_t spent_ns = uv_hrtime() - c->begun_ns, minute = spent_ns / 60000000000ULL;
    wheel_free(&s->wheel);
    c->done++;
    if (minute < MAX_MINUTES)
        c->minutes[minute]++;
    if (c->done == c->wanted)
        end_all(c);
    else if (!c->ended_ns)
        say_idle(s);
}

static void on_greeted(struct scripted *s)
{
    struct crowd *c = s->crowd;
    c->greeted++;
    if (!c->reconnect)
        say_idle(s);
    else if (c->greeted == c->slave_count)
        end_all(c);
}

static void on_message(struct wire *w, const struct message *m)
{
    struct scripted *s = wire_owner(w);
    switch (m->verb) {
    case VERB_ACK: on_greeted(s); break;
    case VERB_WAKE: say_idle(s); break;
    case VERB_SLEEP: break;
    case VERB_BUILD: begin_build(s, m); break;
    case VERB_CONT: go_on(s); break;
    case VERB_SEND: begin_file(s); break;
    case VERB_DONE: end_build(s); break;
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

static const struct wire_events events = {.opened = on_opened, .message = on_message, .drained = on_drained,
                                         .closed = on_closed};

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
    double seconds = (double)(c->ended_ns - c->begun_ns) / 1e9;
    printf("{\"cycles\": %llu, \"seconds\": %.3f, \"send_seconds\": %.3f, \"taken_seconds\": %.3f, \"minutes\": [",
           (unsigned long long)c->done, seconds, (double)(c->ended_ns - c->send_ns) / 1e9,
           (double)c->taken_ns / 1e9);
    for (unsigned i = 0; i < MAX_MINUTES && (i == 0 || i * 60 < seconds); i++)
        printf("%s%llu", i > 0 ? ", " : "", (unsigned long long)c->minutes[i]);
    printf("], \"idle_build_p50_ms\": %.3f, \"idle_build_p99_ms\": %.3f, \"busy_cont_p50_ms\": %.3f, "
           "\"busy_cont_p99_ms\": %.3f}\n", percentile_ms(&c->idle_to_build, 0.5), percentile_ms(&c->idle_to_build, 0.99),
           percentile_ms(&c->busy_to_cont, 0.5), percentile_ms(&c->busy_to_cont, 0.99));
}

static void release(struct crowd *c)
{
    free(c->idle_to_build.ns);
    free(c->busy_to_cont.ns);
    for (unsigned i = 0; i < c->slave_count; i++)
        wheel_free(&c->slaves[i].wheel);
    payload_release(&c->payload);
    free(c->slaves);
    free(c->log);
    key_close(c->key);
}

static void fill_log(struct crowd *c)
{
    static const char line[] = "gcc -O2 -fPIC -Iinclude -c source.c -o build/source.o\n";
    c->log = mem_new(c->log_bytes + 1, 1);
    for (uint32_t i = 0; i < c->log_bytes; i++)
        c->log[i] = (uint8_t)line[i % (sizeof line - 1)];
}

static bool read_key(struct crowd *c, const char *path)
{
    char why[512];
    bool made;
    if (key_open(path, &c->key, &made, why, sizeof why) == 0)
        return true;
    fprintf(stderr, "bench-slaves: %s\n", why);
    return false;
}

static bool read_options(struct crowd *c, int argc, char *argv[])
{
    for (int option; (option = getopt(argc, argv, "a:n:A:P:c:s:l:w:t:bdrk:")) != -1;) {
        switch (option) {
        case 'a': c->address = optarg; break;
        case 'n': c->slave_count = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'A': c->abi = optarg; break;
        case 'P': c->platform = optarg; break;
        case 'c': c->wanted = strtoull(optarg, NULL, 10); break;
        case 's': c->limit_ms = strtoull(optarg, NULL, 10) * 1000; break;
        case 'l': c->log_bytes = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'w': c->wheel_bytes = strtoull(optarg, NULL, 10); break;
        case 't': c->build_ms = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'b': c->pulse = true; break;
        case 'd': c->damage = true; break;
        case 'r': c->reconnect = true; break;
        case 'k':
            if (!read_key(c, optarg))
                return false;
            break;
        default: return false;
        }
    }
    return c->address && c->abi && c->platform && c->slave_count > 0;
}

static void start(struct crowd *c)
{
    c->idle_to_build.ns = mem_new(MAX_SAMPLES, sizeof(uint64_t));
    c->busy_to_cont.ns = mem_new(MAX_SAMPLES, sizeof(uint64_t));
    c->slaves = mem_new(c->slave_count, sizeof *c->slaves);
    fill_log(c);
    if (c->wheel_bytes > 0)
        payload_make(&c->payload, c->wheel_bytes);
    if (c->reconnect)
        c->begun_ns = uv_hrtime();
    for (unsigned i = 0; i < c->slave_count; i++) {
        struct scripted *s = &c->slaves[i];
        s->crowd = c;
        snprintf(s->label, sizeof s->label, "bench-%u", i);
        uv_timer_init(&c->loop, &s->timer);
        s->timer.data = s;
        s->wire = wire_connect(&c->loop, c->address, c->key, &events, s);
    }
}

int main(int argc, char *argv[])
{
    static struct crowd c;
    if (!read_options(&c, argc, argv)) {
        fprintf(stderr, "bench-slaves: see the first lines of test/bench/slaves.c\n");
        return 2;
    }
    mallopt(M_MMAP_THRESHOLD, KEEP_BYTES); /* what a transfer sends from is not given back and asked for again */
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    uv_loop_init(&c.loop);
    uv_timer_init(&c.loop, &c.limit);
    uv_unref((uv_handle_t *)&c.limit); /* when all have lost their connections there is nothing to wait for */
    start(&c);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_loop_close(&c.loop);
    bool good = c.ended_ns != 0 && !c.fault;
    if (good)
        print(&c);
    else
        fprintf(stderr, "bench-slaves: %s\n", c.fault ? c.fault : "ended too early");
    release(&c);
    return !good;
}
