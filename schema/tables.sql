-- The tables of piwheels. `piwheels initdb` runs this file on an empty database, then functions.sql, in one
-- transaction; what changes here needs a numbered upgrade beside it (upgrade-NNNN.sql) that leads from level
-- NNNN - 1 to NNNN and leaves the same columns in the same order. Everything lives in the schema "piwheels";
-- the service's user owns nothing: it may read, and call the functions.

CREATE SCHEMA piwheels;
SET LOCAL search_path = piwheels;

-- What a CHECK of a table would say: the server reads and prepares those anew for each statement that touches a row, whichever
-- columns it changes, and for these that took a tenth of an event. A domain's it keeps, and asks where the value is set.
CREATE DOMAIN package_name AS text CHECK (length(value) BETWEEN 1 AND 255);  -- normalised, PEP 503
CREATE DOMAIN package_follow AS text CHECK (value IN ('no', 'new', 'all'));
CREATE DOMAIN page_kind AS text CHECK (value IN ('root', 'index', 'project', 'home'));

-- One row: what this database is.
CREATE TABLE configuration (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    version     text NOT NULL,               -- of piwheels; the master's must equal it
    level       integer NOT NULL,            -- of this schema
    follows     text NOT NULL DEFAULT '' CHECK (follows IN ('', 'listed', 'all')),  -- which packages' events
    builds      text NOT NULL DEFAULT 'missing' CHECK (builds IN ('missing', 'all')),  -- what PyPI has, too?
    settle_ms   bigint NOT NULL DEFAULT 300000, -- a version is taken up when its upload is so old
    reads_history boolean NOT NULL DEFAULT false, -- pages for people wait until PyPI's history has been read
    event_retention_ms bigint NOT NULL DEFAULT 0 -- how long events are kept; 0: they are not
);

-- The last event of PyPI that was applied is the highest of these; without any, none was. Rows are put in, and never updated:
-- while somebody holds a snapshot, as a backup does, each event would step over all that one row has been since.
CREATE TABLE event_cursor (
    serial bigint PRIMARY KEY
);

-- PyPI's events as they were understood, if configuration says that they are kept: for people, nothing here reads them.
-- In partitions of serials, so that the old ones go at once (see events_keep).
CREATE TABLE event (
    serial   bigint PRIMARY KEY,
    happened timestamptz NOT NULL,
    kind     "char" NOT NULL,                -- see struct changelog_event in src/pypi
    name     text NOT NULL,                  -- of the package, normalised
    display  text NOT NULL,                  -- as PyPI spelt it
    version  text,
    file     text
) PARTITION BY RANGE (serial);

-- What wheels are built for. The id is the bit in every mask: at most 64 (0 to 63).
CREATE TABLE target (
    id       smallint PRIMARY KEY CHECK (id BETWEEN 0 AND 63),
    name     text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    abi      text NOT NULL CHECK (abi ~ '^cp[0-9]{2,4}[mt]?$'),
    platform text NOT NULL CHECK (platform ~ '^[a-z0-9_]{1,64}$'),
    label    text NOT NULL DEFAULT '',       -- the distribution, for people
    position smallint NOT NULL,              -- the order in which a version is tried
    skip     text,                           -- why nothing is built for it any more
    glibc    text CHECK (glibc ~ '^[0-9]{1,3}\.[0-9]{1,3}$'),  -- of the distribution; null: unknown, or another libc
    judging  boolean NOT NULL DEFAULT false  -- PyPI's wheels are still held against it: nothing is built yet
);

CREATE TABLE package (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       package_name NOT NULL UNIQUE,
    display    text NOT NULL,                -- the newest spelling
    summary    text,                         -- null: not known yet; '': it has none
    follow     package_follow NOT NULL DEFAULT 'no',
    skip       text,                         -- why nothing of it is built
    serial     bigint NOT NULL DEFAULT 0,    -- X-PyPI-Last-Serial of what we know
    etag       text NOT NULL DEFAULT '',     -- of PyPI's page
    refresh_at timestamptz,                  -- when to compare with PyPI again; null: never
    live_files integer NOT NULL DEFAULT 0,
    native     boolean NOT NULL DEFAULT false, -- a file of it had compiled code
    quarantined boolean NOT NULL DEFAULT false,  -- by PyPI: neither built nor shown
    downloads  integer NOT NULL DEFAULT 0,   -- from this site in the last 30 days
    summary_at timestamptz,                  -- when to ask PyPI for the summary; null: not
    apart_files integer NOT NULL DEFAULT 0,  -- of the live files, those in the indexes of single targets only
    status     text NOT NULL DEFAULT ''      -- as PyPI's page told it last (PEP 792), if no event has since; '': it told none
);
CREATE INDEX package_refresh ON package (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX package_summary ON package (summary_at) WHERE summary_at IS NOT NULL;

-- Other spellings that were seen; each becomes a symlink.
CREATE TABLE package_alias (
    name    text PRIMARY KEY,
    package bigint REFERENCES package ON DELETE SET NULL,  -- null: it is gone, and its symlinks go with its pages
    seen    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX package_alias_package ON package_alias (package);
CREATE INDEX package_alias_left ON package_alias (regexp_replace(lower(name), '[-_.]+', '-', 'g')) WHERE package IS NULL;

CREATE TABLE version (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package         bigint NOT NULL REFERENCES package ON DELETE CASCADE,
    version         text NOT NULL,
    sort_key        bytea NOT NULL,          -- PEP 440's order as bytes
    released        timestamptz,
    prerelease      boolean NOT NULL DEFAULT false,
    yanked          boolean NOT NULL DEFAULT false,
    yanked_reason   text NOT NULL DEFAULT '',
    wanted          boolean NOT NULL DEFAULT false, -- followed or asked for
    by_hand         boolean NOT NULL DEFAULT false, -- asked for by a person
    requires_python text NOT NULL DEFAULT '',
    sdist           text,                    -- file name; null: binary only
    sdist_sha256    bytea,
    -- facts per target: bit n stands for target n
    judged_mask     bigint NOT NULL DEFAULT 0,  -- Requires-Python has been held against these
    na_mask         bigint NOT NULL DEFAULT 0,  -- not applicable: Requires-Python excludes it
    built_mask      bigint NOT NULL DEFAULT 0,  -- a file of ours serves it
    failed_mask     bigint NOT NULL DEFAULT 0,  -- its own failure
    covered_mask    bigint NOT NULL DEFAULT 0,  -- PyPI has a wheel, not yanked, that fits
    skipped_mask    bigint NOT NULL DEFAULT 0,  -- by a rule: skip_reason tells which
    forced_mask     bigint NOT NULL DEFAULT 0,  -- a person wants it built (again), whatever else is so
    uploaded        timestamptz,             -- when its newest sdist came
    legacy          boolean NOT NULL DEFAULT false, -- is no version by PEP 440
    quarantined     boolean NOT NULL DEFAULT false, -- by PyPI
    other_sdists    text[],                  -- further file names, in the order in which they came
    missing_since   timestamptz,             -- PyPI's page has had nothing of it since; null: it has, or never had
    UNIQUE (package, sort_key)
);

-- What wheels of PyPI fit: each set of tags that was ever seen, judged once. A wheel's name says no more.
CREATE TABLE tagset (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tags text NOT NULL UNIQUE,               -- cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64
    mask bigint NOT NULL                     -- the targets that can load it
);

-- PyPI's own wheels of a version, as far as they are not yanked. A file's name is kept as a hash. The history has more of
-- these than of anything else, and to check what one refers to costs more than the row: sets of tags never go, and what
-- removes a version (versions_remove) takes its wheels along.
CREATE TABLE version_wheel (
    version bigint NOT NULL,
    tagset  integer NOT NULL,
    name    integer NOT NULL,
    PRIMARY KEY (version, tagset, name)
);

-- What a person does not want built. Null: all packages, all targets.
CREATE TABLE skip_rule (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package     bigint REFERENCES package ON DELETE CASCADE,
    specifier   text NOT NULL DEFAULT '',    -- PEP 440; judged by the program, for SQL cannot
    target      smallint REFERENCES target,
    prereleases boolean NOT NULL DEFAULT false,  -- these only
    reason      text NOT NULL
);
CREATE INDEX skip_rule_package ON skip_rule (package);

-- The versions that a rule strikes: exceptions only.
CREATE TABLE skip_reason (
    version bigint NOT NULL REFERENCES version ON DELETE CASCADE,
    target  smallint NOT NULL REFERENCES target,
    rule    bigint NOT NULL REFERENCES skip_rule ON DELETE CASCADE,
    PRIMARY KEY (version, target, rule)
);
CREATE INDEX skip_reason_rule ON skip_reason (rule);

-- One row where there is work to do. A job with an attempt is being built under a lease.
CREATE TABLE job (
    version     bigint NOT NULL REFERENCES version ON DELETE CASCADE,
    target      smallint NOT NULL,           -- targets never go
    ready_at    timestamptz NOT NULL DEFAULT now(),
    -- what must happen first; null: nothing. 'later': ready_at must come; 'info': PyPI must be asked; 'parked': a person
    need        text CHECK (need IN ('later', 'info', 'parked')),
    tries       smallint NOT NULL DEFAULT 0, -- failures of the farm so far
    attempt     bigint UNIQUE,               -- the one try under way: its fencing token
    slave       bigint,
    started     timestamptz,
    lease_until timestamptz,                 -- not indexed: few jobs are under way, and each claim would pay
    rank        bigint NOT NULL,             -- lower goes first: see job_rank
    losses      smallint NOT NULL DEFAULT 0, -- slaves that were lost over it
    avoid       bigint,                      -- the slave that failed last: rather another one,
    avoid_until timestamptz,                 -- until then
    beyond_bytes bigint NOT NULL DEFAULT 0,  -- only for a slave with more memory than this
    beyond_ms   bigint NOT NULL DEFAULT 0,   -- only for a slave that allows more time than this
    wants       text[],                      -- only for a slave that has all this: see override; null: nothing
    -- the same for all that are only for the same slaves; null: for any
    kind        bigint GENERATED ALWAYS AS (CASE WHEN beyond_bytes > 0 OR beyond_ms > 0 OR wants IS NOT NULL THEN
        hash_array_extended(coalesce(wants, '{}') || beyond_bytes::text || beyond_ms::text, 0) END) STORED,
    PRIMARY KEY (version, target)
);
-- of these the first is claimed; those that are not for every slave wait apart, so that nobody steps over them who may not
-- have them
CREATE INDEX job_waiting ON job (target, rank, version) WHERE attempt IS NULL AND need IS NULL AND kind IS NULL;
CREATE INDEX job_choosy ON job (target, kind, rank, version) WHERE attempt IS NULL AND need IS NULL AND kind IS NOT NULL;
CREATE INDEX job_avoiding ON job (target) WHERE attempt IS NULL AND need IS NULL AND avoid IS NOT NULL;
CREATE INDEX job_info ON job (target, rank, version) WHERE attempt IS NULL AND need = 'info';
CREATE INDEX job_parked ON job (target) WHERE attempt IS NULL AND need = 'parked';
CREATE INDEX job_later ON job (ready_at) WHERE attempt IS NULL AND need = 'later';
CREATE SEQUENCE attempt_id;

-- Packages' own settings, files of the master. The row stays when the file goes.
CREATE TABLE override (
    package  text PRIMARY KEY,               -- normalised; it need not be known yet
    -- of a slave that builds it: Debian packages, "network all" or what else is to be reached. "!" and words: the file was
    -- never right since the master began, and no slave has that
    wants    text[] NOT NULL,
    settings text NOT NULL DEFAULT '',       -- their SHA-256, as in the record of a build; '': it has none
    changed  timestamptz NOT NULL DEFAULT '-infinity'  -- when these last came to be others
);

CREATE TABLE slave (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    label     text NOT NULL UNIQUE,
    last_seen timestamptz NOT NULL DEFAULT now(),
    system    text NOT NULL DEFAULT '',      -- as os-release(5) calls it
    hardware  text NOT NULL DEFAULT '',
    targets   bigint NOT NULL DEFAULT 0,     -- what it may build for, as a mask; told with the first IDLE
    memory_bytes bigint NOT NULL DEFAULT 0,  -- of its machine, as last told
    timeout_ms bigint NOT NULL DEFAULT 0,    -- its own time limit of a build
    fingerprint text NOT NULL DEFAULT '',    -- of its key; '': it has shown none yet
    trust     text NOT NULL DEFAULT 'waiting' CHECK (trust IN ('waiting', 'accepted', 'revoked')),
    offers    bigint NOT NULL DEFAULT 0,     -- mask: what it could build for when it was last seen
    allowed   bigint NOT NULL DEFAULT 0,     -- mask: what it was accepted for
    accepted  timestamptz,                   -- when it was for the first time; null: never
    has       text NOT NULL DEFAULT '',      -- a word a line, as in override: its Debian packages, and what a build may reach
    lacks     text[] NOT NULL DEFAULT '{}'   -- of all that overrides want
);

-- The public record of an attempt that ended; its id is the attempt's. (Targets never go, nor do slaves that ever built:
-- to check each row for them costs more than the row.)
CREATE TABLE build (
    id           bigint PRIMARY KEY,
    version      bigint NOT NULL REFERENCES version ON DELETE CASCADE,
    target       smallint NOT NULL,
    slave        bigint NOT NULL,
    started      timestamptz NOT NULL,
    finished     timestamptz NOT NULL DEFAULT now(),
    outcome      text NOT NULL CHECK (outcome IN ('success', 'failed', 'farm')),
    class        text NOT NULL DEFAULT '',   -- of the failure, in a few words
    detail       text NOT NULL DEFAULT '',   -- the line that tells what went wrong, or of the files' fate
    wall_ms      bigint NOT NULL DEFAULT 0,
    cpu_ms       bigint NOT NULL DEFAULT 0,
    peak_bytes   bigint NOT NULL DEFAULT 0,
    log_bytes    bigint NOT NULL DEFAULT 0,
    sdist_sha256 bytea,
    record       jsonb NOT NULL DEFAULT '{}' -- what it was made with: see build_record in functions.sql
);
CREATE INDEX build_version ON build (version);

-- A wheel. 'publishing': on its way into the tree, named in no index; 'live': public; 'withheld': quarantined by PyPI,
-- named in no index, and on its way out of the tree until it is hidden; 'returning': on its way back.
CREATE TABLE file (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path            text NOT NULL UNIQUE,    -- below the output directory: simple/cffi/cffi-*.whl; apart: TARGET/wheels/cffi/cffi-*.whl
    name            text NOT NULL,
    attempt         bigint NOT NULL,         -- that made it
    version         bigint NOT NULL REFERENCES version ON DELETE CASCADE,
    target          smallint NOT NULL REFERENCES target,
    state           text NOT NULL CHECK (state IN ('publishing', 'live', 'withheld', 'returning')),
    size_bytes      bigint NOT NULL,
    sha256          bytea NOT NULL CHECK (length(sha256) = 32),
    metadata_sha256 bytea NOT NULL CHECK (length(metadata_sha256) = 32),
    requires_python text NOT NULL DEFAULT '',
    published       timestamptz NOT NULL DEFAULT now(),
    native          boolean NOT NULL DEFAULT false, -- has compiled code
    was_native      boolean NOT NULL DEFAULT false, -- has none, though an earlier file of the package had
    armv6           boolean NOT NULL DEFAULT false, -- its code is for Arm, and an ARMv6 can run it
    glibc           text NOT NULL DEFAULT '', -- the least versions of the libraries that it needs: 2.34
    glibcxx         text NOT NULL DEFAULT '', -- 3.4.30
    hidden          boolean NOT NULL DEFAULT false,  -- withheld, and out of the tree
    apart           boolean NOT NULL DEFAULT false   -- only its own target's index names it, and those of its distribution
);
CREATE INDEX file_version ON file (version);
CREATE INDEX file_publishing ON file (attempt) WHERE state = 'publishing';
CREATE INDEX file_moving ON file (id) WHERE state = 'returning' OR state = 'withheld' AND NOT hidden;

-- Files that no index shall name any more. Their bytes leave when nobody can still hold an index that names them; the
-- row stays for ever, for a name never comes to have other bytes.
CREATE TABLE withdrawn_file (
    path     text PRIMARY KEY,
    sha256   bytea NOT NULL,
    package  text NOT NULL,                  -- whose index named it
    since    timestamptz NOT NULL DEFAULT now(),
    leave_at timestamptz,                    -- null: the index has not been written yet
    gone     boolean NOT NULL DEFAULT false, -- nothing is left to be taken out
    leaving  boolean NOT NULL DEFAULT false, -- its bytes are being taken out: nobody may put any there meanwhile
    named    boolean NOT NULL DEFAULT true   -- an index has named it; else the row goes with the bytes
);
CREATE INDEX withdrawn_file_here ON withdrawn_file (leave_at, path) WHERE NOT gone;
CREATE INDEX withdrawn_file_package ON withdrawn_file (package);

-- What a file needs at run time: Debian packages with libraries ('apt'), and what its metadata requires ('pip').
CREATE TABLE dependency (
    file bigint NOT NULL REFERENCES file ON DELETE CASCADE,
    tool text NOT NULL CHECK (tool IN ('apt', 'pip')),
    name text NOT NULL,
    PRIMARY KEY (file, tool, name)
);

-- Debian packages that every machine of a target has: pages do not name them as needed.
CREATE TABLE preinstalled (
    target  smallint NOT NULL REFERENCES target,
    package text NOT NULL,
    PRIMARY KEY (target, package)
);

-- Pages that must be written again. A writer removes the row only if its generation is the one it rendered.
CREATE SEQUENCE page_generation;
CREATE TABLE stale_page (
    kind       page_kind NOT NULL,
    key        text NOT NULL,                -- 'index', 'project': the package; 'root', 'home': ''
    generation bigint NOT NULL DEFAULT nextval('page_generation'),
    since      timestamptz NOT NULL DEFAULT now(),
    taken      boolean NOT NULL DEFAULT false, -- of 'home': its writer has begun to read since it became stale
    PRIMARY KEY (kind, key)
);
CREATE INDEX stale_page_since ON stale_page ((kind = 'project'), since);

-- What pages tell in figures: the builds that ended in each minute, and by how much everything public grew or
-- shrank. Nothing on a page counts a large table. The row '-infinity' sums up what is older than a day.
CREATE TABLE tally (
    minute     timestamptz PRIMARY KEY,
    succeeded  bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0,
    farm       bigint NOT NULL DEFAULT 0,    -- builds that the farm failed
    packages   bigint NOT NULL DEFAULT 0,    -- with a file
    versions   bigint NOT NULL DEFAULT 0,    -- built for some target
    files      bigint NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL DEFAULT 0
);
