"""After whatever happens, in whatever order, the facts that are kept up agree with those worked out from scratch.

A sequence of happenings is drawn from a small universe, so that they meet: three names, four versions, five files a version,
some targets. After each, facts_check (schema/check.sql) finds nothing, and the figures of the front page are those of the
tables. A failure prints the sequence: its seed makes the same one again.
"""
import collections
import contextlib
import itertools
import json
import os
import random
import time

import psycopg2
import pytest

from harness import piwheels

SHAS = ["ab" * 32, "cd" * 32]
NAMES = ["a", "b", "c"]
VERSIONS = ["1.0", "1.1", "1.2", "junk"]    # the last is none by PEP 440
PRERELEASE = "1.2"
ABIS = ["cp310", "cp311", "cp312", "cp313"]
WHEELS = {"py3-none-any": ABIS, "cp311-cp311-linux_x86_64": ["cp311"], "cp312-abi3-linux_x86_64": ["cp312", "cp313"]}
SDISTS = [".tar.gz", ".zip", "-2.tar.gz"]
REQUIRES = {"": [], ">=3.12": ["cp310", "cp311"], "<3": ABIS}
SPECIFIERS = {"<1.1": ["1.0"], "==1.2": ["1.2"], ">=1.1": ["1.1", "1.2"]}   # and what they fit
KEYS = {version: f"{place:02x}" for place, version in enumerate(VERSIONS)}
TIMES = [1_500_000_000, int(time.time()) - 2_000]    # of uploads: long ago, or lately
FRONTS = [[0] * 64] * 2

FACTS = """
    SELECT p.name, p.display, p.quarantined, p.serial, encode(v.sort_key, 'hex'), v.version, v.released, v.prerelease, v.yanked,
           v.quarantined, v.legacy, v.wanted, v.sdist, v.covered_mask,
           ARRAY (SELECT s FROM unnest(v.other_sdists) s ORDER BY s),
           ARRAY (SELECT s.tags || ' ' || w.name FROM piwheels.version_wheel w JOIN piwheels.tagset s ON s.id = w.tagset
                      WHERE w.version = v.id ORDER BY 1),
           ARRAY (SELECT j.target || coalesce(' ' || j.need, '') FROM piwheels.job j WHERE j.version = v.id ORDER BY 1)
        FROM piwheels.package p LEFT JOIN piwheels.version v ON v.package = p.id ORDER BY p.name, v.sort_key"""
FIGURES = """
    SELECT ARRAY[coalesce(sum(packages), 0), coalesce(sum(versions), 0), coalesce(sum(files), 0), coalesce(sum(size_bytes), 0)],
           ARRAY[(SELECT count(*) FROM piwheels.package WHERE live_files > 0),
                 (SELECT count(*) FROM piwheels.version WHERE built_mask <> 0),
                 (SELECT count(*) FROM piwheels.file WHERE state = 'live'),
                 (SELECT coalesce(sum(size_bytes), 0) FROM piwheels.file WHERE state = 'live')]
        FROM piwheels.tally"""
EMPTY = """
    DELETE FROM piwheels.package; DELETE FROM piwheels.slave; DELETE FROM piwheels.skip_rule; DELETE FROM piwheels.target;
    DELETE FROM piwheels.stale_page; DELETE FROM piwheels.tally; DELETE FROM piwheels.tagset; DELETE FROM piwheels.withdrawn_file;
    DELETE FROM piwheels.version_wheel; DELETE FROM piwheels.override;
    DELETE FROM piwheels.event_cursor;
    UPDATE piwheels.configuration SET follows = '', builds = 'missing', settle_ms = 0;
    SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'piwheels'::regnamespace"""


class Universe:
    """An empty database in which things happen; what has happened is told in `story`."""

    def __init__(self, owner, service, seed):
        self.owner = owner
        self.service = service
        self.random = random.Random(seed)
        self.story = []
        self.serial = 0
        self.attempts = itertools.count(1)
        self.targets = {}       # name: (id, ABI)
        self.paths = itertools.count(1)
        self.run(EMPTY, by=owner)
        self.slaves = [self.run("SELECT slave FROM piwheels.slave_seen(%s, '', '', '', 15)", label)[0][0] for label in ("s0", "s1")]
        for slave, memory in zip(self.slaves, (1_000, 2_000)):
            self.run("SELECT piwheels.slave_told(%s, 15, %s, %s)", slave, memory, memory)
        self.run("SELECT piwheels.follow_begin('all', 0)")
        self.target_added()

    def run(self, statement, *values, by=None):
        self.story.append((by or self.service).cursor().mogrify(statement, values).decode() + ";")
        with (by or self.service).cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def pick(self, choices):
        return self.random.choice(list(choices))

    def chance(self, share):
        return self.random.random() < share

    def fits(self, tags):
        return sum(1 << number for number, abi in self.targets.values() if abi in WHEELS[tags])

    # ---- the changelog ----

    def an_event(self):
        """(kind, name, display, version, file, tags)"""
        name, number = self.pick(NAMES), self.pick(VERSIONS)
        display = self.pick([name, name.upper()])
        kind = self.pick("ccnnnssssssswwwwwwoFFFFFyyyuuuPRRQQCCCqdd?")
        if kind in "cPQC?":
            return kind, name, display, None, None, None
        stem = f"{name}-{number}"
        if kind == "s" or kind == "F" and self.chance(0.5):
            return kind, name, display, number, stem + self.pick(SDISTS), None
        if kind in "wF":
            tags = self.pick(WHEELS)
            return kind, name, display, number, f"{stem}{self.pick(['', '-1'])}-{tags}.whl", tags
        return kind, name, display, number, stem + ".exe" if kind == "o" else None, None

    def applied(self, start, rows):
        """Rows are (serial, happened, *an event)."""
        lines = ["\t".join("\\N" if field is None else str(field) for field in (
            serial, happened, kind, name, display, number, "\\\\x" + KEYS[number] if number else None,
            "ft"[number == PRERELEASE] if number else None,
            "ft"[number == "junk"] if number else None, file, tags, self.fits(tags) if tags else None))
            for serial, happened, kind, name, display, number, file, tags in rows]
        if len(lines) < 5:
            return self.run("SELECT * FROM piwheels.events_apply(%s, %s, true, %s, %s)", start, rows[-1][0], start % 2 == 0,
                            "\n".join(lines) + "\n")
        copy = "COPY pg_temp.event_staging FROM STDIN"
        apply = f"SELECT * FROM piwheels.events_apply({start}, {rows[-1][0]}, true, {start % 2 == 0})"
        self.service.autocommit = False
        with self.service, self.service.cursor() as cursor:
            cursor.execute("SELECT piwheels.events_open()")
            cursor.copy_expert(copy, Text("\n".join(lines) + "\n"))
            cursor.execute(apply)
            answer = cursor.fetchall()
        self.service.autocommit = True
        self.story.append(f"BEGIN; SELECT piwheels.events_open();\n{copy};\n" + "\n".join(lines) + f"\n\\.\n{apply}; COMMIT;")
        return answer

    def a_batch(self):
        rows = []
        for _ in range(self.random.randint(1, 30) if self.chance(0.5) else 1):
            self.serial += self.random.randint(1, 3)
            rows.append((self.serial, self.pick(TIMES) + self.serial, *self.an_event()))
        return rows

    def events_come(self):
        start, rows = self.serial, self.a_batch()
        self.applied(start, rows)
        if self.chance(0.3):
            before = self.run(FACTS, by=self.owner)
            assert self.applied(start, rows) == [(0, [], False)]
            assert self.run(FACTS, by=self.owner) == before

    # ---- PyPI's pages ----

    def a_version(self, name, number):
        stem = f"{name}-{number}"
        sdists = self.random.sample(SDISTS, self.pick([0, 1, 1, 1, 2]))
        requires = self.pick(REQUIRES) if sdists else ""
        wheels = {(tags, f"{stem}{self.pick(['', '-1'])}-{tags}.whl") for tags in WHEELS if self.chance(0.15)}
        uploaded = self.pick(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", None])
        return {"version": number, "key": KEYS[number], "released": self.pick(["2020-01-01T00:00:00Z", None]),
                "legacy": number == "junk", "prerelease": number == PRERELEASE, "yanked": self.chance(0.1),
                "requires_python": requires, "uploaded": uploaded,
                "judged_mask": sum(1 << number for number, _ in self.targets.values()) if sdists else 0,
                "na_mask": sum(1 << number for number, abi in self.targets.values() if abi in REQUIRES[requires]),
                "sdist": stem + sdists[0] if sdists else None, "other_sdists": [stem + ending for ending in sdists[1:]],
                "sdist_sha256": self.pick(SHAS) if sdists else None,
                "wheels": [[tags, self.fits(tags), file] for tags, file in sorted(wheels)]}

    def a_page_comes(self):
        name = self.pick(NAMES)
        want = self.pick([None, None, None, "newest", "all", {"key": KEYS[self.pick(VERSIONS)]}])
        page = {"name": name, "display": name, "serial": self.serial - self.pick([0, 0, 5]), "etag": "",
                "refresh_s": self.pick([0, 600]), "follow": self.pick([None, "new", "all"]), "want": want,
                "status": self.pick([None, "active", "archived", "active", "quarantined"]), "believed": self.chance(0.5),
                "listed": [KEYS[number] for number in VERSIONS if self.chance(0.1)],
                "versions": [self.a_version(name, number) for number in VERSIONS if self.chance(0.7)]}
        page["skips"] = [
            {"rule": rule, "keys": [KEYS[version["version"]] for version in page["versions"] if version["version"] in SPECIFIERS[specifier]]}
            for rule, specifier in self.run("SELECT r.id, r.specifier FROM piwheels.skip_rule r JOIN piwheels.package p "
                                            "ON p.id = r.package WHERE p.name = %s AND r.specifier <> '' ORDER BY 1", name)]
        self.run(f"SELECT * FROM piwheels.project_{'compare' if want is None else 'store'}(%s)", json.dumps(page))

    def a_project_is_gone(self):
        self.run("SELECT * FROM piwheels.project_gone(%s)", self.pick(NAMES))

    # ---- builds ----

    def under_way(self):
        return [row[0] for row in self.run("SELECT attempt FROM piwheels.job WHERE attempt IS NOT NULL ORDER BY attempt")]

    def claim(self, lease_ms):
        place = self.random.randrange(2)
        self.run("SELECT * FROM piwheels.jobs_claim(ARRAY[%s], ARRAY[%s], ARRAY[%s::bigint], ARRAY[%s::bigint], "
                 "ARRAY[%s::bigint], ARRAY[%s::bigint], %s::bigint[], %s::bigint[])", next(self.attempts), self.slaves[place],
                 self.pick([15, 15, self.random.randint(1, 15)]), lease_ms, 1_000 * (1 + place), 1_000 * (1 + place), *FRONTS)

    def builds_begin(self):
        for _ in range(self.random.randint(1, 4)):
            self.claim(self.pick([-1, 60_000, 60_000]))

    def slaves_fall_one_after_the_other(self):
        """Whatever they take up is given up."""
        for _ in range(self.random.randint(3, 8)):
            self.claim(-1)
            self.run("SELECT * FROM piwheels.leases_expire(0)")

    def a_build_fails(self):
        for attempt in self.under_way()[:self.random.randint(1, 3)]:
            outcome, why = self.pick([("failed", "compiler"), ("failed", "memory"), ("failed", "timeout"), ("farm", "network")])
            self.run("SELECT piwheels.builds_end(ARRAY[%s::bigint], ARRAY[%s], ARRAY[%s], ARRAY[''], ARRAY[1], ARRAY[1], ARRAY[1], "
                     "ARRAY[1], ARRAY[%s])", attempt, outcome, why, self.pick([0, 0, 60_000]))

    def a_build_ends(self):
        """Its files are announced; mostly they are published, for some of the targets."""
        for attempt in self.under_way()[:self.random.randint(1, 3)]:
            facts = self.run("SELECT p.name, j.target FROM piwheels.job j JOIN piwheels.version v ON v.id = j.version "
                             "JOIN piwheels.package p ON p.id = v.package WHERE j.attempt = %s", attempt)
            ((name, target),) = facts
            files = [{"path": f"simple/{name}/{next(self.paths)}.whl", "name": "x.whl", "size": self.random.randint(1, 9),
                      "sha256": SHAS[0], "metadata_sha256": SHAS[0]} for _ in range(self.pick([1, 1, 2]))]
            self.run("SELECT * FROM piwheels.files_begin(ARRAY[%s::bigint], ARRAY[%s::jsonb])", attempt, json.dumps(files))
            if self.chance(0.8):
                self.run("SELECT piwheels.build_publish(ARRAY[%s::bigint], ARRAY[''], ARRAY[''], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[1], "
                         "ARRAY[%s::bigint])", attempt,
                         1 << target | self.pick([0, 0, 15, self.random.randrange(16)]) & (1 << len(self.targets)) - 1)
            elif self.chance(0.5):
                self.run("SELECT piwheels.files_forget(%s)", attempt)

    def a_build_is_given_back(self):
        for attempt in self.under_way()[:1]:
            self.run("SELECT piwheels.attempt_release(%s)", attempt)

    def slaves_fall_silent(self):
        self.run("SELECT * FROM piwheels.leases_expire(%s)", self.pick([0, 60_000]))

    def a_slave_comes_back(self):
        """With what was given up as lost, or with what it has still."""
        lost = self.run("SELECT id, slave FROM piwheels.build WHERE class = 'lost slave' UNION ALL "
                        "SELECT attempt, slave FROM piwheels.job WHERE attempt IS NOT NULL ORDER BY 1 DESC")
        if lost:
            self.run("SELECT * FROM piwheels.attempt_adopt(%s, %s, %s)", *self.pick(lost), self.pick([-1, 60_000]))

    def time_passes(self):
        """What waits for its time need wait no longer."""
        self.run("UPDATE piwheels.job SET ready_at = now(), avoid_until = now() WHERE need = 'later'", by=self.owner)
        if self.chance(0.8):
            self.run("SELECT piwheels.targets_ready()")

    # ---- people ----

    def the_policy_changes(self):
        self.run("SELECT piwheels.policy_set(%s, %s)", self.pick(["missing", "all"]), self.pick([0, 0, 86_400_000]))

    def target_added(self):
        if len(self.targets) == len(ABIS):
            return
        abi = self.pick(abi for abi in ABIS if abi not in self.targets)
        number = self.run("SELECT piwheels.target_add(%s, %s, 'linux_x86_64', '')", abi, abi)[0][0]
        self.targets[abi] = (number, abi)

    def targets_are_judged(self):
        for name, in self.run("SELECT name FROM piwheels.target WHERE judging ORDER BY id"):
            number, abi = self.targets[name]
            fits = [row[0] for row in self.run("SELECT id, tags FROM piwheels.tagsets_all()") if abi in WHEELS[row[1]]]
            excluded = [requires for requires, abis in REQUIRES.items() if abi in abis]
            self.run("SELECT piwheels.tagsets_judge(%s, %s::bigint[])", number, fits)
            for step, values in (("target_judge(%s, %s, '{}', ", [number, excluded]), ("target_judged(%s, ", [number])):
                package = 0
                while package is not None:
                    package = self.run(f"SELECT piwheels.{step}%s, 2)", *values, package)[0][0]

    def a_target_is_skipped(self):
        self.run("SELECT piwheels.target_skip(%s, %s)", self.pick(self.targets), self.pick([None, None, "retired"]))

    def a_rule_is_made(self):
        name, target = self.pick(["", *NAMES]), self.pick(["", *self.targets])
        told, = self.run("SELECT piwheels.skip_add(%s, '', %s, %s, 'for a reason', '{}', '{}')", name, target,
                         name == "" or self.chance(0.3))[0]
        package = 0 if told.get("spread") else None
        while package is not None:
            package = self.run("SELECT piwheels.skip_spread(%s, %s)", told["rule"]["rule"], package)[0][0]["next"]

    def a_rule_with_a_specifier_is_made(self):
        """What it fits the program has found out."""
        name, specifier = self.pick(NAMES), self.pick(SPECIFIERS)
        versions = self.run("SELECT v.id, encode(v.sort_key, 'hex') FROM piwheels.version v JOIN piwheels.package p "
                            "ON p.id = v.package WHERE p.name = %s ORDER BY 1", name)
        fitting = [KEYS[number] for number in SPECIFIERS[specifier]]
        self.run("SELECT piwheels.skip_add(%s, %s, %s, %s, 'for a reason', %s::bigint[], %s::bigint[])", name, specifier,
                 self.pick(["", *self.targets]), self.chance(0.2), [version for version, _ in versions],
                 [version for version, key in versions if key in fitting])

    def a_rule_is_taken_back(self):
        """By its number, or all of a package."""
        rules = [row[0] for row in self.run("SELECT id FROM piwheels.skip_rule ORDER BY id")]
        word = str(rules[0]) if rules and self.chance(0.7) else self.pick(NAMES)
        while self.run("SELECT piwheels.skips_remove(%s)", word)[0][0].get("more"):
            pass

    def settings_change(self):
        """Of their own, which some packages have."""
        told = {name: (self.pick(["", "", "a slave", "!a mistake"]), self.pick("st")) for name in NAMES if self.chance(0.5)}
        self.run("SELECT piwheels.overrides_store(%s::text[], %s::text[], %s::text[])", list(told), [wants for wants, _ in told.values()],
                 [settings for _, settings in told.values()])

    def something_is_to_be_built_again(self):
        tried = self.run("SELECT p.name, v.sort_key FROM piwheels.version v JOIN piwheels.package p ON p.id = v.package "
                         "WHERE v.built_mask | v.failed_mask <> 0 ORDER BY 1, 2") or [(self.pick(NAMES), b"\0")]
        name, key = self.pick(tried)
        self.run("SELECT piwheels.rebuild(%s, %s, %s, true)", name, self.pick([None, bytes(key)]), self.pick(["", *self.targets]))

    def something_is_removed(self):
        self.run("SELECT piwheels.remove(%s, %s, %s, true)", self.pick(NAMES),
                 self.pick([None, bytes.fromhex(KEYS[self.pick(VERSIONS)])]), self.chance(0.7))

    # ---- the tree ----

    def files_move(self):
        """Those that PyPI quarantined leave, those that it cleared come back, the withdrawn go."""
        for state, moved in (("withheld", "files_hidden"), ("returning", "files_returned")):
            files = [row[0] for row in self.run("SELECT id FROM piwheels.file WHERE state = %s ORDER BY id", state)]
            if files and self.chance(0.7):
                self.run(f"SELECT piwheels.{moved}(%s::bigint[])", files)
        self.run("UPDATE piwheels.withdrawn_file SET leave_at = now() WHERE leave_at IS NULL", by=self.owner)
        paths = [row[0] for row in self.run("SELECT path FROM piwheels.files_leaving(0)")]
        self.run("SELECT piwheels.files_gone(%s)", [path for path in paths if path is not None])

    HAPPENINGS = collections.Counter({
        events_come: 8, a_page_comes: 9, a_project_is_gone: 1, builds_begin: 9, a_build_fails: 3, a_build_ends: 6,
        a_build_is_given_back: 1, slaves_fall_silent: 2, slaves_fall_one_after_the_other: 1, a_slave_comes_back: 2, time_passes: 3,
        the_policy_changes: 2, target_added: 1, targets_are_judged: 1, a_target_is_skipped: 1, a_rule_is_made: 1,
        a_rule_with_a_specifier_is_made: 1, a_rule_is_taken_back: 1, settings_change: 2, something_is_to_be_built_again: 3, something_is_removed: 1,
        files_move: 2})

    def something_happens(self):
        self.pick(self.HAPPENINGS.elements())(self)

    # ---- what must be so ----

    def check(self):
        assert self.run("SELECT * FROM piwheels.facts_check(0, 1000000)") == []
        kept, true = self.run(FIGURES)[0]
        assert kept == true, "packages, versions, files, bytes"


class Text:
    """As a file that can only be read."""

    def __init__(self, text):
        self.rest = text

    def read(self, size):
        part, self.rest = self.rest[:size], self.rest[size:]
        return part


@pytest.fixture(scope="module")
def connections(postgres):
    """Of the owner and of the service, to a database that need not survive a fall of the machine."""
    postgres.createdb("properties")
    done = piwheels("initdb", "-y", "-d", postgres.dsn("properties"))
    assert done.returncode == 0, done.stderr
    opened = [psycopg2.connect(postgres.dsn("properties", user), options="-c synchronous_commit=off")
              for user in ("postgres", "piwheels")]
    for connection in opened:
        connection.autocommit = True
    yield opened
    for connection in opened:
        connection.close()
    postgres.dropdb("properties")


@contextlib.contextmanager
def told(universe, seed):
    try:
        yield
    except (AssertionError, psycopg2.Error):
        print(f"seed {seed}:\n" + "\n".join(universe.story))
        raise


def sequences(few, many):
    """Seeds; PIW_TEST_SEED names another first one."""
    first = int(os.environ.get("PIW_TEST_SEED", 1))
    return [*range(first, first + few), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(first + few, first + many))]


@pytest.mark.parametrize("seed", sequences(50, 500))
def test_what_is_kept_up_agrees_with_what_is_worked_out_from_scratch(connections, seed):
    universe = Universe(*connections, seed)
    with told(universe, seed):
        for _ in range(25):
            universe.something_happens()
            universe.check()


@pytest.mark.parametrize("seed", sequences(15, 150))
def test_a_batch_of_events_comes_to_the_same_as_its_events_one_by_one(connections, seed):
    outcomes = []
    for one_by_one in (False, True):
        universe = Universe(*connections, seed)
        with told(universe, seed):
            for _ in range(4):
                for more in (universe.target_added, universe.targets_are_judged):
                    more()
                start, rows = universe.serial, universe.a_batch()
                for part in [[row] for row in rows] if one_by_one else [rows]:
                    universe.applied(start, part)
                    start = part[-1][0]
                universe.check()
            outcomes.append(universe.run(FACTS))
            if one_by_one:
                assert outcomes[0] == outcomes[1]
