-- The decisions that drew an arm: were they in time? By the arm that was drawn.
SELECT
  d.variant,
  coalesce(d.late, NOT d.within_budget) AS late,
  count(*) AS people
FROM decisions AS d
LEFT JOIN drills AS w ON w.policy = d.policy AND d.appended_ts >= w.begins_ts AND d.appended_ts < w.ends_ts
WHERE
  d.policy = $policy
  AND d.kind = 'experiment'
  AND d.mode = 'live'
  AND d.assigned
  AND NOT coalesce(d.sticky, FALSE)
  AND d.rule_version BETWEEN $first_version AND $last_version
  AND unix_micros(d.recorded_ts) <= $until_us
  AND w.policy IS NULL
GROUP BY d.variant, 2
ORDER BY d.variant, 2;
