-- Level 2: a slave tells what machine it is.

ALTER TABLE piwheels.slave
    ADD COLUMN system   text NOT NULL DEFAULT '',
    ADD COLUMN hardware text NOT NULL DEFAULT '';
