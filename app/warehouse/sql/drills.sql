-- The windows of drills: a kill was tried out on real users, so nothing that happened meanwhile counts in any lift.
CREATE OR REPLACE TEMP TABLE drills AS
WITH marks AS (
  SELECT
    policy,
    json_extract_string(body, '$.state') AS state,
    recorded_ts AS begins_ts,
    coalesce(
      lead(recorded_ts) OVER (PARTITION BY policy ORDER BY kafka_offset),
      CAST('9999-12-31 00:00:00+00' AS TIMESTAMPTZ)
    ) AS ends_ts
  FROM governance
  WHERE type = 'drill' AND refusal IS NULL
)
SELECT policy, begins_ts, ends_ts FROM marks WHERE state = 'begin';
