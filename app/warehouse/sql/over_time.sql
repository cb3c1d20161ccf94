-- The metric of the table `reacted` for treated and held-out people, by the day (UTC) of their trigger. Only people assigned at
-- their entry: see triggers.sql.
WITH valued AS (
  SELECT
    CAST(floor(p.since_us / 86400000000) AS BIGINT) AS day,
    p.rule_version,
    p.phase,
    p.arm = '(held out)' AS held_out,
    CAST(CASE $kind WHEN 'binary' THEN CASE WHEN c.events > 0 THEN 1 END WHEN 'count' THEN c.events ELSE c.total END AS DOUBLE) AS x,
    CAST(CASE $kind WHEN 'ratio' THEN c.events END AS DOUBLE) AS y
  FROM population AS p
  LEFT JOIN reacted AS c ON c.population = p.population AND c.person_id = p.person_id
  WHERE p.population = 'assigned' AND p.at_entry
)
SELECT
  day,
  rule_version,
  phase,
  held_out,
  count(*) AS people,
  avg(coalesce(x, 0)) AS mean_x,
  var_samp(coalesce(x, 0)) AS variance_x,
  avg(coalesce(y, 0)) AS mean_y,
  var_samp(coalesce(y, 0)) AS variance_y,
  covar_samp(coalesce(x, 0), coalesce(y, 0)) AS covariance
FROM valued
GROUP BY day, rule_version, phase, held_out
ORDER BY day, rule_version, phase, held_out;
