-- What the model of $policy said at each decision of a live version, outside drills: one row a decision. The variant is the one
-- that was drawn, whoever chose it.
CREATE OR REPLACE TEMP TABLE scored AS
SELECT
  d.assignment_id,
  d.variant,
  d.chosen_by,
  d.model,
  CAST(floor(unix_micros(d.recorded_ts) / 86400000000) AS BIGINT) AS day,
  unix_micros(d.appended_ts) AS at_us
FROM decisions AS d
LEFT JOIN drills AS w ON w.policy = d.policy AND d.appended_ts >= w.begins_ts AND d.appended_ts < w.ends_ts
WHERE
  d.policy = $policy
  AND d.mode = 'live'
  AND d.model IS NOT NULL
  AND d.active_rule_version BETWEEN $first_version AND $last_version
  AND unix_micros(d.recorded_ts) <= $until_us
  AND w.policy IS NULL;
