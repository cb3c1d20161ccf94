"""Faults that come as records: poison, and changes of governance."""

import time

import orjson
from aiokafka.errors import KafkaError

from app.chaos.house import REASON
from app.chaos.moves import next_move
from app.chaos.records import Sent, envelope
from app.chaos.recovery import RECOVERY_SECONDS
from app.chaos.site import POISON, Site
from app.errors import OperatorError

# The catalogue's limit stops a partition at more than 10 a minute: then the code is wrong, not the data.
POISON_MAX = 2


async def send_poison(site: Site) -> float:
    began, chance = time.time(), site.plan.chance
    users = [f"u-{chance.randrange(site.plan.users)}" for _ in range(chance.randint(1, POISON_MAX))]
    values = {user: envelope("page_view", user, properties={"title": POISON}) for user in users}
    places = [await site.load.deliver(Sent("page_view", user, orjson.dumps(value))) for user, value in values.items()]
    return await site.progress.set_aside(places, RECOVERY_SECONDS) - began


async def change_governance(site: Site) -> float | None:
    """None when a writer was cut off in between: what became of the move is seen at the next one."""
    house = site.house
    try:
        move = next_move((await house.ann.catch_up()).state, site.plan.chance)
        began = time.time()
        for who, draft in move.writes:
            appended = await (house.ann if who == "ann" else house.bob).append(draft, reason=REASON)
    except (OperatorError, KafkaError):
        await site.reopen_house()
        return None
    site.moves[move.name] += 1
    return await site.progress.by(appended.offset, RECOVERY_SECONDS) - began
