-- Level 6: the cursor in PyPI's changelog, and that the front page is stale, are no rows any more that every event updates;
-- checks of the rows that every event changes are domains.

CREATE TABLE piwheels.event_cursor (
    serial bigint PRIMARY KEY
);
INSERT INTO piwheels.event_cursor SELECT pypi_serial FROM piwheels.configuration WHERE pypi_serial > 0;
ALTER TABLE piwheels.configuration DROP COLUMN pypi_serial;
ALTER TABLE piwheels.stale_page ADD COLUMN taken boolean NOT NULL DEFAULT false;

ALTER TABLE piwheels.package DROP CONSTRAINT package_name_check, DROP CONSTRAINT package_follow_check;
ALTER TABLE piwheels.stale_page DROP CONSTRAINT stale_page_kind_check;
CREATE DOMAIN piwheels.package_name AS text CHECK (length(value) BETWEEN 1 AND 255);
CREATE DOMAIN piwheels.package_follow AS text CHECK (value IN ('no', 'new', 'all'));
CREATE DOMAIN piwheels.page_kind AS text CHECK (value IN ('root', 'index', 'project', 'home'));
ALTER TABLE piwheels.package
    ALTER COLUMN name TYPE piwheels.package_name,
    ALTER COLUMN follow TYPE piwheels.package_follow;
DROP INDEX piwheels.stale_page_since;
ALTER TABLE piwheels.stale_page ALTER COLUMN kind TYPE piwheels.page_kind;
CREATE INDEX stale_page_since ON piwheels.stale_page ((kind = 'project'), since);
