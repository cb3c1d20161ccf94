"""What a user has of each policy once an anonymous unit turns out to be the same person. Pure: two rows in, one out.

  the user's own   the anonymous one's   then                                      verdict
  none             any                   the anonymous one's                       adopted
  an arm           the same arm          the user's own                            agreed
  an arm           another arm           the user's own                            crossover
  held out         held out              the user's own                            agreed
  held out         an arm                held out: the user's own                  held_out
  an arm           held out              held out: the anonymous one's             held_out
  any              none                  the user's own                            (nothing is said)

An arm that was drawn for one decision binds nobody. Against one that binds it counts as none, and is set aside; where neither
binds, the user's own stays, and nobody is a crossover.

A named holdout that either unit is in holds the assignments of the other one too, when the policy in force names it: such an
arm becomes held out under its own id (held_out). Every arm that is not kept is set aside.
"""

from typing import NamedTuple

from app.engine.former import OF_DECISION, is_of_decision
from app.engine.policies import Policies
from app.engine.rows import Row

Assignments = dict[str, Row]


class Given(NamedTuple):
    """What a unit was given: by policy, and by named holdout."""

    assignments: Assignments
    holdouts: dict[str, bool]


class Settled(NamedTuple):
    """One policy. kept: the assignment in force. aside: arms that are not, any more."""

    policy: str
    verdict: str
    kept: Row
    aside: tuple[Row, ...]


def settle(own: Given, theirs: Given, anonymous: str, policies: Policies) -> tuple[Given, list[Settled]]:
    """What the user has now, and the verdicts by policy. An adopted assignment says in `made_for` whose it was."""
    holdouts = dict(own.holdouts)
    for name, held in theirs.holdouts.items():
        holdouts[name] = held or holdouts.get(name, False)
    assignments, verdicts = dict(own.assignments), []
    for policy in sorted(own.assignments.keys() | theirs.assignments.keys()):
        mine, other = own.assignments.get(policy), theirs.assignments.get(policy)
        settled = _settle_one(policy, mine, other, _named_holdout(policy, policies), (own.holdouts, theirs.holdouts))
        if settled is None:
            continue
        is_adopted = other is not None and settled.kept["assignment_id"] == other["assignment_id"]
        assignments[policy] = {**settled.kept, "made_for": anonymous} if is_adopted else settled.kept
        verdicts.append(settled)
    return Given(assignments, holdouts), verdicts


def _settle_one(
    policy: str, mine: Row | None, other: Row | None, holdout: str | None, held: tuple[dict[str, bool], dict[str, bool]]
) -> Settled | None:
    """held: by named holdout, of the user and of the anonymous unit. None: the other one changes nothing."""
    by_own, by_theirs = (holdout is not None and of_one.get(holdout, False) for of_one in held)
    yields = is_of_decision(mine) and not is_of_decision(other)
    if mine is not None and (other is None or mine["holdout"] or not (other["holdout"] or yields)):
        kept = _held_out(mine, by_theirs)
    else:
        assert other is not None, "one of the two has the policy"
        kept = _held_out(other, by_own)
    both = [row for row in (mine, other) if row is not None]
    aside = tuple(row for row in both if not row["holdout"] and row is not kept)
    if kept["holdout"] and not all(row["holdout"] for row in both):
        verdict = "held_out"
    elif other is None:
        return None
    elif mine is None or yields:
        verdict = "adopted"
    else:
        bind = not (is_of_decision(mine) or is_of_decision(other))
        verdict = "crossover" if bind and mine["variant"] != other["variant"] else "agreed"
    return Settled(policy, verdict, kept, aside)


def _held_out(row: Row, held: bool) -> Row:
    """As one that never had an arm: what was shown of it is set aside."""
    if row["holdout"] or not held:
        return row
    found = {**row, "variant": None, "holdout": True, "exposed_us": None, "served": None}
    found.pop(OF_DECISION, None)  # a holdout binds
    return found


def _named_holdout(policy: str, policies: Policies) -> str | None:
    compiled = policies.by_key.get(policy)
    return None if compiled is None or compiled.holdout is None else compiled.holdout.name
