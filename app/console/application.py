"""The composition root of a console: log, read model, sessions and routes put together into one ASGI application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from app.console import actions, reports
from app.console.attempts import Attempts
from app.console.changes import Changes
from app.console.feeding import Feeding
from app.console.governed import GovernedView
from app.console.groups import GroupsView
from app.console.guards import Guards
from app.console.live import Part, Streams
from app.console.locked_keys import LockedKeys, WrongPassphraseError
from app.console.markup import tag, text
from app.console.pages import (
    entrance,
    experiment,
    help_page,
    letters,
    log,
    overview,
    partitions,
    policies,
    record,
    users,
)
from app.console.parts import document, live, notice
from app.console.sessions import WHOLE_SECONDS, Session, Sessions
from app.console.shared import Shared, Visit
from app.console.store import ReadModel
from app.console.workers import WorkersView
from app.console.writing import WRITES, Write
from app.edge.refusal import RefusalError
from app.errors import CallerError, OperatorError
from app.settings import Settings

STATIC = Path(__file__).parent / "static"
COOKIE = "truelift_session"

# path -> (title, page, whether the whole of it is live)
PAGES: dict[str, tuple[str, Part, bool]] = {
    "/": ("Overview", overview.overview, True),
    "/policies": ("Policies", policies.policies, True),
    "/policies/{key}": ("Policy", policies.policy, False),
    "/policies/{key}/experiment": ("Experiment", experiment.experiment, False),
    "/propose": ("Propose", entrance.propose, False),
    "/users": ("Users", users.users, False),
    "/journal/{place}": ("Journal record", record.journal, False),
    "/partitions": ("Partitions", partitions.groups, True),
    "/deadletters": ("Dead letters", letters.dead_letters, False),
    "/deadletters/{place}": ("Dead letter", letters.dead_letter, False),
    "/log": ("Log", log.log, False),
    "/help": ("Help", help_page.help_page, False),
}
PARTS: dict[str, Part] = {path: page for path, (_, page, is_live) in PAGES.items() if is_live} | {
    "/policies/{key}": policies.activity,
    "/policies/{key}/experiment": experiment.reports,
}


class ConsoleApplication:
    """`asgi` is served between `start` and `stop`. origins: where people reach it."""

    def __init__(self, settings: Settings, origins: list[str]) -> None:
        changes = Changes()
        governed = GovernedView(settings, changes)
        model = ReadModel(settings.console() / "read_model.sqlite")
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None
        self.shared = Shared(
            settings, model, changes, governed, Feeding(settings, model, changes), GroupsView(settings),
            WorkersView(settings), reports.Reports(settings.console() / "reports", changes),
            LockedKeys(settings.console() / "keys"), Sessions(lambda: governed.state), Attempts(),
        )  # fmt: skip
        self._streams = Streams()
        self._is_secure = any(origin.startswith("https://") for origin in origins)
        governed.on_failure = self.shared.feeding.on_failure = self._fail
        routes = [Route(path, self._page(path), methods=["GET"]) for path in PAGES]
        routes += [Route(f"/live{path}", self._stream(part), methods=["GET"]) for path, part in PARTS.items()]
        writing: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/login": self._log_in,
            "/logout": self._log_out,
            **{path: self._written(write) for path, write in WRITES.items()},
        }
        routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in writing.items()]
        routes.append(Route("/login", self._login_page, methods=["GET"]))
        handlers = {CallerError: _caller, OperatorError: _operator, actions.ForbiddenError: _forbidden, RefusalError: _refused}
        static = Mount("/static", StaticFiles(directory=STATIC))
        app = Starlette(routes=[*routes, static], exception_handlers=handlers)
        self.asgi: ASGIApp = Guards(app, origins)

    async def start(self) -> None:
        """OperatorError for anything that a person must mend."""
        await self.shared.governed.start()
        await asyncio.to_thread(self.shared.model.open, self.shared.governed.genesis)
        self.shared.feeding.start()

    async def stop(self) -> None:
        await self.shared.reports.close()
        await self.shared.feeding.stop()
        await self.shared.groups.close()
        await self.shared.governed.stop()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    def end_streams(self) -> None:
        self.shared.changes.end()

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self.failed.set()

    def _session(self, request: Request, *, is_use: bool = True) -> Session | None:
        return self.shared.sessions.find(request.cookies.get(COOKIE, ""), is_use=is_use)

    def _visit(self, request: Request, session: Session) -> Visit:
        return Visit(self.shared, session, dict(request.query_params), dict(request.path_params))

    def _page(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        title, page, is_live = PAGES[path]

        async def answer(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return RedirectResponse("/login", 303)
            made = await page(self._visit(request, session))
            params = request.path_params
            name = params.get("key") or " ".join(filter(None, (title, params.get("place"))))
            body = text(tag("h1", name), live(f"/live{path}", made) if is_live else made)
            return HTMLResponse(document(name, body, session, path))

        return answer

    def _written(self, write: Write) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            session, form = await self._writing(request)
            return await write(self.shared, session, form, request.path_params)

        return answer

    def _stream(self, part: Part) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            session = self._session(request, is_use=False)
            if session is None:
                return Response("Log in.", 401)
            if self._streams.is_full:
                return Response("Too many pages are open.", 503, {"retry-after": "10"})
            still = lambda: self._session(request, is_use=False) is not None  # noqa: E731
            events = self._streams.events(self._visit(request, session), part, still)
            return StreamingResponse(events, media_type="text/event-stream")

        return answer

    async def _login_page(self, request: Request) -> Response:
        return HTMLResponse(document("Log in", entrance.login(), None))

    async def _log_in(self, request: Request) -> Response:
        form = await actions.read_form(request)
        name = form.get("name", "").strip()[:64]
        if wait := self.shared.attempts.wait_seconds(name):
            said = f"Too many wrong passphrases. Try again in {wait} s."
            return HTMLResponse(document("Log in", entrance.login(said, name), None), 429, {"retry-after": str(wait)})
        self.shared.attempts.failed(name)  # until it is known better: attempts at once count too
        try:
            key = await self.shared.keys.unlock(name, form.get("passphrase", ""))
            token = self.shared.sessions.begin(key)
        except WrongPassphraseError:
            return HTMLResponse(document("Log in", entrance.login("Name or passphrase is wrong.", name), None), 403)
        self.shared.attempts.succeeded(name)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE, token, max_age=int(WHOLE_SECONDS), httponly=True, samesite="strict", secure=self._is_secure, path="/"
        )
        return answer

    async def _writing(self, request: Request) -> tuple[Session, dict[str, str]]:
        session = self._session(request)
        if session is None:
            raise actions.ForbiddenError("You are not logged in, or your session has ended.")
        form = await actions.read_form(request)
        actions.check_token(session, form)
        return session, form

    async def _log_out(self, request: Request) -> Response:
        await self._writing(request)
        self.shared.sessions.end(request.cookies[COOKIE])
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer


def _said(error: str, status: int) -> Response:
    return HTMLResponse(document("Refused", text(tag("h1", "Refused"), notice("bad", error)), None), status)


async def _caller(request: Request, error: Exception) -> Response:
    return _said(str(error), 422)


async def _operator(request: Request, error: Exception) -> Response:
    return _said(str(error), 503)


async def _forbidden(request: Request, error: Exception) -> Response:
    return _said(str(error), 403)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    return _said(error.message, error.status)
