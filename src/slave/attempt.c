/*
 * What the slave tells the master about one attempt: BUSY and OUTPUT while it builds, the rest of the log and
 * BUILT when it has ended, its files when they are asked for. session.c creates it and passes on what the
 * master says.
 */
#include "attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/fs.h"
#include "machine.h"

#define BUSY_EVERY_MS 10000
#define BUSY_PARTS 3   /* of the lease, if that is less */
#define OUTPUT_BYTES (64 * 1024)

/* ---- the end of an attempt ---- */

static void remove_files(struct lane_work *w)
{
    struct attempt *a = container_of(w, struct attempt, work);
    int error = fs_remove_tree(a->build.dir);
    if (error != 0)
        log_warning("slave", "slave: cannot remove %s: %s", a->build.dir, strerror(-error));
}

static void on_removed(struct lane_work *w, int status)
{
    struct attempt *a = container_of(w, struct attempt, work);
    a->gone(a, a->owner);
    build_release(&a->build);
    free(a->upload.path);
    free(a);
}

/* Goes on with the end as soon as nothing uses the files any more. */
static void remove_when_idle(struct attempt *a)
{
    if (a->state != ATTEMPT_ENDING || a->removing || a->build.running || a->upload.running)
        return;
    a->removing = true;
    lane_submit(LANE_DISK, &a->work, remove_files, on_removed);
}

void attempt_end(struct attempt *a)
{
    if (a->state == ATTEMPT_ENDING)
        return;
    a->state = ATTEMPT_ENDING;
    a->file_wanted = false;
    build_stop(&a->build);
    upload_stop(&a->upload);
    remove_when_idle(a);
}

/* ---- what is said without being asked ---- */

static void say_busy(struct attempt *a)
{
    struct message m = {VERB_BUSY, .busy = {.attempt = a->id}};
    machine_read(a->slave_dir, &m.busy.machine);
    a->busy_ms = clock_steady_ms();
    wire_send(a->wire, &m);
}

/* What the slave's builds are made with, and the settings of this one. */
static void describe(const struct build *b, const struct rec_environment *common, struct msg_built *to)
{
    const struct limits *l = &b->limits;

    to->environment = *common;
    to->environment.timeout_ms = l->timeout_ms;
    to->environment.sandbox = sandbox_level_name(b->place->sandbox->level);
    to->environment.network = network_name(b->own.network);
    to->environment.override = (struct bytes){b->own.override, b->own.overridden ? SHA256_SIZE : 0};
    to->limits = (struct rec_limits){
        .memory_bytes = l->memory_bytes, .processes = l->processes, .open_files = l->open_files,
        .disk_bytes = l->disk_bytes, .disk_files = l->disk_files, .output_bytes = l->output_bytes,
        .cpu_ms = l->cpu_ms, .silence_ms = l->silence_ms};
}

static void say_built(struct attempt *a)
{
    const struct build *b = &a->build;
    struct message m = {VERB_BUILT, .built = {
        .attempt = a->id,
        .outcome = b->verdict.outcome, .reason = b->verdict.reason, .detail = b->verdict.detail,
        .wall_ms = (uint64_t)b->wall_ms, .cpu_ms = (uint64_t)b->cpu_ms, .peak_bytes = (uint64_t)b->peak_bytes,
        .log_bytes = b->log.text.len, .files.count = b->file_count, .required.count = b->report.count}};

    for (unsigned i = 0; i < b->file_count; i++) {
        const struct build_file *f = &b->files[i];
        m.built.files.items[i] = (struct rec_wheel){
            .name = f->name, .size_bytes = f->size_bytes, .sha256 = {f->sha256, SHA256_SIZE},
            .apt = b->needs->apt[i].len > 0 ? b->needs->apt[i].data : ""};
    }
    for (unsigned i = 0; i < b->report.count; i++) {
        const struct report_requirement *q = &b->report.items[i];
        m.built.required.items[i] = (struct rec_requirement){
            .name = q->name, .version = q->version, .sha256 = {q->sha256, q->hashed ? SHA256_SIZE : 0}};
    }
    describe(b, a->environment, &m.built);
    a->told = true;
    wire_send(a->wire, &m);
}

static void say_output(struct attempt *a, size_t len)
{
    const char *data = a->build.log.text.data + a->log_sent;
    wire_send(a->wire, &(struct message){VERB_OUTPUT, .output = {
        .attempt = a->id, .offset = a->log_sent, .data = {(const uint8_t *)data, (uint32_t)len}}});
    a->log_sent += len;
}

/* Sends of the log what has come together, all of it with `flush`, then BUILT; no faster than the connection
 * takes it. */
static void say_more(struct attempt *a, bool flush)
{
    bool building = a->state == ATTEMPT_BUILDING;

    if (a->wire == NULL || a->told || a->state == ATTEMPT_ENDING)
        return;
    while (wire_unsent(a->wire) < ENOUGH_UNSENT_BYTES) {
        size_t rest = a->build.log.text.len - a->log_sent;
        if (rest == 0 && !building)
            say_built(a);
        if (rest == 0 || (rest < OUTPUT_BYTES && building && !flush))
            return;
        say_output(a, rest < OUTPUT_BYTES ? rest : OUTPUT_BYTES);
    }
}

void attempt_tick(struct attempt *a)
{
    int64_t every_ms = a->lease_ms / BUSY_PARTS < BUSY_EVERY_MS ? a->lease_ms / BUSY_PARTS : BUSY_EVERY_MS;

    if (a->wire != NULL && a->state == ATTEMPT_BUILDING && clock_steady_ms() - a->busy_ms >= every_ms)
        say_busy(a);
    say_more(a, true);
}

/* ---- files ---- */

static void start_wanted_file(struct attempt *a)
{
    if (!a->file_wanted || a->upload.running)
        return;
    const struct build_file *f = &a->build.files[a->wanted];
    a->file_wanted = false;
    a->upload.wire = a->wire;
    a->upload.attempt = a->id;
    a->upload.file = a->wanted;
    a->upload.size_bytes = f->size_bytes;
    free(a->upload.path);
    a->upload.path = mem_format("%s/wheels/%s", a->build.dir, f->name);
    upload_start(a->loop, &a->upload);
}

/* A file that cannot be read any more: the master, which expects its bytes, hears of it as of another end
 * of the build, on a new connection. */
static void on_file_lost(struct attempt *a, int error)
{
    verdict_set(&a->build.verdict, "farm", "disk", "cannot read %s: %s", a->build.files[a->upload.file].name,
                strerror(-error));
    a->build.file_count = 0;
    if (a->wire != NULL)
        wire_drop(a->wire, a->build.verdict.detail);
}

static void on_upload_ended(struct upload *u, int error)
{
    struct attempt *a = container_of(u, struct attempt, upload);
    if (a->state == ATTEMPT_SENDING && !a->file_wanted)
        a->state = ATTEMPT_BUILT;
    if (error != 0 && error != -ECANCELED)
        on_file_lost(a, error);
    start_wanted_file(a);
    remove_when_idle(a);
}

bool attempt_send_file(struct attempt *a, unsigned file)
{
    if (file >= a->build.file_count)
        return false;
    a->state = ATTEMPT_SENDING;
    a->file_wanted = true;
    a->wanted = file;
    start_wanted_file(a);
    return true;
}

/* ---- its connection ---- */

void attempt_connected(struct attempt *a, struct wire *w, int64_t lease_ms)
{
    a->wire = w;
    a->lease_ms = lease_ms;
    a->log_sent = 0;
    a->told = false;
    if (a->state == ATTEMPT_BUILDING)
        say_busy(a);
    say_more(a, true);
}

void attempt_disconnected(struct attempt *a)
{
    a->wire = NULL;
    a->file_wanted = false;
    upload_stop(&a->upload);
    if (a->state == ATTEMPT_SENDING)
        a->state = ATTEMPT_BUILT;
}

void attempt_drained(struct attempt *a)
{
    upload_drained(&a->upload);
    say_more(a, false);
}

/* ---- the build ---- */

static void on_log_grown(struct build *b)
{
    say_more(container_of(b, struct attempt, build), false);
}

static void log_end(const struct build *b)
{
    const struct verdict *v = &b->verdict;
    char span[CLOCK_TEXT_SIZE];

    clock_span(b->wall_ms, span);
    if (b->file_count > 0)
        log_info("slave", "slave: built %s %s for %s in %s (%s%s)", b->package, b->version, b->abi, span,
                 b->files[0].name, b->file_count > 1 ? ", …" : "");
    else
        log_info("slave", "slave: %s %s for %s failed after %s (%s: %s: %s)", b->package, b->version, b->abi,
                 span, v->outcome, v->reason, v->detail);
}

static void tell_end(struct attempt *a)
{
    if (a->state == ATTEMPT_BUILDING) {
        a->state = ATTEMPT_BUILT;
        log_end(&a->build);
        say_more(a, true);
    }
    remove_when_idle(a);
}

static void on_room_made(struct lane_work *w, int status)
{
    struct attempt *a = container_of(w, struct attempt, work);
    a->removing = false;
    tell_end(a);
}

/* One that was given up for want of room makes room at once: the master may be away for long. */
static void on_build_ended(struct build *b)
{
    struct attempt *a = container_of(b, struct attempt, build);
    if (!attempt_given_up(a)) {
        tell_end(a);
        return;
    }
    a->removing = true;
    lane_submit(LANE_DISK, &a->work, remove_files, on_room_made);
}

void attempt_give_up(struct attempt *a, const char *reason, const char *detail)
{
    build_give_up(&a->build, reason, detail);
}

bool attempt_given_up(const struct attempt *a)
{
    return a->state == ATTEMPT_BUILDING && a->build.given_up.outcome != NULL;
}

struct attempt *attempt_start(const struct attempt_place *place, const struct msg_build *m,
                              const char *index_url, void (*gone)(struct attempt *a, void *owner), void *owner)
{
    struct attempt *a = mem_new(1, sizeof *a);

    a->id = m->attempt;
    a->state = ATTEMPT_BUILDING;
    a->loop = place->loop;
    a->slave_dir = place->build.dir;
    a->environment = place->environment;
    a->gone = gone;
    a->owner = owner;
    a->upload.ended = on_upload_ended;
    build_init(&a->build, m, &place->build, index_url);
    a->build.grown = on_log_grown;
    a->build.ended = on_build_ended;
    log_info("slave", "slave: building %s %s for %s (attempt %llu)", m->package, m->version, m->abi,
             (unsigned long long)m->attempt);
    build_start(place->loop, &a->build);
    return a;
}
