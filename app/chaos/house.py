"""The governance of a drill's installation: topics, keys, policies in force, and two people who write to its log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

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
    """ann writes and operates, bob approves."""

    def __init__(self, settings: Settings, ann: GovernanceWriter, bob: GovernanceWriter) -> None:
        self.settings = settings
        self.ann = ann
        self.bob = bob

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
    """A new one. policies None: those of policies.py."""
    found = with_catalogue or catalogue()
    await ensure_topics(settings, topic_specs(found.event_types, found.bounds.max_record_bytes))
    await init_root(settings)
    await new_key(settings, "ann", "ann", ("author", "operator"), reason=REASON)
    await new_key(settings, "bob", "bob", ("approver",), reason=REASON)
    async with (
        GovernanceWriter(settings, load_key(settings, "ann")) as ann,
        GovernanceWriter(settings, load_key(settings, "bob")) as bob,
    ):
        house = House(settings, ann, bob)
        await house.write(drafts.catalogue(found.model_dump(mode="json")))
        for body in bodies() if policies is None else policies:
            await house.activate(body)
        yield house
