"""Faults on the way to the brokers: connections cut, an answer lost, a commit on its way while partitions are revoked."""

import asyncio
import time

from aiokafka.errors import KafkaError

from app.chaos.group import evict
from app.chaos.post import Post
from app.chaos.recovery import comes, goes_on, until
from app.chaos.site import Site
from app.chaos.traps import HeldCommit, LostAnswer
from app.stream.exits import ExitCode

# Of the cuts, those that last until others have taken the partitions over.
LONG_CUTS = 0.5


async def cut(site: Site) -> float:
    """By resets or by a hole, until somebody has met it, or for longer than the session."""
    # A worker that is started into the cut finds no broker, and says that a person must act.
    async with site.claim(supervised=True, excused=[ExitCode.OPERATOR]) as post:
        began, chance = time.time(), site.plan.chance
        post.gate.cut(chance.choice(("reset", "hole")))
        try:
            await until(lambda: _met(post), "a connection that meets the cut")
            if chance.random() < LONG_CUTS:
                await goes_on(site, began)
        finally:
            post.gate.heal()
        return await goes_on(site, began)


async def lose_commit_answer(site: Site) -> float | None:
    """None when no commit came."""
    async with site.claim(supervised=True) as post:
        trap = LostAnswer(site.plan.chance.choice(("reset", "reset", "swallow")))
        post.gate.set(trap)
        try:
            return await goes_on(site, time.time()) if await comes(trap.caught) else None
        finally:
            post.gate.set(None)


async def revoke_in_commit(site: Site) -> float | None:
    """Another member is evicted meanwhile. None when the worker did not hear of the rebalance before its commit arrived."""
    async with site.claim(supervised=True) as post, site.claim(supervised=True, owner=False) as other:
        trap = HeldCommit()
        post.gate.set(trap)
        try:
            if not await comes(trap.held):
                return None
            began = time.time()
            if not await evict(site.settings, other.name) or not await comes(trap.told):
                return None
        except KafkaError:  # the coordinator is on the move
            return None
        finally:
            post.gate.set(None)
        return await goes_on(site, began)


async def _met(post: Post) -> bool:
    await asyncio.sleep(0)
    return post.gate.refused > 0
