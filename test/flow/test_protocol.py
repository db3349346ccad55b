"""Whole builds over the wire, driven by a slave that was written from piwheels-protocol(7) alone: what it is told, what is
recorded, what stands in the tree.
"""
import hashlib
import itertools
import json
import random

import pytest

from harness import VERSION
from protocol import announced
from wheels import make_wheel, metadata_of

PACKAGE = "piwtest-made"
LOG_MAX_BYTES = 16777216


@pytest.fixture
def farm(standing_farm):
    standing_farm.forget_everything()
    return standing_farm


@pytest.fixture
def connect(farm):
    """Introduced slaves, gone with the test."""
    made = []

    def connect(label="scripted", attempts=(), **more):
        slave = farm.scripted_slave(label, **more)
        made.append(slave)
        slave.greet(attempts)
        return slave

    yield connect
    for slave in made:
        slave.close()


# ---- from HELLO to DONE ------------------------------------------------------------------------------

def test_a_whole_build_ends_as_a_wheel_in_the_index(farm):
    name, data = wheel = make_wheel(padding=300000)
    log = b"Collecting piwtest-made\n" * 20000
    farm.order()
    begun = farm.master.mark()
    slave = farm.scripted_slave()
    slave.hello()
    number, index, lease_ms = slave.expect("ACK")
    assert number > 0 and index == farm.pypi.simple and lease_ms == 300000

    slave.idle()
    attempt, package, version, abi, platform, sdist, sdist_sha256, timeout_ms, uploaded_ms, *own = slave.expect("BUILD")
    assert [abi, platform] == slave.offers[0][:2]
    assert (package, version, sdist) == (PACKAGE, "1.0", "piwtest-made-1.0.tar.gz")
    assert sdist_sha256 == hashlib.sha256(b"sdist").digest()
    assert timeout_ms == 3 * 3600 * 1000 and own == [[0] * 8, "", [], [], b""]

    slave.busy(attempt)
    assert slave.expect("CONT") == [attempt]
    slave.tell_log(attempt, log)
    slave.busy(attempt)
    assert slave.expect("CONT") == [attempt]
    slave.built(attempt, files=[announced(*wheel)], log_bytes=len(log))
    assert slave.expect("SEND") == [attempt, 0]
    slave.chunk(attempt, 0, 0, data[:262144])
    slave.chunk(attempt, 0, 262144, data[262144:])
    slave.sent(attempt, 0)
    assert slave.expect("DONE") == [attempt, True, f"{name} published"]
    slave.idle()
    assert slave.expect("SLEEP") == [""]
    slave.close()

    farm.wait_page(PACKAGE, begun)
    assert farm.file(PACKAGE, name).read_bytes() == data
    assert farm.file(PACKAGE, name + ".metadata").read_bytes() == metadata_of(data)
    assert farm.log_of(attempt) == log
    farm.wait_staging_empty()
    assert farm.outcome(attempt) == f"success||{name} published"


def test_both_forms_of_the_index_name_the_wheel(farm, connect):
    name, data = wheel = make_wheel()
    sha256, metadata_sha256 = (hashlib.sha256(of).hexdigest() for of in (data, metadata_of(data)))
    farm.order()
    slave = connect()
    begun = farm.master.mark()
    assert slave.deliver(slave.ask().attempt, [wheel])[0]
    farm.wait_page(PACKAGE, begun)
    page = json.loads(farm.file(PACKAGE, "index.v1_json").read_text())
    file, = page["files"]
    assert (page["name"], page["versions"]) == (PACKAGE, ["1.0"])
    assert (file["filename"], file["url"], file["size"]) == (name, name, len(data))
    assert file["hashes"] == {"sha256": sha256}
    assert file["core-metadata"] == {"sha256": metadata_sha256}
    html = farm.file(PACKAGE, "index.html").read_text()
    assert f'<a href="{name}#sha256={sha256}"' in html
    assert f'data-core-metadata="sha256={metadata_sha256}"' in html


def test_a_build_may_bring_several_files(farm, connect):
    wheels = [make_wheel(tag="py3-none-any"), make_wheel(tag="py2.py3-none-any", padding=70000)]
    farm.order()
    slave = connect()
    good, text = slave.deliver(slave.ask().attempt, wheels)
    assert good and text == "; ".join(f"{name} published" for name, _ in wheels)
    assert all(farm.file(PACKAGE, name).read_bytes() == data for name, data in wheels)


def test_sixteen_files_with_the_longest_names_are_told_in_one_done(farm, connect):
    version = "1.0+" + "x" * 180
    farm.order(version=version)
    slave = connect()
    wheels = [make_wheel(version=version, build=f"-{n}") for n in range(16)]
    good, text = slave.deliver(slave.ask().attempt, wheels)
    assert good, text
    assert 900 < len(text.encode()) <= 1000
    assert farm.sql("SELECT count(*) FROM file WHERE state = 'live'") == "16"


def test_what_differs_only_in_size_of_chunks_is_the_same(farm, connect):
    _, data = wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    slave.expect("SEND")
    slave.send_file(attempt, 0, data, piece=100)
    assert slave.expect("DONE")[1]


def test_a_large_wheel_is_kept_as_it_came_in_chunks_of_any_size(farm, connect):
    """Large ones go to the disk from where they arrived, small ones are gathered."""
    _, data = wheel = make_wheel(padding=3_000_000)
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    slave.expect("SEND")
    at = 0
    for size in itertools.cycle((262_144, 10, 70_000, 65_536, 1)):
        slave.chunk(attempt, 0, at, data[at:at + size])
        at += size
        if at >= len(data):
            break
    slave.sent(attempt, 0)
    assert slave.expect("DONE")[1]
    (path, digest), = (line.split("|") for line in farm.sql("SELECT path, encode(sha256, 'hex') FROM file").split())
    assert (farm.output / path).read_bytes() == data and hashlib.sha256(data).hexdigest() == digest


def test_a_slave_of_several_slots_gets_as_many_builds_and_sleeps_for_the_rest(farm, connect):
    for version in ("1.0", "2.0"):
        farm.order(version=version)
    slave = connect()
    slave.idle(slots=3)
    heard = [slave.hear() for _ in range(3)]
    assert sorted(message[0] for message in heard) == ["BUILD", "BUILD", "SLEEP"] and heard[-1][0] == "SLEEP"
    for _, attempt, _, version, *_ in heard[:2]:
        assert slave.deliver(attempt, [make_wheel(version=version)])[0]


def test_more_logs_than_can_be_packed_at_once_are_all_kept(farm):
    """The master then reads nobody for a while, until most of them are packed."""
    count, log = 60, random.Random(1).randbytes(30_000).hex().encode()
    farm.sql(f"""INSERT INTO package (name, display) VALUES ('{PACKAGE}', '{PACKAGE}') ON CONFLICT DO NOTHING;
        INSERT INTO version (package, version, sort_key, wanted, by_hand, sdist, sdist_sha256, judged_mask)
            SELECT p.id, v, v::text::bytea, true, true, '{PACKAGE}.tar.gz', sha256('sdist'), -1 FROM package p, generate_series(1, {count}) v
            WHERE p.name = '{PACKAGE}';
        SELECT versions_settle(array_agg(id)) FROM version""")
    with farm.scripted_slave() as slave:
        slave.hello(jobs=count)
        slave.expect("ACK")
        slave.idle(slots=count)
        attempts = [slave.expect("BUILD", ignore=("SLEEP",))[0] for _ in range(count)]
        for attempt in attempts:
            slave.tell_log(attempt, log)
        for attempt in attempts:
            slave.built(attempt, "failed", reason="compile", detail="error", log_bytes=len(log))
        assert {slave.expect("DONE", ignore=("SLEEP", "WAKE"))[0] for _ in range(count)} == set(attempts)
    assert {farm.log_of(attempt) for attempt in attempts} == {log}


def test_a_slave_without_a_free_slot_sleeps(farm, connect):
    farm.order()
    slave = connect()
    slave.idle(slots=0)
    slave.expect("SLEEP")


def test_a_sleeping_slave_is_woken_when_work_appears(farm, connect):
    slave = connect()
    slave.idle()
    slave.expect("SLEEP")
    farm.order()
    assert slave.expect("WAKE") == []
    slave.idle()
    assert slave.expect("BUILD")[1] == PACKAGE


def test_the_time_limit_of_a_build_is_the_shorter_one(farm):
    farm.order()
    with farm.scripted_slave() as slave:
        slave.hello(timeout_ms=5000)
        slave.expect("ACK")
        slave.idle()
        assert slave.expect("BUILD")[7] == 5000


# ---- builds that fail --------------------------------------------------------------------------------

def test_a_failed_build_is_recorded_with_its_log_and_not_tried_again(farm, connect):
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    assert slave.fail(attempt, log=b"gcc: oh no\n") == "error: no such header"
    assert farm.outcome(attempt) == "failed|compile|error: no such header"
    assert farm.log_of(attempt) == b"gcc: oh no\n"
    assert farm.sql("SELECT count(*) FROM job") == "0"
    slave.idle()
    slave.expect("SLEEP")


def test_a_failure_of_the_farm_is_tried_again(farm, connect):
    farm.order()
    slave = connect()
    first = slave.ask().attempt
    slave.fail(first, "farm", "network", "no route to host")
    assert farm.outcome(first) == "farm|network|no route to host"
    second = slave.ask()
    assert second.attempt > first and second.version == "1.0"
    assert slave.deliver(second.attempt, [make_wheel()])[0]


def test_what_a_slave_says_of_a_failure_is_cleaned(farm, connect):
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    begun = farm.master.mark()
    slave.fail(attempt, detail="error:\x1b[31m red\n2026-01-01 master: all is well")
    line = farm.master.wait_line(r"failed to build piwtest-made 1\.0 ", begun).string
    assert "\x1b" not in line and "all is well" in line
    assert "\x1b" not in farm.outcome(attempt)


def test_a_log_of_the_greatest_length_is_kept(farm, connect):
    log = bytes(LOG_MAX_BYTES)
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.fail(attempt, log=log)
    assert farm.log_of(attempt) == log


def test_a_build_without_a_word_has_an_empty_log(farm, connect):
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.fail(attempt)
    assert farm.log_of(attempt) == b""


# ---- bytes that do not arrive ------------------------------------------------------------------------

def test_a_file_that_arrives_damaged_is_asked_for_once_more(farm, connect):
    name, data = wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    assert slave.expect("SEND") == [attempt, 0]
    slave.send_file(attempt, 0, data[:-1] + b"!")
    assert slave.expect("SEND") == [attempt, 0]
    slave.send_file(attempt, 0, data)
    assert slave.expect("DONE")[1]
    assert farm.file(PACKAGE, name).read_bytes() == data


@pytest.mark.parametrize("damage", [lambda data: data[:-1] + b"!", lambda data: data[:-100], lambda data: b""],
                         ids=["other bytes", "shorter", "nothing"])
def test_a_file_that_arrives_damaged_twice_is_a_failure_of_the_farm(farm, connect, damage):
    name, data = wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    for _ in range(2):
        slave.expect("SEND")
        slave.send_file(attempt, 0, damage(data))
    told, good, text = slave.expect("DONE")
    assert (told, good, text) == (attempt, False, f"{name} arrived damaged 2 times")
    assert farm.outcome(attempt) == f"farm|transfer|{name} arrived damaged 2 times"
    assert not farm.file(PACKAGE, name).exists()
    farm.wait_staging_empty()
    assert slave.ask().version == "1.0"


# ---- a second build of what is published -------------------------------------------------------------

def build_once(farm, slave, wheel):
    """(attempt, text of DONE)."""
    attempt = slave.ask().attempt
    good, text = slave.deliver(attempt, [wheel])
    assert good, text
    return attempt, text


def test_a_rebuild_is_published_under_the_next_build_tag(farm, connect):
    slave = connect()
    name, data = first = make_wheel()
    farm.order()
    build_once(farm, slave, first)
    rebuilt = []
    for tag in (1, 2):
        farm.order_again(PACKAGE, "1.0")
        wheel = make_wheel(content=b"answer = %d\n" % tag)
        rebuilt.append((f"piwtest_made-1.0-{tag}-py3-none-any.whl", wheel[1]))
        assert build_once(farm, slave, wheel)[1] == f"{rebuilt[-1][0]} published"
    farm.order_again(PACKAGE, "1.0")
    assert "was published before with the same bytes" in build_once(farm, slave, wheel)[1]
    for published, bytes_of in (first, *rebuilt):
        assert farm.file(PACKAGE, published).read_bytes() == bytes_of
        assert farm.file(PACKAGE, published + ".metadata").read_bytes() == metadata_of(bytes_of)
    assert farm.sql("SELECT string_agg(name, ' ' ORDER BY id) FROM file") == " ".join([name, rebuilt[0][0], rebuilt[1][0]])
    assert farm.sql("SELECT live_files FROM package WHERE name = 'piwtest-made'") == "3"


def test_a_second_build_for_another_target_never_changes_published_bytes(farm, connect):
    slave = connect()
    name, data = first = make_wheel()
    begun = farm.master.mark()
    farm.order()
    build_once(farm, slave, first)
    farm.wait_page(PACKAGE, begun)
    pages = [farm.file(PACKAGE, page).read_bytes() for page in ("index.html", "index.v1_json")]
    farm.order_again(PACKAGE, "1.0")
    farm.sql("SELECT target_add('elsewhere', 'cp399', 'linux_x86_64', '', NULL); UPDATE file SET target = 1")
    begun = farm.master.mark()
    attempt, text = build_once(farm, slave, make_wheel(content=b"answer = 43\n"))
    assert text == f"{name} was published before with other bytes; this one is discarded"
    assert farm.outcome(attempt) == f"success||{text}"
    assert "this one is discarded" in farm.master.wait_line(r"built piwtest-made 1\.0 ", begun).string
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    assert farm.file(PACKAGE, name).read_bytes() == data
    assert farm.file(PACKAGE, name + ".metadata").read_bytes() == metadata_of(data)
    assert [farm.file(PACKAGE, page).read_bytes() for page in ("index.html", "index.v1_json")] == pages
    farm.wait_staging_empty()
    farm.sql("DELETE FROM file; DELETE FROM job; DELETE FROM target WHERE name = 'elsewhere'")


def test_a_second_build_with_the_same_bytes_says_so(farm, connect):
    slave = connect()
    name, _ = wheel = make_wheel()
    farm.order()
    build_once(farm, slave, wheel)
    farm.order_again(PACKAGE, "1.0")
    assert build_once(farm, slave, wheel)[1] == f"{name} was published before with the same bytes"
    assert farm.sql("SELECT count(*) FROM file") == "1"


def test_a_file_that_the_database_does_not_know_is_never_overwritten(farm, connect):
    """A database that was restored is older than the tree: what is built anew goes by another name."""
    name, data = wheel = make_wheel()
    strangers = {farm.file(PACKAGE, place): place.encode() for place in
                 (name, name.replace("1.0-", "1.0-1-"), name + ".metadata", name.replace("1.0-", "1.0-1-") + ".metadata")}
    farm.file(PACKAGE, name).parent.mkdir(exist_ok=True)
    for path, content in strangers.items():
        path.write_bytes(content)
    farm.order()
    slave = connect()
    begun = farm.master.mark()
    attempt = slave.ask().attempt
    good, text = slave.deliver(attempt, [wheel], b"a log")
    tagged = name.replace("1.0-", "1.0-2-")
    assert good and text == f"{tagged} published"
    assert {path: path.read_bytes() for path in strangers} == strangers
    assert farm.file(PACKAGE, tagged).read_bytes() == data and farm.file(PACKAGE, tagged + ".metadata").exists()
    assert farm.log_of(attempt) == b"a log"
    assert farm.sql("SELECT name, state FROM file") == f"{tagged}|live"
    farm.master.wait_line(rf"{name} stands in the tree with other bytes, but the database does not know it \(was it restored "
                          rf"from a backup\?\); this one becomes {name.replace('1.0-', '1.0-1-')}", begun)
    farm.wait_staging_empty()


def test_the_same_bytes_from_before_a_restore_are_taken_over(farm, connect):
    name, data = wheel = make_wheel()
    farm.file(PACKAGE, name).parent.mkdir(exist_ok=True)
    farm.file(PACKAGE, name).write_bytes(data)
    farm.order()
    slave = connect()
    assert build_once(farm, slave, wheel)[1] == f"{name} published"
    farm.wait_staging_empty()


# ---- connections that are lost -----------------------------------------------------------------------

def test_a_slave_that_comes_back_goes_on_with_its_build(farm, connect):
    name, data = wheel = make_wheel()
    log = b"all of the log\n"
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.output(attempt, 0, log[:5])
    slave.close()
    slave = connect(attempts=[attempt])
    slave.output(attempt, 0, log)
    slave.busy(attempt)
    assert slave.expect("CONT") == [attempt]
    slave.output(attempt, 3, log[3:])  # told before: skipped
    slave.built(attempt, files=[announced(*wheel)], log_bytes=len(log))
    assert slave.hand_over(attempt, [wheel])[0]
    assert farm.file(PACKAGE, name).read_bytes() == data
    assert farm.log_of(attempt) == log


def test_a_transfer_that_was_cut_off_begins_again(farm, connect):
    name, data = wheel = make_wheel(padding=500000)
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    slave.expect("SEND")
    slave.chunk(attempt, 0, 0, data[:200000])
    slave.close()
    slave = connect(attempts=[attempt])
    assert slave.deliver(attempt, [wheel])[0]
    assert farm.file(PACKAGE, name).read_bytes() == data
    farm.wait_sql("SELECT count(*) FROM job", "0")
    farm.wait_staging_empty()


def test_a_slave_may_be_back_before_its_old_connection_is_missed(farm, connect):
    name, data = wheel = make_wheel(padding=500000)
    farm.order()
    old = connect()
    attempt = old.ask().attempt
    old.report(attempt, [wheel])
    old.expect("SEND")
    old.chunk(attempt, 0, 0, data[:200000])
    new = connect(attempts=[attempt])
    old.expect_closed()
    assert new.deliver(attempt, [wheel])[0]
    assert farm.file(PACKAGE, name).read_bytes() == data
    farm.wait_staging_empty()


def test_attempts_that_the_master_does_not_know_are_stopped(connect):
    slave = connect(attempts=[4711, 4712])
    told = sorted(slave.expect("STOP") for _ in range(2))
    assert [attempt for attempt, _ in told] == [4711, 4712]
    assert told[0][1] == "the build was given to another or is not wanted any more"


def test_an_attempt_of_another_slave_is_stopped(farm, connect):
    farm.order()
    owner = connect("owner")
    attempt = owner.ask().attempt
    thief = connect("thief", attempts=[attempt])
    assert thief.expect("STOP")[0] == attempt
    owner.busy(attempt)
    owner.expect("CONT")


@pytest.mark.parametrize("sends", [False, True])
def test_a_slave_that_goes_on_long_after_the_time_limit_must_give_the_build_to_others(farm, connect, sends):
    """By saying BUSY, or by sending its file piece by piece, it would keep the job for ever."""
    wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.close()
    farm.sql(f"UPDATE job SET started = now() - interval '8 hours' WHERE attempt = {attempt}")
    slave = connect(attempts=[attempt])
    if sends:
        slave.report(attempt, [wheel])
    else:
        slave.busy(attempt)
    verb, *told = slave.expect_one("SEND", "STOP", ignore=("CONT",))  # the farm may look before the answer, or behind it
    if verb == "SEND":
        slave.chunk(attempt, 0, 0, wheel[1][:10])
        told = slave.expect("STOP")
    assert told == [attempt, "it goes on long after its time limit"]
    farm.wait_sql("SELECT attempt IS NULL, tries FROM job", "t|1")
    assert farm.outcome(attempt) == "farm|overdue|it goes on long after its time limit"
    farm.wait_staging_empty()


def test_a_result_that_is_being_recorded_is_not_taken_in_twice(farm, connect):
    wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    with farm.locked("file", "SHARE ROW EXCLUSIVE"):
        slave.report(attempt, [wheel])
        slave.expect("SEND")
        slave.send_file(attempt, 0, wheel[1])
        farm.wait_blocked("files_begin")
        slave.close()
        slave = farm.scripted_slave()
        slave.hello(attempts=[attempt])
    slave.expect("ACK")
    told, why = slave.expect("STOP")
    assert told == attempt
    assert why in ("its result is being recorded already", "the build was given to another or is not wanted any more")
    slave.close()
    farm.wait_sql(f"SELECT outcome FROM build WHERE id = {attempt}", "success")


def test_bye_gives_builds_back_at_once(farm, connect):
    for version in ("1.0", "2.0"):
        farm.order(version=version)
    slave = connect("first")
    building, sending = slave.ask().attempt, slave.ask().attempt
    slave.report(sending, [make_wheel(version="2.0")])
    slave.expect("SEND")
    slave.bye("terminated")
    slave.expect_closed()
    farm.wait_sql("SELECT count(*) FROM job WHERE attempt IS NULL", "2")
    for attempt in (building, sending):
        assert farm.outcome(attempt) == "farm|slave left|terminated"
    other = connect("second")
    assert {other.ask().version, other.ask().version} == {"1.0", "2.0"}


def test_bye_does_not_take_back_what_is_being_recorded(farm, connect):
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    with farm.locked("build", "SHARE ROW EXCLUSIVE"):
        slave.report(attempt, [make_wheel()])
        slave.expect("SEND")
        slave.send_file(attempt, 0, make_wheel()[1])
        farm.wait_blocked("build_publish")
        slave.bye()
        slave.expect_closed()
    farm.wait_sql(f"SELECT outcome FROM build WHERE id = {attempt}", "success")


def test_a_lost_lease_gives_the_job_to_another_and_refuses_the_late_result(farm, connect):
    farm.order()
    first = connect("first")
    lost = first.ask().attempt
    first.close()
    farm.lose_lease(lost)
    second = connect("second")
    build = second.ask()
    assert build.version == "1.0" and build.attempt > lost
    first = connect("first", attempts=[lost])
    assert first.expect("STOP")[0] == lost
    assert second.deliver(build.attempt, [make_wheel()])[0]


def test_a_late_result_counts_until_the_job_is_given_to_another(farm, connect):
    sums = "SELECT coalesce(sum(farm), 0), coalesce(sum(succeeded), 0) FROM tally"
    farm.order()
    farm_failures, successes = farm.sql(sums).split("|")
    slave = connect("late")
    attempt = slave.ask().attempt
    slave.close()
    farm.lose_lease(attempt)
    slave = connect("late", attempts=[attempt])
    assert farm.sql(f"SELECT count(*) FROM build WHERE id = {attempt}") == "0", "it is under way again"
    assert slave.deliver(attempt, [make_wheel()])[0]
    assert farm.outcome(attempt).startswith("success|")
    assert farm.sql(sums) == f"{farm_failures}|{int(successes) + 1}"


def test_an_attempt_that_was_lost_is_another_slaves_to_lose(farm, connect):
    farm.order()
    slave = connect("first")
    attempt = slave.ask().attempt
    slave.close()
    farm.lose_lease(attempt)
    thief = connect("second", attempts=[attempt])
    assert thief.expect("STOP")[0] == attempt
    assert farm.outcome(attempt) == "farm|lost slave|the slave fell silent"


def test_a_slave_that_is_still_there_hears_that_its_lease_ran_out(farm, connect):
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.busy(attempt)
    slave.expect("CONT")
    farm.lose_lease(attempt)
    assert slave.expect("STOP") == [attempt, "its lease ran out"]


def test_the_end_of_a_build_is_told_to_its_slave_whoever_else_has_spoken_of_it(farm, connect):
    farm.order()
    slave = connect("first")
    attempt = slave.ask().attempt
    liar = connect("liar", attempts=[attempt])
    assert liar.expect("STOP")[0] == attempt
    farm.lose_lease(attempt)
    assert slave.expect("STOP") == [attempt, "its lease ran out"]


def test_a_version_removed_while_its_wheel_is_under_way_is_stopped(farm, connect):
    name, data = wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    slave.expect("SEND")
    farm.sql("DELETE FROM version")
    assert slave.expect("STOP") == [attempt, "it is not wanted any more"]
    slave.send_file(attempt, 0, data)  # it has not heard yet
    farm.order(version="2.0")
    assert slave.ask().version == "2.0"
    farm.wait_staging_empty()
    assert not farm.file(PACKAGE, name).exists()


def test_a_version_removed_while_its_wheel_is_being_recorded_is_refused(farm, connect):
    name, data = wheel = make_wheel()
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    slave.report(attempt, [wheel])
    slave.expect("SEND")
    with farm.locked("version", "ROW SHARE") as connection:
        connection.cursor().execute("SELECT FROM piwheels.version FOR UPDATE")  # for which nothing else of the master's waits
        slave.send_file(attempt, 0, data)
        farm.wait_blocked("files_begin")
        connection.cursor().execute("DELETE FROM piwheels.version")
        connection.commit()
    told, good, text = slave.expect("DONE")
    assert told == attempt and not good
    assert text == "too late: the build was given to another or is not wanted any more"
    assert not farm.file(PACKAGE, name).exists()
    farm.wait_staging_empty()


# ---- the tool's half ---------------------------------------------------------------------------------

def test_the_status_tells_of_slaves_and_builds(farm, connect):
    farm.order()
    slave = connect()
    attempt = slave.ask().attempt
    (status,), good, _ = farm.scripted_tool().ask("STATUS", VERSION)
    described, = [one for one in status["slaves"] if one["label"] == "scripted" and one["state"] != "leaving"]
    build, = described["builds"]
    assert good and status["version"] == VERSION
    assert (described["slave"], described["state"], described["targets"]) == (slave.number, "building", ["native"])
    assert described["memory_bytes"] == 4 << 30 and described["temperature_milli"] == 45000
    assert (build["build"], build["package"], build["version"], build["state"]) == (attempt, PACKAGE, "1.0", "building")


def test_a_slave_whose_builds_all_fail_is_pointed_out_until_one_does_not(farm, connect):
    def warning():
        return farm.status()["slaves"][0]["warning"]

    for number in range(21):
        farm.order(version=f"{number}.0")
    slave = connect()
    for _ in range(20):
        assert warning() == ""
        slave.fail(slave.ask().attempt)
    farm.master.wait_line(r"slave \d+ \(scripted\): its last 20 builds have all failed; if that is the machine's fault")
    assert warning() == "its last 20 builds have all failed"
    assert "\n                                   its last 20 builds have all failed\n" in farm.tool("status").stdout
    build = slave.ask()
    assert slave.deliver(build.attempt, [make_wheel(version=build.version)])[0]
    assert warning() == ""


def test_what_is_added_over_the_wire_is_handed_out(farm, connect):
    (told,), good, text = farm.scripted_tool().ask("ADD", VERSION, [["Piwtest.Pure", "0.1", False]])
    assert (good, text) == (True, "1 of 1 added")
    assert told["package"] == "Piwtest.Pure"  # as it was asked for
    assert [(one["version"], one["target"], one["state"]) for one in told["asked"]] == [("0.1", "native", "queued")]
    build = connect().ask()
    assert (build.package, build.version) == ("piwtest-pure", "0.1")


def test_what_cannot_be_added_is_answered_one_by_one(farm):
    wanted = [["piwtest-pure", "9.9", False], ["no-such-package", "", False], ["piwtest-cext", "0.1", False]]
    told, good, text = farm.scripted_tool().ask("ADD", VERSION, wanted)
    by_name = {one["package"]: one for one in told}
    assert not good and text == "1 of 3 added"
    assert set(by_name) == {"piwtest-pure", "no-such-package", "piwtest-cext"}
    assert "9.9" in by_name["piwtest-pure"]["error"] and by_name["no-such-package"]["error"]
    assert by_name["piwtest-cext"]["asked"][0]["state"] == "queued"


def test_nothing_to_add_is_done_at_once(farm):
    assert farm.scripted_tool().ask("ADD", VERSION, []) == ([], True, "nothing to add")
