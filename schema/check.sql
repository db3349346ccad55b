-- What is kept up event by event, worked out again from what it follows from: `piwheels check` asks for the rows that
-- disagree, and has them mended. facts_check is one query over the tables, pair by pair of version and target, and calls
-- none of the functions by which functions.sql and pypi.sql keep the facts up: a mistake in those shows here.

SET LOCAL search_path = piwheels, pg_temp;

-- What disagrees in the packages whose ids lie between two, these included; `version` is null where it is about a package.
-- A job under way, or one that a person must look at, is a fact of its own: which of the others there must be follows.
-- One whose time has come may still be called 'later', until the queue's next round.
CREATE FUNCTION facts_check(p_from bigint, p_to bigint)
    RETURNS TABLE (package bigint, version bigint, what text, "is" text, should_be text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = piwheels, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH v AS MATERIALIZED (
        SELECT v.*, v.quarantined OR p.quarantined AS shut, p.skip AS package_skip, c.builds,
               (SELECT coalesce(bit_or(s.mask), 0) FROM version_wheel w JOIN tagset s ON s.id = w.tagset WHERE w.version = v.id)
                   AS covered,
               (SELECT coalesce(bit_or(1::bigint << s.target), 0) FROM skip_reason s WHERE s.version = v.id) AS skipped
            FROM package p JOIN version v ON v.package = p.id CROSS JOIN configuration c
            WHERE p.id BETWEEN p_from AND p_to),
    pair AS MATERIALIZED (
        SELECT v.package, v.id AS version, t.id AS target, t.position, v.built_mask <> 0 AS built_somewhere, v.by_hand,
               get_bit(v.forced_mask::bit(64), 63 - t.id) = 1 AS forced, get_bit(v.judged_mask::bit(64), 63 - t.id) = 1 AS judged,
               j.version IS NOT NULL AS there, j.attempt IS NOT NULL AS under_way,
               coalesce(j.attempt IS NULL AND j.need = 'parked', false) AS parked, j.need, j.ready_at, j.rank,
               v.wanted AND v.sdist IS NOT NULL AND NOT v.shut AND v.skip IS NULL AND v.package_skip IS NULL
                   AND t.skip IS NULL AND NOT t.judging AND (v.by_hand OR NOT (v.yanked OR v.legacy))
                   AND get_bit(v.na_mask::bit(64), 63 - t.id) = 0
                   AND (get_bit(v.forced_mask::bit(64), 63 - t.id) = 1
                        OR get_bit(v.built_mask::bit(64), 63 - t.id) = 0 AND get_bit(v.failed_mask::bit(64), 63 - t.id) = 0
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
        SELECT package, id, 'skipped_mask', skipped_mask::text, skipped::text FROM v
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
            FROM package p WHERE p.id BETWEEN p_from AND p_to)
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
    UPDATE version SET covered_mask = w.should_be::bigint FROM wrong w WHERE version.id = w.version AND w.what = 'covered_mask';
    UPDATE version SET skipped_mask = w.should_be::bigint FROM wrong w WHERE version.id = w.version AND w.what = 'skipped_mask';
    UPDATE file SET state = w.should_be, hidden = false FROM wrong w
        WHERE file.version = w.version AND w.what = 'state of the file ' || file.path AND w.is = file.state;
    UPDATE package SET live_files = (SELECT count(*) FROM version v JOIN file f ON f.version = v.id
                                         WHERE v.package = package.id AND f.state = 'live')
        WHERE id IN (SELECT w.package FROM wrong w WHERE w.what = 'live files' OR w.what LIKE 'state of the file %');
    versions := ARRAY (SELECT DISTINCT w.version FROM wrong w WHERE w.version IS NOT NULL);
    names := ARRAY (SELECT p.name FROM package p WHERE p.id IN (SELECT w.package FROM wrong w));
    shown := ARRAY (SELECT p.name FROM package p WHERE p.id IN (
        SELECT w.package FROM wrong w WHERE w.what = 'live files' OR w.what LIKE 'state of the file %'));
    PERFORM versions_settle(versions);
    IF shown <> '{}' THEN
        PERFORM pages_stale('index', shown);
        PERFORM page_stale('root', '');
    END IF;
    IF names <> '{}' THEN
        PERFORM pages_stale('project', names);
        PERFORM page_stale('home', '');
    END IF;
    RETURN QUERY TABLE wrong;
END $$;
