-- Whom a metric is taken of, and from when on: `assigned` from the trigger (intention to treat), `exposed` from the first
-- exposure. Outcomes count from since_us on. A second exposure of an assignment changes nothing.
CREATE OR REPLACE TEMP TABLE population AS
WITH firsts AS (
  SELECT
    person_id,
    min(exposed_us) AS exposed_us,
    arg_min(recorded_us, exposed_us) AS recorded_us,
    arg_min(segment, exposed_us) AS segment
  FROM shown
  WHERE person_id IS NOT NULL
  GROUP BY person_id
)
SELECT
  'assigned' AS population,
  person_id,
  arm,
  rule_version,
  phase,
  at_entry,
  signal_us AS since_us,
  from_us AS recorded_us,
  CAST(NULL AS VARCHAR) AS segment
FROM triggers
WHERE set_apart IS NULL
UNION ALL
SELECT 'exposed', t.person_id, t.arm, t.rule_version, t.phase, t.at_entry, f.exposed_us, f.recorded_us, f.segment
FROM triggers AS t
JOIN firsts AS f ON f.person_id = t.person_id
WHERE t.set_apart IS NULL AND t.arm <> '(held out)';
