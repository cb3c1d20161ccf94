"""The ramp: from one approved step to the next, when nothing stands in the way. A table of what may stand there.

Owns the conditions. Refuses to skip a step, to go down, and to look at outcomes that are no guardrail's: whether the treatment
is any good is for looks to say. That the step is one of those approved is judged by every fold once more.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from app.analysis.alarms import Alarm
from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue
from app.contract.times import HOUR_US, format_us
from app.governance.log import Judged
from app.governance.state import PolicyLog
from app.guardian.evidence import Counts, Judgement, judge
from app.guardian.guardian import is_treating
from app.guardian.ledger import Span
from app.guardian.shift import Shift

# Every step is seen through a whole day before the next: users of the night are not those of the morning.
STEP_SECONDS = 86_400
# A guardian that has not judged for so long is not running: its silence says nothing.
GUARDIAN_SECONDS = 3 * 3_600
_STEP_US, _GUARDIAN_US = STEP_SECONDS * 1_000_000, GUARDIAN_SECONDS * 1_000_000


class Situation(NamedTuple):
    """What a step is decided by. history: applied governance records, oldest first. judged_us: up to where the guardian has
    judged. synced_us: up to when the warehouse holds all records, None if never; alarms: read from it."""

    policy: PolicyLog
    history: Sequence[Judged]
    counts: Counts
    judged_us: int
    synced_us: int | None
    alarms: Sequence[Alarm]
    now_us: int

    @property
    def step_us(self) -> int:
        """When the step that is in force began."""
        began = [one.append_us for one in self.history if one.record is not None and one.record.seq == self.policy.phase]
        return began[-1] if began else self.now_us


def next_step(policy: PolicyLog) -> int | None:
    """Permille; None: there is none, or nobody is treated."""
    version = policy.current
    if version is None or not is_treating(policy):
        return None
    return next((step for step in version.policy.ramp if step > policy.coverage_permille), None)


def in_the_way(situation: Situation) -> list[str]:
    """Every reason not to go on now; none: the step may be taken."""
    return [said for condition in CONDITIONS for said in condition(situation)]


def _active(now: Situation) -> Iterator[str]:
    if not is_treating(now.policy):
        version = now.policy.current
        yield "no version is in force" if version is None else f"version {version.number} is {version.state}, or a shadow"


def _day_over(now: Situation) -> Iterator[str]:
    if now.now_us < now.step_us + _STEP_US:
        yield f"{now.policy.coverage_permille} permille have been seen through a day only at {_shown(now.step_us + _STEP_US)}"


def _guardian_awake(now: Situation) -> Iterator[str]:
    if now.judged_us < now.now_us - _GUARDIAN_US:
        until = f"until {_shown(now.judged_us)} only" if now.judged_us else "nothing yet"
        yield f"the guardian has judged {until}: is it running?"


def _guardrails_clean(now: Situation) -> Iterator[str]:
    """Each guardrail must have been looked at in this version, and none be breached."""
    version = now.policy.current
    if version is None:
        return
    found = list(_judged(now))
    seen = {one.role for one in found}
    for number, guardrail in enumerate(version.policy.guardrails):
        if f"guardrail[{number}]" not in seen:
            yield f"the guardrail {guardrail.metric} has counted nobody yet"
    yield from (f"the guardrail {one.metric} is not clean" for one in found if one.is_breach)


def _judged(now: Situation) -> Iterator[Judgement | Shift]:
    version = now.policy.current
    assert version is not None
    return judge(now.counts, version.policy, version.number, Span(0, now.judged_us // HOUR_US * HOUR_US))


def _holdout_stable(now: Situation) -> Iterator[str]:
    """The named holdout keeps its seed and size while the policy treats; a catalogue record replaces the whole catalogue."""
    version = now.policy.current
    name = None if version is None else version.policy.holdout
    if name is None:
        return
    held, treats = DEFAULT_CATALOGUE.holdouts.get(name), False
    for record in (one.record for one in now.history if one.record is not None):
        if record.type in ("activated", "rolled_back") and record.policy == now.policy.key:
            treats = True
        elif record.type == "catalogue":
            changed = Catalogue.model_validate(record.body).holdouts.get(name)
            if treats and changed != held:
                yield f"the holdout {name} was changed by record {record.seq}, while the policy was in force"
            held = changed


def _data_sound(now: Situation) -> Iterator[str]:
    if now.synced_us is None or now.synced_us < now.step_us + _STEP_US:
        yield f"the warehouse does not hold the step's first day yet: sync it after {_shown(now.step_us + _STEP_US)}"
    for alarm in now.alarms:
        if alarm.fires and alarm.invalidates in ("verdict", "holdout"):
            yield f"alarm: {alarm.name} ({alarm.subject})"


CONDITIONS: tuple[Callable[[Situation], Iterator[str]], ...] = (
    _active,
    _day_over,
    _guardian_awake,
    _guardrails_clean,
    _holdout_stable,
    _data_sound,
)


def _shown(at_us: int) -> str:
    return format_us(at_us)[:16] + "Z"
