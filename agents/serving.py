"""What every agent does with a record: ask the engine, keep its rows, append its outputs. Plumbing; it decides nothing.

The agent's epoch holds rows and outputs back until one transaction commits them with the consumed offset.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from app.engine.policies import Policies
from app.engine.process import process, process_poison
from app.engine.values import InputRecord, Moment, Step
from tables.unit_state import UnitState


class View(NamedTuple):
    """What the moment gives: the policies in force and whether they may still be trusted."""

    policies: Policies
    stale: bool


class Serving:
    """One for each worker. `names`: cluster topic -> the contract's name. `send`: appends to an output of the current epoch."""

    def __init__(
        self,
        state: UnitState,
        view: Callable[[], View],
        names: Mapping[str, str],
        outputs: Mapping[str, Any],
    ) -> None:
        self._state = state
        self._view = view
        self._names = names
        self._outputs = outputs

    def serve(self, message: Any) -> None:
        """All Steps of one consumed record. An exception here is of our code: the engine room sets the record aside."""
        policies, stale = self._view()
        record = self._record(message)
        self._keep(process(record, self._state, policies, _now(stale)), record.partition)

    def serve_poison(self, message: Any, error: Exception) -> None:
        """A record on which `serve` raised: journalled and dead-lettered in the place where it stood."""
        policies, stale = self._view()
        record = self._record(message)
        self._keep((process_poison(record, policies, _now(stale)),), record.partition)

    def _record(self, message: Any) -> InputRecord:
        return InputRecord(
            self._names[message.topic],
            message.partition,
            message.offset,
            message.timestamp * 1000,
            message.key,
            message.value if message.value is not None else b"",
        )

    def _keep(self, steps: Iterable[Step], partition: int) -> None:
        for outputs, writes in steps:
            self._state.store(writes)
            for topic, key, value, elsewhere in outputs:
                self._outputs[topic].send_soon(key=key, value=value, partition=partition if elsewhere is None else elsewhere)


def _now(stale: bool) -> Moment:
    return Moment(time.time_ns() // 1000, stale)
