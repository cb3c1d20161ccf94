"""The gates of a decision, in order, as a table. Each passes with a reason in words, or stops the decision with a reason code.

A gate reads the draft (one policy, one unit, one record) and notes on it what it found out; it stores nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.contract.model import SCORE
from app.engine.bucketing import choose_variation, hash_unit, in_namespace
from app.engine.models.model import CompiledModel, Judgement
from app.engine.policies import CompiledPolicy
from app.engine.rows import Row

# What set a decision off: the policy's trigger, a due timer, or the intent signal that a timer waited for.
TRIGGERED, DUE, INTENT = "triggered", "due", "intent"


class Stop(NamedTuple):
    """The decision ends here. reason: one of the closed list of the journal."""

    reason: str
    why: str


class Occasion(NamedTuple):
    """What all decisions of one record share. base_us: where lateness counts from; signal_us: the client's own time."""

    topic: str
    partition: int
    offset: int
    unit: str
    attributes: Mapping[str, Any]  # event, context, user, session: what conditions see
    appended_us: int
    base_us: int
    signal_us: int | None
    now_us: int
    stale: bool
    allowance_us: int
    identity_pending: bool = False  # an assignment of the same person may be on its way here


class Draft:
    """A decision while its gates run: the one object of it that changes. What leaves the engine is made from it."""

    __slots__ = (
        "assigned", "bucket", "cause", "chosen_by", "decision_id", "eligible", "existing", "held", "holdout", "judgement",
        "late", "new_timer", "occasion", "pending", "policy", "variant",
    )  # fmt: skip

    def __init__(
        self,
        policy: CompiledPolicy,
        occasion: Occasion,
        cause: str,
        existing: Row | None,
        held: bool | None,
        pending: Row | None,
        decision_id: str,
    ) -> None:
        self.policy = policy
        self.occasion = occasion
        self.cause = cause
        self.existing = existing  # the assignment that binds: none that a `reassign` version set aside or one decision had
        self.held = held  # what was found of the policy's named holdout before; None: never asked
        self.pending = pending
        self.decision_id = decision_id
        self.eligible = False
        self.holdout = False
        self.assigned = False
        self.late = False
        self.bucket: float | None = None
        self.variant: str | None = None
        self.new_timer: tuple[str, int] | None = None  # (delay | wait, microseconds from now)
        self.judgement: Judgement | None = None  # what the policy's model said, if it was asked
        self.chosen_by: str | None = None  # model | weights, of a unit that is assigned now by a policy whose model chooses


def trigger(draft: Draft) -> str | Stop:
    return draft.policy.trigger_event if draft.cause == TRIGGERED else draft.cause


def kill(draft: Draft) -> str | Stop:
    """Kill, pause, and a governance log that has not answered: a kill cannot be outrun by a broken connection."""
    if draft.policy.halt is not None:
        return Stop(*draft.policy.halt)
    if draft.occasion.stale:
        return Stop("governance_stale", "no answer from the governance log within its bound")
    return "active"


def eligibility(draft: Draft) -> str | Stop:
    attributes = draft.occasion.attributes
    if draft.policy.scored:
        judgement = _judged(draft)
        if judgement.unavailable is not None:
            return Stop("model_unavailable", judgement.unavailable)
        attributes = {**attributes, SCORE: judgement.score}
    draft.eligible = draft.policy.eligible(attributes)
    return "matched" if draft.eligible else Stop("ineligible", "not matched")


def holdout(draft: Draft) -> str | Stop:
    """A unit's holdout is found once and kept, whatever becomes of the permille; an assignment made before binds."""
    named = draft.policy.holdout
    if draft.existing is not None:
        if draft.existing["holdout"]:
            draft.holdout = True
            return Stop("holdout", "held out since its assignment")
        return "assigned before"
    if draft.occasion.identity_pending:
        return "not asked yet"
    if named is None:
        return "none"
    if draft.held is not None:
        draft.holdout = draft.held
        return Stop("holdout", f"held out by {named.name} before") if draft.held else f"not held by {named.name} before"
    n = hash_unit(named.seed, draft.occasion.unit, named.hash_version)
    draft.held = draft.holdout = n is not None and n < named.share
    return Stop("holdout", f"{n} < {named.share}") if draft.holdout else f"{n} >= {named.share}"


def existing_assignment(draft: Draft) -> str | Stop:
    existing = draft.existing
    if existing is None:
        if draft.occasion.identity_pending:
            return Stop("identity_pending", "what the device was given has been asked for")
        return "none"
    draft.assigned, draft.variant, draft.bucket = True, existing["variant"], existing["bucket"]
    return f"{existing['variant']} of version {existing['rule_version']}"


def layer(draft: Draft) -> str | Stop:
    space = draft.policy.layer
    if draft.assigned:
        return "assigned before"
    if space is None:
        return "none"
    shown = f"{space[0]} [{space[1]}, {space[2]})"
    return f"in {shown}" if in_namespace(draft.occasion.unit, space) else Stop("layer_excluded", f"outside {shown}")


def coverage(draft: Draft) -> str | Stop:
    """One hash decides coverage and variant, so a ramp of coverage only ever adds units (GrowthBook's bucket ranges)."""
    if draft.assigned:
        return "assigned before"
    policy = draft.policy
    n = hash_unit(policy.seed, draft.occasion.unit, policy.hash_version)
    draft.bucket = n
    chosen = -1 if n is None else choose_variation(n, policy.ranges)
    if chosen < 0:
        return Stop("not_covered", f"{n} outside the {policy.coverage} covered")
    draft.variant = policy.variants[chosen]
    return f"{n} within the {policy.coverage} covered"


def variant(draft: Draft) -> str | Stop:
    model = draft.policy.model
    if model is not None and model.choose is not None and not draft.assigned:
        return _chosen(draft, model)
    draft.assigned = True
    assert draft.variant is not None
    return draft.variant


def _chosen(draft: Draft, model: CompiledModel) -> str | Stop:
    """By the model, or for the share of units that it is compared with by the weights, as coverage has found.

    Without a score both get the fallback: the two must differ in who chooses and in nothing else.
    """
    judgement = _judged(draft)
    if judgement.unavailable is not None:
        return Stop("model_unavailable", judgement.unavailable)
    draft.assigned = True
    seed, unit = draft.policy.seed, draft.occasion.unit
    draft.chosen_by, draft.variant = model.choice(judgement, seed, unit, draft.decision_id, draft.variant)
    return f"{draft.variant} by {draft.chosen_by}{', for this decision alone' if model.is_per_decision else ''}"


def _judged(draft: Draft) -> Judgement:
    """Once a decision."""
    if draft.judgement is None:
        assert draft.policy.model is not None
        draft.judgement = draft.policy.model.judge(draft.occasion.attributes)
    return draft.judgement


def timing(draft: Draft) -> str | Stop:
    """Slow is a treatment: a variant may wait for a time or for an intent signal before it acts."""
    if draft.cause == DUE:
        return _due(draft)
    rule = draft.policy.timings[_version_of(draft), draft.variant or ""]
    if draft.cause == INTENT and draft.pending is not None and draft.occasion.appended_us > draft.pending["expires_us"]:
        # No tick has said so yet (the worker was away): the broker's time of the intent decides, as it would have.
        return Stop("expired", "the awaited signal came after its time")
    if draft.cause == TRIGGERED and draft.pending is not None:
        reason = "waiting" if draft.pending["kind"] == "wait" else "delayed"
        return Stop(reason, f"timer {draft.pending['timer_id']} is set")
    if draft.cause == TRIGGERED and rule.wait_event is not None:
        draft.new_timer = ("wait", rule.expires_us)
        return Stop("waiting", f"for {rule.wait_event}")
    if rule.delay_us:
        draft.new_timer = ("delay", rule.delay_us)
        return Stop("delayed", f"by {rule.delay_us // 1000} ms")
    return "intent" if draft.cause == INTENT else "now"


def _due(draft: Draft) -> str | Stop:
    """Timers compare with the broker's time of the tick, an input like any other."""
    assert draft.pending is not None
    if draft.pending["kind"] == "wait":
        return Stop("expired", "the awaited signal did not come in time")
    if draft.occasion.appended_us > draft.pending["expires_us"]:
        return Stop("expired", "its time to act had passed")
    return "due"


def lateness(draft: Draft) -> str | Stop:
    """A late decision has assigned already, so that intention-to-treat stays unbiased; it only acts otherwise.

    A decision is visible only after its commit: the named allowance for it is taken off the budget.
    """
    budget_ms, occasion = draft.policy.budget_ms, draft.occasion
    if budget_ms is None:
        return "no budget"
    elapsed_us = occasion.now_us - occasion.base_us
    draft.late = elapsed_us > budget_ms * 1000 - occasion.allowance_us
    why = f"{elapsed_us // 1000} of {budget_ms} ms"
    if not draft.late:
        return why
    why = f"{why} less {occasion.allowance_us // 1000} ms for the commit"
    return f"{why}, served late" if draft.policy.serve_late else Stop("late_fallback", why)


def _version_of(draft: Draft) -> int:
    return draft.policy.rule_version if draft.existing is None else int(draft.existing["rule_version"])


Gate = Callable[[Draft], str | Stop]

GATE_TABLE: tuple[tuple[str, Gate], ...] = (
    ("trigger", trigger),
    ("kill", kill),
    ("eligibility", eligibility),
    ("holdout", holdout),
    ("existing_assignment", existing_assignment),
    ("layer", layer),
    ("coverage", coverage),
    ("variant", variant),
    ("timing", timing),
    ("lateness", lateness),
)


# What a gate that passed leaves in the journal, but for its `why` and the closing quote.
_PASSED = tuple((f'{{"gate":"{name}","passed":true,"why":"', gate) for name, gate in GATE_TABLE)
_FIRST, _ELIGIBILITY, _SETTLED, _LAST = _PASSED[:2], _PASSED[2:3], _PASSED[3:8], _PASSED[8:]


def run_gates(draft: Draft) -> tuple[Stop | None, str]:
    """The stop, if any, and every gate that ran as JSON, up to and with the first that failed.

    What the first two gates and, for a unit assigned before, the gates from holdout to variant leave in the journal depends on
    the policy snapshot and on very little else: it is remembered in the snapshot once they have passed.
    """
    policy, existing = draft.policy, draft.existing
    remembered = policy.remembered
    first = (draft.cause, draft.occasion.stale)
    text = remembered.get(first)
    if text is None:
        stop, text = _run(_FIRST, draft)
        if stop is not None:
            return stop, text
        remembered[first] = text
    stop, eligible = _run(_ELIGIBILITY, draft)
    text = f"{text},{eligible}"
    if stop is not None:
        return stop, text
    version = None if existing is None else (existing["rule_version"], existing["variant"])
    settled = None if version is None else remembered.get(version)
    if settled is not None:
        existing_assignment(draft)
    else:
        stop, settled = _run(_SETTLED, draft)
        if stop is not None:
            return stop, f"{text},{settled}"
        if version is not None:
            remembered[version] = settled
    stop, last = _run(_LAST, draft)
    return stop, f"{text},{settled},{last}"


def _run(gates: tuple[tuple[str, Gate], ...], draft: Draft) -> tuple[Stop | None, str]:
    """Every `why` is made of names of narrow charset and of numbers, so it needs no escaping."""
    text = ""
    for opening, gate in gates:
        found = gate(draft)
        if found.__class__ is not str:
            assert isinstance(found, Stop)
            return found, f'{text}{opening.replace("true", "false")}{found.why}"}}'
        text = f'{text}{opening}{found}"}},'
    return None, text[:-1]
