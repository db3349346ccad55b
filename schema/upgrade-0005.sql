-- Level 5: packages with settings of their own, which not every slave can meet; a version has no skip of its own any more;
-- wheels in the indexes of single targets.

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

ALTER TABLE piwheels.package ADD COLUMN apart_files integer NOT NULL DEFAULT 0;
ALTER TABLE piwheels.file ADD COLUMN apart boolean NOT NULL DEFAULT false;
