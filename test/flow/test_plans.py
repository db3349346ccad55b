"""What is asked all day long reads a few pages only, however long the queue is: whatever the server knew of the tables when it
made its plans, and while somebody holds an old snapshot, so that thousands of jobs that were handed out are still in the
indexes.
"""
import contextlib
import itertools
import re

import psycopg2
import pytest

from harness import ROOT, piwheels

JOBS = 60_000
PAGES = 400         # the tables have some thousands
FRESH = itertools.count(1_000_000)
EVENT = "\t".join(["{0}", "1700000000", "{1}", "many", "many", "9.{0}", "\\\\x{0:08x}", "f", "f", "{2}", "\\N", "\\N"])

# The server looks at no table of its own accord: plans, and what they cost, would change with that.
BY_HAND = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'piwheels'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', name);
    END LOOP; END $$;"""

FILL = f"""
    SET search_path = piwheels;
    SELECT target_add('t0', 'cp311', 'linux_x86_64', '');
    SELECT slave_seen('s', '', '', '', 1);
    ANALYZE job, version, build, package;
    INSERT INTO package (name, display) SELECT 'p' || n, 'p' || n FROM generate_series(1, 5000) n;
    INSERT INTO package (name, display) VALUES ('many', 'many');
    INSERT INTO version (package, version, sort_key, wanted, sdist, judged_mask)
        SELECT 1 + n % 5000, '2.' || n, int4send(n), true, 'x', -1 FROM generate_series(1, {JOBS}) n;
    INSERT INTO job (version, target, rank, need, ready_at)
        SELECT id, 0, id, CASE WHEN id > {JOBS // 2} THEN CASE id % 2 WHEN 0 THEN 'later' ELSE 'info' END END,
               CASE WHEN id > {JOBS // 2} AND id % 2 = 0 THEN now() + interval '1 day' ELSE now() END
        FROM version;
    INSERT INTO build (id, version, target, slave, started, outcome) SELECT id + 2000000, id, 0, 1, now(), 'farm' FROM version;
    UPDATE configuration SET follows = 'all', settle_ms = 0;"""


CHOOSY = f"""
    UPDATE slave SET lacks = ARRAY['a', 'b'], memory_bytes = 1000;
    INSERT INTO version (package, version, sort_key, wanted, sdist, judged_mask)
        SELECT 1 + n % 5000, '3.' || n, int4send(1000000 + n), true, 'x', -1 FROM generate_series(1, {JOBS // 2}) n;
    UPDATE job SET rank = {2 * JOBS} + rank;
    INSERT INTO job (version, target, rank, wants, beyond_bytes)
        SELECT id, 0, id, CASE WHEN id % 2 = 0 THEN ARRAY['a', 'also ' || id % 20] END, CASE WHEN id % 2 = 1 THEN 2000 + id % 5 ELSE 0 END
        FROM version WHERE version LIKE '3.%';"""


class Queue:
    def __init__(self, postgres, connection):
        self.postgres = postgres
        self.cursor = connection.cursor()
        self.front = (0, 0)
        self.serial = 0

    def run(self, statement):
        self.cursor.execute(statement)
        return self.cursor.fetchall() if self.cursor.description else []

    def fronts(self):
        return ", ".join(f"array_fill({place}::bigint, ARRAY[64])" for place in self.front)

    def claim(self, count):
        ids = [next(FRESH) for _ in range(count)]
        def each(value):
            return f"ARRAY[{', '.join([value] * count)}]::bigint[]"
        return (f"SELECT * FROM piwheels.jobs_claim(ARRAY{ids}::bigint[], {each('1')}, {each('1')}, {each('60000')}, {each('0')}, "
                f"{each('0')}, {self.fronts()})"), ids

    def hand_out(self, count):
        """All these fail, and are gone."""
        statement, ids = self.claim(count)
        self.front = max((row[8], row[1]) for row in self.run(statement))
        words, ones = ", ".join(["'failed'"] * count), f"ARRAY[{', '.join(['1'] * count)}]"
        self.run(f"SELECT piwheels.builds_end(ARRAY{ids}::bigint[], ARRAY[{words}], ARRAY[{words}], ARRAY[{words}], "
                 + ", ".join([ones] * 5) + ")")

    def apply(self, kind, file=None):
        return self.store([EVENT.format(self.serial + 1, kind, file or "\\N")])

    def store(self, lines):
        """As src/db/events.c does: many by COPY, a few along with the statement."""
        before, self.serial = self.serial, self.serial + len(lines)
        rows = "\n".join(lines) + "\n"
        if len(lines) < 10:
            return self.pages(f"SELECT * FROM piwheels.events_apply({before}, {self.serial}, true, false, $rows${rows}$rows$)")
        self.run("BEGIN; SELECT piwheels.events_open()")
        self.cursor.copy_expert("COPY pg_temp.event_staging FROM STDIN", Line(rows))
        pages = self.pages(f"SELECT * FROM piwheels.events_apply({before}, {self.serial}, true, false)")
        self.run("COMMIT")
        return pages

    def pages(self, statement):
        """How many the statement reads."""
        told = "\n".join(row[0] for row in self.run("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) " + statement))
        return max(int(hit) + int(read or 0) for hit, read in re.findall(r"Buffers: shared hit=(\d+)(?: read=(\d+))?", told))


def wheel(serial, version):
    """An event: PyPI has got one more wheel of a version."""
    return "\t".join([f"{serial}", "1700000000", "w", "many", "many", f"1.{version}", f"\\\\x{version:08x}", "f", "f",
                      f"many-1.{version}-{serial}-py3-none-any.whl", "py3-none-any", "1"])


class Line:
    def __init__(self, text):
        self.rest = text

    def read(self, size):
        part, self.rest = self.rest[:size], self.rest[size:]
        return part


@pytest.fixture(scope="module", params=["stale", "true"])
def queue(request, postgres):
    """With figures about the tables that were taken when these were empty, or that are true."""
    with a_database(postgres, "plans", FILL + ("ANALYZE;" if request.param == "true" else "")) as made:
        yield made


@contextlib.contextmanager
def a_database(postgres, name, fill):
    postgres.createdb(name)
    done = piwheels("initdb", "-y", "-d", postgres.dsn(name))
    assert done.returncode == 0, done.stderr
    postgres.psql(BY_HAND + fill, name)
    with contextlib.closing(psycopg2.connect(postgres.dsn(name))) as connection:
        connection.autocommit = True
        yield Queue(postgres, connection)
    postgres.dropdb(name)


@pytest.fixture(params=[False, True], ids=["alone", "beside a snapshot"])
def dead(request, queue):
    """Whether thousands of dead jobs are still in the indexes."""
    if not request.param:
        yield queue
        return
    with contextlib.closing(psycopg2.connect(queue.postgres.dsn("plans"))) as connection:
        connection.set_session(isolation_level="REPEATABLE READ")
        connection.cursor().execute("SELECT count(*) FROM piwheels.target")
        for _ in range(20):
            queue.hand_out(100)
        yield queue


def of_a_warm_session(queue, statement):
    """Plans are made by the first calls, and may be others from the sixth on."""
    for _ in range(6):
        queue.run(statement())
    return queue.pages(statement())


def test_the_next_build(dead):
    assert of_a_warm_session(dead, lambda: dead.claim(1)[0]) < PAGES


@pytest.mark.parametrize("figures", ["stale", "true"])
def test_the_next_build_where_thousands_go_before_it_that_no_slave_can_take(postgres, figures):
    with a_database(postgres, "choosy", FILL + CHOOSY + ("ANALYZE;" if figures == "true" else "")) as queue:
        assert queue.run(queue.claim(1)[0])[0][8] > 2 * JOBS
        assert of_a_warm_session(queue, lambda: queue.claim(1)[0]) < PAGES
        queue.run("UPDATE piwheels.job SET need = 'parked' WHERE kind IS NULL")
        queue.run("VACUUM piwheels.job")
        assert queue.run(queue.claim(1)[0])[0][0] is None
        assert of_a_warm_session(queue, lambda: queue.claim(1)[0]) < PAGES
        assert queue.run("SELECT piwheels.targets_ready()") == [(1,)]


def test_the_targets_that_have_something_to_build(dead):
    assert of_a_warm_session(dead, lambda: "SELECT piwheels.targets_ready()") < PAGES


def test_the_attempts_that_are_gone(dead):
    assert of_a_warm_session(dead, lambda: "SELECT * FROM piwheels.attempts_gone(ARRAY[1, 2, 3])") < PAGES


def test_the_leases_that_ran_out(dead):
    assert of_a_warm_session(dead, lambda: "SELECT * FROM piwheels.leases_expire(1000)") < PAGES


def test_the_projects_that_are_due(dead):
    assert of_a_warm_session(dead, lambda: "SELECT * FROM piwheels.projects_due()") < 5 * PAGES  # looks at a thousand jobs


def test_the_pages_to_be_written_next(postgres):
    """Though every page for people is to be written, as after a change of a target."""
    lines = re.search(r"stale_sql\[\] =\n(.*?);\n", (ROOT / "src/db/pages.c").read_text(encoding="utf-8"), re.S).group(1)
    asked = "".join(re.findall(r'"([^"]*)"', re.sub(r"TEXT\(\w+\)", '"10"', lines)))
    with a_database(postgres, "stale", FILL) as queue:
        queue.run(f"""DELETE FROM piwheels.stale_page;
            INSERT INTO piwheels.stale_page (kind, key) SELECT 'project', 'p' || n FROM generate_series(1, {JOBS}) n;
            INSERT INTO piwheels.stale_page (kind, key) SELECT 'index', 'p' || n FROM generate_series(1, 20) n;
            ANALYZE piwheels.stale_page""")
        assert [row[0] for row in queue.run(asked)] == ["index"] * 10 + ["project"] * 10
        assert of_a_warm_session(queue, lambda: asked) < PAGES / 10


@pytest.mark.parametrize("kind, file", [("n", None), ("s", "many-{0}.tar.gz"), ("y", None), ("R", None), ("F", "many-{0}.tar.gz")])
def test_an_event(dead, kind, file):
    for _ in range(6):
        dead.apply(kind, file and file.format(dead.serial))
    assert dead.apply(kind, file and file.format(dead.serial)) < PAGES


def test_a_wheel_right_after_the_history(postgres):
    """The server has not yet had the time to look how the tables have grown."""
    fill = "SELECT piwheels.target_add('t0', 'cp311', 'linux_x86_64', ''); UPDATE piwheels.configuration SET follows = 'all', settle_ms = 0"
    with a_database(postgres, "history", fill) as made:
        for part in range(4):
            made.store([wheel(made.serial + n + 1, 10_000 * part + n // 2) for n in range(20_000)])
        for number in range(3):
            made.store([wheel(made.serial + 1, number)])
        assert made.store([wheel(made.serial + 1, 30_000)]) < PAGES


def test_an_event_is_no_dearer_for_all_that_came_while_a_snapshot_was_held(postgres):
    """No row is changed by every event."""
    fill = """INSERT INTO piwheels.package (name, display) SELECT 'p' || n, 'p' || n FROM generate_series(0, 1999) n;
        UPDATE piwheels.configuration SET follows = 'all', settle_ms = 0"""
    with a_database(postgres, "snapshot", fill) as made, contextlib.closing(psycopg2.connect(postgres.dsn("snapshot"))) as other:
        other.set_session(isolation_level="REPEATABLE READ")
        other.cursor().execute("SELECT count(*) FROM piwheels.target")

        def events(count):
            return [made.store([EVENT.format(made.serial + 1, "n", "\\N").replace("many", f"p{made.serial}")])
                    for _ in range(count)]
        events(10)      # plans are made
        first = max(events(20))
        events(1100)    # across a thousand of serials: old rows of the cursor leave
        assert max(events(20)) < first + 30
        assert int(made.run("SELECT count(*) FROM piwheels.event_cursor")[0][0]) < 1000
