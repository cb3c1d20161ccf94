"""The governed catalogue as an edge sees it: followed in the log, and kept on disk for a start without a broker.

An edge that comes up while Kafka is down must take events: its job is to keep them until Kafka is back. It goes by what it last
knew; a key that was revoked since is refused from the moment the log can be read again. Refuses to start without either.
"""

import asyncio
import logging
import os
from collections.abc import Callable

import orjson
from pydantic import ValidationError

from app.contract.catalogue import Catalogue
from app.edge.rules import KnownPolicy, Rules, known_policies, rules_of
from app.engine.policies import Policies
from app.errors import OperatorError
from app.governance.follower import GovernanceFollower
from app.governance.keys import root_public_key
from app.settings import Settings

log = logging.getLogger(__name__)

FILE = "catalogue.json"
# Between two attempts to read the log.
RETRY_SECONDS = 1.0


class CatalogueView:
    """`rules` are those in force; `on_change` is called with new ones."""

    def __init__(self, settings: Settings) -> None:
        self.rules: Rules
        self.on_change: Callable[[Rules], None] = lambda rules: None
        self._settings = settings
        self._file = settings.edge() / FILE
        self._follower: GovernanceFollower | None = None
        self._following: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()

    async def start(self) -> None:
        """From the log, else from the file. OperatorError when there is neither."""
        root = root_public_key(self._settings)
        try:
            await self._follow(root)
        except OperatorError as error:
            known = self._kept(root)
            if known is None:
                raise
            self.rules = known
            log.warning("the governance log is not read (%s); the catalogue is that of offset %d", error.what, known.offset)
            self._lost.set()
        self._following = asyncio.create_task(self._stay(root), name="catalogue")

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._follower is not None:
            await self._follower.stop()

    @property
    def is_live(self) -> bool:
        """Whether the log is being followed without a gap."""
        return self._follower is not None and not self._follower.stale()

    async def _follow(self, root: str) -> None:
        follower = GovernanceFollower(self._settings, root)
        follower.on_change.append(self._changed)
        follower.on_failure = self._failed
        await follower.start()
        self._follower = follower
        self._changed(follower.policies)

    async def _stay(self, root: str) -> None:
        while True:
            await self._lost.wait()
            self._lost.clear()
            if self._follower is not None:
                await self._follower.stop()
                self._follower = None
            while not await self._tried(root):  # noqa: ASYNC110 -- a broker that is away has no event for its return
                await asyncio.sleep(RETRY_SECONDS)
            log.warning("the governance log is read again, to offset %d", self.rules.offset)

    async def _tried(self, root: str) -> bool:
        try:
            await self._follow(root)
        except OperatorError:
            return False
        return True

    def _failed(self, error: BaseException) -> None:
        log.warning("the governance log is not read any more: %r", error)
        self._lost.set()

    def _changed(self, policies: Policies) -> None:
        self.rules = rules_of(policies.catalogue, policies.offset, known_policies(policies))
        self._keep(policies)
        self.on_change(self.rules)

    def _keep(self, policies: Policies) -> None:
        """Whole or not at all: a half-written file would be no catalogue."""
        body = {"offset": policies.offset, "root": root_public_key(self._settings), "catalogue": _wire(policies.catalogue)}
        body["policies"] = [policy._asdict() for policy in known_policies(policies)]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        with new.open("wb") as opened:
            opened.write(orjson.dumps(body))
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(self._file)

    def _kept(self, root: str) -> Rules | None:
        """None: there is none, or it is of another installation or an older release."""
        try:
            body = orjson.loads(self._file.read_bytes())
            if body["root"] != root:
                return None
            policies = [KnownPolicy(**policy) for policy in body["policies"]]
            return rules_of(Catalogue.model_validate(body["catalogue"]), body["offset"], policies)
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
            log.warning("%s is not usable: %s", self._file, type(error).__name__)
            return None


def _wire(catalogue: Catalogue) -> dict[str, object]:
    return catalogue.model_dump(mode="json")
