-- Every exposure of $policy with the person it belongs to: by its assignment, else by person and time, when the assignment that
-- held then was of the arm that was shown. person_id is null where no decision is behind the exposure: such a one is counted,
-- and in no lift.
CREATE OR REPLACE TEMP TABLE shown AS
WITH matched AS (
  SELECT
    e.kafka_partition,
    e.kafka_offset,
    e.unit,
    e.variant,
    b.person_id,
    b.assignment_id,
    unix_micros(coalesce(e.decided_ts, e.recorded_ts)) AS decided_us,
    unix_micros(e.ts) AS exposed_us,
    unix_micros(e.recorded_ts) AS recorded_us,
    CASE $by WHEN 'device' THEN e.device WHEN 'locale' THEN e.locale WHEN 'route' THEN e.route END AS segment
  FROM exposures AS e
  LEFT JOIN drills AS d ON d.policy = e.policy AND e.recorded_ts >= d.begins_ts AND e.recorded_ts < d.ends_ts
  LEFT JOIN bound AS b ON b.assignment_id = e.assignment_id
  WHERE
    e.policy = $policy
    AND e.rule_version BETWEEN $first_version AND $last_version
    AND unix_micros(e.recorded_ts) <= $until_us
    AND d.policy IS NULL
),
held_then AS (
  SELECT m.kafka_partition, m.kafka_offset, b.person_id, b.assignment_id, b.arm
  FROM matched AS m
  LEFT JOIN people AS p ON p.unit = m.unit
  JOIN triggers AS t ON t.person = coalesce(p.person, m.unit)
  JOIN bound AS b ON b.person_id = t.person_id AND b.from_us <= m.decided_us
  WHERE m.person_id IS NULL
  QUALIFY row_number() OVER (PARTITION BY m.kafka_partition, m.kafka_offset ORDER BY b.from_us DESC) = 1
)
SELECT person_id, assignment_id, exposed_us, recorded_us, segment FROM matched WHERE person_id IS NOT NULL
UNION ALL
SELECT h.person_id, h.assignment_id, m.exposed_us, m.recorded_us, m.segment
FROM matched AS m
LEFT JOIN held_then AS h
  ON h.kafka_partition = m.kafka_partition AND h.kafka_offset = m.kafka_offset AND h.arm = m.variant
WHERE m.person_id IS NULL;
