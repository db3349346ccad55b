"""Crashes between any two messages: of the master, of PostgreSQL. What was begun is finished once, and nothing is left
half-way.
"""
import time

import pytest

from protocol import announced
from wheels import make_wheel, metadata_of

PACKAGE = "piwtest-made"
LOG = b"a log of several words\n"


class Story:
    """A build as a list of moments, which can be stopped between any two; and again from the start of the connection."""

    def __init__(self, farm):
        self.farm = farm
        self.wheel = make_wheel(padding=300000)
        self.attempt = None
        self.slave = None

    def connect(self):
        self.slave = self.farm.scripted_slave()
        self.slave.greet([self.attempt] if self.attempt else [])

    def moments(self):
        """After each a crash may come."""
        name, data = self.wheel
        slave = self.slave
        yield "ACK"
        if not self.attempt:
            self.attempt = slave.ask().attempt
        yield "BUILD"
        slave.busy(self.attempt)
        slave.expect("CONT")
        yield "CONT"
        slave.output(self.attempt, 0, LOG)
        yield "OUTPUT"
        slave.built(self.attempt, files=[announced(name, data)], log_bytes=len(LOG))
        slave.expect("SEND")
        yield "SEND"
        slave.chunk(self.attempt, 0, 0, data[:262144])
        yield "CHUNK"
        slave.chunk(self.attempt, 0, 262144, data[262144:])
        slave.sent(self.attempt, 0)
        yield "SENT"
        assert slave.expect("DONE")[1]
        yield "DONE"

    def until(self, moment):
        assert moment in (reached for reached in self.moments())

    def finish(self):
        """From a new connection to the end, whatever the master still knows of the attempt."""
        self.connect()
        known = self.attempt and self.farm.sql(f"SELECT count(*) FROM job WHERE attempt = {self.attempt}") == "1"
        if self.attempt and not known:
            assert self.slave.expect("STOP")[0] == self.attempt
        else:
            self.until("DONE")

    def check(self):
        """Published once, nothing half-way."""
        name, data = self.wheel
        farm = self.farm
        farm.wait_sql("SELECT count(*) FROM stale_page", "0")
        assert farm.file(PACKAGE, name).read_bytes() == data
        assert farm.file(PACKAGE, name + ".metadata").read_bytes() == metadata_of(data)
        assert name in farm.file(PACKAGE, "index.html").read_text()
        assert name in farm.file(PACKAGE, "index.v1_json").read_text()
        assert farm.log_of(self.attempt) == LOG
        assert farm.sql("SELECT id, outcome FROM build") == f"{self.attempt}|success"
        assert farm.sql("SELECT state FROM file") == "live"
        assert farm.sql("SELECT count(*) FROM job") == "0"
        assert farm.staging() == []


@pytest.fixture
def story(farm):
    farm.start_master()
    farm.order()
    told = Story(farm)
    told.connect()
    yield told
    told.slave.close()


MOMENTS = ["ACK", "BUILD", "CONT", "OUTPUT", "SEND", "CHUNK", "SENT", "DONE"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_build_survives_the_death_of_the_master(story, moment):
    farm = story.farm
    story.until(moment)
    farm.master.kill()
    story.slave.close()
    farm.start_master()
    story.finish()
    story.check()


@pytest.mark.parametrize("moment, mode", [*((moment, "fast") for moment in MOMENTS),
                                          *((moment, "immediate") for moment in ("BUILD", "CHUNK", "SENT"))])
def test_a_build_survives_the_death_of_the_database(story, postgres, moment, mode):
    farm = story.farm
    master = farm.master
    told = story.moments()
    while next(told) != moment:
        pass
    with postgres.away(mode):
        pass
    for _ in told:
        pass
    story.check()
    assert master.process.poll() is None


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_result_that_comes_while_the_database_is_away_is_recorded_when_it_is_back(story, postgres, mode):
    told = story.moments()
    while next(told) != "SEND":
        pass
    with postgres.away(mode):
        assert next(told) == "CHUNK"
        assert next(told) == "SENT"
    assert next(told) == "DONE"
    story.check()


def test_slaves_that_ask_while_the_database_is_away_are_answered_when_it_is_back(story, postgres):
    late = story.farm.scripted_slave("late")
    with postgres.away("immediate"):
        story.slave.idle()
        late.hello()
    assert story.slave.hear()[0] in ("BUILD", "SLEEP")
    late.expect("ACK")
    late.close()


def test_the_status_says_that_the_database_is_away(story, postgres):
    farm = story.farm
    with postgres.away():
        farm.master.wait_line("database .*: connection lost")
        done = farm.tool("status")
        assert done.returncode == 1 and "the master waits for its database: " in done.stderr
    for connection in ("fast", "bulk", "pages"):
        farm.master.wait_line(f"database {connection}: connected again")
    assert farm.tool("status").returncode == 0


def test_the_master_stops_in_time_while_the_database_is_away(story, postgres):
    told = story.moments()
    while next(told) != "CHUNK":
        pass
    with postgres.away("immediate"):
        assert next(told) == "SENT"
        begun = time.monotonic()
        assert story.farm.master.stop() == 0
        assert time.monotonic() - begun < 30  # it takes 5 at most, on a machine that has time for it


def test_a_master_that_was_started_first_waits_for_its_database(farm, postgres):
    with postgres.away():
        farm.launch_master()
        farm.master.wait_line("database .*: no connection, trying again")
    farm.master.wait_line("master: ready")


def test_a_page_that_a_crash_kept_from_being_written_is_written_at_the_next_start(story):
    farm = story.farm
    name, _ = story.wheel
    with farm.locked("package_alias"):
        story.until("DONE")
        farm.wait_blocked("AS part")  # the facts of the page are about to be read
        farm.master.kill()
    assert not farm.file(PACKAGE, "index.html").exists()
    assert farm.sql("SELECT count(*) FROM stale_page WHERE kind = 'index'") == "1"
    farm.start_master()
    farm.wait_page(PACKAGE)
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    assert name in farm.file(PACKAGE, "index.html").read_text()
    assert PACKAGE in (farm.output / "simple" / "index.html").read_text()
