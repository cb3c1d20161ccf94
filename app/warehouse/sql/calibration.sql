-- What was predicted of $variant and what came, of exposed assignments whose window is over, by cells of score a fiftieth wide.
-- All arms together. What an assignment was given for is predicted at its first decision.
WITH predicted AS (
  SELECT s.assignment_id, arg_min(try_cast(json_extract_string(s.model, $score_path) AS DOUBLE), s.at_us) AS score
  FROM scored AS s
  WHERE s.variant = $variant AND s.assignment_id IS NOT NULL AND s.at_us <= $until_us - $window_us
  GROUP BY s.assignment_id
),
seen AS (
  SELECT DISTINCT assignment_id FROM exposures WHERE policy = $policy AND unix_micros(recorded_ts) <= $until_us
),
met AS (
  SELECT DISTINCT assignment_id
  FROM outcomes
  WHERE policy = $policy AND outcome = 'primary' AND within_window AND unix_micros(recorded_ts) <= $until_us
)
SELECT
  CAST(floor(p.score * 50) AS BIGINT) AS cell,
  count(*) AS people,
  sum(p.score) AS expected,
  sum(CASE WHEN m.assignment_id IS NULL THEN 0 ELSE 1 END) AS came
FROM predicted AS p
JOIN seen AS e ON e.assignment_id = p.assignment_id
LEFT JOIN met AS m ON m.assignment_id = p.assignment_id
WHERE p.score BETWEEN 0 AND 1
GROUP BY 1
ORDER BY 1;
