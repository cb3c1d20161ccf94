"""What every agent does with a record: ask the engine, keep its rows, append its outputs. Plumbing; it decides nothing.

The agent's epoch holds rows and outputs back until one transaction commits them with the consumed offset.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from agents.replies import Reply
from app.contract.replies import reply_to
from app.engine.policies import Policies
from app.engine.process import process, process_poison
from app.engine.values import InputRecord, Moment, Step
from tables.unit_state import UnitState

Headers = Iterable[tuple[str, bytes]]


class View(NamedTuple):
    """What the moment gives: the policies in force and whether they may still be trusted.

    partitions: of an input topic when this worker began; once governance speaks of the count, the engine goes by that.
    """

    policies: Policies
    stale: bool
    partitions: int

    def moment(self) -> Moment:
        return Moment(time.time_ns() // 1000, self.stale, self.partitions)


class Serving:
    """One for each worker. `names`: cluster topic -> the contract's name.

    after_commit: takes the copy of a journal record for an edge that waits, to be sent once it is committed.
    """

    def __init__(
        self,
        state: UnitState,
        view: Callable[[], View],
        names: Mapping[str, str],
        outputs: Mapping[str, Any],
        after_commit: Callable[[Reply], None],
    ) -> None:
        self._state = state
        self._view = view
        self._names = names
        self._outputs = outputs
        self._after_commit = after_commit

    def serve(self, message: Any) -> None:
        """All Steps of one consumed record. An exception here is of our code: the engine room sets the record aside."""
        view = self._view()
        record = self._record(message)
        self._keep(process(record, self._state, view.policies, view.moment()), record.partition, message.headers)

    def serve_poison(self, message: Any, error: Exception) -> None:
        """A record on which `serve` raised: journalled and dead-lettered in the place where it stood."""
        view = self._view()
        record = self._record(message)
        self._keep((process_poison(record, view.policies, view.moment()),), record.partition, message.headers)

    def _record(self, message: Any) -> InputRecord:
        return InputRecord(
            self._names[message.topic],
            message.partition,
            message.offset,
            message.timestamp * 1000,
            message.key,
            message.value if message.value is not None else b"",
        )

    def _keep(self, steps: Iterable[Step], partition: int, headers: Headers) -> None:
        asked = reply_to(headers) if headers else None
        for outputs, writes in steps:
            self._state.store(writes)
            for topic, key, value, elsewhere in outputs:
                if elsewhere is None:
                    self._outputs[topic].send_soon(key=key, value=value, partition=partition)
                else:  # who waits for the answer gets it from there
                    passed_on = None if asked is None else (asked.header(),)
                    self._outputs[topic].send_soon(key=key, value=value, partition=elsewhere, headers=passed_on)
            if asked is not None:
                self._after_commit(Reply(asked, outputs[0].value))
