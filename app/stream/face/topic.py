"""app.topic(): inside an agent a send goes to the epoch, elsewhere to Faust's own producer.

Owns: that switch. Refuses: a delivery future inside an agent, since there is none before the commit.
"""

from collections.abc import Awaitable, Generator
from typing import Any

from faust.topics import Topic as FaustTopic

from app.errors import InternalError
from app.stream.epoch import NO_HEADERS
from app.stream.face.codec import encode_headers, encode_key, encode_value
from app.stream.face.unsupported import refuse
from app.stream.task import current_task


class _Pending:
    """What a send inside an agent returns."""

    def __await__(self) -> Generator[None, None, Any]:
        raise InternalError(
            "the delivery of a send inside an agent was awaited", "Leave the second `await` out: it is known only after the commit"
        )


PENDING = _Pending()


class Topic(FaustTopic):
    """Faust's topic with the engine room's send."""

    _sends_to: str | None = None

    async def send(self, **message: Any) -> Awaitable[Any]:  # type: ignore[override]
        """key, value, partition, timestamp (s), headers. Inside an agent: appended to the epoch, visible after its commit."""
        if current_task.get() is None:
            return await super().send(**message)
        return self._emit(**message)  # type: ignore[return-value]

    def send_soon(self, **message: Any) -> Any:  # type: ignore[override]
        """The same without `await`."""
        if current_task.get() is None:
            return super().send_soon(**message)
        return self._emit(**message)

    def _emit(
        self,
        key: Any = None,
        value: Any = None,
        partition: int | None = None,
        timestamp: float | None = None,
        headers: Any = None,
        callback: Any = None,
        **options: Any,
    ) -> _Pending:
        task = current_task.get()
        assert task is not None
        if callback is not None or any(option is not None and option is not False for option in options.values()):
            raise TypeError(f"a send inside an agent takes key, value, partition, timestamp and headers, not {['callback', *options]}")
        task.emit(
            self._sends_to or self._name(),
            encode_key(key),
            encode_value(value),
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
