-- The events of one metric, each once for a person however often it came, and the number that each carries at $value_path
-- (if the metric is about a number). Whose an event is: by its assignment, else by the unit.
CREATE OR REPLACE TEMP TABLE outcome AS
WITH matched AS (
  SELECT
    b.person_id,
    o.unit,
    o.event_id,
    unix_micros(o.ts) AS at_us,
    unix_micros(o.recorded_ts) AS recorded_us,
    CASE WHEN $kind IN ('continuous', 'ratio')
      THEN try_cast(json_extract_string(o.properties, $value_path) AS DOUBLE) END AS value
  FROM outcomes AS o
  LEFT JOIN drills AS d ON d.policy = o.policy AND o.ts >= d.begins_ts AND o.ts < d.ends_ts
  LEFT JOIN bound AS b ON b.assignment_id = o.assignment_id
  WHERE
    o.policy = $policy
    AND o.outcome = $role
    AND o.event_name = $event
    AND unix_micros(o.recorded_ts) <= $until_us
    AND d.policy IS NULL
),
owned AS (
  SELECT person_id, event_id, at_us, recorded_us, value FROM matched WHERE person_id IS NOT NULL
  UNION ALL
  SELECT t.person_id, m.event_id, m.at_us, m.recorded_us, m.value
  FROM matched AS m
  LEFT JOIN people AS p ON p.unit = m.unit
  JOIN triggers AS t ON t.person = coalesce(p.person, m.unit)
  WHERE m.person_id IS NULL
)
SELECT person_id, event_id, arg_min(at_us, recorded_us) AS at_us, arg_min(value, recorded_us) AS value
FROM owned
GROUP BY person_id, event_id;
