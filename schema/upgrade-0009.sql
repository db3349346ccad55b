-- Level 9: what a page of PyPI tells of what PyPI takes back.

ALTER TABLE piwheels.package ADD COLUMN status text NOT NULL DEFAULT '';
ALTER TABLE piwheels.version ADD COLUMN missing_since timestamptz;

-- What they told until now was not listened to: pages are read anew.
UPDATE piwheels.package SET etag = '' WHERE etag <> '';
