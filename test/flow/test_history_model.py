"""The model of history (model.py) is right about histories that are short enough to be judged by eye."""
import sqlite3

import pytest

from model import Skip, Target, World, expected, key_of, name_of, read, requires_python, version_of, wheel_fits

BULLSEYE = Target("bullseye", "cp39", "linux_armv7l", (2, 31))
BOOKWORM = Target("bookworm", "cp311", "linux_armv7l", (2, 36))
FREE = Target("free", "cp313t", "linux_armv7l", (2, 41))
TARGETS = [BULLSEYE, BOOKWORM]


@pytest.fixture
def tell(tmp_path):
    """Makes a database of (name, version, action) and gives what is expected of it; times are 100, 101, …"""
    def told(*events, **more):
        path = tmp_path / "history.db"
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE event (serial INTEGER PRIMARY KEY, project TEXT, spelled TEXT, version TEXT,"
                           " time INTEGER, action TEXT)")
        connection.executemany("INSERT INTO event (project, version, time, action) VALUES (?, ?, ?, ?)",
                               [(name, version, 100 + i, action) for i, (name, version, action) in enumerate(events)])
        connection.commit()
        connection.close()
        return expected(path, **{"targets": TARGETS, **more})
    return told


def on(version, *actions, name="spam"):
    return [(name, version, action) for action in actions]


def the_version(packages, name="spam"):
    version, = packages[name]["versions"].values()
    return version


SDIST = on("1.0", "new release", "add source file spam-1.0.tar.gz")


# ---- packages and versions

def test_a_release_with_an_sdist_is_open_for_the_first_target(tell):
    packages = tell(*on(None, "create"), *SDIST)
    assert packages == {"spam": {"display": "spam", "quarantined": False, "versions": {"1": {
        "spellings": {"1.0"}, "released": 101, "yanked": False, "quarantined": False, "legacy": False,
        "prerelease": False, "sdist": "spam-1.0.tar.gz", "sdists": {"spam-1.0.tar.gz"}, "wheels": {}, "others": set(),
        "covered": [], "skipped": [], "excluded": [], "missing": ["bullseye", "bookworm"], "closed": None, "open": "bullseye"}}}}


def test_all_spellings_of_a_name_are_one_package_and_the_newest_shows(tell):
    packages = tell(("Spam_Egg", None, "create"), ("spam--egg", "1", "new release"), ("SPAM.egg", "2", "new release"))
    assert list(packages) == ["spam-egg"]
    assert packages["spam-egg"]["display"] == "SPAM.egg"


def test_a_role_does_not_respell_a_name_and_removes_nothing(tell):
    packages = tell(*SDIST, ("SPAM", None, "add Owner remove"), ("SPAM", None, "remove Owner release"),
                    ("SPAM", "1.0", "remove Maintainer file"))
    assert packages["spam"]["display"] == "spam"
    assert the_version(packages)["sdist"] == "spam-1.0.tar.gz"


def test_equal_versions_are_one_and_keep_the_time_of_the_first(tell):
    packages = tell(*on("1.0", "new release"), *on("v1.0.0", "new release"), *on("1", "add source file spam-1.tar.gz"))
    assert (the_version(packages)["released"], the_version(packages)["spellings"]) == (100, {"1.0", "1.0.0", "1"})


def test_what_is_no_version_is_kept_by_its_text_and_never_built(tell):
    packages = tell(*on("latest", "new release", "add source file spam-latest.tar.gz"), *on("Latest", "new release"))
    versions = packages["spam"]["versions"]
    assert set(versions) == {"latest", "Latest"}
    latest = versions["latest"]
    assert (latest["legacy"], latest["closed"], latest["open"]) == (True, "no version", None)


def test_control_characters_in_a_version_are_dropped_and_too_long_a_one_is_refused(tell):
    packages = tell(*on("1.\x000\t", "new release"), *on("1.0\x7f\x85 ", "yank release"), *on("x" * 256, "new release"))
    version = the_version(packages)
    assert (version["spellings"], version["yanked"]) == ({"1.0"}, True)


def test_no_time_is_before_1970():
    world = World()
    world.apply("spam", "1.0", -5, "new release", 1)
    release, = world.projects["spam"].releases.values()
    assert release.released == 0


def test_a_file_makes_its_version_and_package(tell):
    assert the_version(tell(*on("1.0", "add source file spam-1.0.tar.gz")))["released"] == 100


def test_a_name_that_is_none_is_refused(tell, tmp_path):
    names = ["", "-", "-x", "x-", "a b", "a/b", "nul\0", "caf\u00e9", "x" * 256]
    assert tell(*[(name, "1.0", "new release") for name in names]) == {}
    assert read(tmp_path / "history.db").refused == set(names)


def test_a_name_of_255_letters_is_one():
    assert name_of("X" * 255) == "x" * 255


def test_unknown_actions_change_nothing_and_are_counted(tell, tmp_path):
    actions = ["removed", "remove files", "remove url x", "add url https://example.org", "yank", "create2", "Create"]
    packages = tell(*SDIST, *on("1.0", *actions), *on(None, "docupdate", name="nobody"))
    assert the_version(packages)["sdist"] == "spam-1.0.tar.gz"
    world = read(tmp_path / "history.db")
    assert set(world.unknown) == {*actions, "docupdate"}
    assert world.compare == {"spam", "nobody"}


def test_history_can_be_told_up_to_a_serial(tell):
    assert tell(*SDIST, *on(None, "remove"), until=2)["spam"]["versions"]


# ---- what goes

@pytest.mark.parametrize("action", ["remove", "remove project"])
def test_a_project_takes_everything_along_and_comes_back_afresh(tell, action):
    packages = tell(*SDIST, *on("1.0", "yank release"), *on(None, "project quarantined", action), *on("1.0", "new release"))
    version = the_version(packages)
    assert not packages["spam"]["quarantined"]
    assert (version["released"], version["yanked"], version["sdists"], version["closed"]) == (105, False, set(), "binary only")


def test_a_removed_project_is_gone(tell):
    assert tell(*SDIST, *on(None, "remove project")) == {}


def test_a_release_takes_its_files_along_in_any_spelling(tell):
    packages = tell(*SDIST, *on("1.0.0", "remove release"))
    assert packages["spam"]["versions"] == {}


def test_what_is_not_there_cannot_be_removed_or_marked(tell):
    events = ["remove release", "remove file spam-1.0.tar.gz", "yank release", "unyank release", "release quarantined",
              "release quarantine cleared", "remove project", "project quarantined", "project quarantine cleared"]
    assert tell(*on("1.0", *events)) == {}
    version = the_version(tell(*on("1.0", *events), *SDIST))
    assert (version["yanked"], version["quarantined"], version["open"]) == (False, False, "bullseye")


def test_a_removed_file_leaves_its_version(tell):
    packages = tell(*SDIST, *on("1.0", "add py3 file spam-1.0-py3-none-any.whl", "remove file spam-1.0.tar.gz"))
    version = the_version(packages)
    assert (version["sdist"], version["wheels"], version["closed"]) == (None, {"py3-none-any": 1}, "binary only")


@pytest.mark.parametrize("mark, clear, closed", [
    ("yank release", "unyank release", "yanked"),
    ("release quarantined", "release quarantine cleared", "quarantined"),
    ("project quarantined", "project quarantine cleared", "quarantined"),
])
def test_what_is_marked_is_closed_until_it_is_cleared(tell, mark, clear, closed):
    marked = the_version(tell(*SDIST, *on("1.0", mark)))
    assert (marked["closed"], marked["open"]) == (closed, None)
    assert the_version(tell(*SDIST, *on("1.0", mark, clear)))["open"] == "bullseye"


# ---- sdists and wheels

@pytest.mark.parametrize("names, best", [
    (["spam-1.zip", "spam-1.tar.gz"], "spam-1.tar.gz"),
    (["spam-1.tar.gz", "spam-1.zip"], "spam-1.tar.gz"),
    (["spam-1.zip", "spam-1.tar.bz2"], "spam-1.tar.bz2"),
    (["spam-1.tar.gz", "Spam-1.tar.gz", "spam-1.zip"], "Spam-1.tar.gz"),
    (["spam-1.tgz"], "spam-1.tgz"),
])
def test_the_best_of_several_sdists_is_a_tar_gz_or_the_last(tell, names, best):
    assert the_version(tell(*on("1", *(f"add source file {name}" for name in names))))["sdist"] == best


def test_a_binary_archive_is_no_sdist(tell):
    version = the_version(tell(*on("1", "add any file spam-1.linux-x86_64.tar.gz", "add 2.7 file spam-1-py2.7.egg")))
    assert (version["sdist"], len(version["others"])) == (None, 2)


def test_wheels_are_counted_by_their_tags(tell):
    packages = tell(*on("1", "add py3 file spam-1-py3-none-any.whl", "add Py3 file spam-1-2b-Py3-none-any.whl",
                        "add cp311 file spam-1-cp311-cp311-win32.whl", "remove file spam-1-cp311-cp311-win32.whl",
                        "add py3 file spam-1-py3.whl", "add py3 file spam-1-x-py3-none-any.whl"))
    version = the_version(packages)
    assert version["wheels"] == {"py3-none-any": 2}
    assert version["others"] == {"spam-1-py3.whl", "spam-1-x-py3-none-any.whl"}


def test_a_file_is_the_projects_whatever_it_is_called(tell):
    version = the_version(tell(*on("1", "add source file egg.zip", "add py3 file egg-2-py3-none-any.whl")))
    assert (version["sdist"], version["wheels"]) == ("egg.zip", {"py3-none-any": 1})


@pytest.mark.parametrize("filename", ["a/b.zip", "a\nb.zip", "a\0b.zip", "x" * 252 + ".zip"])
def test_a_file_that_no_file_system_takes_is_unknown_business(tell, tmp_path, filename):
    assert tell(*on("1", f"add source file {filename}", f"remove file {filename}")) == {}
    world = read(tmp_path / "history.db")
    assert (world.compare, len(world.unknown)) == ({"spam"}, 2)


@pytest.mark.parametrize("action", ["new release", "add source file spam-1.zip", "remove release", "yank release",
                                    "remove file spam-1.zip", "release quarantined", "release quarantine cleared"])
def test_an_action_that_lacks_its_version_is_unknown_business(tell, tmp_path, action):
    assert tell(*on(None, action), *on("\0", action)) == {}
    assert read(tmp_path / "history.db").unknown == {action: 2}


def test_a_target_that_pypi_covers_is_not_missing(tell):
    wheel = "spam-1.0-cp39-cp39-manylinux_2_31_armv7l.whl"
    version = the_version(tell(*SDIST, *on("1.0", f"add cp39 file {wheel}")))
    assert (version["covered"], version["missing"], version["open"]) == (["bullseye"], ["bookworm"], "bookworm")
    assert the_version(tell(*SDIST, *on("1.0", f"add cp39 file {wheel}", f"remove file {wheel}")))["open"] == "bullseye"


@pytest.mark.parametrize("tags, fits", [
    ("py3-none-any", [BULLSEYE, BOOKWORM, FREE]),
    ("py2.py3-none-any", [BULLSEYE, BOOKWORM, FREE]),
    ("py2-none-any", []),
    ("py311-none-any", [BOOKWORM, FREE]),
    ("cp311-none-any", [BOOKWORM]),
    ("cp38-abi3-linux_armv7l", [BULLSEYE, BOOKWORM]),
    ("cp310-abi3-linux_armv7l", [BOOKWORM]),
    ("cp38-cp38-linux_armv7l", []),
    ("cp313-cp313t-linux_armv6l.linux_armv7l", [FREE]),
    ("cp313-cp313-linux_armv7l", []),
    ("py3-none-manylinux_2_36_armv7l", [BOOKWORM, FREE]),
    ("py3-none-manylinux_2_41_armv7l", [FREE]),
    ("py3-none-manylinux_2_17_armv7l.manylinux2014_armv7l", [BULLSEYE, BOOKWORM, FREE]),
    ("py3-none-manylinux2014_x86_64", []),
    ("py3-none-musllinux_1_1_armv7l", []),
    ("py3-none-win32", []),
    ("pp39-pypy39_pp73-linux_armv7l", []),
])
def test_tags_fit_the_targets_whose_python_takes_them(tags, fits):
    assert [target for target in (BULLSEYE, BOOKWORM, FREE) if wheel_fits(tags, target)] == fits


@pytest.mark.parametrize("platform, tags, fits", [
    ("linux_x86_64", "py3-none-manylinux_2_60_x86_64", True),
    ("manylinux_2_28_x86_64", "py3-none-manylinux1_x86_64", True),
    ("manylinux_2_28_x86_64", "py3-none-manylinux_2_31_x86_64", False),
    ("manylinux2014_x86_64", "py3-none-manylinux_2_17_x86_64", True),
    ("musllinux_1_2_x86_64", "py3-none-musllinux_1_1_x86_64", True),
    ("musllinux_1_1_x86_64", "py3-none-musllinux_1_2_x86_64", False),
    ("musllinux_1_1_x86_64", "py3-none-manylinux1_x86_64", False),
    ("musllinux_1_1_x86_64", "py3-none-linux_x86_64", True),
])
def test_platforms_fit_by_their_c_library(platform, tags, fits):
    assert wheel_fits(tags, Target("t", "cp311", platform)) == fits


# ---- skips

@pytest.mark.parametrize("skip, opened", [
    (Skip(package="spam"), None),
    (Skip(package="egg"), "bullseye"),
    (Skip(target="bullseye"), "bookworm"),
    (Skip(package="spam", specifier="<2", target="bookworm"), "bullseye"),
    (Skip(specifier=">=1"), None),
    (Skip(specifier=">1"), "bullseye"),
    (Skip(prereleases=True), "bullseye"),
])
def test_a_skip_closes_what_it_fits(tell, skip, opened):
    assert the_version(tell(*SDIST, skips=[skip]))["open"] == opened


def test_a_skip_of_prereleases_closes_only_those(tell):
    packages = tell(*SDIST, *on("2.0rc1", "add source file spam-2.0rc1.tar.gz"), skips=[Skip(prereleases=True)])
    assert [version["open"] for version in packages["spam"]["versions"].values()] == ["bullseye", None]


def test_a_target_that_is_skipped_itself_is_never_open(tell):
    targets = [Target("old", "cp37m", "linux_armv7l", skip="too old"), BOOKWORM]
    assert the_version(tell(*SDIST, targets=targets))["open"] == "bookworm"


# ---- Requires-Python

@pytest.mark.parametrize("requires, opened", [
    (">=3.7", "bullseye"), (">=3.11", "bookworm"), ("<3.9", None), (">=3.9.7", "bullseye"), ("!=3.9.*", "bookworm"),
    ("==3.11.4", "bookworm"), ("nonsense", "bullseye"), ("", "bullseye"), (">=4", None),
])
def test_requires_python_closes_the_targets_it_excludes(tell, requires, opened):
    version = the_version(tell(*SDIST, requires={"spam-1.0.tar.gz": requires, "spam-1.0.zip": "<2"}))
    assert version["open"] == opened
    assert len(version["excluded"]) + len(version["missing"]) == 2


def test_requires_python_is_read_from_the_world(tmp_path):
    connection = sqlite3.connect(tmp_path / "history.db")
    connection.execute("CREATE TABLE file (filename TEXT, requires_python TEXT)")
    connection.execute("INSERT INTO file VALUES ('spam-1.0.tar.gz', '>=3.7'), ('spam-2.0.tar.gz', NULL)")
    connection.commit()
    connection.close()
    assert requires_python(tmp_path / "history.db") == {"spam-1.0.tar.gz": ">=3.7"}


# ---- versions

@pytest.mark.parametrize("left, right", [("1.0", "v1.0.0"), ("1.0a1", "1.0-ALPHA.1"), ("1.0-1", "1.0.post1"),
                                         ("1.0+Local-1", "1.0+local.1"), ("1.0c", "1.0rc0"), ("1!0", "1!0.0")])
def test_spellings_of_a_version_are_equal(left, right):
    assert version_of(left) == version_of(right)
    assert key_of(version_of(left)) == key_of(version_of(right))


def test_a_version_may_have_numbers_of_any_length_but_no_more_than_250_bytes():
    assert version_of("9" * 250).release
    assert version_of("9" * 251) == "9" * 251


def test_events_apply_in_the_order_of_serials_whatever_their_times():
    world = World()
    world.apply("spam", None, 900, "create", 1)
    world.apply("spam", "1.0", 100, "new release", 2)
    world.apply("spam", "1.0", 5, "yank release", 3)
    world.apply("spam", "1.0", 800, "unyank release", 4)
    release, = world.projects["spam"].releases.values()
    assert (release.released, release.yanked, world.serial) == (100, False, 4)
