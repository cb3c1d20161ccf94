"""POST /ofrep/v1/evaluate/flags/{key} and /ofrep/v1/evaluate/flags. Each evaluation is a signal on `events.flag_evaluation`.

The write key comes as a bearer token, by HTTP Basic, or as X-API-Key; where it asks for the user's token, that is X-User-Token.
A flag is answered within the budget of its event type; a client that holds what is still true gets 304, and its evaluation is
in the journal all the same.
Refuses in the protocol's own words, whatever goes wrong: a client of OpenFeature reads nothing else.
"""

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.contract.envelope import Rejection
from app.edge.body import parsed, read_body
from app.edge.collectors.dialect import basic_or_bearer, json_response
from app.edge.decide import Asked
from app.edge.edge import Edge
from app.edge.ofrep.flags import VOLATILE, Evaluation, evaluation, evaluations, is_flag
from app.edge.ofrep.question import Problem, envelope_of
from app.edge.paths import Endpoint
from app.edge.refusal import RefusalError
from app.edge.rules import Caller
from app.edge.served import Served

log = logging.getLogger(__name__)

ONE, ALL = "/ofrep/v1/evaluate/flags/{key:path}", "/ofrep/v1/evaluate/flags"
CONTEXT_BYTES = 64 * 1024
API_KEY = "x-api-key"
# What a refusal is in the protocol; the others are GENERAL.
_PARSE_CODES = frozenset({"malformed", "too_deep"})

Answer = Callable[[Request, str | None], Awaitable[Response]]


class ProblemError(Exception):
    """Nothing is evaluated."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Ofrep:
    """Endpoints of one edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def table(self) -> dict[tuple[str, str], Endpoint]:
        """(method, path) -> endpoint."""
        return {("POST", ONE): self.one, ("POST", ALL): self.all}

    async def one(self, request: Request) -> Response:
        return await self._answered(request, request.path_params["key"], self._one)

    async def all(self, request: Request) -> Response:
        return await self._answered(request, None, self._all)

    async def _answered(self, request: Request, key: str | None, answer: Answer) -> Response:
        try:
            return await answer(request, key)
        except ProblemError as error:
            problem, headers = error.problem, {}
        except RefusalError as refusal:
            problem, headers = _worded(refusal), refusal.headers()
        except Exception:
            # Also of an error of ours the client must get the protocol's shape; what it was is for the log.
            log.exception("an evaluation failed")
            return json_response({"errorDetails": "the edge failed on this evaluation; its log says how"}, 500)
        self._edge.counts[f"ofrep_{problem.code.lower()}"] += 1
        return json_response(problem.body(key), problem.status, headers)

    async def _one(self, request: Request, key: str | None) -> Response:
        assert key is not None
        asked, body = await self._asked(request)
        if not is_flag(key, self._edge.rules):
            raise ProblemError(Problem(404, "FLAG_NOT_FOUND", f"no flag {key[:80]!r}: no policy in force has it"))
        served = await self._served(body, key, asked)
        return json_response(evaluation(key, served, self._edge.rules))

    async def _all(self, request: Request, key: str | None) -> Response:
        asked, body = await self._asked(request)
        served = await self._served(body, None, asked)
        flags = list(evaluations(served, self._edge.rules))
        etag = etag_of(flags)
        if etag in _tags(request.headers.get("if-none-match", "")):
            self._edge.counts["ofrep_not_modified"] += 1
            return Response(status_code=304, headers={"etag": etag})
        return json_response({"flags": flags}, headers={"etag": etag})

    async def _asked(self, request: Request) -> tuple[Asked, Any]:
        edge, received_us = self._edge, time.time_ns() // 1_000
        caller = self._caller(request)
        with edge.bodies.room(request, CONTEXT_BYTES) as limit_bytes:
            body = parsed(await read_body(request, limit_bytes, edge.body_seconds))
        token = request.headers.get("x-user-token")
        return Asked(caller, received_us, gone=request.is_disconnected, user_token=token), body

    def _caller(self, request: Request) -> Caller:
        caller = self._edge.rules.caller(basic_or_bearer(request.headers) or request.headers.get(API_KEY))
        if caller is None:
            raise RefusalError("unknown_key", "no write key that this edge knows; `truelift writekeys list` shows them")
        return caller

    async def _served(self, body: Any, key: str | None, asked: Asked) -> Served:
        envelope = envelope_of(body, key, asked.received_us)
        if isinstance(envelope, Problem):
            raise ProblemError(envelope)
        served = await self._edge.decider.decide(envelope, asked)
        if isinstance(served, Rejection):
            raise ProblemError(Problem(400, "INVALID_CONTEXT", served.message))
        self._edge.counts[f"ofrep_{served.why or served.source}"] += 1
        return served


def etag_of(flags: Iterable[Evaluation]) -> str:
    """Of what a client would act on."""
    lasting = [
        flag | {"metadata": {name: value for name, value in flag["metadata"].items() if name not in VOLATILE}} for flag in flags
    ]
    return f'"{hashlib.sha256(orjson.dumps(lasting, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]}"'


def _tags(header: str) -> set[str]:
    """RFC 9110, section 13.1.2: compared weakly."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _worded(refusal: RefusalError) -> Problem:
    return Problem(refusal.status, "PARSE_ERROR" if refusal.code in _PARSE_CODES else "GENERAL", refusal.message)
