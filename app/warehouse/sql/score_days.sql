-- How many decisions of each day had a score within each bin, by who chose. The bins are those of score_edges.
WITH valued AS (
  SELECT day, chosen_by, try_cast(json_extract_string(model, $score_path) AS DOUBLE) AS score FROM scored
)
SELECT
  day,
  chosen_by,
  CASE
    WHEN score <= $edge_a THEN 0
    WHEN score <= $edge_b THEN 1
    WHEN score <= $edge_c THEN 2
    WHEN score <= $edge_d THEN 3
    WHEN score <= $edge_e THEN 4
    WHEN score <= $edge_f THEN 5
    WHEN score <= $edge_g THEN 6
    WHEN score <= $edge_h THEN 7
    WHEN score <= $edge_i THEN 8
    ELSE 9
  END AS bin,
  count(*) AS decisions
FROM valued
WHERE score IS NOT NULL
GROUP BY day, chosen_by, 3
ORDER BY day, chosen_by, 3;
