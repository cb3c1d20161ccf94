-- Exposures by where they were shown, whether that was in time, and whether it was in the first $cycle_us of the experiment.
-- Of a dimension the largest $most segments; the others are one.
WITH counted AS (
  SELECT
    e.device,
    e.locale,
    e.route,
    e.variant,
    e.rule_version,
    e.phase,
    e.within_budget,
    unix_micros(e.recorded_ts) < $started_us + $cycle_us AS early,
    count(*) AS people
  FROM exposures AS e
  LEFT JOIN drills AS d ON d.policy = e.policy AND e.recorded_ts >= d.begins_ts AND e.recorded_ts < d.ends_ts
  WHERE
    e.policy = $policy
    AND e.rule_version BETWEEN $first_version AND $last_version
    AND unix_micros(e.recorded_ts) <= $until_us
    AND d.policy IS NULL
  GROUP BY e.device, e.locale, e.route, e.variant, e.rule_version, e.phase, e.within_budget, early
),
long AS (
  SELECT 'device' AS dimension, device AS segment, variant, rule_version, phase, within_budget, early, people FROM counted
  UNION ALL
  SELECT 'locale', locale, variant, rule_version, phase, within_budget, early, people FROM counted
  UNION ALL
  SELECT 'route', route, variant, rule_version, phase, within_budget, early, people FROM counted
),
ranked AS (
  SELECT dimension, segment, row_number() OVER (PARTITION BY dimension ORDER BY sum(people) DESC, segment) AS place
  FROM long
  GROUP BY dimension, segment
)
SELECT
  l.dimension,
  CASE WHEN r.place <= $most THEN coalesce(l.segment, '(not said)') ELSE '(other)' END AS segment,
  l.variant,
  l.rule_version,
  l.phase,
  l.within_budget,
  l.early,
  CAST(sum(l.people) AS BIGINT) AS people
FROM long AS l
JOIN ranked AS r ON r.dimension = l.dimension AND r.segment IS NOT DISTINCT FROM l.segment
GROUP BY l.dimension, 2, l.variant, l.rule_version, l.phase, l.within_budget, l.early
ORDER BY l.dimension, 2, l.variant, l.rule_version, l.phase, l.within_budget, l.early;
