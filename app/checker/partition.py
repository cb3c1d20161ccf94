"""The check of one partition: journal, inputs and outputs read side by side, each once, in order."""

from typing import Any, Literal

import orjson

from app.checker import ids
from app.checker.arrivals import LINKS, Arrivals, acknowledged, adoption_in, read_link, rows_of
from app.checker.followed import Followed
from app.checker.governance import Governed
from app.checker.logins import Brought, Logins
from app.checker.report import Kind
from app.checker.streams import InputStream, OutputStream
from app.checker.tally import Tally
from app.checker.timers import Timers
from app.checker.times import microseconds
from app.checker.travels import ON_THEIR_WAY, Travels
from app.checker.units import Units
from app.reading import PartitionReader, StoredRecord

JOURNAL, TICKS, ACKNOWLEDGEMENTS = "decisions", "ticks", "events.experiment_exposure"

Output = Literal["exposure", "outcome", "deadletter"]
_KINDS: dict[Output, tuple[Kind, Kind, Kind]] = {
    "exposure": ("exposure_lost", "exposure_duplicated", "exposure_unexplained"),
    "outcome": ("outcome_lost", "outcome_duplicated", "outcome_unexplained"),
    "deadletter": ("deadletter_lost", "deadletter_duplicated", "deadletter_unexplained"),
}


class PartitionCheck:
    """live: the worker still runs, so what is at the end of the topics may be unfinished.

    followed, timers: what the partition's rows must say, when it has run.
    """

    def __init__(
        self, partition: int, governed: Governed, tally: Tally, travels: Travels, logins: Logins, *, live: bool
    ) -> None:
        self._partition = partition
        self._governed = governed
        self._tally = tally
        self._live = live
        self._travels = travels
        self._logins = logins
        self._units = Units(partition, governed, tally, travels)
        self._arrivals = Arrivals()
        self.timers = Timers()
        self.followed = Followed(complete=True)
        self._named: dict[Output, dict[str, int]] = {"exposure": {}, "outcome": {}, "deadletter": {}}
        self._governance_offset = -1
        self._at = 0
        self._latest_ms = 0

    async def run(self, journal: PartitionReader, inputs: dict[str, InputStream], outputs: dict[Output, OutputStream]) -> None:
        self.followed = Followed(complete=journal.begin == 0)
        while (stored := await journal.take()) is not None:
            self._at = stored.offset
            try:
                body = orjson.loads(stored.value)
                await self._take(body, inputs, outputs)
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                self._note("unreadable", JOURNAL, self._at, f"{type(error).__name__} {error}: {stored.value[:80]!r}")
        await self._finish(inputs, outputs)

    async def _take(self, body: dict[str, Any], inputs: dict[str, InputStream], outputs: dict[Output, OutputStream]) -> None:
        topic, status = body["input"]["topic"], body["status"]
        self._tally.journal[status] += 1
        self._tally.journalled_by_topic[topic] += 1
        self._units.seen(body["unit"], status)
        self.followed.take(body)
        self._travels.journalled(body)
        self._check_governance(body)
        self._check_link_ids(body)
        record = await self._input(topic, body["input"]["offset"], inputs)
        if topic == LINKS and record is not None:
            self._take_link(body, record)
        if status == "linked" and "identity" in body:
            self._take_login(body["identity"], record)
        if status == "moved_out" and body["unit"] is not None:
            self._take_departure(body)
        place = body.get("origin", body["input"])
        said = acknowledged(topic, record) if place["topic"] == ACKNOWLEDGEMENTS and status not in ON_THEIR_WAY else None
        if said is not None:
            self._tally.acknowledgements[f"{said.get('key')}/{said.get('variant')} {_RESULTS.get(status, status)}"] += 1
        if topic == TICKS:
            self._take_tick(body)
        for decision in body["decisions"]:
            self._take_decision(body, decision)
        self._check_output_ids(body, said)
        if status == "rejected":
            source = f"{place['topic']}[{place['partition']}]@{place['offset']}"
            await self._expect("deadletter", source, outputs)
        for name in body.get("exposures", ()):
            await self._expect("exposure", name, outputs)
        for name in body.get("outcomes", ()):
            await self._expect("outcome", name, outputs)

    async def _input(self, topic: str, offset: int, inputs: dict[str, InputStream]) -> StoredRecord | None:
        stream = inputs.get(topic)
        place, record = ("absent", None) if stream is None else await stream.at(offset)
        if record is not None:
            self._latest_ms = max(self._latest_ms, record.timestamp_ms)
        elif place == "again":
            self._note("duplicated", topic, offset, f"journalled again at {self._at}")
        elif place == "late":
            self._note("out_of_order", topic, offset, f"journalled at {self._at}, after later ones")
        else:
            self._note("phantom", topic, offset, f"journalled at {self._at}, not in the topic")
        return record

    def _check_governance(self, body: dict[str, Any]) -> None:
        offset = body["governance_offset"]
        if offset < self._governance_offset:
            self._note("governance_back", JOURNAL, self._at, f"{offset} after {self._governance_offset}")
        self._governance_offset = max(offset, self._governance_offset)

    def _take_link(self, body: dict[str, Any], record: StoredRecord) -> None:
        link = read_link(record)
        if body["status"] != "moved_in" or link.get("kind") != "move":
            return
        rows = self._arrivals.take(link)
        if rows is not None:
            self._check_id("state_digest", str(body["state_digest"]), rows.digest)
            self._travels.arrived(body["unit"], rows.digest, self._partition, self._at)
            self.followed.arrive(body["unit"], rows)
            self.timers.arrived(rows.timers)

    def _take_departure(self, body: dict[str, Any]) -> None:
        moved = body["moved"]
        self._travels.left(body["unit"], moved["to"], moved["state_digest"], self._partition, self._at)
        self.timers.left(self.followed.leave(body["unit"]))

    def _take_login(self, identity: dict[str, Any], record: StoredRecord | None) -> None:
        """A device that gives what it has to its user, or a user who takes it over."""
        if "given" in identity:
            if self.followed.give(identity["anonymous"], identity):
                self.timers.left(identity["timers"])
                self._logins.gave(identity, self._partition, self._at)
            return
        link = {} if record is None else adoption_in(record)
        content = Brought(rows_of(link.get("rows", ())), self._governed.draws_anew)
        policies = {entry["policy"] for entry in identity["settled"]} | content.arms.keys()
        self._logins.brought(identity, content, self._partition, self._at)
        own = self._units.arms(identity["user"], policies)
        self._logins.settled(identity, content, own, self._governed.draws_anew, self._partition, self._at)
        self._units.adopt(identity)
        self.followed.adopt(identity["user"], identity, {policy: name for policy, (name, _) in content.arms.items()})
        self.timers.arrived({timer["timer_id"]: timer["due_ts"] for timer in identity["timers_set"]})

    def _check_link_ids(self, body: dict[str, Any]) -> None:
        named = body["input"]
        for ordinal, link in enumerate(body.get("links", ())):
            made = ids.link_id(named["topic"], named["partition"], named["offset"], body["unit"] or "", ordinal)
            self._check_id("link_id", link["link_id"], made)

    def _take_tick(self, body: dict[str, Any]) -> None:
        if body["status"] in ("moved_out", "moved_in"):
            self._tally.moved_by_ticks += 1
            return
        if body["status"] != "fired":
            self._tally.poisoned_ticks += 1
            return
        self._tally.fired += 1
        if not self.timers.fired(body["timer_id"]):
            self._note("timer_duplicated", JOURNAL, self._at, f"timer {body['timer_id']} was not waiting")

    def _take_decision(self, body: dict[str, Any], decision: dict[str, Any]) -> None:
        self._tally.reasons[decision["reason"]] += 1
        if self.followed.units[body["unit"]].user is not None:
            self._note("device_decided", JOURNAL, self._at, f"{body['unit']} was decided for after its login")
        self._check_decision_ids(body, decision)
        self.timers.decided(decision)
        moved = self._units.moved(body["unit"], decision)
        if moved is not None:
            self._note("rerolled", JOURNAL, self._at, moved)
        treated = decision["action"] is not None and decision["reason"] != "late_fallback"
        offset = body["governance_offset"]
        if treated and self._governed.halted(decision["policy"], decision["decision_point"], offset):
            what = f"{decision['policy']} treated {body['unit']} at governance offset {offset}"
            self._note("treated_after_halt", JOURNAL, self._at, what)
        if treated and self._governed.stale(offset, microseconds(body["latency"]["appended_ts"]) // 1000):
            what = f"{decision['policy']} treated {body['unit']} by the log up to {offset}"
            self._note("stale_treated", JOURNAL, self._at, what)

    def _check_decision_ids(self, body: dict[str, Any], decision: dict[str, Any]) -> None:
        named, policy = body.get("origin", body["input"]), decision["policy"]
        made = ids.decision_id(named["topic"], named["partition"], named["offset"], policy)
        self._check_id("decision_id", decision["decision_id"], made)
        if decision["assignment_id"] is not None:
            self._check_id("assignment_id", decision["assignment_id"], self._assignment_id(body["unit"], decision, made))
        for ordinal, timer in enumerate(decision["timers_set"]):
            self._check_id("timer_id", timer["timer_id"], ids.timer_id(made, ordinal))

    def _assignment_id(self, name: str, decision: dict[str, Any], made: str) -> str:
        """made: the decision's id."""
        policy, version = decision["policy"], decision["rule_version"]
        if decision["assigned"] and not decision["sticky"] and self._governed.draws_anew(policy, version):
            return ids.own_assignment_id(made)
        unit = self.followed.made_for(name, policy, decision["assignment_id"])
        return ids.assignment_id(unit, policy, version)

    def _check_output_ids(self, body: dict[str, Any], said: dict[str, Any] | None) -> None:
        assignments = [decision["assignment_id"] for decision in body["decisions"]]
        if said is not None:
            assignments.append(said.get("assignment_id"))
        possible = {ids.exposure_id(assignment) for assignment in assignments if assignment is not None}
        for name in body.get("exposures", ()):
            if name not in possible:
                self._note("wrong_id", JOURNAL, self._at, f"exposure_id {name} follows from no assignment of the record")
        for name in body.get("outcomes", ()):
            self._check_id("outcome_id", name, ids.outcome_id(body["input"]["event_id"], body["unit"]))

    def _check_id(self, field: str, found: str, made: str) -> None:
        if found != made:
            self._note("wrong_id", JOURNAL, self._at, f"{field} is {found}, its inputs give {made}")

    async def _expect(self, output: Output, name: str, outputs: dict[Output, OutputStream]) -> None:
        lost, duplicated, _ = _KINDS[output]
        named, stream = self._named[output], outputs[output]
        before_ms = named.get(name)
        # An event id may come again after its window; an assignment is exposed once for all.
        window_ms = self._governed.dedup_window_seconds * 1000 if output == "outcome" else None
        if before_ms is not None and (window_ms is None or self._latest_ms - before_ms < window_ms):
            self._note(duplicated, JOURNAL, self._at, f"{output} {name} is named again")
        named[name] = self._latest_ms
        found = await stream.expect(name)
        for extra, extra_name in found.extra:
            self._note_extra(output, extra.offset, extra_name)
        if found.record is None:
            self._note(lost, stream.name, self._at, f"the journal names {output} {name}, the topic has no such record")
        else:
            _COUNTS[output](self._tally, found.body)

    def _note_extra(self, output: Output, offset: int, name: str) -> None:
        _, duplicated, unexplained = _KINDS[output]
        kind = duplicated if name in self._named[output] else unexplained
        self._note(kind, f"{output}s", offset, f"{output} {name or 'without an id'}")

    async def _finish(self, inputs: dict[str, InputStream], outputs: dict[Output, OutputStream]) -> None:
        for name, stream in inputs.items():
            if name != TICKS:
                await self._finish_input(stream)
        ticks = inputs.get(TICKS)
        if ticks is not None:
            await self._finish_ticks(ticks)
        if not self._live:
            for output, rest in outputs.items():
                for extra, name in await rest.rest():
                    self._note_extra(output, extra.offset, name)
        exposures = map(ids.exposure_id, self.followed.carried)
        self._logins.exposed((name for name in exposures if name in self._named["exposure"]), self._partition)
        self._units.finish()

    async def _finish_input(self, stream: InputStream) -> None:
        left = await stream.rest()
        self._tally.inputs[stream.name] += stream.count
        for offset in stream.skipped:
            self._note("lost", stream.name, offset, "no journal record, later ones have one")
        if stream.lost_beyond:
            self._note("lost", stream.name, -1, "more of the same", stream.lost_beyond)
        if left and self._live:
            self._tally.waiting += left
        elif left:
            what = f"the last {left} inputs have no journal record"
            self._note("lost", stream.name, -1 if stream.last is None else stream.last.offset + 1, what, left)

    async def _finish_ticks(self, ticks: InputStream) -> None:
        if ticks.last is not None:
            self.timers.ticked(ticks.last.timestamp_ms)
        await ticks.rest(lambda stored: self.timers.ticked_until(stored.timestamp_ms, self._latest_ms))
        self._tally.ticks += ticks.count
        for timer, due in self.timers.overdue(self._latest_ms):
            self._note("timer_lost", JOURNAL, self._at, f"timer {timer}, due at {due}")

    def _note(self, kind: Kind, topic: str, offset: int, what: str, count: int = 1) -> None:
        self._tally.note(kind, topic, self._partition, offset, what, count)


_RESULTS = {"exposed": "accepted", "duplicate": "duplicate", "rejected": "refused"}


def _count_exposure(tally: Tally, body: dict[str, Any]) -> None:
    tally.exposures[f"{body['experiment']['key']}/{body['experiment']['variant']}"] += 1


def _count_outcome(tally: Tally, body: dict[str, Any]) -> None:
    for joined in body["assignments"]:
        tally.outcomes[f"{joined['policy']}/{'(held out)' if joined['holdout'] else joined['variant']}"] += 1


def _count_deadletter(tally: Tally, body: dict[str, Any]) -> None:
    tally.deadletters[body["reason"]] += 1


_COUNTS = {"exposure": _count_exposure, "outcome": _count_outcome, "deadletter": _count_deadletter}
