-- The assignments, as the journal says: one row for each, from the first decision that carries it.
SELECT
  assignment_id,
  policy,
  unit,
  rule_version,
  phase,
  variant,
  holdout,
  bucket,
  mode,
  kind,
  decision_id,
  appended_ts AS assigned_ts
FROM decisions
WHERE assignment_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY assignment_id ORDER BY appended_ts, kafka_partition, kafka_offset, row_index) = 1
