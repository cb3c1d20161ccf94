"""The governance of a drill's installation: topics, keys, policies in force, and two people who write to its log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from app.chaos.policies import bodies, catalogue
from app.contract.catalogue import Catalogue
from app.contract.topics import topic_specs
from app.governance import drafts
from app.governance.drafts import Drafter
from app.governance.keyring import init_root, new_key
from app.governance.keys import load_key
from app.governance.writer import Appended, GovernanceWriter
from app.settings import Settings
from app.stream.admin import ensure_topics

REASON = "fire drill"


class House:
    """Use as an async context manager, once topics and keys are there. ann writes and operates, bob approves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._writers = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            self.ann, self.bob = [
                await opening.enter_async_context(GovernanceWriter(self.settings, load_key(self.settings, name)))
                for name in ("ann", "bob")
            ]
            self._writers = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._writers.aclose()

    async def write(self, draft: Drafter, reason: str = REASON) -> Appended:
        return await self.ann.append(draft, reason=reason)

    async def activate(self, body: dict[str, Any]) -> Appended:
        """From a body to force."""
        proposed = await self.ann.append(drafts.propose(body), reason=REASON)
        version = proposed.record.rule_version
        assert version is not None
        await self.bob.append(drafts.approve(body["key"], version), reason=REASON)
        return await self.ann.append(drafts.activate(body["key"], version), reason=REASON)


@asynccontextmanager
async def house_of(
    settings: Settings, policies: Sequence[dict[str, Any]] | None = None, with_catalogue: Catalogue | None = None
) -> AsyncIterator[House]:
    """A new one, with everything in force. policies None: those of policies.py."""
    found = with_catalogue or catalogue()
    await ensure_topics(settings, topic_specs(found.event_types, found.bounds.max_record_bytes))
    await init_root(settings)
    await new_key(settings, "ann", "ann", ("author", "operator"), reason=REASON)
    await new_key(settings, "bob", "bob", ("approver",), reason=REASON)
    async with House(settings) as house:
        await house.write(drafts.catalogue(found.model_dump(mode="json")))
        for body in bodies() if policies is None else policies:
            await house.activate(body)
        yield house
