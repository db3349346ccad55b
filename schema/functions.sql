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

-- The targets for which a version should be built and is not, enabled or not. `p_builds`: configuration.builds.
CREATE FUNCTION version_open(v version, p package, p_builds text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN NOT v.wanted OR v.sdist IS NULL OR p.skip IS NOT NULL
             OR v.quarantined OR p.quarantined OR ((v.yanked OR v.legacy) AND NOT v.by_hand) THEN 0
        ELSE ~(v.built_mask | v.failed_mask | v.na_mask | v.skipped_mask
               | CASE WHEN p_builds = 'missing' AND NOT v.yanked THEN v.covered_mask ELSE 0 END)
             | (v.forced_mask & ~v.na_mask)
    END
$$;

-- Where a job stands in its target's queue; lower goes first. From the highest bits to the lowest: asked for by hand,
-- a new release of what people install, the rest; within each by demand, in powers of two; then the younger release.
CREATE FUNCTION job_rank(p_by_hand boolean, p_downloads integer, p_released timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT (CASE WHEN p_by_hand THEN 0
                 WHEN p_downloads > 0 AND p_released > now() - interval '7 days' THEN 1
                 ELSE 2 END::bigint << 40)
        | (CASE WHEN p_downloads > 0 THEN 31 - floor(log(2, p_downloads)) ELSE 32 END::bigint << 32)
        | (4294967295 - least(greatest(coalesce(extract(epoch FROM p_released), 0), 0), 4294967295)::bigint)
$$;

-- When an upload will have settled. (Old events have wrong times: nothing was uploaded in the future.)
CREATE FUNCTION settled_at(p_uploaded timestamptz, p_settle_ms bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_uploaded IS NULL THEN now()
                ELSE greatest(now(), least(p_uploaded, now()) + make_interval(secs => p_settle_ms / 1000.0)) END
$$;

-- Makes the jobs of versions agree with their facts; the caller holds the versions' locks. First one target, in the
-- targets' order, is built; a result that serves others as well has set their bits, a native one opens the rest, a
-- failure the next. A parked job stays where it is, and the next target is tried. What a person forces is built at once.
CREATE FUNCTION jobs_settle(p_versions bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    c configuration;
    enabled bigint;
    in_order bigint[];
    overridden boolean := EXISTS (SELECT FROM override); -- few farms have any
BEGIN
    SELECT * INTO c FROM configuration;
    SELECT coalesce(bit_or(1::bigint << id), 0), array_agg(1::bigint << id ORDER BY position) INTO enabled, in_order
        FROM target WHERE skip IS NULL AND NOT judging;
    IF cardinality(p_versions) > 1000 THEN
        SET LOCAL plan_cache_mode = force_custom_plan; -- one that knows how many they are
    ELSE
        -- most that end are done with: neither open anywhere nor with a job left
        p_versions := ARRAY (
            SELECT v.id FROM version v CROSS JOIN LATERAL (SELECT p FROM package p WHERE p.id = v.package OFFSET 0) its (package)
                WHERE v.id = ANY (p_versions) AND (version_open(v, its.package, c.builds) & enabled <> 0
                                                   OR EXISTS (SELECT FROM job WHERE version = v.id)));
        IF p_versions = '{}' THEN
            RETURN;
        END IF;
    END IF;
    WITH facts AS MATERIALIZED (
        SELECT v.id, v.built_mask, v.forced_mask, v.judged_mask, job_rank(v.by_hand, p.downloads, v.released) AS rank,
               CASE WHEN overridden THEN (SELECT nullif(wants, '{}') FROM override WHERE override.package = p.name) END AS wants,
               CASE WHEN v.by_hand THEN now() ELSE settled_at(v.uploaded, c.settle_ms) END AS ready_at,
               version_open(v, p, c.builds) & enabled AS open -- sooner or later
            FROM version v JOIN package p ON p.id = v.package WHERE v.id = ANY (p_versions)),
    old AS MATERIALIZED (SELECT ctid AS at, * FROM job WHERE version = ANY (p_versions)),
    there AS (
        SELECT version, bit_or(CASE WHEN attempt IS NOT NULL THEN 1::bigint << target ELSE 0 END) AS under_way,
               bit_or(CASE WHEN attempt IS NULL AND need = 'parked' THEN 1::bigint << target ELSE 0 END) AS parked
            FROM old GROUP BY version),
    plan AS MATERIALIZED (
        SELECT f.*, f.open & f.forced_mask
                | CASE WHEN f.open = 0 OR f.built_mask <> 0 THEN f.open
                       ELSE coalesce((SELECT o FROM unnest(in_order) o WHERE o & w.worth <> 0 LIMIT 1), 0) END AS now_open
            FROM facts f LEFT JOIN there t ON t.version = f.id
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN f.open & t.under_way & ~f.forced_mask <> 0 THEN f.open & t.under_way & ~f.forced_mask
                                ELSE f.open & ~coalesce(t.parked, 0) END AS worth) w),
    -- by their places, so that nobody reads the whole queue for a few
    gone AS (
        DELETE FROM job WHERE attempt IS NULL AND ctid = ANY (ARRAY (
            SELECT old.at FROM old JOIN plan ON plan.id = old.version
                WHERE (CASE WHEN old.need = 'parked' THEN plan.open ELSE plan.now_open END >> old.target) & 1 = 0))),
    moved AS (
        UPDATE job SET rank = least(job.rank, plan.rank), need = job_need(job, plan.judged_mask)
            FROM plan WHERE job.version = plan.id AND job.attempt IS NULL
                AND (CASE WHEN job.need = 'parked' THEN plan.open ELSE plan.now_open END >> job.target) & 1 = 1
                AND (job.rank > plan.rank OR job.need IS DISTINCT FROM job_need(job, plan.judged_mask))
                AND job.ctid = ANY (ARRAY (SELECT at FROM old)))
    INSERT INTO job (version, target, rank, ready_at, need, wants)
        SELECT plan.id, t.id, plan.rank, plan.ready_at,
               CASE WHEN plan.ready_at > now() THEN 'later' WHEN (plan.judged_mask >> t.id) & 1 = 0 THEN 'info' END, plan.wants
            FROM plan JOIN target t ON (plan.now_open >> t.id) & 1 = 1 ORDER BY plan.id, t.id
        ON CONFLICT (version, target) DO NOTHING;
END $$;

-- What must happen before a job that nobody builds can be handed out.
CREATE FUNCTION job_need(j job, p_judged bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN j.need = 'parked' THEN 'parked'
                WHEN j.ready_at > now() THEN 'later'
                WHEN (p_judged >> j.target) & 1 = 0 THEN 'info' END
$$;

CREATE FUNCTION versions_settle(p_versions bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM FROM version WHERE id = ANY (p_versions) ORDER BY id FOR NO KEY UPDATE;
    PERFORM jobs_settle(p_versions);
END $$;

-- Ends the attempts at versions that shall not be built any more, and answers them: somebody must tell the slaves.
CREATE FUNCTION attempts_end_unwanted(p_versions bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    policy text := (SELECT builds FROM configuration);
    ended bigint[];
BEGIN
    WITH gone AS (
        DELETE FROM job USING version v JOIN package p ON p.id = v.package
            WHERE job.version = v.id AND v.id = ANY (p_versions) AND job.attempt IS NOT NULL
                AND (v.yanked OR v.quarantined OR p.quarantined OR v.sdist IS NULL)
                AND version_open(v, p, policy) = 0
            RETURNING job.attempt)
    SELECT coalesce(array_agg(attempt), '{}') INTO ended FROM gone;
    RETURN ended;
END $$;

-- Jobs whose time has come: they can be handed out, or PyPI can be asked about them. At most a thousand a call; answers
-- their versions.
CREATE FUNCTION jobs_due() RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    due tid[] := ARRAY (
        SELECT ctid FROM job WHERE attempt IS NULL AND need = 'later' AND ready_at <= now()
            ORDER BY ready_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    versions bigint[];
BEGIN
    WITH moved AS (
        UPDATE job SET need = job_need(job, v.judged_mask) FROM version v
            WHERE job.ctid = ANY (due) AND v.id = job.version RETURNING job.version)
    SELECT coalesce(array_agg(version), '{}') INTO versions FROM moved;
    RETURN versions;
END $$;

-- The state of a version on a target and the reason in words; `j`: the job, if there is one.
CREATE FUNCTION state_of(p package, v version, t target, j job, OUT state text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    bit bigint := 1::bigint << t.id;
    forced boolean := v.forced_mask & bit <> 0;
BEGIN
    IF p.quarantined OR v.quarantined THEN
        state := 'quarantined'; reason := 'PyPI has quarantined it';
    ELSIF v.built_mask & bit <> 0 AND NOT forced THEN
        state := 'built';
        reason := 'a wheel is published' || CASE WHEN v.missing_since IS NULL THEN '' ELSE
            ', though PyPI''s page has had nothing of it since ' || utc(v.missing_since) || ': it is removed when that is sure' END;
    ELSIF j.attempt IS NOT NULL THEN
        state := 'building';
        reason := 'being built by ' || coalesce((SELECT label FROM slave WHERE id = j.slave), 'a slave')
            || ' as build ' || j.attempt;
    ELSIF p.skip IS NOT NULL THEN
        state := 'skipped'; reason := 'the package is skipped: ' || p.skip;
    ELSIF t.skip IS NOT NULL THEN
        state := 'skipped'; reason := 'the target is skipped: ' || t.skip;
    ELSIF v.skipped_mask & bit <> 0 AND NOT forced THEN
        state := 'skipped'; reason := 'skipped by a rule: ' || coalesce(skip_words(v.id, t.id), 'no reason is known');
    ELSIF v.sdist IS NULL AND v.covered_mask & bit <> 0 AND NOT v.yanked THEN
        state := 'covered'; reason := 'PyPI itself has a wheel that fits: ' || coalesce(covering_tags(v.id, t.id), '');
    ELSIF v.sdist IS NULL THEN
        state := 'binary only';
        reason := CASE WHEN v.missing_since IS NULL THEN 'PyPI has no source distribution of it'
                       ELSE 'PyPI''s page has had nothing of it since ' || utc(v.missing_since) END;
    ELSIF v.na_mask & bit <> 0 THEN
        state := 'not applicable'; reason := 'Requires-Python ' || v.requires_python || ' excludes ' || t.abi;
    ELSIF v.failed_mask & bit <> 0 AND NOT forced THEN
        state := 'failed';
        SELECT nullif(concat_ws(': ', nullif(b.class, ''), nullif(b.detail, '')), '') INTO reason
            FROM build b WHERE b.version = v.id AND b.target = t.id AND b.outcome = 'failed'
            ORDER BY b.id DESC LIMIT 1;
        reason := coalesce(reason, 'it does not build');
    ELSIF NOT v.wanted THEN
        state := 'not wanted'; reason := 'nobody asked for this version';
    ELSIF v.legacy AND NOT v.by_hand THEN
        state := 'skipped'; reason := 'its version is none by PEP 440, so pip cannot choose it';
    ELSIF v.yanked AND NOT v.by_hand THEN
        state := 'yanked'; reason := concat_ws(': ', 'PyPI has yanked it', nullif(v.yanked_reason, ''));
    ELSIF v.covered_mask & bit <> 0 AND NOT v.yanked AND NOT forced
            AND (SELECT builds FROM configuration) = 'missing' THEN
        state := 'covered'; reason := 'PyPI itself has a wheel that fits: ' || coalesce(covering_tags(v.id, t.id), '');
    ELSE
        SELECT w.state, w.reason INTO state, reason FROM waiting_words(v, t, j) w;
    END IF;
END $$;

-- The rules that strike a version on a target.
CREATE FUNCTION skip_words(p_version bigint, p_target smallint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT string_agg(DISTINCT r.reason, '; ')
        FROM skip_reason s JOIN skip_rule r ON r.id = s.rule WHERE s.version = p_version AND s.target = p_target
$$;

-- The tags of a wheel of PyPI's that fits.
CREATE FUNCTION covering_tags(p_version bigint, p_target smallint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT t.tags FROM version_wheel w JOIN tagset t ON t.id = w.tagset
        WHERE w.version = p_version AND (t.mask >> p_target) & 1 = 1 ORDER BY t.tags LIMIT 1
$$;

-- The last part of state_of: of what is to be built.
CREATE FUNCTION waiting_words(v version, t target, j job, OUT state text, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF j.need = 'parked' THEN
        state := 'parked';
        reason := CASE WHEN j.losses >= 3 THEN j.losses || ' slaves were lost over it'
                       ELSE 'the farm failed ' || j.tries || ' times to build it' END;
    ELSIF j.need = 'later' AND j.tries = 0 THEN
        state := 'waiting'; reason := 'its upload is to settle until ' || utc(j.ready_at);
    ELSIF j.need = 'later' THEN
        state := 'waiting'; reason := 'to be tried again at ' || utc(j.ready_at);
    ELSIF j.need = 'info' THEN
        state := 'waiting'; reason := 'PyPI is to be asked whether it is meant for ' || t.abi;
    ELSIF j.version IS NOT NULL THEN
        state := 'queued';
        reason := CASE
            WHEN j.wants[1] LIKE '!%' THEN 'its own settings cannot be used: ' || substr(j.wants[1], 2)
            WHEN j.wants IS NOT NULL AND NOT EXISTS (
                    SELECT FROM slave s WHERE (s.targets >> t.id) & 1 = 1 AND s.last_seen > now() - interval '30 days'
                        AND NOT j.wants && s.lacks)
                THEN 'waits for a slave that has ' || array_to_string(j.wants, ', ')
            WHEN j.beyond_bytes > 0 THEN 'waits for a slave with more memory than ' || round(j.beyond_bytes / 1e6) || ' MB'
            WHEN j.beyond_ms > 0 THEN 'waits for a slave that allows more time than ' || j.beyond_ms / 60000 || ' min'
            ELSE 'waits for a slave' END;
    ELSIF t.judging THEN
        state := 'waiting'; reason := 'PyPI''s wheels are still held against the new target';
    ELSE
        state := 'waiting'; reason := 'another target is tried first';
    END IF;
END $$;

CREATE FUNCTION utc(p timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT to_char(p AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') $$;

CREATE FUNCTION version_state(p_version bigint, p_target smallint, OUT state text, OUT reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT s.state, s.reason
        FROM version v JOIN package p ON p.id = v.package JOIN target t ON t.id = p_target
            LEFT JOIN job j ON j.version = v.id AND j.target = t.id
            CROSS JOIN LATERAL state_of(p, v, t, j) s
        WHERE v.id = p_version
$$;

-- The same for every version of a package on every target. (PL/pgSQL keeps its plan, and without these settings the
-- planner would hash the whole table of jobs.)
CREATE FUNCTION package_states(p_package bigint)
    RETURNS TABLE (version bigint, target smallint, state text, reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT v.id, t.id, s.state, s.reason
            FROM package p JOIN version v ON v.package = p.id CROSS JOIN target t
                LEFT JOIN job j ON j.version = v.id AND j.target = t.id
                CROSS JOIN LATERAL state_of(p, v, t, j) s
            WHERE p.id = p_package;
END $$;

-- ---- pages ---------------------------------------------------------------------------------------

-- Stale pages are marked last of all in a transaction, those of the index before those for people and the front
-- page at the very end, so that nobody waits in a circle, or for long.
CREATE FUNCTION page_stale(p_kind text, p_key text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stale_page (kind, key) VALUES (p_kind, p_key)
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation;
END $$;

-- The front page, which almost everything makes stale. One that is so already is left as it is, but locked: its writer cannot
-- begin to read it (home_take) before what made it stale is there to be read. An update each time would leave so many dead
-- rows while somebody holds a snapshot that each event had more to step over.
CREATE FUNCTION home_stale() RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM FROM stale_page WHERE kind = 'home' AND key = '' AND NOT taken FOR SHARE;
    IF NOT FOUND THEN
        INSERT INTO stale_page (kind, key) VALUES ('home', '')
            ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation, taken = false;
    END IF;
END $$;

-- Its writer begins: from now on what makes it stale must say so.
CREATE FUNCTION home_take() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
    UPDATE stale_page SET taken = true WHERE kind = 'home' AND key = '' AND NOT taken
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
    INSERT INTO stale_page (kind, key)
        SELECT DISTINCT 'project', p.name FROM version v JOIN package p ON p.id = v.package
            WHERE v.id = ANY (p_versions) ORDER BY p.name
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation;
END $$;

-- All of them, and the front page.
CREATE FUNCTION people_pages_stale() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO stale_page (kind, key) SELECT 'project', name FROM package ORDER BY name
        ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation;
    SELECT home_stale()
$$;

-- A package's public files, and the builds that its page tells of: the newest on each target, and the newest failed
-- ones. (Looked up, release by release: a plan made while the tables were small would scan them when they are large.)
CREATE FUNCTION package_files(p_package bigint) RETURNS SETOF file
LANGUAGE plpgsql STABLE ROWS 100 SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY
        SELECT f.* FROM version v
            CROSS JOIN LATERAL (SELECT * FROM file WHERE file.version = v.id AND state = 'live' OFFSET 0) f
            WHERE v.package = p_package;
END $$;

-- The targets in whose indexes a file of this one is that is apart, each ended by a newline: those of its distribution. (An
-- ARMv6 may take an ARMv7's, by another name.)
CREATE FUNCTION target_kin(p_target smallint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT coalesce(string_agg(other.name || E'\n', '' ORDER BY other.position), '')
        FROM target own JOIN target other ON other.label = own.label
            AND (other.platform = own.platform OR (own.platform, other.platform) = ('linux_armv7l', 'linux_armv6l'))
        WHERE own.id = p_target
$$;

-- The same of all of a package's.
CREATE FUNCTION package_kin(p_package bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT coalesce(string_agg(DISTINCT target_kin(f.target), ''), '') FROM version v JOIN file f ON f.version = v.id
        WHERE v.package = p_package AND f.apart AND f.state = 'live'
$$;

CREATE FUNCTION package_builds(p_package bigint)
    RETURNS TABLE (id bigint, version bigint, target smallint, outcome text, logged boolean)
LANGUAGE plpgsql STABLE ROWS 100 SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT l.id, l.version, l.target, l.outcome, l.log_bytes > 0
            FROM (SELECT b.*, row_number() OVER (PARTITION BY b.version, b.target ORDER BY b.id DESC) AS nth
                FROM version v CROSS JOIN LATERAL (SELECT * FROM build WHERE build.version = v.id OFFSET 0) b
                WHERE v.package = p_package) l
            WHERE l.nth = 1 OR l.outcome = 'failed' AND l.nth <= 5;
END $$;

-- Other spellings of a package that is gone, as long as nobody has come back under its name.
CREATE FUNCTION aliases_left(p_name text) RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 1 SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT name FROM package_alias
        WHERE package IS NULL AND regexp_replace(lower(name), '[-_.]+', '-', 'g') = p_name
            AND NOT EXISTS (SELECT FROM package p WHERE p.name = p_name);
END $$;

CREATE FUNCTION tally_none() RETURNS tally
LANGUAGE sql IMMUTABLE AS $$ SELECT ROW (NULL, 0, 0, 0, 0, 0, 0, 0)::tally $$;

-- Adds to this minute's figures, which the front page shows; the first of a minute sums up what is a day old.
CREATE FUNCTION tally_add(p tally) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    this_minute timestamptz := date_trunc('minute', now());
    fresh boolean; -- the row was made, not changed
BEGIN
    INSERT INTO tally AS t VALUES (this_minute, p.succeeded, p.failed, p.farm, p.packages, p.versions, p.files,
                                   p.size_bytes)
        ON CONFLICT (minute) DO UPDATE SET
            succeeded = t.succeeded + p.succeeded, failed = t.failed + p.failed, farm = t.farm + p.farm,
            packages = t.packages + p.packages, versions = t.versions + p.versions, files = t.files + p.files,
            size_bytes = t.size_bytes + p.size_bytes
        RETURNING t.xmax = 0 INTO fresh;
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
    PERFORM home_stale();
END $$;

-- The page has been written as of this generation; false when it has become stale again meanwhile: then it waits
-- behind the others, lest a few pages that change all the time be the only ones that are written.
CREATE FUNCTION page_written(p_kind text, p_key text, p_generation bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
BEGIN
    IF p_kind = 'project' THEN -- one that shows files of ours shall not be without its summary for long
        UPDATE package SET summary_at = now() -- the package before its page, as all others lock them
            WHERE name = p_key AND summary IS NULL AND summary_at IS NULL AND live_files > 0;
    END IF;
    DELETE FROM stale_page WHERE kind = p_kind AND key = p_key AND generation = p_generation;
    IF FOUND THEN
        RETURN true;
    END IF;
    UPDATE stale_page SET since = now() WHERE kind = p_kind AND key = p_key;
    RETURN false;
END $$;

-- ---- targets -------------------------------------------------------------------------------------

-- Whether machines of the one take files that were built for the other, by their platform. (An ARMv6 may take an ARMv7's.)
CREATE FUNCTION target_near(one target, other target) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT one.platform = other.platform
        OR least(one.platform, other.platform) = 'linux_armv6l' AND greatest(one.platform, other.platform) = 'linux_armv7l'
$$;

-- Whether in the index of one of two targets a name would mean another file, if they came to be of one distribution or ceased
-- to be: that of the other one stands before the file of all, if it has none of its own.
CREATE FUNCTION target_names_clash(p_one smallint, p_other smallint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM file f JOIN file g ON g.version = f.version AND g.name = f.name AND g.id <> f.id
            WHERE f.apart AND f.target IN (p_one, p_other)
                AND NOT EXISTS (SELECT FROM file own WHERE own.version = f.version AND own.name = f.name AND own.apart
                                    AND own.target = CASE f.target WHEN p_one THEN p_other ELSE p_one END))
$$;

-- Gives a target another label, or another libc. What is judged by these is judged again: our files, for the target and for
-- those that were of its distribution or come to be; where its libc changes, for all that take its files.
CREATE FUNCTION target_change(t target, p_label text, p_glibc text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    other target;
    parted smallint[] := ARRAY (SELECT id FROM target o WHERE o.id <> t.id AND target_near(o, t) AND p_label <> t.label
                                    AND o.label IN (t.label, p_label));
BEGIN
    SELECT * INTO other FROM target WHERE id = ANY (parted) AND target_names_clash(t.id, id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the label of target % stays "%": with "%" a file name in the index of it or of % would mean another file '
                'than before; add a target of another name', t.name, t.label, p_label, other.name
            USING ERRCODE = 'unique_violation';
    END IF;
    UPDATE target SET label = p_label, glibc = p_glibc WHERE id = t.id;
    UPDATE target o SET judging = true
        WHERE CASE WHEN o.id = t.id THEN p_glibc IS DISTINCT FROM t.glibc OR parted <> '{}'
                   ELSE o.id = ANY (parted) OR p_glibc IS DISTINCT FROM t.glibc AND target_near(o, t) AND o.label <> p_label
                        AND EXISTS (SELECT FROM file WHERE target = t.id) END;
END $$;

-- Adds a target; of one that exists with this ABI and platform only the label and the libc change, if they are given. A new
-- one is judged first: what PyPI's wheels and Requires-Python say about it is worked out by the program (target_judge), and
-- only then is anything built for it.
CREATE FUNCTION target_add(p_name text, p_abi text, p_platform text, p_label text, p_glibc text DEFAULT NULL)
    RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    t target;
    new_id smallint;
BEGIN
    PERFORM pg_advisory_xact_lock('piwheels.target'::regclass::oid::bigint); -- see targets_hold
    LOCK TABLE target IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO t FROM target WHERE name = p_name;
    IF FOUND THEN
        IF (t.abi, t.platform) <> (p_abi, p_platform) THEN
            RAISE EXCEPTION 'target % exists with ABI % and platform %; choose another name',
                p_name, t.abi, t.platform USING ERRCODE = 'unique_violation';
        END IF;
        IF p_label <> t.label OR coalesce(p_glibc, t.glibc) IS DISTINCT FROM t.glibc THEN
            PERFORM target_change(t, coalesce(p_label, t.label), coalesce(p_glibc, t.glibc));
            PERFORM people_pages_stale();
        END IF;
        RETURN t.id;
    END IF;
    SELECT min(n) INTO new_id FROM generate_series(0, 63) n WHERE n NOT IN (SELECT id FROM target);
    IF new_id IS NULL THEN
        RAISE EXCEPTION 'there are 64 targets already, which is the most'
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    INSERT INTO target (id, name, abi, platform, label, position, glibc, judging)
        SELECT new_id, p_name, p_abi, p_platform, coalesce(p_label, ''), coalesce(max(position) + 1, 0), p_glibc,
               EXISTS (SELECT FROM version) FROM target;
    PERFORM page_stale('root', ''); -- with which the target's own index comes to be
    PERFORM people_pages_stale();
    RETURN new_id;
END $$;

-- What the program judges files by, to be compared. It is the same from when files are announced until their row is there to
-- be seen by who judges a new target: target_add waits for those who announce, and they for it.
CREATE FUNCTION targets_digest() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT coalesce(md5(string_agg(concat_ws(' ', id, abi, platform, quote_literal(label)), ' ' ORDER BY id)), '') FROM target
$$;

CREATE FUNCTION targets_hold() RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock_shared('piwheels.target'::regclass::oid::bigint) $$;

-- What the program must judge a new target by: every set of tags, and every Requires-Python.
CREATE FUNCTION tagsets_all() RETURNS TABLE (id integer, tags text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT id, tags FROM tagset ORDER BY id
$$;

CREATE FUNCTION requires_python_all() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT DISTINCT requires_python FROM version WHERE judged_mask <> 0
$$;

-- The tags in the name of a wheel: "cp311-abi3-linux_armv7l".
CREATE FUNCTION file_tags(p_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT lower(substring(p_name FROM '([^-]+-[^-]+-[^-]+)\.whl$')) $$;

-- Those of our own files, which the program judges too.
CREATE FUNCTION file_tags_all() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT DISTINCT file_tags(name) FROM file
$$;

-- The sets of tags that the target can load. Until target_judged nothing is built for it.
CREATE FUNCTION tagsets_judge(p_target integer, p_fits bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE tagset SET mask = mask & ~(1::bigint << p_target)
            | CASE WHEN id = ANY (p_fits) THEN 1::bigint << p_target ELSE 0 END
        WHERE (mask >> p_target) & 1 <> (id = ANY (p_fits))::integer
$$;

-- Whether the file's name and place do not say that it is for none of the target's machines.
CREATE FUNCTION file_may_serve(f file, own target, t target) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT file_tags(f.name) LIKE '%-any'
        OR (NOT f.apart OR own.label = t.label) AND target_near(own, t)
           AND string_to_array(split_part(file_tags(f.name), '-', 2), '.') && ARRAY[t.abi, 'abi3', 'none']
$$;

-- Holds the files of the versions against the target; p_loads: the tags that its Python takes. A public one that runs there
-- serves it, and nothing is built. One whose name misleads there leaves the index of all, or does not enter it if it is just
-- being published, and stays where it lies: who has noted its address finds the same bytes. Those who had no other must be
-- built for, as must the target itself, where what it took before is no more for it. What is withheld is judged as if it were
-- public, for it comes back as it is.
CREATE FUNCTION files_judge(p_target smallint, p_versions bigint[], p_loads text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    bit bigint := 1::bigint << p_target;
    serving bigint[];
    failing bigint[];
    misleading bigint[];
    names text[];
BEGIN
    WITH taken AS (
        SELECT f.id, f.version, f.apart, f.state <> 'publishing' AS made, file_tags(f.name) LIKE '%-none-any' OR own.label = other.label AS near,
               code_runs(f.glibc, (SELECT coalesce(jsonb_agg(d.name), '[]') FROM dependency d
                                   WHERE d.file = f.id AND d.tool = 'apt'), own, other) AS runs
            FROM unnest(p_versions) v CROSS JOIN LATERAL (
                    SELECT * FROM file WHERE version = v OFFSET 0) f
                JOIN target own ON own.id = f.target JOIN target other ON other.id = p_target
            WHERE file_tags(f.name) = ANY (p_loads))
    SELECT array_agg(version) FILTER (WHERE made AND (near OR runs AND NOT apart)),
           array_agg(version) FILTER (WHERE made AND NOT (near OR runs AND NOT apart)),
           array_agg(id) FILTER (WHERE NOT (near OR runs OR apart))
        INTO serving, failing, misleading FROM taken;
    UPDATE version SET built_mask = built_mask | bit, failed_mask = failed_mask & ~bit
        WHERE id = ANY (serving) AND na_mask & bit = 0 AND built_mask & bit = 0;
    UPDATE version SET built_mask = built_mask & ~bit
        WHERE id = ANY (failing) AND id <> ALL (coalesce(serving, '{}')) AND built_mask & bit <> 0;
    WITH moved AS (UPDATE file SET apart = true WHERE id = ANY (misleading) RETURNING version, state),
    parts AS (SELECT v.package, count(*) AS files FROM moved m JOIN version v ON v.id = m.version WHERE m.state = 'live'
        GROUP BY v.package),
    changed AS (
        UPDATE package SET apart_files = apart_files + parts.files FROM parts WHERE package.id = parts.package
            RETURNING name)
    SELECT array_agg(name ORDER BY name) INTO names FROM changed;
    WITH moved AS (SELECT DISTINCT version FROM file WHERE id = ANY (misleading) AND state <> 'publishing'),
    lost AS (
        SELECT m.version, bit_or(1::bigint << t.id) AS mask FROM moved m CROSS JOIN target t
            WHERE t.id <> p_target
                AND NOT EXISTS (SELECT FROM file f JOIN target own ON own.id = f.target
                                WHERE f.version = m.version AND f.state <> 'publishing' AND file_may_serve(f, own, t))
            GROUP BY m.version)
    UPDATE version SET built_mask = built_mask & ~lost.mask FROM lost
        WHERE version.id = lost.version AND built_mask & lost.mask <> 0;
    IF names IS NOT NULL THEN
        PERFORM pages_stale('index', names);
        PERFORM page_stale('root', '');
    END IF;
END $$;

-- Holds the versions of the packages from p_from on, so many packages, and their files against the target, whose sets of
-- tags are judged; p_excluded: every Requires-Python that excludes it; p_loads: as in files_judge. Answers the package to go
-- on from, or null at the end.
CREATE FUNCTION target_judge(p_target integer, p_excluded text[], p_loads text[], p_from bigint, p_packages integer)
    RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    bit bigint := 1::bigint << p_target;
    -- held, so that no file of theirs becomes public, leaves or comes back meanwhile
    packages bigint[] := ARRAY (SELECT id FROM package WHERE id >= p_from ORDER BY id LIMIT p_packages FOR NO KEY UPDATE);
    versions bigint[];
BEGIN
    IF packages = '{}' THEN
        RETURN NULL;
    END IF;
    versions := ARRAY (SELECT id FROM version WHERE package = ANY (packages) ORDER BY id FOR NO KEY UPDATE);
    WITH facts AS (
        SELECT v.id, EXISTS (SELECT FROM version_wheel w JOIN tagset t ON t.id = w.tagset
                             WHERE w.version = v.id AND (t.mask & bit) <> 0) AS covered,
               v.judged_mask <> 0 AS judged, v.judged_mask <> 0 AND v.requires_python = ANY (p_excluded) AS excluded
            FROM version v WHERE v.id = ANY (versions))
    UPDATE version v SET
            covered_mask = v.covered_mask & ~bit | CASE WHEN f.covered THEN bit ELSE 0 END,
            judged_mask = v.judged_mask & ~bit | CASE WHEN f.judged THEN bit ELSE 0 END,
            na_mask = v.na_mask & ~bit | CASE WHEN f.excluded THEN bit ELSE 0 END
        FROM facts f
        WHERE v.id = f.id AND ((v.covered_mask & bit <> 0) <> f.covered OR (v.judged_mask & bit <> 0) <> f.judged
                               OR (v.na_mask & bit <> 0) <> f.excluded);
    PERFORM files_judge(p_target::smallint, versions, p_loads);
    -- whose index names what is apart
    PERFORM pages_stale('index', ARRAY (SELECT name FROM package WHERE id = ANY (packages) AND apart_files > 0));
    PERFORM page_stale('root', '') WHERE EXISTS (SELECT FROM package WHERE id = ANY (packages) AND apart_files > 0);
    PERFORM skips_widen(p_target::smallint, versions);
    RETURN packages[cardinality(packages)] + 1;
END $$;

-- The target is judged: from now on it is built for. Settles the versions of so many packages from p_from on.
CREATE FUNCTION target_judged(p_target integer, p_from bigint, p_packages integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    packages bigint[] := ARRAY (SELECT id FROM package WHERE id >= p_from ORDER BY id LIMIT p_packages);
BEGIN
    UPDATE target SET judging = false WHERE id = p_target AND judging;
    IF packages = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM versions_settle(ARRAY (SELECT id FROM version WHERE package = ANY (packages)));
    PERFORM pages_stale('project', ARRAY (SELECT name FROM package WHERE id = ANY (packages)));
    RETURN packages[cardinality(packages)] + 1;
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

-- Debian packages that every machine of the target has, instead of those named before. Where some are named no more our
-- files are held against the target again, as for a new one. False: there is no target of this name.
CREATE FUNCTION target_preinstalled(p_name text, p_packages text[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    t smallint;
BEGIN
    PERFORM pg_advisory_xact_lock('piwheels.target'::regclass::oid::bigint); -- see targets_hold
    SELECT id INTO t FROM target WHERE name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE target SET judging = true WHERE id = t
        AND EXISTS (SELECT FROM preinstalled WHERE target = t AND package <> ALL (p_packages));
    DELETE FROM preinstalled WHERE target = t;
    INSERT INTO preinstalled (target, package) SELECT DISTINCT t, unnest(p_packages);
    PERFORM people_pages_stale();
    RETURN true;
END $$;

-- ---- slaves --------------------------------------------------------------------------------------

CREATE FUNCTION target_names(p_mask bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(string_agg(name, ', ' ORDER BY position, id), '') FROM target WHERE p_mask >> id & 1 = 1
$$;

-- How a slave stands, and what its connection must know. Trust may also be 'other key' or 'crowded'.
CREATE TYPE slave_standing AS (slave bigint, label text, fingerprint text, trust text, targets bigint, names text);

CREATE FUNCTION slave_describe(s slave) RETURNS slave_standing
LANGUAGE sql STABLE AS $$
    SELECT s.id, s.label, s.fingerprint, s.trust, s.allowed, target_names(s.allowed)
$$;

-- One that was never heard of. A flood of new names must not fill the table: of those who were never accepted at most
-- 256 wait; who has not been seen for a day then gives way. Null when there is no room.
CREATE FUNCTION slave_new(p_label text, p_fingerprint text) RETURNS slave
LANGUAGE plpgsql AS $$
DECLARE
    s slave;
BEGIN
    IF p_fingerprint <> '' AND (SELECT count(*) >= 256 FROM slave WHERE trust = 'waiting' AND accepted IS NULL) THEN
        DELETE FROM slave WHERE id = (SELECT id FROM slave WHERE trust = 'waiting' AND accepted IS NULL
            AND last_seen < now() - interval '1 day' ORDER BY last_seen LIMIT 1);
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO slave (label, fingerprint, trust, allowed, accepted)
        VALUES (p_label, p_fingerprint, CASE p_fingerprint WHEN '' THEN 'accepted' ELSE 'waiting' END,
            CASE p_fingerprint WHEN '' THEN -1 ELSE 0 END, CASE p_fingerprint WHEN '' THEN now() END)
        RETURNING * INTO s;
    RETURN s;
END $$;

-- What overrides want that a slave has not.
CREATE FUNCTION slave_lacks(p_has text) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT w ORDER BY w), '{}') FROM override o, unnest(o.wants) w
        WHERE w <> ALL (string_to_array(p_has, E'\n'))
$$;

-- What the slave has, all of it.
CREATE FUNCTION slave_has(p_slave bigint, p_has text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE slave SET has = p_has, lacks = slave_lacks(p_has) WHERE id = p_slave AND has <> p_has
$$;

-- What was tried with other settings of its own than the package has now is tried again: what failed, and what waits since for
-- a person or for a slave with more memory or time. The caller holds the versions' locks; answers those that it is about.
CREATE FUNCTION overrides_retry(p_packages text[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    masks bigint[];
BEGIN
    SELECT coalesce(array_agg(id), '{}'), array_agg(mask) INTO ids, masks FROM (
        SELECT v.id, bit_or(1::bigint << t.id) AS mask
            FROM override o JOIN package p ON p.name = o.package JOIN version v ON v.package = p.id CROSS JOIN target t
                LEFT JOIN job j ON j.version = v.id AND j.target = t.id
            WHERE o.package = ANY (p_packages) AND v.wanted
                AND ((v.failed_mask >> t.id) & 1 = 1
                     OR j.attempt IS NULL AND (j.need = 'parked' OR j.beyond_bytes > 0 OR j.beyond_ms > 0))
                AND o.settings <> coalesce((SELECT b.record ->> 'override' FROM build b
                    WHERE b.version = v.id AND b.target = t.id ORDER BY b.id DESC LIMIT 1), '')
            GROUP BY v.id) tried;
    UPDATE version v SET failed_mask = v.failed_mask & ~c.mask FROM unnest(ids, masks) c (id, mask) WHERE v.id = c.id;
    UPDATE job j SET need = NULL, tries = 0, losses = 0, avoid = NULL, avoid_until = NULL, beyond_bytes = 0, beyond_ms = 0,
            ready_at = now()
        FROM unnest(ids, masks) c (id, mask) WHERE j.version = c.id AND (c.mask >> j.target) & 1 = 1 AND j.attempt IS NULL;
    PERFORM versions_settle(ids);
    RETURN ids;
END $$;

-- All overrides, package by package: what they want, a word a line, and the SHA-256 of their settings ('' where they cannot
-- be read: what they were is kept). What was stored before and is not told is gone. Answers how many versions are tried again.
CREATE FUNCTION overrides_store(p_packages text[], p_wants text[], p_settings text[] DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    packages text[];
    others text[]; -- that have other settings now
    versions bigint[];
    again bigint[];
BEGIN
    SELECT array_agg(package), array_agg(package) FILTER (WHERE settings <> was) INTO packages, others FROM (
        SELECT package, coalesce(o.settings, '') AS was,
               CASE WHEN t.wants LIKE '!%' THEN coalesce(o.settings, '') ELSE coalesce(t.settings, '') END AS settings
            FROM override o FULL JOIN unnest(p_packages, p_wants, p_settings) t (package, wants, settings) USING (package)) now;
    versions := ARRAY (
        SELECT v.id FROM package p JOIN version v ON v.package = p.id
            WHERE p.name = ANY (packages) AND (EXISTS (SELECT FROM job WHERE version = v.id)
                                               OR v.failed_mask <> 0 AND p.name = ANY (others))
            ORDER BY v.id FOR NO KEY UPDATE OF v);
    UPDATE override SET wants = '{}', settings = '', changed = CASE WHEN settings <> '' THEN now() ELSE override.changed END
        WHERE package <> ALL (p_packages) AND (wants, settings) <> ('{}', '');
    INSERT INTO override AS o (package, wants, settings, changed)
        SELECT t.package, string_to_array(t.wants, E'\n'), coalesce(t.settings, ''), now()
            FROM unnest(p_packages, p_wants, p_settings) t (package, wants, settings)
        ON CONFLICT (package) DO UPDATE SET wants = excluded.wants,
            settings = CASE WHEN excluded.package = ANY (others) THEN excluded.settings ELSE o.settings END,
            changed = CASE WHEN excluded.package = ANY (others) THEN now() ELSE o.changed END;
    WITH moved AS (
        UPDATE job SET wants = nullif(o.wants, '{}')
            FROM version v JOIN package p ON p.id = v.package JOIN override o ON o.package = p.name
            WHERE job.version = v.id AND v.id = ANY (versions) AND job.wants IS DISTINCT FROM nullif(o.wants, '{}')
            RETURNING job.version)
    SELECT coalesce(array_agg(version), '{}') INTO versions FROM moved;
    UPDATE slave SET lacks = slave_lacks(has) WHERE lacks <> slave_lacks(has);
    again := overrides_retry(others);
    PERFORM projects_stale(versions || again);
    RETURN cardinality(again);
END $$;

-- Of attempts that failed those whose package has come to have other settings of its own since they began: that they failed
-- tells nothing of these.
CREATE FUNCTION attempts_overtaken(p_attempts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM override) THEN
        RETURN '{}'; -- few farms have any
    END IF;
    RETURN ARRAY (
        SELECT b.id FROM build b JOIN version v ON v.id = b.version JOIN package p ON p.id = v.package
                JOIN override o ON o.package = p.name
            WHERE b.id = ANY (p_attempts) AND b.outcome = 'failed' AND b.started < o.changed
                AND o.settings <> coalesce(b.record ->> 'override', ''));
END $$;

-- A slave has said HELLO. Its key makes it who it is: a known name with another key is refused, but for a slave that had
-- none yet or was revoked, whose new key then waits. Without TLS the master takes whoever comes at its word.
CREATE FUNCTION slave_seen(p_label text, p_system text, p_hardware text, p_fingerprint text, p_offers bigint,
                           p_has text DEFAULT '') RETURNS slave_standing
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    s slave;
    new_key boolean;
BEGIN
    SELECT * INTO s FROM slave WHERE label = p_label FOR UPDATE;
    IF NOT FOUND THEN
        s := slave_new(p_label, p_fingerprint);
        IF s.id IS NULL THEN
            RETURN ROW (0, p_label, p_fingerprint, 'crowded', 0, '')::slave_standing;
        END IF;
    END IF;
    new_key := p_fingerprint <> '' AND p_fingerprint <> s.fingerprint;
    IF new_key AND s.fingerprint <> '' AND s.trust <> 'revoked' THEN
        RETURN ROW (s.id, p_label, s.fingerprint, 'other key', 0, '')::slave_standing;
    END IF;
    UPDATE slave SET system = p_system, hardware = p_hardware, last_seen = now(), offers = p_offers,
            has = p_has, lacks = slave_lacks(p_has),
            fingerprint = CASE WHEN new_key THEN p_fingerprint ELSE fingerprint END,
            trust = CASE WHEN new_key THEN 'waiting' ELSE trust END,
            allowed = CASE WHEN new_key THEN 0 ELSE allowed END,
            targets = CASE WHEN new_key THEN 0 ELSE targets END
        WHERE id = s.id RETURNING * INTO s;
    IF p_fingerprint = '' AND s.trust <> 'revoked' THEN
        s.trust := 'accepted';
        s.allowed := -1;
    END IF;
    RETURN slave_describe(s);
END $$;

CREATE FUNCTION slave_find(p_label text) RETURNS slave
LANGUAGE plpgsql AS $$
DECLARE
    s slave;
BEGIN
    SELECT * INTO s FROM slave WHERE label = p_label FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no slave % is known; see: piwheels slaves list', p_label USING ERRCODE = 'no_data_found';
    END IF;
    RETURN s;
END $$;

-- The mask of targets by their names.
CREATE FUNCTION target_mask(p_names text[]) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unknown text;
BEGIN
    SELECT n INTO unknown FROM unnest(p_names) n WHERE n NOT IN (SELECT name FROM target) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no target %; see: piwheels target list', unknown USING ERRCODE = 'no_data_found';
    END IF;
    RETURN (SELECT coalesce(bit_or(1::bigint << id), 0) FROM target WHERE name = ANY (p_names));
END $$;

-- A person accepts the key that a slave has shown, for these targets; with none, for what it offers.
CREATE FUNCTION slave_accept(p_label text, p_targets text[]) RETURNS slave_standing
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    s slave := slave_find(p_label);
    mask bigint := CASE cardinality(p_targets) WHEN 0 THEN s.offers ELSE target_mask(p_targets) END;
BEGIN
    IF s.fingerprint = '' THEN
        RAISE EXCEPTION 'slave % has not shown a key yet; start it, then accept it', p_label
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF mask = 0 THEN
        RAISE EXCEPTION 'slave % offers nothing that there is a target for; name targets with --targets', p_label
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE slave SET trust = 'accepted', allowed = mask, accepted = coalesce(accepted, now())
        WHERE id = s.id RETURNING * INTO s;
    RETURN slave_describe(s);
END $$;

CREATE FUNCTION slave_revoke(p_label text) RETURNS slave_standing
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    s slave := slave_find(p_label);
BEGIN
    UPDATE slave SET trust = 'revoked', allowed = 0, targets = 0 WHERE id = s.id RETURNING * INTO s;
    RETURN slave_describe(s);
END $$;

-- A JSON object each, those who wait for a person first.
CREATE FUNCTION slaves_list(p_max integer) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT json_build_object('slave', id, 'label', label, 'trust', trust, 'fingerprint', fingerprint,
            'targets', array_remove(string_to_array(target_names(allowed), ', '), ''),
            'offers', array_remove(string_to_array(target_names(offers), ', '), ''),
            'system', system, 'hardware', hardware,
            'last_seen', utc(last_seen))::text
        FROM slave ORDER BY trust = 'waiting' DESC, label LIMIT p_max
$$;

-- What the slave can do, when it first asks for work.
CREATE FUNCTION slave_told(p_slave bigint, p_targets bigint, p_memory bigint, p_timeout bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE slave SET targets = p_targets, memory_bytes = p_memory, timeout_ms = p_timeout, last_seen = now()
        WHERE id = p_slave
$$;

-- ---- leases --------------------------------------------------------------------------------------

-- Everything BUILD has to say about an attempt; and front: the rank up to which its target's queue has been handed out. 0:
-- this attempt does not tell, for its slave may have passed over what it may not have, and others may.
CREATE TYPE attempt_facts AS (
    attempt bigint, version_id bigint, target smallint, package text, version text, sdist text,
    sdist_sha256 bytea, started_ms bigint, front bigint, uploaded_ms bigint);

CREATE FUNCTION attempt_describe(j job) RETURNS SETOF attempt_facts
LANGUAGE sql STABLE AS $$
    SELECT j.attempt, v.id, j.target, p.name, v.version, v.sdist, v.sdist_sha256,
           (extract(epoch FROM j.started) * 1000)::bigint,
           CASE WHEN j.kind IS NULL AND NOT EXISTS (
                    SELECT FROM job a WHERE a.target = j.target AND a.attempt IS NULL AND a.need IS NULL AND a.avoid IS NOT NULL)
                THEN j.rank ELSE 0 END,
           (extract(epoch FROM v.uploaded) * 1000)::bigint
        FROM version v JOIN package p ON p.id = v.package WHERE v.id = j.version
$$;

-- Ids for attempts to come: who claims brings them along, so that a claim can be repeated.
CREATE FUNCTION attempts_reserve(p_count integer) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT nextval('attempt_id') FROM generate_series(1, p_count);
END $$;

-- Whether a slave can build a job that its targets allow: it has what the job wants, and more memory and time than it had
-- before. (0: the slave did not tell.) The same for all jobs of a kind.
CREATE FUNCTION slave_can(j job, p_memory bigint, p_timeout bigint, p_lacks text[]) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT (j.beyond_bytes = 0 OR j.beyond_bytes < p_memory) AND (j.beyond_ms = 0 OR j.beyond_ms < p_timeout)
        AND (j.wants IS NULL OR NOT j.wants && p_lacks)
$$;

-- Whether it may have it: after a failure of the farm rather another one.
CREATE FUNCTION slave_may(j job, p_slave bigint, p_memory bigint, p_timeout bigint, p_lacks text[]) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT (j.avoid IS DISTINCT FROM p_slave OR j.avoid_until <= now()) AND slave_can(j, p_memory, p_timeout, p_lacks)
$$;

-- A target's jobs that can be handed out, to whomever.
CREATE FUNCTION jobs_waiting(p_target smallint) RETURNS SETOF job
LANGUAGE sql STABLE AS $$
    SELECT * FROM job WHERE target = p_target AND attempt IS NULL AND need IS NULL AND kind IS NULL
    UNION ALL
    SELECT * FROM job WHERE target = p_target AND attempt IS NULL AND need IS NULL AND kind IS NOT NULL
$$;

-- The kinds of choosy jobs that wait for the targets in the mask and that the slave can build. One look into the index for
-- each kind, however many jobs are of it.
CREATE FUNCTION kinds_for(p_mask bigint, p_memory bigint, p_timeout bigint, p_lacks text[])
    RETURNS TABLE (target smallint, kind bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH RECURSIVE first (j) AS (
            SELECT (SELECT q FROM job q
                        WHERE q.target = t AND q.attempt IS NULL AND q.need IS NULL AND q.kind IS NOT NULL
                        ORDER BY q.target, q.kind LIMIT 1)
                FROM generate_series(0, 63) t WHERE (p_mask >> t) & 1 = 1
            UNION ALL
            SELECT (SELECT q FROM job q
                        WHERE q.target = (f.j).target AND q.attempt IS NULL AND q.need IS NULL AND q.kind > (f.j).kind
                        ORDER BY q.target, q.kind LIMIT 1)
                FROM first f WHERE (f.j).version IS NOT NULL)
        SELECT (f.j).target, (f.j).kind FROM first f WHERE (f.j).version IS NOT NULL AND slave_can(f.j, p_memory, p_timeout, p_lacks);
END $$;

-- The first jobs of the targets in the mask that can be handed out, at most p_count; for one slave those that it may
-- have, for none (null) those that everybody may. In no target is anything looked at before its front: what stands there
-- has been handed out, but the index may have to keep it while somebody holds an old snapshot, and would step over it
-- again and again. What is put before the front meanwhile is found when its owner resets it, or nothing else is. (Choosy jobs
-- have no front: what goes to one slave says nothing of what others passed over.)
-- (Without scans of whole tables a plan is right whatever the statistics were when it was made.)
CREATE FUNCTION jobs_first(p_mask bigint, p_count integer, p_ranks bigint[], p_versions bigint[], p_slave bigint,
                           p_memory bigint, p_timeout bigint) RETURNS tid[]
LANGUAGE plpgsql AS $$
DECLARE
    found tid[];
    missing text[];
BEGIN
    IF p_slave IS NULL THEN
        found := ARRAY (
            SELECT w.at FROM generate_series(0, 63) t
                CROSS JOIN LATERAL (
                    SELECT q.ctid AS at, q.rank, q.version, q.target FROM job q
                        WHERE q.target = t AND q.attempt IS NULL AND q.need IS NULL AND q.kind IS NULL
                            AND (q.rank, q.version) >= (p_ranks[t + 1], p_versions[t + 1]) AND q.avoid IS NULL
                        ORDER BY q.target, q.rank, q.version LIMIT p_count FOR UPDATE SKIP LOCKED) w
                WHERE (p_mask >> t) & 1 = 1
                ORDER BY w.rank, w.version, w.target LIMIT p_count);
        RETURN found;
    END IF;
    SELECT lacks INTO missing FROM slave WHERE id = p_slave;
    found := ARRAY (
        SELECT w.at FROM (
                SELECT plain.* FROM generate_series(0, 63) t
                    CROSS JOIN LATERAL (
                        SELECT q.ctid AS at, q.rank, q.version, q.target FROM job q
                            WHERE q.target = t AND q.attempt IS NULL AND q.need IS NULL AND q.kind IS NULL
                                AND (q.rank, q.version) >= (p_ranks[t + 1], p_versions[t + 1])
                                AND (q.avoid IS DISTINCT FROM p_slave OR q.avoid_until <= now())
                            ORDER BY q.target, q.rank, q.version LIMIT p_count FOR UPDATE SKIP LOCKED) plain
                    WHERE (p_mask >> t) & 1 = 1
                UNION ALL
                SELECT choosy.* FROM kinds_for(p_mask, p_memory, p_timeout, missing) k
                    CROSS JOIN LATERAL (
                        SELECT q.ctid AS at, q.rank, q.version, q.target FROM job q
                            WHERE q.target = k.target AND q.attempt IS NULL AND q.need IS NULL AND q.kind = k.kind
                                AND slave_may(q, p_slave, p_memory, p_timeout, missing)
                            ORDER BY q.target, q.kind, q.rank, q.version LIMIT p_count FOR UPDATE SKIP LOCKED) choosy) w
            ORDER BY w.rank, w.version, w.target LIMIT p_count);
    RETURN found;
END $$;

-- The same from the front on, and from the very beginning when there is too little.
CREATE FUNCTION jobs_find(p_mask bigint, p_count integer, p_ranks bigint[], p_versions bigint[], p_slave bigint,
                          p_memory bigint, p_timeout bigint) RETURNS tid[]
LANGUAGE plpgsql AS $$
DECLARE
    found tid[] := jobs_first(p_mask, p_count, p_ranks, p_versions, p_slave, p_memory, p_timeout);
BEGIN
    IF cardinality(found) < p_count THEN
        found := jobs_first(p_mask, p_count, array_fill(0::bigint, ARRAY[64]), array_fill(0::bigint, ARRAY[64]),
                            p_slave, p_memory, p_timeout);
    END IF;
    RETURN found;
END $$;

-- Hands jobs to claims, place by place. (In PL/pgSQL, as all that is called often: it keeps its plans.)
CREATE FUNCTION jobs_give(p_jobs tid[], p_places bigint[], p_attempts bigint[], p_slaves bigint[], p_leases_ms bigint[])
    RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job SET attempt = p_attempts[f.place], slave = p_slaves[f.place], started = clock_timestamp(),
            lease_until = now() + make_interval(secs => p_leases_ms[f.place] / 1000.0)
        FROM unnest(p_jobs, p_places) f (at, place) WHERE job.ctid = f.at;
END $$;

-- For each place of the arrays: claims a job of the targets in the mask for the slave, as this attempt, if this
-- very statement did not do so before. A row of nulls where there is none. Those who can build for the same
-- targets take the first jobs of these in one sweep; one by one while jobs wait that not everybody may have.
-- p_ranks, p_versions: for each target the front (see jobs_first).
CREATE FUNCTION jobs_claim(p_attempts bigint[], p_slaves bigint[], p_masks bigint[], p_leases_ms bigint[],
                           p_memories bigint[], p_timeouts bigint[], p_ranks bigint[], p_versions bigint[])
    RETURNS SETOF attempt_facts
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    picky boolean;
    ended bigint;
    alike record;
BEGIN
    SELECT EXISTS (SELECT FROM job WHERE attempt IS NULL AND need IS NULL AND kind IS NOT NULL)
               OR EXISTS (SELECT FROM job WHERE attempt IS NULL AND need IS NULL AND avoid IS NOT NULL),
           (SELECT min(id) FROM build WHERE id = ANY (p_attempts))
        INTO picky, ended;
    IF ended IS NOT NULL THEN
        RAISE EXCEPTION 'attempt % has ended meanwhile', ended;
    END IF;
    FOR alike IN
            SELECT c.mask, array_agg(c.place ORDER BY c.place) AS places, count(*)::integer AS count,
                   CASE WHEN picky THEN min(c.place) END AS one
            FROM unnest(p_attempts, p_masks) WITH ORDINALITY c (attempt, mask, place)
            WHERE NOT EXISTS (SELECT FROM job WHERE job.attempt = c.attempt)
            GROUP BY c.mask, CASE WHEN picky THEN c.place END ORDER BY min(c.place) LOOP
        PERFORM jobs_give(jobs_find(alike.mask, alike.count, p_ranks, p_versions, p_slaves[alike.one],
                                    p_memories[alike.one], p_timeouts[alike.one]),
                          alike.places, p_attempts, p_slaves, p_leases_ms);
    END LOOP;
    RETURN QUERY
        SELECT d.* FROM unnest(p_attempts) WITH ORDINALITY c (attempt, place)
            LEFT JOIN job j ON j.attempt = c.attempt
            LEFT JOIN LATERAL attempt_describe(j) d ON true
            ORDER BY c.place;
END $$;

-- A lease ran out, the attempt was recorded as lost, and now its slave is back: as long as nobody else was given the job,
-- nothing is lost. The attempt goes on, and its record is withdrawn.
CREATE FUNCTION attempt_revive(p_attempt bigint, p_slave bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lost build;
    sums tally := tally_none();
BEGIN
    SELECT * INTO lost FROM build
        WHERE id = p_attempt AND slave = p_slave AND outcome = 'farm' AND class = 'lost slave';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM version WHERE id = lost.version FOR NO KEY UPDATE;
    UPDATE job SET attempt = lost.id, slave = lost.slave, started = lost.started, tries = greatest(tries - 1, 0),
            losses = greatest(losses - 1, 0), avoid = NULL, avoid_until = NULL, need = NULL
        WHERE version = lost.version AND target = lost.target AND attempt IS NULL AND need IS DISTINCT FROM 'info';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM build WHERE id = lost.id;
    sums.farm := -1;
    PERFORM projects_stale(ARRAY[lost.version]);
    PERFORM tally_add(sums);
END $$;

-- A slave comes back with an attempt: its facts if the job is still its own, or nobody's yet, else no row.
CREATE FUNCTION attempt_adopt(p_attempt bigint, p_slave bigint, p_lease_ms bigint) RETURNS SETOF attempt_facts
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    j job;
BEGIN
    IF NOT EXISTS (SELECT FROM job WHERE attempt = p_attempt) THEN
        PERFORM attempt_revive(p_attempt, p_slave);
    END IF;
    UPDATE job SET lease_until = now() + make_interval(secs => p_lease_ms / 1000.0)
        WHERE attempt = p_attempt AND slave = p_slave RETURNING * INTO j;
    IF FOUND THEN
        RETURN QUERY SELECT * FROM attempt_describe(j);
    END IF;
END $$;

-- The queue's round: jobs whose time has come become ready; then the targets for which a job could be claimed, as a mask.
-- Looked for from the queue's end: at its front stands what was handed out, if somebody holds an old snapshot.
CREATE FUNCTION targets_ready() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM projects_stale(jobs_due());
    RETURN (SELECT coalesce(bit_or(1::bigint << t.id), 0) FROM target t
        WHERE (SELECT true FROM job q WHERE q.target = t.id AND q.attempt IS NULL AND q.need IS NULL AND q.kind IS NULL
                   ORDER BY q.target DESC, q.rank DESC, q.version DESC LIMIT 1)
            OR (SELECT true FROM job q WHERE q.target = t.id AND q.attempt IS NULL AND q.need IS NULL AND q.kind IS NOT NULL
                    ORDER BY q.target DESC, q.kind DESC, q.rank DESC, q.version DESC LIMIT 1));
END $$;

-- Gives a claimed job back unbuilt and unrecorded: its slave left before it heard of it.
CREATE FUNCTION attempt_release(p_attempt bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    j job;
BEGIN
    PERFORM attempts_lock(ARRAY[p_attempt]);
    UPDATE job SET attempt = NULL, slave = NULL, started = NULL, lease_until = NULL
        WHERE attempt = p_attempt RETURNING * INTO j;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- it may not be wanted any more
    PERFORM versions_settle(ARRAY[j.version]);
    PERFORM projects_stale(ARRAY[j.version]);
END $$;

CREATE FUNCTION leases_extend(p_attempts bigint[], p_lease_ms bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE job SET lease_until = now() + make_interval(secs => p_lease_ms / 1000.0)
        WHERE attempt = ANY (p_attempts)
$$;

-- Those of the attempts that are under way no more: their jobs were given to others, or nobody wants them built.
CREATE FUNCTION attempts_gone(p_attempts bigint[]) RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT a FROM unnest(p_attempts) a WHERE NOT EXISTS (SELECT FROM job WHERE attempt = a)
$$;

-- ---- ends of attempts ----------------------------------------------------------------------------

-- Locks the versions of attempts that are under way, as everybody does before touching their jobs; answers them.
CREATE FUNCTION attempts_lock(p_attempts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY (SELECT id FROM version
        WHERE id IN (SELECT version FROM job WHERE attempt = ANY (p_attempts)) ORDER BY id FOR NO KEY UPDATE);
END $$;

-- Records the ends of attempts that are under way, each once; answers how many of which kind they were.
CREATE FUNCTION builds_record(p_attempts bigint[], p_outcomes text[], p_classes text[], p_details text[],
                              p_wall_ms bigint[], p_cpu_ms bigint[], p_peak_bytes bigint[], p_log_bytes bigint[],
                              p_records jsonb[]) RETURNS tally
LANGUAGE plpgsql AS $$
DECLARE
    sums tally := tally_none();
BEGIN
    WITH recorded AS (
        INSERT INTO build (id, version, target, slave, started, outcome, class, detail, wall_ms, cpu_ms,
                           peak_bytes, log_bytes, sdist_sha256, record)
            SELECT DISTINCT ON (e.attempt) e.attempt, j.version, j.target, j.slave, j.started, e.outcome,
                   e.class, e.detail, e.wall_ms, e.cpu_ms, e.peak_bytes, e.log_bytes, v.sdist_sha256,
                   coalesce(e.record, '{}')
                FROM unnest(p_attempts, p_outcomes, p_classes, p_details, p_wall_ms, p_cpu_ms, p_peak_bytes,
                            p_log_bytes, p_records) WITH ORDINALITY
                        e (attempt, outcome, class, detail, wall_ms, cpu_ms, peak_bytes, log_bytes, record, place)
                    JOIN job j ON j.attempt = e.attempt JOIN version v ON v.id = j.version
                ORDER BY e.attempt, e.place
            RETURNING outcome)
    SELECT count(*) FILTER (WHERE outcome = 'success'), count(*) FILTER (WHERE outcome = 'failed'),
           count(*) FILTER (WHERE outcome = 'farm')
        INTO sums.succeeded, sums.failed, sums.farm FROM recorded;
    RETURN sums;
END $$;

-- Gives jobs back whose attempts are recorded as failures of the farm: later and later, rather to another slave; after
-- five, or when three slaves were lost, a person must look at it.
CREATE FUNCTION jobs_give_back(p_attempts bigint[], p_retries_ms bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH given AS (
        SELECT b.id, make_interval(secs => r.ms / 1000.0 * 3 ^ j.tries * (0.8 + 0.4 * random())) AS pause,
               j.losses + (b.class = 'lost slave')::integer AS losses
            FROM unnest(p_attempts, p_retries_ms) r (attempt, ms) JOIN build b ON b.id = r.attempt
                JOIN job j ON j.attempt = r.attempt
            WHERE b.outcome = 'farm')
    UPDATE job SET attempt = NULL, slave = NULL, started = NULL, lease_until = NULL, tries = tries + 1,
            losses = given.losses, avoid = job.slave, ready_at = now() + pause, avoid_until = now() + 2 * pause,
            need = CASE WHEN tries + 1 >= 5 OR given.losses >= 3 THEN 'parked'
                        WHEN pause > interval '0' THEN 'later' END
        FROM given WHERE job.attempt = given.id;
END $$;

-- Gives jobs back whose builds wanted more memory or time than their slave allowed, once, if there is a slave that allows
-- more; answers their attempts.
CREATE FUNCTION jobs_give_bigger(p_attempts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    given bigint[];
BEGIN
    WITH bigger AS (
        UPDATE job SET attempt = NULL, slave = NULL, started = NULL, lease_until = NULL,
                beyond_bytes = CASE b.class WHEN 'memory' THEN s.memory_bytes ELSE 0 END,
                beyond_ms = CASE b.class WHEN 'timeout' THEN s.timeout_ms ELSE 0 END
            FROM build b JOIN slave s ON s.id = b.slave
            WHERE job.attempt = b.id AND b.id = ANY (p_attempts) AND b.outcome = 'failed'
                AND b.class IN ('memory', 'timeout') AND job.beyond_bytes = 0 AND job.beyond_ms = 0
                AND EXISTS (SELECT FROM slave o WHERE (o.targets >> job.target) & 1 = 1
                    AND o.last_seen > now() - interval '7 days'
                    AND CASE b.class WHEN 'memory' THEN o.memory_bytes > s.memory_bytes AND s.memory_bytes > 0
                                     ELSE o.timeout_ms > s.timeout_ms AND s.timeout_ms > 0 END)
            RETURNING b.id)
    SELECT coalesce(array_agg(id), '{}') INTO given FROM bigger;
    RETURN given;
END $$;

-- Ends attempts that published nothing: outcome 'failed' (the package's own) or 'farm'. For each, in order:
-- whether it is recorded, now or the same way before.
CREATE FUNCTION builds_end(p_attempts bigint[], p_outcomes text[], p_classes text[], p_details text[],
                           p_wall_ms bigint[], p_cpu_ms bigint[], p_peak_bytes bigint[], p_log_bytes bigint[],
                           p_retries_ms bigint[], p_records jsonb[] DEFAULT '{}') RETURNS SETOF boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    versions bigint[] := attempts_lock(p_attempts);
    sums tally;
    overtaken bigint[];
BEGIN
    sums := builds_record(p_attempts, p_outcomes, p_classes, p_details, p_wall_ms, p_cpu_ms, p_peak_bytes, p_log_bytes,
                          p_records);
    IF sums.farm > 0 THEN
        PERFORM jobs_give_back(p_attempts, p_retries_ms);
    END IF;
    IF sums.failed > 0 THEN
        IF p_classes && ARRAY['memory', 'timeout'] THEN
            PERFORM jobs_give_bigger(p_attempts);
        END IF;
        overtaken := attempts_overtaken(p_attempts);
        WITH ended AS (
            DELETE FROM job WHERE attempt = ANY (ARRAY (
                    SELECT id FROM build WHERE id = ANY (p_attempts) AND outcome = 'failed'))
                RETURNING attempt, version, target),
        failed AS (
            SELECT version, bit_or(1::bigint << target) AS mask FROM ended WHERE attempt <> ALL (overtaken) GROUP BY version)
        UPDATE version SET failed_mask = failed_mask | failed.mask, forced_mask = forced_mask & ~failed.mask
            FROM failed WHERE version.id = failed.version;
    END IF;
    IF sums.farm + sums.failed > 0 THEN
        -- another target may be next, or the version not be wanted any more
        PERFORM jobs_settle(versions);
        PERFORM projects_stale(versions);
        PERFORM tally_add(sums);
    END IF;
    IF sums.farm + sums.failed = cardinality(p_attempts) THEN
        RETURN QUERY SELECT true FROM generate_series(1, cardinality(p_attempts));
        RETURN;
    END IF;
    RETURN QUERY
        SELECT coalesce((SELECT b.outcome = e.outcome FROM build b WHERE b.id = e.attempt), false)
            FROM unnest(p_attempts, p_outcomes) WITH ORDINALITY e (attempt, outcome, place) ORDER BY e.place;
END $$;

-- Leases that ran out: the slave is lost. Answers the attempts.
CREATE FUNCTION leases_expire(p_retry_ms bigint) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    lost bigint[] := ARRAY (SELECT attempt FROM job WHERE attempt IS NOT NULL AND lease_until < now()
        ORDER BY lease_until LIMIT 1000);
    versions bigint[];
    how_many integer[];
    sums tally;
BEGIN
    IF lost = '{}' THEN
        RETURN;
    END IF;
    versions := attempts_lock(lost);
    lost := ARRAY (SELECT attempt FROM job WHERE attempt = ANY (lost) AND lease_until < now()
        ORDER BY lease_until, attempt FOR UPDATE SKIP LOCKED);
    how_many := ARRAY[cardinality(lost)];
    sums := builds_record(lost, array_fill('farm'::text, how_many), array_fill('lost slave'::text, how_many),
                          array_fill('the slave fell silent'::text, how_many), ARRAY (
                              SELECT (extract(epoch FROM now() - j.started) * 1000)::bigint
                                  FROM unnest(lost) WITH ORDINALITY l (attempt, place)
                                      JOIN job j ON j.attempt = l.attempt ORDER BY l.place),
                          array_fill(0::bigint, how_many), array_fill(0::bigint, how_many),
                          array_fill(0::bigint, how_many), '{}');
    PERFORM jobs_give_back(lost, array_fill(p_retry_ms, how_many));
    IF sums.farm > 0 THEN
        PERFORM jobs_settle(versions);
        PERFORM projects_stale(versions);
        PERFORM tally_add(sums);
    END IF;
    RETURN QUERY SELECT unnest(lost);
END $$;

-- ---- files ---------------------------------------------------------------------------------------

-- What attempts want to publish, file by file.
--   p_files: for each attempt [{"path", "name", "size", "sha256", "metadata_sha256", "requires_python",
--            "requires": [text], "apt": [text], "native", "armv6", "glibc", "glibcxx", "apart", "fits"}]
--            "fits": of the targets on its platform those whose Python would take it by its name, as a mask
CREATE TYPE announced_file AS (
    call bigint, attempt bigint, place bigint, path text, name text, size_bytes bigint, sha256 bytea, metadata_sha256 bytea,
    requires_python text, requires jsonb, apt jsonb, native boolean, armv6 boolean, glibc text, glibcxx text, apart boolean,
    fits bigint);

CREATE FUNCTION files_announced(p_attempts bigint[], p_files jsonb[]) RETURNS SETOF announced_file
LANGUAGE sql STABLE AS $$
    SELECT a.call, a.attempt, f.place, f.path, f.name, f.size, decode(f.sha256, 'hex'), decode(f.metadata_sha256, 'hex'),
           coalesce(f.requires_python, ''), coalesce(f.requires, '[]'), coalesce(f.apt, '[]'),
           coalesce(f.native, false), coalesce(f.armv6, false), coalesce(f.glibc, ''), coalesce(f.glibcxx, ''),
           coalesce(f.apart, false), coalesce(f.fits, 0)
        FROM unnest(p_attempts, p_files) WITH ORDINALITY a (attempt, files, call)
            CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(a.files) AS (
                path text, name text, size bigint, sha256 text, metadata_sha256 text, requires_python text,
                requires jsonb, apt jsonb, native boolean, armv6 boolean, glibc text, glibcxx text, apart boolean,
                fits bigint))
                WITH ORDINALITY
                AS f (path, name, size, sha256, metadata_sha256, requires_python, requires, apt, native, armv6,
                      glibc, glibcxx, apart, fits, place)
$$;

-- The build tag (PEP 427) under which another wheel of the version can be published: no name of it has or had one so high.
CREATE FUNCTION build_tag_next(p_version bigint, p_name text) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT 1 + coalesce(max(coalesce(substring(n FROM '^[^-]+-[^-]+-([0-9]{1,6})[^-]*-[^-]+-[^-]+-[^-]+$'), '0')::integer), 0)
        FROM (SELECT name AS n FROM file WHERE version = p_version
              UNION ALL
              SELECT substring(w.path FROM '[^/]*$')
                  FROM version v JOIN package p ON p.id = v.package JOIN withdrawn_file w ON w.package = p.name
                  WHERE v.id = p_version) names
        WHERE split_part(n, '-', 2) = split_part(p_name, '-', 2)
$$;

-- "2.34" as numbers, which can be compared.
CREATE FUNCTION libc_version(p text) RETURNS integer[]
LANGUAGE sql IMMUTABLE AS $$ SELECT string_to_array(nullif(p, ''), '.')::integer[] $$;

-- Whether code that was built for one target, and needs these versions and Debian packages, runs on another one of the same
-- platform: its C library is new enough, and it has the others, from a distribution that is no older. (Every machine has the
-- run-time libraries of the compiler.)
CREATE FUNCTION code_runs(p_glibc text, p_apt jsonb, own target, other target) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT other.glibc IS NOT NULL AND (p_glibc = '' OR libc_version(p_glibc) <= libc_version(other.glibc))
        AND NOT EXISTS (
            SELECT FROM jsonb_array_elements_text(p_apt) a WHERE a <> 'libc6'
                AND NOT coalesce(libc_version(own.glibc) <= libc_version(other.glibc)
                                 AND (a IN ('libgcc-s1', 'libstdc++6')
                                      OR EXISTS (SELECT FROM preinstalled i WHERE i.target = other.id AND i.package = a)), false))
$$;

-- Whether pip would take a file of this target on another distribution, too, where its code would not run.
CREATE FUNCTION file_fails_elsewhere(p_target smallint, p_fits bigint, p_glibc text, p_apt jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM target own JOIN target other ON (p_fits >> other.id) & 1 = 1 AND other.label <> own.label
            WHERE own.id = p_target AND NOT code_runs(p_glibc, p_apt, own, other))
$$;

-- Whether a file must not be in the index of all: its name does not tell its distribution, and somewhere on its platform
-- pip would take it and its code would not run. Most fit no other target; having no query of its own this becomes a part
-- of the statement that asks, which then runs none for them.
CREATE FUNCTION file_misleads(p_target smallint, p_fits bigint, p_glibc text, p_apt jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT p_fits & ~(1::bigint << p_target) <> 0 AND file_fails_elsewhere(p_target, p_fits, p_glibc, p_apt)
$$;

-- What becomes of a file in whose place `there` stands with other bytes. p_native: it is for one platform.
CREATE FUNCTION file_again(there file, p_attempt bigint, p_sha256 bytea, p_native boolean DEFAULT false) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p_native AND EXISTS (SELECT FROM job j JOIN target own ON own.id = j.target JOIN target other ON other.id = there.target
                                  WHERE j.attempt = p_attempt AND own.label <> other.label) THEN 'apart'
        WHEN NOT EXISTS (SELECT FROM job j WHERE j.attempt = p_attempt AND j.target = there.target
                         AND j.version = there.version) OR there.state <> 'live' THEN 'other'
        WHEN EXISTS (SELECT FROM file f WHERE f.version = there.version AND f.state = 'live' AND f.sha256 = p_sha256)
            THEN 'same'
        ELSE 'again ' || build_tag_next(there.version, there.name) END
$$;

-- Announces verified files before they enter the tree. For each place of the arrays, in
-- order, the verdict on each of its files:
--   'new'    may be linked into place          'same'   is public already with these very bytes
--   'back'   the same, but it was withdrawn, and its bytes may still be there: they must not be taken out again
--   'leaving' what had the name is being taken out of the tree: must be announced again when it is
--   'other'  is public with other bytes, or another attempt is about to publish it: must be discarded
--   'again N'  the same, but it was built for this very target, or it was withdrawn: the name may have the build tag N
--   'apart'  is for its own target's index only: by what it needs, or because the name is taken by another distribution's
--   'judge'  was judged by other targets than there are: must be judged again, and announced again
-- No row at all: the attempt is not the job's any more.
--   p_targets: for each attempt the digest of the targets by which its files were judged
CREATE FUNCTION files_begin(p_attempts bigint[], p_files jsonb[], p_targets text[] DEFAULT '{}')
    RETURNS TABLE (call bigint, verdict text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    files announced_file[] := ARRAY (SELECT f FROM files_announced(p_attempts, p_files) f); -- read once
    judge bigint[];
BEGIN
    PERFORM targets_hold();
    judge := ARRAY (SELECT place FROM unnest(p_targets) WITH ORDINALITY k (known, place)
                        WHERE known <> (SELECT targets_digest()));
    PERFORM attempts_lock(p_attempts);
    -- what was announced by another name before
    DELETE FROM file WHERE attempt = ANY (p_attempts) AND state = 'publishing'
        AND path NOT IN (SELECT f.path FROM unnest(files) f);
    -- files_leaving waits for this, or this for it
    PERFORM FROM withdrawn_file WHERE path IN (SELECT f.path FROM unnest(files) f)
        ORDER BY path FOR SHARE;
    INSERT INTO file (path, name, attempt, version, target, state, size_bytes, sha256, metadata_sha256,
                      requires_python, native, was_native, armv6, glibc, glibcxx, apart)
        SELECT f.path, f.name, f.attempt, j.version, j.target, 'publishing', f.size_bytes, f.sha256,
               f.metadata_sha256, f.requires_python, f.native, p.native AND NOT f.native, f.armv6, f.glibc,
               f.glibcxx, f.apart
            FROM unnest(files) f JOIN job j ON j.attempt = f.attempt
                JOIN version v ON v.id = j.version JOIN package p ON p.id = v.package
            WHERE f.call <> ALL (judge)
                AND NOT EXISTS (SELECT FROM withdrawn_file w
                                WHERE w.path = f.path AND (w.leaving OR w.sha256 <> f.sha256))
                AND (f.apart OR NOT file_misleads(j.target, f.fits, f.glibc, f.apt))
            ORDER BY f.path
        ON CONFLICT (path) DO NOTHING;
    INSERT INTO dependency (file, tool, name)
        SELECT there.id, needs.tool, needs.name
            FROM unnest(files) f JOIN file there ON there.path = f.path
                CROSS JOIN LATERAL (
                    SELECT 'pip', jsonb_array_elements_text(f.requires)
                    UNION ALL SELECT 'apt', jsonb_array_elements_text(f.apt)) needs (tool, name)
            WHERE there.state = 'publishing' AND there.attempt = f.attempt AND there.sha256 = f.sha256
        ON CONFLICT DO NOTHING;
    RETURN QUERY
        SELECT f.call, CASE WHEN f.call = ANY (judge) THEN 'judge'
                            WHEN NOT f.apart AND file_misleads(j.target, f.fits, f.glibc, f.apt) THEN 'apart'
                            WHEN w.sha256 <> f.sha256 AND w.named THEN 'again ' || build_tag_next(j.version, f.name)
                            WHEN w.leaving OR w.sha256 <> f.sha256 THEN 'leaving'
                            WHEN there.sha256 <> f.sha256
                                THEN file_again(there, f.attempt, f.sha256, f.fits <> 0 AND NOT f.apart)
                            WHEN there.state = 'live' THEN 'same'
                            WHEN there.state = 'publishing' AND there.attempt = f.attempt
                                THEN CASE WHEN NOT w.gone THEN 'back' ELSE 'new' END
                            ELSE 'other' END
            FROM unnest(files) f JOIN job j ON j.attempt = f.attempt
                LEFT JOIN file there ON there.path = f.path LEFT JOIN withdrawn_file w ON w.path = f.path
            ORDER BY f.call, f.place;
END $$;

-- Makes the announced files of attempts public; answers how much that is, the packages that have new ones, and whether the
-- lists of all packages change; are_apart: whether some are not for the index of all.
CREATE FUNCTION files_live(p_attempts bigint[], OUT sums tally, OUT names text[], OUT roots boolean, OUT are_apart boolean)
LANGUAGE plpgsql AS $$
BEGIN
    sums := tally_none();
    WITH added AS (
        UPDATE file SET state = 'live', published = now() WHERE attempt = ANY (p_attempts) AND state = 'publishing'
            RETURNING path, version, size_bytes, native, apart),
    back AS (UPDATE withdrawn_file w SET gone = true FROM added WHERE w.path = added.path AND NOT w.gone),
    parts AS (
        SELECT v.package, count(*) AS files, count(*) FILTER (WHERE a.apart) AS apart, sum(a.size_bytes) AS size_bytes,
               bool_or(a.native) AS native
            FROM added a JOIN version v ON v.id = a.version GROUP BY v.package),
    grown AS (
        UPDATE package SET live_files = live_files + parts.files, apart_files = apart_files + parts.apart,
                native = package.native OR parts.native
            FROM parts WHERE package.id = parts.package
            RETURNING name, parts.files, parts.size_bytes, parts.apart, live_files = parts.files AS is_first,
                      parts.apart > 0 OR live_files - apart_files = parts.files AS in_root)
    SELECT coalesce(sum(files), 0), coalesce(sum(size_bytes), 0), count(*) FILTER (WHERE is_first),
           coalesce(array_agg(name ORDER BY name), '{}'), coalesce(bool_or(in_root), false), coalesce(bool_or(apart > 0), false)
        INTO sums.files, sums.size_bytes, sums.packages, names, roots, are_apart FROM grown;
END $$;

-- The targets for which the version may have a file, by the files' names and places.
CREATE FUNCTION version_may_serve(p_version bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce(bit_or(1::bigint << t.id), 0)
        FROM file f JOIN target own ON own.id = f.target JOIN target t ON t.id = own.id OR file_may_serve(f, own, t)
        WHERE f.version = p_version AND f.state <> 'publishing'
$$;

-- The attempts' files stand in the tree: makes them public, records the builds, ends the jobs and marks the
-- pages. p_serves: every target that the result serves, its own included. For each, in order: whether it is
-- recorded, now or before; else the attempt is not the job's any more and nothing was done.
CREATE FUNCTION build_publish(p_attempts bigint[], p_classes text[], p_details text[], p_wall_ms bigint[],
                              p_cpu_ms bigint[], p_peak_bytes bigint[], p_log_bytes bigint[], p_serves bigint[],
                              p_records jsonb[] DEFAULT '{}')
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
        sums := builds_record(p_attempts, array_fill('success'::text, ARRAY[cardinality(p_attempts)]), p_classes,
                              p_details, p_wall_ms, p_cpu_ms, p_peak_bytes, p_log_bytes, p_records);
        SELECT * INTO public FROM files_live(own);
        sums.files := (public.sums).files;
        sums.size_bytes := (public.sums).size_bytes;
        sums.packages := (public.sums).packages;
        WITH ended AS (DELETE FROM job WHERE attempt = ANY (own) RETURNING attempt, version),
        served AS (
            -- what was judged while this was being published may have parted it from others
            SELECT e.version, bit_or(s.mask) & CASE WHEN public.are_apart THEN version_may_serve(e.version) ELSE -1 END AS mask
                FROM ended e JOIN unnest(p_attempts, p_serves) s (attempt, mask) ON s.attempt = e.attempt
                GROUP BY e.version),
        old AS (SELECT count(*) AS fresh FROM served JOIN version v ON v.id = served.version WHERE v.built_mask = 0),
        done AS (
            UPDATE version SET built_mask = built_mask | served.mask, failed_mask = failed_mask & ~served.mask,
                    forced_mask = forced_mask & ~served.mask
                FROM served WHERE version.id = served.version)
        SELECT fresh INTO sums.versions FROM old;
        PERFORM jobs_settle(versions);
        PERFORM pages_stale('index', public.names);
        IF public.roots THEN
            PERFORM page_stale('root', '');
        END IF;
        PERFORM projects_stale(versions);
        PERFORM tally_add(sums);
    END IF;
    RETURN QUERY
        SELECT coalesce((SELECT b.outcome = 'success' FROM build b WHERE b.id = e.attempt), false)
            FROM unnest(p_attempts) WITH ORDINALITY e (attempt, place) ORDER BY e.place;
END $$;

-- Forgets files that were announced and will not be published; their bytes must be gone from the tree before.
CREATE FUNCTION files_forget(p_attempt bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    DELETE FROM file WHERE attempt = p_attempt AND state = 'publishing'
$$;

-- ---- the record of a build ------------------------------------------------------------------------

-- All that is known of a build that has ended, as one JSON object: what it was (package, version, target, slave, the
-- source's hash), what became of it (outcome, class, detail), what it took (wall_ms, cpu_ms, peak_bytes, log_bytes), and
-- what it was made with, as its slave told:
--   "system", "python", "pip", "compiler", "libc", "sandbox", "network", "source_date_epoch",
--   "limits": {"timeout_ms", "silence_ms", "cpu_ms", "memory_bytes", "disk_bytes", "disk_files", "output_bytes",
--   "processes", "open_files"},
--   "required": [{"name", "version", "sha256" (or null)}], what was installed for it,
--   "override": SHA-256 of the package's own settings, as BUILD gave them, if it had some.
-- Null when there is no such build.
CREATE FUNCTION build_record(p_build bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    SELECT b.record || jsonb_build_object(
            'build', b.id, 'package', p.name, 'version', v.version, 'target', t.name, 'abi', t.abi,
            'platform', t.platform, 'slave', s.label, 'hardware', s.hardware,
            'sdist_sha256', encode(b.sdist_sha256, 'hex'), 'started', b.started, 'finished', b.finished,
            'outcome', b.outcome, 'class', b.class, 'detail', b.detail, 'wall_ms', b.wall_ms, 'cpu_ms', b.cpu_ms,
            'peak_bytes', b.peak_bytes, 'log_bytes', b.log_bytes)
        FROM build b JOIN version v ON v.id = b.version JOIN package p ON p.id = v.package
            JOIN target t ON t.id = b.target JOIN slave s ON s.id = b.slave
        WHERE b.id = p_build
$$;

-- ---- withdrawing ---------------------------------------------------------------------------------

-- What PyPI removes leaves the tree in the reverse order of publishing: files_withdraw takes the rows away, the index is
-- written, two page lifetimes pass, the bytes leave, and it is noted that they are gone. What PyPI quarantines
-- (files_withhold) leaves at once, for a place that is not served, and may come back. src/files/withdraw.c does it.

-- The bytes of withheld files are out of the tree. One that PyPI has cleared meanwhile comes back next.
CREATE FUNCTION files_hidden(p_files bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    UPDATE file SET hidden = true WHERE id = ANY (p_files) AND state = 'withheld'
$$;

-- Files that PyPI has cleared stand in the tree again: makes them public. Answers how many.
CREATE FUNCTION files_returned(p_files bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    sums tally := tally_none();
    names text[];
    roots boolean;
BEGIN
    PERFORM FROM package WHERE id IN (
            SELECT v.package FROM file f JOIN version v ON v.id = f.version WHERE f.id = ANY (p_files))
        ORDER BY id FOR NO KEY UPDATE;
    WITH back AS (
        UPDATE file SET state = 'live', hidden = false WHERE id = ANY (p_files) AND state = 'returning'
            RETURNING version, size_bytes, apart),
    parts AS (
        SELECT v.package, count(*) AS files, count(*) FILTER (WHERE b.apart) AS apart, sum(b.size_bytes) AS size_bytes
            FROM back b JOIN version v ON v.id = b.version GROUP BY v.package),
    grown AS (
        UPDATE package SET live_files = live_files + parts.files, apart_files = apart_files + parts.apart
            FROM parts WHERE package.id = parts.package
            RETURNING name, parts.files, parts.size_bytes, live_files = parts.files AS is_first,
                      parts.apart > 0 OR live_files - apart_files = parts.files AS in_root)
    SELECT coalesce(sum(files), 0), coalesce(sum(size_bytes), 0), count(*) FILTER (WHERE is_first),
           coalesce(array_agg(name), '{}'), coalesce(bool_or(in_root), false)
        INTO sums.files, sums.size_bytes, sums.packages, names, roots FROM grown;
    IF names <> '{}' THEN
        PERFORM pages_stale('index', names);
        IF roots THEN
            PERFORM page_stale('root', '');
        END IF;
        PERFORM pages_stale('project', names);
        PERFORM tally_add(sums);
    END IF;
    RETURN sums.files;
END $$;

-- Sets the time when withdrawn files leave whose index has been written, a thousand at a time, then answers at most a hundred
-- whose time has come, which nobody may publish again until files_gone. The last row has no path, but tells in how many ms to
-- look again, and the file to go on after, null at the end: what cannot leave, however much it is, holds nothing up that stands
-- behind it. '-infinity' stands before those that have no time yet.
CREATE FUNCTION files_leaving(p_wait_ms bigint, p_after_at timestamptz DEFAULT '-infinity', p_after text DEFAULT '')
    RETURNS TABLE (path text, again_ms bigint, after_at timestamptz, after text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    waiting text[];
    due text[];
BEGIN
    IF p_after_at = '-infinity' THEN
        waiting := ARRAY (SELECT w.path FROM withdrawn_file w
            WHERE NOT w.gone AND w.leave_at IS NULL AND w.path > p_after ORDER BY w.path LIMIT 1000);
        UPDATE withdrawn_file SET leave_at = now() + make_interval(secs => p_wait_ms / 1000.0) WHERE path IN (
            SELECT w.path FROM withdrawn_file w
                WHERE w.path = ANY (waiting) AND NOT w.gone AND w.leave_at IS NULL
                    -- looked up for each: as a join it was made with all pages that are stale
                    AND (SELECT true FROM stale_page s WHERE s.kind = 'index' AND s.key = w.package) IS NULL
                ORDER BY w.path FOR UPDATE);
        IF cardinality(waiting) = 1000 THEN
            RETURN QUERY SELECT NULL::text, NULL::bigint, p_after_at, waiting[1000];
            RETURN;
        END IF;
        p_after := '';
    END IF;
    due := ARRAY (SELECT w.path FROM withdrawn_file w
        WHERE NOT w.gone AND w.leave_at <= now() AND (w.leave_at, w.path) > (p_after_at, p_after)
        ORDER BY w.leave_at, w.path LIMIT 100 FOR UPDATE);
    SELECT w.leave_at, w.path INTO after_at, after FROM withdrawn_file w WHERE w.path = due[100];
    -- a statement of its own, which sees what files_begin did before the rows were locked
    RETURN QUERY
        UPDATE withdrawn_file w SET leaving = true
            WHERE w.path = ANY (due) AND NOT EXISTS (SELECT FROM file f WHERE f.path = w.path)
            RETURNING w.path, NULL::bigint, NULL::timestamptz, NULL::text;
    RETURN QUERY
        SELECT NULL::text, least(
            CASE WHEN EXISTS (SELECT FROM withdrawn_file WHERE NOT gone AND leave_at IS NULL)
                THEN greatest(p_wait_ms / 20, 200) END,
            (SELECT (extract(epoch FROM leave_at - now()) * 1000)::bigint FROM withdrawn_file
                WHERE NOT gone AND leave_at > now() ORDER BY leave_at LIMIT 1)), after_at, after;
END $$;

-- Their bytes have left.
CREATE FUNCTION files_gone(p_paths text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
    DELETE FROM withdrawn_file WHERE path = ANY (p_paths) AND leaving AND NOT named;
    UPDATE withdrawn_file SET gone = true, leaving = false WHERE path = ANY (p_paths) AND leaving
$$;
