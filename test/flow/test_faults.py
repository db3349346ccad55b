"""Plugs pulled at named points (include/core/fault.h), in a build that has them compiled in: the master and the slave are
killed, PostgreSQL is killed, the disk and the database refuse. Every time the build is completed and published once, and
nothing is left half-way.

The points before and after a step are read from the step tables in the source, so that none is forgotten.
"""
import itertools
import os
import pathlib
import re
import signal

import pytest

from changelog import clear, quarantine, remove_release
from harness import ROOT
from story import LOG, Story, check_tree
from wheels import make_wheel

PROGRAM = pathlib.Path(os.environ.get("PIW_TEST_FAULTS_BUILD", "/nonexistent"), "piwheels")
EIO, ENOSPC = 5, 28
_numbers = itertools.count(1)


def read_tables():
    """{table: (file, [step])} of the master and the slave."""
    found = {}
    files = [*ROOT.glob("src/*/*.c")]
    for file in files:
        if file.parent.name == "cmd" and not file.name.startswith("master"):
            continue
        for name, body in re.findall(r"struct task_step (?:master_)?(\w+)_steps\[\] = \{(.*?)\{NULL, NULL\}", file.read_text(),
                                     re.DOTALL):
            assert name not in found
            found[name] = file, re.findall(r'\{"([^"]+)", \w+\}', body)
    return found


TABLES = read_tables()


def points(*tables, after=True):
    """Before each step and after the last; with `after` after each."""
    for table in tables:
        steps = TABLES[table][1]
        yield from (f"before {table}/{step}" for step in steps)
        yield from (f"after {table}/{step}" for step in (steps if after else steps[-1:]))


@pytest.fixture(scope="module")
def house(module_farm):
    """A farm with the program that has the points; no master runs when a test begins."""
    farm = module_farm
    farm.master.stop()
    farm.program = PROGRAM
    yield farm


@pytest.fixture
def farm(house):
    house.sql("DELETE FROM job; DELETE FROM stale_page; DELETE FROM withdrawn_file")
    house.forget_everything()
    yield house
    if house.master:
        house.master.kill()


def launch(farm, fault, *options):
    """A master with the fault; whether it lives long enough to be ready."""
    farm.launch_master("--lease", "3s", *options, PIW_TEST_FAULT=fault)
    return farm.master.wait_line("master: ready|fault: ").group(0) == "master: ready"


def restart(farm):
    farm.start_master("--lease", "3s")


def new_story(farm, **more):
    return Story(farm, f"piwtest-f{next(_numbers)}", **more)


def stop(farm):
    assert farm.master.stop() == 0
    farm.master = None


def survives_a_kill(farm, point, *, fails=False):
    story = new_story(farm, fails=fails)
    if launch(farm, f"{point}=kill"):
        story.begin()
        if " closing/" in point:
            story.join()
            farm.master.signal(signal.SIGTERM)
    assert farm.master.wait_end() == -signal.SIGKILL, farm.master.output()
    story.join()
    restart(farm)
    story.finish()
    stop(farm)


# ---- the points themselves ---------------------------------------------------------------------------

def test_every_table_of_steps_names_its_tasks():
    for table, (file, steps) in TABLES.items():
        assert steps, table
        assert f'"{table}"' in "".join(other.read_text() for other in file.parent.glob("*.c")), table


def test_the_program_that_is_installed_has_no_points(farm):
    from harness import PIWHEELS
    assert b"PIW_TEST_FAULT" in PROGRAM.read_bytes()
    assert b"PIW_TEST_FAULT" not in PIWHEELS.read_bytes()


# ---- the master is killed ----------------------------------------------------------------------------

def long(*those):
    """Only with --long."""
    return [pytest.param(point, marks=pytest.mark.long) for point in those]


def both(*tables):
    """Before each step and after the last one in every run, after each step with --long: what is done after a step is done
    before the next one, but for work of other tasks in between."""
    short = list(points(*tables, after=False))
    return short + long(*(point for point in points(*tables) if point not in short))


@pytest.mark.parametrize("point", both("receive", "publish", "page", "greeting"))
def test_a_build_survives_the_death_of_the_master(farm, point):
    survives_a_kill(farm, point)


@pytest.mark.parametrize("point", both("failure"))
def test_a_failure_survives_the_death_of_the_master(farm, point):
    survives_a_kill(farm, point, fails=True)


@pytest.mark.parametrize("point", [*both("rhythm"), "before opening/recover files", "before closing/close files",
                                   *long(*points("opening", "round", "closing"))])
def test_a_build_survives_a_death_at_the_masters_own_work(farm, point):
    survives_a_kill(farm, point)


@pytest.mark.parametrize("point", both("recovery"))
def test_a_death_while_it_cleans_up_after_a_death_is_cleaned_up(farm, point):
    story = new_story(farm)
    launch(farm, "before publish/make public=kill")
    story.begin()
    assert farm.master.wait_end() == -signal.SIGKILL
    story.join()
    launch(farm, f"{point}=kill")
    assert farm.master.wait_end() == -signal.SIGKILL, farm.master.output()
    restart(farm)
    story.finish()
    stop(farm)


# ---- withdrawing -------------------------------------------------------------------------------------

@pytest.fixture
def taken_back(farm):
    """The packages (removed, quarantined, cleared, removed while withheld) that PyPI takes back, while no master runs."""
    farm.start_master()
    stories = [new_story(farm) for _ in range(4)]
    for story in stories:
        story.work()
        assert story.is_recorded()
    removed, held, cleared, both_ways = (story.package for story in stories)
    quarantine(farm, cleared)
    quarantine(farm, both_ways)
    farm.wait_sql("SELECT count(*) FROM file WHERE hidden", "2")
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    stop(farm)
    remove_release(farm, removed)
    quarantine(farm, held)
    clear(farm, cleared)
    remove_release(farm, both_ways)
    yield removed, held, cleared, both_ways
    farm.sql("DELETE FROM package")
    for path in farm.output.glob(".withheld/simple/*/*"):
        path.unlink()


def is_taken_back(farm, removed, held, cleared, both_ways):
    farm.wait_sql("SELECT count(*) FROM withdrawn_file WHERE NOT gone", "0")
    farm.wait_sql("SELECT count(*) FROM file WHERE state NOT IN ('live', 'withheld') OR state = 'withheld' AND NOT hidden", "0")
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    stop(farm)
    assert [name for name in (removed, held, cleared, both_ways) if (farm.output / "simple" / name).exists()] == [cleared]
    assert len(list(farm.output.glob(f"simple/{cleared}/*.whl"))) == 1
    assert [path.parent.name for path in (farm.output / ".withheld").glob("*/*/*.whl")] == [held]
    assert len(list((farm.output / ".withheld").rglob("*.metadata"))) == 1
    assert farm.sql("SELECT count(*) FROM package WHERE live_files > 0") == "1"


OFTEN_WITHDRAWING = ["before withdraw/note hidden", "before withdraw/note returned", "before withdraw/take out",
                     "before withdraw/note gone", "fs_move#2", "fs_move renamed", "fs_remove#2"]


@pytest.mark.parametrize("point", OFTEN_WITHDRAWING + long(*(point for point in [
    *points("withdraw"), "fs_move", "fs_move#3", "fs_move#4", "fs_move renamed#2", "fs_move renamed#3", "fs_remove",
    "fs_remove#3", "fs_remove#6", "pg_sent files_hidden", "pg_sent files_returned", "pg_sent files_leaving",
    "pg_sent files_gone"] if point not in OFTEN_WITHDRAWING)))
def test_what_pypi_takes_back_goes_though_the_master_dies(farm, taken_back, point):
    farm.launch_master(PIW_TEST_FAULT=f"{point}=kill")
    assert farm.master.wait_end() == -signal.SIGKILL, farm.master.output()
    farm.start_master()
    is_taken_back(farm, *taken_back)


@pytest.mark.parametrize("point", ["fs_move", "fs_remove", "pg_query files_gone", *long(
    "fs_move#2", "fs_move renamed", "fs_remove#2", "pg_query files_hidden", "pg_query files_returned",
    "pg_query files_leaving")])
def test_what_pypi_takes_back_goes_though_something_refuses(farm, taken_back, point):
    farm.launch_master(PIW_TEST_FAULT=f"{point}=fail:{EIO}")
    farm.master.wait_line("fault: ")
    farm.master.wait_line("master: ready")
    is_taken_back(farm, *taken_back)


@pytest.fixture
def quarantined(farm):
    """PyPI quarantines the package of a finished story while no master runs."""
    farm.start_master()
    story = new_story(farm)
    story.work()
    assert story.is_recorded()
    stop(farm)
    quarantine(farm, story.package)
    yield story.package
    farm.sql("DELETE FROM package")
    for path in farm.output.glob(".withheld/simple/*/*"):
        path.unlink()


@pytest.mark.parametrize("point", ["fs_move", "pg_query file", "pg_query files_hidden", "pg_query files_leaving"])
def test_what_could_not_be_withdrawn_is_tried_again_soon(farm, quarantined, point):
    farm.launch_master("--page-lifetime", "1h", dev_mode=False, PIW_TEST_FAULT=f"{point}=fail:{EIO}")
    farm.master.wait_line("withdrawing: what failed is tried again in 1 s")
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    assert (farm.output / ".withheld" / "simple" / quarantined).exists()
    stop(farm)


def test_what_cannot_be_withdrawn_is_tried_again_less_and_less_often(farm, quarantined):
    farm.launch_master("--page-lifetime", "1h", dev_mode=False, PIW_TEST_FAULT=f"pg_query files_hidden#1+=fail:{EIO}")
    farm.master.wait_line("withdrawing: what failed is tried again in 2 s$")
    assert re.findall("what failed is tried again in (.*)", farm.master.output())[:2] == ["1 s", "2 s"]
    assert farm.sql("SELECT state, hidden FROM file") == "withheld|f"
    stop(farm)


@pytest.mark.parametrize("point", ["before publish/place files", "fs_publish linked", "before publish/make public",
                                   "pg_sent files_begin"])
def test_a_release_removed_while_its_build_is_recorded_is_not_published(farm, point):
    story = new_story(farm)
    launch(farm, f"{point}=stop")
    farm.master.wait_line("master: ready")
    with farm.scripted_slave() as slave:
        slave.greet()
        attempt = slave.ask().attempt
        slave.report(attempt, [story.wheel])
        slave.expect("SEND")
        slave.send_file(attempt, 0, story.wheel[1])
        farm.master.wait_line("fault: ")
        farm.wait_sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'piwheels fast' AND state = 'active'", "0")
        remove_release(farm, story.package)
        farm.master.signal(signal.SIGCONT)
        told, good, text = slave.expect("DONE")
        assert told == attempt and not good and "not wanted any more" in text
        other = new_story(farm)
        build = slave.ask()
        assert build.package == other.package
        assert slave.deliver(build.attempt, [other.wheel], LOG)[0]
    farm.wait_sql("SELECT count(*) FROM withdrawn_file WHERE NOT gone", "0")
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    other.check()
    assert not (farm.output / "simple" / story.package).exists()
    stop(farm)


def test_a_release_removed_when_its_master_had_died_while_placing_it_leaves_nothing(farm):
    story = new_story(farm)
    launch(farm, "fs_publish linked=kill")
    story.begin()
    assert farm.master.wait_end() == -signal.SIGKILL
    story.join()
    remove_release(farm, story.package)
    restart(farm)
    farm.wait_sql("SELECT count(*) FROM withdrawn_file", "0")
    assert not (farm.output / "simple" / story.package).exists()
    stop(farm)


WRITES = ["jobs_claim", "slave_seen", "files_begin", "build_publish", "page_written"]


@pytest.mark.parametrize("point", [
    # half a log, .metadata, and then pages
    "fs_replace written", "fs_replace written#2", "fs_replace written#3", "fs_replace renamed", "fs_replace renamed#2",
    "fs_publish linked", "stream_write", "stream_write#2", "lane disk", "lane verify", "lane pages",
    "wire_send BUILD", "wire_send SEND", "wire_send DONE",
    *long("wire_send ACK", "lane disk#4", "lane pages#2", *(f"fs_replace written#{nth}" for nth in range(4, 7)))])
def test_a_build_survives_a_death_in_the_middle_of_things(farm, point):
    survives_a_kill(farm, point)


@pytest.mark.parametrize("statement", WRITES)
@pytest.mark.parametrize("moment", ["pg_sent", *long("pg_answered")])
def test_a_build_survives_the_death_of_a_master_that_waits_for_an_answer(farm, moment, statement):
    survives_a_kill(farm, f"{moment} {statement}")


@pytest.mark.parametrize("point", ["before project/store", "after project/store",
                                   *long(*(point for point in points("project") if "/store" not in point))])
def test_what_was_asked_for_can_be_asked_for_again_after_a_death(farm, point):
    launch(farm, f"{point}=kill")
    farm.tool("add", "piwtest-pure")
    assert farm.master.wait_end() == -signal.SIGKILL, farm.master.output()
    restart(farm)
    farm.add("piwtest-pure")
    assert int(farm.sql("SELECT count(*) FROM job")) >= 1
    farm.sql("DELETE FROM job")
    stop(farm)


# ---- PostgreSQL is killed ----------------------------------------------------------------------------

def survives_the_database(farm, postgres, point, *, fails=False):
    """The master is stopped at the point, and goes on when PostgreSQL has crashed and come back."""
    story = new_story(farm, fails=fails)
    if launch(farm, f"{point}=stop"):
        story.begin()
    farm.master.wait_line("fault: ")
    postgres.stop("immediate")
    postgres.start()
    farm.master.signal(signal.SIGCONT)
    farm.master.wait_line("master: ready")
    story.finish()
    stop(farm)


@pytest.mark.parametrize("point", [*(f"pg_sent {statement}" for statement in WRITES), "before publish/place files",
                                   *long(*points("receive", "publish", "page"))])
def test_a_build_survives_the_death_of_the_database(farm, postgres, point):
    survives_the_database(farm, postgres, point)


@pytest.mark.parametrize("point", ["pg_sent builds_end", *long(*points("failure"))])
def test_a_failure_survives_the_death_of_the_database(farm, postgres, point):
    survives_the_database(farm, postgres, point, fails=True)


@pytest.mark.long
@pytest.mark.parametrize("point", points("opening", "greeting", "rhythm", "round", after=False))
def test_a_build_survives_the_death_of_the_database_at_the_masters_own_work(farm, postgres, point):
    survives_the_database(farm, postgres, point)


# ---- the disk and the database refuse ----------------------------------------------------------------

def survives_a_refusal(farm, fault, *, fails=False):
    """The master lives on, and the build is published at last."""
    story = new_story(farm, fails=fails)
    launch(farm, fault)
    farm.master.wait_line("master: ready")
    story.begin()
    farm.master.wait_line("fault: ")
    story.finish()
    stop(farm)


@pytest.mark.parametrize("point", [
    "fs_free", "stream_write", "stream_write#2", "fs_read", "fs_replace", "fs_replace#2", "fs_replace#3", "fs_publish",
    "fs_publish linked", *long("fs_replace written", "fs_replace written#2", *(f"fs_replace#{nth}" for nth in range(4, 9)))])
@pytest.mark.parametrize("error", [ENOSPC, pytest.param(EIO, marks=pytest.mark.long)])
def test_a_build_survives_an_error_of_the_disk(farm, point, error):
    survives_a_refusal(farm, f"{point}=fail:{error}")


@pytest.mark.parametrize("step", [
    *(f"publish/{step}" for step in TABLES["publish"][1]),
    *long(*(f"{table}/{step}" for table in ("receive", "page") for step in TABLES[table][1]))])
def test_a_build_survives_a_step_that_fails(farm, step):
    survives_a_refusal(farm, f"before {step}=fail:{EIO}")


@pytest.mark.parametrize("statement", [
    *WRITES, "targets_ready", "attempts_reserve", "targets_digest", "stale_page"])
def test_a_build_survives_a_refusal_of_the_database(farm, statement):
    survives_a_refusal(farm, f"pg_query {statement}=fail:{EIO}")


@pytest.mark.parametrize("verb", ["ACK", "BUILD", "SEND", "DONE"])
def test_a_build_survives_a_connection_that_breaks(farm, verb):
    story = new_story(farm)
    launch(farm, f"wire_send {verb}=fail:{EIO}")
    story.begin()
    farm.master.wait_line("a fault on purpose")
    story.join()
    story.finish()
    stop(farm)


def test_a_project_that_could_not_be_fetched_can_be_asked_for_again(farm):
    launch(farm, f"http_get {farm.pypi.simple}/piwtest-zlib/=fail:{EIO}")
    farm.master.wait_line("master: ready")
    done = farm.tool("add", "piwtest-zlib")
    assert done.returncode == 1 and "PyPI cannot be asked now" in done.stdout + done.stderr
    farm.add("piwtest-zlib")
    stop(farm)


# ---- the slave is killed -----------------------------------------------------------------------------

PYTHON_OF_A_FAST_BUILD = """#!/bin/sh
case "$2" in
-c) echo yes {abi} {platform} 3.11.2 23.0.1 ;;
pip) cp {wheel} wheels/ ;;
esac
"""
OFTEN = ["before build/run pip", "after build/run pip", "before upload/read chunk", "after upload/send chunk", "wire_send BUILT",
         "wire_send SENT"]


@pytest.fixture
def fast_python(farm, tmp_path):
    """Builds by copying."""
    name, data = make_wheel(padding=600000)
    python = tmp_path / "python" / "bin" / "python3"  # what lies around it is there in a sandbox too
    python.parent.mkdir(parents=True)
    (python.parent / name).write_bytes(data)
    abi, platform, _ = farm.offers()[0]
    python.write_text(PYTHON_OF_A_FAST_BUILD.format(abi=abi, platform=platform, wheel=python.parent / name))
    python.chmod(0o755)
    return python


@pytest.mark.parametrize("point", OFTEN + long(*(point for point in [
    *points("build", "upload"), "child_run", "wire_send HELLO", "wire_send IDLE", "wire_send OUTPUT", "wire_send CHUNK",
    "wire_send CHUNK#2"] if point not in OFTEN)))
def test_a_build_survives_the_death_of_its_slave(farm, fast_python, point):
    farm.start_master("--lease", "2s")
    farm.order("piwtest-made")
    slave = farm.start_slave("--python", fast_python, label="mortal", PIW_TEST_FAULT=f"{point}=kill")
    assert slave.wait_end() == -signal.SIGKILL, slave.output()
    slave = farm.start_slave("--python", fast_python, label="mortal")
    farm.master.wait_line("built piwtest-made 1.0")
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    assert farm.sql("SELECT outcome FROM build WHERE outcome <> 'farm'") == "success"
    assert slave.stop() == 0
    assert [path.name for path in (farm.directory / "build-mortal").iterdir()] == ["lock"]
    check_tree(farm)
    stop(farm)


@pytest.mark.parametrize("fault", ["child_run", "wire_connect", "fs_replace", "fs_make_dirs#2", "wire_send BUILT"])
def test_a_build_survives_an_error_of_its_slave(farm, fast_python, fault):
    farm.start_master("--lease", "2s")
    farm.order("piwtest-made")
    slave = farm.start_slave("--python", fast_python, label="unlucky", PIW_TEST_FAULT=f"{fault}=fail:{EIO}")
    farm.master.wait_line("built piwtest-made 1.0")
    assert "fault: " in slave.output()
    assert slave.stop() == 0
    stop(farm)
