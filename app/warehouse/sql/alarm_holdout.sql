-- Held out or not, of people assigned at their entry, by the ramp's step and the week: within a step the share is one number.
SELECT
  phase,
  CAST(floor((from_us - $started_us) / 604800000000) AS BIGINT) AS week,
  arm = '(held out)' AS held_out,
  count(*) AS people
FROM triggers
WHERE at_entry AND set_apart IS NULL
GROUP BY phase, 2, 3
ORDER BY phase, 2, 3;
