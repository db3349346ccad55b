"""Summaries of projects come by themselves, and nothing waits for them."""


def summary(farm, package):
    return farm.sql(f"SELECT coalesce(summary, 'unknown') FROM package WHERE name = '{package}'")


def misbehave(pypi, kind, argument=None):
    pypi.sql("INSERT INTO behaviour (path_prefix, kind, argument) VALUES ('/pypi/piwtest-pure/json', ?, ?)", kind, argument)


def asked(pypi):
    """Whose summaries were asked for, each once."""
    return {row[0] for row in pypi.sql("SELECT path FROM request WHERE path LIKE '/pypi/%/json'")}


def test_a_build_does_not_wait_for_a_summary_that_never_comes(farm, pypi):
    misbehave(pypi, "stall")
    farm.start_master()
    farm.add("piwtest-pure")
    with farm.scripted_slave() as slave:
        slave.greet()
        assert slave.ask().package == "piwtest-pure"
    assert summary(farm, "piwtest-pure") == "unknown"


def test_a_summary_that_could_not_be_had_comes_later_and_is_on_the_page(farm, pypi):
    misbehave(pypi, "status", "503")
    farm.start_master("-v")
    farm.add("piwtest-pure")
    farm.master.wait_line("piwtest-pure: no summary \\(status 503\\)")
    pypi.sql("DELETE FROM behaviour")
    farm.wait_sql("SELECT summary FROM package WHERE name = 'piwtest-pure'", "Pure Python, in several versions")
    page = farm.output / "project" / "piwtest-pure" / "index.html"
    while True:
        mark = farm.master.mark()
        if page.exists() and "Pure Python, in several versions" in page.read_text():
            break
        farm.master.wait_line("page /project/piwtest-pure/: written", mark)


def test_what_the_json_api_does_not_have_has_no_summary(farm, pypi):
    misbehave(pypi, "status", "404")
    farm.start_master()
    farm.add("piwtest-pure")
    farm.wait_sql("SELECT summary = '' AND summary_at IS NULL FROM package WHERE name = 'piwtest-pure'", "t")


def test_only_packages_with_a_page_of_ours_are_asked_about(farm, pypi):
    farm.start_master(follow="all")
    newest = pypi.sql("SELECT max(serial) FROM event")[0][0]
    farm.wait_sql("SELECT max(serial) FROM event_cursor", str(newest))
    farm.add("piwtest-pure")
    farm.wait_sql("SELECT summary FROM package WHERE name = 'piwtest-pure'", "Pure Python, in several versions")
    assert asked(pypi) == {"/pypi/piwtest-pure/json"}
