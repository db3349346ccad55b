"""What PyPI takes back leaves this site: first the pages, then the files, and nothing that somebody builds again is lost."""
import json

import pytest

from changelog import clear, quarantine, remove_project, remove_release, yank
from protocol import announced
from wheels import make_wheel

PACKAGE = "piwtest-made"
WHEEL = make_wheel()
NAME, DATA = WHEEL


def publish(farm, package=PACKAGE, wheel=WHEEL):
    """Builds the package's release; what DONE says of it."""
    farm.order(package)
    with farm.scripted_slave(f"of-{package}") as slave:
        slave.greet()
        return slave.deliver(slave.ask().attempt, [wheel], b"a log\n")


def wait_pages(farm):
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")


def in_root(farm, package=PACKAGE):
    return f'"{package}/"' in (farm.output / "simple" / "index.html").read_text()


def public_figures(farm):
    """packages|versions|files|bytes, as the front page tells them."""
    return farm.sql("SELECT sum(packages), sum(versions), sum(files), sum(size_bytes) FROM tally")


@pytest.fixture
def published(farm):
    """A farm with one published release, whose files stay for hours when they are withdrawn."""
    farm.start_master("--page-lifetime", "1h")
    assert publish(farm)[0]
    wait_pages(farm)
    assert farm.file(PACKAGE, NAME).read_bytes() == DATA
    return farm


def let_leave(farm):
    """The two page lifetimes are over."""
    farm.wait_sql("SELECT count(*) FROM withdrawn_file WHERE leave_at IS NULL AND NOT gone", "0")
    farm.sql("UPDATE withdrawn_file SET leave_at = now() WHERE NOT gone")
    farm.wait_sql("SELECT count(*) FROM withdrawn_file w WHERE NOT gone AND NOT EXISTS (SELECT FROM file f WHERE f.path = w.path)",
                  "0")


# ---- removed -----------------------------------------------------------------------------------------

def test_a_removed_release_leaves_the_index_first_and_the_tree_two_page_lifetimes_later(published):
    farm = published
    mark = farm.master.mark()
    remove_release(farm, PACKAGE)
    farm.wait_page(PACKAGE, mark)
    farm.wait_sql("SELECT count(*) FROM withdrawn_file WHERE leave_at > since + interval '2h'", "1")
    wait_pages(farm)
    folder = farm.file(PACKAGE, NAME).parent
    assert sorted(path.name for path in folder.iterdir()) == [NAME, NAME + ".metadata"] and not in_root(farm)
    let_leave(farm)
    farm.master.wait_line(f"simple/{PACKAGE}/{NAME}: taken out of the tree", mark)
    assert not folder.exists()
    assert farm.sql("SELECT gone, leaving, named FROM withdrawn_file") == "t|f|t"
    assert public_figures(farm) == "0|0|0|0"


def test_a_file_stays_as_long_as_its_index_has_not_been_written(published):
    farm = published
    folder = farm.file(PACKAGE, NAME).parent
    folder.chmod(0o555)
    remove_release(farm, PACKAGE)
    farm.master.wait_line(f"page /simple/{PACKAGE}/: not written")
    assert farm.sql("SELECT leave_at IS NULL FROM withdrawn_file") == "t"
    folder.chmod(0o755)
    farm.wait_sql("SELECT leave_at IS NULL FROM withdrawn_file", "f")
    assert farm.sql("SELECT count(*) FROM stale_page WHERE kind = 'index'") == "0"


def test_a_removed_project_takes_its_pages_and_their_other_names_with_it(published):
    farm = published
    farm.sql(f"INSERT INTO package_alias (name, package) SELECT 'PiwTest.Made', id FROM package WHERE name = '{PACKAGE}'")
    farm.sql(f"SELECT page_stale('index', '{PACKAGE}'), page_stale('project', '{PACKAGE}')")
    wait_pages(farm)
    links = [farm.output / place / "PiwTest.Made" for place in ("simple", "project")]
    assert all(link.is_symlink() and (link / "index.html").exists() for link in links)
    remove_project(farm, PACKAGE)
    wait_pages(farm)
    assert not any(link.is_symlink() for link in links)
    assert not (farm.output / "project" / PACKAGE).exists()
    let_leave(farm)
    assert not (farm.output / "simple" / PACKAGE).exists()


def test_a_directory_that_stands_where_an_alias_was_outlives_the_package(published):
    farm = published
    farm.sql(f"INSERT INTO package_alias (name, package) SELECT 'PiwTest.Made', id FROM package WHERE name = '{PACKAGE}'")
    for place in ("simple", "project"):
        (farm.output / place / "PiwTest.Made").mkdir()
        (farm.output / place / "PiwTest.Made" / "index.html").write_text("somebody's own")
    remove_project(farm, PACKAGE)
    wait_pages(farm)
    assert all((farm.output / place / "PiwTest.Made" / "index.html").exists() for place in ("simple", "project"))


def test_a_project_that_comes_back_has_its_other_names_again(published):
    farm = published
    farm.sql(f"INSERT INTO package_alias (name, package) SELECT 'PiwTest.Made', id FROM package WHERE name = '{PACKAGE}'")
    remove_project(farm, PACKAGE)
    wait_pages(farm)
    farm.sql(f"""SELECT project_store('{{"name": "{PACKAGE}", "display": "PiwTest.Made", "versions": []}}')""")
    assert publish(farm)[0]
    wait_pages(farm)
    assert (farm.output / "simple" / "PiwTest.Made" / NAME).read_bytes() == DATA
    assert (farm.output / "project" / "PiwTest.Made" / "index.html").exists()


# ---- the same name again -----------------------------------------------------------------------------

def test_a_name_that_comes_back_before_its_bytes_have_left_keeps_them(published):
    farm = published
    remove_release(farm, PACKAGE)
    assert publish(farm)[0]
    let_leave(farm)
    wait_pages(farm)
    assert farm.file(PACKAGE, NAME).read_bytes() == DATA and in_root(farm)
    assert farm.sql("SELECT state FROM file") == "live"
    assert farm.sql("SELECT gone FROM withdrawn_file") == "t"


def test_a_name_that_comes_back_after_its_bytes_have_left_gets_the_same_ones(published):
    farm = published
    remove_release(farm, PACKAGE)
    let_leave(farm)
    assert publish(farm)[0]
    wait_pages(farm)
    assert farm.file(PACKAGE, NAME).read_bytes() == DATA and in_root(farm)


@pytest.mark.parametrize("gone", [False, True])
def test_a_name_never_comes_to_have_other_bytes(published, gone):
    farm = published
    remove_release(farm, PACKAGE)
    if gone:
        let_leave(farm)
    other = make_wheel(padding=99)
    assert other[0] == NAME and other[1] != DATA
    good, text = publish(farm, wheel=other)
    assert good and text == "piwtest_made-1.0-1-py3-none-any.whl published"
    wait_pages(farm)
    let_leave(farm)
    assert [path.name for path in farm.output.glob("simple/*/*.whl")] == ["piwtest_made-1.0-1-py3-none-any.whl"]


def test_a_build_waits_for_a_file_of_its_name_that_is_just_leaving(published):
    farm = published
    remove_release(farm, PACKAGE)
    farm.wait_sql("SELECT leave_at IS NULL FROM withdrawn_file", "f")
    folder = farm.file(PACKAGE, NAME).parent
    folder.chmod(0o555)                 # it cannot leave yet
    farm.sql("UPDATE withdrawn_file SET leave_at = now()")
    farm.master.wait_line("cannot be taken out of the tree .Permission denied.; it will be tried again")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        slave.report(attempt, [WHEEL])
        slave.expect("SEND")
        with farm.locked("dependency"):
            slave.send_file(attempt, 0, DATA)
            farm.wait_blocked("files_begin")    # behind which waits what could tell that the other has left
            folder.chmod(0o755)
        assert slave.expect("DONE")[1]
    wait_pages(farm)
    assert farm.file(PACKAGE, NAME).read_bytes() == DATA and in_root(farm)


def test_files_that_cannot_leave_keep_none_waiting_that_can(published):
    """More of them than are taken out at once; they go when they can."""
    farm = published
    stuck = farm.output / "simple" / "piwtest-stuck"
    stuck.mkdir()
    for number in range(250):
        (stuck / f"{number}.whl").write_text("stuck")
    stuck.chmod(0o555)
    farm.sql(f"""INSERT INTO withdrawn_file (path, sha256, package, leave_at)
        SELECT 'simple/piwtest-stuck/' || n || '.whl', '\\x{'00' * 32}', 'piwtest-stuck', now() - interval '1 h'
            FROM generate_series(0, 249) n""")
    remove_release(farm, PACKAGE)
    farm.wait_sql("SELECT leave_at IS NULL FROM withdrawn_file WHERE package <> 'piwtest-stuck'", "f")
    farm.sql("UPDATE withdrawn_file SET leave_at = now() WHERE package <> 'piwtest-stuck'")
    farm.wait_sql("SELECT gone FROM withdrawn_file WHERE package <> 'piwtest-stuck'", "t")
    assert not farm.file(PACKAGE, NAME).exists() and len(list(stuck.iterdir())) == 250
    stuck.chmod(0o755)
    farm.wait_sql("SELECT count(*) FROM withdrawn_file WHERE NOT gone", "0")
    assert not stuck.exists()


# ---- quarantined -------------------------------------------------------------------------------------

def test_a_quarantined_project_vanishes_at_once_and_comes_back_when_it_is_cleared(published):
    farm = published
    quarantine(farm, PACKAGE)
    farm.master.wait_line(f"simple/{PACKAGE}/{NAME}: withheld")
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    wait_pages(farm)
    withheld = farm.output / ".withheld" / "simple" / PACKAGE
    assert sorted(path.name for path in withheld.iterdir()) == [NAME, NAME + ".metadata"]
    assert not (farm.output / "simple" / PACKAGE).exists() and not in_root(farm)
    assert public_figures(farm) == "0|1|0|0"
    page = (farm.output / "project" / PACKAGE / "index.html").read_text()
    assert "quarantined" in page and NAME not in page

    clear(farm, PACKAGE)
    farm.master.wait_line(f"simple/{PACKAGE}/{NAME}: put back into the tree")
    farm.wait_sql("SELECT state, hidden FROM file", "live|f")
    wait_pages(farm)
    assert farm.file(PACKAGE, NAME).read_bytes() == DATA and in_root(farm)
    assert farm.file(PACKAGE, NAME + ".metadata").exists()
    assert list((farm.output / ".withheld").iterdir()) == []
    assert public_figures(farm) == f"1|1|1|{len(DATA)}"
    assert NAME in (farm.output / "project" / PACKAGE / "index.html").read_text()


def test_what_was_quarantined_and_then_removed_leaves_no_bytes(published):
    farm = published
    quarantine(farm, PACKAGE)
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    remove_project(farm, PACKAGE)
    farm.wait_sql("SELECT count(*) FROM withdrawn_file WHERE gone", "1")
    wait_pages(farm)
    assert list((farm.output / ".withheld").iterdir()) == []
    assert list(farm.output.glob("*/piwtest*")) == []
    assert public_figures(farm) == "0|0|0|0"


def test_pypis_changes_of_mind_leave_the_file_where_the_last_one_says(published):
    farm = published
    for _ in range(10):
        quarantine(farm, PACKAGE)
        clear(farm, PACKAGE)
    farm.wait_sql("SELECT state FROM file", "live")
    wait_pages(farm)
    assert farm.file(PACKAGE, NAME).read_bytes() == DATA
    quarantine(farm, PACKAGE)
    clear(farm, PACKAGE)
    quarantine(farm, PACKAGE)
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    assert not farm.file(PACKAGE, NAME).exists()
    assert public_figures(farm) == "0|1|0|0"


def test_a_file_that_cannot_be_moved_is_tried_again(published):
    farm = published
    folder = farm.file(PACKAGE, NAME).parent
    folder.chmod(0o555)
    quarantine(farm, PACKAGE)
    farm.master.wait_line(f"{NAME}: cannot be taken out of the tree, though PyPI has quarantined it .Permission denied.")
    folder.chmod(0o755)
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    assert not farm.file(PACKAGE, NAME).exists()


def test_a_file_that_cannot_be_moved_is_told_of_once_for_each_reason(published):
    farm = published
    assert publish(farm, "piwtest-other", make_wheel("piwtest-other"))[0]
    wait_pages(farm)
    place = farm.output / ".withheld" / "simple" / PACKAGE
    closed, nothing = farm.output / "closed", farm.output / "nothing"
    closed.mkdir(mode=0o555)
    nothing.write_text("no directory")
    place.parent.mkdir()
    place.symlink_to(closed)

    def rounds():
        """Two, in each of which it was tried."""
        for change, done in ((quarantine, "withheld"), (clear, "put back")):
            mark = farm.master.mark()
            change(farm, "piwtest-other")
            farm.master.wait_line(f"/piwtest-other/.*: {done}", mark)

    quarantine(farm, PACKAGE)
    farm.master.wait_line(f"{NAME}: cannot be taken out .* .Permission denied.")
    rounds()
    rounds()
    nothing.replace(place)
    farm.master.wait_line(f"{NAME}: cannot be taken out .* .Not a directory.")
    rounds()
    assert farm.master.output().count(f"{NAME}: cannot be taken out") == 2
    place.unlink()
    farm.master.wait_line(f"{NAME}: withheld")


# ---- builds under way --------------------------------------------------------------------------------

def removed_while(farm, reach):
    """A release is removed when its build has come as far as `reach` leads; its slave takes the next build."""
    farm.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        reach(slave, attempt)
        remove_release(farm, PACKAGE)
        told, _ = slave.expect("STOP", ignore=("CONT",))
        assert told == attempt
        next_one(farm, slave)
    nothing_is_left(farm)


def next_one(farm, slave):
    farm.order("piwtest-next")
    build = slave.ask()
    assert build.package == "piwtest-next"
    assert slave.deliver(build.attempt, [make_wheel("piwtest-next")])[0]


def nothing_is_left(farm):
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    farm.wait_staging_empty()
    assert farm.sql("SELECT path FROM file").startswith("simple/piwtest-next/")
    assert [path.name for path in farm.output.glob("simple/*/*.whl")] == [make_wheel("piwtest-next")[0]]
    assert not (farm.output / "simple" / PACKAGE).exists()
    farm.wait_sql("SELECT count(*) FROM withdrawn_file", "0")


def test_a_release_removed_while_it_is_built_is_stopped(farm):
    def building(slave, attempt):
        slave.busy(attempt)
        slave.expect("CONT")
    removed_while(farm, building)


def test_a_release_removed_while_its_file_arrives_is_stopped(farm):
    big = make_wheel(padding=300000)

    def arriving(slave, attempt):
        slave.built(attempt, files=[announced(*big)])
        slave.expect("SEND")
        slave.chunk(attempt, 0, 0, big[1][:262144])
    removed_while(farm, arriving)


@pytest.mark.parametrize("take_back", [yank, quarantine, remove_project])
def test_what_is_taken_back_while_it_is_built_is_stopped(farm, take_back):
    farm.start_master()
    farm.order()
    farm.sql("UPDATE version SET by_hand = false")
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        take_back(farm, PACKAGE)
        told, reason = slave.expect("STOP")
        assert told == attempt and "not wanted" in reason
        next_one(farm, slave)
    nothing_is_left(farm)


# ---- from PyPI itself --------------------------------------------------------------------------------

def test_what_happens_at_pypi_happens_here(farm, pypi):
    farm.start_master("--page-lifetime", "1h").wait_line("changelog: goes on from serial")
    farm.add("piwtest-pure")
    with farm.scripted_slave() as slave:
        slave.greet()
        build = slave.ask()
        wheel = make_wheel("piwtest-pure", build.version)
        assert slave.deliver(build.attempt, [wheel])[0]
    wait_pages(farm)
    file = farm.file("piwtest-pure", wheel[0])

    pypi.sql("UPDATE project SET quarantined = 1 WHERE name = 'piwtest-pure'")
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    wait_pages(farm)
    assert not file.parent.exists() and not in_root(farm, "piwtest-pure")

    pypi.sql("UPDATE project SET quarantined = 0 WHERE name = 'piwtest-pure'")
    farm.wait_sql("SELECT state FROM file", "live")
    wait_pages(farm)
    assert file.read_bytes() == wheel[1] and in_root(farm, "piwtest-pure")

    pypi.sql("UPDATE release SET yanked = 1, yanked_reason = 'too pure' WHERE project = 'piwtest-pure'")
    farm.wait_sql(f"SELECT yanked, yanked_reason FROM version WHERE version = '{build.version}'", "t|too pure")
    wait_pages(farm)
    assert 'data-yanked="too pure"' in (file.parent / "index.html").read_text()
    assert json.loads((file.parent / "index.v1_json").read_text())["files"][0]["yanked"] == "too pure"
    assert file.read_bytes() == wheel[1]
    assert "too pure" in (farm.output / "project" / "piwtest-pure" / "index.html").read_text()

    pypi.sql("DELETE FROM project WHERE name = 'piwtest-pure'")
    farm.wait_sql("SELECT count(*) FROM package WHERE name = 'piwtest-pure'", "0")
    wait_pages(farm)
    assert not (farm.output / "project" / "piwtest-pure").exists() and not in_root(farm, "piwtest-pure")
    assert file.exists() and not (file.parent / "index.html").exists()
    let_leave(farm)
    assert not file.parent.exists()
