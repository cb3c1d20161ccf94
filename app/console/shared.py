"""What the pages of one console share, put together in application.py and handed to each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.console.attempts import Attempts
from app.console.changes import Changes
from app.console.feeding import Feeding
from app.console.governed import GovernedView
from app.console.groups import GroupsView
from app.console.locked_keys import LockedKeys
from app.console.reports import Reports
from app.console.sessions import Session, Sessions
from app.console.store import ReadModel
from app.console.workers import WorkersView
from app.settings import Settings


@dataclass
class Shared:
    settings: Settings
    model: ReadModel
    changes: Changes
    governed: GovernedView
    feeding: Feeding
    groups: GroupsView
    workers: WorkersView
    reports: Reports
    keys: LockedKeys
    sessions: Sessions
    attempts: Attempts

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Of the read model, in a thread: a long question holds up no other page."""
        return await asyncio.to_thread(self.model.rows, sql, parameters)


@dataclass
class Visit:
    """One request of a person who is logged in."""

    shared: Shared
    session: Session
    query: dict[str, str]
    path: dict[str, str]
