-- Level 3: pages for people, and the figures on them.

ALTER TABLE piwheels.stale_page DROP CONSTRAINT stale_page_kind_check;
ALTER TABLE piwheels.stale_page ADD CONSTRAINT stale_page_kind_check
    CHECK (kind IN ('root', 'index', 'project', 'home'));
DROP INDEX piwheels.stale_page_since;
CREATE INDEX stale_page_since ON piwheels.stale_page ((kind = 'project'), since);

CREATE TABLE piwheels.tally (
    minute     timestamptz PRIMARY KEY,
    succeeded  bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0,
    farm       bigint NOT NULL DEFAULT 0,
    packages   bigint NOT NULL DEFAULT 0,
    versions   bigint NOT NULL DEFAULT 0,
    files      bigint NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL DEFAULT 0
);

-- what was done before it was counted
INSERT INTO piwheels.tally (minute, succeeded, failed, farm)
    SELECT CASE WHEN finished > now() - interval '25 hours' THEN date_trunc('minute', finished)
                ELSE '-infinity' END AS done,
           count(*) FILTER (WHERE outcome = 'success'), count(*) FILTER (WHERE outcome = 'failed'),
           count(*) FILTER (WHERE outcome = 'farm')
        FROM piwheels.build GROUP BY done;
INSERT INTO piwheels.tally AS t (minute, packages, versions, files, size_bytes)
    SELECT '-infinity', (SELECT count(*) FROM piwheels.package WHERE live_files > 0),
           (SELECT count(*) FROM piwheels.version WHERE built_mask <> 0), count(*), coalesce(sum(size_bytes), 0)
        FROM piwheels.file WHERE state = 'live'
    ON CONFLICT (minute) DO UPDATE SET packages = excluded.packages, versions = excluded.versions,
        files = excluded.files, size_bytes = excluded.size_bytes;
INSERT INTO piwheels.stale_page (kind, key) SELECT 'project', name FROM piwheels.package;

-- An index of leases that a search by attempt cannot be mistaken to be served by.
DROP INDEX piwheels.job_lease;
CREATE INDEX job_lease ON piwheels.job (lease_until) WHERE lease_until IS NOT NULL;
