-- What the rates of the alarms are held against.
SELECT
  (SELECT count(*) FROM triggers) AS people,
  (SELECT count(*) FROM triggers WHERE arm = '(held out)' AND set_apart IS NULL) AS held_out,
  (SELECT count(*) FROM shown) AS exposures,
  (
    SELECT count(DISTINCT s.person_id)
    FROM shown AS s
    JOIN triggers AS t ON t.person_id = s.person_id
    WHERE t.arm = '(held out)' AND t.set_apart IS NULL
  ) AS held_out_shown;
