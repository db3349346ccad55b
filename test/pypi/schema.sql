-- The world of the loopback PyPI: what it serves is what these tables say at that moment.
--
-- Change it from outside while the server runs, with sqlite3(1) or any SQLite library. Parents are made and
-- children removed by triggers, so one statement is enough for most things:
--
--   a release      INSERT INTO file (project, version, filename, path)
--                  VALUES ('foo', '1.1', 'foo-1.1.tar.gz', '/some/where/foo-1.1.tar.gz');
--   a yank         UPDATE release SET yanked = 1, yanked_reason = 'broken'
--                  WHERE project = 'foo' AND version = '1.1';
--   a removal      DELETE FROM release WHERE project = 'foo' AND version = '1.1';
--   the project    DELETE FROM project WHERE name = 'foo';
--   a quarantine   UPDATE project SET quarantined = 1 WHERE name = 'foo';
--   its status     UPDATE project SET status = 'archived' WHERE name = 'foo';
--   a stale page   UPDATE project SET serial = serial - 1 WHERE name = 'foo';
--   a lost event   DELETE FROM event WHERE serial = 42;
--   a bad day      INSERT INTO behaviour (path_prefix, kind, argument)
--                  VALUES ('/simple/foo/', 'status', '503 7');
--   a bad answer   INSERT INTO behaviour (path_prefix, method, kind, times)
--                  VALUES ('/pypi', 'POST', 'fault', 1);
--   what was asked SELECT method, path, status FROM request ORDER BY id;
--
-- Foreign keys are off in every new SQLite connection, hence triggers and no REFERENCES.

CREATE TABLE IF NOT EXISTS project (
    name    TEXT PRIMARY KEY CHECK (    -- normalised, PEP 503
                name <> '' AND name = lower(name) AND name NOT GLOB '*[_.]*' AND name NOT GLOB '*--*'),
    display TEXT,                       -- as its author spells it; NULL: as `name`
    summary TEXT,
    serial  INTEGER NOT NULL DEFAULT 0, -- of its newest event; kept by a trigger
    quarantined INTEGER NOT NULL DEFAULT 0, -- its files are not offered, nor is it listed
    status  TEXT                        -- what its page tells (PEP 792); NULL: 'active', or 'quarantined'; '': nothing
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS release (
    project       TEXT NOT NULL,
    version       TEXT NOT NULL,
    yanked        INTEGER NOT NULL DEFAULT 0,
    yanked_reason TEXT,
    quarantined   INTEGER NOT NULL DEFAULT 0,       -- its files are not offered
    PRIMARY KEY (project, version)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS file (
    filename        TEXT PRIMARY KEY,
    project         TEXT NOT NULL,
    version         TEXT NOT NULL,
    path            TEXT,               -- where the bytes lie ...
    content         BLOB,               -- ... or the bytes themselves
    sha256          TEXT,               -- NULL: of the bytes as they are when asked
    size            INTEGER,            -- the same
    upload_time     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    requires_python TEXT,
    yanked          INTEGER NOT NULL DEFAULT 0,     -- a file is also yanked when its release is
    yanked_reason   TEXT,
    metadata        TEXT                -- a wheel's METADATA, served as FILENAME.metadata; NULL: not offered
);
CREATE INDEX IF NOT EXISTS file_release ON file (project, version);

-- Every change, in order, with the words of PyPI's changelog: what XML-RPC's changelog_since_serial answers.
-- Its key is the serial.
CREATE TABLE IF NOT EXISTS event (
    serial  INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    spelled TEXT,                       -- the name as the changelog has it; a trigger fills in the display name
    version TEXT,
    time    INTEGER NOT NULL DEFAULT (unixepoch()),
    action  TEXT NOT NULL
);

-- How to misbehave below a path; the longest prefix wins. By kind, `argument` is
--   status    the status, perhaps with a value for Retry-After: '500', '429 30', '503 Wed, 21 Oct 2026 07:28:00 GMT'
--   cut       after how many bytes of the body the connection ends; NULL: half of them
--   html      (nothing): a page for people comes instead, with status 200
--   stall     (nothing): no answer ever comes
--   drip      bytes of the body a second; NULL: 10
--   redirect  where to; NULL: to the same path, for ever
-- and of the changelog (path '/pypi', method 'POST')
--   fault     seconds until PyPI's limit of requests may be reset (NULL: 1), or the text of another fault
--   shape     what comes instead of rows: 'string', 'number', 'flat', rows too 'short' or too 'long', wrong 'types',
--             'huge' or 'negative' serials, 'references' to control characters, an unknown 'entity', 'bytes' that are
--             no UTF-8, 'nothing', 'other' XML
--   reversed  (nothing): the right rows, newest first
--   repeated  (nothing): rows up to the serial that was given instead of those after it
CREATE TABLE IF NOT EXISTS behaviour (
    id          INTEGER PRIMARY KEY,
    path_prefix TEXT NOT NULL,
    method      TEXT,                   -- NULL: with every method
    kind        TEXT NOT NULL CHECK (kind IN ('status', 'cut', 'html', 'stall', 'drip', 'redirect',
                                              'fault', 'shape', 'reversed', 'repeated')),
    argument    TEXT CHECK (kind <> 'shape' OR coalesce(argument, '') IN (
                    'string', 'number', 'flat', 'short', 'long', 'types', 'huge', 'negative', 'references',
                    'entity', 'bytes', 'nothing', 'other')),
    times       INTEGER                 -- how many requests more it strikes; NULL: all
);

CREATE TABLE IF NOT EXISTS request (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    time       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    method     TEXT NOT NULL,
    path       TEXT NOT NULL,
    user_agent TEXT,
    accept     TEXT,
    status     INTEGER                  -- NULL: left without an answer
);

CREATE TRIGGER IF NOT EXISTS request_is_bounded AFTER INSERT ON request BEGIN
    DELETE FROM request WHERE id <= NEW.id - 10000;
END;

CREATE TRIGGER IF NOT EXISTS event_counts AFTER INSERT ON event BEGIN
    UPDATE project SET serial = NEW.serial WHERE name = NEW.project;
    UPDATE event SET spelled = (SELECT display FROM project WHERE name = NEW.project)
    WHERE serial = NEW.serial AND spelled IS NULL;
END;

-- projects

CREATE TRIGGER IF NOT EXISTS project_created AFTER INSERT ON project BEGIN
    INSERT INTO event (project, action) VALUES (NEW.name, 'create');
END;

CREATE TRIGGER IF NOT EXISTS project_changed AFTER UPDATE OF display, summary ON project BEGIN
    INSERT INTO event (project, action) VALUES (NEW.name, 'change project');
END;

CREATE TRIGGER IF NOT EXISTS project_quarantined AFTER UPDATE OF quarantined ON project
WHEN NEW.quarantined IS NOT OLD.quarantined BEGIN
    INSERT INTO event (project, action)
    VALUES (NEW.name, iif(NEW.quarantined, 'project quarantined', 'project quarantine cleared'));
END;

CREATE TRIGGER IF NOT EXISTS project_removed AFTER DELETE ON project BEGIN
    DELETE FROM release WHERE project = OLD.name;
    INSERT INTO event (project, spelled, action) VALUES (OLD.name, OLD.display, 'remove project');
END;

-- releases: those that go with their project go without an event of their own, as on PyPI

CREATE TRIGGER IF NOT EXISTS release_needs_project BEFORE INSERT ON release BEGIN
    INSERT INTO project (name) SELECT NEW.project
    WHERE NOT EXISTS (SELECT 1 FROM project WHERE name = NEW.project);
END;

CREATE TRIGGER IF NOT EXISTS release_created AFTER INSERT ON release BEGIN
    INSERT INTO event (project, version, action) VALUES (NEW.project, NEW.version, 'new release');
END;

CREATE TRIGGER IF NOT EXISTS release_yanked AFTER UPDATE OF yanked, yanked_reason ON release BEGIN
    INSERT INTO event (project, version, action)
    VALUES (NEW.project, NEW.version, iif(NEW.yanked, 'yank release', 'unyank release'));
END;

CREATE TRIGGER IF NOT EXISTS release_quarantined AFTER UPDATE OF quarantined ON release
WHEN NEW.quarantined IS NOT OLD.quarantined BEGIN
    INSERT INTO event (project, version, action)
    VALUES (NEW.project, NEW.version, iif(NEW.quarantined, 'release quarantined', 'release quarantine cleared'));
END;

CREATE TRIGGER IF NOT EXISTS release_removed AFTER DELETE ON release BEGIN
    DELETE FROM file WHERE project = OLD.project AND version = OLD.version;
    INSERT INTO event (project, version, action)
    SELECT OLD.project, OLD.version, 'remove release'
    WHERE EXISTS (SELECT 1 FROM project WHERE name = OLD.project);
END;

-- files: a wheel's Python tag is the third part from the end of its name

CREATE TRIGGER IF NOT EXISTS file_needs_release BEFORE INSERT ON file BEGIN
    INSERT INTO release (project, version) SELECT NEW.project, NEW.version
    WHERE NOT EXISTS (SELECT 1 FROM release WHERE project = NEW.project AND version = NEW.version);
END;

CREATE TRIGGER IF NOT EXISTS file_added AFTER INSERT ON file BEGIN
    INSERT INTO event (project, version, action)
    SELECT NEW.project, NEW.version, 'add ' || tag || ' file ' || NEW.filename
    FROM (SELECT iif(NEW.filename GLOB '*-*-*.whl',
                     json_extract('[' || replace(json_quote(NEW.filename), '-', '","') || ']', '$[#-3]'),
                     'source') AS tag);
END;

CREATE TRIGGER IF NOT EXISTS file_changed
AFTER UPDATE OF path, content, sha256, size, upload_time, requires_python, yanked, yanked_reason, metadata
ON file
BEGIN
    INSERT INTO event (project, version, action)
    VALUES (NEW.project, NEW.version, 'change file ' || NEW.filename);
END;

CREATE TRIGGER IF NOT EXISTS file_removed AFTER DELETE ON file BEGIN
    INSERT INTO event (project, version, action)
    SELECT OLD.project, OLD.version, 'remove file ' || OLD.filename
    WHERE EXISTS (SELECT 1 FROM release WHERE project = OLD.project AND version = OLD.version);
END;
