-- Level 4: what wheels need.

ALTER TABLE piwheels.package ADD COLUMN native boolean NOT NULL DEFAULT false;
ALTER TABLE piwheels.file
    ADD COLUMN native     boolean NOT NULL DEFAULT false,
    ADD COLUMN was_native boolean NOT NULL DEFAULT false,
    ADD COLUMN armv6      boolean NOT NULL DEFAULT false,
    ADD COLUMN glibc      text NOT NULL DEFAULT '',
    ADD COLUMN glibcxx    text NOT NULL DEFAULT '';
CREATE TABLE piwheels.preinstalled (
    target  smallint NOT NULL REFERENCES piwheels.target,
    package text NOT NULL,
    PRIMARY KEY (target, package)
);
