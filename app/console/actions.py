"""What a person does: each a governance record, signed with the person's own key, judged by the log.

Owns the way of one request that writes: session, token, role, then the record. Refuses before the log would, and the log
refuses again: nothing here is trusted by a worker.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request

from app.console.sessions import Session
from app.console.shared import Shared
from app.edge.body import read_body
from app.errors import CallerError
from app.governance import drafts
from app.governance.documents import MAX_FILE_BYTES, Finding, parse_document
from app.governance.drafts import Drafter
from app.governance.moves import ROLES_OF, RecordType
from app.governance.state import PolicyLog
from app.governance.validate import validate_documents
from app.governance.writer import GovernanceWriter
from app.readiness.commands import evidence

BODY_SECONDS = 10.0
MOST_FIELDS = 20
# A form's encoding makes three characters of one.
MOST_BODY_BYTES = 3 * MAX_FILE_BYTES
SEEN_SECONDS = 5.0

Form = Mapping[str, str]


class ForbiddenError(Exception):
    """Not sent from a form of this session, or not this person's to do."""


class Proposed(NamedTuple):
    """findings: why it was not written; none: it was."""

    key: str
    findings: list[Finding]


async def read_form(request: Request) -> dict[str, str]:
    """RefusalError (edge) for what is too large or too slow."""
    raw = await read_body(request, MOST_BODY_BYTES, BODY_SECONDS)
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise CallerError("the form cannot be read", "Send it from a page of the console") from None


def check_token(session: Session, form: Form) -> None:
    if not session.carries(form.get("csrf", "")):
        raise ForbiddenError("This form is not of your session; open the page again.")


def check_role(session: Session, record_type: RecordType) -> None:
    roles = ROLES_OF[record_type]
    if not session.may(*roles):
        raise ForbiddenError(f"{record_type} needs the role {' or '.join(roles)}; you have {', '.join(session.roles)}.")


async def move(shared: Shared, session: Session, key: str, record_type: RecordType, form: Form) -> None:
    """Returns when the record is in the log and this console has seen it."""
    check_role(session, record_type)
    log = policy_log(shared, key)
    if record_type == "activated":
        overridden = form.get("without_readiness") == "yes"
        found = await evidence(shared.settings, key, _version(form), overridden=overridden)
        await write(shared, session, drafts.activate(key, _version(form), found), form)
        return
    await write(shared, session, _DRAFTS[record_type](log, form), form)


def policy_log(shared: Shared, key: str) -> PolicyLog:
    """CallerError: there is none."""
    log = shared.governed.state.policies.get(key)
    if log is None:
        raise CallerError(f"no policy {key!r}", "See the list of policies")
    return log


async def propose(shared: Shared, session: Session, form: Form) -> Proposed:
    check_role(session, "proposed")
    document = parse_document("policy.yaml", form.get("body", ""))
    state = shared.governed.state
    findings = validate_documents([document], state.catalogue, state.places())
    if any(not finding.warning for finding in findings):
        return Proposed("", findings)
    await write(shared, session, drafts.propose(document.value), form)
    return Proposed(str(document.value["key"]), [])


async def write(shared: Shared, session: Session, draft: Drafter, form: Form) -> None:
    """Returns when the record is in the log and this console has seen it. CallerError: no reason."""
    reason = form.get("reason", "").strip()
    if not reason:
        raise CallerError("there is no reason", "Say why: it stays in the log")
    async with GovernanceWriter(shared.settings, session.key) as writer:
        appended = await writer.append(draft, reason=reason)
    await shared.governed.reach(appended.offset, SEEN_SECONDS)


def _version(form: Form) -> int:
    text = form.get("version", "")
    if not text.isdecimal() or len(text) > 9:
        raise CallerError(f"the version is {text!r}", "Open the policy's page again")
    return int(text)


def _approve(log: PolicyLog, form: Form) -> Drafter:
    return drafts.approve(log.key, _version(form), form.get("what_if", "").strip() or None)


def _ramp(log: PolicyLog, form: Form) -> Drafter:
    text = form.get("to", "").strip()
    if text and not (text.isdecimal() and len(text) <= 4):
        raise CallerError(f"the coverage is {text!r}", "Write permille, such as 250")
    steps = log.current.policy.ramp if log.current is not None else ()
    higher = [step for step in steps if step > log.coverage_permille]
    if not text and not higher:
        raise CallerError(f"{log.key} has no next step", "Propose a version with a longer ramp")
    return drafts.ramp(log.key, int(text) if text else higher[0])


_DRAFTS: dict[RecordType, Callable[[PolicyLog, Form], Drafter]] = {
    "approved": _approve,
    "ramped": _ramp,
    "paused": lambda log, form: drafts.pause(log.key),
    "resumed": lambda log, form: drafts.resume(log.key),
    "killed": lambda log, form: drafts.kill(log.key),
}
MOVES: Mapping[str, RecordType] = {**{name: name for name in _DRAFTS}, "activated": "activated"}
