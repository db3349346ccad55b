"""The monitor on a terminal, driven through tmux; the verbs it stands on; and `piwheels status --json` by its schema.

Screens are compared with golden/*.txt. Run with PIW_GOLDEN=write to write them anew, then read them.
"""
import json
import os
import pathlib
import re
import signal
import socket as sockets
import time

import jsonschema
import pytest

from harness import LIMIT_S, VERSION, piwheels
from protocol import Closed
from terminal import Terminal

HERE = pathlib.Path(__file__).parent
LABELS = ("pi3-b", "pi4-a", "riscv")


@pytest.fixture
def terminal(tmp_path, farm):
    made = Terminal(farm.sockets.name)
    yield made
    made.close()


@pytest.fixture
def slaves(farm):
    """Three scripted slaves of a started master: pi3-b sleeps, pi4-a builds piwtest-made 1.0, riscv has said nothing."""
    farm.start_master()
    made = {}
    for label in LABELS:
        made[label] = farm.scripted_slave(label)
        made[label].greet()
    farm.order()
    made["pi4-a"].build = made["pi4-a"].ask()
    made["pi3-b"].idle()
    made["pi3-b"].expect("SLEEP")
    yield made
    for slave in made.values():
        slave.close()


@pytest.fixture
def watched(terminal, farm, slaves):
    """The monitor on the terminal, with all three slaves on its screen."""
    terminal.start_monitor(farm.socket)
    terminal.wait(r"^\S riscv|idle +riscv")
    return terminal


def select(terminal, label):
    """Moves down to the slave from wherever the selection is."""
    for _ in range(len(LABELS) + 1):
        terminal.press("Home")
    for _ in range(sorted(LABELS).index(label) + 1):
        terminal.press("Down")
    terminal.wait(rf"slave \d+ \({label}\)")


def act(terminal, action, asks=False):
    """Opens the menu, chooses the action, and answers what is asked."""
    terminal.press("Enter")
    terminal.wait("> pause")
    for _ in range(["pause", "resume", "skip", "stop", "kill"].index(action)):
        terminal.press("Down")
    terminal.wait(f"> {action}")
    terminal.press("Enter")
    if asks:
        terminal.wait(rf"{action} .*\?")
        terminal.press("Enter")


def steady(screen):
    """The screen without what differs from run to run: times, figures, graphs."""
    lines = []
    for line in screen.splitlines():
        line = re.sub(r"\b\d+(m\d\d)?s\b *", lambda m: "TIME".ljust(len(m.group(0))), line)
        line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
        if re.search("[▁▂▃▄▅▆▇█]|process has", line):
            line = re.sub(" *[▁▂▃▄▅▆▇█]+ +", " GRAPH ", line)
            line = re.sub(r"\d+\.\d\d\b|\d+(\.\d+)?( ?ms\b|[MGT]\b| °C)|unknown", "N", line)
            line = re.sub(r"  +", "  ", line)
        lines.append(line.rstrip())
    return "\n".join(lines).rstrip() + "\n"


def check_golden(name, terminal, pattern):
    """The screen that has the pattern; all of it, for the pattern may be there before the rest is drawn."""
    path = HERE / "golden" / f"{name}.txt"
    shown = terminal.wait(pattern)
    if os.environ.get("PIW_GOLDEN") == "write":
        path.write_text(steady(shown), encoding="utf-8")
    golden = path.read_text(encoding="utf-8")
    terminal.wait_until(lambda shown: steady(shown) == golden, f"not {path.name}")


# ---- what is shown -----------------------------------------------------------------------------------

def test_the_list_shows_the_master_and_every_slave(watched):
    check_golden("monitor-list", watched, r"(?s)building +pi4-a .* piwtest-made 1\.0.* PyPI +0 events behind")


def test_the_master_pane_tells_what_keeps_it_from_following_pypi(watched, farm):
    farm.pypi.sql("INSERT INTO behaviour (path_prefix, method, kind, argument) VALUES ('/pypi', 'POST', 'status', '500')")
    watched.wait(r"^ PyPI +stands still: PyPI answers with status 500")
    farm.pypi.sql("DELETE FROM behaviour")
    watched.wait(r"^ PyPI +0 events behind")


def test_the_pane_shows_the_selected_slave(watched):
    select(watched, "pi4-a")
    shown = watched.wait(r"heat .*45\.0 °C")
    assert "2.1G of 4.3G" in shown and "17.2G of 34.4G" in shown and " 0.25" in shown
    check_golden("monitor-slave", watched, r"heat .*45\.0 °C")


def test_the_pane_tells_how_many_builds_a_slave_has_and_why_it_takes_no_more(watched, farm):
    with farm.scripted_slave("broad") as slave:
        slave.hello(jobs=4)
        slave.expect("ACK")
        slave.idle(0, "3 MB of disk are free, 500 are wanted (--min-free)")
        watched.wait(r"▽ low +broad .* is short of room")
        for _ in range(len(LABELS) + 1):
            watched.press("Up")
        watched.press("Down")  # it is the first
        watched.wait(r"(?s)slave \d+ \(broad\).* builds +0 of 4 at once.* low +3 MB of disk are free, 500 are wanted")


def test_the_menu_says_what_each_action_does(watched):
    select(watched, "pi4-a")
    watched.press("Enter")
    check_golden("monitor-menu", watched, "Tab all slaves")
    watched.press("Tab")
    check_golden("monitor-menu-all", watched, "Tab only this slave")
    watched.press("Escape")
    watched.wait_gone("> pause")


def test_help_tells_the_keys_and_the_signs(watched):
    select(watched, "pi4-a")
    watched.press("?")
    check_golden("monitor-help", watched, "this help")
    watched.press("x")
    watched.wait_gone("this help")


def test_a_slave_is_found_by_its_label(watched):
    watched.press("/", "v", "q")
    watched.wait(r"find: vq_  no slave's label has this")
    watched.press("BSpace")
    watched.wait(r"find: v_\n Enter choose")
    watched.wait(r"slave \d+ \(riscv\)")
    watched.press("Enter")
    watched.wait("/ find")
    assert "(riscv)" in watched.screen()


def test_targets_for_which_there_is_no_room_are_counted(terminal, farm):
    farm.sql("INSERT INTO target (id, name, abi, platform, position) "
             "SELECT n, 'more-' || n, 'cp312', 'linux_x86_64', n FROM generate_series(1, 20) n")
    farm.start_master()
    terminal.start_monitor(farm.socket)

    def all_are_told(shown):
        left = re.search(r"^ (\d+) more targets: piwheels status$", shown, re.M)
        return left and len(re.findall(r"^ (?:native|more-\d+) .* queued", shown, re.M)) + int(left.group(1)) == 21
    terminal.wait_until(all_are_told, "not 21 targets, shown or counted,")


def test_no_color_is_heard(terminal, farm):
    farm.start_master()
    terminal.type("export NO_COLOR=1")
    terminal.start_monitor(farm.socket)
    terminal.wait("● running +master")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.screen("-e"))


def test_signs_tell_what_colours_tell(watched):
    coloured = watched.screen("-e")
    for colour, sign in ((32, "▶"), (36, "z")):
        assert re.search(rf"\x1b\[([0-9;]*;)?{colour}m(\x1b\[49m)?{sign}", coloured), coloured
    assert "▶ building" in watched.screen() and "z sleeping" in watched.screen()


@pytest.mark.parametrize("columns, rows", [(132, 43), (60, 20), (44, 12), (24, 6), (15, 4)])
def test_it_fits_every_size(watched, columns, rows):
    """It is drawn anew down to the last line, and what does not fit is cut off rather than wrapped."""
    pattern = r"\Atoo small\n*\Z" if columns < 24 else r"(?s)\A piwheels.*Enter" if columns < 44 else \
        r"(?s)\A piwheels.*pi4-a.*q quit\n*\Z"
    watched.resize(columns, rows)
    watched.wait_until(lambda shown: re.search(pattern, shown) and (columns < 24 or len(shown.rstrip("\n").split("\n")) == rows),
                       "nothing that fits")
    watched.resize(80, 24)
    watched.wait(r"building +pi4-a .* piwtest-made 1\.0")


def test_the_smallest_screen_has_room_for_every_action(watched, slaves):
    select(watched, "pi4-a")
    watched.resize(24, 6)
    act(watched, "kill", asks=True)
    assert slaves["pi4-a"].expect("DIE") == ["killed by hand"]


def test_without_utf8_it_is_drawn_in_ascii(tmp_path, farm, slaves):
    folder = farm.sockets.name
    terminal = Terminal(folder, locale="C")
    try:
        terminal.start_monitor(farm.socket)
        terminal.wait(r"> building +pi4-a")
        assert terminal.screen().isascii()
    finally:
        terminal.close()


def test_a_new_slave_appears_and_one_that_leaves_goes(watched, farm, slaves):
    with farm.scripted_slave("x15") as slave:
        slave.greet()
        watched.wait("idle +x15")
        slave.bye()
    watched.wait_gone("x15")


# ---- what can be done --------------------------------------------------------------------------------

def test_a_paused_slave_gets_no_build_until_it_is_resumed(watched, farm, slaves):
    select(watched, "pi3-b")
    act(watched, "pause")
    watched.wait(r"slave \d+ \(pi3-b\): paused by hand: it gets no build until it is resumed")
    watched.wait("= paused +pi3-b")
    farm.order("piwtest-other")
    slaves["pi3-b"].idle()
    slaves["pi3-b"].expect("SLEEP")
    act(watched, "resume")
    slaves["pi3-b"].expect("WAKE")
    assert slaves["pi3-b"].ask().package == "piwtest-other"
    watched.wait("building +pi3-b")


def test_a_slave_that_is_paused_finishes_its_build(watched, slaves):
    select(watched, "pi4-a")
    act(watched, "pause")
    watched.wait("» pausing +pi4-a")
    slaves["pi4-a"].fail(slaves["pi4-a"].build.attempt)
    watched.wait("= paused +pi4-a")


def test_a_pause_outlives_the_slaves_connection(watched, farm, slaves):
    select(watched, "pi3-b")
    act(watched, "pause")
    watched.wait("= paused +pi3-b")
    slaves["pi3-b"].bye()
    watched.wait_gone("paused +pi3-b")
    farm.order("piwtest-other")
    with farm.scripted_slave("pi3-b") as again:
        again.greet()
        again.idle()
        again.expect("SLEEP")
        watched.wait("= paused +pi3-b")


def test_a_paused_farm_gives_nobody_a_build(watched, farm, slaves):
    watched.press("Home")
    act(watched, "pause")
    watched.wait("= paused +master")
    farm.order("piwtest-other")
    with farm.scripted_slave("late") as late:
        late.greet()
        late.idle()
        late.expect("SLEEP")
        act(watched, "resume")
        late.expect("WAKE")
        watched.wait("● running +master")
        assert late.ask().package == "piwtest-other"


def test_a_skipped_build_is_stopped_and_given_back(watched, farm, slaves):
    slave = slaves["pi4-a"]
    select(watched, "pi4-a")
    act(watched, "skip", asks=True)
    attempt, reason = slave.expect("STOP")
    assert attempt == slave.build.attempt and reason == "skipped by hand"
    watched.wait(r"skipped by hand: its build is given back and tried again later")
    farm.wait_sql(f"SELECT outcome, class FROM build WHERE id = {attempt}", "farm|skipped by hand")
    assert farm.sql("SELECT attempt IS NULL, tries FROM job") == "t|1"


def test_a_stopped_slave_ends_after_its_build(watched, farm, slaves):
    slave = slaves["pi4-a"]
    select(watched, "pi4-a")
    act(watched, "stop", asks=True)
    watched.wait("■ stopping +pi4-a")
    slave.busy(slave.build.attempt)
    slave.expect("CONT")
    slave.fail(slave.build.attempt)
    assert slave.expect("DIE") == ["stopped by hand"]
    slave.bye()
    watched.wait_gone(r"^\S \w+ +pi4-a")


def test_an_idle_slave_that_is_stopped_ends_at_once(watched, slaves):
    select(watched, "pi3-b")
    act(watched, "stop", asks=True)
    assert slaves["pi3-b"].expect("DIE") == ["stopped by hand"]


def test_a_stop_is_called_off_by_resume(watched, slaves):
    slave = slaves["pi4-a"]
    select(watched, "pi4-a")
    act(watched, "stop", asks=True)
    watched.wait("■ stopping +pi4-a")
    act(watched, "resume")
    watched.wait("▶ building +pi4-a")
    slave.fail(slave.build.attempt)
    slave.idle()
    slave.expect("SLEEP")


def test_a_killed_slave_ends_and_its_build_is_given_back(watched, farm, slaves):
    slave = slaves["pi4-a"]
    select(watched, "pi4-a")
    act(watched, "kill", asks=True)
    assert slave.expect("DIE") == ["killed by hand"]
    slave.expect_closed()
    farm.wait_sql(f"SELECT outcome, class FROM build WHERE id = {slave.build.attempt}", "farm|killed by hand")
    watched.wait_gone(r"^\S \w+ +pi4-a")


def test_a_real_slave_that_is_killed_ends(farm):
    farm.start_master()
    slave = farm.start_slave()
    farm.add("piwtest-sleeps")
    farm.master.wait_line(r"builds piwtest-sleeps")
    with farm.scripted_tool() as tool:
        _, good, told = tool.ask("ACT", VERSION, "kill", 0)
    assert good and told == "all slaves: killed by hand: 1 connected"
    slave.wait_line("told to end")
    assert slave.wait_end() == 0
    slave.check_sanitizers()


# ---- the connection ----------------------------------------------------------------------------------

def test_a_master_that_is_restarted_is_found_again(watched, farm, slaves):
    assert farm.master.stop() == 0
    watched.wait("no connection with the master")
    watched.wait("! no answer +master")
    farm.start_master()
    watched.wait("● running +master")
    with farm.scripted_slave("pi3-b") as slave:
        slave.greet()
        watched.wait("pi3-b")
        watched.wait_gone("no connection")


def test_it_waits_for_a_master_that_is_not_there_yet(terminal, farm):
    terminal.start_monitor(farm.socket)
    terminal.wait("no connection with the master")
    farm.start_master()
    terminal.wait("● running +master")


def test_it_tells_that_the_master_waits_for_its_database(watched, farm):
    farm.postgres.stop()
    try:
        watched.wait("the master waits for its database|the database does not answer")
        assert "pi4-a" in watched.screen()
    finally:
        farm.postgres.start()
    watched.wait_gone("the master waits for its database|the database does not answer")


# ---- the terminal ------------------------------------------------------------------------------------

ENDS = {
    "q": lambda terminal: terminal.press("q"),
    "ctrl-c": lambda terminal: terminal.press("C-c"),
    "SIGTERM": lambda terminal: os.kill(terminal.program("piwheels"), signal.SIGTERM),
    "SIGINT": lambda terminal: os.kill(terminal.program("piwheels"), signal.SIGINT),
    "SIGHUP": lambda terminal: os.kill(terminal.program("piwheels"), signal.SIGHUP),
}


def test_the_terminal_is_restored_after_every_kind_of_exit(terminal, farm, slaves):
    before = terminal.settings()
    for name, end in ENDS.items():
        terminal.type("clear; echo before")
        terminal.wait(r"^before\n\$ *$")
        terminal.start_monitor(farm.socket)
        terminal.wait("idle +riscv")
        end(terminal)
        shown = terminal.wait(r"^before$")      # the screen from before is back
        assert "pi4-a" not in shown, name
        terminal.wait(r"^\$ *$")               # and the monitor has said its last word to the terminal
        assert terminal.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on} #{keypad_flag}").split() == ["1", "0", "0"]
        terminal.type("echo status $?")
        terminal.wait("^status 0$")
        assert terminal.settings() == before, name


def test_the_terminal_is_restored_when_the_master_has_gone(terminal, farm):
    farm.start_master()
    before = terminal.settings()
    terminal.start_monitor(farm.socket)
    terminal.wait("● running +master")
    farm.master.kill()
    terminal.wait("no connection with the master")
    terminal.press("q")
    terminal.wait(r"^\$ *$")
    assert terminal.settings() == before


def test_what_is_no_terminal_is_refused(farm):
    done = piwheels("monitor", "--control-socket", farm.socket)
    assert done.returncode == 1
    assert done.stderr == "piwheels monitor: this is not a terminal; piwheels status prints the same facts\n"


def test_an_unknown_terminal_is_refused(terminal, farm):
    terminal.type("TERM=nothing-known")
    terminal.start_monitor(farm.socket)
    terminal.wait('the terminal "nothing-known" is unknown here')


def test_a_terminal_without_a_screen_is_refused_and_left_alone(terminal, farm):
    terminal.type("clear; TERM=dumb")
    terminal.start_monitor(farm.socket)
    terminal.wait('the terminal "dumb" cannot show a whole screen')
    terminal.wait(r"^\$ *$")


# ---- the verbs ---------------------------------------------------------------------------------------

def test_the_status_is_as_its_schema_says(farm, slaves):
    schema = json.loads((HERE / "data" / "status.schema.json").read_text(encoding="utf-8"))
    status = farm.status()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(status)
    assert {slave["label"]: slave["state"] for slave in status["slaves"]} == {
        "pi3-b": "sleeping", "pi4-a": "building", "riscv": "idle"}


def test_many_slaves_are_told_in_parts(farm):
    farm.start_master()
    farm.accept(*(f"many-{number}" for number in range(70)))
    made, offers = [], farm.offers()
    for number in range(70):
        made.append(farm.scripted_slave(f"many-{number}", offers=offers))
        made[-1].hello()  # at once, for nobody waits long for it
    for slave in made:
        slave.expect("ACK")
    with farm.scripted_tool() as tool:
        parts, good, _ = tool.ask("STATUS", VERSION)
    assert good and [part["more"] for part in parts] == [True, True, False]
    assert [len(part["slaves"]) for part in parts] == [32, 32, 6]
    assert sorted(slave["label"] for part in parts for slave in part["slaves"]) == sorted(slave.label for slave in made)
    assert len(farm.status()["slaves"]) == 70
    for slave in made:
        slave.close()


def test_a_watcher_is_told_again_and_again(farm):
    farm.start_master()
    with farm.scripted_tool() as tool:
        tool.say("WATCH", VERSION)
        for _ in range(3):
            part = json.loads(tool.expect("DATA")[0])
            assert part["version"] == VERSION and part["more"] is False


@pytest.mark.parametrize("verb", ["WATCH", "ACT", "STATUS"])
def test_a_tool_of_another_version_is_refused(farm, verb):
    farm.start_master()
    with farm.scripted_tool() as tool:
        tool.say(verb, "0.0.9", *(["pause", 1] if verb == "ACT" else []))
        assert "use the same version" in tool.expect_refusal()


def test_a_watcher_that_says_more_is_refused(farm):
    farm.start_master()
    with farm.scripted_tool() as tool:
        tool.say("WATCH", VERSION)
        tool.expect("DATA")
        tool.say("STATUS", VERSION)
        assert "before the first question was answered" in tool.expect_refusal(ignore=("DATA",))


def test_an_action_that_does_not_exist_is_told_those_that_do(farm):
    farm.start_master()
    with farm.scripted_tool() as tool:
        tool.say("ACT", VERSION, "hug", 0)
        assert tool.expect_refusal() == '"hug" is no action; there are pause, resume, skip, stop and kill'


def test_an_action_on_a_slave_that_is_not_there_is_refused(farm):
    farm.start_master()
    with farm.scripted_tool() as tool:
        tool.say("ACT", VERSION, "pause", 4711)
        assert tool.expect_refusal() == "no slave 4711 is connected"


def test_a_watcher_that_stalls_is_dropped_and_slows_nobody(farm, slaves):
    made = []
    farm.accept(*(f"many-{number}" for number in range(400)))
    for number in range(400):
        slave = farm.scripted_slave(f"many-{number}", offers=slaves["riscv"].offers)
        slave.hello(system="s" * 128, hardware="h" * 128)
        made.append(slave)
    for slave in made:
        slave.expect("ACK")
    with farm.scripted_tool() as stalled, farm.scripted_tool() as watcher:
        # what it has not read must be ours, not the kernel's: a system name as long as may be, and a small buffer
        stalled.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1)
        stalled.say("WATCH", VERSION)
        watcher.say("WATCH", VERSION)
        rounds, limit = 0, time.monotonic() + LIMIT_S
        while not any("it has read nothing for 10 s" in line for line in farm.master.output().split("\n")):
            if json.loads(watcher.expect("DATA")[0])["more"] is False:
                rounds += 1
                assert rounds != 2 or farm.tool("status", "--json").returncode == 0
            assert time.monotonic() < limit, farm.master.output()[-3000:]
        assert rounds >= 3
        with pytest.raises((Closed, ConnectionError)):
            while True:
                stalled.hear()
        for slave in made:
            slave.close()
