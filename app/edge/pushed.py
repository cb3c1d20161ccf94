"""GET /v1/decisions/stream: one user's decisions, pushed as they are committed; delayed and awaited treatments come only so.

Server-sent events (WHATWG HTML, section 9.2). `event: ready` once all that is committed from then on will be pushed; then for
each journal record of the user that decided something
    event: decisions
    data: {"event_id", "status", "decisions": [as of POST /v1/decide]}
A comment keeps an idle connection. It ends with the token (`POST /v1/user_tokens` gives one to a server key), with the edge, or
when the reader falls behind: then listen again, and ask for what is missing. The token is all that is asked for, in the query
since a browser's EventSource has no headers, or as a bearer token. What is pushed has its delivery record, as an answer has.
"""

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.contract.envelope import ANONYMOUS_PREFIX
from app.contract.replies import REQUEST_ID_BYTES
from app.edge.collectors.dialect import basic_or_bearer
from app.edge.collectors.native import refused
from app.edge.deliveries import Deliveries, now_us
from app.edge.edge import Edge
from app.edge.refusal import RefusalError
from app.edge.served import Served, from_journal

STREAM_ANSWERS = {
    200: "text/event-stream",
    401: "no token of this installation, or one that has ended",
    403: "a page of an origin that is not allowed",
    503: "too many streams, or the edge is about to end; listen again after Retry-After",
}
# Shorter than the idle time-outs of usual proxies.
BEAT_SECONDS = 15.0
_BEAT = b": beat\n\n"
_READY = b"event: ready\ndata: {}\n\n"


class Pushed:
    """The endpoint of one edge."""

    def __init__(self, edge: Edge, deliveries: Deliveries) -> None:
        self._edge = edge
        self._deliveries = deliveries

    async def stream(self, request: Request) -> Response:
        try:
            token = request.query_params.get("token") or basic_or_bearer(request.headers) or ""
            found = self._edge.tokens.user_of(token)
            if found is None:
                raise RefusalError("bad_token", "no token of a user, or one that has ended; get one from your server")
            # The first part is made here, so that a refusal is an answer and no stream that breaks off.
            stream = self._events(*found)
            first = await anext(stream)
        except RefusalError as refusal:
            self._edge.counts[f"refused_{refusal.code}"] += 1
            return refused(refusal)
        self._edge.counts["streams"] += 1
        return StreamingResponse(_with(first, stream), media_type="text/event-stream")

    async def _events(self, unit: str, ends_at: float) -> AsyncIterator[bytes]:
        request_id = secrets.token_bytes(REQUEST_ID_BYTES)
        with self._edge.feed.listener(unit) as listener:
            yield _BEAT
            await self._edge.feed.live()
            yield _READY
            async for record in listener.records(min(BEAT_SECONDS, max(0.0, ends_at - time.time()))):
                if time.time() >= ends_at or not self._deliveries.has_room:
                    return
                if record is None:
                    yield _BEAT
                elif record["decisions"]:
                    served = self._served(record)
                    yield _event(served)
                    self._deliveries.add(served, _who(unit), now_us(), request_id)

    def _served(self, record: Mapping[str, Any]) -> Served:
        return Served(
            event_id=record["input"]["event_id"],
            unit=record["unit"],
            source="journal",
            why=None,
            deadline_ms=None,
            decisions=from_journal(record, self._edge.tokens.exposure),
            status=record["status"],
            visible_us=now_us(),
        )


async def _with(first: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in stream:
        yield event


def _event(served: Served) -> bytes:
    decisions = [decision._asdict() for decision in served.decisions]
    body = {"event_id": served.event_id, "status": served.status, "decisions": decisions}
    return b"event: decisions\ndata: %s\n\n" % orjson.dumps(body)


def _who(unit: str) -> dict[str, str]:
    if unit.startswith(ANONYMOUS_PREFIX):
        return {"anonymous_id": unit.removeprefix(ANONYMOUS_PREFIX)}
    return {"user_id": unit}
