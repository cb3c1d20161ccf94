"""A proposed policy version, and the policies in force with it put in place of the recorded one.

Owns reading the file and what "as if activated" means: active, at its first ramp step (or at a coverage that is asked for),
with every body that was ever active beside it, so that stickiness holds. A kill or pause of its decision point or of everything
stays in force; one of the policy itself was about another version and does not.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from app.contract.canonical import canonical
from app.contract.policy import Policy
from app.engine.policies import Policies, PolicyInForce, compile_policies
from app.errors import CallerError
from app.governance.fold import Fold, in_force
from app.governance.problems import dotted
from app.governance.rules import body_problems
from app.governance.state import State

# Of a version that is in no log: no ramp step has brought it about.
PROPOSED_PHASE = 0


class Proposal(NamedTuple):
    """body_sha256: of the body's RFC 8785 bytes, as in the governance record that would propose it."""

    policy: Policy
    raw: dict[str, Any]
    body_sha256: str
    rule_version: int
    coverage_permille: int


def read_proposals(files: Sequence[Path], fold: Fold, coverage_permille: int | None = None) -> list[Proposal]:
    """The files' bodies under the catalogue in force. CallerError names the first problem of the first file that has any."""
    proposals = [_read(file, fold.state, coverage_permille) for file in files]
    keys = [proposal.policy.key for proposal in proposals]
    for key in keys:
        if keys.count(key) > 1:
            raise CallerError(f"policy {key!r} is proposed by two files", "Give one file for each policy")
    return sorted(proposals, key=lambda proposal: proposal.policy.key)


def _read(file: Path, state: State, coverage_permille: int | None) -> Proposal:
    try:
        raw = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise CallerError(f"the policy file {file} cannot be read: {error}", "Give a YAML file with one policy") from None
    problems = [problem for problem in body_problems(raw, state.catalogue) if not problem.warning]
    if problems:
        first = problems[0]
        raise CallerError(
            f"{file}: {dotted(first.path)}: {first.what} ({len(problems)} problems)",
            f"{first.remedy}; `truelift policy validate {file}` shows all",
        )
    policy = Policy.model_validate(raw)
    known = state.policies.get(policy.key)
    return Proposal(
        policy,
        raw,
        hashlib.sha256(canonical(raw)).hexdigest(),
        1 if known is None else known.newest + 1,
        coverage_permille or policy.ramp[0],
    )


class ProposedPolicies:
    """The snapshot of a fold with the proposals in it. A body that the catalogue of that moment cannot bear is left out."""

    def __init__(self, proposals: Sequence[Proposal]) -> None:
        self._proposals = proposals
        self._previous: Policies | None = None

    def __call__(self, fold: Fold) -> Policies:
        state = fold.state
        proposed = {p.policy.key: _entry(p, state) for p in self._proposals if _is_possible(p, state)}
        recorded = [entry for entry in in_force(state) if entry.key not in proposed]
        entries = [*recorded, *proposed.values()]
        topology = state.partitions.engine()
        self._previous = compile_policies(fold.offset, state.catalogue, entries, state.switches, self._previous, topology)
        return self._previous


def _entry(proposal: Proposal, state: State) -> PolicyInForce:
    policy, log = proposal.policy, state.policies.get(proposal.policy.key)
    versions = {} if log is None else {v.number: v.policy for v in log.versions.values() if v.activated}
    number = proposal.rule_version
    return PolicyInForce(
        policy.key, "active", number, PROPOSED_PHASE, proposal.coverage_permille, policy, {**versions, number: policy}
    )


def _is_possible(proposal: Proposal, state: State) -> bool:
    return all(problem.warning for problem in body_problems(proposal.raw, state.catalogue))
