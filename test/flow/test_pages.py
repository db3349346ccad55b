"""The pages for people: what is on them after a farm has worked, and what a browser makes of them."""
import gzip
import html.parser
import json
import os
import re

import pytest

from browser import DARK, LIGHT, dom, picture, served
from harness import Farm, piwheels
from wheels import make_wheel

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text' </title><img src=x onerror=alert(2)>"
TARGETS = [("pi4-bookworm", "cp311", "linux_armv7l", "Debian 12"), ("pi5-trixie", "cp313", "linux_aarch64", "Debian 13"),
           ("visionfive", "cp313", "linux_riscv64", "Debian 13")]


class Page(html.parser.HTMLParser):
    """The page's text, links and elements."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.links, self.words = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and tag != "link"]
        assert not any(name.startswith("on") for name, _ in attrs), attrs

    def handle_data(self, data):
        self.words.append(data)


class Nowhere:
    """A PyPI that is not there."""
    simple = json = "http://127.0.0.1:9"


def project(farm, name):
    return Page((farm.output / "project" / name / "index.html").read_text(encoding="utf-8"))


def project_json(farm, name):
    return json.loads((farm.output / "project" / name / "json" / "index.json").read_text(encoding="utf-8"))


def home(farm):
    return Page((farm.output / "index.html").read_text(encoding="utf-8"))


def wait_pages(farm):
    """Until every page that is stale now has been written: a line of the log may tell of an earlier writing of the same page."""
    farm.wait_sql("SELECT count(*) FROM stale_page", "0")


# ---- what a farm's work makes of the pages -----------------------------------------------------------

@pytest.fixture
def farm(standing_farm):
    """With the native target only, and nothing built."""
    standing_farm.forget_everything()
    standing_farm.sql("DELETE FROM package; DELETE FROM target WHERE name <> 'native'; DELETE FROM tally; "
                      "UPDATE target SET position = 0")
    return standing_farm


@pytest.fixture
def slave(farm):
    with farm.scripted_slave() as made:
        made.greet()
        yield made


def build(farm, slave, version="1.0", wheel=None, log=b"building\n", **failure):
    """One build of piwtest-made by the slave; its attempt, when all pages that it changes are written."""
    farm.order(version=version)
    attempt = slave.ask().attempt
    if failure:
        slave.fail(attempt, log=log, **failure)
    else:
        slave.deliver(attempt, [wheel], log)
    wait_pages(farm)
    return attempt


def test_a_published_wheel_is_on_the_page_and_every_link_leads_somewhere(farm, slave):
    name, data = wheel = make_wheel()
    attempt = build(farm, slave, wheel=wheel)
    page = project(farm, "piwtest-made")
    assert "pip install --extra-index-url" in page.text and "✓ built" in page.text and name in page.text
    assert f"../../logs/0000/0000/{attempt:04}.txt.gz" in page.links
    for link in page.links:
        if not link.startswith("http"):
            place = farm.output / "project" / "piwtest-made" / link.split("#")[0]
            assert (place / "index.html").exists() if link.endswith("/") else place.is_file(), link
    (file,) = project_json(farm, "piwtest-made")["releases"]["1.0"]["files"].items()
    assert file[0] == name and file[1]["filesize"] == len(data)
    assert file[1]["builder_abi"] == "cp311" and (file[1]["file_abi_tag"], file[1]["platform"]) == ("none", "any")


def test_a_failed_build_is_on_the_page_with_its_reason_and_log(farm, slave):
    attempt = build(farm, slave, reason="compile", detail="error: no such header")
    page = project(farm, "piwtest-made")
    assert "There is no wheel of it here." in page.text and "✗ failed" in page.text
    assert "compile: error: no such header" in page.text
    assert f"../../logs/0000/0000/{attempt:04}.txt.gz" in page.links
    assert not (farm.output / "simple" / "piwtest-made" / "index.html").exists()
    assert project_json(farm, "piwtest-made")["releases"]["1.0"]["targets"]["native"] == {
        "state": "failed", "reason": "compile: error: no such header"}


def test_a_new_target_has_an_index_before_anything_is_built_for_it(farm):
    assert piwheels("target", "add", "later", "--abi", "cp312", "--platform", "linux_riscv64", "-d", farm.dsn).returncode == 0
    wait_pages(farm)
    for name in ("index.html", "index.v1_json"):
        assert (farm.output / "later" / "simple" / name).read_bytes() == (farm.output / "simple" / name).read_bytes()


def test_a_package_that_was_added_has_a_page_before_anything_is_built(farm):
    farm.add("piwtest-pure", "0.2")
    wait_pages(farm)
    page = project(farm, "piwtest-pure")
    assert "There is no wheel of it here." in page.text and "… queued" in page.text
    assert not (farm.output / "simple" / "piwtest-pure").exists()


def test_the_front_page_counts_what_was_built(farm, slave):
    build(farm, slave, wheel=make_wheel())
    build(farm, slave, version="2.0", reason="compile", detail="error")
    page = home(farm)
    assert "Packages 1 1 releases" in page.text
    assert "Builds in the last hour 2 1 built, 1 failed" in page.text
    assert "project/piwtest-made/" in page.links
    assert re.search(r"piwtest-made 2\.0 native ✗ failed log", page.text)


def test_the_front_page_is_there_before_anything_has_happened(farm):
    farm.master.wait_line(r"page /: written")
    for name in ("index.html", "404.html", "style.css"):
        data = (farm.output / name).read_bytes()
        assert gzip.decompress((farm.output / (name + ".gz")).read_bytes()) == data


def test_a_package_that_is_no_more_has_no_page(farm, slave):
    build(farm, slave, wheel=make_wheel())
    farm.sql("DELETE FROM file; DELETE FROM build; DELETE FROM package; "
             "SELECT page_stale('project', 'piwtest-made'), page_stale('index', 'piwtest-made')")
    wait_pages(farm)
    assert not (farm.output / "project" / "piwtest-made").exists()


def test_other_spellings_lead_to_the_page(farm, slave):
    build(farm, slave, wheel=make_wheel())
    farm.sql("INSERT INTO package_alias (name, package) SELECT 'Piwtest.Made', id FROM package; "
             "SELECT page_stale('project', 'piwtest-made')")
    wait_pages(farm)
    assert os.readlink(farm.output / "project" / "Piwtest.Made") == "piwtest-made"


# ---- hostile words, in a browser ---------------------------------------------------------------------

def test_hostile_words_stay_words_in_a_browser(farm, slave):
    build(farm, slave, reason=HOSTILE[:60], detail=HOSTILE)
    quoted = HOSTILE.replace("'", "''")
    farm.sql(f"UPDATE package SET summary = '{quoted}', display = '{quoted}'; "
             f"UPDATE version SET version = '{quoted}', yanked = true, yanked_reason = '{quoted}', "
             f"requires_python = '{quoted}'; SELECT page_stale('project', 'piwtest-made'), page_stale('home', '')")
    wait_pages(farm)
    with served(farm.output) as site:
        for place in ("/project/piwtest-made/", "/"):
            seen = Page(dom(site + place))
            assert "img" not in seen.elements and "alert(1)" in seen.text
            assert not any("alert" in link for link in seen.links)
    project_json(farm, "piwtest-made")


# ---- the command that people copy --------------------------------------------------------------------

def test_a_browser_puts_the_address_of_the_site_into_the_command(farm, slave):
    build(farm, slave, wheel=make_wheel())
    with served(farm.output) as site:
        seen = Page(dom(site + "/project/piwtest-made/"))
    assert f"pip install --extra-index-url {site}/simple piwtest-made" in seen.text
    assert "https://HOST/simple piwtest-made HOST stands for the name" in project(farm, "piwtest-made").text


def test_the_site_url_is_in_every_command(tmp_path, postgres, database):
    other = Farm(tmp_path, postgres, database, Nowhere)
    other.start_master("--site-url", "https://wheels.example.org/")
    other.master.wait_line(r"page /: written")
    assert "pip install --extra-index-url https://wheels.example.org/simple PACKAGE" in home(other).text
    other.stop()


# ---- pictures ---------------------------------------------------------------------------------------

# As if a farm had been at it for a while: bit 1 is pi4-bookworm, 2 pi5-trixie, 3 visionfive, 0 native.
HISTORY = r"""
INSERT INTO package (name, display, summary, follow, live_files)
    VALUES ('cryptopack', 'CryptoPack', 'Fast, safe compression & encryption of archives', 'all', 40);
INSERT INTO version (package, version, sort_key, released, prerelease, yanked, yanked_reason, wanted, requires_python,
                     sdist, sdist_sha256, judged_mask, na_mask, built_mask, failed_mask)
    SELECT p.id, v.name, decode(lpad(to_hex(n), 4, '0'), 'hex'), timestamptz '2022-01-10 12:00+00' + n * interval '33 days',
           v.name ~ 'rc', n = 37, CASE WHEN n = 37 THEN 'broke unpacking on 32 bits' ELSE '' END, n > 10,
           CASE WHEN n > 30 THEN '>=3.9' ELSE '' END, 'cryptopack-' || v.name || '.tar.gz', sha256('x'), 15,
           CASE WHEN n BETWEEN 20 AND 25 THEN 12 ELSE 0 END,
           CASE WHEN n > 39 THEN 0 WHEN n IN (38, 31) THEN 6 WHEN n BETWEEN 20 AND 25 THEN 3
                WHEN n > 10 THEN 15 ELSE 0 END,
           CASE WHEN n IN (38, 31) THEN 8 ELSE 0 END
    FROM package p CROSS JOIN generate_series(1, 40) n
        CROSS JOIN LATERAL (SELECT CASE WHEN n = 40 THEN '4.0rc1' ELSE (n / 10) || '.' || n % 10 || '.0' END AS name) v
    WHERE p.name = 'cryptopack';
INSERT INTO slave (label) VALUES ('pi4-a') ON CONFLICT DO NOTHING;
INSERT INTO build (id, version, target, slave, started, finished, outcome, class, detail, wall_ms, log_bytes)
    SELECT nextval('attempt_id'), v.id, t.id, s.id, now() - interval '2 hours', now() - interval '1 minute' * random() * 50,
           CASE WHEN (v.built_mask >> t.id) & 1 = 1 THEN 'success' ELSE 'failed' END, 'compiler',
           'cryptopack/_aes.c:211:10: fatal error: immintrin.h: No such file or directory', 48000 + 1000 * t.id, 1
    FROM package p JOIN version v ON v.package = p.id JOIN target t ON ((v.built_mask | v.failed_mask) >> t.id) & 1 = 1
        JOIN slave s ON s.label = 'pi4-a'
    WHERE p.name = 'cryptopack' AND t.name <> 'native' ORDER BY v.sort_key, t.id;
INSERT INTO file (path, name, attempt, version, target, state, size_bytes, sha256, metadata_sha256, requires_python)
    SELECT 'simple/cryptopack/' || f.name, f.name, b.id, v.id, t.id, 'live', 812345 + 1000 * b.id, sha256(f.name::bytea),
           sha256('m'), v.requires_python
    FROM build b JOIN version v ON v.id = b.version JOIN package p ON p.id = v.package JOIN target t ON t.id = b.target
        CROSS JOIN LATERAL (SELECT 'cryptopack-' || v.version || '-' || t.abi || '-' || t.abi || '-' || t.platform || '.whl'
                            AS name) f
    WHERE p.name = 'cryptopack' AND b.outcome = 'success';
SELECT versions_settle(array_agg(v.id)) FROM version v JOIN package p ON p.id = v.package
    WHERE p.name = 'cryptopack' AND v.version = '4.0rc1';
UPDATE job SET attempt = nextval('attempt_id'), slave = (SELECT id FROM slave WHERE label = 'pi4-a'), started = now(),
    lease_until = now() + interval '1 hour' WHERE version IN (SELECT id FROM version WHERE version = '4.0rc1');
SELECT tally_add(ROW (NULL, 118, 1, 0, 1, 29, 118, 96000000)::tally);
"""


@pytest.fixture(scope="module")
def gallery(module_farm):
    """A package with a long history, as it is after months, and many builds."""
    farm = module_farm
    for name, abi, platform, label in TARGETS:
        assert piwheels("target", "add", name, "--abi", abi, "--platform", platform, "--label", label, "-d",
                        farm.dsn).returncode == 0
    farm.sql("UPDATE target SET position = position + 10 WHERE name = 'native'")
    farm.sql(HISTORY)
    farm.sql("SELECT page_stale('project', 'cryptopack'), page_stale('home', '')")
    wait_pages(farm)
    return farm


def width_of(farm, place, width):
    """The width that the page needs in a window of this one."""
    (farm.output / "probe.html").write_text(f'<iframe src="{place}" width="{width}" height="800" onload="document.title = '
                                            'this.contentDocument.documentElement.scrollWidth"></iframe>', encoding="utf-8")
    with served(farm.output) as site:
        return int(re.search(r"<title>(\d+)</title>", dom(site + "/probe.html")).group(1))


@pytest.mark.parametrize("place", ["/", "/project/cryptopack/"])
@pytest.mark.parametrize("width", [1000, 360])
def test_a_page_is_as_wide_as_its_window(gallery, place, width):
    assert width_of(gallery, place, width) == width


@pytest.fixture
def many_targets(gallery):
    """Ten more of them, until the test has ended."""
    def write_again():
        gallery.sql("SELECT page_stale('project', 'cryptopack')")
        wait_pages(gallery)
    gallery.sql("""INSERT INTO target (id, name, abi, platform, label, position)
        SELECT 20 + n, 'of-a-longer-name-' || n, 'cp312', 'linux_aarch64', 'Distribution ' || n, 20 + n FROM generate_series(1, 10) n""")
    write_again()
    yield gallery
    gallery.sql("DELETE FROM target WHERE id > 20")
    write_again()


@pytest.mark.parametrize("width", [1000, 360])
def test_a_page_of_many_targets_is_as_wide_as_its_window(many_targets, width):
    assert width_of(many_targets, "/project/cryptopack/", width) == width


@pytest.mark.parametrize("scheme, word", [(LIGHT, "light"), (DARK, "dark")])
@pytest.mark.parametrize("place, name", [("/", "home"), ("/project/cryptopack/", "project")])
@pytest.mark.parametrize("width", [1000, 360])
def test_pictures_of_the_pages(gallery, tmp_path, place, name, scheme, word, width):
    with served(gallery.output) as site:
        corner = picture(site + place, tmp_path / f"{name}-{word}-{width}.png", scheme=scheme, width=width, height=1500)
    assert sum(corner) > 600 if scheme == LIGHT else sum(corner) < 200
