-- Level 4: what wheels need; PyPI's changelog is followed; what PyPI's own wheels cover; jobs in the order of their worth;
-- slaves are known by their keys.

ALTER TABLE piwheels.package ADD COLUMN native boolean NOT NULL DEFAULT false;
ALTER TABLE piwheels.file
    ADD COLUMN native     boolean NOT NULL DEFAULT false,
    ADD COLUMN was_native boolean NOT NULL DEFAULT false,
    ADD COLUMN armv6      boolean NOT NULL DEFAULT false,
    ADD COLUMN glibc      text NOT NULL DEFAULT '',
    ADD COLUMN glibcxx    text NOT NULL DEFAULT '';
ALTER TABLE piwheels.build ADD COLUMN record jsonb NOT NULL DEFAULT '{}';
CREATE TABLE piwheels.preinstalled (
    target  smallint NOT NULL REFERENCES piwheels.target,
    package text NOT NULL,
    PRIMARY KEY (target, package)
);

ALTER TABLE piwheels.configuration
    ADD COLUMN follows   text NOT NULL DEFAULT '' CHECK (follows IN ('', 'listed', 'all')),
    ADD COLUMN builds    text NOT NULL DEFAULT 'missing' CHECK (builds IN ('missing', 'all')),
    ADD COLUMN settle_ms bigint NOT NULL DEFAULT 300000,
    ADD COLUMN reads_history boolean NOT NULL DEFAULT false,
    ADD COLUMN event_retention_ms bigint NOT NULL DEFAULT 0;
CREATE TABLE piwheels.event (
    serial   bigint PRIMARY KEY,
    happened timestamptz NOT NULL,
    kind     "char" NOT NULL,
    name     text NOT NULL,
    display  text NOT NULL,
    version  text,
    file     text
) PARTITION BY RANGE (serial);
ALTER TABLE piwheels.target
    ADD COLUMN glibc   text CHECK (glibc ~ '^[0-9]{1,3}\.[0-9]{1,3}$'),
    ADD COLUMN judging boolean NOT NULL DEFAULT false;
ALTER TABLE piwheels.package
    ADD COLUMN quarantined boolean NOT NULL DEFAULT false,
    ADD COLUMN downloads   integer NOT NULL DEFAULT 0,
    ADD COLUMN summary_at  timestamptz,
    ALTER COLUMN summary DROP DEFAULT,
    ALTER COLUMN summary DROP NOT NULL;
CREATE INDEX package_summary ON piwheels.package (summary_at) WHERE summary_at IS NOT NULL;
ALTER TABLE piwheels.version
    ADD COLUMN covered_mask bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped_mask bigint NOT NULL DEFAULT 0,
    ADD COLUMN forced_mask  bigint NOT NULL DEFAULT 0,
    ADD COLUMN uploaded     timestamptz,
    ADD COLUMN legacy       boolean NOT NULL DEFAULT false,
    ADD COLUMN quarantined  boolean NOT NULL DEFAULT false,
    ADD COLUMN other_sdists text[];

CREATE TABLE piwheels.tagset (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tags text NOT NULL UNIQUE,
    mask bigint NOT NULL
);
CREATE TABLE piwheels.version_wheel (
    version bigint NOT NULL,
    tagset  integer NOT NULL,
    name    integer NOT NULL,
    PRIMARY KEY (version, tagset, name)
);
CREATE TABLE piwheels.skip_rule (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package     bigint REFERENCES piwheels.package ON DELETE CASCADE,
    specifier   text NOT NULL DEFAULT '',
    target      smallint REFERENCES piwheels.target,
    prereleases boolean NOT NULL DEFAULT false,
    reason      text NOT NULL
);
CREATE INDEX skip_rule_package ON piwheels.skip_rule (package);
CREATE TABLE piwheels.skip_reason (
    version bigint NOT NULL REFERENCES piwheels.version ON DELETE CASCADE,
    target  smallint NOT NULL REFERENCES piwheels.target,
    rule    bigint NOT NULL REFERENCES piwheels.skip_rule ON DELETE CASCADE,
    PRIMARY KEY (version, target, rule)
);
CREATE INDEX skip_reason_rule ON piwheels.skip_reason (rule);

-- The old order was: by hand, then by id.
DROP INDEX piwheels.job_waiting;
ALTER TABLE piwheels.job DROP CONSTRAINT job_need_check, DROP CONSTRAINT job_target_fkey;
ALTER TABLE piwheels.build DROP CONSTRAINT build_target_fkey, DROP CONSTRAINT build_slave_fkey;
ALTER TABLE piwheels.job
    ADD CONSTRAINT job_need_check CHECK (need IN ('later', 'info', 'parked')),
    ADD COLUMN rank bigint,
    ADD COLUMN losses smallint NOT NULL DEFAULT 0,
    ADD COLUMN avoid bigint,
    ADD COLUMN avoid_until timestamptz,
    ADD COLUMN beyond_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN beyond_ms bigint NOT NULL DEFAULT 0;
UPDATE piwheels.job SET rank = CASE prio WHEN 0 THEN 0 ELSE 2::bigint << 40 END + (32::bigint << 32),
    need = CASE WHEN need IS NULL AND attempt IS NULL AND ready_at > now() THEN 'later' ELSE need END;
ALTER TABLE piwheels.job ALTER COLUMN rank SET NOT NULL, DROP COLUMN prio;
CREATE INDEX job_waiting ON piwheels.job (target, rank, version) WHERE attempt IS NULL AND need IS NULL;
CREATE INDEX job_picky ON piwheels.job (target, rank, version)
    WHERE attempt IS NULL AND need IS NULL AND (avoid IS NOT NULL OR beyond_bytes > 0 OR beyond_ms > 0);
CREATE INDEX job_info ON piwheels.job (target, rank, version) WHERE attempt IS NULL AND need = 'info';
CREATE INDEX job_parked ON piwheels.job (target) WHERE attempt IS NULL AND need = 'parked';
CREATE INDEX job_later ON piwheels.job (ready_at) WHERE attempt IS NULL AND need = 'later';
DROP INDEX piwheels.job_lease;

ALTER TABLE piwheels.slave
    ADD COLUMN targets bigint NOT NULL DEFAULT 0,
    ADD COLUMN memory_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN timeout_ms bigint NOT NULL DEFAULT 0;

ALTER TABLE piwheels.file DROP CONSTRAINT file_state_check;
ALTER TABLE piwheels.file
    ADD CONSTRAINT file_state_check CHECK (state IN ('publishing', 'live', 'withheld', 'returning')),
    ADD COLUMN hidden boolean NOT NULL DEFAULT false;
CREATE INDEX file_moving ON piwheels.file (id) WHERE state = 'returning' OR state = 'withheld' AND NOT hidden;
CREATE TABLE piwheels.withdrawn_file (
    path     text PRIMARY KEY,
    sha256   bytea NOT NULL,
    package  text NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    leave_at timestamptz,
    gone     boolean NOT NULL DEFAULT false,
    leaving  boolean NOT NULL DEFAULT false,
    named    boolean NOT NULL DEFAULT true
);
CREATE INDEX withdrawn_file_here ON piwheels.withdrawn_file (leave_at) WHERE NOT gone;
CREATE INDEX withdrawn_file_package ON piwheels.withdrawn_file (package);

ALTER TABLE piwheels.package_alias
    DROP CONSTRAINT package_alias_package_fkey,
    ALTER COLUMN package DROP NOT NULL,
    ADD CONSTRAINT package_alias_package_fkey FOREIGN KEY (package) REFERENCES piwheels.package ON DELETE SET NULL;
CREATE INDEX package_alias_left ON piwheels.package_alias (regexp_replace(lower(name), '[-_.]+', '-', 'g'))
    WHERE package IS NULL;

-- PyPI's wheels are not known yet: what is followed is compared anew.
UPDATE piwheels.package SET serial = 0, etag = '', refresh_at = now() WHERE refresh_at IS NOT NULL;

-- Those known until now have shown no key: they wait until a person accepts the key that they come with
-- (piwheels slaves accept NAME), and build nothing before.
ALTER TABLE piwheels.slave ADD COLUMN fingerprint text NOT NULL DEFAULT '';
ALTER TABLE piwheels.slave ADD COLUMN trust text NOT NULL DEFAULT 'waiting';
ALTER TABLE piwheels.slave ADD CONSTRAINT slave_trust_check CHECK (trust IN ('waiting', 'accepted', 'revoked'));
ALTER TABLE piwheels.slave ADD COLUMN offers bigint NOT NULL DEFAULT 0;
ALTER TABLE piwheels.slave ADD COLUMN allowed bigint NOT NULL DEFAULT 0;
ALTER TABLE piwheels.slave ADD COLUMN accepted timestamptz;
UPDATE piwheels.slave SET accepted = last_seen;
