"""make-history tells a long history: always the same, with everything in it, and a world at its end that agrees.

The model (model.py) reads the events; the loopback PyPI serves the world that they lead to.
"""
import re
import sqlite3
import urllib.parse
import xml.parsers.expat

import pytest

from harness import ROOT, WORLD, make_history, run
from model import key_of, read, version_of
from world import World

PROGRAM = ROOT / "test/pypi/make-history"
EVENTS = 30_000


def make(path, *words):
    return run(PROGRAM, "--db", path, *words)


def rows(path, statement):
    with sqlite3.connect(path) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def history(folder):
    return make_history(folder, EVENTS, seed=7)


@pytest.fixture(scope="module")
def events(history):
    return rows(history, "SELECT serial, coalesce(spelled, project), version, time, action FROM event ORDER BY serial")


@pytest.fixture(scope="module")
def model(history):
    return read(history)


@pytest.fixture(scope="module")
def world(folder, history):
    world = World(folder)
    yield world
    world.close()


def dump(path):
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


# ---- the program

def test_the_same_seed_makes_the_same_world_and_another_seed_another(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert make(tmp_path / name, "--events", 3000, "--seed", seed).returncode == 0
    assert dump(tmp_path / "a") == dump(tmp_path / "b")
    assert dump(tmp_path / "a") != dump(tmp_path / "c")


def test_a_database_that_is_there_is_left_alone(history):
    made = make(history, "--events", 1)
    assert made.returncode == 2
    assert "name a new file" in made.stderr


def test_strict_xml_can_be_read_by_every_reader(tmp_path):
    assert make(tmp_path / WORLD, "--events", 8000, "--strict-xml").returncode == 0
    world = World(tmp_path)
    assert len(world.changelog()) >= 8000
    world.close()


def test_without_it_some_names_are_more_than_xml_can_carry(world):
    with pytest.raises(xml.parsers.expat.ExpatError):
        world.changelog()


# ---- what happens in it

@pytest.mark.parametrize("pattern", [
    r"create", r"new release", r"add source file .+\.tar\.gz", r"add source file .+\.zip", r"add source file .+\.tar\.bz2",
    r"add py3 file .+-py3-none-any\.whl", r"add cp312 file .+-cp312-cp312-.+\.whl", r"add cp\d+ file .+-abi3-.*linux_.+\.whl",
    r"add cp\d+ file .+manylinux_2_17_x86_64\.manylinux2014_x86_64\.whl", r"add .+-musllinux_1_1_x86_64\.whl",
    r"add .+-macosx_11_0_arm64\.whl", r"add .+-win_amd64\.whl", r"add cp313 file .+-cp313t-.+", r"add 2\.7 file .+\.egg",
    r"add any file .+\.exe", r"add py3 file .+-py3\.whl", r"yank release", r"unyank release", r"remove", r"remove project",
    r"remove release", r"remove file .+\.whl", r"remove file .+\.tar\.gz", r"add Owner \S+", r"remove Owner remove",
    r"project quarantined", r"project quarantine cleared", r"release quarantined", r"release quarantine cleared", r"docupdate",
])
def test_every_kind_of_event_occurs(events, pattern):
    assert any(re.fullmatch(pattern, action) for _, _, _, _, action in events)


def test_serials_ascend_with_gaps(events):
    serials = [row[0] for row in events]
    assert EVENTS <= len(serials) < EVENTS + 100
    assert serials == sorted(set(serials))
    assert serials[0] < 628_000 < serials[-1]
    assert serials[-1] > 2 * len(serials)


def test_times_run_back_and_forth_by_years_before_the_order_begins_and_by_minutes_after(events):
    def jumps(times):
        return [later - sooner for sooner, later in zip(times, times[1:])]
    year = 365 * 86_400
    early = jumps([row[3] for row in events if row[0] < 628_000])
    late = jumps([row[3] for row in events if row[0] >= 628_000])
    assert min(early) < -year and max(early) > year
    assert -180 <= min(late) < 0


def test_things_are_removed_before_they_exist(events):
    seen, early = set(), set()
    for serial, name, version, _, action in events:
        if action == "remove release" and (name, version) not in seen and serial < 628_000:
            early.add((name, version))
        if action == "new release":
            seen.add((name, version))
    assert early & seen


def test_names_are_absurd(model):
    refused = "".join(model.refused)
    assert {"\0", "\x01", "\x1b", "\x7f", "\n", "/", " ", "\\", "\u00ef", "\U0001f40d"} <= set(refused)
    assert any(len(name) > 255 for name in model.refused)
    assert "" in model.refused


def test_names_and_versions_are_spelt_in_several_ways(events, model):
    spellings, versions = {}, {}
    for _, name, version, _, _ in events:
        spellings.setdefault(re.sub("[-_.]+", "-", name).lower(), set()).add(name)
    assert any(len(names) > 2 for names in spellings.values())
    releases = [release for project in model.projects.values() for release in project.releases.values()]
    assert any(len(release.spellings) > 1 for release in releases)
    assert any(isinstance(version, str) for project in model.projects.values() for version in project.releases)


def test_versions_are_absurd_too(events):
    versions = {version for _, _, version, _, _ in events if version}
    assert {"\0", "\x01", "\x7f", "\u00e9", "<", "&", "!", " "} <= set("".join(versions))
    assert any(len(version) > 255 for version in versions)
    assert any(200 < len(version) <= 255 for version in versions)
    assert any(re.fullmatch(r"[0-9]{50,}\.[0-9.]+", version) for version in versions)


def test_names_are_long_as_far_as_they_may_be(model):
    assert any(200 < len(name) <= 255 for name in model.projects)


def test_some_events_lack_their_version_and_some_files_cannot_be_stored(model):
    assert "new release" in model.unknown
    assert any(action.startswith("add ") and len(action) > 255 for action in model.unknown)


def test_names_come_back_afresh(events):
    gone, back = set(), set()
    for _, name, version, _, action in events:
        key = re.sub("[-_.]+", "-", name).lower()
        if action in ("remove", "remove project"):
            gone.add(key)
        elif action == "create" and key in gone:
            back.add(key)
    assert back


def test_sdists_come_before_wheels_and_after_them_and_in_several_kinds(model):
    releases = [release for project in model.projects.values() for release in project.releases.values()]
    assert any(len(release.sdists) > 1 for release in releases)
    assert any(release.wheels and not release.sdists for release in releases)
    assert any(release.sdists and not release.wheels for release in releases)


# ---- the world at its end

def test_the_projects_are_those_of_the_model(history, model):
    left = {name: (display, bool(quarantined)) for name, display, quarantined in
            rows(history, "SELECT name, display, quarantined FROM project")}
    assert left == {name: (project.display, project.quarantined) for name, project in model.projects.items()}


def test_the_releases_are_those_of_the_model(history, model):
    left = {(name, key_of(version_of(version))): (bool(yanked), bool(quarantined)) for name, version, yanked, quarantined in
            rows(history, "SELECT project, version, yanked, quarantined FROM release")}
    assert left == {(name, key_of(version)): (release.yanked, release.quarantined)
                    for name, project in model.projects.items() for version, release in project.releases.items()}


def test_the_files_are_those_of_the_model(history, model):
    left = {(name, key_of(version_of(version)), filename) for name, version, filename in
            rows(history, "SELECT project, version, filename FROM file")}
    assert left == {(name, key_of(version), filename)
                    for name, project in model.projects.items() for version, release in project.releases.items()
                    for filename in {*release.sdists, *release.wheels, *release.others}}


def test_the_serials_of_projects_are_those_of_their_newest_events(history):
    assert rows(history, "SELECT p.name FROM project p WHERE serial <>"
                         " (SELECT max(serial) FROM event e WHERE e.project = p.name)") == []


def test_the_pages_show_it(world, model):
    shown = {project["name"]: project["_last-serial"] for project in world.json("/simple/")["projects"]}
    assert set(shown) == {project.display for project in model.projects.values() if not project.quarantined}
    for name in list(model.projects)[:200]:
        page = world.json(f"/simple/{urllib.parse.quote(name)}/")
        project = model.projects[name]
        visible = [release for release in project.releases.values() if not (release.quarantined or project.quarantined)]
        assert {file["filename"] for file in page["files"]} == {
            filename for release in visible for filename in {*release.sdists, *release.wheels, *release.others}}
        assert page["meta"]["_last-serial"] == shown.get(project.display, page["meta"]["_last-serial"])


def test_requires_python_appears_on_some_files(history):
    values = {value for value, in rows(history, "SELECT DISTINCT requires_python FROM file")}
    assert {None, ">=3.7", "<3", ">=4"} <= values


def test_the_world_goes_on_where_its_history_ends(world, events):
    last = events[-1][0]
    world.sql("INSERT INTO release (project, version) VALUES ('afterwards', '1')")
    assert [row[3:] for row in world.changelog(last)] == [["create", last + 1], ["new release", last + 2]]
