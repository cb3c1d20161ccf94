"""Pieces that pages are made of: the frame with its navigation, tables, cards, badges, moments. Owns their markup."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlencode

from app.console.markup import Child, Html, tag
from app.console.sessions import Session
from app.contract.times import format_us

NAVIGATION = (
    ("/", "Overview"),
    ("/policies", "Policies"),
    ("/users", "Users"),
    ("/partitions", "Partitions"),
    ("/deadletters", "Dead letters"),
    ("/log", "Log"),
    ("/help", "Help"),
)
# The state is written out; colour and sign only say it again.
SIGNS = {
    "active": "●",
    "paused": "❚❚",
    "killed": "■",
    "retired": "○",
    "proposed": "◌",
    "approved": "◍",
    "superseded": "·",
    "draft": "·",
    "good": "✓",
    "bad": "✗",
    "unknown": "?",
}


def document(title: str, body: Child, session: Session | None, here: str = "") -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} · Truelift"),
        tag("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/static/console.css"),
        tag("script", src="/static/console.js", defer=True),
    )
    top = _top(session, here) if session is not None else None
    page = tag("body", tag("a", "Skip to content", href="#content", class_="skip"), top, tag("main", body, id="content"))
    return f"<!DOCTYPE html>\n{tag('html', head, page, lang='en')}"


def _top(session: Session, here: str) -> Html:
    links = [tag("a", name, href=path, aria_current=_current(path, here)) for path, name in NAVIGATION]
    out = form("/logout", session, button("Log out", class_="quiet"), class_="person")
    who = tag("span", f"{session.actor} ", tag("small", ", ".join(session.roles)), class_="who")
    brand = tag("a", tag("img", src="/static/icon.svg", alt=""), "Truelift", href="/", class_="brand")
    return tag("header", tag("div", brand, tag("nav", links, aria_label="Pages"), tag("div", who, out, class_="me")))


def _current(path: str, here: str) -> str | None:
    """page: this one; true: one of its kind."""
    if path == here:
        return "page"
    return "true" if path != "/" and here.startswith(f"{path}/") else None


def form(path: str, session: Session, *children: Child, class_: str | None = None) -> Html:
    """One that writes; it carries the session's token."""
    token = tag("input", type="hidden", name="csrf", value=session.csrf)
    return tag("form", token, *children, method="post", action=path, class_=class_)


def button(label: str, class_: str = "", name: str | None = None, value: str | None = None) -> Html:
    return tag("button", label, type="submit", class_=class_ or None, name=name, value=value)


def field(label: str, control: Html, hint: str = "") -> Html:
    return tag("label", tag("span", label), control, tag("small", hint) if hint else None, class_="field")


def card(title: str, *children: Child, wide: bool = False, id_: str | None = None) -> Html:
    return tag("section", tag("h2", title), *children, class_="card wide" if wide else "card", id=id_)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Child]], empty: str = "Nothing yet.", numbers: Iterable[int] = ()
) -> Html:
    """numbers: columns of figures, which are set to the right."""
    right = set(numbers)
    made = [
        tag("tr", [tag("td", cell, class_="n" if at in right else None, data_head=heads[at]) for at, cell in enumerate(row)])
        for row in rows
    ]
    if not made:
        return tag("p", empty, class_="empty")
    head = tag("tr", [tag("th", name, scope="col", class_="n" if at in right else None) for at, name in enumerate(heads)])
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", made)),
        class_="scroll",
        tabindex="0",
        role="group",
        aria_label=heads[0],
    )


def badge(state: str, more: str = "") -> Html:
    return tag("span", tag("span", SIGNS.get(state, "·"), aria_hidden="true"), f" {state}{more}", class_=f"badge {state}")


def check(kind: str, words: str) -> Html:
    """kind: good | bad | unknown. The sign says it, the colour again; for those who see neither, the word."""
    spoken = tag("span", {"good": "good: ", "bad": "bad: "}.get(kind, "not shown: "), class_="spoken")
    return tag("span", tag("span", SIGNS[kind], class_=f"sign {kind}", aria_hidden="true"), spoken, words, class_="check")


def moment(us: int) -> Html:
    """To the second; whole for the mouse and for machines."""
    whole = format_us(us)
    return tag("time", f"{whole[:10]} {whole[11:19]}", datetime=whole, title=whole)


def live(path: str, content: Html) -> Html:
    """A part that the server sends anew when it has changed."""
    return tag("div", content, data_live=path, aria_live="off")


def notice(kind: str, *children: Child) -> Html:
    return tag("p", *children, class_=f"notice {kind}", role="alert" if kind == "bad" else "status")


def link(path: str, label: Child, **query: str) -> Html:
    return tag("a", label, href=url(path, **query))


def url(path: str, **query: str) -> str:
    return quote(path, safe="/:") + (f"?{urlencode(query)}" if query else "")


def definition(pairs: Iterable[tuple[str, Child]]) -> Html:
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs])


def figure(value: Child, name: str, note: Child = None) -> Html:
    return tag("div", tag("strong", value), tag("span", name), tag("small", note) if note else None, class_="figure")
