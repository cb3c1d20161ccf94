-- What each person did of the metric of the table `outcome`, behind since_us and within the window: how many events, and the sum
-- of their numbers. Who did nothing has no row.
CREATE OR REPLACE TEMP TABLE reacted AS
SELECT
  p.population,
  p.person_id,
  count(*) AS events,
  sum(CASE WHEN abs(o.value) <= 1e15 THEN o.value END) AS total
FROM population AS p
JOIN outcome AS o
  ON o.person_id = p.person_id
  AND o.at_us - p.since_us > $after_us
  AND o.at_us - p.since_us <= $window_us
GROUP BY p.population, p.person_id;
