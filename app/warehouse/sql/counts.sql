-- What the join left out, and why; each of these is said beside every lift.
SELECT
  (SELECT count(*) FROM triggers WHERE set_apart = 'crossover') AS crossovers,
  (SELECT count(*) FROM triggers WHERE set_apart = 'reassigned') AS reassigned,
  (SELECT count(*) FROM triggers WHERE set_apart = 're-identified') AS re_identified,
  (SELECT count(*) FROM triggers WHERE set_apart IS NULL AND NOT at_entry) AS covered_later,
  (SELECT count(*) FROM shown WHERE person_id IS NULL) AS exposures_without_decision,
  (SELECT count(*) - count(DISTINCT assignment_id) FROM shown WHERE person_id IS NOT NULL) AS duplicate_exposures;
