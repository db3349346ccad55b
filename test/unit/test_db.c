/*
 * The calls of src/db against a real server (suite `database`, see test_pg.c): what they send and how they
 * read the answers. The rules behind them are tested in test/flow/test_schema.py.
 */
#include "pg_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "db.h"

#define CROWD 300
#define SHA "abababababababababababababababababababababababababababababababab"

struct house {
    uv_loop_t loop;
    uv_timer_t limit;
    struct db *db;
    bool closed, ready;
    unsigned progress;
    int64_t slave;
    unsigned target;
    struct db_standing standing;
};

/* A call, and what became of it. */
struct ring {
    struct db_call call;
    struct house *house;
    bool rung, inside;
    int error;
};

static void on_rung(struct db_call *c, int error)
{
    struct ring *ring = container_of(c, struct ring, call);

    assert_false(ring->inside);
    assert_false(ring->rung);
    ring->rung = true;
    ring->error = error;
    uv_stop(&ring->house->loop);
}

static void wait_for_ring(struct ring *ring)
{
    while (!ring->rung)
        uv_run(&ring->house->loop, UV_RUN_ONCE);
}

/* Runs a call to its end, which must be good: ANSWERED(h, db_targets, &out). */
#define ANSWERED(h, function, ...)                                             \
    do {                                                                       \
        struct ring ring_ = {.house = (h), .inside = true};                    \
        function((h)->db, &ring_.call, __VA_ARGS__, on_rung);                  \
        ring_.inside = false;                                                  \
        wait_for_ring(&ring_);                                                 \
        if (ring_.error != 0)                                                  \
            fail_msg("%s: %d %s", #function, ring_.error, ring_.call.message); \
    } while (0)

/* ---- the house ---- */

static void on_limit(uv_timer_t *timer)
{
    fail_msg("nothing happened for two minutes");
}

static void on_change(void *owner, bool ready, const char *why)
{
    struct house *h = owner;

    h->ready = ready;
    uv_stop(&h->loop);
}

static void on_db_closed(void *owner)
{
    struct house *h = owner;

    h->closed = true;
}

static void on_progress(void *owner, const char *text)
{
    struct house *h = owner;

    h->progress++;
}

static int house_open(void **state)
{
    struct house *h = mem_new(1, sizeof *h);

    uv_loop_init(&h->loop);
    uv_timer_init(&h->loop, &h->limit);
    uv_timer_start(&h->limit, on_limit, 120000, 0);
    h->db = db_open(&h->loop, dsn(), on_change, h);
    assert_false(db_ready(h->db));
    while (!h->ready)
        uv_run(&h->loop, UV_RUN_ONCE);
    *state = h;
    return 0;
}

static int house_close(void **state)
{
    struct house *h = *state;

    if (h->db != NULL)
        db_close(h->db, on_db_closed, h);
    uv_close((uv_handle_t *)&h->limit, NULL);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_true(h->closed);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    free(h);
    return 0;
}

/* A fresh schema with one target. */
static int set_up(void **state)
{
    struct db_configuration none = {.version = ""};
    struct house *h;

    run_aside("drop schema if exists piwheels cascade");
    house_open(state);
    h = *state;
    ANSWERED(h, db_setup_run, &none, "piwheels_test", on_progress, h);
    assert_int_equal(h->progress, 3);
    ANSWERED(h, db_target_add, "t0", "cp311", "linux_x86_64", "Debian\x01 12\xff", NULL, &h->target);
    ANSWERED(h, db_slave_seen, "pi4-a", "Debian 12", "Pi 4", "", 1, "", &h->standing);
    h->slave = h->standing.slave;
    return 0;
}

static int set_up_group(void **state)
{
    run_aside("drop schema if exists piwheels cascade;"
              "do $$ begin create role piwheels_test; exception when duplicate_object then null; end $$");
    return 0;
}

static int tear_down_group(void **state)
{
    run_aside("drop schema if exists piwheels cascade; drop role piwheels_test");
    return 0;
}

/* Stores a project with versions 1 to `count`, all asked for. */
static void store(struct house *h, unsigned count, struct db_asked *asked)
{
    struct buf json;

    buf_init(&json, 1 << 20);
    buf_adds(&json, "{\"name\": \"x\", \"display\": \"X\", \"serial\": 5, \"etag\": \"\\\"e\\\"\", "
                    "\"refresh_s\": 0, \"follow\": \"all\", \"want\": \"all\", \"versions\": [");
    for (unsigned i = 1; i <= count; i++)
        buf_addf(&json, "%s{\"version\": \"%u\", \"key\": \"%08x\", \"judged_mask\": 1, "
                        "\"sdist\": \"x-%u.tar.gz\", \"sdist_sha256\": \"" SHA "\"}",
                 i > 1 ? ", " : "", i, i, i);
    buf_adds(&json, "]}");
    ANSWERED(h, db_project_store, json.data, asked);
    buf_release(&json);
}

static void store_quietly(struct house *h, unsigned count)
{
    struct db_asked asked;

    store(h, count, &asked);
    db_asked_release(&asked);
}

static void claim(struct house *h, struct db_attempt *out)
{
    ANSWERED(h, db_claim, &(struct db_claimant){h->slave, 1, 0, 0}, 60000, out);
}

/* ---- configuration, setup ---- */

static void a_database_without_a_schema_is_no_error(void **state)
{
    struct house *h = *state;
    struct db_configuration found;
    char why[256];

    ANSWERED(h, db_configuration, &found);
    assert_string_equal(found.version, "");
    assert_int_equal(db_configuration_check(&found, why, sizeof why), -EPROTO);
    assert_non_null(strstr(why, "piwheels initdb"));
}

static void a_fresh_schema_is_the_one_needed(void **state)
{
    struct house *h = *state;
    struct db_configuration found;
    char why[256];

    ANSWERED(h, db_configuration, &found);
    assert_string_equal(found.version, PIWHEELS_VERSION);
    assert_int_equal(found.level, DB_LEVEL);
    assert_true(found.database[0] != '\0');
    assert_int_equal(db_configuration_check(&found, why, sizeof why), 0);
}

static void an_older_and_a_newer_schema_say_what_to_do(void **state)
{
    struct db_configuration older = {.version = "0.0.9", .level = 1, .database = "piwheels"};
    struct db_configuration newer = {.version = "99.0", .level = DB_LEVEL, .database = "piwheels"};
    struct db_configuration higher = {.version = PIWHEELS_VERSION, .level = DB_LEVEL + 1};
    char why[256];

    assert_int_equal(db_configuration_check(&older, why, sizeof why), -EPROTO);
    assert_non_null(strstr(why, "database piwheels is of piwheels 0.0.9 (schema level 1)"));
    assert_non_null(strstr(why, "piwheels initdb"));
    assert_int_equal(db_configuration_check(&newer, why, sizeof why), -EPROTO);
    assert_non_null(strstr(why, "install piwheels 99.0"));
    assert_false(db_configuration_newer(&older));
    assert_true(db_configuration_newer(&newer));
    assert_true(db_configuration_newer(&higher));
}

static void a_look_around_tells_who_is_there(void **state)
{
    struct house *h = *state;
    struct db_setup found;

    ANSWERED(h, db_setup_look, "piwheels_test", &found);
    assert_true(found.superuser && found.service_exists && found.schema_exists);
    assert_false(found.service_superuser);
    assert_string_equal(found.encoding, "UTF8");
    assert_true(found.server_number >= 130000);
    ANSWERED(h, db_setup_look, "nobody at all", &found);
    assert_false(found.service_exists);
}

static void an_upgrade_that_somebody_else_has_done_is_refused(void **state)
{
    struct house *h = *state;
    struct db_configuration stale = {.version = "0.0.9", .level = 1};
    struct ring ring = {.house = h};

    db_setup_run(h->db, &ring.call, &stale, "piwheels_test", on_progress, h, on_rung);
    wait_for_ring(&ring);
    assert_int_equal(ring.error, -EREMOTEIO);
    assert_non_null(strstr(ring.call.message, "somebody else"));
}

/* ---- targets, projects ---- */

static void targets_come_in_their_order_with_clean_labels(void **state)
{
    struct house *h = *state;
    struct db_targets targets;
    bool found;

    ANSWERED(h, db_target_add, "t1", "cp312", "linux_x86_64", "", NULL, &h->target);
    ANSWERED(h, db_target_skip, "t1", "gone", &found);
    assert_true(found);
    ANSWERED(h, db_targets, &targets);
    assert_int_equal(targets.count, 2);
    assert_string_equal(targets.items[0].name, "t0");
    assert_string_equal(targets.items[0].label, "Debian 12\xef\xbf\xbd");
    assert_false(targets.items[0].skipped);
    assert_int_equal(targets.items[1].id, 1);
    assert_true(targets.items[1].skipped);
    assert_string_equal(targets.items[1].skip, "gone");
    ANSWERED(h, db_target_skip, "t1", NULL, &found);
    ANSWERED(h, db_targets, &targets);
    assert_false(targets.items[1].skipped);
    ANSWERED(h, db_target_skip, "none", "x", &found);
    assert_false(found);
}

static void a_refusal_carries_the_servers_words(void **state)
{
    struct house *h = *state;
    struct ring ring = {.house = h};

    db_target_add(h->db, &ring.call, "t0", "cp39", "linux_x86_64", "", NULL, &h->target, on_rung);
    wait_for_ring(&ring);
    assert_int_equal(ring.error, -EREMOTEIO);
    assert_string_equal(ring.call.sqlstate, "23505");
    assert_non_null(strstr(ring.call.message, "target t0 exists"));
}

static void what_was_asked_for_is_answered_with_its_state(void **state)
{
    struct house *h = *state;
    struct db_asked asked;

    store(h, 2, &asked);
    assert_int_equal(asked.count, 2);
    assert_string_equal(asked.items[0].version, "1");
    assert_string_equal(asked.items[1].target, "t0");
    assert_string_equal(asked.items[1].state, "queued");
    assert_string_equal(asked.items[1].reason, "waits for a slave");
    db_asked_release(&asked);
}

static void a_followed_project_is_due_and_then_later(void **state)
{
    struct house *h = *state;
    struct db_projects due;

    ANSWERED(h, db_projects_due, &due);
    assert_int_equal(due.count, 0);
    assert_int_equal(due.next_ms, -1);
    store_quietly(h, 1);
    ANSWERED(h, db_projects_due, &due);
    assert_int_equal(due.count, 1);
    assert_string_equal(due.items[0].name, "x");
    assert_string_equal(due.items[0].etag, "\"e\"");
    assert_int_equal(due.items[0].serial, 5);
    ANSWERED(h, db_project_later, "x", 100000);
    ANSWERED(h, db_projects_due, &due);
    assert_int_equal(due.count, 0);
    assert_in_range(due.next_ms, 90000, 100000);
}

/* ---- claims ---- */

static void a_claim_brings_everything_about_the_build(void **state)
{
    struct house *h = *state;
    struct db_attempt a, same;
    uint8_t sha[SHA256_SIZE];
    uint64_t ready;

    store_quietly(h, 1);
    ANSWERED(h, db_ready_targets, &ready);
    assert_int_equal(ready, 1);
    claim(h, &a);
    assert_true(a.attempt > 0 && a.version_id > 0 && a.started_ms > 0);
    assert_string_equal(a.package, "x");
    assert_string_equal(a.version, "1");
    assert_string_equal(a.sdist, "x-1.tar.gz");
    memset(sha, 0xab, sizeof sha);
    assert_true(a.has_sha256);
    assert_memory_equal(a.sdist_sha256, sha, sizeof sha);
    ANSWERED(h, db_adopt, a.attempt, h->slave, 60000, &same);
    assert_memory_equal(&same, &a, sizeof a);
    ANSWERED(h, db_adopt, a.attempt, h->slave + 1, 60000, &same);
    assert_int_equal(same.attempt, 0);
    claim(h, &a);
    assert_int_equal(a.attempt, 0);
}

static void a_released_job_is_claimed_again(void **state)
{
    struct house *h = *state;
    struct db_attempt a, b;

    store_quietly(h, 1);
    claim(h, &a);
    ANSWERED(h, db_release, a.attempt);
    claim(h, &b);
    assert_int_equal(b.version_id, a.version_id);
    assert_true(b.attempt > a.attempt);
}

static void claims_that_find_nothing_use_up_no_ids(void **state)
{
    struct house *h = *state;
    struct db_attempt first, none, next;

    store_quietly(h, 1);
    claim(h, &first);
    for (unsigned i = 0; i < 20; i++)
        claim(h, &none);
    store_quietly(h, 2);
    claim(h, &next);
    assert_int_equal(next.attempt, first.attempt + 1);
}

struct crowd {
    struct ring rings[CROWD];
    struct db_attempt attempts[CROWD];
    bool recorded[CROWD];
};

static void crowd_claim(struct house *h, struct crowd *crowd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        crowd->rings[i].house = h;
        db_claim(h->db, &crowd->rings[i].call, &(struct db_claimant){h->slave, 1, 0, 0}, 60000, &crowd->attempts[i],
                 on_rung);
    }
}

static uint64_t statements_done(const struct house *h)
{
    struct pg_figures fast, bulk, pages;

    db_figures(h->db, &fast, &bulk, &pages);
    return fast.done;
}

static void a_crowd_of_claims_goes_in_few_statements_and_each_gets_its_own(void **state)
{
    struct house *h = *state;
    struct crowd *crowd = mem_new(1, sizeof *crowd);
    bool seen[CROWD + 1] = {false};

    store_quietly(h, CROWD - 10);
    uint64_t before = statements_done(h);
    crowd_claim(h, crowd, CROWD);
    for (unsigned i = 0; i < CROWD; i++) {
        wait_for_ring(&crowd->rings[i]);
        assert_int_equal(crowd->rings[i].error, 0);
        if (i >= CROWD - 10) {
            assert_int_equal(crowd->attempts[i].attempt, 0);
            continue;
        }
        unsigned version = (unsigned)strtoul(crowd->attempts[i].version, NULL, 10);
        assert_in_range(version, 1, CROWD - 10);
        assert_false(seen[version]);
        seen[version] = true;
    }
    assert_true(statements_done(h) - before < 10);
    free(crowd);
}

static void a_claim_cancelled_before_it_is_sent_completes_and_takes_nothing(void **state)
{
    struct house *h = *state;
    struct crowd *crowd = mem_new(1, sizeof *crowd);

    store_quietly(h, 3);
    crowd_claim(h, crowd, 3);
    db_cancel(&crowd->rings[1].call);
    assert_false(crowd->rings[1].rung);
    for (unsigned i = 0; i < 3; i++)
        wait_for_ring(&crowd->rings[i]);
    assert_int_equal(crowd->rings[1].error, -ECANCELED);
    db_cancel(&crowd->rings[1].call);
    assert_string_equal(crowd->attempts[0].version, "3");
    assert_string_equal(crowd->attempts[2].version, "2");
    free(crowd);
}

static void on_claims_sent(uv_timer_t *timer)
{
    struct crowd *crowd = timer->data;

    db_cancel(&crowd->rings[0].call);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_claim_cancelled_in_flight_completes_once(void **state)
{
    struct house *h = *state;
    struct crowd *crowd = mem_new(1, sizeof *crowd);
    struct db_attempt first;
    uv_timer_t sent = {.data = crowd};

    store_quietly(h, 3);
    claim(h, &first);
    crowd_claim(h, crowd, 2);
    uv_timer_init(&h->loop, &sent);
    uv_timer_start(&sent, on_claims_sent, 0, 0); /* behind the one that sends them, before any answer */
    for (unsigned i = 0; i < 2; i++)
        wait_for_ring(&crowd->rings[i]);
    assert_int_equal(crowd->rings[0].error, -ECANCELED);
    assert_int_equal(crowd->rings[1].error, 0);
    assert_string_equal(crowd->attempts[1].version, "1");
    free(crowd);
}

static void claims_survive_the_loss_of_their_connection(void **state)
{
    struct house *h = *state;
    struct crowd *crowd = mem_new(1, sizeof *crowd);
    struct db_attempt more;

    store_quietly(h, 4);
    crowd_claim(h, crowd, 3);
    run_aside("select pg_terminate_backend(pid) from pg_stat_activity "
              "where application_name = 'piwheels fast'");
    for (unsigned i = 0; i < 3; i++) {
        wait_for_ring(&crowd->rings[i]);
        assert_int_equal(crowd->rings[i].error, 0);
        assert_true(crowd->attempts[i].attempt > 0);
    }
    claim(h, &more);
    assert_string_equal(more.version, "1");
    free(crowd);
}

static void calls_under_way_are_cancelled_by_the_close(void **state)
{
    struct house *h = *state;
    struct crowd *crowd = mem_new(1, sizeof *crowd);
    struct ring ring = {.house = h};
    struct db_targets targets;

    store_quietly(h, 3);
    crowd_claim(h, crowd, 3);
    db_targets(h->db, &ring.call, &targets, on_rung);
    db_close(h->db, on_db_closed, h);
    h->db = NULL;
    for (unsigned i = 0; i < 3; i++) {
        wait_for_ring(&crowd->rings[i]);
        assert_int_equal(crowd->rings[i].error, -ECANCELED);
    }
    wait_for_ring(&ring);
    assert_int_equal(ring.error, -ECANCELED);
    free(crowd);
}

/* ---- leases, ends ---- */

static void leases_are_extended_and_expire(void **state)
{
    struct house *h = *state;
    struct db_expired *expired = mem_new(1, sizeof *expired);
    struct db_attempt a;

    store_quietly(h, 1);
    ANSWERED(h, db_claim, &(struct db_claimant){h->slave, 1, 0, 0}, -1000, &a);
    ANSWERED(h, db_leases_extend, &a.attempt, 1, 60000);
    ANSWERED(h, db_leases_expire, 0, expired);
    assert_int_equal(expired->count, 0);
    ANSWERED(h, db_leases_extend, &a.attempt, 1, -1000);
    ANSWERED(h, db_leases_expire, 0, expired);
    assert_int_equal(expired->count, 1);
    assert_int_equal(expired->attempts[0], a.attempt);
    free(expired);
}

static void ends_are_recorded_with_clean_words(void **state)
{
    struct house *h = *state;
    struct db_attempt a;
    struct db_asked asked;
    bool recorded;

    store_quietly(h, 1);
    claim(h, &a);
    struct db_build_end end = {.attempt = a.attempt, .outcome = "failed", .reason = "compiler",
                               .detail = "fatal\x1b error: \xc3{\"},NULL"};
    ANSWERED(h, db_build_end, &end, 1000, &recorded);
    assert_true(recorded);
    ANSWERED(h, db_build_end, &end, 1000, &recorded);
    assert_true(recorded);
    end.attempt += 1000;
    ANSWERED(h, db_build_end, &end, 1000, &recorded);
    assert_false(recorded);
    store(h, 1, &asked);
    assert_string_equal(asked.items[0].state, "failed");
    assert_string_equal(asked.items[0].reason, "compiler: fatal error: \xef\xbf\xbd{\"},NULL");
    db_asked_release(&asked);
}

static void one_bad_end_does_not_spoil_the_others(void **state)
{
    struct house *h = *state;
    struct crowd *crowd = mem_new(1, sizeof *crowd);
    const char *const outcomes[] = {"failed", "failed", "nonsense", "farm"};

    store_quietly(h, 4);
    for (unsigned i = 0; i < 4; i++)
        claim(h, &crowd->attempts[i]);
    for (unsigned i = 0; i < 4; i++) {
        struct db_build_end end = {.attempt = crowd->attempts[i].attempt, .outcome = outcomes[i]};
        crowd->rings[i].house = h;
        db_build_end(h->db, &crowd->rings[i].call, &end, 1000, &crowd->recorded[i], on_rung);
    }
    for (unsigned i = 0; i < 4; i++) {
        wait_for_ring(&crowd->rings[i]);
        assert_int_equal(crowd->rings[i].error, i == 2 ? -EREMOTEIO : 0);
        assert_int_equal(crowd->recorded[i], i != 2);
    }
    assert_non_null(strstr(crowd->rings[2].call.message, "outcome"));
    free(crowd);
}

/* ---- files, pages ---- */

static const char two_files[] =
    "[{\"path\": \"simple/x/b.whl\", \"name\": \"b.whl\", \"size\": 20, \"sha256\": \"" SHA "\", "
    "\"metadata_sha256\": \"" SHA "\", \"requires_python\": \">=3.8\", \"requires\": [\"six\"]}, "
    "{\"path\": \"simple/x/a.whl\", \"name\": \"a.whl\", \"size\": 10, \"sha256\": \"" SHA "\", "
    "\"metadata_sha256\": \"" SHA "\", \"requires_python\": \"\", \"requires\": []}]";

/* Two files, judged by the targets that there are. */
static void announce(struct house *h, int64_t attempt, struct db_verdicts *verdicts)
{
    struct db_targets *targets = mem_new(1, sizeof *targets);

    ANSWERED(h, db_targets, targets);
    ANSWERED(h, db_files_begin, attempt, targets->digest, two_files, verdicts);
    free(targets);
}

static void publish(struct house *h)
{
    struct db_attempt a;
    struct db_verdicts verdicts;
    bool recorded;

    store_quietly(h, 1);
    claim(h, &a);
    ANSWERED(h, db_files_begin, a.attempt, "as they were before", two_files, &verdicts);
    assert_int_equal(verdicts.count, 2);
    assert_int_equal(verdicts.items[0], DB_FILE_JUDGE);
    announce(h, a.attempt, &verdicts);
    assert_int_equal(verdicts.count, 2);
    assert_int_equal(verdicts.items[0], DB_FILE_NEW);
    struct db_build_end end = {.attempt = a.attempt, .outcome = "success", .detail = "2 files"};
    ANSWERED(h, db_build_publish, &end, 1, &recorded);
    assert_true(recorded);
    announce(h, a.attempt, &verdicts);
    assert_int_equal(verdicts.count, 0);
}

static void a_published_package_is_on_its_pages(void **state)
{
    struct house *h = *state;
    struct db_index page;
    struct db_root root;

    publish(h);
    ANSWERED(h, db_index, "x", &page);
    assert_string_equal(page.display, "X");
    assert_int_equal(page.count, 2);
    assert_string_equal(page.files[0].name, "a.whl");
    assert_string_equal(page.files[1].name, "b.whl");
    assert_string_equal(page.files[1].version, "1");
    assert_string_equal(page.files[1].requires_python, ">=3.8");
    assert_int_equal(page.files[1].size_bytes, 20);
    assert_string_equal(page.files[1].sha256, SHA);
    assert_string_equal(page.files[1].metadata_sha256, SHA);
    assert_int_equal(strlen(page.files[1].uploaded), strlen("2026-01-31T14:05:09.123456Z"));
    assert_int_equal(page.alias_count, 1);
    assert_string_equal(page.aliases[0], "X");
    db_index_release(&page);
    ANSWERED(h, db_root, &root);
    assert_int_equal(root.count, 1);
    assert_string_equal(root.items[0].name, "x");
    assert_string_equal(root.items[0].display, "X");
    db_root_release(&root);
}

static void a_package_is_told_to_people_with_every_state_and_file(void **state)
{
    struct house *h = *state;
    struct db_project_page page;
    struct db_home home;

    publish(h);
    ANSWERED(h, db_project_page, "x", &page);
    assert_string_equal(page.display, "X");
    assert_int_equal(page.release_count, 1);
    assert_string_equal(page.releases[0].version, "1");
    assert_string_equal(page.releases[0].states[0].state, "built");
    assert_int_equal(page.releases[0].file_count, 2);
    assert_string_equal(page.releases[0].files[1].pip, "six\n");
    assert_int_equal(page.releases[0].build_count, 1);
    assert_string_equal(page.releases[0].builds[0].outcome, "success");
    assert_int_equal(page.alias_count, 1);
    db_project_page_release(&page);
    ANSWERED(h, db_home, &home);
    assert_int_equal(home.packages, 1);
    assert_int_equal(home.files, 2);
    assert_int_equal(home.size_bytes, 30);
    assert_int_equal(home.hour.succeeded, 1);
    assert_int_equal(home.build_count, 1);
    assert_string_equal(home.builds[0].package, "x");
    db_home_release(&home);
}

static void an_unknown_package_has_an_empty_page(void **state)
{
    struct house *h = *state;
    struct db_index page;
    struct db_project_page unknown;

    ANSWERED(h, db_project_page, "none", &unknown);
    assert_null(unknown.display);
    db_project_page_release(&unknown);

    ANSWERED(h, db_index, "none", &page);
    assert_null(page.display);
    assert_int_equal(page.count, 0);
    db_index_release(&page);
}

static void stale_pages_are_told_until_they_are_written(void **state)
{
    struct house *h = *state;
    struct db_stale stale;

    publish(h);
    ANSWERED(h, db_stale, &stale);
    assert_int_equal(stale.count, 4); /* index, root, project, home */
    for (unsigned i = 0; i < 4; i++)
        ANSWERED(h, db_page_written, stale.items[i].kind, stale.items[i].key, stale.items[i].generation);
    ANSWERED(h, db_stale, &stale);
    assert_int_equal(stale.count, 0);
}

static void what_a_crash_left_is_told_and_forgotten(void **state)
{
    struct house *h = *state;
    struct db_attempt a;
    struct db_verdicts verdicts;
    struct db_publishing left;

    store_quietly(h, 1);
    claim(h, &a);
    announce(h, a.attempt, &verdicts);
    ANSWERED(h, db_publishing, &left);
    assert_int_equal(left.count, 2);
    assert_int_equal(left.items[0].attempt, a.attempt);
    assert_string_equal(left.items[0].path, "simple/x/a.whl");
    db_publishing_release(&left);
    ANSWERED(h, db_files_forget, a.attempt);
    ANSWERED(h, db_publishing, &left);
    assert_int_equal(left.count, 0);
    db_publishing_release(&left);
}

static void the_status_is_json(void **state)
{
    struct house *h = *state;
    char *json;

    ANSWERED(h, db_status, &json);
    assert_non_null(strstr(json, "\"queued\": 0"));
    free(json);
}

/* ---- away and back ---- */

static void the_loss_of_the_database_is_told_and_calls_wait_for_its_return(void **state)
{
    struct house *h = *state;
    struct db_targets targets;

    run_aside("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
              "and application_name in ('piwheels fast', 'piwheels bulk', 'piwheels pages')");
    while (h->ready)
        uv_run(&h->loop, UV_RUN_ONCE);
    ANSWERED(h, db_targets, &targets);
    assert_int_equal(targets.count, 1);
    while (!h->ready)
        uv_run(&h->loop, UV_RUN_ONCE);
    assert_true(db_ready(h->db));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, house_close)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_database_without_a_schema_is_no_error, house_open, house_close),
        TEST(a_fresh_schema_is_the_one_needed),
        cmocka_unit_test(an_older_and_a_newer_schema_say_what_to_do),
        TEST(a_look_around_tells_who_is_there),
        TEST(an_upgrade_that_somebody_else_has_done_is_refused),
        TEST(targets_come_in_their_order_with_clean_labels),
        TEST(a_refusal_carries_the_servers_words),
        TEST(what_was_asked_for_is_answered_with_its_state),
        TEST(a_followed_project_is_due_and_then_later),
        TEST(a_claim_brings_everything_about_the_build),
        TEST(a_released_job_is_claimed_again),
        TEST(claims_that_find_nothing_use_up_no_ids),
        TEST(a_crowd_of_claims_goes_in_few_statements_and_each_gets_its_own),
        TEST(a_claim_cancelled_before_it_is_sent_completes_and_takes_nothing),
        TEST(a_claim_cancelled_in_flight_completes_once),
        TEST(claims_survive_the_loss_of_their_connection),
        TEST(calls_under_way_are_cancelled_by_the_close),
        TEST(leases_are_extended_and_expire),
        TEST(ends_are_recorded_with_clean_words),
        TEST(one_bad_end_does_not_spoil_the_others),
        TEST(a_published_package_is_on_its_pages),
        TEST(a_package_is_told_to_people_with_every_state_and_file),
        TEST(an_unknown_package_has_an_empty_page),
        TEST(stale_pages_are_told_until_they_are_written),
        TEST(what_a_crash_left_is_told_and_forgotten),
        TEST(the_status_is_json),
        TEST(the_loss_of_the_database_is_told_and_calls_wait_for_its_return),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
