"""Faults of workers: killed, stopped, frozen, killed at a point of a commit, without a disk, more and fewer of them."""

import shutil
import signal
import time

from app.chaos.recovery import RECOVERY_SECONDS, come_back, expect, goes_on, until
from app.chaos.site import NobodyError, Site
from app.stream.exits import ExitCode

# The commit, counted from when the worker was told, at which it dies.
NTH_MAX = 5


async def kill(site: Site) -> float:
    async with site.claim() as post:
        began = time.time()
        await post.worker.kill()
        return await come_back(site, post, began)


async def lose_disk(site: Site) -> float:
    async with site.claim() as post:
        began = time.time()
        await post.worker.kill()
        shutil.rmtree(post.worker.directory / "stores")
        return await come_back(site, post, began)


async def stop(site: Site) -> float:
    async with site.claim() as post:
        began = time.time()
        expect(post, await post.worker.stop(), 0)
        return await come_back(site, post, began)


async def freeze(site: Site) -> float:
    """Stopped past its session, its partitions taken over, woken up: a zombie, and it must end by itself."""
    async with site.claim() as post:
        began = time.time()
        post.worker.signal(signal.SIGSTOP)
        try:
            seconds = await goes_on(site, began)
        finally:
            post.worker.signal(signal.SIGCONT)
        expect(post, await post.worker.ended(RECOVERY_SECONDS))
        post.worker.start()
        return seconds


async def kill_at(point: str, site: Site) -> float | None:
    """None when something else ended it before."""
    async with site.claim() as post:
        post.worker.plan(crash_at=point, nth=site.plan.chance.randint(1, NTH_MAX))
        code = await post.worker.ended(RECOVERY_SECONDS)
        expect(post, code, -signal.SIGKILL)
        seconds = await come_back(site, post, time.time())
        return seconds if code == -signal.SIGKILL else None


async def fill_disk(site: Site) -> float | None:
    """None when something else ended it before."""
    async with site.claim() as post:
        began = time.time()
        post.disk.fill()
        try:
            code = await post.worker.ended(RECOVERY_SECONDS)
        finally:
            post.disk.free()
        expect(post, code, ExitCode.OPERATOR)
        seconds = await come_back(site, post, began)
        return seconds if code == ExitCode.OPERATOR else None


async def add(site: Site) -> float:
    post = site.spare()
    if post is None:
        raise NobodyError("no post is free")
    began = time.time()
    post.claim(supervised=True)
    try:
        post.man()
        await until(post.owns, "the partitions of the added worker")
        return await goes_on(site, began)
    finally:
        post.release()


async def remove(site: Site) -> float:
    """A static member says nothing when it goes: the others wait for the end of its session."""
    async with site.claim() as post:
        began = time.time()
        expect(post, await post.leave(), 0)
        return await goes_on(site, began)
