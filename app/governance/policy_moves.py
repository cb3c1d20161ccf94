"""What records about policies do to the state: review, activation, ramp, kill. Each checks all, then gives a new State."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from app.contract.policy import Policy, RiskClass
from app.governance.moves import MOVES, SWITCH_MOVES, VersionState, legal_types
from app.governance.places import place_of, place_problems
from app.governance.problems import Problem, did_you_mean, dotted
from app.governance.raw import is_integer
from app.governance.records import Record, RefusedError
from app.governance.rules import body_problems
from app.governance.state import LIVING, Approval, PolicyLog, State, Version

EVERYTHING = "*"
POINT_PREFIX = "point:"
_MIN_DIGEST_CHARS, _MAX_DIGEST_CHARS = 16, 128
_HEX = frozenset("0123456789abcdef")


def apply_proposed(state: State, record: Record) -> State:
    key = record.body.get("key")
    if record.policy is None or record.policy != key:
        what = f"the record is about {record.policy!r}, its body about {key!r}"
        raise RefusedError("wrong_policy", what, "Name the body's key")
    refuse_problems("invalid_body", body_problems(record.body, state.catalogue))
    log = state.policies.get(record.policy) or PolicyLog(record.policy)
    _check_next_version(log, record)
    policy = Policy.model_validate(record.body)
    return state.with_policy(log.with_version(Version(log.newest + 1, "proposed", record.body, policy, record.actor)))


def apply_approved(state: State, record: Record) -> State:
    log, version, after = _moved(state, record)
    if record.actor == version.proposer:
        what = f"{record.actor} proposed version {version.number} of {log.key} and cannot approve it"
        raise RefusedError("second_person", what, "Let another person approve it")
    digest = record.body.get("what_if_digest")
    if digest is not None and not _is_digest(digest):
        remedy = "Give the hex digest that truelift replay what-if prints"
        raise RefusedError("bad_digest", f"what_if_digest is {digest!r}", remedy)
    approval = Approval(record.actor, record.role, digest)
    approved = version._replace(state=after, approvals=(*version.approvals, approval))
    # The approval at hand must itself suffice: one that could never activate is refused while its writer listens.
    check_review(approved._replace(approvals=(approval,)), state.catalogue.class_in_force(version.policy))
    return state.with_policy(log.with_version(approved))


def apply_activated(state: State, record: Record) -> State:
    log, version, _ = _moved(state, record)
    if any(other.activated and other.number > version.number for other in log.versions.values()):
        what = f"a version after {version.number} of {log.key} has already been active"
        raise RefusedError("stale_version", what, "Propose the body anew: rule versions only grow")
    return _activate(state, log, version, record)


def apply_rolled_back(state: State, record: Record) -> State:
    """A superseded body becomes a new version. It was approved, so it needs no new approval."""
    log, to = _log(state, record), record.body.get("to")
    target = log.versions.get(to) if is_integer(to) else None
    if target is None:
        raise RefusedError("unknown_version", f"{log.key} has no version {to!r} to roll back to", _versions_remedy(log))
    _next_state(log, target, record)
    _check_next_version(log, record)
    return _activate(state, log, target._replace(number=log.newest + 1, activated=False), record)


def _activate(state: State, log: PolicyLog, version: Version, record: Record) -> State:
    """The checks of review time once more: the catalogue and the neighbours may have changed since."""
    refuse_problems("invalid_body", body_problems(version.body, state.catalogue))
    check_review(version, state.catalogue.class_in_force(version.policy))
    place = place_of(version.body)
    if place is not None:
        refuse_problems("conflict", list(place_problems(place, state.places())))
    current = log.current
    if current is not None and current.state in LIVING:
        log = log.with_version(current._replace(state="superseded"))
    return state.with_policy(
        log.with_version(
            version._replace(state="active", activated=True),
            in_force=version.number,
            phase=record.seq,
            coverage_permille=version.policy.ramp[0],
            killed_by_drill=False,
        )
    )


def check_review(version: Version, risk_class: RiskClass) -> None:
    """Refused unless one of the version's approvals suffices for the class in force."""
    name = f"version {version.number} of {version.policy.key} ({risk_class})"
    if risk_class != "low" and not any(approval.what_if_digest for approval in version.approvals):
        remedy = "Run truelift replay what-if and approve with --what-if DIGEST"
        raise RefusedError("no_what_if", f"{name} needs the digest of a what-if report in its approval", remedy)
    if not any(_suffices(approval, risk_class) for approval in version.approvals):
        needed = "sensitive_approver" if risk_class == "sensitive" else "approver"
        remedy = f"Let a {needed} other than its author approve it"
        raise RefusedError("needs_approval", f"{name} has no approval by a {needed}", remedy)


def _suffices(approval: Approval, risk_class: RiskClass) -> bool:
    return (risk_class == "low" or approval.what_if_digest is not None) and (
        risk_class != "sensitive" or approval.role == "sensitive_approver"
    )


def apply_ramped(state: State, record: Record) -> State:
    log, version, _ = _moved(state, record)
    _check_in_force(log, version)
    ramp, now, wanted = version.policy.ramp, log.coverage_permille, record.body.get("coverage_permille")
    higher = [step for step in ramp if step > now]
    legal = higher[:1]
    if record.role == "operator":
        legal += [step for step in ramp if step < now]
    if not is_integer(wanted) or wanted not in legal:
        steps = ", ".join(str(step) for step in sorted(legal)) or "none"
        what = f"coverage {wanted!r} is no approved step of {log.key} from {now} for the role {record.role}"
        raise RefusedError("not_a_step", what, f"Legal now: {steps} (the ramp is {', '.join(map(str, ramp))})")
    return state.with_policy(replace(log, coverage_permille=wanted, phase=record.seq))


def apply_halt(state: State, record: Record) -> State:
    """paused, resumed, killed: of a policy, or of a decision point or everything (policy null, body.target)."""
    if record.policy is None:
        return _apply_switch(state, record)
    log, version, after = _moved(state, record)
    _check_in_force(log, version)
    by_drill = log.killed_by_drill
    if record.type == "killed":
        by_drill = _kill_is_drill(log, version, record)
    elif version.state == "killed" and not (log.drill and by_drill):
        what = f"{log.key} was killed, and not by a drill that is still open"
        raise RefusedError("killed_stays_killed", what, "Propose, approve and activate a new version")
    if after == "active":
        by_drill = False
        _check_room(state, version)
    return state.with_policy(log.with_version(version._replace(state=after), killed_by_drill=by_drill))


def _kill_is_drill(log: PolicyLog, version: Version, record: Record) -> bool:
    """A kill in earnest inside a drill stays one: only kills marked as the drill's own can be undone by it."""
    marked = record.body.get("drill") is True
    if marked and not log.drill:
        what = f"the kill of {log.key} is marked as a drill's, but no drill is open"
        raise RefusedError("no_drill", what, "Begin the drill first")
    return marked and (version.state != "killed" or log.killed_by_drill)


def _check_room(state: State, version: Version) -> None:
    """A killed version had freed its place; another policy may live there by now."""
    place = place_of(version.body)
    if place is not None:
        refuse_problems("conflict", list(place_problems(place, state.places())))


def _apply_switch(state: State, record: Record) -> State:
    target = record.body.get("target")
    points = state.catalogue.decision_points
    if not isinstance(target, str) or (target != EVERYTHING and target.removeprefix(POINT_PREFIX) not in points):
        remedy = f'Name "*" or "point:" and one of: {", ".join(sorted(points))}'
        raise RefusedError("unknown_target", f"the target is {target!r}", remedy)
    if target != EVERYTHING and not target.startswith(POINT_PREFIX):
        raise RefusedError("unknown_target", f"the target is {target!r}", f"Write {POINT_PREFIX}{target}")
    now = state.switches.get(target, "off")
    after = SWITCH_MOVES.get((now, record.type))
    if after is None:
        raise RefusedError("illegal_move", f"{target} is {now}: {record.type} is not legal", "See truelift policy list")
    rest = {name: value for name, value in state.switches.items() if name != target}
    return replace(state, switches=MappingProxyType(rest if after == "off" else {**rest, target: after}))


def apply_retired(state: State, record: Record) -> State:
    """Ends a policy, or withdraws a version that was never active. With the one in force, those that it replaced end too."""
    log, version, after = _moved(state, record)
    if record.role == "author" and version.activated:
        raise RefusedError("wrong_role", f"version {version.number} of {log.key} has been active", "Let an operator retire it")
    log = log.with_version(version._replace(state=after))
    if version.number == log.in_force:
        for old in [v for v in log.versions.values() if v.state == "superseded"]:
            log = log.with_version(old._replace(state="retired"))
        log = replace(log, in_force=None, coverage_permille=0, phase=0)
    return state.with_policy(log)


def apply_looked(state: State, record: Record) -> State:
    _moved(state, record)
    return state


def apply_drill(state: State, record: Record) -> State:
    log, version, _ = _moved(state, record)
    _check_in_force(log, version)
    wanted = record.body.get("state")
    if wanted not in ("begin", "end") or (wanted == "begin") == log.drill:
        remedy = "End it first" if log.drill else "Begin it first"
        what = f"drill {wanted!r} of {log.key}, where {'a' if log.drill else 'no'} drill is open"
        raise RefusedError("illegal_move", what, remedy)
    return state.with_policy(replace(log, drill=wanted == "begin"))


# --- shared checks -------------------------------------------------------------------------------------------------------


def _moved(state: State, record: Record) -> tuple[PolicyLog, Version, VersionState]:
    """The policy, the version that the record names, and the state that the table gives it."""
    log = _log(state, record)
    version = log.versions.get(record.rule_version or 0)
    if version is None:
        raise RefusedError("unknown_version", f"{log.key} has no version {record.rule_version}", _versions_remedy(log))
    return log, version, _next_state(log, version, record)


def _log(state: State, record: Record) -> PolicyLog:
    log = state.policies.get(record.policy or "")
    if log is None:
        remedy = did_you_mean(str(record.policy), list(state.policies))
        raise RefusedError("unknown_policy", f"no policy {record.policy!r}", remedy)
    return log


def _next_state(log: PolicyLog, version: Version, record: Record) -> VersionState:
    after = MOVES.get((version.state, record.type))
    if after is None:
        what = f"version {version.number} of {log.key} is {version.state}: {record.type} is not legal"
        raise RefusedError("illegal_move", what, f"Legal now: {', '.join(legal_types(version.state)) or 'nothing'}")
    return after


def _check_in_force(log: PolicyLog, version: Version) -> None:
    if version.number != log.in_force:
        what = f"version {version.number} of {log.key} is not the one in force ({log.in_force})"
        raise RefusedError("not_in_force", what, "Name the version in force: truelift policy show KEY")


def _check_next_version(log: PolicyLog, record: Record) -> None:
    if record.rule_version != log.newest + 1:
        what = f"rule_version is {record.rule_version}, the highest of {log.key} so far is {log.newest}"
        raise RefusedError("wrong_version", what, f"The next one is {log.newest + 1}")


def _versions_remedy(log: PolicyLog) -> str:
    return "It has: " + (", ".join(f"{v.number} ({v.state})" for v in log.versions.values()) or "none")


def refuse_problems(code: str, problems: list[Problem]) -> None:
    errors = [problem for problem in problems if not problem.warning]
    if errors:
        more = f" (and {len(errors) - 1} more problems)" if len(errors) > 1 else ""
        raise RefusedError(code, f"{dotted(errors[0].path)}: {errors[0].what}{more}", errors[0].remedy)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _MIN_DIGEST_CHARS <= len(value) <= _MAX_DIGEST_CHARS and _HEX.issuperset(value)
