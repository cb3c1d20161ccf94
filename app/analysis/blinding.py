"""Which experiments' arms nobody may tell apart now. One function decides it, for every door that shows rows.

Owns the rule: while an experiment runs, its arms are compared by `truelift lift` at planned looks alone; when it has ended, or
its last planned look is past, everything is open. Personalization and shadow claim nothing, so there is nothing to keep apart.
"""

from collections.abc import Mapping

from app.analysis.experiment import RUNNING, Story, experiment
from app.analysis.looks import look_plan
from app.analysis.occasion import moment, stop_rules
from app.contract.times import micros


def blinded(found: Mapping[str, Story], now_us: int) -> dict[str, str]:
    """Policy -> why its arms are kept apart from its outcomes."""
    return {key: why for key in found if (why := why_blind(found, key, now_us)) is not None}


def why_blind(found: Mapping[str, Story], key: str, now_us: int) -> str | None:
    """None: everybody may look."""
    newest = found[key].newest_lifted
    if newest is None or not newest.compares or newest.state not in RUNNING:
        return None
    rules = stop_rules(newest.policy)
    if rules is None:
        return "it runs, and no look is planned before its end"
    last = look_plan(rules, moment(experiment(found, key).started_us)).planned[-1]
    return f"it runs, and its last planned look is at {last:%Y-%m-%d %H:%M} UTC" if now_us < micros(last) else None
