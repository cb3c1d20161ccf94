"""What the faults of a drill share: how a worker comes back, what it may end with, and waiting with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.chaos.post import Post
from app.chaos.site import Site
from app.errors import OperatorError
from app.stream.exits import ExitCode

# Of the longest recovery on a busy machine: a session, a takeover, the move of every leader, and a backlog.
RECOVERY_SECONDS = 90.0
# A commit comes every few milliseconds, a rebalance within a heartbeat; what has not come by now will not.
COMES_SECONDS = 20.0
POLL_SECONDS = 0.05
# What a worker in doubt ends with. After any other code but 0 a person must act.
DOUBTS = frozenset({ExitCode.FENCED, ExitCode.KAFKA, ExitCode.DRAIN_TIMEOUT})


class UnexpectedEndError(Exception):
    """A worker ended otherwise than any of its faults explains: a finding."""


def expect(post: Post, code: int, *expected: int) -> None:
    if code not in expected and code not in DOUBTS:
        raise UnexpectedEndError(f"{post.name} ended with exit code {code}: {post.last_words}")


async def goes_on(site: Site, began: float) -> float:
    """Seconds from `began` until every partition has decided something that came after now."""
    return await site.progress.since(time.time(), RECOVERY_SECONDS) - began


async def come_back(site: Site, post: Post, began: float) -> float:
    """A worker that has ended is started at once; see goes_on."""
    ended = time.time()
    post.worker.start()
    return await site.progress.since(ended, RECOVERY_SECONDS) - began


async def until(reached: Callable[[], Awaitable[bool]], what: str) -> None:
    """For what tells nobody that it has changed."""
    try:
        async with asyncio.timeout(RECOVERY_SECONDS):
            while not await reached():  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise OperatorError(f"{what} did not come within {RECOVERY_SECONDS:.0f} s", "See the workers' logs") from None


async def comes(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(COMES_SECONDS):
            await event.wait()
    except TimeoutError:
        return False
    return True
