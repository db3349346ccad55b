-- What people ask and order through the master: how things stand, why something is not built, what is to be built again,
-- skipped or forgotten. Made together with functions.sql and pypi.sql, by whose rules the jobs are.
--
-- Each answers one JSON object. Where something is not known by the name that was given, it is
-- {"unknown": "package", "version" or "target", "name": its name, "known": [names that may be meant]}, and nothing was done.

SET LOCAL search_path = piwheels, pg_temp;

-- ---- names that are not known --------------------------------------------------------------------

-- Packages whose names begin as this one does: who asked finds the nearest among them.
CREATE FUNCTION unknown_package(p_name text) RETURNS jsonb
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
    SELECT jsonb_build_object('unknown', 'package', 'name', p_name, 'known', coalesce((
        SELECT jsonb_agg(n.name) FROM (
            SELECT name FROM package WHERE name >= left(p_name, 2) AND name < left(p_name, 2) || 'zzzz'
                AND abs(length(name) - length(p_name)) <= 2 LIMIT 2000) n), '[]'))
$$;

CREATE FUNCTION unknown_version(p_package bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('unknown', 'version', 'name', (SELECT display FROM package WHERE id = p_package),
        'known', coalesce((SELECT jsonb_agg(n.version) FROM (
            SELECT version FROM version WHERE package = p_package ORDER BY sort_key DESC LIMIT 3) n), '[]'))
$$;

CREATE FUNCTION unknown_target(p_name text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('unknown', 'target', 'name', p_name,
                              'known', (SELECT coalesce(jsonb_agg(name ORDER BY position), '[]') FROM target))
$$;

-- What a question is about: a package by its normalised name, one version of it by its sort key or all (null), a target by
-- its name or all (''). `refusal`: what to answer when that is not known, else null.
CREATE FUNCTION subject(p_name text, p_key bytea, p_target text, OUT package bigint, OUT version bigint, OUT target smallint,
                        OUT refusal jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    SELECT id INTO package FROM package p WHERE p.name = p_name;
    SELECT v.id INTO version FROM version v WHERE v.package = subject.package AND v.sort_key = p_key;
    SELECT id INTO target FROM target t WHERE t.name = p_target;
    refusal := CASE WHEN package IS NULL THEN unknown_package(p_name)
                    WHEN p_key IS NOT NULL AND version IS NULL THEN unknown_version(package)
                    WHEN p_target <> '' AND target IS NULL THEN unknown_target(p_target) END;
END $$;

-- ---- explain -------------------------------------------------------------------------------------

-- How many jobs go before this one, and it; null when it cannot be handed out yet. 10001: more than 10,000 do.
CREATE FUNCTION job_place(j job) RETURNS bigint
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
    SELECT CASE WHEN j.version IS NOT NULL AND j.attempt IS NULL AND j.need IS NULL THEN 1 + (
        SELECT count(*) FROM (
            SELECT FROM jobs_waiting(j.target) q WHERE (q.rank, q.version) < (j.rank, j.version) LIMIT 10000) before) END
$$;

-- Why slave_may says no.
CREATE FUNCTION slave_why_not(j job, s slave) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT concat_ws('; ',
        CASE WHEN j.wants[1] LIKE '!%' THEN 'the package''s own settings cannot be used'
             WHEN j.wants && s.lacks THEN 'it lacks ' || (
                 SELECT string_agg(w, ', ' ORDER BY w) FROM unnest(j.wants) w WHERE w = ANY (s.lacks)) END,
        CASE WHEN j.avoid = s.id AND j.avoid_until > now() THEN 'it failed it last, not before ' || utc(j.avoid_until) END,
        CASE WHEN j.beyond_bytes > 0 AND s.memory_bytes <= j.beyond_bytes
            THEN 'it has ' || round(s.memory_bytes / 1e6) || ' MB of memory, which was too little' END,
        CASE WHEN j.beyond_ms > 0 AND s.timeout_ms <= j.beyond_ms
            THEN 'it stops a build after ' || s.timeout_ms / 60000 || ' min, which was too early' END)
$$;

-- The slaves that build for the job's target and were seen in the last month, the last seen first, and whether each may
-- have it.
CREATE FUNCTION job_slaves(j job) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('slave', s.id, 'label', s.label,
               'may', s.trust <> 'waiting' AND slave_may(j, s.id, s.memory_bytes, s.timeout_ms, s.lacks),
               'why', CASE WHEN s.trust = 'waiting' THEN 'it waits to be accepted: piwheels slaves accept ' || s.label
                           ELSE slave_why_not(j, s.whole) END,
               'seen', utc(s.last_seen)) ORDER BY s.last_seen DESC, s.id), '[]')
        FROM (SELECT o AS whole, o.* FROM slave o
                  WHERE ((o.targets | CASE o.trust WHEN 'waiting' THEN o.offers ELSE 0 END) >> j.target) & 1 = 1
                      AND o.last_seen > now() - interval '30 days'
                  ORDER BY o.last_seen DESC LIMIT 20) s
$$;

-- Where the log of a build lies below the site; '' when there is none.
CREATE FUNCTION log_path(p_build bigint, p_log_bytes bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_log_bytes > 0
        THEN format('/logs/%s/%s/%s.txt.gz', lpad((p_build / 100000000 % 10000)::text, 4, '0'),
                    lpad((p_build / 10000 % 10000)::text, 4, '0'), lpad((p_build % 10000)::text, 4, '0'))
        ELSE '' END
$$;

-- The newest attempts at a version on a target that have ended, the newest first; of the very newest what it was made with
-- (without what was installed for it, where that is much), if that is wanted.
CREATE FUNCTION attempts_told(p_version bigint, p_target smallint, p_most integer, p_records boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('build', b.id, 'outcome', b.outcome, 'class', b.class,
               'detail', left(b.detail, 300), 'slave', b.label, 'started', utc(b.started), 'finished', utc(b.finished),
               'wall_ms', b.wall_ms, 'cpu_ms', b.cpu_ms, 'peak_bytes', b.peak_bytes,
               'sdist_sha256', encode(b.sdist_sha256, 'hex'), 'log', log_path(b.id, b.log_bytes),
               'record', CASE WHEN p_records AND b.place = 1 AND b.record <> '{}' THEN
                   CASE WHEN length(b.record::text) > 4000 THEN b.record - 'required' ELSE b.record END END)
               ORDER BY b.id DESC), '[]')
        FROM (SELECT b.*, s.label, row_number() OVER (ORDER BY b.id DESC) AS place FROM build b JOIN slave s ON s.id = b.slave
                  WHERE b.version = p_version AND b.target = p_target ORDER BY b.id DESC LIMIT p_most) b
$$;

-- p_whole: about one version, in full.
CREATE FUNCTION explain_target(p package, v version, t target, p_whole boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    j job;
    s record;
BEGIN
    SELECT * INTO j FROM job WHERE job.version = v.id AND job.target = t.id;
    SELECT * INTO s FROM state_of(p, v, t, j);
    RETURN jsonb_build_object('target', t.name, 'state', s.state, 'reason', s.reason, 'place', job_place(j),
        'skipped_by', CASE WHEN s.state = 'skipped' THEN
            CASE WHEN p.skip IS NOT NULL THEN 'rule' WHEN t.skip IS NOT NULL THEN 'target'
                 WHEN (v.skipped_mask >> t.id) & 1 = 1 THEN 'rule' ELSE 'pep440' END END,
        'build', j.attempt, 'since', CASE WHEN j.attempt IS NOT NULL THEN utc(j.started) END,
        'attempts', attempts_told(v.id, t.id, CASE WHEN p_whole THEN 5 ELSE 2 END, p_whole),
        'attempt_count', (SELECT count(*) FROM build b WHERE b.version = v.id AND b.target = t.id),
        'slaves', CASE WHEN j.attempt IS NULL AND j.need IS DISTINCT FROM 'parked' AND s.state IN ('queued', 'waiting')
                       AND j.version IS NOT NULL THEN job_slaves(j) END);
END $$;

-- The versions of a package that matter when none is named: its newest release, and the first ten that are being built or
-- wait, and the newest five that failed.
CREATE FUNCTION versions_that_matter(p_package bigint) RETURNS bigint[]
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
    SELECT ARRAY (
        (SELECT id FROM version WHERE package = p_package ORDER BY sdist IS NULL, yanked, prerelease, sort_key DESC LIMIT 1)
        UNION
        (SELECT v.id FROM version v JOIN job j ON j.version = v.id WHERE v.package = p_package
            GROUP BY v.id ORDER BY bool_or(j.attempt IS NOT NULL) DESC, min(j.rank), v.sort_key DESC LIMIT 10)
        UNION
        (SELECT id FROM version WHERE package = p_package AND failed_mask <> 0 ORDER BY sort_key DESC LIMIT 5))
$$;

-- Why a version is built or not, target by target. p_version_key null: of those that matter.
CREATE FUNCTION explain(p_name text, p_version_key bytea, p_target text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    about record;
    told bigint[];
BEGIN
    SELECT * INTO about FROM subject(p_name, p_version_key, p_target);
    IF about.refusal IS NOT NULL THEN
        RETURN about.refusal;
    END IF;
    told := CASE WHEN p_version_key IS NULL THEN versions_that_matter(about.package) ELSE ARRAY[about.version] END;
    RETURN (SELECT jsonb_build_object('package', p.name, 'display', p.display, 'follow', p.follow,
            'version_count', (SELECT count(*) FROM version WHERE package = p.id),
            'target_count', (SELECT count(*) FROM target),
            'versions', (SELECT coalesce(jsonb_agg(jsonb_build_object('version', v.version,
                    'released', CASE WHEN v.released IS NOT NULL THEN utc(v.released) END,
                    'targets', (SELECT coalesce(jsonb_agg(explain_target(p, v, t, about.version IS NOT NULL) ORDER BY t.position), '[]')
                        FROM target t WHERE about.target IS NULL OR t.id = about.target)) ORDER BY v.sort_key DESC), '[]')
                FROM version v WHERE v.id = ANY (told)))
        FROM package p WHERE p.id = about.package);
END $$;

-- ---- the queue -----------------------------------------------------------------------------------

-- The first jobs of a target's queue.
CREATE FUNCTION queue_head(p_target smallint) RETURNS jsonb
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('package', p.name, 'version', v.version, 'by_hand', v.by_hand,
               'waits_s', greatest(extract(epoch FROM now() - q.ready_at), 0)::bigint) ORDER BY q.rank, q.version), '[]')
        FROM (SELECT * FROM jobs_waiting(p_target) ORDER BY target, rank, version LIMIT 10) q
            JOIN version v ON v.id = q.version JOIN package p ON p.id = v.package
$$;

-- The queue of each target, counted exactly: this reads the whole of it. Builds end in about the order of their ids.
CREATE FUNCTION queue_facts(p_target text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
BEGIN
    IF p_target <> '' AND NOT EXISTS (SELECT FROM target WHERE name = p_target) THEN
        RETURN unknown_target(p_target);
    END IF;
    RETURN (
        WITH jobs AS (
            SELECT target, count(*) FILTER (WHERE attempt IS NULL AND need IS NULL) AS waiting,
                   count(*) FILTER (WHERE attempt IS NULL AND need = 'info') AS info,
                   count(*) FILTER (WHERE attempt IS NULL AND need = 'later') AS later,
                   count(*) FILTER (WHERE attempt IS NULL AND need = 'parked') AS parked,
                   count(*) FILTER (WHERE attempt IS NOT NULL) AS building,
                   min(ready_at) FILTER (WHERE attempt IS NULL AND need IS NULL) AS oldest
                FROM job GROUP BY target),
        recent AS (SELECT target, outcome, finished FROM build ORDER BY id DESC LIMIT 20000),
        hour AS (
            SELECT target, count(*) FILTER (WHERE outcome <> 'farm') AS ended, count(*) FILTER (WHERE outcome = 'farm') AS farm
                FROM recent WHERE finished > now() - interval '1 hour' GROUP BY target)
        SELECT jsonb_build_object('targets', coalesce(jsonb_agg(jsonb_build_object('name', t.name, 'skip', t.skip,
                'waiting', coalesce(j.waiting, 0), 'info', coalesce(j.info, 0), 'later', coalesce(j.later, 0),
                'parked', coalesce(j.parked, 0), 'building', coalesce(j.building, 0),
                'oldest_s', CASE WHEN j.oldest IS NOT NULL THEN greatest(extract(epoch FROM now() - j.oldest), 0)::bigint END,
                'builds_hour', coalesce(h.ended, 0), 'farm_hour', coalesce(h.farm, 0),
                'empty_s', (j.waiting + j.info + j.later + j.building) * 3600 / nullif(h.ended, 0),
                'first', queue_head(t.id)) ORDER BY t.position), '[]'))
            FROM target t LEFT JOIN jobs j ON j.target = t.id LEFT JOIN hour h ON h.target = t.id
            WHERE p_target IN ('', t.name));
END $$;

-- ---- building again ------------------------------------------------------------------------------

-- What became of versions on targets: the first 200.
CREATE FUNCTION states_told(p_versions bigint[], p_masks bigint[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('version', s.version, 'target', s.target, 'state', s.state,
                                                 'reason', s.reason) ORDER BY s.sort_key DESC, s.position), '[]')
        FROM (SELECT v.version, v.sort_key, t.name AS target, t.position, w.state, w.reason
                  FROM unnest(p_versions, p_masks) c (id, mask) JOIN version v ON v.id = c.id
                      JOIN target t ON (c.mask >> t.id) & 1 = 1 CROSS JOIN LATERAL version_state(v.id, t.id) w
                  ORDER BY v.sort_key DESC, t.position LIMIT 200) s
$$;

-- For which targets versions would be built again: where one is built, failed or was parked; with both the version and the
-- target named wherever it is not excluded.
CREATE FUNCTION rebuild_masks(p_package bigint, p_version bigint, p_target smallint)
    RETURNS TABLE (id bigint, mask bigint, built boolean, failed boolean, parked boolean)
LANGUAGE sql STABLE AS $$
    WITH facts AS (
        SELECT v.id, ~v.na_mask & CASE WHEN p_target IS NULL
                   THEN (SELECT coalesce(bit_or(1::bigint << t.id), 0) FROM target t WHERE t.skip IS NULL)
                   ELSE 1::bigint << p_target END AS possible,
               v.built_mask, v.failed_mask,
               (SELECT coalesce(bit_or(1::bigint << j.target), 0) FROM job j
                    WHERE j.version = v.id AND j.attempt IS NULL AND j.need = 'parked') AS parked_mask
            FROM version v WHERE v.package = p_package AND (p_version IS NULL OR v.id = p_version)),
    chosen AS (
        SELECT f.*, f.possible & CASE WHEN p_version IS NOT NULL AND p_target IS NOT NULL THEN -1
                                      ELSE f.built_mask | f.failed_mask | f.parked_mask END AS mask FROM facts f)
    SELECT c.id, c.mask, c.built_mask & c.mask <> 0, c.failed_mask & c.mask <> 0, c.parked_mask & c.mask <> 0
        FROM chosen c WHERE c.mask <> 0
$$;

-- Has built again what failed, was parked, or is built. Until `p_sure` it only tells how much that is.
CREATE FUNCTION rebuild(p_name text, p_version_key bytea, p_target text, p_sure boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    about record;
    ids bigint[];
    masks bigint[];
    told jsonb;
BEGIN
    SELECT * INTO about FROM subject(p_name, p_version_key, p_target);
    IF about.refusal IS NOT NULL THEN
        RETURN about.refusal;
    END IF;
    PERFORM FROM version v WHERE v.package = about.package AND (about.version IS NULL OR v.id = about.version)
        ORDER BY v.id FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(r.id), '{}'), coalesce(array_agg(r.mask), '{}'),
           jsonb_build_object('package', p_name, 'versions', count(*), 'built', count(*) FILTER (WHERE r.built),
                              'failed', count(*) FILTER (WHERE r.failed), 'parked', count(*) FILTER (WHERE r.parked))
        INTO ids, masks, told FROM rebuild_masks(about.package, about.version, about.target) r;
    IF NOT p_sure OR ids = '{}' THEN
        RETURN told;
    END IF;
    UPDATE version v SET wanted = true, by_hand = true, forced_mask = v.forced_mask | c.mask,
            failed_mask = v.failed_mask & ~c.mask
        FROM unnest(ids, masks) c (id, mask) WHERE v.id = c.id;
    UPDATE job j SET need = NULL, tries = 0, losses = 0, avoid = NULL, avoid_until = NULL, beyond_bytes = 0, beyond_ms = 0,
            ready_at = now()
        FROM unnest(ids, masks) c (id, mask) WHERE j.version = c.id AND (c.mask >> j.target) & 1 = 1 AND j.attempt IS NULL;
    PERFORM versions_settle(ids);
    PERFORM projects_stale(ids);
    RETURN told || jsonb_build_object('asked', states_told(ids, masks));
END $$;

-- Has pages written again: 'index' and 'project' of one package or of all (''), 'root', 'home', or 'all' of them.
CREATE FUNCTION pages_rebuild(p_kind text, p_name text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
DECLARE
    pages bigint;
BEGIN
    IF p_name <> '' AND NOT EXISTS (SELECT FROM package WHERE name = p_name) THEN
        RETURN unknown_package(p_name);
    END IF;
    WITH kinds AS (
        SELECT kind FROM unnest('{index,project,root,home}'::text[]) kind WHERE p_kind IN ('all', kind)),
    due AS (
        SELECT k.kind, p.name AS key FROM kinds k JOIN package p ON p_name IN ('', p.name)
            WHERE k.kind = 'project' OR k.kind = 'index' AND p.live_files > 0
        UNION ALL
        SELECT kind, '' FROM kinds WHERE kind IN ('root', 'home') AND (p_name = '' OR p_kind <> 'all')),
    marked AS (
        INSERT INTO stale_page (kind, key) SELECT kind, key FROM due ORDER BY kind, key
            ON CONFLICT (kind, key) DO UPDATE SET generation = excluded.generation RETURNING 1)
    SELECT count(*) INTO pages FROM marked;
    RETURN jsonb_build_object('pages', pages);
END $$;

-- ---- skips ---------------------------------------------------------------------------------------

-- What the rules without a specifier strike among these versions, or what this one does, is noted; one for a whole package
-- is on the package's own row. Where there are none of them this is one look. The caller holds the versions' locks, and
-- settles them.
CREATE FUNCTION skips_strike(p_versions bigint[], p_rule bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM skip_rule WHERE specifier = '' AND (target IS NOT NULL OR prereleases)) THEN
        RETURN;
    END IF;
    INSERT INTO skip_reason (version, target, rule)
        SELECT h.version, t.id, h.rule FROM (
            SELECT v.id AS version, r.id AS rule, r.target FROM version v JOIN skip_rule r ON r.package = v.package
                WHERE v.id = ANY (p_versions) AND r.specifier = '' AND (r.target IS NOT NULL OR r.prereleases)
                    AND (v.prerelease OR NOT r.prereleases)
            UNION ALL
            SELECT v.id, r.id, r.target FROM skip_rule r JOIN version v ON v.prerelease OR NOT r.prereleases
                WHERE r.package IS NULL AND v.id = ANY (p_versions)) h
            JOIN target t ON h.target IS NULL OR t.id = h.target
        WHERE p_rule IS NULL OR h.rule = p_rule
        ORDER BY h.version, t.id, h.rule
        ON CONFLICT DO NOTHING;
    PERFORM skips_mask(p_versions);
END $$;

-- The versions' masks follow what is noted.
CREATE FUNCTION skips_mask(p_versions bigint[]) RETURNS void
LANGUAGE sql SET enable_seqscan = off SET jit = off AS $$
    UPDATE version v SET skipped_mask = c.mask
        FROM (SELECT id, coalesce((SELECT bit_or(1::bigint << s.target) FROM skip_reason s WHERE s.version = id), 0) AS mask
                  FROM unnest(p_versions) id) c
        WHERE v.id = c.id AND v.skipped_mask <> c.mask
$$;

-- What the program found of a package's rules with a specifier, as it read the project's page (see project_store); answers
-- the versions that are struck anew. A rule that was made meanwhile is judged when the page is read again, at once.
CREATE FUNCTION skips_judged(p_package bigint, p jsonb) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    struck bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM skip_rule WHERE package = p_package AND specifier <> '') THEN
        RETURN '{}';
    END IF;
    WITH noted AS (
        INSERT INTO skip_reason (version, target, rule)
            SELECT v.id, t.id, r.id FROM jsonb_array_elements(p -> 'skips') s CROSS JOIN jsonb_array_elements_text(s -> 'keys') k
                JOIN version v ON v.package = p_package AND v.sort_key = decode(k, 'hex')
                JOIN skip_rule r ON r.id = (s ->> 'rule')::bigint AND r.package = p_package AND (v.prerelease OR NOT r.prereleases)
                JOIN target t ON r.target IS NULL OR t.id = r.target
            ON CONFLICT DO NOTHING RETURNING version)
    SELECT coalesce(array_agg(DISTINCT version), '{}') INTO struck FROM noted;
    PERFORM skips_mask(struck);
    IF EXISTS (SELECT FROM skip_rule WHERE package = p_package AND specifier <> ''
                   AND NOT coalesce(p -> 'skips', '[]') @> jsonb_build_array(jsonb_build_object('rule', id))) THEN
        UPDATE package SET refresh_at = now() WHERE id = p_package;
    END IF;
    RETURN struck;
END $$;

-- A new target is skipped wherever all are.
CREATE FUNCTION skips_widen(p_target smallint, p_versions bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    INSERT INTO skip_reason (version, target, rule)
        SELECT DISTINCT s.version, p_target, s.rule FROM skip_reason s JOIN skip_rule r ON r.id = s.rule AND r.target IS NULL
            WHERE s.version = ANY (p_versions)
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM skips_mask(p_versions);
    END IF;
END $$;

-- Ends the attempts at what is skipped; answers them.
CREATE FUNCTION attempts_end_skipped(p_versions bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended bigint[];
BEGIN
    WITH gone AS (
        DELETE FROM job USING version v JOIN package p ON p.id = v.package
            WHERE job.version = v.id AND v.id = ANY (p_versions) AND job.attempt IS NOT NULL
                AND (p.skip IS NOT NULL
                     OR ((v.skipped_mask & ~v.forced_mask) >> job.target) & 1 = 1)
            RETURNING job.attempt)
    SELECT coalesce(array_agg(attempt), '{}') INTO ended FROM gone;
    RETURN ended;
END $$;

-- After a change of rules: what is not wanted any more is stopped, the rest queued; answers the attempts that ended.
CREATE FUNCTION skips_settle(p_versions bigint[]) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    ended bigint[] := attempts_end_skipped(p_versions);
BEGIN
    PERFORM versions_settle(p_versions);
    PERFORM projects_stale(p_versions);
    RETURN ended;
END $$;

-- The package's own skip: the reasons of the rules that strike all of it.
CREATE FUNCTION skip_package(p_package bigint) RETURNS void
LANGUAGE sql AS $$
    UPDATE package SET skip = (
        SELECT string_agg(reason, '; ' ORDER BY id) FROM skip_rule
            WHERE package = p_package AND specifier = '' AND target IS NULL AND NOT prereleases)
        WHERE id = p_package
$$;

CREATE FUNCTION skip_rule_told(r skip_rule) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('rule', r.id, 'package', (SELECT name FROM package WHERE id = r.package),
        'specifier', r.specifier, 'target', (SELECT name FROM target WHERE id = r.target), 'prereleases', r.prereleases,
        'reason', r.reason, 'versions', CASE WHEN r.specifier = '' AND r.target IS NULL AND NOT r.prereleases
            THEN (SELECT count(*) FROM version WHERE package = r.package)
            ELSE (SELECT count(DISTINCT s.version) FROM (SELECT version FROM skip_reason WHERE rule = r.id LIMIT 10000) s) END)
$$;

-- Makes a rule, or gives the same one another reason. p_name '': of all packages. What a specifier strikes is judged by the
-- program: p_judged are all versions of the package, p_struck those that it fits; {"again": true} when more have come
-- meanwhile. "spread": the versions of all packages are still to be gone through (skip_spread).
CREATE FUNCTION skip_add(p_name text, p_specifier text, p_target text, p_prereleases boolean, p_reason text,
                         p_judged bigint[], p_struck bigint[]) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    r skip_rule;
    pkg bigint;
    t smallint;
    versions bigint[] := '{}';
    ended bigint[] := '{}';
BEGIN
    SELECT id INTO t FROM target WHERE name = p_target FOR KEY SHARE;
    IF p_target <> '' AND NOT FOUND THEN
        RETURN unknown_target(p_target);
    END IF;
    SELECT id INTO pkg FROM package WHERE name = p_name FOR NO KEY UPDATE;
    IF p_name <> '' AND NOT FOUND THEN
        RETURN unknown_package(p_name);
    END IF;
    IF pkg IS NULL AND (p_specifier <> '' OR NOT p_prereleases) THEN
        RAISE EXCEPTION 'of all packages only the pre-releases can be skipped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    versions := ARRAY (SELECT id FROM version WHERE package = pkg ORDER BY id FOR NO KEY UPDATE);
    IF p_specifier <> '' AND NOT versions <@ p_judged THEN
        RETURN '{"again": true}';
    END IF;
    UPDATE skip_rule SET reason = p_reason WHERE package IS NOT DISTINCT FROM pkg AND specifier = p_specifier
        AND target IS NOT DISTINCT FROM t AND prereleases = p_prereleases RETURNING * INTO r;
    IF NOT FOUND THEN
        INSERT INTO skip_rule (package, specifier, target, prereleases, reason)
            VALUES (pkg, p_specifier, t, p_prereleases, p_reason) RETURNING * INTO r;
    END IF;
    IF pkg IS NOT NULL THEN
        PERFORM skip_package(pkg);
        INSERT INTO skip_reason (version, target, rule)
            SELECT v.id, o.id, r.id FROM version v JOIN target o ON r.target IS NULL OR o.id = r.target
                WHERE v.id = ANY (p_struck) AND v.package = pkg AND (v.prerelease OR NOT r.prereleases)
            ON CONFLICT DO NOTHING;
        PERFORM skips_mask(versions);
        PERFORM skips_strike(versions, r.id);
        ended := skips_settle(versions);
    END IF;
    RETURN jsonb_build_object('rule', skip_rule_told(r), 'ended', to_jsonb(ended), 'spread', pkg IS NULL);
END $$;

-- A rule for all packages strikes their versions: of 250 packages from p_from on. Answers {"next": the package to
-- go on from, or null, "ended": attempts}.
CREATE FUNCTION skip_spread(p_rule bigint, p_from bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    packages bigint[] := ARRAY (SELECT id FROM package WHERE id >= p_from ORDER BY id LIMIT 250);
    versions bigint[];
    ended bigint[];
BEGIN
    versions := ARRAY (
        SELECT v.id FROM version v WHERE v.package = ANY (packages) AND v.prerelease ORDER BY v.id FOR NO KEY UPDATE);
    PERFORM skips_strike(versions, p_rule);
    ended := skips_settle(versions);
    RETURN jsonb_build_object('next', packages[250] + 1, 'ended', to_jsonb(ended),
                              'rule', (SELECT skip_rule_told(r) FROM skip_rule r WHERE r.id = p_rule));
END $$;

-- All rules, or those of a package.
CREATE FUNCTION skips_list(p_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp AS $$
BEGIN
    IF p_name <> '' AND NOT EXISTS (SELECT FROM package WHERE name = p_name) THEN
        RETURN unknown_package(p_name);
    END IF;
    RETURN jsonb_build_object('rules', (SELECT coalesce(jsonb_agg(skip_rule_told(r) ORDER BY r.id), '[]')
        FROM (SELECT r.* FROM skip_rule r LEFT JOIN package p ON p.id = r.package
                  WHERE p_name IN ('', p.name) ORDER BY r.id LIMIT 2000) r));
END $$;

-- The rules that a word means: one by its number, or all of a package.
CREATE FUNCTION skips_meant(p_word text) RETURNS bigint[]
LANGUAGE sql STABLE AS $$
    WITH numbered AS (SELECT id FROM skip_rule WHERE id::text = p_word)
    SELECT ARRAY (SELECT id FROM numbered
                  UNION ALL
                  SELECT r.id FROM skip_rule r JOIN package p ON p.id = r.package
                      WHERE p.name = p_word AND NOT EXISTS (SELECT FROM numbered)
                  ORDER BY 1)
$$;

-- Takes back the rules that the word means, the versions of some of them at a time: {"more": true} until all have had their
-- turn; "removed": how many rules are gone.
CREATE FUNCTION skips_remove(p_word text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    rules bigint[] := skips_meant(p_word);
    packages bigint[];
    versions bigint[];
    gone bigint := 0;
BEGIN
    IF rules = '{}' THEN
        RETURN jsonb_build_object('unknown', 'rule', 'name', p_word, 'known', '[]'::jsonb);
    END IF;
    packages := ARRAY (SELECT id FROM package WHERE id IN (SELECT package FROM skip_rule WHERE id = ANY (rules))
                           ORDER BY id FOR NO KEY UPDATE);
    versions := ARRAY (
        SELECT id FROM version WHERE id IN (SELECT version FROM skip_reason WHERE rule = ANY (rules) LIMIT 10000)
            ORDER BY id FOR NO KEY UPDATE);
    DELETE FROM skip_reason WHERE rule = ANY (rules) AND version = ANY (versions);
    PERFORM skips_mask(versions);
    IF NOT EXISTS (SELECT FROM skip_reason WHERE rule = ANY (rules)) THEN
        DELETE FROM skip_rule WHERE id = ANY (rules);
        GET DIAGNOSTICS gone = ROW_COUNT;
        PERFORM skip_package(id) FROM unnest(packages) id;
        versions := ARRAY (SELECT id FROM version WHERE package = ANY (packages)
                           UNION SELECT unnest(versions));
    END IF;
    PERFORM versions_settle(versions);
    PERFORM projects_stale(versions);
    RETURN jsonb_build_object('more', gone = 0, 'removed', gone);
END $$;

-- ---- removing ------------------------------------------------------------------------------------

-- Forgets a package or a version of it and withdraws its files; with p_builds only what was built of it, so that it is built
-- anew. Until `p_sure` it only tells how much that is.
CREATE FUNCTION remove(p_name text, p_version_key bytea, p_builds boolean, p_sure boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    about record;
    versions bigint[];
    ended bigint[] := '{}';
    told jsonb;
BEGIN
    SELECT * INTO about FROM subject(p_name, p_version_key, '');
    IF about.refusal IS NOT NULL THEN
        RETURN about.refusal;
    END IF;
    PERFORM FROM package WHERE id = about.package FOR UPDATE;
    versions := ARRAY (SELECT v.id FROM version v WHERE v.package = about.package
                           AND (about.version IS NULL OR v.id = about.version) ORDER BY v.id FOR UPDATE);
    told := jsonb_build_object('package', p_name, 'versions', cardinality(versions),
        'files', (SELECT count(*) FROM file WHERE version = ANY (versions) AND state = 'live'),
        'builds', (SELECT count(*) FROM build WHERE version = ANY (versions)),
        'building', (SELECT count(*) FROM job WHERE version = ANY (versions) AND attempt IS NOT NULL),
        'follow', (SELECT follow FROM package WHERE id = about.package), 'follows', (SELECT follows FROM configuration));
    IF NOT p_sure THEN
        RETURN told;
    END IF;
    PERFORM pages_stale('project', ARRAY[p_name]);
    IF p_builds THEN
        PERFORM files_withdraw(versions);
        DELETE FROM build WHERE version = ANY (versions);
        UPDATE version SET built_mask = 0, failed_mask = 0 WHERE id = ANY (versions);
        PERFORM versions_settle(versions);
    ELSIF about.version IS NULL THEN
        ended := packages_remove(ARRAY[about.package]);
    ELSE
        ended := versions_remove(versions);
    END IF;
    PERFORM home_stale();
    RETURN told || jsonb_build_object('ended', to_jsonb(ended));
END $$;

-- ---- how things stand ----------------------------------------------------------------------------

-- How many rows of a target's queue there are, up to 10,000.
CREATE FUNCTION jobs_counted(p_target smallint, OUT queued bigint, OUT info bigint, OUT parked bigint)
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
    SELECT (SELECT count(*) FROM (SELECT FROM jobs_waiting(p_target) LIMIT 10000) q),
           (SELECT count(*) FROM (SELECT FROM job WHERE target = p_target AND attempt IS NULL AND need = 'info' LIMIT 10000) q),
           (SELECT count(*) FROM (SELECT FROM job WHERE target = p_target AND attempt IS NULL AND need = 'parked' LIMIT 10000) q)
$$;

-- For `piwheels status` and the monitor, again and again: no count goes beyond 10,000, which stands for that or more.
CREATE FUNCTION status_facts() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp SET enable_seqscan = off SET jit = off AS $$
    WITH building AS (SELECT target, count(*) AS jobs FROM job WHERE lease_until IS NOT NULL GROUP BY target),
    later AS (
        SELECT target, count(*) AS jobs FROM (
            SELECT target FROM job WHERE attempt IS NULL AND need = 'later' ORDER BY ready_at LIMIT 10000) l GROUP BY target)
    SELECT jsonb_build_object(
        'targets', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'name', t.name, 'abi', t.abi, 'platform', t.platform, 'label', t.label, 'skip', t.skip,
                'queued', c.queued, 'info', c.info, 'later', coalesce(l.jobs, 0), 'parked', c.parked,
                'building', coalesce(b.jobs, 0))
            ORDER BY t.position), '[]')
            FROM target t CROSS JOIN LATERAL jobs_counted(t.id) c LEFT JOIN building b ON b.target = t.id
                LEFT JOIN later l ON l.target = t.id),
        'builds_hour', (SELECT jsonb_build_object(
                'success', coalesce(sum(succeeded), 0), 'failed', coalesce(sum(failed), 0),
                'farm', coalesce(sum(farm), 0))
            FROM tally WHERE minute > now() - interval '1 hour'),
        'stale_pages', (SELECT count(*) FROM (SELECT FROM stale_page LIMIT 10000) s))
$$;
