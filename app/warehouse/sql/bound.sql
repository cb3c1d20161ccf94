-- The assignments that count, each with the person that it was drawn for and the time from which it holds. Ids are compared as
-- UUIDs, which they are: 16 bytes instead of 36.
CREATE OR REPLACE TEMP TABLE bound AS
SELECT CAST(a.assignment_id AS UUID) AS assignment_id, t.person_id, a.arm, min(a.asked_us) AS from_us
FROM asked AS a
JOIN triggers AS t ON t.person = a.person
WHERE a.assignment_id IS NOT NULL
GROUP BY a.assignment_id, t.person_id, a.arm;
