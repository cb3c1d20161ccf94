-- Records of each day (UTC, since 1970-01-01), of each kind. A policy that is paused is still decided about.
SELECT 'decisions' AS kind, CAST(floor(unix_micros(recorded_ts) / 86400000000) AS BIGINT) AS day, count(*) AS records
FROM decisions
WHERE policy = $policy AND unix_micros(recorded_ts) <= $until_us
GROUP BY 2
UNION ALL
SELECT 'exposures', CAST(floor(unix_micros(recorded_ts) / 86400000000) AS BIGINT), count(*)
FROM exposures
WHERE policy = $policy AND unix_micros(recorded_ts) <= $until_us
GROUP BY 2
UNION ALL
SELECT 'outcomes', CAST(floor(unix_micros(recorded_ts) / 86400000000) AS BIGINT), count(*)
FROM outcomes
WHERE policy = $policy AND unix_micros(recorded_ts) <= $until_us
GROUP BY 2
ORDER BY 1, 2;
