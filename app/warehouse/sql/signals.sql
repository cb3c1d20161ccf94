-- What a person did at all: every signal in the journal, in place of the events of a metric. For retention.
CREATE OR REPLACE TEMP TABLE outcome AS
SELECT t.person_id, j.event_id, unix_micros(min(j.signal_ts)) AS at_us, CAST(NULL AS DOUBLE) AS value
FROM journal AS j
LEFT JOIN people AS p ON p.unit = j.unit
JOIN triggers AS t ON t.person = coalesce(p.person, j.unit)
WHERE j.status IN ('decided', 'no_match', 'outcome') AND unix_micros(j.recorded_ts) <= $until_us
GROUP BY t.person_id, j.event_id;
