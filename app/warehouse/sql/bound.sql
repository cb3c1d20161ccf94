-- The assignments that count, each with the person that it was drawn for and the time from which it holds.
CREATE OR REPLACE TEMP TABLE bound AS
SELECT a.assignment_id, t.person_id, a.arm, min(a.asked_us) AS from_us
FROM asked AS a
JOIN triggers AS t ON t.person = a.person
WHERE a.assignment_id IS NOT NULL
GROUP BY a.assignment_id, t.person_id, a.arm;
