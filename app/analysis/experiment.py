"""One policy's story, as the governance table tells it: its versions, what became of them, and what may be compared.

Owns the fold of the table's rows (the log's own fold judged them before they were stored: refused ones are left out). Refuses
a lift of what is no experiment.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from app.contract.policy import Policy
from app.contract.times import parse_us
from app.errors import CallerError, OperatorError
from app.warehouse.lake import Lake

RUNNING = frozenset({"active", "paused"})
GUARDIAN = "guardian"


class Governed(NamedTuple):
    """A row of the governance table. at_us: the broker's time."""

    type: str
    policy: str
    rule_version: int
    body: Mapping[str, Any]
    role: str
    reason: str
    at_us: int


@dataclass
class Version:
    """state: proposed | approved | active | paused | killed | retired | superseded. *_us None: it never was, or still is."""

    number: int
    policy: Policy
    state: str = "proposed"
    activated_us: int | None = None
    ended_us: int | None = None

    @property
    def compares(self) -> bool:
        """Whether it has arms to hold against each other."""
        return len(self.policy.arms()) > 1

    @property
    def is_lifted(self) -> bool:
        """Whether it is one that a lift can be claimed of."""
        return self.activated_us is not None and self.policy.kind == "experiment" and self.policy.mode == "live"


@dataclass
class Story:
    """All versions of one policy. guardian_said: the reason of the guardian's pause, while nobody has resumed. looks: up to
    which moment was looked -> whether that was planned."""

    key: str
    versions: dict[int, Version] = field(default_factory=dict)
    guardian_said: str | None = None
    looks: dict[int, bool] = field(default_factory=dict)

    @property
    def activated(self) -> list[Version]:
        return [version for version in self.versions.values() if version.activated_us is not None]

    @property
    def newest_lifted(self) -> Version | None:
        return max(
            (version for version in self.activated if version.is_lifted), key=lambda version: version.number, default=None
        )

    def take(self, record: Governed) -> None:
        effect = _EFFECTS.get(record.type)
        if effect is not None:
            effect(self, record)


class Experiment(NamedTuple):
    """What a lift is about: the newest live version, with those before it that treated and measured alike.

    left_out: versions that did not. ended_us None: it runs. weights: version -> variant -> weight. reassigning: versions that
    may move a person to another arm. by_hand_us: looks that no plan had; each has spent alpha.
    """

    key: str
    policy: Policy
    first_version: int
    last_version: int
    weights: Mapping[int, Mapping[str, float]]
    started_us: int
    ended_us: int | None
    guardian_said: str | None
    left_out: tuple[int, ...]
    reassigning: frozenset[int] = frozenset()
    by_hand_us: tuple[int, ...] = ()

    @property
    def is_of_a_model(self) -> bool:
        """Its arms are who chose, not what was chosen."""
        return self.policy.model is not None and self.policy.model.choose is not None

    @property
    def is_per_decision(self) -> bool:
        """The unit of analysis is then the decision: a person may be in every arm."""
        return self.policy.per_decision

    @property
    def arms(self) -> list[str]:
        """In the policy's order: the first is the control."""
        return self.policy.arms()

    @property
    def is_about_timing(self) -> bool:
        """Arms that act at different times are not shown to the same people: who leaves earlier never sees the later one."""
        timings = [self.policy.timing_of(variant.key) for variant in self.policy.variants]
        return any(timing != timings[0] for timing in timings)


def stories(lake: Lake) -> dict[str, Story]:
    """Of every policy that was ever proposed, by key."""
    found: dict[str, Story] = {}
    for record in _records(lake):
        found.setdefault(record.policy, Story(record.policy)).take(record)
    return found


def experiment(found: Mapping[str, Story], key: str) -> Experiment:
    """CallerError: a policy that there is not, or one of which no lift can be claimed."""
    story = found.get(key)
    if story is None:
        near = difflib.get_close_matches(key, found, n=1)
        known = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(found)) or 'none; sync first'}"
        raise CallerError(f"the warehouse knows no policy {key!r}", known)
    newest = story.newest_lifted
    if newest is None:
        kinds = ", ".join(sorted({f"{v.policy.kind}, {v.policy.mode}" for v in story.activated})) or "never activated"
        raise CallerError(
            f"no version of {key} is a live experiment ({kinds}), so no lift can be claimed of it",
            "Only what was compared at random can be: run it as an experiment with a control",
        )
    if not newest.compares:
        raise CallerError(f"{key} has a single arm", "There is nothing to compare it with: give it a control")
    alike = list(_alike(story, newest))
    first = alike[-1]
    return Experiment(
        key,
        newest.policy,
        first.number,
        newest.number,
        {v.number: v.policy.arm_weights() for v in alike},
        min(v.activated_us for v in alike if v.is_lifted and v.activated_us is not None),
        None if newest.state in RUNNING else newest.ended_us,
        story.guardian_said,
        tuple(v.number for v in story.activated if v.is_lifted and v.number < first.number),
        frozenset(v.number for v in alike if v.policy.reassign),
        tuple(sorted(at_us for at_us, planned in story.looks.items() if not planned)),
    )


def _alike(story: Story, newest: Version) -> Iterator[Version]:
    """From the newest back, as long as versions treat and measure as it does. A shadow phase before it belongs to it: people
    keep the variant that was drawn for them then."""
    for version in reversed(story.activated):
        if version.number > newest.number:
            continue
        if _treatment(version.policy) != _treatment(newest.policy):
            return
        yield version


def _treatment(policy: Policy) -> tuple[Any, ...]:
    arms = {variant.key: (variant.action.wire(), policy.timing_of(variant.key)) for variant in policy.variants}
    return policy.kind, arms, policy.outcomes, policy.guardrails, policy.model


def _records(lake: Lake) -> Iterator[Governed]:
    rows = lake.rows(
        "SELECT type, policy, rule_version, body, role, reason, epoch_us(recorded_ts) FROM raw.governance "
        "WHERE refusal IS NULL AND policy IS NOT NULL ORDER BY kafka_offset"
    )
    for record_type, policy, version, body, role, reason, at_us in rows:
        yield Governed(record_type, policy, version, orjson.loads(body), role, reason, at_us)


# --- what each record does to the story ------------------------------------------------------------------------------------


def _proposed(story: Story, record: Governed) -> None:
    try:
        policy = Policy.model_validate(record.body)
    except ValidationError as error:
        raise OperatorError(
            f"the body of {record.policy} version {record.rule_version} is not known here: {error.errors()[0]['msg']}",
            "Upgrade Truelift: a newer one wrote it",
        ) from None
    story.versions[record.rule_version] = Version(record.rule_version, policy)


def _rolled_back(story: Story, record: Governed) -> None:
    story.versions[record.rule_version] = Version(record.rule_version, story.versions[record.body["to"]].policy)
    _activated(story, record)


def _activated(story: Story, record: Governed) -> None:
    for version in _running(story):
        version.state, version.ended_us = "superseded", record.at_us
    version = story.versions[record.rule_version]
    version.state, version.activated_us, version.ended_us = "active", record.at_us, None
    story.guardian_said = None


def _resumed(story: Story, record: Governed) -> None:
    version = story.versions[record.rule_version]
    version.state, version.ended_us = "active", None
    story.guardian_said = None


def _paused(story: Story, record: Governed) -> None:
    story.versions[record.rule_version].state = "paused"
    if record.role == GUARDIAN:
        story.guardian_said = record.reason


def _ended(story: Story, record: Governed) -> None:
    version = story.versions[record.rule_version]
    version.state = record.type
    if version.ended_us is None:  # a kill that is followed by the end of the policy ended the treatment
        version.ended_us = record.at_us


def _looked(story: Story, record: Governed) -> None:
    """A record that does not say what it looked at was a look at everything until then."""
    at = record.body.get("at")
    story.looks[parse_us(at) if isinstance(at, str) else record.at_us] = record.body.get("planned") is True


def _running(story: Story) -> Iterable[Version]:
    return [version for version in story.versions.values() if version.state in RUNNING]


_EFFECTS = {
    "proposed": _proposed,
    "rolled_back": _rolled_back,
    "activated": _activated,
    "resumed": _resumed,
    "paused": _paused,
    "killed": _ended,
    "retired": _ended,
    "looked": _looked,
}
