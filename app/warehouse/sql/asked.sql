-- Every decision that counts for a lift of $policy: by a live experiment, about an eligible unit, outside drills, and recorded
-- by the moment of the look. Shadow and personalization treat nobody, or are no experiment: neither is ever in a lift.
CREATE OR REPLACE TEMP TABLE asked AS
SELECT
  coalesce(p.person, d.unit) AS person,
  coalesce(p.ambiguous, FALSE) AS ambiguous,
  d.unit,
  d.assignment_id,
  CASE WHEN d.holdout THEN '(held out)' ELSE d.variant END AS arm,
  d.rule_version,
  d.phase,
  unix_micros(d.appended_ts) AS asked_us,
  unix_micros(coalesce(d.signal_ts, d.appended_ts)) AS signal_us
FROM decisions AS d
LEFT JOIN people AS p ON p.unit = d.unit
LEFT JOIN drills AS w ON w.policy = d.policy AND d.appended_ts >= w.begins_ts AND d.appended_ts < w.ends_ts
WHERE
  d.policy = $policy
  AND d.kind = 'experiment'
  AND d.mode = 'live'
  AND d.eligible
  AND d.rule_version BETWEEN $first_version AND $last_version
  AND unix_micros(d.recorded_ts) <= $until_us
  AND w.policy IS NULL;
