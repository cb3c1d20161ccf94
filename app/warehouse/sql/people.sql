-- Which person an anonymous unit turned out to be, as far as was known at the moment of the look. A device that several users
-- logged in on stays a person of its own.
CREATE OR REPLACE TEMP TABLE people AS
WITH pairs AS (
  SELECT anonymous_id, user_id FROM identities WHERE unix_micros(recorded_ts) <= $until_us
  UNION ALL
  SELECT anonymous_id, user_id FROM exposures WHERE unix_micros(recorded_ts) <= $until_us
)
SELECT
  'anon:' || anonymous_id AS unit,
  CASE WHEN min(user_id) = max(user_id) THEN min(user_id) ELSE 'anon:' || anonymous_id END AS person,
  min(user_id) <> max(user_id) AS ambiguous
FROM pairs
WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL
GROUP BY anonymous_id;
