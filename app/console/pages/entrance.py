"""The pages with a form of their own: logging in, and proposing a policy with what is wrong at its line."""

from collections.abc import Sequence

from app.console.markup import Html, tag, text
from app.console.pages.policies import as_yaml
from app.console.parts import button, card, field, form, notice
from app.console.shared import Visit
from app.governance.documents import Finding


def login(said: str | None = None, name: str = "") -> Html:
    entry = tag(
        "form",
        field("Name of your key", tag("input", name="name", value=name, required=True, autocomplete="username", maxlength=64)),
        field("Passphrase", tag("input", name="passphrase", type="password", required=True, autocomplete="current-password")),
        button("Log in"),
        method="post",
        action="/login",
    )
    why = tag("small", "It opens your signing key on this server, in memory, for this session. What you do is signed by you.")
    head = tag("h1", "Truelift console")
    return tag("div", head, card("Log in", notice("bad", said) if said else None, entry, why), class_="door")


async def propose(visit: Visit, body: str = "", reason: str = "", findings: Sequence[Finding] = ()) -> Html:
    if not body:
        body = _begun(visit)
    wrong = [
        tag(
            "li",
            tag("a", f"line {finding.line}", href=f"#line-{finding.line}"),
            f" {finding.field}: {finding.what}. {finding.remedy}",
            class_="warning" if finding.warning else "error",
        )
        for finding in findings
    ]
    lines = {finding.line for finding in findings if not finding.warning}
    listing = [
        tag("span", line + "\n", id=f"line-{number}", class_="wrong" if number in lines else None)
        for number, line in enumerate(body.splitlines(), 1)
    ]
    editor = tag("textarea", body, name="body", rows=24, spellcheck="false", required=True, class_="editor", wrap="off")
    why = field("Why", tag("input", name="reason", value=reason, required=True, maxlength=500))
    return text(
        card(
            "Propose a policy",
            form("/propose", visit.session, field("YAML, as the file in git has it", editor), why, button("Propose")),
            wide=True,
        ),
        card(
            "To be mended", tag("ul", wrong, class_="findings", role="alert"), tag("pre", listing, class_="listing"), wide=True
        )
        if findings
        else None,
    )


def _begun(visit: Visit) -> str:
    """The newest version of the policy in the query, to be changed; empty without one."""
    log = visit.shared.governed.state.policies.get(visit.query.get("policy", ""))
    return "" if log is None else as_yaml(log.versions[log.newest])
