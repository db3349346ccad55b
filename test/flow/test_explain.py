"""`piwheels explain`: what it says in each state that a version can be in, and for each reason. The service's own functions
bring the database there. Answers are compared with golden/explain-*.txt. Run with PIW_GOLDEN=write to write them anew, then
read them as the operator of a farm would.
"""
import json
import os
import pathlib
import re

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FRONTS = "array_fill(0::bigint, ARRAY[64]), array_fill(0::bigint, ARRAY[64])"
KEYS = {"1.0": "010102310004000100", "2.0": "010102320004000100"}  # PEP 440's order as bytes
FIRST, SECOND = "bookworm-armv7l", "trixie-arm64"


class Story:
    """A farm with two targets; package x, whose releases the test tells."""

    def __init__(self, farm):
        self.farm = farm
        self.sql = farm.sql
        farm.accepted.clear()
        self.sql("""DELETE FROM override; DELETE FROM skip_rule; DELETE FROM package; DELETE FROM slave; DELETE FROM target; DELETE FROM tagset;
            UPDATE configuration SET settle_ms = 0, builds = 'missing'""")
        self.sql(f"""SELECT target_add('{FIRST}', 'cp311', 'linux_armv7l', 'Debian 12');
            SELECT target_add('{SECOND}', 'cp313', 'linux_aarch64', 'Debian 13');
            UPDATE target SET skip = NULL, judging = false""")
        self.attempts = iter(range(16011502, 16012000))

    def release(self, text="1.0", want='"newest"', **more):
        fields = {"version": text, "key": KEYS[text], "released": "2026-01-01T00:00:00Z",
                  "judged_mask": 3, "na_mask": 0, "sdist": f"x-{text}.tar.gz", "sdist_sha256": "ab" * 32, **more}
        project = {"name": "x", "display": "x", "summary": None, "serial": 1, "etag": "", "refresh_s": 600, "follow": None,
                   "want": json.loads(want), "versions": [*getattr(self, "told", []), fields]}
        self.told = project["versions"]
        self.sql(f"SELECT count(*) FROM project_store($json${json.dumps(project)}$json$)")

    def slave(self, label, targets=3, memory=4 << 30, timeout_ms=10800000):
        number = self.sql(f"SELECT slave FROM slave_seen('{label}', 'Debian', 'Pi', '', {targets})").strip()
        self.sql(f"SELECT slave_told({number}, {targets}, {memory}, {timeout_ms})")
        return number

    def claim(self, slave, mask=3, memory=4 << 30, timeout_ms=10800000):
        attempt = next(self.attempts)
        self.sql(f"""SELECT count(*) FROM jobs_claim(ARRAY[{attempt}], ARRAY[{slave}], ARRAY[{mask}], ARRAY[3600000],
            ARRAY[{memory}], ARRAY[{timeout_ms}], {FRONTS})""")
        return attempt

    def end(self, slave, outcome="failed", reason="compile", detail="error: no such header", retry_ms=0, **claim):
        attempt = self.claim(slave, **claim)
        assert self.sql(f"""SELECT builds_end(ARRAY[{attempt}], ARRAY['{outcome}'], ARRAY['{reason}'], ARRAY['{detail}'],
            ARRAY[48000], ARRAY[40000], ARRAY[1], ARRAY[2000], ARRAY[{retry_ms}])""").strip() == "t"

    def skip(self, specifier="", target="", reason="it needs a display", struck="'{}'"):
        self.sql(f"""SELECT skip_add('x', '{specifier}', '{target}', false, '{reason}',
            ARRAY (SELECT id FROM version), {struck})""")


@pytest.fixture
def story(standing_farm):
    return Story(standing_farm)


# ---- the states; each leaves package x in one ----

def queued(s):
    s.release()
    s.slave("pi4-a")


def queued_behind_others(s):
    s.release("1.0", released="2020-01-01T00:00:00Z")
    s.release("2.0")
    s.sql("UPDATE job SET rank = rank + 5 WHERE version = (SELECT id FROM version WHERE version = '1.0')")
    s.slave("pi4-a")


def queued_without_slaves(s):
    s.release()


def queued_for_a_slave_to_be_accepted(s):
    s.release()
    s.sql("SELECT slave FROM slave_seen('pi5', 'Debian', 'Pi', 'SHA256:abc', 3)")


def queued_for_another_slave(s):
    s.release()
    s.end(s.slave("pi3-b"), "farm", "disk", "No space left on device", retry_ms=3600000)
    s.sql("UPDATE job SET need = NULL, ready_at = now()")
    s.slave("pi4-a")


def queued_for_more_memory(s):
    s.release()
    s.slave("pi5", memory=8 << 30)
    s.end(s.slave("pi3-b", memory=1 << 30), "failed", "memory", "it wanted more than 1 GB", memory=1 << 30)


def queued_for_more_time(s):
    s.release()
    s.slave("pi5", timeout_ms=36000000)
    s.end(s.slave("pi3-b"), "failed", "timeout", "it took more than 3 h")


def queued_for_what_no_slave_has(s):
    s.release()
    s.slave("pi4-a")
    s.sql("SELECT overrides_store(ARRAY['x'], ARRAY[E'libx-dev\\nnetwork all'])")


def queued_for_what_one_slave_has(s):
    s.sql("SELECT overrides_store(ARRAY['x'], ARRAY['libx-dev'])")
    s.release()
    s.slave("pi4-a")
    s.sql(f"SELECT slave_has({s.slave('pi5')}, E'bash\\nlibx-dev\\n')")


def queued_until_its_settings_are_mended(s):
    s.release()
    s.slave("pi4-a")
    s.sql("SELECT overrides_store(ARRAY['x'], ARRAY['!/etc/piwheels/packages.d/x.conf:3: unknown key memry in [limits]'])")


def waiting_to_settle(s):
    s.sql("UPDATE configuration SET settle_ms = 100000000000")
    s.release(uploaded="2026-01-01T00:00:00Z", want='"all"')


def waiting_to_be_tried_again(s):
    s.release()
    s.end(s.slave("pi3-b"), "farm", "network", "Connection reset by peer", retry_ms=3600000)


def waiting_for_pypi(s):
    s.release(judged_mask=0)


def waiting_for_the_target_to_be_judged(s):
    s.sql("UPDATE target SET judging = true")
    s.release()


def parked(s):
    s.release()
    slave = s.slave("pi3-b")
    for _ in range(5):
        s.end(slave, "farm", "network", "Connection reset by peer", mask=1)


def parked_after_lost_slaves(s):
    s.release()
    slave = s.slave("pi3-b")
    for _ in range(3):
        s.end(slave, "farm", "lost slave", "the slave fell silent", mask=1)


def building(s):
    s.release()
    s.claim(s.slave("pi4-a"))


def built(s):
    s.release()
    attempt = s.claim(s.slave("pi4-a"))
    s.sql(f"""SELECT build_publish(ARRAY[{attempt}], ARRAY[''], ARRAY['1 file'], ARRAY[75000], ARRAY[60000], ARRAY[1],
        ARRAY[2000], ARRAY[3::bigint])""")


def failed(s):
    s.release()
    s.end(s.slave("pi4-a"))


def failed_often(s):
    s.release()
    slave = s.slave("pi4-a")
    for _ in range(7):
        s.end(slave, mask=1)
        s.sql(f"SELECT rebuild('x', NULL, '{FIRST}', true)")
    s.end(slave, mask=1)


def failed_without_words(s):
    s.release()
    s.sql("UPDATE version SET failed_mask = 1; SELECT versions_settle(array_agg(id)) FROM version")


def skipped_package(s):
    s.release()
    s.skip()


def skipped_target(s):
    s.release()
    s.sql(f"SELECT target_skip('{FIRST}', 'Debian 12 is old')")


def skipped_by_rules(s):
    s.release()
    s.skip("<2", struck="ARRAY (SELECT id FROM version)")
    s.skip("==1.*", FIRST, "it does not fit in memory", struck="ARRAY (SELECT id FROM version)")


def skipped_for_its_version(s):
    s.release(legacy=True, want='"all"')


def binary_only(s):
    s.release(sdist=None, sdist_sha256=None)


def not_applicable(s):
    s.release(requires_python=">=3.12", na_mask=1)


def not_wanted(s):
    s.release("2.0")
    s.sql("UPDATE version SET wanted = false; SELECT versions_settle(array_agg(id)) FROM version")


def yanked(s):
    s.release(want='"all"', yanked=True, yanked_reason="it eats disks")


def covered(s):
    s.release(wheels=[["cp311-cp311-linux_armv7l", 1, "x-1.0-cp311-cp311-linux_armv7l.whl"]])


def quarantined(s):
    s.release()
    s.sql("UPDATE package SET quarantined = true; SELECT versions_settle(array_agg(id)) FROM version")


def forced(s):
    built(s)
    s.sql(f"SELECT rebuild('x', NULL, '{FIRST}', true)")


def without_versions(s):
    s.sql("INSERT INTO package (name, display) VALUES ('x', 'x')")


def without_targets(s):
    s.release()
    s.sql("DELETE FROM job; DELETE FROM target")


STATES = [queued, queued_behind_others, queued_without_slaves, queued_for_a_slave_to_be_accepted,
          queued_for_another_slave, queued_for_more_memory, queued_for_more_time, queued_for_what_no_slave_has,
          queued_for_what_one_slave_has, queued_until_its_settings_are_mended, waiting_to_settle,
          waiting_to_be_tried_again, waiting_for_pypi, waiting_for_the_target_to_be_judged, parked,
          parked_after_lost_slaves, building, built, failed, failed_often, failed_without_words, skipped_package,
          skipped_target, skipped_by_rules, skipped_for_its_version, binary_only, not_applicable,
          not_wanted, yanked, covered, quarantined, forced, without_versions, without_targets]

IN_FULL = [failed_often, parked]  # where the version is named


def steady(text):
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)


def check_golden(name, words, done):
    path = HERE / "golden" / f"explain-{name}.txt"
    shown = steady(f"$ piwheels {' '.join(words)}\n" + done.stdout + done.stderr)
    if os.environ.get("PIW_GOLDEN") == "write":
        path.write_text(shown)
    assert shown == path.read_text()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_reason_is_told_with_what_to_do(story, state):
    state(story)
    words = ["explain", "x==1.0" if state in IN_FULL else "x"]
    done = story.farm.tool(*words)
    assert done.returncode == 0, done.stderr
    check_golden(state.__name__.replace("_", "-"), words, done)


@pytest.mark.parametrize("name, words", [
    ("unknown-package", ["xx"]), ("nothing-like-it", ["zopeinterface"]), ("unknown-version", ["x==9.9"]),
    ("unknown-target", ["x", "--target", "bookworm-armv7"])])
def test_what_is_not_known_is_told_with_what_may_be_meant(story, name, words):
    queued(story)
    done = story.farm.tool("explain", *words)
    assert (done.returncode, done.stdout) == (1, "")
    check_golden(name, ["explain", *words], done)


@pytest.mark.parametrize("words", [["x", "1.0"], ["x==1.0"], ["X===1.0"]])
def test_one_version_can_be_named_in_several_ways(story, words):
    queued_behind_others(story)
    done = story.farm.tool("explain", *words, "--target", FIRST)
    assert done.stdout.startswith(f"x 1.0\n  {FIRST}: queued (waits for a slave), place 2 of the queue of {FIRST}\n")


@pytest.mark.parametrize("word", ["x>=1", "x==1.*", "-", "../x"])
def test_what_names_no_package_or_no_single_version_is_refused(story, word):
    done = story.farm.tool("explain", "--", word)
    assert done.returncode == 2 and "piwheels explain: " in done.stderr


def test_connected_slaves_are_told_apart_from_those_that_are_away(story):
    story.release()
    story.slave("pi3-b")
    with story.farm.scripted_slave("pi4-a") as slave:
        slave.greet()
        story.sql("SELECT slave_told(id, 3, 0, 0) FROM slave WHERE label = 'pi4-a'")
        told = story.farm.tool("explain", "x", "--target", FIRST).stdout
    assert "pi4-a could build it now" in told
    assert re.search(r"pi3-b could build it, but is not connected \(last seen 2\d{3}-", told)


def test_json_has_what_is_told_in_words(story):
    failed(story)
    told = json.loads(story.farm.tool("explain", "x", "--json").stdout)
    first, second = told["versions"][0]["targets"]
    assert (first["state"], second["state"], second["place"]) == ("failed", "queued", 1)
    assert first["attempts"][0]["log"] == "/logs/0000/1601/1502.txt.gz"
    assert second["slaves"][0]["now"] == "away"


def test_the_place_is_counted_to_ten_thousand(story):
    queued(story)
    story.sql("""INSERT INTO version (package, version, sort_key, sdist)
            SELECT p.id, 'v' || n, int4send(n + 100000), NULL FROM package p, generate_series(1, 10001) n;
        INSERT INTO job (version, target, rank) SELECT id, 0, 0 FROM version WHERE version LIKE 'v%'""")
    assert f"beyond the first 10,000 of the queue of {FIRST}" in story.farm.tool("explain", "x==1.0").stdout


def test_the_logs_are_addresses_where_the_site_has_one(farm):
    farm.start_master("--site-url", "https://wheels.example.org/")
    story = Story(farm)
    failed(story)
    told = farm.tool("explain", "x").stdout
    assert "log: https://wheels.example.org/logs/0000/1601/1502.txt.gz (piwheels logs 16011502)" in told
