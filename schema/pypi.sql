-- What PyPI says becomes rows: a project's page (project_*), and the changelog's events (events_*). Made together with
-- functions.sql, whose rules make jobs of it. Everything is in one transaction with the serial up to which it is true.

SET LOCAL search_path = piwheels, pg_temp;

-- What the master wants of the database: build 'missing' or 'all', how long an upload settles, and how long events are kept.
CREATE FUNCTION policy_set(p_builds text, p_settle_ms bigint, p_event_retention_ms bigint DEFAULT 0) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    old configuration;
BEGIN
    SELECT * INTO old FROM configuration FOR NO KEY UPDATE;
    UPDATE configuration SET builds = p_builds, settle_ms = p_settle_ms, event_retention_ms = p_event_retention_ms;
    PERFORM events_expire(p_event_retention_ms);
    IF old.builds <> p_builds THEN
        PERFORM versions_settle(ARRAY (SELECT id FROM version WHERE covered_mask <> 0));
        PERFORM people_pages_stale();
    END IF;
END $$;

-- ---- what goes -----------------------------------------------------------------------------------

-- Takes the files of versions out of the indexes, for good; their bytes leave later (see "withdrawing" in functions.sql).
-- What no index names leaves at once.
CREATE FUNCTION files_withdraw(p_versions bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    sums tally := tally_none();
    names text[];
    roots boolean;
BEGIN
    WITH gone AS (
        DELETE FROM file WHERE version = ANY (p_versions) RETURNING path, sha256, version, state, size_bytes, apart),
    told AS (
        SELECT g.*, v.package, p.name FROM gone g JOIN version v ON v.id = g.version JOIN package p ON p.id = v.package),
    kept AS (
        INSERT INTO withdrawn_file AS w (path, sha256, package, leave_at, leaving, named)
            SELECT path, sha256, name, CASE WHEN state <> 'live' THEN now() END, state <> 'live', state <> 'publishing'
                FROM told
            ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256, since = now(), leave_at = excluded.leave_at,
                gone = false, leaving = excluded.leaving, named = w.named OR excluded.named),
    parts AS (
        SELECT package, count(*) AS files, count(*) FILTER (WHERE apart) AS apart, sum(size_bytes) AS size_bytes
            FROM told WHERE state = 'live' GROUP BY package),
    shrunk AS (
        UPDATE package SET live_files = live_files - parts.files, apart_files = apart_files - parts.apart
            FROM parts WHERE package.id = parts.package
            RETURNING name, parts.files, parts.size_bytes, live_files = 0 AS is_last,
                      parts.apart > 0 OR live_files = apart_files AS in_root)
    SELECT -coalesce(sum(files), 0), -coalesce(sum(size_bytes), 0), -count(*) FILTER (WHERE is_last),
           coalesce(array_agg(name), '{}'), coalesce(bool_or(in_root), false)
        INTO sums.files, sums.size_bytes, sums.packages, names, roots FROM shrunk;
    -- also where the files are withheld
    sums.versions := -(SELECT count(*) FROM version WHERE id = ANY (p_versions) AND built_mask <> 0);
    PERFORM pages_stale('index', names);
    IF roots THEN
        PERFORM page_stale('root', '');
    END IF;
    IF names <> '{}' OR sums.versions < 0 THEN
        PERFORM tally_add(sums);
    END IF;
END $$;

-- Removes versions and all that is known of them; answers the attempts under way, which somebody must stop.
CREATE FUNCTION versions_remove(p_versions bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended bigint[] := ARRAY (SELECT attempt FROM job WHERE version = ANY (p_versions) AND attempt IS NOT NULL);
BEGIN
    PERFORM files_withdraw(p_versions);
    DELETE FROM version_wheel WHERE version = ANY (p_versions);
    DELETE FROM version WHERE id = ANY (p_versions);
    RETURN ended;
END $$;

CREATE FUNCTION packages_remove(p_packages bigint[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    ended bigint[];
BEGIN
    PERFORM pages_stale('project', ARRAY (SELECT name FROM package WHERE id = ANY (p_packages)));
    ended := versions_remove(ARRAY (SELECT id FROM version WHERE package = ANY (p_packages)));
    DELETE FROM package WHERE id = ANY (p_packages);
    RETURN ended;
END $$;

-- PyPI has no project of this name any more; answers as versions_remove.
CREATE FUNCTION project_gone(p_name text) RETURNS SETOF bigint
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT unnest(packages_remove(ARRAY (SELECT id FROM package WHERE name = p_name FOR UPDATE)))
$$;

-- The files of quarantined releases leave the tree at once, and come back when PyPI clears them; how, see "withdrawing" in
-- functions.sql. One that comes back counts when it is there (files_returned).
CREATE FUNCTION files_withhold(p_versions bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    names text[];
    roots boolean;
    sums tally := tally_none();
BEGIN
    PERFORM FROM file WHERE version = ANY (p_versions) ORDER BY id FOR UPDATE;
    UPDATE file SET state = 'returning' FROM version v JOIN package p ON p.id = v.package
        WHERE file.version = v.id AND v.id = ANY (p_versions) AND file.state = 'withheld'
            AND NOT (v.quarantined OR p.quarantined);
    UPDATE file SET state = 'withheld', hidden = false FROM version v JOIN package p ON p.id = v.package
        WHERE file.version = v.id AND v.id = ANY (p_versions) AND file.state = 'returning'
            AND (v.quarantined OR p.quarantined);
    WITH held AS (
        UPDATE file SET state = 'withheld' FROM version v JOIN package p ON p.id = v.package
            WHERE file.version = v.id AND v.id = ANY (p_versions) AND file.state = 'live'
                AND (v.quarantined OR p.quarantined)
            RETURNING v.package, file.size_bytes, file.apart),
    parts AS (
        SELECT package, count(*) AS files, count(*) FILTER (WHERE apart) AS apart, sum(size_bytes) AS size_bytes
            FROM held GROUP BY package),
    shrunk AS (
        UPDATE package SET live_files = live_files - parts.files, apart_files = apart_files - parts.apart
            FROM parts WHERE package.id = parts.package
            RETURNING name, parts.files, parts.size_bytes, live_files = 0 AS is_last,
                      parts.apart > 0 OR live_files = apart_files AS in_root)
    SELECT -coalesce(sum(files), 0), -coalesce(sum(size_bytes), 0), -count(*) FILTER (WHERE is_last),
           coalesce(array_agg(name), '{}'), coalesce(bool_or(in_root), false)
        INTO sums.files, sums.size_bytes, sums.packages, names, roots FROM shrunk;
    IF names <> '{}' THEN
        PERFORM pages_stale('index', names);
        IF roots THEN
            PERFORM page_stale('root', '');
        END IF;
        PERFORM tally_add(sums);
    END IF;
END $$;

-- ---- a project's page ----------------------------------------------------------------------------

-- The versions in project_store's argument, one of each sort key. Its sets of tags must be there already: what they cover
-- was judged once, and that stands.
CREATE FUNCTION project_versions(p jsonb)
    RETURNS TABLE (version text, key bytea, released timestamptz, uploaded timestamptz, prerelease boolean, legacy boolean,
                   yanked boolean, yanked_reason text, requires_python text, judged_mask bigint, na_mask bigint, sdist text,
                   other_sdists text[], sdist_sha256 bytea, wheels jsonb, covered_mask bigint)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (r.key) r.version, decode(r.key, 'hex'), r.released, r.uploaded, coalesce(r.prerelease, false),
           coalesce(r.legacy, false), coalesce(r.yanked, false), coalesce(r.yanked_reason, ''),
           coalesce(r.requires_python, ''), coalesce(r.judged_mask, 0), coalesce(r.na_mask, 0), r.sdist,
           nullif(r.other_sdists, '{}'), decode(r.sdist_sha256, 'hex'), coalesce(r.wheels, '[]'),
           coalesce((SELECT bit_or(t.mask) FROM jsonb_array_elements(r.wheels) w JOIN tagset t ON t.tags = w ->> 0), 0)
        FROM jsonb_to_recordset(p -> 'versions') AS r (
            version text, key text, released timestamptz, uploaded timestamptz, prerelease boolean, legacy boolean,
            yanked boolean, yanked_reason text, requires_python text, judged_mask bigint, na_mask bigint, sdist text,
            other_sdists text[], sdist_sha256 text, wheels jsonb)
        ORDER BY r.key, r.version
$$;

-- A wheel's name in version_wheel.
CREATE FUNCTION wheel_hash(p_file text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT ('x' || left(md5(p_file), 8))::bit(32)::integer $$;

-- The sets of tags on a page that are new; ids are not wasted on known ones.
CREATE FUNCTION project_tagsets(p jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO tagset (tags, mask)
        SELECT w ->> 0, max((w ->> 1)::bigint)
            FROM jsonb_array_elements(p -> 'versions') v CROSS JOIN jsonb_array_elements(v -> 'wheels') w
            WHERE NOT EXISTS (SELECT FROM tagset t WHERE t.tags = w ->> 0) GROUP BY 1 ORDER BY 1
        ON CONFLICT DO NOTHING
$$;

-- Brings the wheels of a package's versions in line with its page.
CREATE FUNCTION project_wheels(p_package bigint, p jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH told AS MATERIALIZED (
        SELECT v.id AS version, t.id AS tagset, wheel_hash(w ->> 2) AS name
            FROM project_versions(p) i JOIN version v ON v.package = p_package AND v.sort_key = i.key
                CROSS JOIN jsonb_array_elements(i.wheels) w JOIN tagset t ON t.tags = w ->> 0),
    gone AS (
        DELETE FROM version_wheel k USING version v WHERE v.package = p_package AND k.version = v.id
            AND NOT EXISTS (SELECT FROM told WHERE (told.version, told.tagset, told.name) = (k.version, k.tagset, k.name)))
    INSERT INTO version_wheel (version, tagset, name) SELECT version, tagset, name FROM told ON CONFLICT DO NOTHING;
END $$;

-- Brings a package's row and its aliases up to date; the pages that show them become stale.
CREATE FUNCTION project_package(p jsonb) RETURNS package
LANGUAGE plpgsql AS $$
DECLARE
    old package;
    pkg package;
    new_alias boolean;
BEGIN
    SELECT * INTO old FROM package WHERE name = p ->> 'name' FOR NO KEY UPDATE;
    INSERT INTO package AS k (name, display, follow, serial, etag)
        VALUES (p ->> 'name', p ->> 'display', coalesce(p ->> 'follow', 'no'),
                coalesce((p ->> 'serial')::bigint, 0), coalesce(p ->> 'etag', ''))
        ON CONFLICT (name) DO UPDATE SET
            display = CASE WHEN excluded.display <> excluded.name THEN excluded.display ELSE k.display END,
            follow = CASE WHEN k.follow = 'all' THEN 'all' ELSE coalesce(p ->> 'follow', k.follow) END,
            serial = greatest(k.serial, excluded.serial),
            etag = excluded.etag
        RETURNING * INTO pkg;
    UPDATE package SET refresh_at = CASE WHEN follow <> 'no'
            THEN now() + make_interval(secs => (p ->> 'refresh_s')::float8) END,
            -- who has a page of ours is asked for what it says of itself: at first, and when it may have changed
            summary_at = CASE WHEN (follow <> 'no' OR live_files > 0)
                    AND (summary IS NULL OR old.serial IS DISTINCT FROM serial) THEN now() ELSE summary_at END
        WHERE id = pkg.id;
    INSERT INTO package_alias (name, package)
        SELECT pkg.display, pkg.id WHERE pkg.display <> pkg.name
        ON CONFLICT (name) DO UPDATE SET package = excluded.package WHERE package_alias.package IS NULL;
    new_alias := FOUND;
    IF pkg.live_files > 0 AND (new_alias OR pkg.display <> old.display) THEN
        PERFORM page_stale('index', pkg.name);
        PERFORM page_stale('root', '');
    END IF;
    RETURN pkg;
END $$;

-- Whether a comparison was overtaken: what it brings is older than what is known. The package may be gone meanwhile, and must not
-- come back; or its events, or somebody who asked for it, have told more: then it is compared once more.
CREATE FUNCTION project_overtaken(p jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    known bigint := p ->> 'known';
    now_known bigint;
BEGIN
    IF known IS NULL THEN
        RETURN false; -- a person asked
    END IF;
    SELECT serial INTO now_known FROM package WHERE name = p ->> 'name' FOR NO KEY UPDATE;
    UPDATE package SET refresh_at = now() WHERE name = p ->> 'name' AND now_known <> known;
    RETURN now_known IS DISTINCT FROM known;
END $$;

-- What became of a project's page, beside what was asked for.
CREATE TYPE page_outcome AS (
    behind  boolean,    -- it is older than what is known by now: nothing of it was taken in
    asked   bigint[],   -- versions
    turned  text,       -- PyPI has 'quarantined' the project, or 'cleared' it; '': neither
    missed  text[],     -- releases that it has no more, seen for the first time, the newest first
    removed text[],     -- releases that it had no more before: they are removed
    waiting bigint,     -- so many that it had no more at the last look, which was just now,
    doubted bigint,     -- and so many that it had no more before, but who knows whether that is true
    ended   bigint[]    -- attempts that somebody must stop
);

-- The status of a project (PEP 792). Where a page has none that tells only something if an earlier one had: an index that knows
-- nothing of it does not undo what an event said. `shut`: it is quarantined now.
CREATE FUNCTION project_status(pkg package, p_status text, OUT shut boolean, OUT turned text)
LANGUAGE plpgsql AS $$
BEGIN
    shut := CASE WHEN p_status IS NULL THEN pkg.quarantined AND pkg.status <> 'quarantined' ELSE p_status = 'quarantined' END;
    turned := CASE WHEN shut = pkg.quarantined THEN '' WHEN shut THEN 'quarantined' ELSE 'cleared' END;
    UPDATE package SET quarantined = shut, status = coalesce(p_status, '')
        WHERE id = pkg.id AND (quarantined, status) <> (shut, coalesce(p_status, ''));
END $$;

-- The releases that are on a page, all of them: new ones are made, the newest with the lowest id, for jobs are taken in the
-- order of ids; and what PyPI describes otherwise now is changed. One that failed has another chance with another sdist.
CREATE FUNCTION project_releases(pkg package, p jsonb, p_wanted boolean,
                                 OUT fresh bigint[], OUT changed bigint[], OUT other_source bigint[])
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    WITH added AS (
        INSERT INTO version (package, version, sort_key, released, prerelease, yanked, yanked_reason, wanted,
                             requires_python, sdist, other_sdists, sdist_sha256, judged_mask, na_mask, covered_mask,
                             uploaded, legacy)
            SELECT pkg.id, i.version, i.key, i.released, i.prerelease, i.yanked, i.yanked_reason, p_wanted, i.requires_python,
                   i.sdist, i.other_sdists, i.sdist_sha256, i.judged_mask, i.na_mask, i.covered_mask, i.uploaded, i.legacy
            FROM project_versions(p) i
            WHERE NOT EXISTS (SELECT FROM version o WHERE o.package = pkg.id AND o.sort_key = i.key)
            ORDER BY i.key DESC
            RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO fresh FROM added;

    WITH updated AS (
        UPDATE version o SET released = coalesce(i.released, o.released), yanked = i.yanked, yanked_reason = i.yanked_reason,
                requires_python = i.requires_python, sdist = i.sdist, other_sdists = i.other_sdists,
                sdist_sha256 = i.sdist_sha256, judged_mask = i.judged_mask, na_mask = i.na_mask,
                covered_mask = i.covered_mask, uploaded = i.uploaded, legacy = i.legacy, missing_since = NULL,
                failed_mask = CASE WHEN b.sdist_sha256 IS NOT NULL AND b.sdist_sha256 IS DISTINCT FROM i.sdist_sha256
                                   THEN 0 ELSE o.failed_mask END
            FROM project_versions(p) i JOIN version b ON b.package = pkg.id AND b.sort_key = i.key
            WHERE o.id = b.id
              AND (b.released, b.yanked, b.yanked_reason, b.requires_python, b.sdist, b.other_sdists, b.sdist_sha256,
                   b.judged_mask, b.na_mask, b.covered_mask, b.uploaded, b.legacy, b.missing_since IS NULL)
                  IS DISTINCT FROM
                  (coalesce(i.released, b.released), i.yanked, i.yanked_reason, i.requires_python, i.sdist, i.other_sdists,
                   i.sdist_sha256, i.judged_mask, i.na_mask, i.covered_mask, i.uploaded, i.legacy, true)
            RETURNING o.id, b.sdist_sha256 IS NOT NULL AND b.sdist_sha256 IS DISTINCT FROM i.sdist_sha256 AS other)
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(id) FILTER (WHERE other), '{}')
        INTO changed, other_source FROM updated;
END $$;

-- The releases that are not on a page: nothing of them is built any more. Those that had files there, and that the index does
-- not list without any, are missing. An index may not be itself (a mirror that is being filled, a wrong address): so that they
-- are removed is believed at the second look, a period after the first; and where more are missing than are left, only if the
-- caller has seen ("believed") that the index had all it should of other projects meanwhile. A page of unknown age proves
-- nothing, a quarantined release is on no page, and who asks for something is no second look.
CREATE FUNCTION project_missing(pkg package, p jsonb, p_current boolean, INOUT o page_outcome, OUT left_out bigint[])
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    before timestamptz := now() - make_interval(secs => coalesce((p ->> 'refresh_s')::float8, 0));
    again bigint[];     -- that were missing at the last look
    names text[];
    total bigint;       -- that are missing
BEGIN
    IF p ->> 'want' IS NOT NULL THEN
        before := '-infinity';
    END IF;
    WITH out AS MATERIALIZED (
        SELECT id FROM version WHERE package = pkg.id
        EXCEPT SELECT v.id FROM project_versions(p) i JOIN version v ON v.package = pkg.id AND v.sort_key = i.key),
    listed AS MATERIALIZED (
        SELECT v.id FROM jsonb_array_elements_text(p -> 'listed') k
            JOIN version v ON v.package = pkg.id AND v.sort_key = decode(k, 'hex')),
    facts AS MATERIALIZED (
        SELECT v.id, v.version, v.sort_key, v.missing_since AS since, v.sdist IS NOT NULL OR v.covered_mask <> 0 AS had,
               p_current AND listed.id IS NULL AND (v.sdist IS NOT NULL OR v.covered_mask <> 0 OR v.built_mask <> 0
                   OR v.missing_since IS NOT NULL OR EXISTS (SELECT FROM version_wheel w WHERE w.version = v.id)) AS missing
            FROM out JOIN version v ON v.id = out.id LEFT JOIN listed ON listed.id = out.id WHERE NOT v.quarantined),
    updated AS (
        UPDATE version v SET sdist = NULL, other_sdists = NULL, sdist_sha256 = NULL, covered_mask = 0,
                missing_since = CASE WHEN f.missing THEN CASE WHEN f.had THEN now() ELSE coalesce(f.since, now()) END END
            FROM facts f WHERE v.id = f.id AND (f.had OR f.missing <> (f.since IS NOT NULL)) RETURNING v.id)
    SELECT (SELECT coalesce(array_agg(id), '{}') FROM updated),
           coalesce(array_agg(version ORDER BY sort_key DESC) FILTER (WHERE had OR since IS NULL), '{}'), count(*),
           coalesce(array_agg(id) FILTER (WHERE NOT had AND since <= before), '{}'),
           array_agg(version ORDER BY sort_key DESC) FILTER (WHERE NOT had AND since <= before)
        INTO left_out, o.missed, total, again, names FROM facts WHERE missing;
    o.waiting := total - cardinality(o.missed) - cardinality(again);
    IF total <= jsonb_array_length(p -> 'versions') OR (p ->> 'believed')::boolean THEN
        o.removed := coalesce(names, '{}');
        o.ended := o.ended || versions_remove(again);
    ELSE
        o.doubted := cardinality(again);
    END IF;
END $$;

-- Records what PyPI says about a project, and what a person or the follower wants of it.
--   p: {"name", "display", "serial", "etag", "refresh_s",
--       "known",                               -- of a comparison: the package's serial when it began; see project_overtaken
--       "follow": null | "new" | "all",        -- null leaves it as it is
--       "want": null | "newest" | "all" | {"key": hex of the sort key},   -- null: of a comparison
--       "status": null | "active" | "archived" | "deprecated" | "quarantined",
--       "versions": [{"version", "key" (hex), "released", "prerelease", "yanked", "yanked_reason",
--                     "requires_python", "judged_mask", "na_mask", "legacy",
--                     "sdist", "other_sdists": [name, ...], "sdist_sha256" (hex or null), "uploaded",
--                     "wheels": [[tags, mask of the targets that it fits, file name], ...]}],   -- not yanked ones
--       "listed": [hex of the sort key, ...],  -- releases that PyPI has no files of
--       "believed": boolean,                   -- see project_missing
--       "skips": [{"rule", "keys": [hex of the sort key, ...]}]}    -- each rule with a specifier, and what it fits
-- "versions" is all that PyPI has. A page that is older than what is known, and that of a quarantined project, which offers
-- nothing, tell nothing of releases.
CREATE FUNCTION project_take(p jsonb) RETURNS page_outcome
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    known package;
    pkg package;
    want jsonb := nullif(p -> 'want', 'null');
    o page_outcome := ROW (false, '{}', '', '{}', '{}', 0, 0, '{}');
    current boolean;    -- the page is the newest of what is known
    shut boolean;       -- the project is quarantined
    fresh bigint[] := '{}';
    changed bigint[] := '{}';
    other_source bigint[] := '{}';
    left_out bigint[] := '{}';
    seen record;
BEGIN
    SELECT * INTO known FROM package WHERE name = p ->> 'name' FOR NO KEY UPDATE;
    o.behind := project_overtaken(p) OR coalesce((p ->> 'serial')::bigint > 0 AND (p ->> 'serial')::bigint < known.serial, false);
    IF o.behind AND want IS NULL THEN
        RETURN o;
    ELSIF o.behind THEN
        p := p || '{"etag": "", "refresh_s": 0}'; -- what is wished for is noted
    END IF;
    pkg := project_package(p);
    PERFORM FROM version WHERE package = pkg.id ORDER BY id FOR NO KEY UPDATE;
    current := coalesce((p ->> 'serial')::bigint, 0) = pkg.serial;
    shut := pkg.quarantined;
    IF current THEN
        SELECT s.shut, s.turned INTO shut, o.turned FROM project_status(pkg, p ->> 'status') s;
    END IF;
    IF NOT shut AND NOT o.behind THEN
        PERFORM project_tagsets(p);
        SELECT r.fresh, r.changed, r.other_source INTO fresh, changed, other_source FROM project_releases(
            pkg, p, known.follow IS NOT DISTINCT FROM 'new' OR pkg.follow = 'all' OR (SELECT follows = 'all' FROM configuration)) r;
        SELECT * INTO seen FROM project_missing(pkg, p, current, o);
        o := seen.o;
        left_out := seen.left_out;
        PERFORM project_wheels(pkg.id, p);
    END IF;
    IF o.turned <> '' THEN
        changed := ARRAY (SELECT id FROM version WHERE package = pkg.id);
        PERFORM files_withhold(changed);
    END IF;

    SELECT coalesce(array_agg(s.id), '{}') INTO o.asked FROM (
        SELECT id FROM version WHERE package = pkg.id
            AND (want = '"all"' OR sort_key = decode(want ->> 'key', 'hex'))
        UNION ALL
        (SELECT id FROM version WHERE package = pkg.id AND want = '"newest"'
            ORDER BY sdist IS NULL, yanked, legacy, prerelease, sort_key DESC LIMIT 1)) s;
    UPDATE version SET wanted = true, by_hand = by_hand OR want <> '"all"' WHERE id = ANY (o.asked);
    -- and what the farm had given up is taken up again
    UPDATE job SET need = NULL, tries = 0, losses = 0, avoid = NULL, avoid_until = NULL, ready_at = now()
        WHERE version = ANY (o.asked || other_source) AND attempt IS NULL AND tries > 0;
    -- what a person asks for need not settle
    UPDATE job SET ready_at = now() WHERE version = ANY (o.asked) AND attempt IS NULL AND need = 'later' AND want <> '"all"';

    PERFORM skips_strike(fresh);
    PERFORM versions_settle(fresh || changed || left_out || o.asked || skips_judged(pkg.id, p));
    IF want IS NULL THEN
        o.ended := o.ended || attempts_end_unwanted(
            CASE WHEN shut THEN ARRAY (SELECT id FROM version WHERE package = pkg.id) ELSE changed END);
    END IF;
    IF shut OR o.missed <> '{}' OR o.waiting + o.doubted > 0 OR o.turned <> '' AND want IS NOT NULL THEN
        -- the page is read again, whole; a comparison stops what is built
        UPDATE package SET etag = '', refresh_at = now() + CASE WHEN o.turned = '' OR want IS NULL
                THEN make_interval(secs => (p ->> 'refresh_s')::float8) ELSE '0' END
            WHERE id = pkg.id;
    END IF;
    IF pkg.live_files > 0 AND changed <> '{}' THEN
        PERFORM page_stale('index', pkg.name);
    END IF;
    PERFORM page_stale('project', pkg.name);
    PERFORM home_stale();
    RETURN o;
END $$;

-- project_take for somebody who asks for something; answers what became of each version asked for on each enabled target, or on
-- "" when there is none.
CREATE FUNCTION project_store(p jsonb) RETURNS TABLE (version text, target text, state text, reason text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    o page_outcome := project_take(p);
BEGIN
    RETURN QUERY
        SELECT v.version, coalesce(t.name, ''), coalesce(s.state, 'waiting'), coalesce(s.reason,
                   CASE WHEN EXISTS (SELECT FROM target) THEN 'every target is skipped'
                        ELSE 'no target exists; add one with piwheels target add' END)
            FROM version v LEFT JOIN target t ON t.skip IS NULL
                LEFT JOIN LATERAL version_state(v.id, t.id) s ON t.id IS NOT NULL
            WHERE v.id = ANY (o.asked) ORDER BY v.sort_key, t.position;
END $$;

-- project_take for the follower, who compares.
CREATE FUNCTION project_compare(p jsonb) RETURNS page_outcome
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$ SELECT project_take(p) $$;

-- PyPI's page of a followed package has not changed, or could not be had: look again later.
CREATE FUNCTION project_later(p_name text, p_ms bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE package SET refresh_at = now() + make_interval(secs => p_ms / 1000.0) WHERE name = p_name
$$;

-- Which packages are to be compared with PyPI, and in how many milliseconds. First those whose jobs stand at the head of a
-- target's queue (some thousand jobs of it) and cannot be handed out before PyPI has told what its changelog does not; then
-- by the time that was set. An ETag is told where an unchanged page leaves nothing to do.
CREATE FUNCTION projects_due() RETURNS TABLE (name text, etag text, serial bigint, in_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
    WITH head AS MATERIALIZED (
        SELECT h.package, min(h.rank) AS rank
            FROM target t
                CROSS JOIN LATERAL (SELECT (SELECT r.rank FROM job r
                    WHERE r.target = t.id AND r.attempt IS NULL AND r.need IS NULL AND r.kind IS NULL
                    ORDER BY r.rank, r.version OFFSET 999 LIMIT 1) AS rank) last
                CROSS JOIN LATERAL (
                    SELECT v.package, j.rank FROM job j JOIN version v ON v.id = j.version JOIN package p ON p.id = v.package
                        WHERE j.target = t.id AND j.attempt IS NULL AND j.need = 'info'
                            AND (last.rank IS NULL OR j.rank < last.rank)
                            AND (p.refresh_at IS NULL OR p.refresh_at <= now())
                        ORDER BY j.rank, j.version LIMIT 16) h
            WHERE t.skip IS NULL
            GROUP BY h.package ORDER BY 2 LIMIT 16)
    (SELECT p.name, '', p.serial, 0::bigint FROM head JOIN package p ON p.id = head.package ORDER BY head.rank)
    UNION ALL
    (SELECT p.name, CASE WHEN p.follow <> 'no' THEN p.etag ELSE '' END, p.serial,
            ceil(extract(epoch FROM p.refresh_at - now()) * 1000)::bigint
        FROM package p WHERE p.refresh_at IS NOT NULL AND p.id NOT IN (SELECT package FROM head)
        ORDER BY p.refresh_at LIMIT 32)
$$;

-- ---- summaries -----------------------------------------------------------------------------------

-- Which packages' summaries are to be asked for now.
CREATE FUNCTION summaries_due(p_most integer) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT name FROM package WHERE summary_at <= now() ORDER BY summary_at LIMIT p_most
$$;

-- What PyPI says of a project; p_display '': it does not tell how it is spelt.
CREATE FUNCTION summary_store(p_name text, p_summary text, p_display text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    old package;
    spelling text;
BEGIN
    SELECT * INTO old FROM package WHERE name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    spelling := coalesce(nullif(p_display, ''), old.display);
    UPDATE package SET summary = p_summary, display = spelling, summary_at = NULL WHERE id = old.id;
    INSERT INTO package_alias (name, package)
        SELECT spelling, old.id WHERE spelling <> p_name ON CONFLICT (name) DO NOTHING;
    IF spelling <> old.display AND old.live_files > 0 THEN
        PERFORM page_stale('index', p_name);
        PERFORM page_stale('root', '');
    END IF;
    IF spelling <> old.display OR p_summary IS DISTINCT FROM old.summary THEN
        PERFORM page_stale('project', p_name);
    END IF;
END $$;

-- It could not be had: again later.
CREATE FUNCTION summary_later(p_name text, p_ms bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE package SET summary_at = now() + make_interval(secs => p_ms / 1000.0) WHERE name = p_name AND summary_at IS NOT NULL
$$;

-- ---- the changelog -------------------------------------------------------------------------------

-- The last event of PyPI that was applied.
CREATE FUNCTION events_cursor() RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN coalesce((SELECT serial FROM event_cursor ORDER BY serial DESC LIMIT 1), 0);
END $$;

-- Moves it on. The old ones leave all together, when the newest is in another thousand of serials: so each time only as many
-- are gone through as can have come since.
CREATE FUNCTION events_cursor_move(p_from bigint, p_to bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    size constant bigint := 1000;
BEGIN
    INSERT INTO event_cursor VALUES (p_to);
    IF p_from / size < p_to / size THEN
        DELETE FROM event_cursor WHERE serial BETWEEN p_from / size * size AND p_from;
    END IF;
END $$;

-- From which serial the changelog is to be read. Who goes over from listed packages to all must read the whole
-- history: what is known already tells by its own serial which events are old.
CREATE FUNCTION follow_begin(p_mode text, p_newest bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    old configuration;
    start bigint;
    unwanted bigint[];
BEGIN
    SELECT * INTO old FROM configuration FOR NO KEY UPDATE;
    start := events_cursor();
    IF p_mode = 'all' AND old.follows <> 'all' THEN
        WITH taken_up AS (UPDATE version SET wanted = true WHERE NOT wanted RETURNING id)
        SELECT coalesce(array_agg(id), '{}') INTO unwanted FROM taken_up;
        PERFORM versions_settle(unwanted);
        PERFORM projects_stale(unwanted);
    END IF;
    IF p_mode = 'all' AND old.follows <> 'all' OR p_mode = 'listed' AND old.follows = '' THEN
        start := CASE p_mode WHEN 'all' THEN 0 ELSE p_newest END;
        DELETE FROM event_cursor;
        INSERT INTO event_cursor VALUES (start);
    END IF;
    UPDATE configuration SET follows = p_mode WHERE follows <> p_mode;
    RETURN start;
END $$;

-- Where events wait for events_apply: tables of this session, so that nobody else's lock or snapshot holds them up. They
-- belong to the owner of these functions; whoever opens them may only put rows into the first. They have no indexes, nor a
-- place for large values: to empty those at each commit costs more than an event, and makes the server forget its plans.
CREATE FUNCTION events_open() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET client_min_messages = warning AS $$
BEGIN
    IF to_regclass('pg_temp.event_staging') IS NOT NULL THEN
        RETURN; -- whose they are, events_apply sees
    END IF;
    CREATE TEMP TABLE event_staging (serial bigint NOT NULL, happened bigint NOT NULL, kind "char" NOT NULL)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE event_package (
        gone bigint, made bigint, newest bigint, odd boolean, yanked boolean, shut boolean, spelt boolean, id bigint,
        known bigint, shown boolean)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE event_work (
        serial bigint, happened bigint, kind "char", package bigint, tagset integer, mask bigint, last boolean)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE event_version (id bigint, package bigint, made bigint, fresh boolean, source boolean) ON COMMIT DELETE ROWS;
    ALTER TABLE event_staging
        ADD name text NOT NULL, ADD display text NOT NULL, ADD version text, ADD sort_key bytea, ADD prerelease boolean,
        ADD legacy boolean, ADD file text, ADD tags text, ADD fits bigint,
        ALTER name SET STORAGE PLAIN, ALTER display SET STORAGE PLAIN, ALTER version SET STORAGE PLAIN,
        ALTER sort_key SET STORAGE PLAIN, ALTER file SET STORAGE PLAIN, ALTER tags SET STORAGE PLAIN;
    ALTER TABLE event_package ADD name text, ALTER name SET STORAGE PLAIN;
    ALTER TABLE event_work
        ADD sort_key bytea, ADD version text, ADD prerelease boolean, ADD legacy boolean, ADD file text, ADD tags text,
        ALTER sort_key SET STORAGE PLAIN, ALTER version SET STORAGE PLAIN, ALTER file SET STORAGE PLAIN,
        ALTER tags SET STORAGE PLAIN;
    ALTER TABLE event_version ADD sort_key bytea, ALTER sort_key SET STORAGE PLAIN;
    EXECUTE format('GRANT INSERT ON pg_temp.event_staging TO %I', session_user);
END $$;

-- Nobody else's table may stand in for ours. The events' are made all together or not at all, and go all together (DISCARD):
-- the first answers for the others. (By its name, as the catalogue's index has it: this is asked at each event.)
CREATE FUNCTION staging_check(p_name name) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class
                   WHERE relname = p_name AND relnamespace = pg_my_temp_schema() AND relowner <> current_user::regrole) THEN
        RAISE EXCEPTION 'this session has temporary tables of its own' USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- Plans are made for few events or for many, and kept: they are forgotten when a batch is of quite another size, and then
-- the server is told anew how the events lie. (That takes a sixth of the time of a large batch: not each time. And only of
-- columns by which rows are joined: what is known of the serials is wrong for the next batch.)
CREATE FUNCTION events_analyze(p_events bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    planned bigint := coalesce(nullif(current_setting('piwheels.events', true), ''), '-1');
BEGIN
    IF planned >= 0 AND (greatest(p_events, planned) <= 1000 OR p_events BETWEEN planned / 4 AND planned * 4) THEN
        RETURN false;
    END IF;
    PERFORM set_config('piwheels.events', p_events::text, false);
    ANALYZE pg_temp.event_staging (name, kind);
    RETURN true;
END $$;

-- The packages that the batch is about: which it removes (up to which serial), and what becomes of the others.
CREATE FUNCTION events_packages(p_cursor bigint, p_kinds text, p_all boolean, p_analyze boolean) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    ended bigint[];
BEGIN
    -- made: by the newest event that makes a package, or shows how it is spelt; known: the package's own serial
    INSERT INTO event_package (name, gone, made, newest, odd, yanked, shut, spelt, id, known, shown)
        SELECT s.name, s.gone, CASE WHEN s.made > coalesce(s.gone, 0) THEN s.made END, s.newest, s.odd, s.yanked, s.shut,
               s.spelt, p.id, coalesce(p.serial, 0), p.live_files > 0
            FROM (SELECT name, max(serial) FILTER (WHERE kind = 'P') AS gone,
                         max(serial) FILTER (WHERE kind IN ('c', 'n', 's', 'w', 'o')) AS made,
                         max(serial) AS newest, bool_or(kind = '?') AS odd, bool_or(kind = 'y') AS yanked,
                         bool_or(kind IN ('Q', 'C')) AS shut, bool_or(display <> name) AS spelt
                      FROM event_staging WHERE serial > p_cursor GROUP BY name) s
                LEFT JOIN package p ON p.name = s.name AND (p_all OR p.follow <> 'no');
    IF p_analyze THEN
        ANALYZE pg_temp.event_package (name);
    END IF;
    ended := '{}';
    IF p_kinds LIKE '%P%' THEN
        ended := packages_remove(ARRAY (
            SELECT p.id FROM event_package e JOIN package p ON p.id = e.id WHERE e.gone > p.serial ORDER BY p.id));
        UPDATE event_package e SET id = NULL WHERE e.gone IS NOT NULL AND NOT EXISTS (SELECT FROM package p WHERE p.id = e.id);
    END IF;
    IF p_all AND EXISTS (SELECT FROM event_package WHERE id IS NULL) THEN
        INSERT INTO package (name, display)
            SELECT e.name, s.display FROM event_package e JOIN event_staging s ON s.serial = e.made WHERE e.id IS NULL ORDER BY e.name
            ON CONFLICT (name) DO NOTHING;
        UPDATE event_package e SET id = p.id FROM package p WHERE e.id IS NULL AND p.name = e.name;
    END IF;
    RETURN ended;
END $$;

-- Packages that something is taken back of, or given back to, are held, and what is known of them is read again: a page of PyPI
-- that tells more than these events may have been stored since the batch was begun.
CREATE FUNCTION events_hold() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    held bigint[] := ARRAY (
        SELECT DISTINCT e.id FROM event_package e JOIN event_staging s ON s.name = e.name
            WHERE e.id IS NOT NULL AND s.kind IN ('R', 'y', 'u', 'q', 'd', 'Q', 'C'));
BEGIN
    PERFORM FROM package WHERE id = ANY (held) ORDER BY id FOR NO KEY UPDATE;
    UPDATE event_package e SET known = p.serial FROM package p WHERE p.id = e.id AND p.id = ANY (held) AND e.known < p.serial;
END $$;

-- The events that are news of these packages. The last word on each file decides whether it is there. What a set of tags
-- covers was judged once, and that stands.
CREATE FUNCTION events_news(p_cursor bigint, p_kinds text, p_analyze boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF p_kinds LIKE '%w%' AND EXISTS (
            SELECT FROM event_staging s WHERE s.kind = 'w' AND NOT EXISTS (SELECT FROM tagset t WHERE t.tags = s.tags)) THEN
        INSERT INTO tagset (tags, mask)
            SELECT s.tags, max(s.fits) FROM event_staging s JOIN event_package e ON e.name = s.name AND e.id IS NOT NULL
                WHERE s.kind = 'w' AND s.serial > p_cursor AND NOT EXISTS (SELECT FROM tagset t WHERE t.tags = s.tags)
                GROUP BY s.tags ORDER BY s.tags
            ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO event_work (serial, happened, kind, package, sort_key, version, prerelease, legacy, file, tags, tagset, mask, last)
        SELECT s.serial, s.happened, s.kind, e.id, s.sort_key, s.version, s.prerelease, s.legacy, s.file, s.tags, t.id, t.mask,
               s.file IS NOT NULL AND s.serial = max(s.serial) OVER (PARTITION BY e.id, s.sort_key, s.file)
            FROM event_staging s JOIN event_package e ON e.name = s.name LEFT JOIN tagset t ON t.tags = s.tags
            WHERE e.id IS NOT NULL AND s.serial > greatest(coalesce(e.gone, 0), p_cursor, e.known);
    IF p_analyze THEN
        ANALYZE pg_temp.event_work (package, sort_key, kind, last);
    END IF;
END $$;

-- Spellings, the serial up to which each package is known, and which are to be compared with PyPI at once.
CREATE FUNCTION events_spellings() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE package p SET serial = e.newest, display = coalesce(s.display, p.display),
            refresh_at = CASE WHEN e.odd OR p.follow <> 'no' OR e.yanked AND p.live_files > 0 THEN now()
                              ELSE p.refresh_at END
        FROM event_package e LEFT JOIN event_staging s ON s.serial = e.made
        WHERE p.id = e.id AND p.serial < e.newest;
    IF NOT EXISTS (SELECT FROM event_package WHERE spelt) THEN
        RETURN;
    END IF;
    INSERT INTO package_alias (name, package)
        SELECT DISTINCT ON (s.display) s.display, e.id FROM event_staging s JOIN event_package e ON e.name = s.name
            WHERE e.id IS NOT NULL AND e.spelt AND s.display <> s.name AND s.kind IN ('c', 'n', 's', 'w', 'o')
                AND s.serial > coalesce(e.gone, 0)
            ORDER BY s.display
        ON CONFLICT (name) DO UPDATE SET package = excluded.package WHERE package_alias.package IS NULL;
END $$;

-- Releases that are removed go with all that came before; what comes after makes them afresh.
CREATE FUNCTION events_releases_gone() RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    ended bigint[];
BEGIN
    ended := versions_remove(ARRAY (
        SELECT v.id FROM event_work w JOIN version v ON v.package = w.package AND v.sort_key = w.sort_key
            WHERE w.kind = 'R' ORDER BY v.id));
    DELETE FROM event_work w USING (
            SELECT package, sort_key, max(serial) AS serial FROM event_work WHERE kind = 'R' GROUP BY package, sort_key) l
        WHERE w.package = l.package AND w.sort_key = l.sort_key AND w.serial <= l.serial;
    RETURN ended;
END $$;

-- The sdists of a version in the order in which they came: the one to build from is the last .tar.gz, or else the last.
CREATE FUNCTION sdist_choose(p_sdists text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT s FROM unnest(p_sdists) WITH ORDINALITY u (s, place) ORDER BY s LIKE '%.tar.gz' DESC, place DESC LIMIT 1
$$;

-- The versions that the batch is about: those that are known, and the new ones, which are made complete. (Most of PyPI's
-- history are written once, here.) Answers whether any were known.
CREATE FUNCTION events_versions(p_all boolean, p_analyze boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    some_known boolean;
BEGIN
    INSERT INTO event_version (id, package, sort_key, made, fresh)
        SELECT v.id, v.package, v.sort_key, 0, false
            FROM (SELECT DISTINCT package, sort_key FROM event_work WHERE sort_key IS NOT NULL) w
                JOIN version v ON v.package = w.package AND v.sort_key = w.sort_key;
    some_known := FOUND;
    IF NOT EXISTS (SELECT FROM event_work w WHERE kind IN ('n', 's', 'w', 'o')
                       AND NOT EXISTS (SELECT FROM event_version e WHERE e.package = w.package AND e.sort_key = w.sort_key)) THEN
        RETURN some_known;
    END IF;
    WITH first AS MATERIALIZED (
        SELECT DISTINCT ON (package, sort_key) package, sort_key, version, prerelease, legacy, happened, serial
            FROM event_work WHERE kind IN ('n', 's', 'w', 'o') ORDER BY package, sort_key, serial),
    made AS MATERIALIZED (
        SELECT package, sort_key, array_agg(file ORDER BY serial) FILTER (WHERE kind = 's') AS sdists,
               max(happened) FILTER (WHERE kind = 's') AS uploaded, bit_or(mask) FILTER (WHERE kind = 'w') AS covered
            FROM event_work WHERE last AND kind IN ('s', 'w') GROUP BY package, sort_key),
    fresh AS (
        INSERT INTO version (package, version, sort_key, released, prerelease, legacy, wanted, sdist, other_sdists, uploaded,
                             covered_mask)
            SELECT f.package, f.version, f.sort_key, to_timestamp(f.happened), f.prerelease, f.legacy,
                   p_all OR (SELECT follow <> 'no' FROM package WHERE id = f.package),
                   CASE WHEN cardinality(m.sdists) > 1 THEN sdist_choose(m.sdists) ELSE m.sdists[1] END,
                   CASE WHEN cardinality(m.sdists) > 1 THEN array_remove(m.sdists, sdist_choose(m.sdists)) END,
                   to_timestamp(m.uploaded), coalesce(m.covered, 0)
                FROM first f LEFT JOIN made m ON m.package = f.package AND m.sort_key = f.sort_key
                ORDER BY f.serial
            ON CONFLICT (package, sort_key) DO NOTHING
            RETURNING id, package, sort_key, sdist)
    INSERT INTO event_version (id, package, sort_key, made, fresh, source)
        SELECT n.id, n.package, n.sort_key, f.serial, true, n.sdist IS NOT NULL
            FROM fresh n JOIN first f ON f.package = n.package AND f.sort_key = n.sort_key;
    IF p_analyze THEN
        ANALYZE pg_temp.event_version (id, package, sort_key);
    END IF;
    RETURN some_known;
END $$;

-- The sdists of versions that were there before; answers which versions that changed.
CREATE FUNCTION events_old_sdists() RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    versions bigint[];
BEGIN
    WITH told AS (
        SELECT e.id AS version, array_agg(f.file ORDER BY f.serial) FILTER (WHERE f.kind = 's') AS came,
               array_agg(f.file) AS touched, max(f.happened) FILTER (WHERE f.kind = 's') AS uploaded
            FROM event_version e JOIN event_work f ON f.package = e.package AND f.sort_key = e.sort_key
            WHERE NOT e.fresh AND f.last AND f.tags IS NULL
            GROUP BY e.id),
    sets AS MATERIALIZED (
        SELECT t.version, t.uploaded, v.sdist AS old,
               ARRAY (SELECT s FROM unnest(v.other_sdists || v.sdist) WITH ORDINALITY o (s, place)
                          WHERE s IS NOT NULL AND s <> ALL (t.touched) ORDER BY place) || coalesce(t.came, '{}') AS sdists
            FROM told t JOIN version v ON v.id = t.version),
    chosen AS MATERIALIZED (
        SELECT s.*, c.sdist, c.sdist IS DISTINCT FROM s.old AS other
            FROM sets s CROSS JOIN LATERAL (
                SELECT CASE WHEN cardinality(s.sdists) > 1 THEN sdist_choose(s.sdists) ELSE s.sdists[1] END) c (sdist)),
    changed AS (
        UPDATE version v SET sdist = c.sdist, other_sdists = nullif(array_remove(c.sdists, c.sdist), '{}'),
                uploaded = greatest(v.uploaded, to_timestamp(c.uploaded)),
                sdist_sha256 = CASE WHEN c.other THEN NULL ELSE v.sdist_sha256 END,
                judged_mask = CASE WHEN c.other THEN 0 ELSE v.judged_mask END,
                na_mask = CASE WHEN c.other THEN 0 ELSE v.na_mask END,
                failed_mask = CASE WHEN c.other THEN 0 ELSE v.failed_mask END
            FROM chosen c WHERE v.id = c.version
            RETURNING v.id, c.other, v.uploaded),
    renewed AS (
        UPDATE job SET need = NULL, tries = 0, losses = 0, avoid = NULL, avoid_until = NULL,
                ready_at = settled_at(c.uploaded, (SELECT settle_ms FROM configuration))
            FROM changed c WHERE job.version = c.id AND c.other AND job.attempt IS NULL)
    SELECT coalesce(array_agg(id), '{}') INTO versions FROM changed;
    RETURN versions;
END $$;

-- The wheels of all versions. What covers those that were there before is worked out anew; answers which that changed.
CREATE FUNCTION events_wheels(p_kinds text, p_some_known boolean) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    told bigint[];
    versions bigint[];
BEGIN
    IF p_kinds LIKE '%F%' THEN
        DELETE FROM version_wheel k USING event_work f JOIN event_version e ON e.package = f.package AND e.sort_key = f.sort_key
            WHERE f.last AND f.kind = 'F' AND f.tags IS NOT NULL
                AND k.version = e.id AND k.tagset = f.tagset AND k.name = wheel_hash(f.file);
    END IF;
    INSERT INTO version_wheel (version, tagset, name)
        SELECT e.id, f.tagset, wheel_hash(f.file)
            FROM event_work f JOIN event_version e ON e.package = f.package AND e.sort_key = f.sort_key
            WHERE f.last AND f.kind = 'w'
        ON CONFLICT DO NOTHING;
    IF NOT p_some_known THEN
        RETURN '{}';
    END IF;
    told := ARRAY (
        SELECT DISTINCT e.id FROM event_version e JOIN event_work f ON f.package = e.package AND f.sort_key = e.sort_key
            WHERE NOT e.fresh AND f.last AND f.tags IS NOT NULL);
    WITH covered AS MATERIALIZED ( -- looked up, row by row: nobody reads all sets of tags, or all versions, for a few
        SELECT u.id, (SELECT coalesce(bit_or((SELECT t.mask FROM tagset t WHERE t.id = k.tagset)), 0)
                          FROM version_wheel k WHERE k.version = u.id) AS mask
            FROM unnest(told) u (id)),
    changed AS (
        UPDATE version v SET covered_mask = c.mask FROM covered c
            WHERE v.id = ANY (told) AND v.id = c.id AND v.covered_mask <> c.mask RETURNING v.id)
    SELECT coalesce(array_agg(id), '{}') INTO versions FROM changed;
    RETURN versions;
END $$;

-- Yanked or not, quarantined or not: the last word counts, if it was said after the release, or the project, was made. Answers
-- which versions that changed.
CREATE FUNCTION events_flags(p_kinds text) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    yanked_or_not bigint[];
    quarantined_or_not bigint[];
    of_projects bigint[];
BEGIN
    WITH changed AS (
        UPDATE version v SET yanked = l.kind = 'y', yanked_reason = '' FROM (
                SELECT DISTINCT ON (e.id) e.id, w.kind FROM event_work w
                    JOIN event_version e ON e.package = w.package AND e.sort_key = w.sort_key
                    WHERE w.kind IN ('y', 'u') AND w.serial > e.made ORDER BY e.id, w.serial DESC) l
            WHERE v.id = l.id AND v.yanked <> (l.kind = 'y') RETURNING v.id)
    SELECT coalesce(array_agg(id), '{}') INTO yanked_or_not FROM changed;
    IF p_kinds !~ '[qdQC]' THEN
        RETURN yanked_or_not;
    END IF;
    WITH changed AS (
        UPDATE version v SET quarantined = l.kind = 'q' FROM (
                SELECT DISTINCT ON (e.id) e.id, w.kind FROM event_work w
                    JOIN event_version e ON e.package = w.package AND e.sort_key = w.sort_key
                    WHERE w.kind IN ('q', 'd') AND w.serial > e.made ORDER BY e.id, w.serial DESC) l
            WHERE v.id = l.id AND v.quarantined <> (l.kind = 'q') RETURNING v.id)
    SELECT coalesce(array_agg(id), '{}') INTO quarantined_or_not FROM changed;
    WITH said AS (
        SELECT DISTINCT ON (package) package, kind, serial FROM event_work
            WHERE kind IN ('Q', 'C') ORDER BY package, serial DESC),
    born AS MATERIALIZED ( -- of all of them at once: to look for each would read the batch again and again
        SELECT e.id, min(s.serial) AS serial FROM event_staging s JOIN event_package e ON e.name = s.name
            WHERE e.shut AND s.serial > coalesce(e.gone, 0) AND s.kind IN ('c', 'n', 's', 'w', 'o') GROUP BY e.id),
    turned AS (
        UPDATE package p SET quarantined = l.kind = 'Q', status = '',
                refresh_at = CASE l.kind WHEN 'C' THEN now() ELSE p.refresh_at END -- what it has now nobody knows
            FROM said l LEFT JOIN born b ON b.id = l.package
            WHERE p.id = l.package AND (p.quarantined <> (l.kind = 'Q') OR p.status <> '')
                AND (p.serial > 0 OR l.serial > coalesce(b.serial, 0))
            RETURNING p.id)
    SELECT coalesce(array_agg(v.id), '{}') INTO of_projects
        FROM turned t CROSS JOIN LATERAL (SELECT id FROM version WHERE package = t.id OFFSET 0) v;
    PERFORM files_withhold(ARRAY (
        SELECT e.id FROM event_version e JOIN event_work w ON w.package = e.package WHERE w.kind IN ('q', 'd', 'Q', 'C')
        UNION SELECT unnest(of_projects)));
    RETURN yanked_or_not || quarantined_or_not || of_projects;
END $$;

-- Drops the partitions of events all of which are older than so long. Somebody who reads them is not waited for: it is done
-- the next time.
CREATE FUNCTION events_expire(p_retention_ms bigint) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
    part regclass;
    newest timestamptz;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'piwheels.event'::regclass ORDER BY inhrelid LOOP
        EXECUTE format('SELECT happened FROM %s ORDER BY serial DESC LIMIT 1', part) INTO newest;
        EXIT WHEN p_retention_ms > 0 AND newest >= now() - make_interval(secs => p_retention_ms / 1000.0);
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END $$;

-- Keeps the batch, as far as it is young enough. The partitions (of 100,000 serials: some days) are made when they are needed.
CREATE FUNCTION events_keep(p_cursor bigint, p_retention_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    size constant bigint := 100000;
    since bigint := extract(epoch FROM now()) - p_retention_ms / 1000;
    place bigint;
BEGIN
    FOR place IN SELECT DISTINCT serial / size FROM event_staging WHERE serial > p_cursor AND happened >= since ORDER BY 1 LOOP
        IF to_regclass(format('piwheels.event_%s', place)) IS NULL THEN
            EXECUTE format('CREATE TABLE piwheels.event_%s PARTITION OF piwheels.event FOR VALUES FROM (%s) TO (%s)',
                           place, place * size, (place + 1) * size);
        END IF;
    END LOOP;
    -- those of a history that is read a second time may be there
    INSERT INTO event SELECT serial, to_timestamp(happened), kind, name, display, version, file FROM event_staging
        WHERE serial > p_cursor AND happened >= since ORDER BY serial ON CONFLICT DO NOTHING;
    PERFORM events_expire(p_retention_ms);
END $$;

-- The pages that the batch makes stale, the index first and in the order of their keys; quiet: only of packages that have
-- something of ours.
CREATE FUNCTION events_pages(p_quiet boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stale_page (kind, key)
        SELECT 'index', name FROM event_package WHERE id IS NOT NULL AND newest > known AND shown
        UNION ALL
        SELECT 'project', name FROM event_package WHERE id IS NOT NULL AND newest > known AND (shown OR NOT p_quiet)
        ORDER BY 1, 2
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation;
    PERFORM home_stale();
END $$;

-- Events that are few, as COPY would take them, a line each: COPY itself costs a tenth of what one event does. (They hold no
-- control characters: but for the backslash, and null as \N, nothing is escaped.)
CREATE FUNCTION events_put(p_rows text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_staging (serial, happened, kind, name, display, version, sort_key, prerelease, legacy, file, tags, fits)
        SELECT f[1]::bigint, f[2]::bigint, f[3]::"char", f[4], replace(f[5], '\\', '\'), replace(f[6], '\\', '\'),
               replace(f[7], '\\', '\')::bytea, f[8]::boolean, f[9]::boolean, replace(f[10], '\\', '\'),
               replace(f[11], '\\', '\'), f[12]::bigint
            FROM (SELECT string_to_array(line, E'\t', '\N') AS f FROM string_to_table(rtrim(p_rows, E'\n'), E'\n') line) rows;
END $$;

-- Applies the events after p_from up to p_to: those in p_rows, or else what COPY has put into event_staging. What was applied
-- before is passed over, so that a repetition changes nothing. p_all: of all packages, else of followed ones; p_quiet: the
-- history is read, and packages that have nothing of ours get their pages at its end.
-- `ended`: attempts that somebody must stop, for PyPI does not want what they build to be had; `jobs`: there may be work.
-- Most of the time one event comes, so that each step is left out that has nothing to do for the kinds of events there are.
CREATE FUNCTION events_apply(p_from bigint, p_to bigint, p_all boolean, p_quiet boolean, p_rows text DEFAULT NULL)
    RETURNS TABLE (applied bigint, ended bigint[], jobs boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET jit = off SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    policy configuration;
    before bigint;              -- the cursor
    kinds text;
    some_known boolean;
    anew boolean;               -- the server is told how the events lie
    born bigint[];              -- versions that are new,
    sources bigint[];           -- and those of them that can be built
    changed bigint[] := '{}';   -- versions whose jobs may be others now
BEGIN
    SELECT * INTO policy FROM configuration FOR NO KEY UPDATE;
    before := events_cursor();
    IF p_rows IS NOT NULL AND to_regclass('pg_temp.event_staging') IS NULL THEN
        PERFORM events_open();
    END IF;
    PERFORM staging_check('event_staging');
    IF p_rows IS NOT NULL THEN
        PERFORM events_put(p_rows);
    END IF;
    IF p_from > before THEN
        RAISE EXCEPTION 'events up to % are missing before %', p_from, before
            USING ERRCODE = 'object_not_in_prerequisite_state'; -- none of these events is to blame
    END IF;
    SELECT coalesce(sum(events), 0), coalesce(string_agg(kind::text, ''), '') INTO applied, kinds
        FROM (SELECT kind, count(*) AS events FROM event_staging WHERE serial > before GROUP BY kind) k;
    anew := events_analyze(applied);
    ended := events_packages(before, kinds, p_all, anew);
    IF kinds ~ '[RyuqdQC]' THEN
        PERFORM events_hold();
    END IF;
    PERFORM events_news(before, kinds, anew);
    IF kinds LIKE '%R%' THEN
        ended := ended || events_releases_gone();
    END IF;
    some_known := events_versions(p_all, anew);
    IF kinds ~ '[wF]' THEN
        changed := events_wheels(kinds, some_known);
    END IF;
    IF some_known AND kinds ~ '[sF]' THEN
        changed := changed || events_old_sdists();
    END IF;
    IF kinds ~ '[yuqdQC]' THEN
        changed := changed || events_flags(kinds);
    END IF;
    PERFORM events_spellings();
    IF changed <> '{}' THEN
        PERFORM FROM version WHERE id = ANY (changed) ORDER BY id FOR NO KEY UPDATE;
    END IF;
    SELECT coalesce(array_agg(id ORDER BY id), '{}'), coalesce(array_agg(id ORDER BY id) FILTER (WHERE source), '{}')
        INTO born, sources FROM event_version WHERE fresh;
    IF changed <> '{}' OR born <> '{}' THEN
        PERFORM skips_strike(changed || born);
    END IF;
    changed := changed || sources;
    IF changed <> '{}' THEN
        PERFORM jobs_settle(changed);
    END IF;
    IF kinds ~ '[FyqQ]' THEN
        ended := ended || attempts_end_unwanted(changed || ARRAY (SELECT id FROM event_version WHERE NOT fresh));
    END IF;
    PERFORM events_pages(p_quiet);
    IF policy.event_retention_ms > 0 THEN
        PERFORM events_keep(before, policy.event_retention_ms);
    END IF;
    IF policy.reads_history AND NOT p_quiet THEN
        PERFORM people_pages_stale();
    END IF;
    IF policy.reads_history <> p_quiet THEN
        UPDATE configuration SET reads_history = p_quiet;
    END IF;
    IF p_to > before THEN
        PERFORM events_cursor_move(before, p_to);
    END IF;
    jobs := changed <> '{}';
    RETURN NEXT;
END $$;

-- ---- the sweep -----------------------------------------------------------------------------------

CREATE FUNCTION sweep_open() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET client_min_messages = warning AS $$
BEGIN
    IF to_regclass('pg_temp.sweep_staging') IS NULL THEN
        CREATE TEMP TABLE sweep_staging (name text NOT NULL, serial bigint NOT NULL);
        EXECUTE format('GRANT INSERT ON pg_temp.sweep_staging TO %I', session_user);
    END IF;
    PERFORM staging_check('sweep_staging');
    DELETE FROM pg_temp.sweep_staging;
END $$;

-- Holds PyPI's list of all projects, in sweep_staging, against what is known: whatever differs will be compared with PyPI in
-- the course of the period. Answers how many that are. A list that is much shorter than what is known is none.
CREATE FUNCTION sweep_apply(p_period_ms bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    policy configuration;
    applied bigint := events_cursor();
    odd bigint;
BEGIN
    PERFORM staging_check('sweep_staging');
    SELECT * INTO policy FROM configuration;
    IF policy.follows = 'all' AND (SELECT count(*) FROM sweep_staging) < (SELECT count(*) FROM package) / 2 THEN
        DELETE FROM sweep_staging;
        RAISE EXCEPTION 'the list has less than half of the known packages' USING ERRCODE = 'data_exception';
    END IF;
    IF policy.follows = 'all' THEN
        INSERT INTO package (name, display)
            SELECT DISTINCT s.name, s.name FROM sweep_staging s
                WHERE s.serial <= applied AND NOT EXISTS (SELECT FROM package p WHERE p.name = s.name)
                ORDER BY s.name
            ON CONFLICT (name) DO NOTHING;
    END IF;
    WITH differing AS (
        SELECT p.id FROM package p LEFT JOIN sweep_staging s ON s.name = p.name
            WHERE (policy.follows = 'all' OR p.follow <> 'no') AND p.refresh_at IS NULL
                AND (s.name IS NULL OR s.serial > p.serial AND s.serial <= applied)
            ORDER BY p.id),
    marked AS (
        UPDATE package SET refresh_at = now() + make_interval(secs => random() * p_period_ms / 1000.0)
            FROM differing WHERE package.id = differing.id RETURNING 1)
    SELECT count(*) INTO odd FROM marked;
    DELETE FROM sweep_staging;
    RETURN odd;
END $$;
