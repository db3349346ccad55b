-- Level 5: packages with settings of their own, which not every slave can meet; a version has no skip of its own any more.

CREATE TABLE piwheels.override (
    package text PRIMARY KEY,
    wants   text[] NOT NULL
);
DROP INDEX piwheels.job_picky;
ALTER TABLE piwheels.job ADD COLUMN wants text[];
CREATE INDEX job_picky ON piwheels.job (target, rank, version)
    WHERE attempt IS NULL AND need IS NULL AND (avoid IS NOT NULL OR beyond_bytes > 0 OR beyond_ms > 0 OR wants IS NOT NULL);
ALTER TABLE piwheels.slave
    ADD COLUMN has   text NOT NULL DEFAULT '',
    ADD COLUMN lacks text[] NOT NULL DEFAULT '{}';
-- nothing ever set it: skips are rules
ALTER TABLE piwheels.version DROP COLUMN skip;
