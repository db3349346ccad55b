"""Several builds over one connection, driven by a scripted slave: what belongs to one of them must not harm another."""
import pytest

from harness import VERSION
from protocol import announced
from test_protocol import connect, farm  # noqa: F401 (fixtures)
from wheels import make_wheel


@pytest.fixture
def two(farm, connect):
    """A slave with two builds: the slave and their attempts by version."""
    for version in ("1.0", "2.0"):
        farm.order(version=version)
    slave = connect()
    slave.idle(slots=2)
    builds = [slave.expect("BUILD"), slave.expect("BUILD")]
    return slave, {build[2]: build[0] for build in builds}


def skip(farm, slave):
    with farm.scripted_tool() as tool:
        tool.ask("ACT", VERSION, "skip", slave.number)


def test_what_is_on_its_way_about_a_stopped_build_is_passed_over_although_idle_comes_between(farm, two):
    slave, attempts = two
    name, data = make_wheel(version="1.0", padding=300000)
    slave.built(attempts["1.0"], files=[announced(name, data)])
    assert slave.expect("SEND") == [attempts["1.0"], 0]
    skip(farm, slave)
    slave.idle(0, "no room")                             # said before STOP is heard; what is given back is soon due again
    slave.chunk(attempts["1.0"], 0, 0, data[:262144])
    slave.busy(attempts["2.0"])
    assert {slave.expect("STOP")[0], slave.expect("STOP")[0]} == set(attempts.values())
    slave.expect("SLEEP")
    slave.idle(0, "no room")                             # said behind it
    slave.expect("SLEEP")
    slave.chunk(attempts["1.0"], 0, 0, data[:262144])
    assert "of which nothing was asked for" in slave.expect_refusal()


def test_files_of_two_builds_may_come_mixed(two):
    slave, attempts = two
    wheels = {version: make_wheel(version=version, padding=300000) for version in attempts}
    for version, attempt in attempts.items():
        slave.built(attempt, files=[announced(*wheels[version])])
        assert slave.expect("SEND") == [attempt, 0]
    for at in (0, 100000, 200000):
        for version, attempt in attempts.items():
            data = wheels[version][1]
            slave.chunk(attempt, 0, at, data[at:at + 100000 if at < 200000 else len(data)])
    for attempt in attempts.values():
        slave.sent(attempt, 0)
    assert all(slave.expect("DONE")[1] for _ in attempts)


def test_a_slave_that_is_short_is_not_woken_until_it_is_not(farm, connect):
    able, short = connect("able"), connect("short")
    able.idle()
    able.expect("SLEEP")
    short.idle(0, "3 MB of disk are free, 500 are wanted (--min-free)")
    short.expect("SLEEP")
    farm.order()
    able.expect("WAKE")
    assert [slave["state"] for slave in farm.status()["slaves"] if slave["label"] == "short"] == ["low"]
    assert not short.has_word(), "though the master has said more since it woke the other"
    short.idle(1)
    assert short.expect("BUILD")[1] == "piwtest-made"


def test_the_memory_that_a_build_may_have_is_what_counts(farm, connect):
    slave = farm.scripted_slave("small")
    slave.hello(memory_bytes=1 << 30, jobs=4)
    slave.expect("ACK")
    slave.idle()
    slave.expect("SLEEP")
    farm.wait_sql("SELECT memory_bytes FROM slave WHERE label = 'small'", str(1 << 30))
    slave.close()
