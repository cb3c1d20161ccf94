"""A type that the catalogue gains while a worker runs: the worker drains, and begins anew with an agent for it.

Owns noticing, and waiting for the type's topic: until that is there as it should be, the worker goes on with what it serves.
Refuses to add an agent to a running worker; what is subscribed and checked is so from the start.
"""

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

from aiokafka.errors import KafkaError

from agents.application import TrueliftApp, missing_types
from app.contract.topics import event_topic
from app.engine.policies import Policies
from app.errors import OperatorError
from app.stream.admin import admin_client, partition_counts

log = logging.getLogger(__name__)

# How soon a topic that somebody creates is noticed.
LOOK_SECONDS = 2.0


class Renewal:
    """`due` after the worker has stopped: start again with the catalogue as it is now."""

    def __init__(self, app: TrueliftApp) -> None:
        self.due = False
        self._app = app
        self._waiting: asyncio.Task[None] | None = None
        app.governance.on_change.append(self._look)

    def begin_anew(self) -> NoReturn:
        """The same command in the same process: supervisors, containers and tests see one worker."""
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, sys.orig_argv)

    def _look(self, policies: Policies) -> None:
        if self._waiting is None and missing_types(self._app):
            self._waiting = asyncio.create_task(self._drain_when_served())

    async def _drain_when_served(self) -> None:
        told = ""
        while lacking := await self._lacking():
            if lacking != told:
                log.warning("the catalogue has event types that cannot be served yet: %s", lacking)
                told = lacking
            await asyncio.sleep(LOOK_SECONDS)
        self._waiting = None
        names = missing_types(self._app)
        if not names:  # the catalogue took them back
            return
        log.warning("the catalogue has new event types (%s): draining, to serve them", ", ".join(sorted(names)))
        self.due = True
        os.kill(os.getpid(), signal.SIGTERM)

    async def _lacking(self) -> str:
        """What the new types' topics lack: not there, or not with the partitions of the others. Empty: nothing."""
        settings, room = self._app.truelift, self._app.room
        wanted = {settings.topic(event_topic(name)) for name in missing_types(self._app)}
        if room is None or not wanted:
            return ""
        try:
            async with admin_client(settings) as admin:
                found = await partition_counts(admin, wanted)
        except (OperatorError, KafkaError) as error:  # asked again: what this worker serves does not depend on it
            return str(error)
        growing = self._app.growth.group_count()
        enough = {room.groups} if growing is None else {growing.groups, growing.target}
        lacking = sorted(topic for topic in wanted if topic not in found or found[topic] not in enough)
        return f"create {', '.join(lacking)} with {room.groups} partitions" if lacking else ""
