-- What is kept up event by event, worked out again from what it follows from: `piwheels check` asks for the rows that
-- disagree, and has them mended. facts_check is one query over the tables, pair by pair of version and target, and calls
-- none of the functions by which functions.sql and pypi.sql keep the facts up: a mistake in those shows here.

SET LOCAL search_path = piwheels, pg_temp;

-- What disagrees in the packages whose ids lie between two, these included; `version` is null where it is about a package.
-- A job under way, or one that a person must look at, is a fact of its own: which of the others there must be follows.
-- One whose time has come may still be called 'later', until the queue's next round. What a rule with a specifier strikes the
-- program has judged: that it may strike this package is checked, and the rest taken as it is noted. So it is with the targets
-- that a file of ours serves: its own one certainly; of the others those for which its name does not say that it is not for them.
CREATE FUNCTION facts_check(p_from bigint, p_to bigint)
    RETURNS TABLE (package bigint, version bigint, what text, "is" text, should_be text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH p AS MATERIALIZED (
        SELECT p.*, (SELECT string_agg(r.reason, '; ' ORDER BY r.id) FROM skip_rule r
                         WHERE r.package = p.id AND r.specifier = '' AND r.target IS NULL AND NOT r.prereleases) AS skip_due
            FROM package p WHERE p.id BETWEEN p_from AND p_to),
    -- a rule strikes versions of its package, or of all; where it names no target, on all that are not being judged yet
    strikes AS (
        SELECT v.id AS version, t.id AS target, r.id AS rule, r.specifier
            FROM p JOIN version v ON v.package = p.id JOIN skip_rule r ON r.package = p.id OR r.package IS NULL
                JOIN target t ON t.id = r.target OR r.target IS NULL
            WHERE NOT t.judging AND (v.prerelease OR NOT r.prereleases)
                AND (r.specifier <> '' OR r.target IS NOT NULL OR r.prereleases)),
    noted AS (
        SELECT s.* FROM p JOIN version v ON v.package = p.id JOIN skip_reason s ON s.version = v.id
            JOIN target t ON t.id = s.target WHERE NOT t.judging),
    struck AS MATERIALIZED (
        SELECT coalesce(s.version, n.version) AS version, coalesce(s.target, n.target) AS target, coalesce(s.rule, n.rule) AS rule,
               n.rule IS NOT NULL AS found, s.rule IS NOT NULL AND (s.specifier = '' OR n.rule IS NOT NULL) AS due
            FROM strikes s FULL JOIN noted n ON (s.version, s.target, s.rule) = (n.version, n.target, n.rule)),
    v AS MATERIALIZED (
        SELECT v.*, (v.built_mask | serves.certain) & serves.possible AS built, v.quarantined OR p.quarantined AS shut, p.skip_due, c.builds,
               (SELECT coalesce(bit_or(s.mask), 0) FROM version_wheel w JOIN tagset s ON s.id = w.tagset WHERE w.version = v.id)
                   AS covered,
               coalesce(s.mask, 0) | (v.skipped_mask & c.judging) AS skipped
            FROM p JOIN version v ON v.package = p.id CROSS JOIN (
                    SELECT builds, (SELECT coalesce(bit_or(1::bigint << id), 0) FROM target WHERE judging) AS judging
                        FROM configuration) c
                LEFT JOIN (SELECT version, bit_or(1::bigint << target) AS mask FROM struck WHERE due GROUP BY version) s
                    ON s.version = v.id
                CROSS JOIN LATERAL (
                    SELECT coalesce(bit_or(1::bigint << f.target), 0) AS certain,
                           coalesce(bit_or(1::bigint << t.id) FILTER (WHERE coalesce(
                               f.target = t.id OR tag.abi && ARRAY[t.abi, 'abi3', 'none']
                                   AND (tag.platform = 'any' OR t.platform = own.platform OR position(
                                            regexp_replace(t.platform, '^[a-z]+(_[0-9]+)*_', '') IN tag.platform) > 0)
                                   AND (tag.platform = 'any' OR NOT f.apart OR t.label = own.label), true)), 0) AS possible
                        FROM file f JOIN target own ON own.id = f.target CROSS JOIN target t CROSS JOIN LATERAL (
                            SELECT string_to_array(n[1], '.'), n[2] FROM (
                                SELECT regexp_match(lower(f.name), '-([^-]+)-([^-]+)\.whl$')) name (n)) tag (abi, platform)
                        WHERE f.version = v.id AND f.state <> 'publishing') serves),
    pair AS MATERIALIZED (
        SELECT v.package, v.id AS version, t.id AS target, t.position, v.built <> 0 AS built_somewhere, v.by_hand,
               get_bit(v.forced_mask::bit(64), 63 - t.id) = 1 AS forced, get_bit(v.judged_mask::bit(64), 63 - t.id) = 1 AS judged,
               j.version IS NOT NULL AS there, j.attempt IS NOT NULL AS under_way,
               coalesce(j.attempt IS NULL AND j.need = 'parked', false) AS parked, j.need, j.ready_at, j.rank,
               v.wanted AND v.sdist IS NOT NULL AND NOT v.shut AND v.skip_due IS NULL
                   AND t.skip IS NULL AND NOT t.judging AND (v.by_hand OR NOT (v.yanked OR v.legacy))
                   AND get_bit(v.na_mask::bit(64), 63 - t.id) = 0
                   AND (get_bit(v.forced_mask::bit(64), 63 - t.id) = 1
                        OR get_bit(v.built::bit(64), 63 - t.id) = 0 AND get_bit(v.failed_mask::bit(64), 63 - t.id) = 0
                           AND get_bit(v.skipped::bit(64), 63 - t.id) = 0
                           AND (v.builds = 'all' OR v.yanked OR get_bit(v.covered::bit(64), 63 - t.id) = 0)) AS open
            FROM v CROSS JOIN target t LEFT JOIN job j ON j.version = v.id AND j.target = t.id),
    turn AS (
        -- of a version that is built nowhere one target is tried: the one under way, or else the first that is not parked
        SELECT pair.*, row_number() OVER (PARTITION BY version
                   ORDER BY open AND under_way AND NOT forced DESC, open AND NOT parked DESC, position) = 1 AS first
            FROM pair),
    due AS (SELECT turn.*, open AND (parked OR forced OR built_somewhere OR first) AS due FROM turn),
    wrong AS (
        SELECT package, id AS version, 'covered_mask' AS what, covered_mask::text AS found, covered::text AS due FROM v
        UNION ALL
        SELECT package, id, 'built_mask', built_mask::text, built::text FROM v
        UNION ALL
        SELECT package, id, 'skipped_mask', skipped_mask::text, skipped::text FROM v
        UNION ALL
        SELECT v.package, v.id, 'rule ' || s.rule || ' on target ' || s.target, CASE WHEN s.found THEN 'strikes' ELSE 'does not strike' END,
               CASE WHEN s.due THEN 'strikes' ELSE 'does not strike' END
            FROM struck s JOIN v ON v.id = s.version WHERE s.found OR s.due
        UNION ALL
        SELECT id, NULL, 'skip', skip, skip_due FROM p
        UNION ALL
        SELECT package, version, 'job for target ' || target, CASE WHEN there THEN 'there' ELSE 'none' END,
               CASE WHEN due THEN 'there' ELSE 'none' END
            FROM due WHERE NOT under_way
        UNION ALL
        SELECT package, version, 'need of the job for target ' || target, coalesce(need, 'nothing'),
               CASE WHEN parked THEN need WHEN ready_at > now() OR need = 'later' THEN 'later'
                    WHEN NOT judged THEN 'info' ELSE 'nothing' END
            FROM due WHERE there AND NOT under_way
        UNION ALL
        SELECT package, version, 'class of the job for target ' || target, (rank >> 40)::text,
               CASE WHEN by_hand THEN '0' ELSE (rank >> 40)::text END
            FROM due WHERE there AND NOT under_way
        UNION ALL
        SELECT v.package, v.id, 'state of the file ' || f.path, f.state,
               CASE WHEN v.shut THEN 'withheld'
                    WHEN f.state = 'withheld' THEN 'returning'
                    ELSE f.state END
            FROM v JOIN file f ON f.version = v.id WHERE f.state <> 'publishing'
        UNION ALL
        SELECT p.id, NULL, 'live files', p.live_files::text,
               (SELECT count(*)::text FROM version o JOIN file f ON f.version = o.id WHERE o.package = p.id AND f.state = 'live')
            FROM p
        UNION ALL
        SELECT p.id, NULL, 'apart files', p.apart_files::text,
               (SELECT count(*)::text FROM version o JOIN file f ON f.version = o.id
                    WHERE o.package = p.id AND f.state = 'live' AND f.apart)
            FROM p)
    SELECT package, version, what, found, due FROM wrong WHERE found IS DISTINCT FROM due ORDER BY 1, 2 NULLS FIRST, 3;
END $$;

-- Mends it, and answers what it has mended.
CREATE FUNCTION facts_repair(p_from bigint, p_to bigint)
    RETURNS TABLE (package bigint, version bigint, what text, "is" text, should_be text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    versions bigint[];
    names text[];
    shown text[];
BEGIN
    PERFORM FROM package WHERE id IN (SELECT c.package FROM facts_check(p_from, p_to) c) ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM version WHERE id IN (SELECT c.version FROM facts_check(p_from, p_to) c) ORDER BY id FOR NO KEY UPDATE;
    -- as it is now that nobody else changes it
    CREATE TEMP TABLE wrong ON COMMIT DROP AS SELECT * FROM facts_check(p_from, p_to);
    DELETE FROM skip_reason s USING wrong w
        WHERE w.version = s.version AND w.what = 'rule ' || s.rule || ' on target ' || s.target AND w.is = 'strikes';
    INSERT INTO skip_reason (version, target, rule)
        SELECT w.version, t.id, r.id FROM wrong w JOIN target t ON true
            JOIN skip_rule r ON w.what = 'rule ' || r.id || ' on target ' || t.id WHERE w.should_be = 'strikes'
            ORDER BY w.version, t.id, r.id
        ON CONFLICT DO NOTHING;
    UPDATE package SET skip = w.should_be FROM wrong w WHERE package.id = w.package AND w.what = 'skip';
    UPDATE version SET covered_mask = w.should_be::bigint FROM wrong w WHERE version.id = w.version AND w.what = 'covered_mask';
    UPDATE version SET built_mask = w.should_be::bigint FROM wrong w WHERE version.id = w.version AND w.what = 'built_mask';
    UPDATE version SET skipped_mask = w.should_be::bigint FROM wrong w WHERE version.id = w.version AND w.what = 'skipped_mask';
    UPDATE file SET state = w.should_be, hidden = false FROM wrong w
        WHERE file.version = w.version AND w.what = 'state of the file ' || file.path AND w.is = file.state;
    UPDATE package SET live_files = (SELECT count(*) FROM version v JOIN file f ON f.version = v.id
                                         WHERE v.package = package.id AND f.state = 'live'),
            apart_files = (SELECT count(*) FROM version v JOIN file f ON f.version = v.id
                               WHERE v.package = package.id AND f.state = 'live' AND f.apart)
        WHERE id IN (SELECT w.package FROM wrong w WHERE w.what IN ('live files', 'apart files') OR w.what LIKE 'state of the file %');
    versions := ARRAY (SELECT w.version FROM wrong w WHERE w.version IS NOT NULL
        UNION SELECT v.id FROM wrong w JOIN version v ON v.package = w.package WHERE w.what = 'skip');
    names := ARRAY (SELECT p.name FROM package p WHERE p.id IN (SELECT w.package FROM wrong w));
    shown := ARRAY (SELECT p.name FROM package p WHERE p.id IN (
        SELECT w.package FROM wrong w WHERE w.what IN ('live files', 'apart files') OR w.what LIKE 'state of the file %'));
    PERFORM versions_settle(versions);
    IF shown <> '{}' THEN
        PERFORM pages_stale('index', shown);
        PERFORM page_stale('root', '');
    END IF;
    IF names <> '{}' THEN
        PERFORM pages_stale('project', names);
        PERFORM home_stale();
    END IF;
    RETURN QUERY TABLE wrong;
END $$;

-- ---- for people ------------------------------------------------------------------------------------

-- A mask as the names of its targets.
CREATE FUNCTION mask_words(p_mask bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(string_agg(coalesce(t.name, 'bit ' || bit), ', ' ORDER BY t.position NULLS LAST, bit), 'no target')
        FROM generate_series(0, 63) bit LEFT JOIN target t ON t.id = bit WHERE get_bit(p_mask::bit(64), 63 - bit) = 1
$$;

-- One that disagrees, in words: {"package", "version" and "target" (null where it is about none), "fact", "kept", "recomputed"}.
CREATE FUNCTION fact_told(p_package bigint, p_version bigint, p_what text, p_kept text, p_due text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('package', p.name, 'version', v.version, 'target', t.name,
            'fact', CASE w.what
                WHEN 'covered_mask' THEN 'targets that PyPI''s own wheels cover'
                WHEN 'built_mask' THEN 'targets that files of ours serve'
                WHEN 'skipped_mask' THEN 'targets that are skipped by a rule'
                WHEN 'skip' THEN 'why the whole package is skipped'
                WHEN 'live files' THEN 'number of public files'
                WHEN 'class of the job' THEN 'class of the job (0: asked for by hand)'
                ELSE w.what END,
            'kept', CASE WHEN w.is_mask THEN mask_words(p_kept::bigint) ELSE coalesce(p_kept, 'nothing') END,
            'recomputed', CASE WHEN w.is_mask THEN mask_words(p_due::bigint) ELSE coalesce(p_due, 'nothing') END)
        FROM (SELECT regexp_replace(p_what, ' (for|on) target [0-9]+$', '') AS what, p_what LIKE '%\_mask' AS is_mask,
                     (regexp_match(p_what, ' (?:for|on) target ([0-9]+)$'))[1]::smallint AS target) w
            JOIN package p ON p.id = p_package LEFT JOIN version v ON v.id = p_version LEFT JOIN target t ON t.id = w.target
$$;

-- Checks 200 packages from p_from on, or mends them: {"next": the package to go on from, or null, "packages": how many,
-- "wrong": [fact_told, ...], "left": [what could not be mended]}.
CREATE FUNCTION facts_go_through(p_from bigint, p_repair boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
DECLARE
    packages bigint[] := ARRAY (SELECT id FROM package WHERE id >= p_from ORDER BY id LIMIT 200);
    last bigint := packages[cardinality(packages)];
    told jsonb := jsonb_build_object('next', packages[200] + 1, 'packages', cardinality(packages), 'wrong', '[]'::jsonb,
                                     'left', '[]'::jsonb);
    wrong jsonb;
BEGIN
    IF NOT p_repair THEN
        SELECT jsonb_agg(fact_told(c.package, c.version, c.what, c.is, c.should_be)) INTO wrong
            FROM facts_check(packages[1], last) c;
    ELSE
        SELECT jsonb_agg(fact_told(c.package, c.version, c.what, c.is, c.should_be)) INTO wrong
            FROM facts_repair(packages[1], last) c;
        SELECT told || jsonb_build_object('left', coalesce(jsonb_agg(fact_told(c.package, c.version, c.what, c.is, c.should_be)), '[]'))
            INTO told FROM facts_check(packages[1], last) c;
    END IF;
    RETURN told || jsonb_build_object('wrong', coalesce(wrong, '[]'));
END $$;
