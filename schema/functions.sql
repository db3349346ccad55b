-- The functions of piwheels: every change that the service makes to the database, and the rules by which
-- versions become jobs. `piwheels initdb` drops and makes them all anew at every upgrade, so this file is
-- always whole.
--
-- SECURITY DEFINER marks what the service's user may call: it runs as its owner, with a fixed search path.
-- The others are helpers of these. Every function can be repeated after a lost connection.
--
-- Rows are locked in the order target, package, version, job, and within a table by id, so that nothing waits
-- in a circle; versions FOR NO KEY UPDATE, which does not hold up those who refer to them.

SET LOCAL search_path = piwheels, pg_temp;

-- ---- versions and jobs ---------------------------------------------------------------------------

-- The targets for which a version should be built and is not, enabled or not.
CREATE FUNCTION version_open(v version, p package) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN NOT v.wanted OR v.sdist IS NULL OR v.skip IS NOT NULL OR p.skip IS NOT NULL
             OR (v.yanked AND NOT v.by_hand) THEN 0
        ELSE v.judged_mask & ~(v.built_mask | v.failed_mask | v.na_mask)
    END
$$;

-- Makes the jobs of versions agree with their facts. First one target, in the targets' order, is built;
-- a result that serves others as well has set their bits, a native one opens the rest, a failure the next. A
-- parked job stays where it is, and the next target is tried.
CREATE FUNCTION versions_settle(p_versions bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    enabled bigint := (SELECT coalesce(bit_or(1::bigint << id), 0) FROM target WHERE skip IS NULL);
BEGIN
    PERFORM FROM version WHERE id = ANY (p_versions) ORDER BY id FOR NO KEY UPDATE;
    WITH facts AS MATERIALIZED (
        SELECT v.id, v.by_hand, v.built_mask, version_open(v, p) & enabled AS open -- sooner or later
            FROM version v JOIN package p ON p.id = v.package WHERE v.id = ANY (p_versions)),
    plan AS MATERIALIZED (
        SELECT f.id, f.by_hand, f.open, CASE WHEN f.open = 0 OR f.built_mask <> 0 THEN f.open ELSE coalesce((
                -- the one under way, or else the first
                SELECT 1::bigint << t.id FROM target t LEFT JOIN job j ON j.version = f.id AND j.target = t.id
                    WHERE (f.open >> t.id) & 1 = 1 AND j.need IS NULL
                    ORDER BY j.attempt IS NULL, t.position LIMIT 1), 0) END AS now_open
            FROM facts f),
    gone AS (
        DELETE FROM job USING plan WHERE job.version = plan.id AND job.attempt IS NULL
            AND (CASE WHEN job.need IS NULL THEN plan.now_open ELSE plan.open END >> job.target) & 1 = 0)
    INSERT INTO job (version, target, prio)
        SELECT plan.id, t.id, CASE WHEN plan.by_hand THEN 0 ELSE 1 END
            FROM plan JOIN target t ON (plan.now_open >> t.id) & 1 = 1 ORDER BY plan.id, t.id
        ON CONFLICT (version, target) DO UPDATE SET prio = excluded.prio WHERE job.prio > excluded.prio;
END $$;

-- The state of a version on a target and the reason in words; `j`: the job, if there is one.
CREATE FUNCTION state_of(p package, v version, t target, j job, OUT state text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    bit bigint := 1::bigint << t.id;
BEGIN
    IF v.built_mask & bit <> 0 THEN
        state := 'built'; reason := 'a wheel is published';
    ELSIF j.attempt IS NOT NULL THEN
        state := 'building';
        reason := 'being built by ' || coalesce((SELECT label FROM slave WHERE id = j.slave), 'a slave')
            || ' as build ' || j.attempt;
    ELSIF p.skip IS NOT NULL THEN
        state := 'skipped'; reason := 'the package is skipped: ' || p.skip;
    ELSIF v.skip IS NOT NULL THEN
        state := 'skipped'; reason := 'the version is skipped: ' || v.skip;
    ELSIF t.skip IS NOT NULL THEN
        state := 'skipped'; reason := 'the target is skipped: ' || t.skip;
    ELSIF v.sdist IS NULL THEN
        state := 'binary only'; reason := 'PyPI has no source distribution of it';
    ELSIF v.na_mask & bit <> 0 THEN
        state := 'not applicable'; reason := 'Requires-Python ' || v.requires_python || ' excludes ' || t.abi;
    ELSIF v.failed_mask & bit <> 0 THEN
        state := 'failed';
        SELECT nullif(concat_ws(': ', nullif(b.class, ''), nullif(b.detail, '')), '') INTO reason
            FROM build b WHERE b.version = v.id AND b.target = t.id AND b.outcome = 'failed'
            ORDER BY b.id DESC LIMIT 1;
        reason := coalesce(reason, 'it does not build');
    ELSIF NOT v.wanted THEN
        state := 'not wanted'; reason := 'nobody asked for this version';
    ELSIF v.yanked AND NOT v.by_hand THEN
        state := 'yanked'; reason := concat_ws(': ', 'PyPI has yanked it', nullif(v.yanked_reason, ''));
    ELSIF j.need = 'parked' THEN
        state := 'parked'; reason := 'the farm failed ' || j.tries || ' times to build it';
    ELSIF j.ready_at > now() THEN
        state := 'waiting';
        reason := to_char(j.ready_at AT TIME ZONE 'UTC',
                          '"to be tried again at" YYYY-MM-DD HH24:MI:SS "UTC"');
    ELSIF j.version IS NOT NULL THEN
        state := 'queued'; reason := 'waits for a slave';
    ELSIF v.judged_mask & bit = 0 THEN
        state := 'waiting'; reason := 'PyPI is to be asked whether it is meant for ' || t.abi;
    ELSE
        state := 'waiting'; reason := 'another target is tried first';
    END IF;
END $$;

CREATE FUNCTION version_state(p_version bigint, p_target smallint, OUT state text, OUT reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT s.state, s.reason
        FROM version v JOIN package p ON p.id = v.package JOIN target t ON t.id = p_target
            LEFT JOIN job j ON j.version = v.id AND j.target = t.id
            CROSS JOIN LATERAL state_of(p, v, t, j) s
        WHERE v.id = p_version
$$;

-- The same for every version of a package on every target.
CREATE FUNCTION package_states(p_package bigint)
    RETURNS TABLE (version bigint, target smallint, state text, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT v.id, t.id, s.state, s.reason
        FROM package p JOIN version v ON v.package = p.id CROSS JOIN target t
            LEFT JOIN job j ON j.version = v.id AND j.target = t.id
            CROSS JOIN LATERAL state_of(p, v, t, j) s
        WHERE p.id = p_package
$$;

-- ---- pages ---------------------------------------------------------------------------------------

-- Stale pages are marked last of all in a transaction, those of the index before those for people and the front
-- page at the very end, so that nobody waits in a circle, or for long.
CREATE FUNCTION page_stale(p_kind text, p_key text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO stale_page (kind, key) VALUES (p_kind, p_key)
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation
$$;

-- Both in order of the key, for the same reason.
CREATE FUNCTION pages_stale(p_kind text, p_keys text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stale_page (kind, key) SELECT DISTINCT p_kind, key FROM unnest(p_keys) key ORDER BY key
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation;
END $$;

-- The pages for people of the packages that these versions belong to.
CREATE FUNCTION projects_stale(p_versions bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pages_stale('project', ARRAY (
        SELECT p.name FROM version v JOIN package p ON p.id = v.package WHERE v.id = ANY (p_versions)));
END $$;

-- All of them, and the front page.
CREATE FUNCTION people_pages_stale() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO stale_page (kind, key) SELECT 'project', name FROM package ORDER BY name
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation;
    SELECT page_stale('home', '')
$$;

CREATE FUNCTION tally_none() RETURNS tally
LANGUAGE sql IMMUTABLE AS $$ SELECT ROW (NULL, 0, 0, 0, 0, 0, 0, 0)::tally $$;

-- Adds to this minute's figures, which the front page shows; the first of a minute sums up what is a day old.
CREATE FUNCTION tally_add(p tally) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    this_minute timestamptz := date_trunc('minute', now());
    fresh boolean := NOT EXISTS (SELECT FROM tally WHERE minute = this_minute);
BEGIN
    INSERT INTO tally AS t VALUES (this_minute, p.succeeded, p.failed, p.farm, p.packages, p.versions, p.files,
                                   p.size_bytes)
        ON CONFLICT (minute) DO UPDATE SET
            succeeded = t.succeeded + p.succeeded, failed = t.failed + p.failed, farm = t.farm + p.farm,
            packages = t.packages + p.packages, versions = t.versions + p.versions, files = t.files + p.files,
            size_bytes = t.size_bytes + p.size_bytes;
    IF fresh THEN
        WITH old AS (
            DELETE FROM tally WHERE minute < now() - interval '25 hours' AND minute > '-infinity' RETURNING *)
        INSERT INTO tally AS t
            SELECT '-infinity', sum(succeeded), sum(failed), sum(farm), sum(packages), sum(versions), sum(files),
                   sum(size_bytes)
                FROM old HAVING count(*) > 0
            ON CONFLICT (minute) DO UPDATE SET
                succeeded = t.succeeded + excluded.succeeded, failed = t.failed + excluded.failed,
                farm = t.farm + excluded.farm, packages = t.packages + excluded.packages,
                versions = t.versions + excluded.versions, files = t.files + excluded.files,
                size_bytes = t.size_bytes + excluded.size_bytes;
    END IF;
    PERFORM page_stale('home', '');
END $$;

-- The page has been written as of this generation; false when it has become stale again meanwhile.
CREATE FUNCTION page_written(p_kind text, p_key text, p_generation bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
BEGIN
    DELETE FROM stale_page WHERE kind = p_kind AND key = p_key AND generation = p_generation;
    RETURN FOUND;
END $$;

-- ---- targets -------------------------------------------------------------------------------------

-- Adds a target; of one that exists with this ABI and platform only the label changes.
CREATE FUNCTION target_add(p_name text, p_abi text, p_platform text, p_label text) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    t target;
    new_id smallint;
BEGIN
    LOCK TABLE target IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO t FROM target WHERE name = p_name;
    IF FOUND THEN
        IF (t.abi, t.platform) <> (p_abi, p_platform) THEN
            RAISE EXCEPTION 'target % exists with ABI % and platform %; choose another name',
                p_name, t.abi, t.platform USING ERRCODE = 'unique_violation';
        END IF;
        UPDATE target SET label = p_label WHERE id = t.id;
        PERFORM people_pages_stale();
        RETURN t.id;
    END IF;
    SELECT min(n) INTO new_id FROM generate_series(0, 63) n WHERE n NOT IN (SELECT id FROM target);
    IF new_id IS NULL THEN
        RAISE EXCEPTION 'there are 64 targets already, which is the most'
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    INSERT INTO target (id, name, abi, platform, label, position)
        SELECT new_id, p_name, p_abi, p_platform, p_label, coalesce(max(position) + 1, 0) FROM target;
    -- whether a version is meant for the new target must be judged anew, with what PyPI says about it
    PERFORM 1 FROM package ORDER BY id FOR NO KEY UPDATE;
    UPDATE package p SET refresh_at = now(), etag = '', serial = 0
        WHERE EXISTS (SELECT FROM version v WHERE v.package = p.id AND v.wanted);
    PERFORM people_pages_stale();
    RETURN new_id;
END $$;

-- With a reason: nothing more is built for the target. With null: it is taken up again. False: there is none
-- of this name.
CREATE FUNCTION target_skip(p_name text, p_reason text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
BEGIN
    UPDATE target SET skip = p_reason WHERE name = p_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM versions_settle(ARRAY (SELECT id FROM version WHERE wanted AND sdist IS NOT NULL));
    PERFORM people_pages_stale();
    RETURN true;
END $$;

-- Debian packages that every machine of the target has, instead of those named before. False: there is no target
-- of this name.
CREATE FUNCTION target_preinstalled(p_name text, p_packages text[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    t smallint;
BEGIN
    SELECT id INTO t FROM target WHERE name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM preinstalled WHERE target = t;
    INSERT INTO preinstalled (target, package) SELECT DISTINCT t, unnest(p_packages);
    PERFORM people_pages_stale();
    RETURN true;
END $$;

-- ---- PyPI ----------------------------------------------------------------------------------------

-- The versions in project_store's argument, one of each sort key.
CREATE FUNCTION project_versions(p jsonb)
    RETURNS TABLE (version text, key bytea, released timestamptz, prerelease boolean, yanked boolean,
                   yanked_reason text, requires_python text, judged_mask bigint, na_mask bigint, sdist text,
                   sdist_sha256 bytea)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (r.key) r.version, decode(r.key, 'hex'), r.released, coalesce(r.prerelease, false),
           coalesce(r.yanked, false), coalesce(r.yanked_reason, ''), coalesce(r.requires_python, ''),
           coalesce(r.judged_mask, 0), coalesce(r.na_mask, 0), r.sdist, decode(r.sdist_sha256, 'hex')
        FROM jsonb_to_recordset(p -> 'versions') AS r (
            version text, key text, released timestamptz, prerelease boolean, yanked boolean,
            yanked_reason text, requires_python text, judged_mask bigint, na_mask bigint, sdist text,
            sdist_sha256 text)
        ORDER BY r.key, r.version
$$;

-- Brings a package's row and its aliases up to date; the pages that show them become stale.
CREATE FUNCTION project_package(p jsonb) RETURNS package
LANGUAGE plpgsql AS $$
DECLARE
    old package;
    pkg package;
    new_alias boolean;
BEGIN
    SELECT * INTO old FROM package WHERE name = p ->> 'name' FOR NO KEY UPDATE;
    INSERT INTO package AS k (name, display, summary, follow, serial, etag)
        VALUES (p ->> 'name', p ->> 'display', coalesce(p ->> 'summary', ''), coalesce(p ->> 'follow', 'no'),
                coalesce((p ->> 'serial')::bigint, 0), coalesce(p ->> 'etag', ''))
        ON CONFLICT (name) DO UPDATE SET
            display = excluded.display,
            summary = coalesce(p ->> 'summary', k.summary),
            follow = CASE WHEN k.follow = 'all' THEN 'all' ELSE coalesce(p ->> 'follow', k.follow) END,
            serial = greatest(k.serial, excluded.serial),
            etag = excluded.etag
        RETURNING * INTO pkg;
    UPDATE package SET refresh_at = CASE WHEN follow <> 'no'
            THEN now() + make_interval(secs => (p ->> 'refresh_s')::float8) END
        WHERE id = pkg.id;
    INSERT INTO package_alias (name, package)
        SELECT pkg.display, pkg.id WHERE pkg.display <> pkg.name ON CONFLICT (name) DO NOTHING;
    new_alias := FOUND;
    IF pkg.live_files > 0 AND (new_alias OR pkg.display <> old.display) THEN
        PERFORM page_stale('index', pkg.name);
        PERFORM page_stale('root', '');
    END IF;
    RETURN pkg;
END $$;

-- Records what PyPI says about a project, and what a person or the follower wants of it.
--   p: {"name", "display", "summary" (null: unknown), "serial", "etag", "refresh_s",
--       "follow": null | "new" | "all",        -- null leaves it as it is
--       "want": null | "newest" | "all" | {"key": hex of the sort key},
--       "versions": [{"version", "key" (hex), "released", "prerelease", "yanked", "yanked_reason",
--                     "requires_python", "judged_mask", "na_mask", "sdist", "sdist_sha256" (hex or null)}]}
-- "versions" is all that PyPI has: a known version that is not among them has no source any more.
-- Answers what became of each version asked for on each enabled target, or on "" when there is none.
CREATE FUNCTION project_store(p jsonb) RETURNS TABLE (version text, target text, state text, reason text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
#variable_conflict use_column
DECLARE
    followed_new boolean := EXISTS (SELECT FROM package WHERE name = p ->> 'name' AND follow = 'new');
    pkg package := project_package(p);
    want jsonb := p -> 'want';
    fresh bigint[];
    changed bigint[];
    other_source bigint[];
    gone bigint[];
    asked bigint[];
BEGIN
    PERFORM FROM version WHERE package = pkg.id ORDER BY id FOR NO KEY UPDATE;

    -- new versions, the newest with the lowest id, for jobs are taken in the order of ids
    WITH added AS (
        INSERT INTO version (package, version, sort_key, released, prerelease, yanked, yanked_reason, wanted,
                             requires_python, sdist, sdist_sha256, judged_mask, na_mask)
            SELECT pkg.id, i.version, i.key, i.released, i.prerelease, i.yanked, i.yanked_reason,
                   followed_new OR pkg.follow = 'all', i.requires_python, i.sdist, i.sdist_sha256,
                   i.judged_mask, i.na_mask
            FROM project_versions(p) i
            WHERE NOT EXISTS (SELECT FROM version o WHERE o.package = pkg.id AND o.sort_key = i.key)
            ORDER BY i.key DESC
            RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO fresh FROM added;

    -- known versions that PyPI now describes otherwise; one that failed has another chance with another sdist
    WITH updated AS (
        UPDATE version o SET released = i.released, yanked = i.yanked, yanked_reason = i.yanked_reason,
                requires_python = i.requires_python, sdist = i.sdist, sdist_sha256 = i.sdist_sha256,
                judged_mask = i.judged_mask, na_mask = i.na_mask,
                failed_mask = CASE WHEN b.sdist_sha256 IS DISTINCT FROM i.sdist_sha256 THEN 0
                                   ELSE o.failed_mask END
            FROM project_versions(p) i JOIN version b ON b.package = pkg.id AND b.sort_key = i.key
            WHERE o.id = b.id
              AND (b.released, b.yanked, b.yanked_reason, b.requires_python, b.sdist, b.sdist_sha256,
                   b.judged_mask, b.na_mask)
                  IS DISTINCT FROM
                  (i.released, i.yanked, i.yanked_reason, i.requires_python, i.sdist, i.sdist_sha256,
                   i.judged_mask, i.na_mask)
            RETURNING o.id, b.sdist_sha256 IS DISTINCT FROM i.sdist_sha256 AS other)
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(id) FILTER (WHERE other), '{}')
        INTO changed, other_source FROM updated;

    WITH updated AS (
        UPDATE version o SET sdist = NULL, sdist_sha256 = NULL
            WHERE o.package = pkg.id AND o.sdist IS NOT NULL
              AND NOT EXISTS (SELECT FROM project_versions(p) i WHERE i.key = o.sort_key)
            RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO gone FROM updated;

    -- what is asked for
    SELECT coalesce(array_agg(s.id), '{}') INTO asked FROM (
        SELECT id FROM version WHERE package = pkg.id
            AND (want = '"all"' OR sort_key = decode(want ->> 'key', 'hex'))
        UNION ALL
        (SELECT id FROM version WHERE package = pkg.id AND want = '"newest"'
            ORDER BY sdist IS NULL, yanked, prerelease, sort_key DESC LIMIT 1)) s;
    UPDATE version SET wanted = true, by_hand = by_hand OR want <> '"all"' WHERE id = ANY (asked);
    -- and what the farm had given up is taken up again
    UPDATE job SET need = NULL, tries = 0, ready_at = now()
        WHERE version = ANY (asked || other_source) AND attempt IS NULL AND tries > 0;

    PERFORM versions_settle(fresh || changed || gone || asked);
    IF pkg.live_files > 0 AND changed <> '{}' THEN
        PERFORM page_stale('index', pkg.name);
    END IF;
    PERFORM page_stale('project', pkg.name);
    PERFORM page_stale('home', '');

    RETURN QUERY
        SELECT v.version, coalesce(t.name, ''), coalesce(s.state, 'waiting'), coalesce(s.reason,
                   CASE WHEN EXISTS (SELECT FROM target) THEN 'every target is skipped'
                        ELSE 'no target exists; add one with piwheels target add' END)
            FROM version v LEFT JOIN target t ON t.skip IS NULL
                LEFT JOIN LATERAL version_state(v.id, t.id) s ON t.id IS NOT NULL
            WHERE v.id = ANY (asked) ORDER BY v.sort_key, t.position;
END $$;

-- PyPI's page of a followed package has not changed, or could not be had: look again later.
CREATE FUNCTION project_later(p_name text, p_ms bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE package SET refresh_at = now() + make_interval(secs => p_ms / 1000.0) WHERE name = p_name
$$;

-- ---- slaves and leases ---------------------------------------------------------------------------

CREATE FUNCTION slave_seen(p_label text, p_system text, p_hardware text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    INSERT INTO slave (label, system, hardware) VALUES (p_label, p_system, p_hardware)
        ON CONFLICT (label) DO UPDATE
            SET system = excluded.system, hardware = excluded.hardware, last_seen = now()
        RETURNING id
$$;

-- Everything BUILD has to say about an attempt.
CREATE TYPE attempt_facts AS (
    attempt bigint, version_id bigint, target smallint, package text, version text, sdist text,
    sdist_sha256 bytea, started_ms bigint);

CREATE FUNCTION attempt_describe(j job) RETURNS SETOF attempt_facts
LANGUAGE sql STABLE AS $$
    SELECT j.attempt, v.id, j.target, p.name, v.version, v.sdist, v.sdist_sha256,
           (extract(epoch FROM j.started) * 1000)::bigint
        FROM version v JOIN package p ON p.id = v.package WHERE v.id = j.version
$$;

-- Ids for attempts to come: who claims brings them along, so that a claim can be repeated.
CREATE FUNCTION attempts_reserve(p_count integer) RETURNS SETOF bigint
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT nextval('attempt_id') FROM generate_series(1, p_count)
$$;

-- For each place of the arrays: claims a job of the targets in the mask for the slave, as this attempt, if this
-- very statement did not do so before. A row of nulls where there is none. Those who can build for the same
-- targets take the first jobs of these in one sweep.
-- (Without scans of whole tables a plan is right whatever the statistics were when it was made.)
CREATE FUNCTION jobs_claim(p_attempts bigint[], p_slaves bigint[], p_masks bigint[], p_leases_ms bigint[])
    RETURNS SETOF attempt_facts
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    alike record;
    found tid[];
BEGIN
    IF EXISTS (SELECT FROM build WHERE id = ANY (p_attempts)) THEN
        RAISE EXCEPTION 'attempt % has ended meanwhile',
            (SELECT min(id) FROM build WHERE id = ANY (p_attempts));
    END IF;
    FOR alike IN
            SELECT c.mask, array_agg(c.place ORDER BY c.place) AS places, count(*) AS count
            FROM unnest(p_attempts, p_masks) WITH ORDINALITY c (attempt, mask, place)
            WHERE NOT EXISTS (SELECT FROM job WHERE job.attempt = c.attempt)
            GROUP BY c.mask ORDER BY min(c.place) LOOP
        found := ARRAY (
            SELECT w.at FROM generate_series(0, 63) t
                CROSS JOIN LATERAL (
                    SELECT q.ctid AS at, q.prio, q.version, q.target FROM job q
                        WHERE q.target = t AND q.attempt IS NULL AND q.need IS NULL AND q.ready_at <= now()
                        ORDER BY q.target, q.prio, q.version LIMIT alike.count FOR UPDATE SKIP LOCKED) w
                WHERE (alike.mask >> t) & 1 = 1
                ORDER BY w.prio, w.version, w.target LIMIT alike.count);
        UPDATE job SET attempt = p_attempts[f.place], slave = p_slaves[f.place], started = clock_timestamp(),
                lease_until = now() + make_interval(secs => p_leases_ms[f.place] / 1000.0)
            FROM unnest(found, alike.places) f (at, place) WHERE job.ctid = f.at;
    END LOOP;
    RETURN QUERY
        SELECT d.* FROM unnest(p_attempts) WITH ORDINALITY c (attempt, place)
            LEFT JOIN job j ON j.attempt = c.attempt
            LEFT JOIN LATERAL attempt_describe(j) d ON true
            ORDER BY c.place;
END $$;

-- A slave comes back with an attempt: its facts if the job is still its own, else no row.
CREATE FUNCTION attempt_adopt(p_attempt bigint, p_slave bigint, p_lease_ms bigint) RETURNS SETOF attempt_facts
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    j job;
BEGIN
    UPDATE job SET lease_until = now() + make_interval(secs => p_lease_ms / 1000.0)
        WHERE attempt = p_attempt AND slave = p_slave RETURNING * INTO j;
    IF FOUND THEN
        RETURN QUERY SELECT * FROM attempt_describe(j);
    END IF;
END $$;

-- The targets for which a job could be claimed now, as a mask.
CREATE FUNCTION targets_ready() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT coalesce(bit_or(1::bigint << t.id), 0) FROM target t
        WHERE EXISTS (SELECT FROM job q
            WHERE q.target = t.id AND q.attempt IS NULL AND q.need IS NULL AND q.ready_at <= now())
$$;

-- Gives a claimed job back unbuilt and unrecorded: its slave left before it heard of it.
CREATE FUNCTION attempt_release(p_attempt bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    j job;
BEGIN
    PERFORM attempts_lock(ARRAY[p_attempt]);
    UPDATE job SET attempt = NULL, slave = NULL, started = NULL, lease_until = NULL
        WHERE attempt = p_attempt RETURNING * INTO j;
    -- it may not be wanted any more
    PERFORM versions_settle(ARRAY[j.version]);
    PERFORM projects_stale(ARRAY[j.version]);
END $$;

CREATE FUNCTION leases_extend(p_attempts bigint[], p_lease_ms bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE job SET lease_until = now() + make_interval(secs => p_lease_ms / 1000.0)
        WHERE attempt = ANY (p_attempts)
$$;

-- ---- ends of attempts ----------------------------------------------------------------------------

-- What there is to record about an attempt that ended.
CREATE TYPE build_end AS (
    attempt bigint, outcome text, class text, detail text, wall_ms bigint, cpu_ms bigint, peak_bytes bigint,
    log_bytes bigint);

-- Locks the versions of attempts that are under way, as everybody does before touching their jobs; answers them.
CREATE FUNCTION attempts_lock(p_attempts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY (SELECT id FROM version
        WHERE id IN (SELECT version FROM job WHERE attempt = ANY (p_attempts)) ORDER BY id FOR NO KEY UPDATE);
END $$;

-- Records the ends of attempts that are under way, each once; answers how many of which kind they were.
CREATE FUNCTION builds_record(p_ends build_end[]) RETURNS tally
LANGUAGE plpgsql AS $$
DECLARE
    sums tally := tally_none();
BEGIN
    WITH recorded AS (
        INSERT INTO build (id, version, target, slave, started, outcome, class, detail, wall_ms, cpu_ms,
                           peak_bytes, log_bytes, sdist_sha256)
            SELECT DISTINCT ON (e.attempt) e.attempt, j.version, j.target, j.slave, j.started, e.outcome,
                   e.class, e.detail, e.wall_ms, e.cpu_ms, e.peak_bytes, e.log_bytes, v.sdist_sha256
                FROM unnest(p_ends) WITH ORDINALITY e JOIN job j ON j.attempt = e.attempt
                    JOIN version v ON v.id = j.version
                ORDER BY e.attempt, e.ordinality
            RETURNING outcome)
    SELECT count(*) FILTER (WHERE outcome = 'success'), count(*) FILTER (WHERE outcome = 'failed'),
           count(*) FILTER (WHERE outcome = 'farm')
        INTO sums.succeeded, sums.failed, sums.farm FROM recorded;
    RETURN sums;
END $$;

-- Gives jobs back whose attempts are recorded as failures of the farm: later and later, and parked after five.
CREATE FUNCTION jobs_give_back(p_attempts bigint[], p_retries_ms bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job SET attempt = NULL, slave = NULL, started = NULL, lease_until = NULL, tries = tries + 1,
            need = CASE WHEN tries + 1 >= 5 THEN 'parked' END,
            ready_at = now() + make_interval(secs => r.ms / 1000.0 * 3 ^ tries * (0.8 + 0.4 * random()))
        FROM unnest(p_attempts, p_retries_ms) r (attempt, ms) JOIN build b ON b.id = r.attempt
        WHERE job.attempt = r.attempt AND b.outcome = 'farm';
END $$;

-- Ends attempts that published nothing: outcome 'failed' (the package's own) or 'farm'. For each, in order:
-- whether it is recorded, now or the same way before.
CREATE FUNCTION builds_end(p_attempts bigint[], p_outcomes text[], p_classes text[], p_details text[],
                           p_wall_ms bigint[], p_cpu_ms bigint[], p_peak_bytes bigint[], p_log_bytes bigint[],
                           p_retries_ms bigint[]) RETURNS SETOF boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    versions bigint[] := attempts_lock(p_attempts);
    sums tally;
BEGIN
    sums := builds_record(ARRAY (
        SELECT ROW (e.*)::build_end FROM unnest(p_attempts, p_outcomes, p_classes, p_details, p_wall_ms, p_cpu_ms,
                                                p_peak_bytes, p_log_bytes) e));
    IF sums.farm > 0 THEN
        PERFORM jobs_give_back(p_attempts, p_retries_ms);
    END IF;
    IF sums.failed > 0 THEN
        WITH ended AS (
            DELETE FROM job WHERE attempt = ANY (ARRAY (
                    SELECT id FROM build WHERE id = ANY (p_attempts) AND outcome = 'failed'))
                RETURNING version, target),
        failed AS (SELECT version, bit_or(1::bigint << target) AS mask FROM ended GROUP BY version)
        UPDATE version SET failed_mask = failed_mask | failed.mask FROM failed WHERE version.id = failed.version;
    END IF;
    IF sums.farm + sums.failed > 0 THEN
        -- another target may be next, or the version not be wanted any more
        PERFORM versions_settle(versions);
        PERFORM projects_stale(versions);
        PERFORM tally_add(sums);
    END IF;
    RETURN QUERY
        SELECT coalesce(b.outcome = e.outcome, false)
            FROM unnest(p_attempts, p_outcomes) WITH ORDINALITY e (attempt, outcome, place)
                LEFT JOIN build b ON b.id = e.attempt
            ORDER BY e.place;
END $$;

-- Leases that ran out: the slave is lost. Answers the attempts.
CREATE FUNCTION leases_expire(p_retry_ms bigint) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    lost bigint[] := ARRAY (SELECT attempt FROM job WHERE attempt IS NOT NULL AND lease_until < now()
        ORDER BY lease_until LIMIT 1000);
    versions bigint[];
    sums tally;
BEGIN
    IF lost = '{}' THEN
        RETURN;
    END IF;
    versions := attempts_lock(lost);
    lost := ARRAY (SELECT attempt FROM job WHERE attempt = ANY (lost) AND lease_until < now()
        ORDER BY lease_until, attempt FOR UPDATE SKIP LOCKED);
    sums := builds_record(ARRAY (
        SELECT ROW (attempt, 'farm', 'lost slave', 'the slave fell silent',
                    (extract(epoch FROM now() - started) * 1000)::bigint, 0, 0, 0)::build_end
            FROM job WHERE attempt = ANY (lost)));
    PERFORM jobs_give_back(lost, array_fill(p_retry_ms, ARRAY[cardinality(lost)]));
    IF sums.farm > 0 THEN
        PERFORM versions_settle(versions);
        PERFORM projects_stale(versions);
        PERFORM tally_add(sums);
    END IF;
    RETURN QUERY SELECT unnest(lost);
END $$;

-- ---- files ---------------------------------------------------------------------------------------

-- What attempts want to publish, file by file.
--   p_files: for each attempt [{"path", "name", "size", "sha256", "metadata_sha256", "requires_python",
--            "requires": [text], "apt": [text], "native", "armv6", "glibc", "glibcxx"}]
CREATE FUNCTION files_announced(p_attempts bigint[], p_files jsonb[])
    RETURNS TABLE (call bigint, attempt bigint, place bigint, path text, name text, size_bytes bigint, sha256 bytea,
                   metadata_sha256 bytea, requires_python text, requires jsonb, apt jsonb, native boolean,
                   armv6 boolean, glibc text, glibcxx text)
LANGUAGE sql STABLE AS $$
    SELECT a.call, a.attempt, f.place, f.path, f.name, f.size, decode(f.sha256, 'hex'), decode(f.metadata_sha256, 'hex'),
           coalesce(f.requires_python, ''), coalesce(f.requires, '[]'), coalesce(f.apt, '[]'),
           coalesce(f.native, false), coalesce(f.armv6, false), coalesce(f.glibc, ''), coalesce(f.glibcxx, '')
        FROM unnest(p_attempts, p_files) WITH ORDINALITY a (attempt, files, call)
            CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(a.files) AS (
                path text, name text, size bigint, sha256 text, metadata_sha256 text, requires_python text,
                requires jsonb, apt jsonb, native boolean, armv6 boolean, glibc text, glibcxx text))
                WITH ORDINALITY
                AS f (path, name, size, sha256, metadata_sha256, requires_python, requires, apt, native, armv6,
                      glibc, glibcxx, place)
$$;

-- Announces verified files before they enter the tree. For each place of the arrays, in
-- order, the verdict on each of its files:
--   'new'    may be linked into place          'same'   is public already with these very bytes
--   'other'  is public with other bytes, or another attempt is about to publish it: must be discarded
-- No row at all: the attempt is not the job's any more.
CREATE FUNCTION files_begin(p_attempts bigint[], p_files jsonb[])
    RETURNS TABLE (call bigint, verdict text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    PERFORM attempts_lock(p_attempts);
    INSERT INTO file (path, name, attempt, version, target, state, size_bytes, sha256, metadata_sha256,
                      requires_python, native, was_native, armv6, glibc, glibcxx)
        SELECT f.path, f.name, f.attempt, j.version, j.target, 'publishing', f.size_bytes, f.sha256,
               f.metadata_sha256, f.requires_python, f.native, p.native AND NOT f.native, f.armv6, f.glibc,
               f.glibcxx
            FROM files_announced(p_attempts, p_files) f JOIN job j ON j.attempt = f.attempt
                JOIN version v ON v.id = j.version JOIN package p ON p.id = v.package
            ORDER BY f.path
        ON CONFLICT (path) DO NOTHING;
    INSERT INTO dependency (file, tool, name)
        SELECT there.id, needs.tool, needs.name
            FROM files_announced(p_attempts, p_files) f JOIN file there ON there.path = f.path
                CROSS JOIN LATERAL (
                    SELECT 'pip', jsonb_array_elements_text(f.requires)
                    UNION ALL SELECT 'apt', jsonb_array_elements_text(f.apt)) needs (tool, name)
            WHERE there.state = 'publishing' AND there.attempt = f.attempt AND there.sha256 = f.sha256
        ON CONFLICT DO NOTHING;
    RETURN QUERY
        SELECT f.call, CASE WHEN there.sha256 <> f.sha256 THEN 'other'
                                        WHEN there.state = 'live' THEN 'same'
                                        WHEN there.attempt = f.attempt THEN 'new'
                                        ELSE 'other' END
            FROM files_announced(p_attempts, p_files) f JOIN job j ON j.attempt = f.attempt
                JOIN file there ON there.path = f.path
            ORDER BY f.call, f.place;
END $$;

-- Makes the announced files of attempts public; answers how much that is, and the packages that have new ones.
CREATE FUNCTION files_live(p_attempts bigint[], OUT sums tally, OUT names text[])
LANGUAGE plpgsql AS $$
BEGIN
    sums := tally_none();
    WITH added AS (
        UPDATE file SET state = 'live', published = now() WHERE attempt = ANY (p_attempts) AND state = 'publishing'
            RETURNING version, size_bytes, native),
    parts AS (
        SELECT v.package, count(*) AS files, sum(a.size_bytes) AS size_bytes, bool_or(a.native) AS native
            FROM added a JOIN version v ON v.id = a.version GROUP BY v.package),
    grown AS (
        UPDATE package SET live_files = live_files + parts.files, native = package.native OR parts.native FROM parts WHERE package.id = parts.package
            RETURNING name, parts.files, parts.size_bytes, live_files = parts.files AS is_first)
    SELECT coalesce(sum(files), 0), coalesce(sum(size_bytes), 0), count(*) FILTER (WHERE is_first),
           coalesce(array_agg(name ORDER BY name), '{}')
        INTO sums.files, sums.size_bytes, sums.packages, names FROM grown;
END $$;

-- The attempts' files stand in the tree: makes them public, records the builds, ends the jobs and marks the
-- pages. p_serves: every target that the result serves, its own included. For each, in order: whether it is
-- recorded, now or before; else the attempt is not the job's any more and nothing was done.
CREATE FUNCTION build_publish(p_attempts bigint[], p_classes text[], p_details text[], p_wall_ms bigint[],
                              p_cpu_ms bigint[], p_peak_bytes bigint[], p_log_bytes bigint[], p_serves bigint[])
    RETURNS SETOF boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    versions bigint[];
    own bigint[];
    sums tally;
    public record;
BEGIN
    PERFORM FROM package WHERE id IN (
            SELECT v.package FROM job q JOIN version v ON v.id = q.version WHERE q.attempt = ANY (p_attempts))
        ORDER BY id FOR NO KEY UPDATE;
    versions := attempts_lock(p_attempts);
    own := ARRAY (SELECT attempt FROM job WHERE attempt = ANY (p_attempts));
    IF own <> '{}' THEN
        sums := builds_record(ARRAY (
            SELECT ROW (e.attempt, 'success', e.class, e.detail, e.wall_ms, e.cpu_ms, e.peak_bytes,
                        e.log_bytes)::build_end
                FROM unnest(p_attempts, p_classes, p_details, p_wall_ms, p_cpu_ms, p_peak_bytes, p_log_bytes)
                    e (attempt, class, detail, wall_ms, cpu_ms, peak_bytes, log_bytes)));
        SELECT * INTO public FROM files_live(own);
        sums.files := (public.sums).files;
        sums.size_bytes := (public.sums).size_bytes;
        sums.packages := (public.sums).packages;
        WITH ended AS (DELETE FROM job WHERE attempt = ANY (own) RETURNING attempt, version),
        served AS (
            SELECT e.version, bit_or(s.mask) AS mask
                FROM ended e JOIN unnest(p_attempts, p_serves) s (attempt, mask) ON s.attempt = e.attempt
                GROUP BY e.version),
        old AS (SELECT count(*) AS fresh FROM served JOIN version v ON v.id = served.version WHERE v.built_mask = 0),
        done AS (
            UPDATE version SET built_mask = built_mask | served.mask, failed_mask = failed_mask & ~served.mask
                FROM served WHERE version.id = served.version)
        SELECT fresh INTO sums.versions FROM old;
        PERFORM versions_settle(versions);
        PERFORM pages_stale('index', public.names);
        IF sums.packages > 0 THEN
            PERFORM page_stale('root', '');
        END IF;
        PERFORM projects_stale(versions);
        PERFORM tally_add(sums);
    END IF;
    RETURN QUERY
        SELECT coalesce(b.outcome = 'success', false)
            FROM unnest(p_attempts) WITH ORDINALITY e (attempt, place) LEFT JOIN build b ON b.id = e.attempt
            ORDER BY e.place;
END $$;

-- Forgets files that were announced and will not be published; their bytes must be gone from the tree before.
CREATE FUNCTION files_forget(p_attempt bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    DELETE FROM file WHERE attempt = p_attempt AND state = 'publishing'
$$;

-- ---- people --------------------------------------------------------------------------------------

-- How things stand, as one JSON object: for `piwheels status`.
CREATE FUNCTION status_facts() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    WITH jobs AS (
        SELECT target,
               count(*) FILTER (WHERE attempt IS NULL AND need IS NULL) AS queued,
               count(*) FILTER (WHERE attempt IS NULL AND need IS NOT NULL) AS parked,
               count(*) FILTER (WHERE attempt IS NOT NULL) AS building
            FROM job GROUP BY target)
    SELECT jsonb_build_object(
        'targets', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'name', t.name, 'abi', t.abi, 'platform', t.platform, 'label', t.label, 'skip', t.skip,
                'queued', coalesce(j.queued, 0), 'parked', coalesce(j.parked, 0),
                'building', coalesce(j.building, 0))
            ORDER BY t.position), '[]') FROM target t LEFT JOIN jobs j ON j.target = t.id),
        'builds_hour', (SELECT jsonb_build_object(
                'success', coalesce(sum(succeeded), 0), 'failed', coalesce(sum(failed), 0),
                'farm', coalesce(sum(farm), 0))
            FROM tally WHERE minute > now() - interval '1 hour'),
        'stale_pages', (SELECT count(*) FROM stale_page))
$$;
