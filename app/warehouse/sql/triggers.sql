-- One row for each person (person_id: a short name for the joins below): the arm that the person was first given, the stratum of
-- that assignment, the moment of the trigger.
--
-- set_apart, for people about whom no arm can be said:
--   crossover      two arms (or an arm and the holdout), because two units turned out to be one person
--   reassigned     two arms, because a version that says `reassign` moved the unit
--   re-identified  one arm, but drawn for two units that turned out to be one person, or for a device of several users
-- One assignment that a login carried over to the user is none of these: it was drawn once.
--
-- at_entry: assigned at the first time that the policy was asked about the person. Who was not covered then and came in with a
-- later step of the ramp was picked from those who come back, while the holdout holds everybody from the first time on: against
-- the holdout only those count who were assigned at their entry.
CREATE OR REPLACE TEMP TABLE triggers AS
WITH given AS (
  SELECT
    person,
    min(asked_us) AS from_us,
    arg_min(arm, asked_us) AS arm,
    arg_min(rule_version, asked_us) AS rule_version,
    arg_min(phase, asked_us) AS phase,
    arg_min(signal_us, asked_us) AS signal_us,
    min(arm) <> max(arm) AS two_arms,
    bool_or(unit <> person) AS was_anonymous
  FROM asked
  WHERE assignment_id IS NOT NULL
  GROUP BY person
),
earlier AS (
  SELECT person, min(asked_us) AS asked_us FROM asked WHERE assignment_id IS NULL GROUP BY person
),
identified AS (
  SELECT
    a.person,
    min(a.unit) <> max(a.unit) AS two_units,
    min(a.assignment_id) <> max(a.assignment_id) AS two_assignments
  FROM asked AS a
  JOIN given AS g ON g.person = a.person AND g.was_anonymous
  WHERE a.assignment_id IS NOT NULL
  GROUP BY a.person
),
shared AS (
  -- A login on a device that several users have carried one draw to more than one person.
  SELECT assignment_id
  FROM asked
  WHERE assignment_id IN (SELECT assignment_id FROM asked WHERE starts_with(unit, 'anon:'))
  GROUP BY assignment_id
  HAVING min(person) <> max(person)
),
ambiguous AS (
  SELECT DISTINCT person FROM asked WHERE ambiguous OR assignment_id IN (SELECT assignment_id FROM shared)
)
SELECT
  g.person,
  row_number() OVER () AS person_id,
  g.arm,
  g.rule_version,
  g.phase,
  g.from_us,
  g.signal_us,
  e.asked_us IS NULL OR e.asked_us >= g.from_us AS at_entry,
  CASE
    WHEN g.two_arms AND i.two_units THEN 'crossover'
    WHEN g.two_arms THEN 'reassigned'
    WHEN (i.two_units AND i.two_assignments) OR m.person IS NOT NULL THEN 're-identified'
  END AS set_apart
FROM given AS g
LEFT JOIN earlier AS e ON e.person = g.person
LEFT JOIN identified AS i ON i.person = g.person
LEFT JOIN ambiguous AS m ON m.person = g.person;
