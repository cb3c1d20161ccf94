"""app.topic(): inside an agent a send goes to the epoch, elsewhere to Faust's own producer.

Owns: that switch. Refuses: a delivery future inside an agent, since there is none before the commit.
"""

from collections.abc import Generator
from typing import Any

from faust.topics import Topic as FaustTopic
from orjson import dumps

from app.errors import InternalError
from app.stream.epoch import NO_HEADERS
from app.stream.face.codec import encode_headers, encode_key, encode_value
from app.stream.face.unsupported import refuse
from app.stream.task import current_task


class _Pending:
    """What a send inside an agent returns."""

    def __await__(self) -> Generator[None, None, Any]:
        raise InternalError(
            "the delivery of a send inside an agent was awaited",
            "Leave the second `await` out: it is known only after the commit",
        )


PENDING = _Pending()


class Topic(FaustTopic):
    """Faust's topic with the engine room's send."""

    _sends_to: str | None = None

    async def send(
        self,
        *,
        key: Any = None,
        value: Any = None,
        partition: int | None = None,
        timestamp: float | None = None,
        headers: Any = None,
        **options: Any,
    ) -> Any:
        """timestamp in seconds. Inside an agent: appended to the epoch, visible after its commit."""
        task = current_task.get()
        if task is None:
            return await super().send(
                key=key, value=value, partition=partition, timestamp=timestamp, headers=headers, **options
            )
        if options:
            _refuse(options)
        task.emit(
            self._sends_to or self._name(),
            key.encode() if type(key) is str else encode_key(key),
            dumps(value) if type(value) is dict else encode_value(value),
            partition,
            None if timestamp is None else int(timestamp * 1000),
            encode_headers(headers) if headers else NO_HEADERS,
        )
        return PENDING

    def send_soon(
        self,
        *,
        key: Any = None,
        value: Any = None,
        partition: int | None = None,
        timestamp: float | None = None,
        headers: Any = None,
        **options: Any,
    ) -> Any:
        """The same without `await`."""
        task = current_task.get()
        if task is None:
            return super().send_soon(key=key, value=value, partition=partition, timestamp=timestamp, headers=headers, **options)
        if options:
            _refuse(options)
        task.emit(
            self._sends_to or self._name(),
            key.encode() if type(key) is str else encode_key(key),
            dumps(value) if type(value) is dict else encode_value(value),
            partition,
            None if timestamp is None else int(timestamp * 1000),
            encode_headers(headers) if headers else NO_HEADERS,
        )
        return PENDING

    def _name(self) -> str:
        if self.pattern:
            refuse("topic patterns", f"a send to {self.pattern.pattern}")
        self._sends_to = self.get_topic_name()
        return self._sends_to


def _refuse(options: dict[str, Any]) -> None:
    """Faust passes its defaults along; anything else would be dropped in silence."""
    given = sorted(name for name, value in options.items() if value)
    if given:
        raise TypeError(f"a send inside an agent does not take {', '.join(given)}")
