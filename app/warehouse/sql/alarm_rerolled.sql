-- Units that were moved from one arm to another, by the rule version that moved them. Only a version that says `reassign` may.
WITH given AS (
  SELECT a.unit, a.rule_version, a.arm, lag(a.arm) OVER (PARTITION BY a.unit ORDER BY a.asked_us) AS arm_before
  FROM asked AS a
  JOIN triggers AS t ON t.person = a.person
  WHERE t.set_apart = 'reassigned' AND a.assignment_id IS NOT NULL
)
SELECT rule_version, count(DISTINCT unit) AS units
FROM given
WHERE arm <> arm_before
GROUP BY rule_version
ORDER BY rule_version;
