"""What other partition groups send: records whose unit lives here, units that move here. Policy is the engine's; this waits."""

from agents.faces import Stream
from app.contract.links import governance_offset_of
from app.contract.topics import IDENTITY_LINKS

TOPIC = IDENTITY_LINKS


async def links(stream: Stream) -> None:
    """The sender knew the governance log so far: who reads its link by an older view could decide for a unit that is elsewhere,
    and a partition's rows would have been decided by more of the log than its journal says."""
    async for event in stream.events():
        governance, offset = stream.app.governance, governance_offset_of(event.message.value or b"")
        if offset > governance.policies.offset:
            await governance.reach(offset)
        stream.app.serving.serve(event.message)
