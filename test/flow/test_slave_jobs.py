"""The slave with several places against a scripted master: how it asks for them, and what it does with each answer."""
import pathlib
import signal
import time

import pytest

from harness import LIMIT_S
from test_slave import begin, build, folder, index, master, processes_of_builds, slaves  # noqa: F401 (fixtures)

WAITS = b"piwtest-waits: waits for ~/go"


def wait_for_both(connection, *attempts):
    for attempt in attempts:
        connection.hear_output(attempt, WAITS)


def let_go(slave, attempt):
    pathlib.Path(slave.builds, f"attempt-{attempt}", "home", "go").touch()


def two_builds(slaves, master, index, *options):
    """A slave that builds 7 and 8, and has told so."""
    slave = slaves("--jobs", "2", *options)
    connection, hello = begin(master, index)
    for attempt, version in ((7, "1"), (8, "2")):
        build(connection, attempt, "piwtest-waits", version=version)
    wait_for_both(connection, 7, 8)
    return slave, connection, hello


def test_all_places_are_asked_for_at_once(master, slaves, index):
    slaves("--jobs", "3")
    connection = master.accept()
    hello = connection.greet(index.simple)
    assert connection.hear("IDLE")[1] == 3 and hello[12] == 3


def test_the_memory_of_the_machine_is_divided_among_the_builds(master, slaves, index):
    slaves("--jobs", "4")
    connection = master.accept()
    hello = connection.greet(index.simple)
    memory = connection.hear("IDLE")[2][1]
    assert hello[13] == memory // 4 * 3 // 4


def test_a_place_that_gets_free_is_asked_for_while_another_build_goes_on(master, slaves, index):
    slave, connection, _ = two_builds(slaves, master, index)
    let_go(slave, 8)
    message = connection.hear("BUILT")
    assert message[1:3] == [8, "success"]
    connection.fetch(message, 0)
    connection.say("DONE", 8, True, "published")
    assert connection.hear("IDLE")[1] == 1
    connection.say("SLEEP", "")
    connection.say("STOP", 7, "not wanted")
    assert connection.hear("IDLE")[1] == 2, "one that sleeps asks again when it has more room"


def test_after_fewer_builds_than_asked_for_it_sleeps(master, slaves, index):
    slave = slaves("--jobs", "3")
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-waits", version="1")
    connection.say("SLEEP", "")
    connection.hear_output(7, WAITS)
    connection.say("WAKE")
    assert connection.hear("IDLE")[1] == 2
    build(connection, 8, "piwtest-waits", version="2")
    build(connection, 9, "piwtest-waits", version="3")
    wait_for_both(connection, 8, 9)
    assert slave.attempts() == ["attempt-7", "attempt-8", "attempt-9"]


def test_files_of_two_builds_come_over_one_connection(master, slaves, index):
    slave, connection, _ = two_builds(slaves, master, index)
    for attempt in (7, 8):
        let_go(slave, attempt)
    reports = {message[1]: message for message in (connection.hear("BUILT"), connection.hear("BUILT"))}
    names = {attempt: message[9][0][0] for attempt, message in reports.items()}
    assert names == {7: "piwtest_waits-1-py3-none-any.whl", 8: "piwtest_waits-2-py3-none-any.whl"}
    for attempt in (8, 7):
        connection.fetch(reports[attempt], 0)
    for attempt in (8, 7):
        connection.say("DONE", attempt, True, "published")
        slave.wait_line(rf"attempt {attempt} is done")


def test_a_lost_connection_takes_no_build_along(master, slaves, index):
    slave, connection, _ = two_builds(slaves, master, index)
    connection.close()
    again = master.accept()
    assert sorted(again.greet(index.simple)[8]) == [[7], [8]]
    wait_for_both(again, 7, 8)
    let_go(slave, 7)
    assert again.hear("BUILT")[1:3] == [7, "success"]


def test_one_more_build_than_was_asked_for_ends_the_connection_but_no_build(master, slaves, index):
    slave, connection, _ = two_builds(slaves, master, index)
    build(connection, 9, "piwtest-pure")
    slave.wait_line("the master said BUILD, which has no place while working")
    assert sorted(master.accept().hear("HELLO")[8]) == [[7], [8]]


def test_the_same_attempt_twice_ends_the_connection(master, slaves, index):
    slave = slaves("--jobs", "2")
    connection, _ = begin(master, index)
    for _ in range(2):
        build(connection, 7, "piwtest-waits", version="1")
    slave.wait_line("the master hands out an attempt that this slave has already")
    assert master.accept().hear("HELLO")[8] == [[7]]


def test_a_slave_that_is_short_asks_for_nothing_and_takes_nothing(master, slaves, index):
    slave = slaves("--jobs", "2", "--min-free-memory", "1000T")
    connection = master.accept()
    connection.greet(index.simple)
    _, slots, _, shortage = connection.hear("IDLE")
    assert slots == 0 and "MB of memory are free" in shortage
    build(connection, 7, "piwtest-pure")
    slave.wait_line("the master hands out more builds than were asked for")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_builds(master, slaves, index, number):
    slave, connection, _ = two_builds(slaves, master, index)
    slave.signal(number)
    assert "BYE" in connection.hear_end()
    assert slave.wait_end() == 0
    assert slave.attempts() == []


def test_die_ends_all_builds(master, slaves, index):
    slave, connection, _ = two_builds(slaves, master, index)
    connection.say("DIE", "no longer needed")
    assert connection.hear("BYE")[1]
    assert slave.wait_end() == 0
    assert slave.attempts() == []


def test_all_builds_die_with_a_slave_that_is_killed(master, slaves, index, folder):
    slave, _, _ = two_builds(slaves, master, index)
    assert len(processes_of_builds(folder)) >= 4, "pip and its backend, twice"
    slave.kill()
    limit = time.monotonic() + LIMIT_S
    while processes_of_builds(folder):
        assert time.monotonic() < limit


def test_a_fork_bomb_in_one_place_is_the_end_of_that_build_only(master, slaves, index):
    slave = slaves("--jobs", "2", "--processes", "100")
    connection, _ = begin(master, index)
    build(connection, 7, "piwtest-waits", version="1")
    connection.hear_output(7, WAITS)
    build(connection, 8, "piwtest-hostile-forks")
    assert connection.hear("BUILT")[1:4] == [8, "failed", "processes"]
    let_go(slave, 7)
    assert connection.hear("BUILT")[1:3] == [7, "success"]
