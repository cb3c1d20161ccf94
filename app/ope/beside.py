"""Off-policy estimates for a what-if report: one for each proposal of a policy whose model chooses, or why there is none.

Owns the words of a refusal: a report without an estimate says what is missing. Refuses an experiment whose arms are blinded, as
`truelift ope` does, and outcomes that were never synced: nothing earned is not the same as nothing known.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from app.analysis.blinding import why_blind
from app.analysis.experiment import stories
from app.analysis.off_policy import is_thin
from app.contract.policy import Policy
from app.errors import CallerError, OperatorError
from app.governance.fold import Fold
from app.governance.log import fold_all
from app.ope.choices import chooses, logged_choices
from app.ope.evaluate import evaluations
from app.ope.rewards import rewards
from app.replay.proposal import Proposal, read_proposals
from app.settings import Settings
from app.warehouse.lake import opened
from app.warehouse.store import Store

ALPHA = 0.05
ROLE = "primary"
Estimates = list[dict[str, Any]]


def off_policy(settings: Settings, files: Sequence[Path], now_us: int) -> Estimates:
    """One entry for each file of a policy whose model chooses, before or after; for others there is nothing to estimate."""
    fold = asyncio.run(fold_all(settings))
    found = []
    for file in files:
        (proposal,) = read_proposals([file], fold)
        if _is_of_a_model(proposal, fold):
            found.append({"policy": proposal.policy.key, "outcome": ROLE, **_estimate(settings, file, proposal, fold, now_us)})
    return found


def _is_of_a_model(proposal: Proposal, fold: Fold) -> bool:
    return chooses(proposal.policy) or bool(_logging(proposal.policy.key, fold))


def _logging(key: str, fold: Fold) -> list[Policy]:
    """The versions whose model chose, of those that were ever in force."""
    log = fold.state.policies.get(key)
    return [] if log is None else [one.policy for one in log.versions.values() if one.activated and chooses(one.policy)]


def _estimate(settings: Settings, file: Path, proposal: Proposal, fold: Fold, now_us: int) -> dict[str, Any]:
    try:
        return _evaluated(settings, file, proposal, fold, now_us)
    except (CallerError, OperatorError) as refusal:
        return {"refused": str(refusal)}


def _evaluated(settings: Settings, file: Path, proposal: Proposal, fold: Fold, now_us: int) -> dict[str, Any]:
    key = proposal.policy.key
    logging = _logging(key, fold)
    if not logging:
        raise CallerError(
            f"no version of {key} whose model chooses has been in force, so the journal has no propensities",
            "Bring one into force with a floor above 0; it can be evaluated from its own decisions on",
        )
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        lake.use_raw()
        if lake.synced_us() is None:
            raise OperatorError(
                "the warehouse has never been synced, so nobody knows what was earned", "truelift warehouse sync"
            )
        told = stories(lake)
        why = why_blind(told, key, now_us) if key in told else None
        if why is not None:
            raise CallerError(f"the arms of {key} are blinded: {why}", "Wait for the last planned look, or end the experiment")
        earned = rewards(lake, logging[-1], ROLE)
    choices = asyncio.run(logged_choices(settings, key, file))
    (evaluation,) = evaluations(choices.found, earned, ALPHA).values()
    said: dict[str, Any] = {
        name: [_finite(part) for part in value] if isinstance(value, tuple) else _finite(value)
        for name, value in evaluation._asdict().items()
    }
    return {**said, "thin": is_thin(evaluation), "left_out": dict(choices.left_out)}


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: an interval without an end has none."""
    return value if value is None or isfinite(value) else None


def say(estimates: Estimates) -> Iterator[str]:
    for one in estimates:
        yield from _said(one)


def _said(one: Mapping[str, Any]) -> Iterator[str]:
    of = f"{one['policy']}, {one['outcome']} outcome"
    if "refused" in one:
        yield f"{of}: what it would have earned cannot be estimated: {one['refused']}"
        return
    yield f"{of}, of {one['decisions']:,} logged choices of {one['units']:,} units (not in the digest):"
    for words, name in (("as logged", "logged"), ("IPS", "ips"), ("self-normalized IPS", "snips"), ("doubly robust", "dr")):
        value, low, high = (f"{part:.5g}" if part is not None else "unknown" for part in one[name])
        yield f"  {words}: {value} ({low} to {high})"
    thin = "; so few rows carry this that its interval means little" if one["thin"] else ""
    yield f"  effective sample size {one['effective_size']:,.0f}, largest weight {one['largest_weight']:.3g}{thin}"
    for reason, count in one["left_out"].items():
        yield f"  {count:,} logged choices are left out: the proposal says {reason} there"
