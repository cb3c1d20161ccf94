"""What an agent sees of the stream: typed faces of Faust's objects, whose own types are dynamic."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from agents.serving import Serving
from app.governance.follower import GovernanceFollower


class Event(Protocol):
    """message: topic, partition, offset, timestamp (ms), key, value, headers."""

    message: Any


class ServingApp(Protocol):
    serving: Serving
    governance: GovernanceFollower


class Stream(Protocol):
    app: ServingApp

    def events(self) -> AsyncIterator[Event]: ...
