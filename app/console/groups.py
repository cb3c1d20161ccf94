"""The partition groups as Kafka's admin API tells them, sampled while somebody looks. Owns one sampler and its sample."""

import asyncio
import time

from aiokafka.errors import KafkaError

from app.errors import OperatorError
from app.scaling.groups import Sample, Sampler
from app.settings import Settings

# An answer this old is given again: many lookers cost the cluster one question.
FRESH_SECONDS = 2.0


class GroupsView:
    """`close` at the end."""

    def __init__(self, settings: Settings) -> None:
        self.trouble: str | None = None
        self._settings = settings
        self._sampler: Sampler | None = None
        self._sample: Sample | None = None
        self._at = float("-inf")
        self._turn = asyncio.Lock()

    async def fresh(self) -> Sample | None:
        """Asks, unless that was just done. The old one, and `trouble`, when nobody answers."""
        async with self._turn:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                try:
                    self._sample = await self._asked()
                    self.trouble = None
                except (OperatorError, KafkaError, OSError) as error:
                    self.trouble = f"{error}"
                    await self._end()
                self._at = time.monotonic()
            return self._sample

    async def close(self) -> None:
        async with self._turn:
            await self._end()

    async def _asked(self) -> Sample:
        if self._sampler is None:
            sampler = Sampler(self._settings)
            await sampler.__aenter__()
            self._sampler = sampler
        return await self._sampler.sample()

    async def _end(self) -> None:
        if self._sampler is not None:
            sampler, self._sampler = self._sampler, None
            await sampler.__aexit__()
