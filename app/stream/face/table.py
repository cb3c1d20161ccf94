"""app.Table(): Faust's mapping with JSON values, and the same rows as raw bytes for the hot path.

Owns: both faces. Inside an agent they see the group's own epoch over its store; outside, what this worker's groups committed.
Refuses: writes outside of an agent, windows, and iteration order other than the keys'.
"""

from collections.abc import Iterator
from typing import Any

from faust.tables.table import Table as FaustTable
from orjson import dumps, loads

from app.errors import InternalError
from app.stream.face.codec import encode_key
from app.stream.face.unsupported import refuse
from app.stream.task import PartitionTask, current_task

# Sorts after every key that is text.
LAST_KEY = b"\xff" * 16


class Table(FaustTable[Any, Any]):
    """Rows of this worker's partition groups. `index` is the table's number among the app's."""

    index = -1

    # -- raw bytes

    def get_bytes(self, key: bytes) -> bytes | None:
        """The row, or None."""
        task = current_task.get()
        if task is not None:
            return task.read(self.index, key)
        for task in self._groups():
            value = task.stores[self.index].read(key)
            if value is not None:
                return value
        return None

    def put_bytes(self, key: bytes, value: bytes) -> None:
        """Put the row into the epoch."""
        self._writer().write(self.index, key, value)

    def delete_bytes(self, key: bytes) -> None:
        """Delete the row; one that is not there is no error."""
        self._writer().write(self.index, key, None)

    def scan(self, lo: bytes, hi: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with lo <= key < hi, in key order. Outside of agents: over all groups of this worker."""
        task = current_task.get()
        if task is not None:
            return task.scan(self.index, lo, hi, limit)
        found = [row for task in self._groups() for row in task.stores[self.index].scan(lo, hi, limit)]
        return sorted(found)[:limit]

    # -- Faust's mapping, with JSON values

    def __getitem__(self, key: Any) -> Any:
        raw = key.encode() if type(key) is str else _key(key)
        task = current_task.get()
        value = self.get_bytes(raw) if task is None else task.read(self.index, raw)
        return self.__missing__(key) if value is None else loads(value)

    def __setitem__(self, key: Any, value: Any) -> None:
        raw = key.encode() if type(key) is str else _key(key)
        (current_task.get() or self._writer()).write(self.index, raw, dumps(value))

    def __delitem__(self, key: Any) -> None:
        raw = _key(key)
        if self.get_bytes(raw) is None:
            raise KeyError(key)
        self.delete_bytes(raw)

    def __contains__(self, key: object) -> bool:
        return self.get_bytes(_key(key)) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        value = self.get_bytes(_key(key))
        return default if value is None else loads(value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        value = self.get_bytes(_key(key))
        if value is not None:
            return loads(value)
        self[key] = default
        return default

    def pop(self, key: Any, *default: Any) -> Any:
        value = self.get_bytes(_key(key))
        if value is None:
            if default:
                return default[0]
            raise KeyError(key)
        self.delete_bytes(_key(key))
        return loads(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def clear(self) -> None:
        for key in self.keys():
            del self[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._rows())

    def keys(self) -> list[str]:  # type: ignore[override]
        return [key.decode() for key, _ in self._rows()]

    def values(self) -> list[Any]:  # type: ignore[override]
        return [loads(value) for _, value in self._rows()]

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        return [(key.decode(), loads(value)) for key, value in self._rows()]

    def using_window(self, *args: Any, **kwargs: Any) -> Any:
        refuse("windows", f"table {self.name}")

    hopping = tumbling = using_window

    # -- where the rows are

    def _rows(self) -> list[tuple[bytes, bytes]]:
        return self.scan(b"", LAST_KEY, 1 << 62)

    def _groups(self) -> list[PartitionTask]:
        return list(self.app.room_tasks())  # type: ignore[attr-defined]

    def _writer(self) -> PartitionTask:
        task = current_task.get()
        if task is None:
            raise InternalError(
                f"table {self.name} was written outside of an agent", "Send a record to an agent that writes it"
            )
        return task


def _key(key: Any) -> bytes:
    raw = encode_key(key)
    if raw is None:
        raise TypeError("a table has no row None")
    return raw
