"""Wheels whose names do not tell their distribution: each target's index names what runs there, and no name ever means two files
in one place."""
import contextlib
import html
import json
import re
import urllib.parse

import psycopg2
import pytest

from changelog import clear, quarantine
from elf import V7, arm_object
from harness import PYTHON, clean_environment, piwheels, run
from protocol import announced
from webserver import nginx_serves, python_serves
from wheels import make_wheel, metadata_of

PACKAGE = "piwtest-made"
STEM = "piwtest_made-1.0"
OLD, NEW = "bookworm", "trixie"
ABI3 = "cp311-abi3-linux_armv7l"
CODE = {"piwtest_made.so": arm_object(V7)}


class Site:
    """A farm with two distributions on one platform; the master runs."""

    def __init__(self, farm):
        self.farm = farm
        done = piwheels("target", "skip", "native", "not here", "-d", farm.dsn)
        assert done.returncode == 0, done.stderr
        self.add_target(OLD, "cp311", "Debian 12", "2.36")
        self.add_target(NEW, "cp313", "Debian 13", "2.41")
        farm.start_master()

    def add_target(self, name, abi, label, glibc, platform="linux_armv7l"):
        done = piwheels("target", "add", name, "--abi", abi, "--platform", platform, "--label", label, "--glibc", glibc, "-d",
                        self.farm.dsn)
        assert done.returncode == 0, done.stderr

    def deliver(self, wheel, abi="cp311", apt=(), order=True):
        """What DONE says of a wheel that the slave of this ABI builds, when the index is written."""
        if order:
            self.farm.order()
        with self.farm.scripted_slave(label=f"of-{abi}", offers=[[abi, "linux_armv7l", "3"]]) as slave:
            slave.greet()
            build = slave.ask()
            slave.built(build.attempt, files=[(*announced(*wheel), "".join(f"{name}\n" for name in apt))])
            good, text = slave.hand_over(build.attempt, [wheel])
        assert good, text
        self.settle()
        return text

    def preinstall(self, target, text):
        """Says that the target's machines have these packages."""
        path = self.farm.directory / "preinstalled"
        path.write_text(text)
        assert piwheels("target", "preinstalled", target, path, "-d", self.farm.dsn).returncode == 0

    @contextlib.contextmanager
    def shut(self):
        """A gate before build_publish, where it has locked nothing yet that others may want; shut inside."""
        self.farm.sql("""DO $$
            DECLARE whole text := pg_get_functiondef('build_publish'::regproc);
            BEGIN
                EXECUTE replace(whole, 'build_publish', 'build_publish_behind');
                EXECUTE format('CREATE OR REPLACE FUNCTION build_publish(%s) RETURNS SETOF boolean LANGUAGE plpgsql SECURITY DEFINER AS '
                               '%L', pg_get_function_arguments('build_publish'::regproc),
                               'BEGIN PERFORM pg_advisory_xact_lock(1);
                                RETURN QUERY SELECT * FROM piwheels.build_publish_behind($1, $2, $3, $4, $5, $6, $7, $8, $9); END');
            END $$""")
        with contextlib.closing(psycopg2.connect(self.farm.postgres.dsn(self.farm.database))) as keeper:
            keeper.cursor().execute("SELECT pg_advisory_lock(1)")
            yield

    @contextlib.contextmanager
    def being_published(self, wheel, apt):
        """Inside, the old distribution's wheel stands in the tree and is about to become public."""
        self.farm.order()
        with self.farm.scripted_slave(label="of-cp311", offers=[["cp311", "linux_armv7l", "3"]]) as slave:
            slave.greet()
            attempt = slave.ask().attempt
            slave.built(attempt, files=[(*announced(*wheel), apt)])
            slave.expect("SEND")
            with self.shut():
                slave.send_file(attempt, 0, wheel[1])
                self.farm.wait_blocked("build_publish")
                assert self.farm.sql("SELECT state, apart FROM file") == "publishing|f"
                yield
            assert slave.expect("DONE")[1]
        self.settle()

    def settle(self):
        self.farm.wait_sql("SELECT count(*) FROM stale_page WHERE kind IN ('index', 'root')", "0")

    def names(self, place):
        """Link to bytes, as a browser at the place would follow it."""
        folder = self.farm.output / place / PACKAGE
        if not (folder / "index.html").exists():
            return None
        found = {}
        for link in re.findall(r'href="([^"#]*)', (folder / "index.html").read_text()):
            path = urllib.parse.urljoin(f"/{place}/{PACKAGE}/", html.unescape(link))
            found[path] = (self.farm.output / path.lstrip("/")).read_bytes()
            assert (self.farm.output / (path + ".metadata").lstrip("/")).read_bytes() == metadata_of(found[path])
        told = json.loads((folder / "index.v1_json").read_text())["files"]
        assert [urllib.parse.urljoin(f"/{place}/{PACKAGE}/", one["url"]) for one in told] == list(found)
        return found

    def built(self):
        assert self.farm.sql("SELECT * FROM facts_check(0, 1000) WHERE what = 'built_mask'") == ""
        return self.farm.sql("SELECT string_agg(t.name, ' ' ORDER BY t.id) FROM version v JOIN target t "
                             "ON (v.built_mask >> t.id) & 1 = 1")


@pytest.fixture
def site(farm):
    return Site(farm)


def test_what_runs_everywhere_is_in_the_index_of_all_and_serves_all(site):
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libc6"])
    for place in ("simple", f"{OLD}/simple", f"{NEW}/simple"):
        assert list(site.names(place).values()) == [data]
    assert (site.farm.output / NEW / "simple").is_symlink() and site.built() == f"{OLD} {NEW}"


def test_what_needs_a_library_that_another_target_may_not_have_is_for_its_own(site):
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libc6", "libssl3"])
    assert site.names("simple") is None and site.names(f"{NEW}/simple") is None
    assert site.names(f"{OLD}/simple") == {f"/{OLD}/wheels/{PACKAGE}/{name}": data}
    assert site.built() == OLD and PACKAGE not in (site.farm.output / "simple/index.html").read_text()
    assert f'href="{PACKAGE}/"' in (site.farm.output / OLD / "simple/index.html").read_text()


def test_what_is_preinstalled_on_a_newer_distribution_runs_there(site):
    site.preinstall(NEW, "libssl3\n")
    site.deliver(make_wheel(tag=ABI3, more=CODE), apt=["libc6", "libssl3", "libstdc++6"])
    assert site.built() == f"{OLD} {NEW}" and len(site.names("simple")) == 1


def test_what_was_built_for_a_newer_libc_does_not_mislead_an_older(site):
    """A name that fits no older Python misleads nobody; one that does is for its own target."""
    site.add_target("bullseye", "cp313", "Debian 11", "2.31")
    site.farm.sql("UPDATE target SET skip = 'first the other' WHERE name IN ('bookworm', 'bullseye')")
    name, data = make_wheel(tag="cp313-cp313-linux_armv7l", more=CODE)
    site.deliver((name, data), abi="cp313", apt=["libc6", "libstdc++6"])
    assert site.names("simple") is None and list(site.names(f"{NEW}/simple")) == [f"/{NEW}/wheels/{PACKAGE}/{name}"]


def test_each_distribution_has_its_own_bytes_under_one_name(site):
    name, first = make_wheel(tag=ABI3, more=CODE)
    _, second = make_wheel(tag=ABI3, more=CODE, content=b"answer = 'trixie'\n")
    site.deliver((name, first), apt=["libssl3"])
    site.deliver((name, second), abi="cp313", apt=["libssl3t64"], order=False)
    assert list(site.names(f"{OLD}/simple").values()) == [first]
    assert list(site.names(f"{NEW}/simple").values()) == [second]
    assert site.built() == f"{OLD} {NEW}"


def test_a_name_taken_by_another_distribution_never_changes_its_bytes(site):
    """The first was published when there was no other target of its platform."""
    site.farm.sql(f"UPDATE target SET platform = 'linux_aarch64' WHERE name = '{NEW}'")
    name, first = make_wheel(tag=ABI3, more=CODE)
    _, second = make_wheel(tag=ABI3, more=CODE, content=b"answer = 'trixie'\n")
    site.deliver((name, first), apt=["libc6"])
    site.farm.sql(f"UPDATE target SET platform = 'linux_armv7l' WHERE name = '{NEW}'")
    site.farm.sql("SELECT versions_settle(array_agg(id)) FROM version")
    assert "published" in site.deliver((name, second), abi="cp313", apt=["libc6"], order=False)
    assert site.names("simple") == {f"/simple/{PACKAGE}/{name}": first}
    assert site.names(f"{OLD}/simple") == {f"/{OLD}/simple/{PACKAGE}/{name}": first}, "still a link to the index of all"
    assert site.names(f"{NEW}/simple") == {f"/{NEW}/wheels/{PACKAGE}/{name}": second}


def test_an_address_below_a_targets_index_is_good_when_the_index_comes_to_differ(site):
    """Who has noted it, or has the old page in a cache, has the link to /simple in mind."""
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libc6"])
    assert list(site.names(f"{OLD}/simple")) == [f"/{OLD}/simple/{PACKAGE}/{name}"]
    later = make_wheel(tag="cp311-none-linux_armv7l", more=CODE, content=b"answer = 43\n")
    assert site.farm.tool("rebuild", "-y", PACKAGE, "--target", OLD).returncode == 0
    site.farm.sql(f"UPDATE target SET abi = 'cp311' WHERE name = '{NEW}'")
    site.deliver(later, apt=["libssl3"], order=False)
    assert list(site.names(f"{OLD}/simple")) == [f"/simple/{PACKAGE}/{name}", f"/{OLD}/wheels/{PACKAGE}/{later[0]}"]
    for path in (name, f"{name}.metadata"):
        kept = site.farm.output / OLD / "simple" / PACKAGE / path
        assert kept.read_bytes() == (site.farm.output / "simple" / PACKAGE / path).read_bytes()
    assert site.farm.tool("remove", "-y", PACKAGE).returncode == 0
    site.settle()
    assert not (site.farm.output / OLD / "simple" / PACKAGE).exists()


def add_later(site, name="later", abi="cp313", label="Debian 14", glibc="2.43"):
    """A target that comes when there are files already; the file's own address."""
    site.add_target(name, abi, label, glibc)
    site.settle()
    return site.farm.sql(f"SELECT state FROM target t, package_states((SELECT id FROM package)) s WHERE t.name = '{name}' "
                         "AND s.target = t.id")


def test_a_target_that_comes_later_is_served_by_what_runs_there(site):
    pure, compiled = make_wheel(), make_wheel(tag=ABI3, more=CODE)
    for wheel, order in ((pure, True), (compiled, False)):
        site.farm.sql(f"UPDATE version SET built_mask = 0; UPDATE target SET skip = 'not now' WHERE name = '{NEW}'")
        site.farm.sql("SELECT versions_settle(array_agg(id)) FROM version")
        site.deliver(wheel, apt=["libc6"], order=order)
        assert add_later(site, name=f"later-{wheel[0][-6:-4]}") == "built"
    assert len(site.names("simple")) == 2 and site.farm.sql("SELECT apart_files FROM package") == "0"


def test_what_would_mislead_a_target_that_comes_later_leaves_the_index_of_all_but_not_its_place(farm):
    site = Site(farm)
    farm.sql(f"UPDATE target SET platform = 'linux_aarch64' WHERE name = '{NEW}'")
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libssl3"])
    assert list(site.names("simple")) == [f"/simple/{PACKAGE}/{name}"]
    assert add_later(site) == "queued"
    assert site.names("simple") is None and site.names("later/simple") is None
    assert site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}
    assert PACKAGE not in (farm.output / "simple/index.html").read_text()
    told = piwheels("check", "-d", farm.dsn)
    assert told.returncode == 0, told.stdout
    other, second = make_wheel(tag=ABI3, more=CODE, content=b"answer = 'later'\n")
    site.deliver((other, second), abi="cp313", apt=["libssl3t64"], order=False)
    assert other == name and site.names("later/simple") == {f"/later/wheels/{PACKAGE}/{name}": second}
    assert site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}


@pytest.mark.parametrize("wheel, apt, is_shared, built", [
    (make_wheel(tag=ABI3, more=CODE), "libssl3\n", False, OLD),
    (make_wheel(tag=ABI3, more=CODE), "libc6\n", True, f"{OLD} later"),
    (make_wheel(), "", True, f"native {OLD} {NEW} later")], ids=["misleads", "runs there", "pure"])
def test_a_file_is_judged_by_the_targets_of_its_last_day_not_of_its_slaves_first_word(farm, wheel, apt, is_shared, built):
    site = Site(farm)
    farm.sql(f"UPDATE target SET platform = 'linux_aarch64' WHERE name = '{NEW}'")
    farm.order()
    with farm.scripted_slave(label="of-cp311", offers=[["cp311", "linux_armv7l", "3"]]) as slave:
        slave.greet()
        attempt = slave.ask().attempt
        site.add_target("later", "cp313", "Debian 14", "2.43")
        slave.built(attempt, files=[(*announced(*wheel), apt)])
        assert slave.hand_over(attempt, [wheel])[0]
    site.settle()
    assert (site.names("simple") is not None) == is_shared and list(site.names(f"{OLD}/simple").values()) == [wheel[1]]
    assert site.built() == built


def test_a_file_that_is_just_being_published_is_held_against_a_new_target(farm):
    site = Site(farm)
    farm.sql(f"UPDATE target SET platform = 'linux_aarch64' WHERE name = '{NEW}'")
    name, data = wheel = make_wheel(tag=ABI3, more=CODE)
    with site.being_published(wheel, "libssl3\n"):
        site.add_target("later", "cp313", "Debian 14", "2.43")
    assert site.names("simple") is None and site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}
    assert farm.sql("SELECT live_files, apart_files FROM package") == "1|1"


def test_what_is_no_longer_preinstalled_is_missed_by_what_needs_it(site):
    """The file leaves the index of all, and the target that has lost it is built for."""
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.preinstall(NEW, "libssl3\nlibz1\n")
    site.deliver((name, data), apt=["libc6", "libssl3"])
    assert site.built() == f"{OLD} {NEW}" and len(site.names("simple")) == 1
    for left, built in (("libssl3\n", f"{OLD} {NEW}"), ("", OLD)):
        site.preinstall(NEW, left)
        site.settle()
        assert site.built() == built
    assert site.names("simple") is None and site.names(f"{NEW}/simple") is None
    assert site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}
    assert site.farm.sql("SELECT t.name FROM job JOIN target t ON t.id = job.target") == NEW
    assert "not judged yet" not in piwheels("target", "list", "-d", site.farm.dsn).stdout


@pytest.mark.parametrize("wheel, apt, is_shared, built", [
    (make_wheel(tag=ABI3, more=CODE), "libssl3", False, OLD),
    (make_wheel(tag=ABI3, more=CODE), "libc6", True, f"{OLD} {NEW} later"),
    (make_wheel(), "libc6", True, f"native {OLD} {NEW} later")], ids=["misleads", "runs there", "pure"])
def test_what_is_withheld_when_a_target_comes_returns_as_it_is_right_for_that(site, wheel, apt, is_shared, built):
    farm = site.farm
    site.preinstall(NEW, "libssl3\n")
    site.deliver(wheel, apt=[apt])
    quarantine(farm, PACKAGE)
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    site.add_target("later", "cp313", "Debian 14", "2.43")
    assert site.built() == built
    clear(farm, PACKAGE)
    farm.wait_sql("SELECT state FROM file", "live")
    site.settle()
    assert site.built() == built and (site.names("simple") is not None) == is_shared
    assert list(site.names(f"{OLD}/simple").values()) == [wheel[1]]
    assert farm.sql("SELECT live_files, apart_files FROM package") == f"1|{0 if is_shared else 1}"
    assert piwheels("check", "-d", farm.dsn).returncode == 0


def test_what_is_withheld_when_machines_come_to_have_less_returns_for_its_own_target(site):
    farm = site.farm
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.preinstall(NEW, "libssl3\n")
    site.deliver((name, data), apt=["libc6", "libssl3"])
    quarantine(farm, PACKAGE)
    farm.wait_sql("SELECT state, hidden FROM file", "withheld|t")
    site.preinstall(NEW, "")
    clear(farm, PACKAGE)
    farm.wait_sql("SELECT state FROM file", "live")
    site.settle()
    assert site.built() == OLD and site.names("simple") is None
    assert site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}
    assert farm.sql("SELECT t.name FROM job JOIN target t ON t.id = job.target") == NEW


def test_what_is_just_being_published_when_machines_come_to_have_less_serves_only_its_own(site):
    farm = site.farm
    site.preinstall(NEW, "libssl3\n")
    name, data = wheel = make_wheel(tag=ABI3, more=CODE)
    with site.being_published(wheel, "libssl3\n"):
        site.preinstall(NEW, "")
    assert site.built() == OLD and site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}


# ---- a target that changes ----

def relabel(site, name, label):
    """Says target add again, with the other label."""
    abi, platform = site.farm.sql(f"SELECT abi, platform FROM target WHERE name = '{name}'").split("|")
    done = piwheels("target", "add", name, "--abi", abi, "--platform", platform, "--label", label, "-d", site.farm.dsn)
    site.settle()
    assert "not judged yet" not in piwheels("target", "list", "-d", site.farm.dsn).stdout
    assert piwheels("check", "-d", site.farm.dsn).returncode == 0
    return done


def waits_for_a_build(site):
    return site.farm.sql("SELECT t.name FROM job JOIN target t ON t.id = job.target ORDER BY 1").split()


def test_a_target_that_comes_to_be_of_a_distribution_has_its_files_and_loses_them_with_it(site):
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.add_target("kin", "cp313", "Debian 12.5", "2.36")
    site.deliver((name, data), apt=["libssl3"])
    for label, built, seen in (("Debian 12", f"{OLD} kin", {f"/{OLD}/wheels/{PACKAGE}/{name}": data}), ("Devuan 12", OLD, None)):
        assert relabel(site, "kin", label).returncode == 0
        assert site.built() == built and site.names("kin/simple") == seen
        assert ("kin" in waits_for_a_build(site)) == (seen is None)
    assert list(site.names(f"{OLD}/simple").values()) == [data]


def test_a_new_target_of_a_distribution_has_its_files_that_are_apart(site):
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libssl3"])
    assert add_later(site, name="kin", label="Debian 12", glibc="2.36") == "built"
    assert site.names("kin/simple") == {f"/{OLD}/wheels/{PACKAGE}/{name}": data}


def test_a_target_that_leaves_its_distribution_is_no_more_misled_by_its_files(site):
    """Nor is there a file for all any more, when it does not run on that target."""
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.add_target("kin", "cp313", "Debian 12", "2.36")
    site.preinstall(NEW, "libssl3\n")
    site.deliver((name, data), apt=["libssl3"])
    assert site.built() == f"{OLD} {NEW} kin" and len(site.names("simple")) == 1
    assert relabel(site, "kin", "Devuan 12").returncode == 0
    assert site.built() == OLD and waits_for_a_build(site) == ["kin", NEW]
    assert [site.names(place) for place in ("simple", "kin/simple", f"{NEW}/simple")] == [None, None, None]
    assert site.names(f"{OLD}/simple") == {f"/simple/{PACKAGE}/{name}": data}


def test_a_target_whose_files_would_go_to_others_by_its_new_label_has_them_judged_for_these(site):
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libssl3"])
    assert relabel(site, OLD, "Debian 13").returncode == 0
    assert site.built() == f"{OLD} {NEW}" and site.names(f"{NEW}/simple") == {f"/{OLD}/wheels/{PACKAGE}/{name}": data}
    assert relabel(site, OLD, "Debian 12").returncode == 0
    assert site.built() == OLD and site.names(f"{NEW}/simple") is None and waits_for_a_build(site) == [NEW]


def test_a_label_by_which_a_name_would_mean_another_file_is_refused(site):
    name, first = make_wheel(tag=ABI3, more=CODE)
    _, second = make_wheel(tag=ABI3, more=CODE, content=b"answer = 'trixie'\n")
    site.add_target("kin", "cp313", "Debian 12", "2.36")
    site.deliver((name, first), apt=["libssl3"])
    site.deliver((name, second), abi="cp313", apt=["libssl3t64"], order=False)
    done = relabel(site, "kin", "Debian 13")
    assert done.returncode == 1 and 'the label of target kin stays "Debian 12"' in done.stderr, done.stderr
    assert "add a target of another name" in done.stderr
    assert list(site.names("kin/simple").values()) == [first] and list(site.names(f"{NEW}/simple").values()) == [second]
    assert relabel(site, "kin", "Debian 12").returncode == 0


def test_a_target_of_a_newer_libc_has_its_files_judged_for_the_others(site):
    """What else they need is taken to be there only on a distribution that is no older."""
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libc6", "libstdc++6"])
    assert site.built() == f"{OLD} {NEW}" and len(site.names("simple")) == 1
    site.add_target(OLD, "cp311", "Debian 12", "2.42")
    site.settle()
    assert site.built() == OLD and site.names("simple") is None and waits_for_a_build(site) == [NEW]
    assert "not judged yet" not in piwheels("target", "list", "-d", site.farm.dsn).stdout


def test_other_packages_are_found_in_an_index_that_differs(site):
    before, after = make_wheel("piwtest-before"), make_wheel("piwtest-after")
    for package, wheel in (("piwtest-before", before), (PACKAGE, make_wheel(tag=ABI3, more=CODE)), ("piwtest-after", after)):
        site.farm.order(package)
        site.deliver(wheel, apt=[] if wheel in (before, after) else ["libssl3"], order=False)
    root = (site.farm.output / OLD / "simple/index.html").read_text()
    for package, (name, data) in (("piwtest-before", before), ("piwtest-after", after)):
        assert (site.farm.output / OLD / "simple" / package / name).read_bytes() == data
        assert (site.farm.output / OLD / "simple" / package / "index.html").exists() and f'href="{package}/"' in root
    assert (site.farm.output / NEW / "simple").is_symlink()


def test_what_is_withdrawn_leaves_the_targets_index_and_then_the_tree(site):
    name, data = make_wheel(tag=ABI3, more=CODE)
    site.deliver((name, data), apt=["libssl3"])
    begun = site.farm.master.mark()
    assert site.farm.tool("remove", "-y", PACKAGE).returncode == 0
    site.farm.master.wait_line(f"{OLD}/wheels/{PACKAGE}/{name}: taken out of the tree", begun)
    site.settle()
    assert site.names(f"{OLD}/simple") is None and not (site.farm.output / OLD / "wheels").exists()
    assert PACKAGE not in (site.farm.output / OLD / "simple/index.html").read_text()


def test_a_rebuild_for_one_target_takes_the_next_build_tag_there(site):
    first, second = make_wheel(tag=ABI3, more=CODE), make_wheel(tag=ABI3, more=CODE, content=b"answer = 43\n")
    site.deliver(first, apt=["libssl3"])
    assert site.farm.tool("rebuild", "-y", f"{PACKAGE}", "--target", OLD).returncode == 0
    site.deliver(second, apt=["libssl3"], order=False)
    assert set(site.names(f"{OLD}/simple")) == {f"/{OLD}/wheels/{PACKAGE}/{STEM}-{ABI3}.whl",
                                                 f"/{OLD}/wheels/{PACKAGE}/{STEM}-1-{ABI3}.whl"}


def test_the_page_for_people_says_where_it_is(site):
    name, _ = make_wheel(tag=ABI3, more=CODE)
    site.deliver(make_wheel(tag=ABI3, more=CODE), apt=["libssl3"])
    site.farm.wait_sql("SELECT count(*) FROM stale_page", "0")
    page = (site.farm.output / "project" / PACKAGE / "index.html").read_text()
    assert f'data-index="../../{OLD}/simple"' in page and f"only in the index of <b>{OLD}</b>" in page
    assert f'href="../../{OLD}/wheels/{PACKAGE}/{name}#sha256=' in page and 'data-index="../../simple"' not in page
    told = json.loads((site.farm.output / "project" / PACKAGE / "json/index.json").read_text())
    file = told["releases"]["1.0"]["files"][name]
    assert file["apart"] and file["file_url"] == f"../../../{OLD}/wheels/{PACKAGE}/{name}"


def test_facts_can_be_worked_out_again(site):
    site.deliver(make_wheel(tag=ABI3, more=CODE), apt=["libssl3"])
    site.farm.sql("UPDATE package SET apart_files = 7, live_files = 9")
    assert "apart files" in site.farm.sql("SELECT what FROM facts_repair(0, 1000)")
    assert site.farm.sql("SELECT live_files, apart_files FROM package") == "1|1"


def build_on(farm, target, wheel):
    """Delivered by a slave of the target, the only one that is built for."""
    farm.sql(f"""UPDATE target SET skip = CASE WHEN name = '{target}' THEN NULL ELSE 'its turn will come' END;
        SELECT versions_settle(array_agg(id)) FROM version""")
    with farm.scripted_slave(label=target) as slave:
        slave.greet()
        build = slave.ask()
        slave.built(build.attempt, files=[(*announced(*wheel), "libssl3\n")])
        good, text = slave.hand_over(build.attempt, [wheel])
    assert good, text


@pytest.fixture(params=["nginx", "python"])
def serve(request, tmp_path):
    return lambda output: nginx_serves(output, tmp_path) if request.param == "nginx" else python_serves(output)


def test_pip_installs_the_right_bytes_from_each_index(farm, serve, tmp_path):
    """Two distributions of this very machine."""
    abi, platform = farm.sql("SELECT abi, platform FROM target").split("|")
    farm.sql("UPDATE target SET label = 'Debian 12', glibc = '2.31'")
    done = piwheels("target", "add", "other", "--abi", abi, "--platform", platform, "--label", "Debian 11", "--glibc", "2.31",
                    "-d", farm.dsn)
    assert done.returncode == 0, done.stderr
    farm.start_master()
    farm.order()
    texts = {"native": b"answer = 'native'\n", "other": b"answer = 'other'\n"}
    for target, text in texts.items():
        build_on(farm, target, make_wheel(tag=f"{abi}-none-{platform}", content=text, more={"data.so": arm_object(V7)}))
    farm.wait_sql("SELECT count(*) FROM stale_page WHERE kind IN ('index', 'root')", "0")
    with serve(farm.output) as url:
        for target, text in texts.items():
            done = run(PYTHON, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--no-deps", "--target", tmp_path / target,
                       "--index-url", f"{url}/{target}/simple", PACKAGE, env=clean_environment(), limit_s=120)
            assert done.returncode == 0, done.stderr
            assert (tmp_path / target / "piwtest_made.py").read_bytes() == text
