-- What a person did before the policy could have done anything: signals of $topic in the $before_us before the trigger.
CREATE OR REPLACE TEMP TABLE covariate AS
SELECT t.person_id, count(*) AS signals
FROM journal AS j
LEFT JOIN people AS p ON p.unit = j.unit
JOIN triggers AS t ON t.person = coalesce(p.person, j.unit)
WHERE
  $before_us > 0
  AND j.input_topic = $topic
  AND j.status IN ('decided', 'no_match', 'outcome')
  AND unix_micros(j.signal_ts) < t.signal_us
  AND t.signal_us - unix_micros(j.signal_ts) <= $before_us
GROUP BY t.person_id;
