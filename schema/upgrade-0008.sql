-- Level 8: jobs that are not for every slave wait apart; which settings of its own a package has; files leave in an order.

DROP INDEX piwheels.job_waiting, piwheels.job_picky;
ALTER TABLE piwheels.job ADD COLUMN kind bigint
    GENERATED ALWAYS AS (CASE WHEN beyond_bytes > 0 OR beyond_ms > 0 OR wants IS NOT NULL THEN
        hash_array_extended(coalesce(wants, '{}') || beyond_bytes::text || beyond_ms::text, 0) END) STORED;
CREATE INDEX job_waiting ON piwheels.job (target, rank, version) WHERE attempt IS NULL AND need IS NULL AND kind IS NULL;
CREATE INDEX job_choosy ON piwheels.job (target, kind, rank, version)
    WHERE attempt IS NULL AND need IS NULL AND kind IS NOT NULL;
CREATE INDEX job_avoiding ON piwheels.job (target) WHERE attempt IS NULL AND need IS NULL AND avoid IS NOT NULL;

ALTER TABLE piwheels.override
    ADD COLUMN settings text NOT NULL DEFAULT '',
    ADD COLUMN changed  timestamptz NOT NULL DEFAULT '-infinity';

DROP INDEX piwheels.withdrawn_file_here;
CREATE INDEX withdrawn_file_here ON piwheels.withdrawn_file (leave_at, path) WHERE NOT gone;
