"""What each form of the console does, by its path; who sent it, and that it came from a page of ours, is known by then.

Owns the way from a form to an action or a report, and the page that follows. Refuses a role that does not suffice; what else is
refused, the action says.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.console import actions, reports
from app.console.actions import Form
from app.console.looking import look
from app.console.pages import entrance, policies, whatif
from app.console.parts import document
from app.console.retrying import send_back
from app.console.sessions import Session
from app.console.shared import Shared, Visit
from app.errors import CallerError

Write = Callable[[Shared, Session, Form, Mapping[str, str]], Awaitable[Response]]


async def _propose(shared: Shared, session: Session, form: Form, path: Mapping[str, str]) -> Response:
    proposed = await actions.propose(shared, session, form)
    if not proposed.findings:
        return _to(f"/policies/{proposed.key}")
    visit = Visit(shared, session, {}, {})
    page = await entrance.propose(visit, form["body"], form.get("reason", ""), proposed.findings)
    return HTMLResponse(document("Propose", page, session, "/propose"), 422)


async def _look(shared: Shared, session: Session, form: Form, path: Mapping[str, str]) -> Response:
    actions.check_role(session, "looked")
    key = actions.policy_log(shared, path["key"]).key
    told, signer, reason = dict(shared.governed.stories), session.key, form.get("reason", "").strip()
    shared.reports.begin(f"looks-{key}", lambda: look(shared.settings, key, told, signer, reason))
    return _to(f"/policies/{key}/experiment")


async def _audit(shared: Shared, session: Session, form: Form, path: Mapping[str, str]) -> Response:
    key = actions.policy_log(shared, path["key"]).key
    shared.reports.begin(f"audit-{key}", lambda: reports.audit(key))
    return _to(f"/policies/{key}/experiment")


async def _what_if(shared: Shared, session: Session, form: Form, path: Mapping[str, str]) -> Response:
    known = actions.policy_log(shared, path["key"])
    version = whatif.waiting(known)
    if version is None:
        raise CallerError(f"no version of {known.key} waits", "Propose one")
    body = policies.as_yaml(version)
    shared.reports.begin(whatif.report_name(known.key, version.number), lambda: reports.what_if(body))
    return _to(f"/policies/{known.key}")


async def _move(shared: Shared, session: Session, form: Form, path: Mapping[str, str]) -> Response:
    move = actions.MOVES.get(path["move"])
    if move is None:
        return Response("There is no such move.", 404)
    await actions.move(shared, session, path["key"], move, form)
    return _to(f"/policies/{path['key']}")


async def _retry(shared: Shared, session: Session, form: Form, path: Mapping[str, str]) -> Response:
    result = await send_back(shared, session, path["place"], form)
    if result.outcome == "refused":
        raise CallerError(f"the dead letter {path['place']} cannot be sent back: {result.why}", "See where it came from")
    return _to(f"/deadletters/{path['place']}?said={result.outcome}")


def _to(path: str) -> Response:
    """A page to read: reloading it sends nothing again."""
    return RedirectResponse(path, 303)


# In this order: the first that fits a path is asked.
WRITES: Mapping[str, Write] = {
    "/propose": _propose,
    "/policies/{key}/look": _look,
    "/policies/{key}/audit": _audit,
    "/policies/{key}/what-if": _what_if,
    "/policies/{key}/{move}": _move,
    "/deadletters/{place}/retry": _retry,
}
