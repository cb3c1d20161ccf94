-- Size, mean and variance of one metric in every cell of (population, segment, stratum, arm): all that the statistics need.
--
-- x is the metric of a person: whether there was an event (binary), how many (count), or the sum of their numbers (continuous,
-- ratio). y is what x is held against: the number of events (ratio), else the covariate. Which events count is said in reacted.sql;
-- with $matured_us only people whose window has gone by are taken.
WITH valued AS (
  SELECT
    p.population,
    p.segment,
    p.rule_version,
    p.phase,
    p.arm,
    p.at_entry,
    CAST(CASE $kind WHEN 'binary' THEN CASE WHEN c.events > 0 THEN 1 END WHEN 'count' THEN c.events ELSE c.total END AS DOUBLE) AS x,
    CAST(CASE $kind WHEN 'ratio' THEN c.events ELSE v.signals END AS DOUBLE) AS y
  FROM population AS p
  LEFT JOIN reacted AS c ON c.population = p.population AND c.person_id = p.person_id
  LEFT JOIN covariate AS v ON v.person_id = p.person_id
  WHERE p.recorded_us <= $until_us - $matured_us
)
SELECT
  population,
  segment,
  rule_version,
  phase,
  arm,
  at_entry,
  count(*) AS people,
  avg(coalesce(x, 0)) AS mean_x,
  var_samp(coalesce(x, 0)) AS variance_x,
  avg(coalesce(y, 0)) AS mean_y,
  var_samp(coalesce(y, 0)) AS variance_y,
  covar_samp(coalesce(x, 0), coalesce(y, 0)) AS covariance
FROM valued
GROUP BY population, segment, rule_version, phase, arm, at_entry
ORDER BY population, segment, rule_version, phase, arm, at_entry;
