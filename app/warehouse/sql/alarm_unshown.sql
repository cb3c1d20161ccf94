-- The metric of the table `reacted` for people who were assigned and never shown anything, by arm: they all got the same, nothing.
WITH valued AS (
  SELECT
    p.rule_version,
    p.phase,
    p.arm,
    CAST(CASE $kind WHEN 'binary' THEN CASE WHEN c.events > 0 THEN 1 END WHEN 'count' THEN c.events ELSE c.total END AS DOUBLE) AS x,
    CAST(CASE $kind WHEN 'ratio' THEN c.events END AS DOUBLE) AS y
  FROM population AS p
  LEFT JOIN reacted AS c ON c.population = p.population AND c.person_id = p.person_id
  LEFT JOIN population AS e ON e.person_id = p.person_id AND e.population = 'exposed'
  WHERE p.population = 'assigned' AND p.arm <> '(held out)' AND e.person_id IS NULL
)
SELECT
  rule_version,
  phase,
  arm,
  count(*) AS people,
  avg(coalesce(x, 0)) AS mean_x,
  var_samp(coalesce(x, 0)) AS variance_x,
  avg(coalesce(y, 0)) AS mean_y,
  var_samp(coalesce(y, 0)) AS variance_y,
  covar_samp(coalesce(x, 0), coalesce(y, 0)) AS covariance
FROM valued
GROUP BY rule_version, phase, arm
ORDER BY rule_version, phase, arm;
