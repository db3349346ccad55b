"""Packages with settings of their own: read on the master, met by the slaves that can, kept to by the build."""
import hashlib
import json
import signal

import pytest

from protocol import ENVIRONMENT
from wheels import make_wheel

PACKAGE = "piwtest-made"


class Settings:
    """The directory of the files."""

    def __init__(self, farm):
        self.farm = farm
        self.folder = farm.directory / "packages.d"
        self.folder.mkdir()

    def start_master(self, *options):
        return self.farm.start_master("--packages-dir", self.folder, *options)

    def write(self, package, *lines):
        """As editors do: the new file takes the old one's place."""
        path = self.folder / f"{package}.conf"
        path.with_suffix(".new").write_text("\n".join(lines) + "\n")
        path.with_suffix(".new").rename(path)
        return path

    def change(self, package, *lines, said="has settings of its own"):
        """Until the running master has taken the change in; the line that says so."""
        begun = self.farm.master.mark()
        self.write(package, *lines)
        return self.farm.master.wait_line(f"overrides: .*{said}", begun).string


@pytest.fixture
def settings(farm):
    return Settings(farm)


def log_of(farm, package):
    attempt, = farm.sql(f"""SELECT max(b.id) FROM build b JOIN version v ON v.id = b.version JOIN package p ON p.id = v.package
        WHERE p.name = '{package}'""").split()
    return farm.log_of(int(attempt)).decode()


def record_of(farm, package):
    return json.loads(farm.sql(f"""SELECT build_record(b.id) FROM build b JOIN version v ON v.id = b.version
        JOIN package p ON p.id = v.package WHERE p.name = '{package}' ORDER BY b.id DESC LIMIT 1"""))


def explained(farm, package):
    done = farm.tool("explain", package)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- what reaches the build ----------------------------------------------------------------------------

def test_variables_and_constraints_reach_the_build_and_their_hash_the_record(farm, settings):
    settings.write("Piwtest_Tells", "# for the build's own good", "[build]", "constraint = piwtest-pure<0.2", "[environment]",
                   "PIWTEST_WORD = two words=and more")
    settings.start_master()
    farm.start_slave()
    farm.add("piwtest-tells")
    assert "built piwtest-tells" in farm.wait_built("piwtest-tells")
    log = log_of(farm, "piwtest-tells")
    assert "PIWTEST_WORD is two words=and more" in log and "it has piwtest-pure 0.1" in log
    canonical = b"constraint piwtest-pure<0.2\nvariable PIWTEST_WORD=two words=and more\n"
    record = record_of(farm, "piwtest-tells")
    assert record["override"] == hashlib.sha256(canonical).hexdigest() and record["override"] in log
    assert {one["name"]: one["version"] for one in record["required"]}["piwtest-pure"] == "0.1"
    assert record["override"][:12] in explained(farm, "piwtest-tells==0.1")


def test_without_settings_of_its_own_nothing_is_changed(farm, settings):
    settings.write("another", "[environment]", "PIWTEST_WORD = no")
    settings.start_master()
    farm.start_slave()
    farm.add("piwtest-tells")
    farm.wait_built("piwtest-tells")
    log = log_of(farm, "piwtest-tells")
    assert "PIWTEST_WORD is None" in log and "it has piwtest-pure 0.2" in log
    assert "override" not in record_of(farm, "piwtest-tells")


def test_a_limit_of_the_package_ends_its_build(farm, settings):
    settings.write("piwtest-sleeps", "[limits]", "silence = 10s", "processes = 5000")
    settings.start_master()
    farm.start_slave()
    farm.add("piwtest-sleeps")
    assert "failed, silence: the build was ended: it had printed nothing for 10 s" in farm.wait_built("piwtest-sleeps")
    limits = record_of(farm, "piwtest-sleeps")["limits"]
    assert (limits["silence_ms"], limits["processes"]) == (10000, 1024), "the slave's own limits are the most"
    assert "--processes of this slave allows 1024, less than the 5000" in log_of(farm, "piwtest-sleeps")


def test_the_time_limit_of_the_package_is_not_the_masters_but_at_most_the_slaves(farm, settings):
    settings.write(PACKAGE, "[limits]", "timeout = 2h")
    settings.start_master("--build-timeout", "1h")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().timeout_ms == 2 * 3600 * 1000


def test_a_package_may_be_kept_from_the_network(farm, settings):
    settings.write("piwtest-stdin", "[build]", "network = none")
    settings.start_master()
    farm.start_slave()
    farm.add("piwtest-stdin")
    assert "built piwtest-stdin" in farm.wait_built("piwtest-stdin")
    assert "fetched piwtest-stdin-0.1.tar.gz" in log_of(farm, "piwtest-stdin")
    assert record_of(farm, "piwtest-stdin")["network"] == "none"


def test_the_network_is_opened_only_by_a_slave_that_allows_it(farm, settings):
    settings.write("piwtest-stdin", "[build]", "network = all")
    settings.start_master()
    farm.start_slave(label="closed")
    farm.master.wait_line(r"slave \d+ \(closed\): connected")
    farm.add("piwtest-stdin")
    farm.wait_sql("SELECT count(*) FROM slave WHERE label = 'closed' AND targets <> 0", "1")
    told = explained(farm, "piwtest-stdin")
    assert "queued (waits for a slave that has network all)" in told and "closed could not: it lacks network all" in told
    farm.start_slave("--network-most", "all", label="open")
    assert "(open): built piwtest-stdin" in farm.wait_built("piwtest-stdin")
    assert record_of(farm, "piwtest-stdin")["network"] == "all"
    farm.add("piwtest-pure", "0.1")
    farm.wait_built("piwtest-pure")
    assert record_of(farm, "piwtest-pure")["network"] == "index", "other packages reach what they always do"


# ---- what a slave must have ----------------------------------------------------------------------------

def test_a_package_waits_for_a_slave_that_has_its_debian_packages(farm, settings):
    settings.write(PACKAGE, "[build]", "debian = libpiwtest-dev, dpkg", "debian = bash")
    settings.start_master()
    farm.start_slave(label="bare")
    farm.order()
    farm.wait_sql("SELECT count(*) FROM slave WHERE label = 'bare' AND targets <> 0", "1")
    farm.wait_sql("SELECT lacks FROM slave WHERE label = 'bare'", "{libpiwtest-dev}")
    told = explained(farm, PACKAGE)
    assert "queued (waits for a slave that has bash, dpkg, libpiwtest-dev)" in told
    assert "bare could not: it lacks libpiwtest-dev" in told
    with farm.scripted_slave("rich") as slave:
        slave.greet()
        slave.means("bash", "dpkg", "libpiwtest-dev", "zlib1g")
        assert slave.ask().package == PACKAGE
        assert "being built by rich" in explained(farm, PACKAGE)


def test_what_slaves_are_asked_for_may_change_while_a_package_waits(farm, settings):
    settings.write(PACKAGE, "[build]", "debian = libpiwtest-dev")
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        slave.means("bash")
        slave.idle()
        slave.expect("SLEEP")
        settings.change(PACKAGE, "[build]", "debian = bash")
        slave.expect("WAKE")
        assert slave.ask().package == PACKAGE


def test_a_slave_that_gets_the_package_meanwhile_is_handed_the_build(farm, settings):
    settings.write(PACKAGE, "[build]", "debian = libpiwtest-dev")
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        slave.means()
        slave.idle()
        slave.expect("SLEEP")
        slave.means("libpiwtest-dev")
        assert slave.ask().package == PACKAGE


def test_jobs_behind_one_that_nobody_can_build_are_built(farm, settings):
    settings.write(PACKAGE, "[build]", "debian = libpiwtest-dev")
    settings.start_master()
    farm.order()
    farm.order("piwtest-other")
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().package == "piwtest-other"


# ---- changes and mistakes ------------------------------------------------------------------------------

def test_a_mistake_changes_nothing_and_is_told_with_its_place(farm, settings):
    path = settings.write(PACKAGE, "[environment]", "PIWTEST_WORD = one")
    settings.start_master()
    line = settings.change(PACKAGE, "[environment]", "PIWTEST_WORD = two", "[limits]", "memry = 4G", said="memry")
    assert f"{path}:4: unknown key memry in [limits]; did you mean memory? (what was right before goes on)" in line
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().variables == [["PIWTEST_WORD", "one"]]


def test_what_was_never_right_holds_the_package_back_until_it_is_mended(farm, settings):
    settings.write(PACKAGE, "[build]", "network = everything")
    settings.start_master().wait_line(r"network: \"everything\" is no network.*nothing of the package is built until")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        slave.idle()
        slave.expect("SLEEP")
        assert f"its own settings cannot be used: {settings.folder}/{PACKAGE}.conf:2: network" in explained(farm, PACKAGE)
        settings.change(PACKAGE, "[build]", "network = index")
        slave.expect("WAKE")
        assert slave.ask().network == "index"


def test_a_file_that_goes_takes_its_settings_along(farm, settings):
    path = settings.write(PACKAGE, "[build]", "debian = libpiwtest-dev")
    settings.start_master()
    begun = farm.master.mark()
    path.unlink()
    farm.master.wait_line(f"overrides: {PACKAGE} has no settings of its own any more", begun)
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().override == b""


def test_the_master_looks_at_once_when_it_is_told_to(farm, settings):
    settings.start_master()
    settings.write(PACKAGE, "[environment]", "A = b")
    farm.master.signal(signal.SIGHUP)
    farm.master.wait_line("master: looks at the packages' own settings")
    farm.master.wait_line(f"overrides: {PACKAGE} has settings of its own")


def test_two_files_of_one_package_are_one_too_many(farm, settings):
    settings.write("piwtest.made", "[environment]", "A = first")
    settings.write("piwtest_made", "[environment]", "A = second")
    settings.start_master()
    farm.master.wait_line(r"overrides: .*piwtest_made\.conf: piwtest-made has another file already")
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().variables == [["A", "first"]]


# ---- what failed with other settings -------------------------------------------------------------------

def fail(slave, build):
    slave.built(build.attempt, "failed", reason="compile", detail="error", environment=[*ENVIRONMENT[:-1], build.override])
    slave.expect("DONE")


def states(farm):
    return farm.sql("SELECT string_agg(p.name || ' ' || s.state, ', ' ORDER BY p.name) FROM package p JOIN version v ON v.package = p.id "
                    "CROSS JOIN LATERAL version_state(v.id, 0::smallint) s")


def test_what_failed_is_tried_again_with_new_settings_and_nothing_else_is(farm, settings):
    settings.write("piwtest-other", "[environment]", "A = b")
    settings.start_master()
    with farm.scripted_slave() as slave:
        slave.greet()
        for package in (PACKAGE, "piwtest-other", "piwtest-third"):
            farm.order(package)
            fail(slave, slave.ask())
        assert states(farm) == f"{PACKAGE} failed, piwtest-other failed, piwtest-third failed"
        slave.idle()
        slave.expect("SLEEP")
        begun = farm.master.mark()
        settings.change(PACKAGE, "[environment]", "A = b")
        farm.master.wait_line("overrides: 1 version that failed with other settings: tried again", begun)
        slave.expect("WAKE")
        assert states(farm) == f"{PACKAGE} queued, piwtest-other failed, piwtest-third failed"
        build = slave.ask()
        assert (build.package, build.variables) == (PACKAGE, [["A", "b"]])
        fail(slave, build)
        settings.change("piwtest-other", "[environment]", "A = c")
        farm.wait_sql("SELECT count(*) FROM job", "1")
    assert states(farm) == f"{PACKAGE} failed, piwtest-other queued, piwtest-third failed"


def test_what_is_built_is_not_built_again_for_new_settings(farm, settings):
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.deliver(slave.ask().attempt, [make_wheel()], b"a log\n")[0]
    settings.change(PACKAGE, "[environment]", "A = b")
    farm.wait_sql("SELECT settings <> '' FROM override", "t")
    assert states(farm) == f"{PACKAGE} built"


def test_what_failed_with_these_very_settings_is_not_tried_again_after_a_restart(farm, settings):
    settings.write(PACKAGE, "[environment]", "A = b")
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        fail(slave, slave.ask())
    farm.master.stop()
    settings.write(PACKAGE, "[environments]")     # what it said is not known any more, until it is mended
    settings.start_master()
    settings.change(PACKAGE, "[environment]", "# the same again", "A = b")
    farm.wait_sql("SELECT wants FROM override", "{}")
    assert states(farm) == f"{PACKAGE} failed"
    farm.sql("UPDATE override SET settings = 'unknown'")     # as a level before 8 left it
    farm.master.stop()
    settings.start_master()
    assert states(farm) == f"{PACKAGE} failed"


def test_settings_that_go_are_a_change_too(farm, settings):
    path = settings.write(PACKAGE, "[environment]", "A = b")
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        fail(slave, slave.ask())
        path.unlink()
        farm.master.wait_line("1 version that failed with other settings: tried again")
        assert slave.ask().override == b""


def test_a_build_that_fails_after_its_settings_changed_is_tried_again_once(farm, settings):
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        old = slave.ask()
        settings.change(PACKAGE, "[environment]", "A = b")
        farm.wait_sql("SELECT settings <> '' FROM override", "t")
        fail(slave, old)
        assert states(farm) == f"{PACKAGE} queued"
        new = slave.ask()
        assert new.variables == [["A", "b"]]
        fail(slave, new)
    assert states(farm) == f"{PACKAGE} failed"


def test_what_waits_for_a_person_or_a_bigger_slave_is_tried_again_too(farm, settings):
    settings.start_master()
    farm.order()
    farm.order("piwtest-other")
    with farm.scripted_slave() as slave:
        slave.greet()
        farm.sql(f"""UPDATE job SET need = 'parked', tries = 5 FROM version v JOIN package p ON p.id = v.package
                WHERE v.id = job.version AND p.name = '{PACKAGE}';
            UPDATE job SET beyond_bytes = 1::bigint << 62 WHERE need IS NULL""")
        slave.idle()
        slave.expect("SLEEP")
        settings.change(PACKAGE, "[environment]", "A = b")
        slave.expect("WAKE")
        assert slave.ask().package == PACKAGE
        settings.change("piwtest-other", "[limits]", "memory = 1G")
        farm.wait_sql("SELECT count(*) FROM job WHERE beyond_bytes > 0", "0")
        assert slave.ask().package == "piwtest-other"


# ---- who says what a build had -------------------------------------------------------------------------

def test_after_a_restart_the_slave_tells_what_its_build_had(farm, settings):
    settings.write(PACKAGE, "[environment]", "A = b")
    settings.start_master()
    farm.order()
    with farm.scripted_slave() as slave:
        slave.greet()
        build = slave.ask()
    farm.master.stop()
    settings.start_master()
    with farm.scripted_slave() as slave:
        slave.greet([build.attempt])
        slave.built(build.attempt, "failed", reason="compile", detail="error", environment=[*ENVIRONMENT[:-1], build.override])
        slave.expect("DONE")
    assert record_of(farm, PACKAGE)["override"] == build.override.hex() == hashlib.sha256(b"variable A=b\n").hexdigest()
