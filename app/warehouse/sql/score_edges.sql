-- The score at $score_path in the days of reference, in ten bins of as many decisions each: the highest score of each bin.
WITH valued AS (
  SELECT try_cast(json_extract_string(model, $score_path) AS DOUBLE) AS score
  FROM scored
  WHERE day BETWEEN $from_day AND $to_day
),
binned AS (
  SELECT score, ntile(10) OVER (ORDER BY score) AS bin FROM valued WHERE score IS NOT NULL
)
SELECT bin, max(score) AS edge FROM binned GROUP BY bin ORDER BY bin;
