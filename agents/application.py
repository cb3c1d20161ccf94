"""The composition root: puts agents, tables, topics and the view of the governance log together into one Faust app.

One way through the worker: topic -> agent (agents/*.py) -> Serving -> engine -> rows and outputs -> one transaction.

"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from agents import (
    activation_milestone,
    billing_intent,
    catalogue_types,
    deliveries,
    error_or_latency,
    exposures,
    feature_used,
    identify,
    links,
    page_view,
    ticks,
)
from agents.figures import governance_families
from agents.growth import Growth
from agents.journal_tail import JournalTail
from agents.replies import Replier
from agents.serving import Serving, View
from app.contract.topics import DEADLETTER, EXPOSURES, IDENTITY_LINKS, JOURNAL, OUTCOMES, TICKS
from app.engine.values import TABLES
from app.governance.follower import GovernanceFollower
from app.governance.keys import root_public_key
from app.settings import Settings
from app.stream import exits
from app.stream.config import StreamSettings, Topology
from app.stream.face.app import App
from app.stream.face.stream import Message
from app.stream.families import Family
from tables.unit_state import UnitState

AGENTS: Mapping[str, Any] = {
    page_view.TOPIC: page_view.page_view,
    feature_used.TOPIC: feature_used.feature_used,
    activation_milestone.TOPIC: activation_milestone.activation_milestone,
    billing_intent.TOPIC: billing_intent.billing_intent,
    error_or_latency.TOPIC: error_or_latency.error_or_latency,
    exposures.TOPIC: exposures.exposures,
    deliveries.TOPIC: deliveries.deliveries,
    identify.TOPIC: identify.identify,
    links.TOPIC: links.links,
    ticks.TOPIC: ticks.ticks,
}
OUTPUTS = (JOURNAL, EXPOSURES, OUTCOMES, DEADLETTER, IDENTITY_LINKS)


def inputs_of(event_types: Collection[str]) -> dict[str, Any]:
    """Topic -> the agent that serves it, for a catalogue with these types."""
    others = catalogue_types.topics(event_types, AGENTS)
    return {**AGENTS, **dict.fromkeys(others, catalogue_types.catalogue_types)}


class TrueliftApp(App):
    """The app of a worker. `serving` is what its agents call, `governance` the view that it decides by."""

    def __init__(self, settings: Settings, governance: GovernanceFollower, **changes: Any) -> None:
        """governance: started. The types of its catalogue are served; one that comes later is served after a renewal."""
        self.truelift = settings
        self.governance = governance
        self.event_types = frozenset(governance.policies.catalogue.event_types)
        self._journal = JournalTail(settings)
        self._partitions = 0
        self.replier = Replier(settings)
        super().__init__(
            settings.app_id,
            StreamSettings.of(settings, **changes),
            on_poison=self._set_aside,
            before_assigned=self._before_assigned,
            recover_offsets=self._journal.next_offsets,
            after_commit=self.replier.send,
        )
        governance.on_failure = partial(exits.die, "the governance log cannot be followed")
        self.growth = Growth(self)
        self._declare()

    def _declare(self) -> None:
        name = self.truelift.topic
        inputs = inputs_of(self.event_types)
        for topic, agent in inputs.items():
            self.agent(self.topic(name(topic), key_type=bytes, value_type=bytes), name=f"{agent.__module__}:{topic}")(agent)
        outputs = {topic: self.topic(name(topic), key_type=bytes, value_type=bytes) for topic in OUTPUTS}
        tables = {table: self.Table(table, key_type=bytes, value_type=bytes) for table in TABLES}
        names = {name(topic): topic for topic in inputs}
        self.serving = Serving(UnitState(tables), self._view, names, outputs, self.note_for_commit)
        self.clock = ticks.Clock(self, self.topic(name(TICKS), value_type=bytes))

        @self.timer(interval=ticks.TICK_SECONDS, on_leader=False)  # type: ignore[untyped-decorator]
        async def append_ticks() -> None:
            self.growth.tend()
            await self.clock.append()

    def topology(self) -> Topology:
        # Not every topic that is declared: of an input a worker needs no more than to read it, and so has no right to more.
        outputs = dict.fromkeys(self.truelift.topic(topic) for topic in OUTPUTS)
        group_count = self.growth.group_count
        return super().topology()._replace(outputs=outputs, copartitioned=list(outputs), group_count=group_count)

    def more_status(self) -> dict[str, Any]:
        """On the status page: the governance log as this worker sees it, with what it ignored, counted by code."""
        governance = self.governance
        return {
            "governance": {
                "offset": governance.policies.offset,
                "age_seconds": round(governance.age_seconds(), 3),
                "stale": governance.stale(),
                "ignored": governance.refused(),
            },
            "unserved_event_types": sorted(missing_types(self)),
            "replies": dict(self.replier.counts),
        }

    def more_families(self) -> Iterator[Family]:
        return governance_families(self.governance, len(missing_types(self)))

    def _view(self) -> View:
        governance = self.governance
        return View(governance.policies, governance.stale(), self._partitions)

    def _set_aside(self, message: Message, error: Exception) -> None:
        self.serving.serve_poison(message, error)

    async def _before_assigned(self, partitions: set[int]) -> None:
        """The log is read to its end, and at least as far as each partition's journal has been decided by."""
        if not self._partitions and self.room is not None:
            self._partitions = self.room.groups  # never again: more groups come only with a count that governance tells
        await self.governance.catch_up(await self._journal.last_governance_offset(partitions))

    async def on_stop(self) -> None:
        await super().on_stop()
        await self.replier.stop()
        await self.governance.stop()


async def build(settings: Settings, **changes: Any) -> TrueliftApp:
    """The app for the catalogue as it stands now, its governance log read to the end. OperatorError when it cannot be read."""
    governance = GovernanceFollower(settings, root_public_key(settings))
    await governance.start()
    bounds = governance.policies.catalogue.bounds
    poison = {"poison_limit": bounds.poison_limit, "poison_window_seconds": bounds.poison_window_seconds}
    return TrueliftApp(settings, governance, **poison | changes)


def missing_types(app: TrueliftApp) -> set[str]:
    """Types of the catalogue that this worker does not serve yet."""
    return {name for name in app.governance.policies.catalogue.event_types if name not in app.event_types}
